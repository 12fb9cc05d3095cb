"""Sufficient statistics of overlapping responses, from the continuous clean signals of one dataset part."""

from hedgerow import account, continuous, layout, log, table
from hedgerow.grid import lagged
from hedgerow.grid.design import Family

log.start(snakemake)
params = snakemake.params
found = table.read(snakemake.input.rows)
part = found["subject"].map(lambda subject: layout.part_of(subject, params.parts))
here = found[(found["dataset"] == snakemake.wildcards.dataset) & (part == snakemake.wildcards.part)]
family = Family.from_json(account.read(snakemake.input.design))
log.say(f"{len(here)} events")
signals = continuous.signals([path for path in snakemake.input.stores if path in set(here["store"])], params.selection)
lagged.save(snakemake.output[0], family, here, signals, params.model["lags"])
