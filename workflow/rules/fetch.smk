"""From a dataset's name and version at OpenNeuro or NEMAR to its tree, and to the signals of its recordings.

needs  git and git-annex; the network, which only the machine that runs snakemake must have (but see below)
makes  results/raw/<dataset>/               a git-annex clone at the version: tables, sidecars, links to signals
       results/raw/<dataset>_clone.json     its receipt: commit, annexed files and bytes by kind
       results/fetch/<dataset>/{rec}.json   receipt of a recording whose signal was fetched: keys, sizes, checksums

The clone itself is no output: Snakemake would delete it after a fault, and what has come would be lost. The resource
`raw_mb` of a profile bounds how much raw signal is fetched at a time. With `keep_raw: false` no job of `fetch` runs:
`clean` fetches the signal, holds its `raw_mb` while it runs and frees it, so that the bound is one of the disk too; the
machines that clean then need the network. What was kept before stays: `git annex drop` in the clone frees it.
"""

from hedgerow import fetch


rule clone:
    """Clone the tree of a dataset at its version: tables, sidecars and links to signals, no signal."""
    output:
        "results/raw/{dataset}_clone.json",
    log:
        "results/logs/clone/{dataset}.log",
    benchmark:
        "results/benchmarks/clone/{dataset}.tsv"
    localrule: True
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 240,
    params:
        source=lambda w: {
            "url": fetch.address(w.dataset, config["datasets"][w.dataset]),
            "version": config["datasets"][w.dataset]["version"],
        },
        code=digest("clone"),
    message:
        "{wildcards.dataset}: clone version {params.source[version]}"
    script:
        "../scripts/clone.py"


rule fetch:
    """Fetch the signal of one recording with all its companion files, verified by checksum."""
    input:
        tree=ancient("results/index/{dataset}/tree.json"),
    output:
        "results/fetch/{dataset}/{rec}.json",
    log:
        "results/logs/fetch/{dataset}/{rec}.log",
    localrule: True
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        raw_mb=lambda w: STUDY.size_mb(w.dataset, rec=w.rec),
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * (60 + STUDY.size_mb(w.dataset, rec=w.rec) // 60),
    params:
        row=lambda w: STUDY.row(w.dataset, w.rec, "files", "signal_sha256"),
        code=digest("fetch"),
    message:
        "{wildcards.dataset}: fetch {wildcards.rec}"
    script:
        "../scripts/fetch.py"
