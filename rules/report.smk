# Figures and the report of a table: results/figures/{table}/ and results/report/{table}.html.
# Both are also shown by `snakemake --report`, in the categories below.


rule make_figures:
    input:
        unpack(lambda wc: tables.report_inputs(wc.table)),
        judged="results/judged/{table}.json",
        table="results/tables/{table}.csv",
        groups="results/tables/{table}_groups.csv",
        timings="results/tables/{table}_timings.csv",
    output:
        report(
            directory("results/figures/{table}"),
            patterns=["{name}.svg"],
            caption="../report/figures.rst",
            category="Figures",
            subcategory="{table}",
            labels={"figure": "{name}"},
        ),
    log:
        "logs/figures/{table}.log",
    benchmark:
        "benchmarks/figures/{table}.tsv"
    conda:
        "../envs/tables.yaml"
    params:
        program=program("make_figures.py"),
        spec=lambda wc: plan.spec(tables.report_spec(wc.table)),
        code=lambda wc: plan.code("make_figures.py"),
        given=lambda wc, input: plan.given(input, "videos", "evidence"),
    message:
        "Drawing the figures of {wildcards.table}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " {params.given:q} --judged {input.judged:q} --table {input.table:q}"
        " --groups {input.groups:q} --timings {input.timings:q} --out {output:q} 2> {log:q}"


rule make_report:
    input:
        unpack(lambda wc: tables.report_inputs(wc.table)),
        judged="results/judged/{table}.json",
        table="results/tables/{table}.csv",
        groups="results/tables/{table}_groups.csv",
        timings="results/tables/{table}_timings.csv",
        published="results/published/{table}.csv",
    output:
        page=report(
            "results/report/{table}.html",
            caption="../report/page.rst",
            category="Reports",
            labels={"table": "{table}"},
        ),
        pieces=directory("results/report/{table}_files"),
    log:
        "logs/report/{table}.log",
    benchmark:
        "benchmarks/report/{table}.tsv"
    conda:
        "../envs/tables.yaml"
    threads: 4
    params:
        program=program("make_report.py"),
        spec=lambda wc: plan.spec(tables.report_spec(wc.table)),
        code=lambda wc: plan.code("make_report.py"),
        templates=tables.templates(),
        given=lambda wc, input: plan.given(input, "videos", "evidence"),
    message:
        "Making the report of {wildcards.table}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " {params.given:q} --judged {input.judged:q} --table {input.table:q}"
        " --groups {input.groups:q} --timings {input.timings:q} --published {input.published:q} --cache results/cache/thumbnails"
        " --workers {threads} --out {output.page:q} 2> {log:q}"
