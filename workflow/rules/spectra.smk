"""From windows to power spectra, one dataset part at a time.

needs  {rec}_desc-<selection>_windows.zarr.zip of the part's subjects
makes  results/derivatives/<dataset>/<recipe>/features/<selection>_<feature>_<part>.zarr.zip
"""


rule spectra:
    """Power spectral density of every window of one dataset part."""
    input:
        "results/derivatives/{dataset}/{recipe}/code/feature-{feature}.json",
        stores=lambda w: STUDY.stores([w.selection], w.dataset, w.part),
    output:
        "results/derivatives/{dataset}/{recipe}/features/{selection}_{feature}_{part}.zarr.zip",
    log:
        "results/logs/spectra/{dataset}/{recipe}/{selection}_{feature}_{part}.log",
    benchmark:
        "results/benchmarks/spectra/{dataset}/{recipe}/{selection}_{feature}_{part}.tsv"
    conda:
        "../../envs/stats.yaml"
    container:
        IMAGES["stats"]
    threads: 1
    resources:
        mem_mb=lambda w, attempt: attempt * (1000 + 4 * STUDY.size_mb(w.dataset, w.part)),
        runtime=lambda w, attempt: attempt * (10 + STUDY.size_mb(w.dataset, w.part) // 50),
        gpu=1,
    params:
        feature=lambda w: config["features"][w.feature],
        code=digest("spectra"),
    message:
        "{wildcards.dataset}: spectra '{wildcards.feature}' of part {wildcards.part}"
    script:
        "../scripts/spectra.py"
