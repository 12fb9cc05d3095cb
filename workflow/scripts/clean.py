"""Clean one recording: drifts, bad channels, artefacts, interpolation, reference."""

from hedgerow import __version__, account, bids, fetch, io, layout, log, table
from hedgerow.clean.recording import recording, sidecar

log.start(snakemake)
root, params, out = layout.root(snakemake.wildcards.dataset), snakemake.params, snakemake.output
row, said = params.row, params.overrides
try:
    raw = bids.sidecar(root, row["eeg_json"])
    given = root / row["channels"] if row["channels"] else None
    known = {"duration": raw.get("RecordingDuration"), "waived": [each["value"] for each in said.get("reinstate", ())]}
    with fetch.lent(root, params.fetched, snakemake.input.receipt):
        x, sfreq, channels, notes = io.read_raw(root / row["signal"], given, **known)
    known = {"positions": io.positions(channels["name"]), "notes": notes, "overrides": said}
    y, channels, found = recording(x, sfreq, channels, **known, **params.recipe)
    io.write_signal(out.header.removesuffix(".vhdr"), y, sfreq, channels)
    table.write(out.channels, channels)
    written = sidecar(raw, [f"bids:raw:{row['signal']}"], y, sfreq, channels, found, version=__version__)
    account.write(out.sidecar, written)
    written = account.digest(out.signal, out.channels, out.sidecar)  # the account stands for all that is written here
    account.write(out.account, account.ok("clean", versions=log.versions(), written=written, **found))
except account.Fault as fault:
    log.say(f"quarantined ({fault.code}): {fault.message}")
    account.leave("clean", fault, out, out.account)
