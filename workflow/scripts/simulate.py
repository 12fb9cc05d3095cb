"""Write a BIDS dataset with planted truth."""

from hedgerow import account, log, simulate

log.start(snakemake)
block = snakemake.params.dataset
parameters = {key: block[key] for key in ("paradigm", "seed", "subjects", "channels", "sfreq", "seconds", "effect")}
simulate.write(snakemake.output.tree, **parameters)
account.write(snakemake.output.receipt, account.ok("simulate", **parameters))
