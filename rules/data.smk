# Data: a dataset in its folder -> one label format; videos -> a table of videos with their candidate frames; shards.


rule download_dataset:
    output:
        "results/datasets/{dataset}.json",
    log:
        "logs/datasets/{dataset}.log",
    benchmark:
        "benchmarks/datasets/{dataset}.tsv"
    localrule: True  # where jobs run on other machines, those often have no network
    conda:
        "../envs/data.yaml"
    resources:
        keep_archives=lambda wc: int(plan.dataset(wc.dataset).keep_archives),
    params:
        program=program("download_dataset.py"),
        spec=lambda wc: plan.spec(sources.download_spec(wc.dataset)),
        code=lambda wc: plan.code("download_dataset.py", plan.dataset(wc.dataset)),
        attempt=lambda wc: sources.download_attempt(wc.dataset),
    message:
        "Looking for the files of {wildcards.dataset}; what is missing comes from the hub (progress: {log})"
    shell:
        "python {params.program:q} --spec {params.spec:q} --keep-archives {resources.keep_archives}"
        " --cache results/cache/videos --attempt {params.attempt:q} --out {output:q} 2> {log:q}"


rule convert_labels:
    input:
        lambda wc: sources.original_labels(wc.dataset),
    output:
        "results/labels/{dataset}.json",
    log:
        "logs/labels/{dataset}.log",
    benchmark:
        "benchmarks/labels/{dataset}.tsv"
    conda:
        "../envs/data.yaml"
    params:
        program=program("convert_labels.py"),
        spec=lambda wc: plan.spec(plan.convert_spec(wc.dataset)),
        code=lambda wc: plan.code("convert_labels.py", plan.dataset(wc.dataset)),
        labels=lambda wc: plan.dataset(wc.dataset).labels_file.as_posix(),
        state=lambda wc: sources.label_state(wc.dataset),
    message:
        "Converting the labels of {wildcards.dataset}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {params.labels:q}"
        " --out {output:q} 2> {log:q}"


# The list of unusable videos is a log: Snakemake keeps it when there are too many of them and the job fails.
rule index_videos:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: sources.video_files(wc.dataset),
    output:
        "results/videos/{dataset}-{grid}.parquet",
    log:
        text="logs/videos/{dataset}-{grid}.log",
        excluded="results/videos/{dataset}-{grid}-excluded.csv",
    benchmark:
        "benchmarks/videos/{dataset}-{grid}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 4
    resources:
        max_excluded=lambda wc: str(plan.dataset(wc.dataset).max_excluded),
    params:
        program=program("index_videos.py"),
        spec=lambda wc: plan.spec(plan.index_spec(wc.dataset)),
        code=lambda wc: plan.code("index_videos.py", plan.dataset(wc.dataset)),
        state=lambda wc: sources.video_state(wc.dataset),
        folder=lambda wc: plan.dataset(wc.dataset).video_dir,
    message:
        "Probing the videos of {wildcards.dataset}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --video-dir {params.folder:q} --max-excluded {resources.max_excluded} --excluded {log.excluded:q}"
        " --cache results/cache/videos --threads {threads} --out {output:q} 2> {log.text:q}"


rule assign_shards:
    input:
        videos="results/videos/{dataset}-{grid}.parquet",
    output:
        "results/shards/{dataset}-{grid}-{n}.json",
    log:
        "logs/shards/{dataset}-{grid}-{n}.log",
    benchmark:
        "benchmarks/shards/{dataset}-{grid}-{n}.tsv"
    conda:
        "../envs/data.yaml"
    params:
        program=program("assign_shards.py"),
        spec=lambda wc: plan.spec({"shards": int(wc.n)}),
        code=lambda wc: plan.code("assign_shards.py"),
    message:
        "Assigning the videos of {wildcards.dataset} to {wildcards.n} shards"
    shell:
        "python {params.program:q} --spec {params.spec:q} --videos {input.videos:q}"
        " --out {output:q} 2> {log:q}"
