"""Regression at every cell: estimates, errors, tests, intervals of the replicates, comparison of models."""

from pathlib import Path

from hedgerow import account, log, store, table
from hedgerow.grid import maps, moments, replicates, units
from hedgerow.grid.design import Family

log.start(snakemake)
given, block, out = snakemake.input, snakemake.params.model, snakemake.output
family = Family.from_json(account.read(given.design))
total, axes = moments.load(given.moments)
frame = units.frame(family, block, axes, len(total["groups"]), errors=block["errors"])
people = units.units(frame, total, table.read(given.rows), given.scratch)
drawn = [account.read(path) for path in given.accounts]
arrays, attrs, done = maps.make(frame, people, block, given.replicates, drawn)
log.say(f"{arrays['coef'][0].shape} (unit, coefficient, channel, {axes['axis']}); {frame.choice}")
store.write_arrays(out.maps, arrays, attrs)
table.write(out.summary, maps.summary(arrays, attrs))
devices = sorted({each["device"] for each in drawn})
account.write(out.account, {**done, "design": family.account(), "model": block, "devices": devices})
replicates.sweep(Path(out.maps).parent)
