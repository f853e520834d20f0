# Data: original labels -> one label format; videos -> a table of videos with their candidate frames; shards.


rule convert_labels:
    input:
        labels=lambda wc: plan.original_labels(wc.dataset),
    output:
        "results/labels/{dataset}.json",
    log:
        "logs/labels/{dataset}.log",
    benchmark:
        "benchmarks/labels/{dataset}.tsv"
    conda:
        "../envs/data.yaml"
    params:
        spec=lambda wc: plan.spec(plan.convert_spec(wc.dataset)),
        code=lambda wc: plan.code("convert_labels.py", plan.dataset(wc.dataset)),
    message:
        "Converting the labels of {wildcards.dataset}"
    shell:
        "python workflow/scripts/convert_labels.py --spec {params.spec:q} --labels {input.labels:q}"
        " --out {output:q} 2> {log:q}"


rule index_videos:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.video_files(wc.dataset),
    output:
        "results/videos/{dataset}-{grid}.parquet",
    log:
        "logs/videos/{dataset}-{grid}.log",
    benchmark:
        "benchmarks/videos/{dataset}-{grid}.tsv"
    conda:
        "../envs/data.yaml"
    threads: 4
    params:
        spec=lambda wc: plan.spec(plan.index_spec(wc.dataset)),
        code=lambda wc: plan.code("index_videos.py", plan.dataset(wc.dataset)),
        sizes=lambda wc: plan.video_sizes(wc.dataset),
        folder=lambda wc: plan.dataset(wc.dataset).video_dir,
    message:
        "Finding the candidate frames of the videos of {wildcards.dataset}"
    shell:
        "python workflow/scripts/index_videos.py --spec {params.spec:q} --labels {input.labels:q}"
        " --video-dir {params.folder:q} --cache results/cache/videos --threads {threads} --out {output:q} 2> {log:q}"


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
        spec=lambda wc: plan.spec({"shards": int(wc.n)}),
        code=plan.code("assign_shards.py"),
    message:
        "Assigning the videos of {wildcards.dataset} to {wildcards.n} shards"
    shell:
        "python workflow/scripts/assign_shards.py --spec {params.spec:q} --videos {input.videos:q}"
        " --out {output:q} 2> {log:q}"
