"""Values of all windows in tiles of cells, where inference is over trials; an empty file where it is over people."""

from hedgerow import account, log, rows, table
from hedgerow.grid import moments, units
from hedgerow.grid.design import Family

log.start(snakemake)
given, block = snakemake.input, snakemake.params.model
total, axes = moments.load(given.moments)
frame = units.frame(Family.from_json(account.read(given.design)), block, axes, len(total["groups"]))
log.say(f"{len(total['groups'])} people: inference over {frame.choice['over']}")
found = table.read(given.rows)
units.write(snakemake.output[0], frame, found, lambda kept: rows.pieces(given.stores, kept, log10=block["log"]))
