"""Open the test sets once: predictions of every fold and seed, metrics with intervals over subjects."""

from hedgerow import account, log, store, table
from hedgerow.nets import card, data, jobs, summary

log.start(snakemake)
given, out, params = snakemake.input, snakemake.output, snakemake.params
block, where = params.network, {"threads": params.threads, "gpus": snakemake.resources.gpu}
found, names = data.examples(store.listed(given.manifest), given.participants, given.split, block)
tables = jobs.predictions(given.weights, given.manifest, given.features, found, block, names, **where)
shown = {"test_set": summary.test_set(tables, block), "entry": jobs.entry(given.weights)}
summary.opened(params.opened, snakemake.wildcards.network, tables, block, **shown)
done = summary.summary(tables, found, names, block, **shown)
for line in summary.lines(done):
    log.say(line)
table.write(out.predictions, tables[done["main_seed"]].drop(columns="store"))
account.write(out.metrics, account.ok("evaluate", **done))
card.write(out.card, snakemake.wildcards.network, done, given.accounts, given.weights)
