"""Count the events and windows that each selection gives in one dataset, from event tables alone."""

from hedgerow import coverage, layout, log, overrides, table

log.start(snakemake)
given, params, name = snakemake.input, snakemake.params, snakemake.wildcards.dataset
rows = overrides.within(layout.rows(given.recordings), params.about)
found, errors = coverage.count(name, layout.root(name), rows, params.selections, params.shifts)
log.say(f"{len(rows)} recordings, {found['windows'].sum()} windows, {errors['rows'].sum()} rows with a HED error")
table.write(snakemake.output.coverage, found)
table.write(snakemake.output.errors, errors)
