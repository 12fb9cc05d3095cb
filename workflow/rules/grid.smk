"""From windows (or spectra, or the continuous signal) to one regression at every channel and time (or frequency).

needs  windows stores (and feature stores, or clean signals), participants
makes  results/studies/<study>/grid/<model>/  design.json  rows.tsv  choice.json
       moments_<dataset>_<part>.npz (with lags: rerp_)  maps.zarr.zip  summary.tsv  account.json
       influence_<dataset>_<part>.tsv

The parameters of a rule are those keys of the model that change its results. Another `level`, `tests` or `contrasts`
is checked against the design (`choice`), draws the replicates again and fits again, but from the moments as they are:
no window is summed anew. `blocks` changes no result. Replicates and the values they are drawn from are temporary; what
a killed job of `bootstrap` has drawn stays in `unfinished_<block>` and is taken up.
"""


scattergather:
    replicates=config["blocks"],


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
        mem_mb=lambda w, attempt: attempt * (2000 + STUDY.size_mb() // 10),
        runtime=lambda w, attempt: attempt * 30,
    params:
        model=lambda w: STUDY.model(w.model, "formula", "compare", "lags"),
        code=digest("design"),
    message:
        "design of model '{wildcards.model}'"
    script:
        "../scripts/design.py"


rule choice:
    """Which bootstrap, interval and errors a model gets; what it asks in vain is told before anything is drawn."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
    output:
        "results/studies/<study>/grid/{model}/choice.json",
    log:
        "results/logs/choice/<study>/{model}.log",
    benchmark:
        "results/benchmarks/choice/<study>/{model}.tsv"
    # no sum of windows depends on it, but a mistake should be told before hours of them
    priority: 1
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (2000 + STUDY.size_mb() // 10),
        runtime=lambda w, attempt: attempt * 30,
    params:
        model=lambda w: STUDY.model(w.model, "contrasts", "tests", "lags", "bootstrap", "interval", "errors"),
        sfreq=lambda w: config["selections"][config["models"][w.model]["selection"]]["sfreq"],
        code=digest("choice"),
    message:
        "choice of bootstrap, interval and errors of model '{wildcards.model}'"
    script:
        "../scripts/choice.py"


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
        model=lambda w: STUDY.model(w.model, "log"),
        parts=config["parts"],
        code=digest("moments"),
    message:
        "moments of model '{wildcards.model}', {wildcards.dataset} part {wildcards.part}"
    script:
        "../scripts/moments.py"


rule rerp:
    """The same for responses that overlap: at every lag after the events, from continuous signals of one part."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
        stores=lambda w: STUDY.values(w.model, w.dataset, w.part),
    output:
        "results/studies/<study>/grid/{model}/rerp_{dataset}_{part}.npz",
    log:
        "results/logs/rerp/<study>/{model}_{dataset}_{part}.log",
    benchmark:
        "results/benchmarks/rerp/<study>/{model}_{dataset}_{part}.tsv"
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (3000 + 4 * STUDY.size_mb(w.dataset, w.part)),
        runtime=lambda w, attempt: attempt * (20 + STUDY.size_mb(w.dataset, w.part) // 20),
    params:
        model=lambda w: STUDY.model(w.model, "lags"),
        selection=lambda w: config["selections"][config["models"][w.model]["selection"]],
        parts=config["parts"],
        code=digest("rerp"),
    message:
        "overlapping responses of model '{wildcards.model}', {wildcards.dataset} part {wildcards.part}"
    script:
        "../scripts/rerp.py"


rule scratch:
    """The values of all windows in tiles of cells, where inference is over trials; else nothing, since moments do."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
        choice="results/studies/<study>/grid/{model}/choice.json",
        moments=lambda w: STUDY.moments(w.model),
        stores=lambda w: STUDY.values_of_few(w.model),
    output:
        temp("results/studies/<study>/grid/{model}/scratch.npy"),
    log:
        "results/logs/scratch/<study>/{model}.log",
    benchmark:
        "results/benchmarks/scratch/<study>/{model}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (2000 + 4 * STUDY.largest_mb()),
        runtime=lambda w, attempt: attempt * (10 + STUDY.size_mb() // 50),
    params:
        model=lambda w: STUDY.model(w.model, "log", "contrasts", "bootstrap", "interval"),
        code=digest("scratch"),
    message:
        "values of model '{wildcards.model}', where inference is over trials"
    script:
        "../scripts/scratch.py"


rule bootstrap:
    """One block of the replicates at every cell; killed, it resumes where it was."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
        moments=lambda w: STUDY.moments(w.model),
        scratch="results/studies/<study>/grid/{model}/scratch.npy",
    output:
        values=temp("results/studies/<study>/grid/{model}/replicates_{scatteritem}.npy"),
        account=temp("results/studies/<study>/grid/{model}/replicates_{scatteritem}.json"),
    log:
        "results/logs/bootstrap/<study>/{model}_{scatteritem}.log",
    benchmark:
        "results/benchmarks/bootstrap/<study>/{model}_{scatteritem}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, input, attempt: attempt * (3000 + 4 * STUDY.mb(input.moments)),
        runtime=lambda w, input, attempt: attempt * (30 + STUDY.drawing_minutes(w.model, input.scratch)),
        gpu=1,
    params:
        model=lambda w: STUDY.model(
            w.model,
            "contrasts",
            "bootstrap",
            "interval",
            "replicates",
            "seed",
            "precision",
        ),
        unfinished=lambda w: STUDY.unfinished(w.model, w.scatteritem),
        code=digest("bootstrap"),
    message:
        "bootstrap of model '{wildcards.model}', block {wildcards.scatteritem}"
    script:
        "../scripts/bootstrap.py"


rule grid:
    """Regression at every cell: estimates, errors, tests, intervals of the replicates, comparison of models."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
        moments=lambda w: STUDY.moments(w.model),
        scratch="results/studies/<study>/grid/{model}/scratch.npy",
        replicates=lambda w: STUDY.drawn(w.model, gather.replicates("replicates_{scatteritem}.npy")),
        accounts=lambda w: STUDY.drawn(w.model, gather.replicates("replicates_{scatteritem}.json")),
    output:
        maps="results/studies/<study>/grid/{model}/maps.zarr.zip",
        summary="results/studies/<study>/grid/{model}/summary.tsv",
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
        mem_mb=lambda w, input, attempt: attempt * (4000 + 6 * STUDY.mb(input.moments)),
        runtime=lambda w, attempt: attempt * (30 + STUDY.size_mb() // 50),
    params:
        model=lambda w: STUDY.model(w.model, without=["influence"]),
        # of what is deleted after use, Snakemake forgets by which code it was made
        drawn=[digest("scratch"), digest("bootstrap")],
        code=digest("grid"),
    message:
        "grid of model '{wildcards.model}'"
    script:
        "../scripts/grid.py"


rule influence:
    """How much each window of one dataset part weighs: leverage, Cook's distance, studentised residuals."""
    input:
        design="results/studies/<study>/grid/{model}/design.json",
        rows="results/studies/<study>/grid/{model}/rows.tsv",
        moments=lambda w: STUDY.moments(w.model),
        stores=lambda w: STUDY.values(w.model, w.dataset, w.part),
    output:
        "results/studies/<study>/grid/{model}/influence_{dataset}_{part}.tsv",
    log:
        "results/logs/influence/<study>/{model}_{dataset}_{part}.log",
    benchmark:
        "results/benchmarks/influence/<study>/{model}_{dataset}_{part}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (2000 + 8 * STUDY.size_mb(w.dataset, w.part)),
        runtime=lambda w, attempt: attempt * (10 + STUDY.size_mb(w.dataset, w.part) // 20),
    params:
        model=lambda w: STUDY.model(w.model, "log", "bootstrap"),
        parts=config["parts"],
        code=digest("influence"),
    message:
        "influence of the windows on model '{wildcards.model}', {wildcards.dataset} part {wildcards.part}"
    script:
        "../scripts/influence.py"
