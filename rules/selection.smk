# Selection: scores (or nothing, for selectors that need none) + a budget -> the frames of every question.


rule select_frames:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        scores=lambda wc: plan.scores_needed(wc.dataset, plan.selectings[wc.selecting]),
        embeddings=lambda wc: plan.embeddings_needed(
            wc.dataset, plan.selectings[wc.selecting]
        ),
        evidence=lambda wc: sources.evidence_needed(
            wc.dataset, plan.selectings[wc.selecting]
        ),
    output:
        "results/selections/{dataset}/{selecting}.json",
    log:
        "logs/selections/{dataset}/{selecting}.log",
    benchmark:
        "benchmarks/selections/{dataset}/{selecting}.tsv"
    priority: 1
    conda:
        "../envs/select.yaml"
    params:
        program=program("select_frames.py"),
        spec=lambda wc: plan.spec(plan.select_spec(plan.selectings[wc.selecting])),
        code=lambda wc: plan.code(
            "select_frames.py", plan.selectings[wc.selecting].selector
        ),
        given=lambda wc, input: plan.given(input, "scores", "embeddings", "evidence"),
    message:
        "Selecting frames of {wildcards.dataset} with {wildcards.selecting}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} {params.given:q} --out {output:q} 2> {log:q}"


# A selection that others published, in place of one made here.
rule import_selection:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        original=lambda wc: sources.imported(plan.selectings[wc.imported])["original"],
        selection=lambda wc: sources.imported(plan.selectings[wc.imported])["selection"],
    output:
        "results/selections/{dataset}/{imported}.json",
    log:
        "logs/selections/{dataset}/{imported}.log",
    benchmark:
        "benchmarks/selections/{dataset}/{imported}.tsv"
    priority: 1
    conda:
        "../envs/data.yaml"
    params:
        program=program("import_selection.py"),
        kind=lambda wc: plan.dataset(wc.dataset).kind,
        format=lambda wc: plan.selectings[wc.imported].selector.format,
        code=lambda wc: plan.code("import_selection.py", plan.dataset(wc.dataset)),
    message:
        "Taking the published selection {wildcards.imported} for {wildcards.dataset}"
    shell:
        "python {params.program:q} --format {params.format:q} --dataset {params.kind:q}"
        " --original {input.original:q} --selection {input.selection:q} --videos {input.videos:q}"
        " --labels {input.labels:q} --out {output:q} 2> {log:q}"
