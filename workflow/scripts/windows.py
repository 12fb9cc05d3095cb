"""Cut the windows of one recording that the HED queries of a selection give."""

from pathlib import Path

from hedgerow import account, bids, io, log, store, table
from hedgerow.windows import recording

log.start(snakemake)
root, row, out, wildcards = Path(snakemake.params.root), snakemake.params.row, snakemake.output, snakemake.wildcards
place = {"dataset": wildcards.dataset, "rec": wildcards.rec, "subject": row["subject"], "recipe": wildcards.recipe}
try:
    account.demand(account.read(snakemake.input.account))
    x, sfreq = io.read_signal(snakemake.input.header)
    channels = table.read(snakemake.input.channels)
    events, sidecar = bids.events(root, row)
    signal, index, events, sidecar, info, found = recording(
        x, sfreq, channels, events, sidecar, hed_version=row["hed_version"], **snakemake.params.selection
    )
    table.write(out.events, events)
    account.write(out.sidecar, sidecar)
    attrs = {**place, "selection": wildcards.selection, "account": account.ok("windows", **found)}
    store.write(out.store, signal, index, **info, positions=io.positions(info["names"]), attrs=attrs)
except account.Fault as fault:
    log.say(f"quarantined ({fault.code}): {fault.message}")
    account.leave("windows", fault, out)
    store.write_empty(out.store, account.quarantined("windows", fault))
