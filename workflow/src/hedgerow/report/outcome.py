"""What is held against something outside the study: planted truth, the official validator."""

from pathlib import Path

from .. import account

#: When a planted response counts as recovered: same channel, this close in s, and so much of its amplitude.
CLOSE, KEPT = 0.02, 0.9

#: What a licence says of passing a derivative on.
VERDICTS = {"allowed": "may be shared", "forbidden": "must not be shared", "unknown": "ask before sharing"}

#: Least reduction in dB of the power of muscle bursts that counts as cleaned.
REDUCTION = 10.0


def recoveries(paths, networks):
    """Planted against recovered in every simulated dataset.

    Parameters
    ----------
    paths : list of path
        ``recovery_<dataset>.json``.
    networks : list of dict
        From `hedgerow.report.networks.networks`.

    Returns
    -------
    list of dict
        Per dataset ``name``, ``effect`` and ``rows``: ``what``, ``planted``, ``recovered``, ``good`` (None where
        nothing was planted) and ``verdict``.
    """
    return [_recovery(path, networks, alone=len(paths) == 1) for path in paths]


def _recovery(path, networks, alone):
    found = account.read(path)
    rows = _channels(found["channels"]) + _bursts(found["bursts"])
    for model, terms in found["responses"].items():
        rows += [_response(model, term) for term in terms]
    if alone and found["effect"]:
        rows += [_sex(found["sex"], each) for each in networks if _tells_sex(each)]
    judged = [row["good"] for row in rows if row["good"] is not None]
    name = Path(path).stem.removeprefix("recovery_")
    return {"name": name, "effect": found["effect"], "rows": rows, "good": sum(judged), "judged": len(judged)}


def _channels(found):
    rows = []
    for fault in ("flat", "noisy"):
        done = found[fault]
        count = done["found"] + len(done["missed"])
        extra = f", {len(done['false'])} sound ones flagged as well" if done["false"] else ""
        good = not done["missed"]
        verdict = (
            "all found" if good else "missed " + ", ".join(f"{_short(rec)} {name}" for rec, name in done["missed"][:4])
        )
        recovered = f"{done['found']} found{extra}"
        rows.append(_row(f"{fault} channels", f"{count}, one in each recording", recovered, good, verdict))
    return rows


def _short(rec):
    return rec.split("/")[-1]


def _bursts(found):
    if found["db"] is None:
        return []
    by_recording = found["recordings"]
    least = min((value for value in by_recording.values() if value is not None), default=None)
    recovered = f"power at 20–70 Hz down by {found['db']:.1f} dB on average"
    recovered += "" if least is None else f", {least:.1f} dB in the worst recording"
    good = found["db"] >= REDUCTION
    planted = f"bursts in {len(by_recording)} recordings"
    verdict = f"{'at least' if good else 'less than'} {REDUCTION:g} dB"
    return [_row("muscle bursts", planted, recovered, good, verdict)]


def _response(model, term):
    what = f"{model}: {term['term']}"
    recovered = _peak(term["recovered"])
    if term["planted"] is None:
        return _row(what, "nothing", f"largest estimate {recovered}", None, "nothing to find")
    kept = f"{100 * term['ratio']:.0f} % of the amplitude"
    lacks = []
    if term["planted"]["channel"] != term["recovered"]["channel"]:
        lacks.append("another channel")
    if abs(term["planted"]["time"] - term["recovered"]["time"]) > CLOSE + 1e-9:
        lacks.append("another time")
    if term["ratio"] < KEPT:
        lacks.append("amplitude lost")
    verdict = ", ".join(lacks) or "same channel and time"
    return _row(what, _peak(term["planted"]), f"{recovered}; {kept}", not lacks, verdict)


def _peak(found):
    return f"{found['channel']}, {1000 * found['time']:.0f} ms, {found['value']:.3g} µV".replace("-", "−")


def _tells_sex(network):
    """Whether a network is to find the planted difference; a control with shuffled time is not."""
    return network["target"] == "sex" and network["task"] == "classification" and not network["network"]["shuffle_time"]


def _sex(planted, network):
    score = network["headline"]
    good = score["low"] is not None and score["low"] > score["chance"]
    recovered = f"balanced accuracy {score['value']:.2f}"
    recovered += "" if score["low"] is None else f" [{score['low']:.2f}, {score['high']:.2f}]"
    recovered += " by vote per person" if score["level"] == "subject" else " per window"
    verdict = "interval above chance" if good else "interval not above chance"
    text = f"alpha power differs, d = {planted['d']:g} ({planted['d_sample']:.2f} in these people)"
    return _row(f"sex, by network “{network['name']}”", text, recovered, good, verdict)


def _row(what, planted, recovered, good, verdict):
    return {"what": what, "planted": planted, "recovered": recovered, "good": good, "verdict": verdict}


def published(paths):
    """What every published derivative holds, whether it may be passed on, and what the checks say of it.

    Parameters
    ----------
    paths : list of path
        ``published/<dataset>_validation.json``.

    Returns
    -------
    list of dict
        The accounts, with ``name``, ``folder`` and ``verdict`` on its licence, in words.
    """
    found = []
    for path in map(Path, paths):
        name = path.name.removesuffix("_validation.json")
        done = account.read(path)
        about = {"name": name, "folder": str(path.parent / name)}
        found.append({**done, **about, "verdict": VERDICTS[done["licence"]["redistribution"]]})
    return found
