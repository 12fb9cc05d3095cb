"""One design for all recordings: levels, coding, rank, from the rows of all windows."""

from hedgerow import account, log, rows, store, table
from hedgerow.grid import design

log.start(snakemake)
given, out, model = snakemake.input, snakemake.output, snakemake.params.model
stores, lagged = store.listed(given.manifest), model["lags"] is not None
table.write(out.rows, rows.collect(stores, given.participants, events=lagged))
found = table.read(out.rows)
if lagged:
    rows.refuse_few(found)
family = design.family(model["formula"], model["compare"], found)
log.say(f"{family.rows} windows, {family.dropped} left out (missing values: {family.missing})")
account.write(out.design, family.to_json())
