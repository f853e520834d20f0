# Scores: the shards of a scorer -> one table a dataset, every question once.


rule merge_scores:
    input:
        labels="results/labels/{dataset}.json",
        shards=lambda wc: plan.shard_scores(wc.dataset, wc.scorer),
    output:
        "results/scores/{dataset}/{scorer}.parquet",
    log:
        "logs/scores/{dataset}/{scorer}.log",
    benchmark:
        "benchmarks/scores/{dataset}/{scorer}.tsv"
    wildcard_constraints:
        scorer="(?!aks_outscores-)[a-z0-9_]+-[0-9a-f]{12}",
    priority: 1
    conda:
        "../envs/data.yaml"
    resources:
        # a resource, since a parameter would cause reruns
        max_excluded=lambda wc: str(plan.dataset(wc.dataset).max_excluded),
    params:
        program=program("merge_scores.py"),
        spec=lambda wc: plan.spec(plan.score_spec(plan.scorers[wc.scorer])),
        code=lambda wc: plan.code("merge_scores.py"),
    message:
        "Merging the scores of {wildcards.dataset} by {wildcards.scorer}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --max-excluded {resources.max_excluded} --out {output:q} {input.shards:q} 2> {log:q}"


# The scores that AKS's authors released, in place of computed ones.
rule import_outscores:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
    output:
        "results/scores/{dataset}/{released}.parquet",
    log:
        "logs/scores/{dataset}/{released}.log",
    benchmark:
        "benchmarks/scores/{dataset}/{released}.tsv"
    priority: 1
    conda:
        "../envs/data.yaml"
    resources:
        folder=lambda wc: plan.scorers[wc.released].folder,
    params:
        program=program("import_outscores.py"),
        spec=lambda wc: plan.spec(plan.score_spec(plan.scorers[wc.released])),
        code=lambda wc: plan.code("import_outscores.py", plan.dataset(wc.dataset)),
        kind=lambda wc: plan.dataset(wc.dataset).kind,
    message:
        "Taking the released scores of {wildcards.dataset} for {wildcards.released}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --dataset {params.kind:q}"
        " --labels {input.labels:q} --videos {input.videos:q} --folder {resources.folder:q} --out {output:q} 2> {log:q}"
