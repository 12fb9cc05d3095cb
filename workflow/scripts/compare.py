"""Hold networks that predicted the same windows against each other, pair by pair."""

from hedgerow import account, log, table
from hedgerow.nets import compare, summary

log.start(snakemake)
found = summary.predictions(snakemake.input)
rows, done = compare.table(found, first=summary.vote(snakemake.params.votes))
for pair in done["unmatched"]:
    log.say(f"{pair['network']} and {pair['against']} are not compared: {pair['reason']}")
table.write(snakemake.output.rows, rows)
account.write(snakemake.output.account, account.ok("compare", **done))
