# Features: videos of a shard + questions -> scores of their candidate frames. The expensive stage on a GPU;
# each finished video is kept in results/cache, so no job ever repeats more than the video it was stopped in.


rule score_frames:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        shards=lambda wc: plan.shards(wc.dataset),
        weights=lambda wc: plan.weights(plan.scorers[wc.scorer]),
    output:
        "results/scores/{dataset}/{scorer}/{shard}-of-{n}.parquet",
    log:
        "logs/scores/{dataset}/{scorer}/{shard}-of-{n}.log",
    benchmark:
        "benchmarks/scores/{dataset}/{scorer}/{shard}-of-{n}.tsv"
    conda:
        lambda wc: plan.env(wc.scorer)
    threads: 2  # half of them decode; on a GPU all do: give it as many as there are cores for it
    resources:
        gpu=1,
        mem_mb=8000,
        batch=lambda wc: plan.scorers[wc.scorer].batch_size,  # a resource, since a parameter would cause reruns
    params:
        spec=lambda wc: plan.spec(plan.score_spec(plan.scorers[wc.scorer])),
        code=lambda wc: plan.code("score_frames.py", plan.scorers[wc.scorer]),
        # looking at `threads` keeps this from causing reruns: what other scorers there are changes no score
        also=lambda wc, threads: plan.spec(plan.companions(wc.dataset, wc.scorer)),
    message:
        "Scoring {wildcards.dataset} with {wildcards.scorer}, shard {wildcards.shard} of {wildcards.n}"
    shell:
        "python workflow/scripts/score_frames.py --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} --shards {input.shards:q} --shard {wildcards.shard}"
        " --also {params.also:q} --batch-size {resources.batch} --threads {threads} --cache results/cache/scores --out {output:q} 2> {log:q}"
