"""Fetch the signal of one recording, with all its companion files."""

from hedgerow import account, fetch, layout, log, progress

log.start(snakemake)
root, row = layout.root(snakemake.wildcards.dataset), snakemake.params.row
files = row["files"].split(";")
try:
    meter = progress.meter(snakemake.wildcards.dataset, root, files, log.terminal)
    account.write(snakemake.output[0], {**fetch.keep(root, files, progress=meter), "of": row["signal_sha256"]})
except account.Fault as fault:
    log.say(f"quarantined ({fault.code}): {fault.message}")
    account.write(snakemake.output[0], {**account.quarantined("fetch", fault), "of": row["signal_sha256"]})
