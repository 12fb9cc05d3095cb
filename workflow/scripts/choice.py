"""Contrasts, tests, errors, bootstrap and lags of a model, held against its design before anything is drawn."""

from hedgerow import account, log, table
from hedgerow.grid import units
from hedgerow.grid.design import Family

log.start(snakemake)
given, params = snakemake.input, snakemake.params
family = Family.from_json(account.read(given.design))
choice = units.check(family, params.model, table.read(given.rows), params.sfreq)
log.say(f"{choice}")
account.write(snakemake.output[0], choice)
