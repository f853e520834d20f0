# Demo: a synthetic world in VideoMME's own schema. Its labels and videos then go through the same rules as any other.
# The tiny checkpoints it uses are shipped in resources/demo; `snakemake demo_models` trains them anew.


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


rule train_demo_model:
    output:
        directory("results/demo_models/{model}"),
    log:
        "logs/demo/train_{model}.log",
    benchmark:
        "benchmarks/demo/train_{model}.tsv"
    conda:
        "../envs/demo.yaml"
    resources:
        gpu=1,
    params:
        program=program("train_demo_model.py"),
        spec=lambda wc: plan.spec(sources.demo_training(wc.model)),
        code=lambda wc: plan.code("train_demo_model.py"),
    message:
        "Training the demo's {wildcards.model} to its validation target"
    shell:
        "python {params.program:q} --spec {params.spec:q} --model {wildcards.model:q} --out {output:q}"
        " 2> {log:q}"


rule demo_models:
    input:
        expand(
            "results/demo_models/{model}",
            model=["clip", "blip", "vlm", "selector_start"],
        ),
    message:
        "The trained models are in results/demo_models; copy them to resources/demo to use them"
