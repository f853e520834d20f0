# Demo: a synthetic world in VideoMME's own schema. Its labels and videos then go through the same rules as any other.
# The tiny checkpoints it uses are in resources/demo; `make demo-models` trains them.


rule make_demo_labels:
    output:
        labels="results/{world}/labels.parquet",
        evidence="results/{world}/evidence.json",
    log:
        "logs/{world}/labels.log",
    benchmark:
        "benchmarks/{world}/labels.tsv"
    wildcard_constraints:
        world="|".join(sources.worlds),
    conda:
        "../envs/demo.yaml"
    params:
        program=program("make_demo_labels.py"),
        spec=lambda wc: plan.spec(sources.worlds[wc.world]),
        code=lambda wc: plan.code("make_demo_labels.py"),
    message:
        "Writing the questions of the world {wildcards.world}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {output.labels:q}"
        " --evidence {output.evidence:q} 2> {log:q}"


rule make_demo_video:
    output:
        sources.demo_video("{world}", "{video}"),
    log:
        "logs/{world}/videos/{video}.log",
    benchmark:
        "benchmarks/{world}/videos/{video}.tsv"
    wildcard_constraints:
        world="|".join(sources.worlds),
    conda:
        "../envs/demo.yaml"
    params:
        program=program("make_demo_video.py"),
        spec=lambda wc: plan.spec(sources.worlds[wc.world]),
        code=lambda wc: plan.code("make_demo_video.py"),
    message:
        "Rendering {wildcards.video} of the world {wildcards.world}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --video {wildcards.video:q} --out {output:q}"
        " 2> {log:q}"
