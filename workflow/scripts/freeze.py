"""Keep the parameters of a block beside the results made with them; queries that mean nothing are refused first."""

from hedgerow import account, log, table, windows

log.start(snakemake)
if snakemake.wildcards.block.startswith("selection-"):
    versions = table.read(snakemake.input[0])["hed_version"].dropna().astype(str).unique()
    windows.check(snakemake.params.block, versions, name=snakemake.wildcards.block.replace("-", "s.", 1))
account.write(snakemake.output[0], snakemake.params.block)
