# Checkpoints: a pinned commit of the hub -> its files on this machine, in the cache of Hugging Face or fetched.


rule download_checkpoint:
    output:
        "results/checkpoints/{checkpoint}.json",
    log:
        "logs/checkpoints/{checkpoint}.log",
    benchmark:
        "benchmarks/checkpoints/{checkpoint}.tsv"
    wildcard_constraints:
        checkpoint="[A-Za-z0-9._-]+-[0-9a-f]{12}",
    localrule: True  # where jobs run on other machines, those often have no network
    conda:
        "../envs/data.yaml"
    params:
        program=program("download_checkpoint.py"),
        spec=lambda wc: plan.spec(plan.checkpoints[wc.checkpoint]),
        code=lambda wc: plan.code("download_checkpoint.py"),
    message:
        "Looking for {wildcards.checkpoint}; what is missing comes from the hub (progress: {log})"
    shell:
        "python {params.program:q} --spec {params.spec:q} --out {output:q} 2> {log:q}"
