# Demo: a synthetic world in VideoMME's own schema. Its labels and videos then go through the same rules as any other.
# The tiny checkpoints it uses are shipped in resources/demo; `snakemake demo_models` trains them anew.


rule make_demo_labels:
    output:
        labels=plan.demo_file("labels.parquet"),
        evidence=plan.demo_file("evidence.json"),
    log:
        "logs/demo/labels.log",
    benchmark:
        "benchmarks/demo/labels.tsv"
    conda:
        "../envs/demo.yaml"
    params:
        spec=plan.spec(plan.config.demo.world),
        code=lambda wc: plan.code("make_demo_labels.py"),
    message:
        "Writing the questions of the demo world"
    shell:
        "python workflow/scripts/make_demo_labels.py --spec {params.spec:q} --labels {output.labels:q}"
        " --evidence {output.evidence:q} 2> {log:q}"


rule make_demo_video:
    output:
        plan.demo_video("{video}"),
    log:
        "logs/demo/videos/{video}.log",
    benchmark:
        "benchmarks/demo/videos/{video}.tsv"
    conda:
        "../envs/demo.yaml"
    params:
        spec=plan.spec(plan.config.demo.world),
        code=lambda wc: plan.code("make_demo_video.py"),
    message:
        "Rendering the demo video {wildcards.video}"
    shell:
        "python workflow/scripts/make_demo_video.py --spec {params.spec:q} --video {wildcards.video:q} --out {output:q}"
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
        spec=plan.spec(plan.config.demo.training),
        code=lambda wc: plan.code("train_demo_model.py"),
    message:
        "Training the demo's {wildcards.model} to its validation target"
    shell:
        "python workflow/scripts/train_demo_model.py --spec {params.spec:q} --model {wildcards.model:q} --out {output:q}"
        " 2> {log:q}"


rule demo_models:
    input:
        expand("results/demo_models/{model}", model=["clip", "blip", "vlm"]),
    message:
        "The trained models are in results/demo_models; copy them to resources/demo to use them"
