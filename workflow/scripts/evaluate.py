"""Open the test sets once: predictions of every fold and seed, metrics with intervals over subjects."""

from hedgerow import account, log, store, table
from hedgerow.nets import data

log.start(snakemake)
given, block = snakemake.input, snakemake.params.network
stores = store.listed(given.manifest)
found, classes = data.examples(stores, given.participants, given.split, block)
where = {"threads": snakemake.params.threads, "gpus": snakemake.resources.gpu}
tables = data.predictions(given.weights, stores, found, block, **where)
done = data.summary(tables, classes, block)
for row in done["results"][done["main_seed"]]["scores"]:
    log.say(f"{row['level']} {row['metric']}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
table.write(snakemake.output.predictions, tables[done["main_seed"]].drop(columns="store"))
account.write(snakemake.output.metrics, account.ok("evaluate", **done))
