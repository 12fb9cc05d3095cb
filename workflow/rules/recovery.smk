"""For a simulated dataset: planted against recovered.

needs  the truth beside the raw data, clean signals and accounts, maps of the models
makes  results/studies/<study>/recovery_<dataset>.json
"""


rule recovery:
    """Hold what was found against what was planted in a simulated dataset."""
    input:
        tree=ancient("results/index/{dataset}/tree.json"),
        receipt="results/raw/{dataset}_receipt.json",
        accounts=lambda w: STUDY.files(
            "results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_account.json",
            w.dataset,
        ),
        maps=expand(
            "results/studies/<study>/grid/{model}/maps.zarr.zip",
            model=config["models"] if len(config["datasets"]) == 1 else [],
        ),
    output:
        "results/studies/<study>/recovery_{dataset}.json",
    log:
        "results/logs/recovery/<study>/{dataset}.log",
    benchmark:
        "results/benchmarks/recovery/<study>/{dataset}.tsv"
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (2000 + 3 * STUDY.size_mb(w.dataset)),
        runtime=lambda w, attempt: attempt * 30,
    params:
        reference=config["recipes"][config["recipe"]]["reference"],
        code=digest("recovery"),
    message:
        "{wildcards.dataset}: planted against recovered"
    script:
        "../scripts/recovery.py"
