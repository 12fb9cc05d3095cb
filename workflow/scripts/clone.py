"""Clone the tree of a dataset at its version, without signals."""

from hedgerow import account, fetch, log

log.start(snakemake)
found = fetch.clone(f"results/raw/{snakemake.wildcards.dataset}", **snakemake.params.source)
account.write(snakemake.output[0], account.ok("clone", **found))
