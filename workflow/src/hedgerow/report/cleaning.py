"""What the cleaning did: to all recordings by their accounts, and to the worst few before and after.

Of the worst few alone the arrays beside the account are read (`hedgerow.clean.evidence.gather` names them), so that
the page does not grow with the study.
"""

from pathlib import Path

import numpy as np

from .. import plot_cleaning
from .._canvas import picture

#: Reasons for which the cleaning holds a channel to be bad, in the words of its accounts; the first that holds counts.
BAD = ("marked", "flat", "noisy", "uncorrelated")

#: So many of the worst recordings are shown before and after.
WORST = 4

#: Colours of a picture of traces.
PALETTE = 256


def cleaning(found, places):
    """Table and pictures of what the cleaning did.

    Parameters
    ----------
    found : list of dict
        From `hedgerow.report.recordings.collect`.
    places : dict of str to (x, y, z)
        Positions of channels in m.

    Returns
    -------
    dict or None
        ``rows``, the worst first; ``picture`` and ``bands``, of the study; ``worst``, pictures of single recordings;
        and what captions state. None without any cleaned recording.
    """
    rows = [_cleaned(entry) for entry in found if entry["clean"] and entry["clean"]["status"] == "ok"]
    if not rows:
        return None
    rows.sort(key=lambda row: (-row["badness"], row["dataset"], row["rec"]))
    there = (row for row in rows if row["removed"] and Path(row["evidence"]).is_file())
    worst = [(row, _arrays(row)) for row, _ in zip(there, range(WORST))]
    for _, arrays in worst:  # of a study without windows nobody else says where the channels lie
        places = dict(zip(arrays["names"].tolist(), arrays["positions"].astype(float))) | places
    ends = dict(sorted({name: tuple(b["hz"]) for row in rows for name, b in row["bands"].items()}.items(), key=_low))
    return {
        "rows": rows,
        "band_names": {name: plot_cleaning.LETTERS.get(name, name) for name in ends},
        "picture": picture(_overview(rows, places)),
        "bands": picture(_bands(rows, ends)) if worst and ends else None,
        "worst": [_before_and_after(*each) for each in worst],
        "bad": sum(len(names) for row in rows for names in row["reasons"].values()),
        "changed": _middle(row["changed"] for row in rows),
        "removed": _middle(row["removed"] for row in rows),
        "beyond": sum(row["bad_seconds"] or 0.0 for row in rows),
        "asr": any(row["changed"] is not None for row in rows),
        "by_correlation": sum(row["judged_by"] in ("correlation", "mixed") for row in rows),
        "seeds": sorted({row["seed"] for row in rows if row["seed"] is not None}),
        "devices": sorted({row["device"] for row in rows if row["device"]}),
    }


def _cleaned(entry):
    """What the table says of one recording."""
    done = entry["clean"]
    asr = done["asr"] or {}
    if asr.get("action") == "mark":
        asr = {key: asr[key] for key in ("calibration_seconds", "calibration")}  # what it found stands in bad_segments
    bad = {name: reason for reason in reversed(BAD) for name in done.get(reason, ())}
    changed, bad_share = asr.get("changed"), done.get("bad_share")
    reasons = {reason: [name for name in done.get(reason, ()) if bad[name] == reason] for reason in BAD}
    return {
        **{key: entry[key] for key in ("dataset", "rec", "subject", "evidence")},
        "reasons": {reason: names for reason, names in reasons.items() if names},
        **{key: done[key] for key in ("interpolated", "channels", "seconds", "rank", "notes")},
        **{key: done.get(key) for key in ("judged_by", "seed", "device", "worst_seconds")},
        "changed": changed,
        "removed": done.get("variance_removed", asr.get("variance_removed")),
        "bands": done.get("bands", {}),
        "by_channel": asr.get("channel_variance_removed", {}),
        "calibration_seconds": asr.get("calibration_seconds"),
        "calibration": asr.get("calibration"),
        "bad_segments": done.get("bad_segments") or [],
        "bad_seconds": None if bad_share is None else bad_share * done["seconds"],
        "badness": len(bad) / done["channels"] + (changed or 0.0) + (bad_share or 0.0),
    }


def _overview(rows, places):
    """Figure of all recordings: repaired against removed, bad channels, and the head."""
    flagged = {reason: _count(name for row in rows for name in row["reasons"].get(reason, ())) for reason in BAD}
    flagged = {reason: counts for reason, counts in flagged.items() if counts}
    removed = {}
    for row in rows:
        for name, share in row["by_channel"].items():
            removed.setdefault(name, []).append(share)
    names = sorted(removed)
    positions = np.array([places.get(name, [np.nan] * 3) for name in names], dtype=float).reshape(-1, 3)
    mean = np.array([np.mean(removed[name]) for name in names])
    changed, gone = (np.array([row[key] for row in rows], dtype=float) for key in ("changed", "removed"))
    return plot_cleaning.cleaning(changed, gone, flagged, mean, positions)


def _low(band):
    return band[1][0]


def _bands(rows, ends):
    """Figure of the share of each band's power that was removed, over recordings; the last ends where these end."""
    removed = [[row["bands"].get(name, {}).get("removed", np.nan) for name in ends] for row in rows]
    lettered = plot_cleaning.LETTERS
    labels = [
        f"{n}\n{low:g}–{high:g} Hz" if n in lettered else f"{n}\nfrom {low:g} Hz" for n, (low, high) in ends.items()
    ]
    return plot_cleaning.bands(np.array(removed, dtype=float), labels)


def _arrays(row):
    with np.load(row["evidence"]) as file:
        return dict(file)


def _before_and_after(row, arrays):
    """Picture of one recording and what its caption states."""
    positions, shown = arrays["positions"].astype(float), arrays["trace_rows"]
    start, stop = row["worst_seconds"]
    traces = {key: arrays[f"trace_{key}"] * arrays["trace_scale"] for key in ("before", "after")}
    traces |= {"names": [str(name) for name in arrays["names"][shown]], "positions": positions[shown]}
    traces |= {"sfreq": float(arrays["trace_sfreq"]), "start": start}
    spectra = {"frequency": arrays["frequency"], "before": arrays["psd_before"], "after": arrays["psd_after"]}
    spectra["bands"] = {name: band["hz"] for name, band in row["bands"].items()}
    bad = [(max(begin, start), min(end, stop)) for begin, end in row["bad_segments"] if end > start and begin < stop]
    figure = plot_cleaning.before_and_after(traces, spectra, arrays["removed"].astype(float), positions, bad=bad)
    most = max(row["bands"], key=lambda name: row["bands"][name]["removed"], default=None)
    return {
        **{key: row[key] for key in ("dataset", "rec", "removed", "changed", "bad_seconds", "seconds")},
        "picture": picture(figure, palette=PALETTE),
        "start": start,
        "stop": stop,
        "shown": len(shown),
        "channels": len(arrays["names"]),
        "marked": bool(bad),
        "head": bool(np.isfinite(positions).all(axis=1).any()),
        "band": {"name": most, **row["bands"][most]} if most else None,
        "resolution": float(arrays["frequency"][1]) if len(arrays["frequency"]) > 1 else None,
    }


def _count(names):
    counts = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def _middle(values):
    values = [value for value in values if value is not None]
    return float(np.median(values)) if values else None
