"""List the windows stores of a selection: what design, training and report start from."""

from hedgerow import log, store, table

log.start(snakemake)
found = store.manifest(snakemake.input.stores)
log.say(f"{len(found)} stores, {(found['status'] == 'ok').sum()} with windows, {found['windows'].sum()} windows")
table.write(snakemake.output[0], found)
