# Features: videos of a shard + questions -> scores of their candidate frames. The expensive stage on a GPU;
# each finished video is kept in results/cache, so no job ever repeats more than the video it was stopped in.


rule score_frames:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        shards=lambda wc: plan.shards(wc.dataset, wc.n),
        weights=lambda wc: sources.trained_weights(plan.scorers[wc.scorer]),
        checkpoint=lambda wc: ancient(sources.checkpoint(plan.scorers[wc.scorer])),
    output:
        "results/scores/{dataset}/{scorer}/{shard}-of-{n}.parquet",
    log:
        "logs/scores/{dataset}/{scorer}/{shard}-of-{n}.log",
    benchmark:
        "benchmarks/scores/{dataset}/{scorer}/{shard}-of-{n}.tsv"
    priority: 2  # before answers, so that a loaded answerer finds all selections
    conda:
        lambda wc: plan.env(plan.scorers[wc.scorer])
    threads: 2  # half of them decode; on a GPU all do: give it as many as there are cores for it
    resources:
        gpu=1,
        batch=lambda wc: plan.scorers[wc.scorer].batch_size,  # a resource, since a parameter would cause reruns
    params:
        program=program("score_frames.py"),
        spec=lambda wc: plan.spec(plan.score_spec(plan.scorers[wc.scorer])),
        weights=lambda wc: sources.weights(plan.scorers[wc.scorer]),
        made_with=lambda wc: plan.made_with(
            "decoding", "scoring", plan.scorers[wc.scorer]
        ),
        # looking at `threads` keeps this from causing reruns: what other scorers there are changes no score
        also=lambda wc, threads: plan.spec(
            plan.companions(wc.dataset, plan.scorers[wc.scorer])
        ),
    message:
        "Scoring {wildcards.dataset} with {wildcards.scorer}, shard {wildcards.shard} of {wildcards.n}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} --shards {input.shards:q} --shard {wildcards.shard:q}"
        " --also {params.also:q} --batch-size {resources.batch} --threads {threads} --cache results/cache/scores"
        " --out {output:q} 2> {log:q}"


# Embeddings for selectors. They stay in the same cache; the file says where, and holds those of the questions.
rule embed_frames:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        shards=lambda wc: plan.shards(wc.dataset, wc.n),
        weights=lambda wc: sources.trained_weights(plan.encoders[wc.encoder]),
        checkpoint=lambda wc: ancient(sources.checkpoint(plan.encoders[wc.encoder])),
    output:
        "results/embeddings/{dataset}/{encoder}/{shard}-of-{n}.safetensors",
    log:
        "logs/embeddings/{dataset}/{encoder}/{shard}-of-{n}.log",
    benchmark:
        "benchmarks/embeddings/{dataset}/{encoder}/{shard}-of-{n}.tsv"
    priority: 2
    conda:
        lambda wc: plan.env(plan.encoders[wc.encoder])
    threads: 2
    resources:
        gpu=1,
        batch=lambda wc: plan.encoders[wc.encoder].batch_size,
    params:
        program=program("embed_frames.py"),
        spec=lambda wc: plan.spec(plan.embed_spec(plan.encoders[wc.encoder])),
        weights=lambda wc: sources.weights(plan.encoders[wc.encoder]),
        made_with=lambda wc: plan.made_with(
            "decoding", "scoring", plan.encoders[wc.encoder]
        ),
        also=lambda wc, threads: plan.spec(
            plan.companions(wc.dataset, plan.encoders[wc.encoder])
        ),
    message:
        "Embedding {wildcards.dataset} with {wildcards.encoder}, shard {wildcards.shard} of {wildcards.n}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} --shards {input.shards:q} --shard {wildcards.shard:q}"
        " --also {params.also:q} --batch-size {resources.batch} --threads {threads} --cache results/cache/scores"
        " --out {output:q} 2> {log:q}"
