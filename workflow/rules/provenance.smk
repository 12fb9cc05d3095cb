"""From the results of a study to what shows that they are still what they were.

needs  everything that the study made
makes  results/studies/<study>/record.tsv    stage, size and digest of every result; `snakemake verify` tells, makes nothing
"""

from hedgerow.record import of_study


rule record:
    """Note stage, size and digest of every result of the study."""
    input:
        # known before any dataset is indexed, and resting on all that follows from it
        report="results/studies/<study>/report.html",
        validations=expand(
            "results/studies/<study>/published/{dataset}_validation.json",
            dataset=config["datasets"],
        ),
        # what a page made from it need not show: another result, and the same page
        results=lambda w: of_study(STUDY),
    output:
        "results/studies/<study>/record.tsv",
    log:
        "results/logs/record/<study>.log",
    benchmark:
        "results/benchmarks/record/<study>.tsv"
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 1000,
        runtime=lambda w, attempt: attempt * (10 + STUDY.size_mb() // 1000),
    params:
        config=config,
        # no output: Snakemake would delete it before the job
        cache=f"results/studies/{config['study']}/record_cache.tsv",
        code=digest("record"),
    message:
        f"write results/studies/{config['study']}/record.tsv"
    script:
        "../scripts/record.py"


rule verify:
    """Tell what is not as it was recorded (`--config against=RUN`: or unlike in another run), and what to do."""
    log:
        "results/logs/verify/<study>.log",
    # another try would find the same
    retries: 0
    localrule: True
    conda:
        "../../envs/publish.yaml"
    container:
        IMAGES["publish"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * 4000,
        runtime=lambda w, attempt: attempt * (20 + STUDY.size_mb() // 500),
    params:
        config=config,
        against=AGAINST,
        code=digest("verify"),
    message:
        "hold the results against their record"
    script:
        "../scripts/verify.py"
