# Evaluation: a selection + an answerer -> answers, through lmms-eval as it is published; then what they are worth.
# (The program is not called evaluate.py: lmms-eval imports a library of that name.)
# Each answer is kept in results/cache as soon as it is given, so no job ever repeats more than one question.


rule evaluate:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        selection="results/selections/{dataset}/{selecting}.json",
        weights=lambda wc: sources.trained_weights(plan.answerers[wc.answerer].answerer),
        checkpoint=lambda wc: ancient(
            sources.checkpoint(plan.answerers[wc.answerer].answerer)
        ),
    output:
        "results/answers/{dataset}/{answerer}/{selecting}/{chunk}-of-{n}.json",
    log:
        "logs/answers/{dataset}/{answerer}/{selecting}/{chunk}-of-{n}.log",
    benchmark:
        "benchmarks/answers/{dataset}/{answerer}/{selecting}/{chunk}-of-{n}.tsv"
    wildcard_constraints:
        selecting="[a-z0-9_]+-[0-9]+-[0-9a-f]{12}",  # here those that were imported, too
    conda:
        lambda wc: plan.env(plan.answerers[wc.answerer].answerer)
    threads: 2  # half of them decode ahead; on a GPU all do
    resources:
        gpu=lambda wc: plan.gpus(plan.answerers[wc.answerer].answerer),
    params:
        program=program("evaluate_selection.py"),
        spec=lambda wc: plan.spec(
            plan.answer_spec(
                wc.dataset, plan.answerers[wc.answerer], plan.selectings[wc.selecting]
            )
        ),
        weights=lambda wc: sources.weights(plan.answerers[wc.answerer].answerer),
        made_with=lambda wc: plan.made_with(
            "decoding",
            "answering",
            plan.answerers[wc.answerer].answerer,
            plan.dataset(wc.dataset),
        ),
        subtitles=lambda wc: sources.subtitles(wc.dataset, plan.answerers[wc.answerer]),
        # looking at `threads` keeps these from causing reruns: they change no answer
        connection=lambda wc, threads: plan.spec(
            plan.answerers[wc.answerer].answerer.connection()
        ),
        also=lambda wc, threads: plan.spec(
            plan.also_answered(
                wc.dataset, plan.answerers[wc.answerer], plan.selectings[wc.selecting]
            )
        ),
    message:
        "Answering {wildcards.dataset} with {wildcards.answerer} on {wildcards.selecting}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} --selection {input.selection:q} {params.subtitles:q}"
        " --chunk {wildcards.chunk:q} --chunks {wildcards.n:q} --also {params.also:q}"
        " --connection {params.connection:q}"
        " --threads {threads} --cache results/cache/answers --out {output:q} 2> {log:q}"


# A finished run of lmms-eval, whoever did it, as answers.
rule import_run:
    input:
        unpack(lambda wc: sources.run_files(wc.run)),
        labels="results/labels/{dataset}.json",
    output:
        "results/answers/{dataset}/runs/{run}.json",
    log:
        "logs/answers/{dataset}/runs/{run}.log",
    benchmark:
        "benchmarks/answers/{dataset}/runs/{run}.tsv"
    conda:
        "../envs/data.yaml"
    params:
        program=program("import_run.py"),
        given=lambda wc, input: plan.given(input, "results"),
        code=lambda wc: plan.code("import_run.py"),
    message:
        "Taking the finished run {wildcards.run} for {wildcards.dataset}"
    shell:
        "python {params.program:q} --samples {input.samples:q} {params.given:q}"
        " --labels {input.labels:q} --out {output:q} 2> {log:q}"


# One job a table: our parser and the task's own metric on all its answers, and the judge of open ones.
rule judge_answers:
    input:
        labels=lambda wc: plan.labels(plan.table(wc.table).dataset),
        answers=lambda wc: tables.answers_of(wc.table),
    output:
        "results/judged/{table}.json",
    log:
        "logs/judged/{table}.log",
    benchmark:
        "benchmarks/judged/{table}.tsv"
    conda:
        "../envs/evaluate.yaml"
    params:
        program=program("judge_answers.py"),
        spec=lambda wc: plan.spec(tables.judge_spec(wc.table)),
        code=lambda wc: plan.code(
            "judge_answers.py", plan.dataset(plan.table(wc.table).dataset)
        ),
        connection=lambda wc, threads: plan.spec(tables.judge_connection(wc.table)),
    message:
        "Judging the answers of {wildcards.table}"
    shell:
        "python {params.program:q} --spec {params.spec:q} --labels {input.labels:q}"
        " --connection {params.connection:q} --cache results/cache/judged --out {output:q} 2> {log:q}"
