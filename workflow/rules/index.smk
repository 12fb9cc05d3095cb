"""From a dataset's name to the table of its recordings.

needs  the dataset's folder, or the parameters of a simulation
makes  results/raw/<dataset>/            a simulated BIDS dataset and its receipt
       results/index/<dataset>/          recordings.tsv, participants.tsv, digests of the files
"""


rule simulate:
    """Write a BIDS dataset with planted truth."""
    output:
        tree=directory("results/raw/{dataset}"),
        receipt="results/raw/{dataset}_receipt.json",
    log:
        "results/logs/simulate/{dataset}.log",
    benchmark:
        "results/benchmarks/simulate/{dataset}.tsv"
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (1000 + STUDY.simulated_mb(w.dataset)),
        runtime=lambda w, attempt: attempt * 60,
    params:
        dataset=lambda w: config["datasets"][w.dataset],
        code=digest("simulate"),
    message:
        "{wildcards.dataset}: simulate {params.dataset[subjects]} people"
    script:
        "../scripts/simulate.py"


checkpoint index:
    """List the recordings of a dataset and the files that describe each; no signal is opened."""
    input:
        lambda w: STUDY.receipt(w.dataset),
    output:
        recordings="results/index/{dataset}/recordings.tsv",
        participants="results/index/{dataset}/participants.tsv",
        tree="results/index/{dataset}/tree.json",
        digests=update("results/index/{dataset}/sha256.tsv"),
    log:
        "results/logs/index/{dataset}.log",
    benchmark:
        "results/benchmarks/index/{dataset}.tsv"
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 240,
    params:
        tree=lambda w: STUDY.tree(w.dataset),
        remote=lambda w: STUDY.remote(w.dataset),
        code=digest("index"),
    message:
        "{wildcards.dataset}: list the recordings"
    script:
        "../scripts/index.py"
