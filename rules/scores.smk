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
    conda:
        "../envs/data.yaml"
    params:
        spec=lambda wc: plan.spec(plan.score_spec(plan.scorers[wc.scorer])),
        code=plan.code("merge_scores.py"),
    message:
        "Merging the scores of {wildcards.dataset} by {wildcards.scorer}"
    shell:
        "python workflow/scripts/merge_scores.py --spec {params.spec:q} --labels {input.labels:q}"
        " --out {output:q} {input.shards:q} 2> {log:q}"
