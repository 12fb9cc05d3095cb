"""Sufficient statistics of one dataset part, per subject: what adds up over recordings."""

from hedgerow import account, log, rows, table
from hedgerow.grid import moments
from hedgerow.grid.design import Family

log.start(snakemake)
given, params, part = snakemake.input, snakemake.params, snakemake.wildcards
here = rows.of_part(table.read(given.rows), part.dataset, part.part, params.parts)
family = Family.from_json(account.read(given.design))
log.say(f"{len(here)} windows")
values, axes = rows.values(given.stores, here, log10=params.model["log"])
moments.save(snakemake.output[0], family, here, values, axes)
