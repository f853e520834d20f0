# Tables: selections -> measures without a language model; with answers -> one row per answerer x method x scorer x
# budget.


rule measure_selections:
    input:
        labels=lambda wc: plan.labels(plan.table(wc.table).dataset),
        videos=lambda wc: plan.videos(plan.table(wc.table).dataset),
        evidence=lambda wc: sources.evidence(plan.table(wc.table).dataset),
        embeddings=lambda wc: tables.measured_embeddings(wc.table),
        selections=lambda wc: [
            cell["selection"] for cell in tables.measure_spec(wc.table)["selections"]
        ],
    output:
        measures="results/measures/{table}.csv",
        overlaps="results/measures/{table}_overlaps.csv",
    log:
        "logs/measures/{table}.log",
    benchmark:
        "benchmarks/measures/{table}.tsv"
    conda:
        "../envs/tables.yaml"
    params:
        program=program("measure_selections.py"),
        spec=lambda wc: plan.spec(tables.measure_spec(wc.table)),
        code=lambda wc: plan.code("measure_selections.py"),
        given=lambda wc, input: plan.given(input, "evidence", "embeddings"),
    message:
        "Measuring the selections of {wildcards.table}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} {params.given:q}"
        " --out {output.measures:q} --overlaps-out {output.overlaps:q} 2> {log:q}"


rule make_table:
    input:
        labels=lambda wc: plan.labels(plan.table(wc.table).dataset),
        videos=lambda wc: tables.videos_of(wc.table),
        evidence=lambda wc: sources.evidence(plan.table(wc.table).dataset),
        selections=lambda wc: [
            cell["selection"]
            for cell in tables.spec(wc.table)["cells"]
            if cell["selection"]
        ],
        answers=lambda wc: tables.answers_of(wc.table),
        judged="results/judged/{table}.json",
    output:
        table="results/tables/{table}.csv",
        groups="results/tables/{table}_groups.csv",
        markdown="results/tables/{table}.md",
        latex="results/tables/{table}.tex",
        timings="results/tables/{table}_timings.csv",
    log:
        "logs/tables/{table}.log",
    benchmark:
        "benchmarks/tables/{table}.tsv"
    conda:
        "../envs/tables.yaml"
    resources:
        # a resource, since a parameter would cause reruns
        max_excluded=lambda wc: str(
            plan.dataset(plan.table(wc.table).dataset).max_excluded
        ),
    params:
        program=program("make_table.py"),
        spec=lambda wc: plan.spec(tables.spec(wc.table)),
        code=lambda wc: plan.code("make_table.py"),
        given=lambda wc, input: plan.given(input, "videos", "evidence"),
    message:
        "Making the table {wildcards.table}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " {params.given:q} --judged {input.judged:q}"
        " --max-excluded {resources.max_excluded} --out {output.table:q} --groups-out {output.groups:q}"
        " --markdown-out {output.markdown:q} --latex-out {output.latex:q} --timings-out {output.timings:q}"
        " --benchmarks benchmarks 2> {log:q}"


# What each row of a table was made from, back to labels, videos, models and code (docs/provenance.md).
rule make_manifest:
    input:
        table="results/tables/{table}.csv",
        judged="results/judged/{table}.json",
    output:
        "results/manifests/{table}.json",
    log:
        "logs/manifests/{table}.log",
    benchmark:
        "benchmarks/manifests/{table}.tsv"
    localrule: True  # it asks git, which a compute node may not have
    conda:
        "../envs/tables.yaml"
    params:
        program=program("make_manifest.py"),
        spec=lambda wc: plan.spec(tables.spec(wc.table)),
        code=lambda wc: plan.code("make_manifest.py"),
    message:
        "Writing what the rows of {wildcards.table} were made from"
    shell:
        "python {params.program:q} --spec {params.spec:q} --out {output:q} 2> {log:q}"
