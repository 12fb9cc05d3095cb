"""From published derivatives to the destinations of the section `uploads`; only where that is asked for.

needs  published/<dataset>; the network, or git and git-annex, as the kind of a destination asks for
makes  results/studies/<study>/uploads/<destination>/<dataset>.json   its receipt: files and bytes sent, left, removed

`snakemake all_uploads` sends everything; no other target does. `snakemake preview` tells what would go, makes nothing.
"""

# Where a derivative goes is no part of it: it must not stand in its own config, nor make it anew.
UPLOADS = config.pop("uploads")


rule all_uploads:
    """All derivatives at all destinations."""
    input:
        expand(
            "results/studies/<study>/uploads/{destination}/{dataset}.json",
            destination=UPLOADS,
            dataset=config["datasets"],
        ),


rule upload:
    """Send one dataset's derivative to one destination; what is there already is not sent again."""
    input:
        "results/studies/<study>/published/{dataset}_validation.json",
    output:
        "results/studies/<study>/uploads/{destination}/{dataset}.json",
    log:
        "results/logs/upload/<study>/{destination}/{dataset}.log",
    benchmark:
        "results/benchmarks/upload/<study>/{destination}/{dataset}.tsv"
    wildcard_constraints:
        destination="[a-zA-Z0-9-]+",
    # what is refused would be refused again; requests have attempts of their own
    retries: 0
    localrule: True
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * (60 + STUDY.size_mb(w.dataset) // 30),
    params:
        study=config["study"],
        block=lambda w: UPLOADS[w.destination],
        code=digest("upload"),
    message:
        "send the derivative of {wildcards.dataset} to {wildcards.destination}"
    script:
        "../scripts/upload.py"


rule preview:
    """Tell what `upload` would send, replace and remove, and what it would refuse."""
    log:
        "results/logs/preview/<study>.log",
    localrule: True
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * (20 + STUDY.size_mb() // 500),
    params:
        study=config["study"],
        datasets=list(config["datasets"]),
        uploads=UPLOADS,
        code=digest("preview"),
    message:
        "what would go where"
    script:
        "../scripts/preview.py"
