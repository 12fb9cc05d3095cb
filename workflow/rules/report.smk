"""From accounts and tables to the page that a person looks at first.

needs  accounts of all stages, grids, metrics, validation
makes  results/studies/<study>/report.html; `snakemake why` prints, and makes nothing
"""


rule report:
    """One page for the whole study."""
    input:
        config="results/studies/<study>/config.yaml",
        recordings=expand("results/index/{dataset}/recordings.tsv", dataset=config["datasets"]),
        manifests=lambda w: [STUDY.manifest(name) for name in config["selections"]],
        accounts=lambda w: STUDY.files("results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_account.json"),
        features=lambda w: STUDY.features(),
        grids=expand(
            "results/studies/<study>/grid/{model}/maps.zarr.zip",
            model=config["models"],
        ),
        grid_accounts=expand("results/studies/<study>/grid/{model}/account.json", model=config["models"]),
        influence=lambda w: STUDY.influences(),
        metrics=expand(
            "results/studies/<study>/networks/{network}/metrics.json",
            network=config["networks"],
        ),
        comparisons=lambda w: STUDY.compared(),
        curves=lambda w: [path for name in config["networks"] for path in STUDY.trained(name, "_curve.tsv")],
        trainings=lambda w: [path for name in config["networks"] for path in STUDY.trained(name, "_account.json")],
        gates=expand(
            "results/studies/<study>/networks/{network}/leakage.json",
            network=config["networks"],
        ),
        recoveries=expand(
            "results/studies/<study>/recovery_{dataset}.json",
            dataset=[n for n, d in config["datasets"].items() if d["source"] == "simulate"],
        ),
        validations=expand(
            "results/studies/<study>/published/{dataset}_validation.json",
            dataset=config["datasets"],
        ),
        split=STUDY.split_table(),
    output:
        "results/studies/<study>/report.html",
    log:
        "results/logs/report/<study>.log",
    benchmark:
        "results/benchmarks/report/<study>.tsv"
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        config=config,
        about=lambda w: STUDY.about(),
        opened=f"results/studies/{config['study']}/opened",
        template=[template("report.html.j2"), template("page.css")],
        code=digest("report"),
    message:
        f"write results/studies/{config['study']}/report.html"
    script:
        "../scripts/report.py"


rule why:
    """Tell what left the study, what failed and what to do (`--config recording=NAME`: all about a recording)."""
    log:
        "results/logs/why/<study>.log",
    localrule: True
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
        recording=RECORDING,
        code=digest("why"),
    message:
        "what left the study, and what to do"
    script:
        "../scripts/why.py"
