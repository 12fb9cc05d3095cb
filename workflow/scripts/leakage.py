"""The gate: stop what would train and test on the same people, or on the same windows under two names."""

from hedgerow import account, log, store
from hedgerow.nets import data

log.start(snakemake)
given, block = snakemake.input, snakemake.params.network
found, names = data.examples(store.listed(given.manifest), given.participants, given.split, block)
done = data.gate(given.manifest, found, block)
log.say(f"{done['people']} people in {done['folds']} folds, {done['windows']} windows: nobody crosses")
for note in done["notes"]:
    log.say(note)
account.write(snakemake.output[0], account.ok("leakage", **done))
