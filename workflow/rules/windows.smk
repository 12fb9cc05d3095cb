"""From clean signals and HED queries to labelled windows.

needs  {rec}_desc-clean_*  and the events of the recording
makes  {rec}_desc-<selection>_events.tsv|.json  {rec}_desc-<selection>_windows.zarr.zip
       results/studies/<study>/manifest_<selection>.tsv    every store of the study, its account in short
"""


rule selection:
    """Refuse queries that mean nothing before a signal is read; freeze the others beside the results."""
    input:
        ancient("results/index/{dataset}/recordings.tsv"),
    output:
        "results/derivatives/{dataset}/{recipe}/code/selection-{selection}.json",
    log:
        "results/logs/selection/{dataset}/{recipe}/{selection}.log",
    benchmark:
        "results/benchmarks/selection/{dataset}/{recipe}/{selection}.tsv"
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 5,
    params:
        selection=lambda w: config["selections"][w.selection],
        code=digest("selection"),
    message:
        "{wildcards.dataset}: check the queries of '{wildcards.selection}'"
    script:
        "../scripts/selection.py"


rule windows:
    """Cut the windows of one recording that the HED queries of a selection give."""
    input:
        frozen="results/derivatives/{dataset}/{recipe}/code/selection-{selection}.json",
        # for all that `clean` writes, of which it holds a digest: every further file costs a large study seconds
        account="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_account.json",
    output:
        events="results/derivatives/{dataset}/{recipe}/{rec}_desc-{selection}_events.tsv",
        sidecar="results/derivatives/{dataset}/{recipe}/{rec}_desc-{selection}_events.json",
        store="results/derivatives/{dataset}/{recipe}/{rec}_desc-{selection}_windows.zarr.zip",
    log:
        "results/logs/windows/{dataset}/{recipe}/{rec}_desc-{selection}.log",
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (1000 + 15 * STUDY.size_mb(w.dataset, rec=w.rec)),
        runtime=lambda w, attempt: attempt * (10 + STUDY.size_mb(w.dataset, rec=w.rec) // 20),
    params:
        row=lambda w: STUDY.row(
            w.dataset,
            w.rec,
            "rec",
            "subject",
            "signal",
            "events",
            "events_json",
            "hed_version",
            "events_sha256",
        ),
        overrides=lambda w: STUDY.override(w.dataset, w.rec, "shift"),
        selection=lambda w: config["selections"][w.selection],
        code=digest("windows"),
    message:
        "{wildcards.dataset}: cut windows '{wildcards.selection}' of {wildcards.rec}"
    script:
        "../scripts/windows.py"


rule manifest:
    """List the windows stores of a selection: what design, training and report start from."""
    input:
        stores=lambda w: STUDY.stores([w.selection]),
    output:
        "results/studies/<study>/manifest_{selection}.tsv",
    log:
        "results/logs/manifest/<study>/{selection}.log",
    benchmark:
        "results/benchmarks/manifest/<study>/{selection}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        code=digest("manifest"),
    message:
        "list the windows '{wildcards.selection}'"
    script:
        "../scripts/manifest.py"
