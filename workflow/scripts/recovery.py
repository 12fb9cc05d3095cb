"""Hold what was found against what was planted in a simulated dataset."""

from pathlib import Path

from hedgerow import account, layout, log, recovery

log.start(snakemake)
maps = {Path(path).parent.name: path for path in snakemake.input.maps}
root = layout.root(snakemake.wildcards.dataset)
done = recovery.collect(root, snakemake.input.accounts, maps, snakemake.params.reference)
account.write(snakemake.output[0], account.ok("recovery", **done))
