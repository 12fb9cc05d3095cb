"""One design for all recordings: levels, coding, rank, from the rows of all windows."""

from hedgerow import account, log, rows, store, table
from hedgerow.grid import design

log.start(snakemake)
table.write(snakemake.output.rows, rows.collect(store.listed(snakemake.input.manifest), snakemake.input.participants))
found = table.read(snakemake.output.rows)
model = design.build(snakemake.params.model["formula"], found)
design.contrasts(model, snakemake.params.model["contrasts"])
log.say(f"{model.rows} windows, {model.dropped} left out (missing values: {model.missing}), rank {model.rank}")
account.write(snakemake.output.design, model.to_json())
