"""Cut the windows of one recording that the HED queries of a selection give."""

from hedgerow import account, bids, io, layout, log, store, table
from hedgerow.windows import recording

log.start(snakemake)
params, row, out, wildcards = snakemake.params, snakemake.params.row, snakemake.output, snakemake.wildcards
try:
    stem = snakemake.input.account.removesuffix("_account.json")
    cleaned = account.read(snakemake.input.account)
    account.demand(cleaned)
    (x, sfreq), channels = io.read_signal(f"{stem}_eeg.vhdr"), table.read(f"{stem}_channels.tsv")
    raw = (*bids.events(layout.root(wildcards.dataset), row), row["hed_version"])
    signal, index, events, sidecar, info, found = recording(
        x, sfreq, channels, *raw, io.positions, cleaned, params.overrides, **params.selection
    )
    table.write(out.events, events)
    account.write(out.sidecar, sidecar)
    place = {**wildcards, "subject": row["subject"], "source": f"bids:raw:{row['signal']}", "code": params.code}
    place |= {"parameters": params.selection, "written": account.digest(out.events, out.sidecar)}
    store.write(out.store, signal, index, **info, attrs={**place, "account": account.ok("windows", **found)})
except account.Fault as fault:
    log.say(f"quarantined ({fault.code}): {fault.message}")
    account.leave("windows", fault, out)
    store.write_empty(out.store, account.quarantined("windows", fault))
