"""Hedgerow: from BIDS EEG datasets to published, deep-learning-ready derivatives.

The demo study: `snakemake --profile config/profiles/local`; others: `--configfile FILE`; all rules: `--list`."""

from snakemake.utils import min_version

min_version("9.27")

if "study" not in config:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/hooks.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/fetch.smk"
include: "workflow/rules/coverage.smk"
include: "workflow/rules/clean.smk"
include: "workflow/rules/windows.smk"
include: "workflow/rules/spectra.smk"
include: "workflow/rules/grid.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/recovery.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/upload.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/provenance.smk"


rule all_clean:
    """Clean signals of all recordings."""
    input:
        lambda w: STUDY.files("results/derivatives/{dataset}/{recipe}/{rec}_desc-clean_eeg.vhdr"),


rule all_windows:
    """Windows of all selections."""
    input:
        lambda w: STUDY.stores(),


rule all_grids:
    """Maps of all models, and how much each window weighs where that is asked for."""
    input:
        lambda w: STUDY.influences(),
        expand("results/studies/<study>/grid/{model}/maps.zarr.zip", model=config["models"]),


rule all_networks:
    """Metrics of all networks, and what sets them apart."""
    input:
        lambda w: STUDY.judged(),


rule all:
    """Everything: cleaned recordings, windows, grids, networks, published derivatives, report, and their record."""
    default_target: True
    input:
        "results/studies/<study>/record.tsv",
