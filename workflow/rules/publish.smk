"""From results to a complete BIDS derivative.

needs  clean signals, selections, features, split
makes  results/studies/<study>/config.yaml                       the merged config
       results/studies/<study>/published/<dataset>/              signals, windows, tables, README.md, provenance, digests
       results/studies/<study>/published/<dataset>_validation.json   what it holds, its licence, what the checks found
"""


rule config:
    """The merged config of the run, defaults included."""
    output:
        "results/studies/<study>/config.yaml",
    log:
        "results/logs/config/<study>.log",
    benchmark:
        "results/benchmarks/config/<study>.tsv"
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 500,
        runtime=lambda w, attempt: attempt * 5,
    params:
        config=config,
        code=digest("config"),
    message:
        "write the merged config"
    script:
        "../scripts/config.py"


rule publish:
    """Gather one dataset's derivative, seal it, and hold it against the official validator and our own checks."""
    input:
        config="results/studies/<study>/config.yaml",
        split=STUDY.split_table(),
        receipt=lambda w: STUDY.receipt(w.dataset),
        tree=ancient("results/index/{dataset}/tree.json"),
        recordings="results/index/{dataset}/recordings.tsv",
        participants="results/index/{dataset}/participants.tsv",
        files=lambda w: STUDY.publishable(w.dataset),
        features=lambda w: STUDY.features(w.dataset),
    output:
        description="results/studies/<study>/published/{dataset}/dataset_description.json",
        validation="results/studies/<study>/published/{dataset}_validation.json",
    log:
        "results/logs/publish/<study>/{dataset}.log",
    benchmark:
        "results/benchmarks/publish/<study>/{dataset}.tsv"
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 60,
    params:
        about=lambda w: STUDY.about(w.dataset),
        method=STUDY.split(),
        used_by={key: config[key] for key in ("study", "recipe")} | {"selections": [*config["selections"]]},
        template=template("card.md.j2"),
        code=digest("publish"),
    message:
        "publish the derivative of {wildcards.dataset}"
    script:
        "../scripts/publish.py"
