"""Clean one recording: drifts, bad channels, artefacts, interpolation, reference."""

from hedgerow import __version__, account, bids, fetch, io, layout, log, table
from hedgerow.clean import evidence, recording

log.start(snakemake)
root, params, out = layout.root(snakemake.wildcards.dataset), snakemake.params, snakemake.output
row, said = params.row, params.overrides
try:
    raw = bids.sidecar(root, row["eeg_json"])
    given = root / row["channels"] if row["channels"] else None
    known = {"duration": raw.get("RecordingDuration"), "waived": [each["value"] for each in said.get("reinstate", ())]}
    with fetch.lent(root, params.fetched, snakemake.input.receipt):
        x, sfreq, channels, notes = io.read_raw(root / row["signal"], given, **known)
    known = {"positions": io.positions(channels["name"]), "notes": notes, "overrides": said, "raw": raw}
    y, channels, found, arrays = recording.recording(x, sfreq, channels, **known, **params.recipe)
    io.write_signal(out.header.removesuffix(".vhdr"), y, found["sfreq"], channels, recording.masks(found))
    table.write(out.channels, channels)
    table.write(out.events, recording.masks(found))
    evidence.write(out.evidence, arrays)
    account.write(out.sidecar, recording.sidecar(raw, row["signal"], y, channels, found, version=__version__))
    account.write(out.account, account.ok("clean", versions=log.versions(), written=account.digest(*out[:-2]), **found))
except account.Fault as fault:
    log.say(f"quarantined ({fault.code}): {fault.message}")
    account.leave("clean", fault, out, out.account)
