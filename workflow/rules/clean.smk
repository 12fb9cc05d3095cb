"""From raw signals to clean ones.

needs  results/index/<dataset>/recordings.tsv and the raw signals it names; of fetched ones results/fetch/<dataset>/{rec}.json
makes  results/derivatives/<dataset>/<recipe>/{rec}_desc-clean_*    signal, channels, masks, evidence, account
       results/derivatives/<dataset>/<recipe>/code/<block>.json     the parameters, frozen beside the results
"""


rule freeze:
    """Keep the parameters of a block beside the results made with them; other parameters are then refused."""
    output:
        "results/derivatives/{dataset}/{recipe}/code/{block}.json",
    log:
        "results/logs/freeze/{dataset}/{recipe}/{block}.log",
    benchmark:
        "results/benchmarks/freeze/{dataset}/{recipe}/{block}.tsv"
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 500,
        runtime=lambda w, attempt: attempt * 5,
    params:
        block=lambda w: STUDY.block(w.recipe, w.block),
        code=digest("freeze"),
    message:
        "{wildcards.dataset}: freeze the parameters of {wildcards.block}"
    script:
        "../scripts/freeze.py"


rule clean:
    """Clean one recording: drifts, bad channels, artefacts, interpolation, reference."""
    input:
        frozen="results/derivatives/{dataset}/{recipe}/code/recipe.json",
        tree=ancient("results/index/{dataset}/tree.json"),
        receipt=(lambda w: STUDY.kept(w.dataset, w.rec)) if STUDY.fetches else [],
    output:
        header="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_eeg.vhdr",
        signal="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_eeg.eeg",
        markers="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_eeg.vmrk",
        sidecar="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_eeg.json",
        channels="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_channels.tsv",
        events="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_events.tsv",
        # for the report alone; other versions of Python pack the same arrays into other bytes
        evidence="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_evidence.npz",
        # the last one, which stands for all above
        account="results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_account.json",
    log:
        "results/logs/clean/{dataset}/{recipe}/{rec}.log",
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        raw_mb=(lambda w: STUDY.lent_mb(w.dataset, w.rec)) if STUDY.fetches else 0,
        mem_mb=lambda w, attempt: attempt * (1000 + 40 * STUDY.size_mb(w.dataset, rec=w.rec)),
        runtime=lambda w, attempt: attempt * (10 + STUDY.size_mb(w.dataset, rec=w.rec) // 10),
    params:
        row=lambda w: STUDY.row(
            w.dataset,
            w.rec,
            "signal",
            "eeg_json",
            "channels",
            "signal_sha256",
            "channels_sha256",
        ),
        fetched=(lambda w: STUDY.fetched(w.dataset, w.rec)) if STUDY.fetches else [],
        overrides=lambda w: STUDY.override(w.dataset, w.rec, "bad", "good", "reinstate"),
        recipe=lambda w: config["recipes"][w.recipe],
        code=digest("clean"),
    message:
        "{wildcards.dataset}: clean {wildcards.rec}"
    script:
        "../scripts/clean.py"
