"""Sufficient statistics of overlapping responses, from the continuous clean signals of one dataset part."""

from hedgerow import account, continuous, log, rows, table
from hedgerow.grid import lagged
from hedgerow.grid.design import Family

log.start(snakemake)
given, params, part = snakemake.input, snakemake.params, snakemake.wildcards
here = rows.of_part(table.read(given.rows), part.dataset, part.part, params.parts)
family = Family.from_json(account.read(given.design))
log.say(f"{len(here)} events")
signals = continuous.signals([path for path in given.stores if path in set(here["store"])], params.selection)
lagged.save(snakemake.output[0], family, here, signals, params.model["lags"])
