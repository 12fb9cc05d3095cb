"""From windows to networks that are judged on people they never saw.

needs  windows stores (and feature stores), participants
makes  results/studies/<study>/split.tsv
       results/studies/<study>/networks/<network>/  leakage.json  seed-<seed>_fold-<fold>.*  predictions.tsv
                                                    metrics.json  README.md
       results/studies/<study>/comparisons.tsv, comparisons.json
"""


rule split:
    """Deal the people of the study to folds by a keyed hash."""
    input:
        recordings=expand("results/index/{dataset}/recordings.tsv", dataset=config["datasets"]),
        participants=expand("results/index/{dataset}/participants.tsv", dataset=config["datasets"]),
    output:
        "results/studies/<study>/split.tsv",
    log:
        "results/logs/split/<study>.log",
    benchmark:
        "results/benchmarks/split/<study>.tsv"
    conda:
        "../../envs/networks.yaml"
    container:
        IMAGES["networks"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 5,
    params:
        split=STUDY.split(),
        chosen=lambda w: STUDY.chosen(),
        code=digest("split"),
    message:
        "deal the people of the study to folds"
    script:
        "../scripts/split.py"


rule leakage:
    """The gate: stop what would train and test on the same people, or on the same windows under two names."""
    input:
        split="results/studies/<study>/split.tsv",
        participants=expand("results/index/{dataset}/participants.tsv", dataset=config["datasets"]),
        manifest=lambda w: STUDY.manifest(config["networks"][w.network]["selection"]),
    output:
        "results/studies/<study>/networks/{network}/leakage.json",
    log:
        "results/logs/leakage/<study>/{network}.log",
    benchmark:
        "results/benchmarks/leakage/<study>/{network}.tsv"
    conda:
        "../../envs/networks.yaml"
    container:
        IMAGES["networks"]
    threads: 1
    resources:
        mem_mb=lambda w, input, attempt: attempt * (3000 + 3 * STUDY.stored_mb(input.manifest)),
        runtime=lambda w, attempt: attempt * 30,
    params:
        network=lambda w: STUDY.network(w.network, "selection", "target", "task", "labels", "folds"),
        code=digest("leakage"),
    message:
        "look for people and windows of '{wildcards.network}' on both sides of its split"
    script:
        "../scripts/leakage.py"


rule train:
    """Train one network on all folds but one; killed, it resumes where it was."""
    input:
        gate="results/studies/<study>/networks/{network}/leakage.json",
        split="results/studies/<study>/split.tsv",
        participants=expand("results/index/{dataset}/participants.tsv", dataset=config["datasets"]),
        manifest=lambda w: STUDY.manifest(config["networks"][w.network]["selection"]),
        features=lambda w: STUDY.shown(w.network),
    output:
        weights="results/studies/<study>/networks/{network}/seed-{seed}_fold-{fold}.safetensors",
        curve="results/studies/<study>/networks/{network}/seed-{seed}_fold-{fold}_curve.tsv",
        account="results/studies/<study>/networks/{network}/seed-{seed}_fold-{fold}_account.json",
    log:
        "results/logs/train/<study>/{network}_seed-{seed}_fold-{fold}.log",
    benchmark:
        "results/benchmarks/train/<study>/{network}_seed-{seed}_fold-{fold}.tsv"
    conda:
        "../../envs/networks.yaml"
    container:
        IMAGES["networks"]
    threads: config["threads"]
    resources:
        mem_mb=lambda w, input, attempt: attempt * (4000 + 3 * STUDY.stored_mb(input.manifest)),
        runtime=lambda w, attempt: attempt * 240,
        gpu=1,
        # processes that read ahead, and whether a checkpoint of another machine is taken up: neither is for a config
        workers=0,
        other_build=0,
    params:
        network=lambda w: STUDY.network(w.network, without=("further_seeds", "vote")),
        threads=config["threads"],
        board=lambda w: STUDY.board(w.network, w.seed, w.fold),
        checkpoint=lambda w: STUDY.checkpoint(w.network, w.seed, w.fold),
        code=digest("train"),
    message:
        "train '{wildcards.network}', seed {wildcards.seed}, fold {wildcards.fold} left out"
    script:
        "../scripts/train.py"


rule evaluate:
    """Open the test sets once: predictions of every fold and seed, metrics with intervals over subjects."""
    input:
        split="results/studies/<study>/split.tsv",
        participants=expand("results/index/{dataset}/participants.tsv", dataset=config["datasets"]),
        manifest=lambda w: STUDY.manifest(config["networks"][w.network]["selection"]),
        features=lambda w: STUDY.shown(w.network),
        weights=lambda w: STUDY.trained(w.network, ".safetensors"),
        curves=lambda w: STUDY.trained(w.network, "_curve.tsv"),
        accounts=lambda w: STUDY.trained(w.network, "_account.json"),
    output:
        predictions="results/studies/<study>/networks/{network}/predictions.tsv",
        metrics="results/studies/<study>/networks/{network}/metrics.json",
        card="results/studies/<study>/networks/{network}/README.md",
    log:
        "results/logs/evaluate/<study>/{network}.log",
    benchmark:
        "results/benchmarks/evaluate/<study>/{network}.tsv"
    conda:
        "../../envs/networks.yaml"
    container:
        IMAGES["networks"]
    threads: config["threads"]
    resources:
        mem_mb=lambda w, input, attempt: attempt * (4000 + 3 * STUDY.stored_mb(input.manifest)),
        runtime=lambda w, attempt: attempt * 60,
        gpu=1,
    params:
        network=lambda w: STUDY.network(w.network),
        opened=f"results/studies/{config['study']}/opened",
        threads=config["threads"],
        code=digest("evaluate"),
    message:
        "evaluate '{wildcards.network}'"
    script:
        "../scripts/evaluate.py"


rule compare:
    """Hold networks that predicted the same windows against each other, pair by pair."""
    input:
        expand("results/studies/<study>/networks/{network}/predictions.tsv", network=config["networks"]),
    output:
        rows="results/studies/<study>/comparisons.tsv",
        account="results/studies/<study>/comparisons.json",
    log:
        "results/logs/compare/<study>.log",
    benchmark:
        "results/benchmarks/compare/<study>.tsv"
    conda:
        "../../envs/networks.yaml"
    container:
        IMAGES["networks"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        votes={name: block["vote"] for name, block in config["networks"].items() if block["task"] == "classification"},
        code=digest("compare"),
    message:
        "compare networks"
    script:
        "../scripts/compare.py"
