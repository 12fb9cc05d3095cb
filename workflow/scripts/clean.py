"""Clean one recording: drifts, bad channels, artefacts, interpolation, reference."""

from hedgerow import __version__, account, bids, fetch, io, layout, log, table
from hedgerow.clean.recording import recording, sidecar

log.start(snakemake)
root, row, out = layout.root(snakemake.wildcards.dataset), snakemake.params.row, snakemake.output
try:
    raw = bids.sidecar(root, row["eeg_json"])
    given = root / row["channels"] if row["channels"] else None
    with fetch.lent(root, snakemake.params.fetched, snakemake.input.receipt):
        x, sfreq, channels, notes = io.read_raw(root / row["signal"], given, duration=raw.get("RecordingDuration"))
    y, channels, found = recording(
        x, sfreq, channels, positions=io.positions(channels["name"]), notes=notes, **snakemake.params.recipe
    )
    io.write_signal(out.header.removesuffix(".vhdr"), y, sfreq, channels)
    table.write(out.channels, channels)
    account.write(
        out.sidecar, sidecar(raw, [f"bids:raw:{row['signal']}"], y, sfreq, channels, found, version=__version__)
    )
    account.write(out.account, account.ok("clean", versions=log.versions(), **found))
except account.Fault as fault:
    log.say(f"quarantined ({fault.code}): {fault.message}")
    account.leave("clean", fault, out, out.account)
