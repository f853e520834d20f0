# Papers: a table beside published numbers, and what a paper has to say of it.


rule compare_published:
    input:
        table="results/tables/{table}.csv",
        groups="results/tables/{table}_groups.csv",
        published=tables.published,
        references=tables.references,
    output:
        "results/published/{table}.csv",
    log:
        "logs/published/{table}.log",
    benchmark:
        "benchmarks/published/{table}.tsv"
    conda:
        "../envs/tables.yaml"
    params:
        program=program("compare_published.py"),
        spec=lambda wc: plan.spec(tables.published_spec(wc.table)),
        code=lambda wc: plan.code("compare_published.py"),
        known=tables.published_digest(),
        given=lambda wc, input: plan.given(input, "published", "references"),
    message:
        "Comparing {wildcards.table} with published numbers"
    shell:
        "python {params.program:q} --spec {params.spec:q} --table {input.table:q}"
        " --groups {input.groups:q} {params.given:q} --out {output:q} 2> {log:q}"


rule write_methods:
    input:
        labels=lambda wc: plan.labels(plan.table(wc.table).dataset),
        answers=lambda wc: tables.answers_of(wc.table),
        references=tables.references,
    output:
        text="results/methods/{table}.tex",
        bib="results/methods/{table}.bib",
    log:
        "logs/methods/{table}.log",
    benchmark:
        "benchmarks/methods/{table}.tsv"
    conda:
        "../envs/tables.yaml"
    params:
        program=program("write_methods.py"),
        spec=lambda wc: plan.spec(tables.methods_spec(wc.table)),
        code=lambda wc: plan.code("write_methods.py"),
        known=tables.references_digest(),
        given=lambda wc, input: plan.given(input, "references"),
    message:
        "Writing how {wildcards.table} was made"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --answers {input.answers:q} {params.given:q} --text-out {output.text:q}"
        " --bib-out {output.bib:q} 2> {log:q}"
