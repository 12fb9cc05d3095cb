"""Regression at every cell, with intervals by bootstrap over subjects (over trials below five subjects)."""

from hedgerow import _array, account, log, rows, store, table
from hedgerow.grid import bootstrap, maps, moments
from hedgerow.grid.design import Design

log.start(snakemake)
block = snakemake.params.model
options = {key: block[key] for key in ("contrasts", "replicates", "level", "seed")}
options["device"] = _array.device(snakemake.resources.gpu)
model = Design.from_json(account.read(snakemake.input.design))
found = table.read(snakemake.input.rows)
total, axes = moments.load(snakemake.input.moments)
if len(total["groups"]) >= bootstrap.MIN_CLUSTERS:
    arrays, attrs, done = maps.over_subjects(model, total, axes, **options)
else:
    values, axes = rows.values(snakemake.input.stores, found, log10=block["log"])
    arrays, attrs, done = maps.over_trials(model, found, values, axes, **options)
log.say(f"{arrays['coef'][0].shape} (unit, coefficient, channel, {axes['axis']}) on {options['device']}")
store.write_arrays(snakemake.output.maps, arrays, attrs)
account.write(snakemake.output.account, {**done, "design": model.account(), "model": block})
