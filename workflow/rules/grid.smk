"""From windows (or spectra) to one regression at every channel and time (or frequency).

needs  windows stores (and feature stores), participants
makes  results/studies/<study>/grid/<model>/  design.json  moments_<dataset>_<part>.npz  maps.zarr.zip  account.json
"""


rule design:
    """One design for all recordings: levels, coding, rank, from the rows of all windows."""
    input:
        manifest=lambda w: STUDY.manifest(config["models"][w.model]["selection"]),
        participants=expand("results/index/{dataset}/participants.tsv", dataset=config["datasets"]),
    output:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
    log:
        "results/logs/design/<study>/{model}.log",
    benchmark:
        "results/benchmarks/design/<study>/{model}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 2000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        model=lambda w: config["models"][w.model],
        code=digest("design"),
    message:
        "design of model '{wildcards.model}'"
    script:
        "../scripts/design.py"


rule moments:
    """Sufficient statistics of one dataset part, per subject: what adds up over recordings."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
        stores=lambda w: STUDY.values(w.model, w.dataset, w.part),
    output:
        "results/studies/<study>/grid/{model}/moments_{dataset}_{part}.npz",
    log:
        "results/logs/moments/<study>/{model}_{dataset}_{part}.log",
    benchmark:
        "results/benchmarks/moments/<study>/{model}_{dataset}_{part}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (1000 + 4 * STUDY.size_mb(w.dataset, w.part)),
        runtime=lambda w, attempt: attempt * (10 + STUDY.size_mb(w.dataset, w.part) // 50),
    params:
        model=lambda w: config["models"][w.model],
        parts=config["parts"],
        code=digest("moments"),
    message:
        "moments of model '{wildcards.model}', {wildcards.dataset} part {wildcards.part}"
    script:
        "../scripts/moments.py"


rule grid:
    """Regression at every cell, with intervals by bootstrap over subjects (over trials below five subjects)."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
        moments=lambda w: STUDY.parts(
            f"results/studies/{config['study']}/grid/{w.model}/moments_{{dataset}}_{{part}}.npz"
        ),
        stores=lambda w: STUDY.values_of_few(w.model),
    output:
        maps="results/studies/<study>/grid/{model}/maps.zarr.zip",
        account="results/studies/<study>/grid/{model}/account.json",
    log:
        "results/logs/grid/<study>/{model}.log",
    benchmark:
        "results/benchmarks/grid/<study>/{model}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 8000,
        runtime=lambda w, attempt: attempt * 120,
        gpu=1,
    params:
        model=lambda w: config["models"][w.model],
        code=digest("grid"),
    message:
        "grid of model '{wildcards.model}'"
    script:
        "../scripts/grid.py"
