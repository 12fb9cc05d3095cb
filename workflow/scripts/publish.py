"""Gather one dataset's derivative and hold it against the official validator."""

from pathlib import Path

from hedgerow import account, layout, log, overrides, publish, table

log.start(snakemake)
given, params, tree = snakemake.input, snakemake.params, Path(snakemake.output.description).parent
stems = [path.removesuffix("_desc-clean_account.json") for path in given.files if path.endswith("clean_account.json")]
done = publish.gather(
    tree,
    dataset=snakemake.wildcards.dataset,
    raw=layout.root(snakemake.wildcards.dataset),
    stems=stems,
    features=given.features,
    recordings=overrides.within(layout.rows(given.recordings), params.about),
    participants=table.read(given.participants, text=True),
    split=table.read(given.split[0]) if given.split else None,
    config=given.config,
    selections=params.selections,
)
validation = publish.validate(tree)
log.say(f"{done['files']} files; the validator found {validation['errors']} errors: {validation['codes']}")
account.write(snakemake.output.validation, {**done, **validation})
