"""Sufficient statistics of one dataset part, per subject: what adds up over recordings."""

from hedgerow import account, layout, log, rows, table
from hedgerow.grid import moments
from hedgerow.grid.design import Family

log.start(snakemake)
found = table.read(snakemake.input.rows)
part = found["subject"].map(lambda subject: layout.part_of(subject, snakemake.params.parts))
here = (found["dataset"] == snakemake.wildcards.dataset) & (part == snakemake.wildcards.part)
family = Family.from_json(account.read(snakemake.input.design))
log.say(f"{here.sum()} windows")
values, axes = rows.values(snakemake.input.stores, found[here], log10=snakemake.params.model["log"])
moments.save(snakemake.output[0], family, found[here], values, axes)
