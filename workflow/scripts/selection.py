"""Refuse queries that mean nothing before a signal is read; freeze the others beside the results."""

from hedgerow import account, log, table, windows

log.start(snakemake)
versions = table.read(snakemake.input[0])["hed_version"].dropna().astype(str).unique()
windows.check(snakemake.params.selection, versions, name=f"selections.{snakemake.wildcards.selection}")
account.write(snakemake.output[0], snakemake.params.selection)
