"""One block of the replicates at every cell; killed, it resumes where it was."""

from hedgerow import _array, account, log, table
from hedgerow.grid import moments, replicates, units
from hedgerow.grid.design import Family

log.start(snakemake)
given, params, out = snakemake.input, snakemake.params, snakemake.output
device, block = _array.device(snakemake.resources.gpu), params.model
total, axes = moments.load(given.moments)
frame = units.frame(Family.from_json(account.read(given.design)), block, axes, len(total["groups"]))
people = units.units(frame, total, table.read(given.rows), given.scratch, device=device)
first, last = replicates.share(snakemake.wildcards.scatteritem, block["replicates"])
log.say(f"{frame.choice}, replicates {first} to {last} on {device}")
key = replicates.key(block, params.code, device, account.digest(given.design, given.rows, *given.moments))
place = {"first": first, "last": last, "folder": params.unfinished, "key": key}
told = replicates.draw(out.values, people, units.shape(frame, total), frame, block, **place)
account.write(out.account, {"device": device, **told})
