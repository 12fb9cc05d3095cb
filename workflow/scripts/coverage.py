"""How many events and windows the whole study would have, as one table and one page."""

from pathlib import Path

from hedgerow import log, table
from hedgerow.report import coverage

log.start(snakemake)
found, errors = coverage.gather(snakemake.input.coverage, snakemake.input.errors)
text = coverage.page(found, errors, config=snakemake.params.config, outside=snakemake.params.outside)
table.write(snakemake.output.table, found)
Path(snakemake.output.page).write_text(text, encoding="utf-8")
