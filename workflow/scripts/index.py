"""List the recordings of a dataset and the files that describe each."""

from pathlib import Path

from hedgerow import account, bids, layout, log, table

log.start(snakemake)
digests = Path(snakemake.output.digests)
cache = table.read(digests, text=True) if digests.is_file() else None
root = layout.root(snakemake.wildcards.dataset)
recordings, participants, cache = bids.index(root, cache=cache, remote=snakemake.params.remote)
for row in recordings[recordings["status"] != "ok"].to_dict("records"):
    log.say(f"{row['rec']} quarantined ({row['reason']}): {row['message']}")
for note in recordings.attrs["notes"]:
    log.say(note)
table.write(snakemake.output.recordings, recordings)
table.write(snakemake.output.participants, participants)
table.write(digests, cache)
tree = layout.tree(root, digests) if snakemake.params.tree else None
account.write(snakemake.output.tree, {"tree": tree, "notes": recordings.attrs["notes"]})
