"""Hedgerow: from BIDS EEG datasets to published, deep-learning-ready derivatives.

Run `snakemake --profile config/profiles/local` for the demo study, add `--configfile FILE` for another. The targets
below make one stage each; `snakemake --list` shows what every rule does.
"""

from snakemake.utils import min_version

min_version("9.27")


if "study" not in config:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/clean.smk"
include: "workflow/rules/windows.smk"
include: "workflow/rules/spectra.smk"
include: "workflow/rules/grid.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/recovery.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/report.smk"


rule all:
    """Everything: cleaned recordings, windows, grids, networks, published derivatives, report."""
    default_target: True
    input:
        "results/studies/<study>/report.html",
        expand(
            "results/studies/<study>/published/{dataset}_validation.json",
            dataset=config["datasets"],
        ),
