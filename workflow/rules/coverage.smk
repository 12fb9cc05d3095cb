"""From event tables to what a study would have, before a byte of signal is fetched.

needs  results/index/<dataset>/recordings.tsv and the event tables it names, no signal
makes  results/studies/<study>/coverage/<dataset>.tsv  <dataset>_hed.tsv    events and windows; errors of the annotation
       results/studies/<study>/coverage.tsv  coverage.html                  of all datasets
"""


rule count:
    """Count the events and windows that each selection gives in one dataset, from event tables alone."""
    input:
        recordings="results/index/{dataset}/recordings.tsv",
        tree=ancient("results/index/{dataset}/tree.json"),
    output:
        coverage="results/studies/<study>/coverage/{dataset}.tsv",
        errors="results/studies/<study>/coverage/{dataset}_hed.tsv",
    log:
        "results/logs/count/<study>/{dataset}.log",
    benchmark:
        "results/benchmarks/count/<study>/{dataset}.tsv"
    conda:
        "../../envs/signal.yaml"
    container:
        IMAGES["signal"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 30,
    params:
        about=lambda w: STUDY.about(w.dataset, absent=True),
        shifts=lambda w: STUDY.shifts(w.dataset, absent=True),
        selections=config["selections"],
        code=digest("count"),
    message:
        "{wildcards.dataset}: count events and windows"
    script:
        "../scripts/count.py"


rule coverage:
    """How many events and windows the whole study would have, as one table and one page."""
    input:
        coverage=expand("results/studies/<study>/coverage/{dataset}.tsv", dataset=config["datasets"]),
        errors=expand("results/studies/<study>/coverage/{dataset}_hed.tsv", dataset=config["datasets"]),
    output:
        table="results/studies/<study>/coverage.tsv",
        page="results/studies/<study>/coverage.html",
    log:
        "results/logs/coverage/<study>.log",
    benchmark:
        "results/benchmarks/coverage/<study>.tsv"
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * 10,
    params:
        config=config,
        outside=STUDY.choice(),
        template=[template("coverage.html.j2"), template("page.css")],
        code=digest("coverage"),
    message:
        f"write results/studies/{config['study']}/coverage.html"
    script:
        "../scripts/coverage.py"
