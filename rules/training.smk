# Training of M-LLM frame selectors: videos -> pseudo-labels of frames; labels + embeddings -> a selector, stage by stage.
# Replies of labelling models are kept in results/cache one by one, a training's progress every few steps.


# The labels are written twice: as training data, and as scores that frames can be chosen by.
rule label_frames:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        shards=lambda wc: plan.shards(wc.dataset, wc.n),
        scores=lambda wc: plan.stand_in_scores(wc.dataset, plan.scorers[wc.labelled]),
        evidence=lambda wc: sources.evidence(wc.dataset),
        weights=lambda wc: sources.trained_weights(
            *plan.scorers[wc.labelled].labellers()
        ),
        checkpoints=lambda wc: ancient(
            [
                file
                for one in plan.scorers[wc.labelled].labellers()
                for file in sources.checkpoint(one)
            ]
        ),
    output:
        examples="results/pseudo_labels/{dataset}/{labelled}/{shard}-of-{n}.parquet",
        summary="results/pseudo_labels/{dataset}/{labelled}/{shard}-of-{n}.json",
        scores="results/scores/{dataset}/{labelled}/{shard}-of-{n}.parquet",
    log:
        "logs/pseudo_labels/{dataset}/{labelled}/{shard}-of-{n}.log",
    benchmark:
        "benchmarks/pseudo_labels/{dataset}/{labelled}/{shard}-of-{n}.tsv"
    priority: 2
    conda:
        "../envs/train.yaml"
    threads: 2  # half of them decode; on a GPU all do
    resources:
        gpu=lambda wc: int(bool(plan.scorers[wc.labelled].labellers())),
        mem_mb=16000,
    params:
        program=program("label_frames.py"),
        spec=lambda wc: plan.spec(plan.label_spec(plan.scorers[wc.labelled])),
        weights=lambda wc: sources.weights(*plan.scorers[wc.labelled].labellers()),
        made_with=lambda wc: plan.made_with("decoding", "labelling"),
        given=lambda wc, input: plan.given(input, "scores", "evidence"),
        # looking at `threads` keeps this from causing reruns: it changes no label
        connections=lambda wc, threads: plan.spec(
            plan.scorers[wc.labelled].connections()
        ),
    message:
        "Labelling frames of {wildcards.dataset} for {wildcards.labelled}, shard {wildcards.shard} of {wildcards.n}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} --shards {input.shards:q} --shard {wildcards.shard:q} {params.given:q}"
        " --connections {params.connections:q} --threads {threads} --cache results/cache/pseudo_labels"
        " --out {output.examples:q} --summary {output.summary:q} --as-scores {output.scores:q} 2> {log:q}"


# One stage of a training. Killed, it goes on with the progress in its work folder, which is removed at the end.
rule train_selector:
    input:
        unpack(lambda wc: plan.training_inputs(plan.trainings[wc.training])),
        weights=lambda wc: sources.trained_weights(
            *plan.network_parts(plan.trainings[wc.training])
        ),
        checkpoints=lambda wc: ancient(
            plan.network_checkpoints(plan.trainings[wc.training])
        ),
    output:
        directory("results/selectors/{selector}/{training}"),
    log:
        "logs/selectors/{selector}/{training}.log",
    benchmark:
        "benchmarks/selectors/{selector}/{training}.tsv"
    conda:
        "../envs/train.yaml"
    threads: 2
    resources:
        gpu=lambda wc: plan.trainings[wc.training].trained.gpus,
        mem_mb=16000,
    params:
        program=program("train_selector.py"),
        spec=lambda wc: plan.spec(plan.training_spec(plan.trainings[wc.training])),
        weights=lambda wc: sources.weights(
            *plan.network_parts(plan.trainings[wc.training])
        ),
        made_with=lambda wc: plan.made_with("training"),
        # looking at `threads` keeps these from causing reruns: they change no result but by rounding
        stage=lambda wc, threads: plan.spec(plan.trainings[wc.training].stage_spec()),
        launch=lambda wc, threads: plan.trainings[wc.training].launcher(),
        given=lambda wc: plan.training_options(plan.trainings[wc.training]),
        work="results/cache/training/{training}",
    message:
        "Training {wildcards.selector}, stage {wildcards.training}"
    shell:
        "{params.launch:q} {params.program:q} --spec {params.stage:q} {params.given:q}"
        " --threads {threads} --work {params.work:q} --out {output:q} 2> {log:q}"
        " && rm -r {params.work:q}"
