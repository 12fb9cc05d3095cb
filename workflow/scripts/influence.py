"""How much each window of one dataset part weighs: leverage, Cook's distance, studentised residuals."""

from hedgerow import account, log, rows, table
from hedgerow.grid import moments, weight
from hedgerow.grid.design import Family

log.start(snakemake)
given, params, part = snakemake.input, snakemake.params, snakemake.wildcards
here = rows.of_part(table.read(given.rows), part.dataset, part.part, params.parts)
family = Family.from_json(account.read(given.design))
values, axes = rows.values(given.stores, here, log10=params.model["log"])
total, _ = moments.load(given.moments)
table.write(snakemake.output[0], weight.tables(family, total, here, values, axes, params.model["bootstrap"]))
