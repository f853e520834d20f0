# Evaluation: a selection + an answerer -> answers, through lmms-eval as it is published.
# (The program is not called evaluate.py: lmms-eval imports a library of that name.)
# Each answer is kept in results/cache as soon as it is given, so no job ever repeats more than one question.


rule evaluate:
    input:
        labels="results/labels/{dataset}.json",
        videos=lambda wc: plan.videos(wc.dataset),
        selection="results/selections/{dataset}/{selecting}.json",
        weights=lambda wc: plan.weights(plan.answerers[wc.answerer].answerer),
    output:
        "results/answers/{dataset}/{answerer}/{selecting}/{chunk}-of-{n}.json",
    log:
        "logs/answers/{dataset}/{answerer}/{selecting}/{chunk}-of-{n}.log",
    benchmark:
        "benchmarks/answers/{dataset}/{answerer}/{selecting}/{chunk}-of-{n}.tsv"
    conda:
        "../envs/evaluate.yaml"
    resources:
        gpu=1,
        mem_mb=16000,
    params:
        spec=lambda wc: plan.spec(
            plan.answer_spec(wc.dataset, plan.answerers[wc.answerer])
        ),
        code=lambda wc: plan.code(
            "evaluate_selection.py",
            plan.answerers[wc.answerer].answerer,
            plan.dataset(wc.dataset),
        ),
    message:
        "Answering {wildcards.dataset} with {wildcards.answerer} on {wildcards.selecting}"
    shell:
        "python workflow/scripts/evaluate_selection.py --spec {params.spec:q} --labels {input.labels:q}"
        " --videos {input.videos:q} --selection {input.selection:q} --chunk {wildcards.chunk} --chunks {wildcards.n}"
        " --threads {threads} --cache results/cache/answers --out {output:q} 2> {log:q}"
