"""From one raw recording to what its clean version consists of: signal, tables, sidecar, account, evidence."""

import numpy as np
import pandas as pd

from hedgerow import rate
from hedgerow._words import nearest
from hedgerow.account import Fault
from hedgerow.clean import clean, evidence

#: Reasons for which an account names a channel as bad.
BAD = ("marked", "flat", "noisy", "uncorrelated")

#: Fields of the raw sidecar that describe the recording session and stay true of the clean signal.
KEPT = (
    *("TaskName", "TaskDescription", "Instructions", "InstitutionName", "Manufacturer", "ManufacturersModelName"),
    *("CapManufacturer", "CapManufacturersModelName", "PowerLineFrequency", "EEGGround", "EEGPlacementScheme"),
    *("HardwareFilters", "RecordingType", "HeadCircumference", "SubjectArtefactDescription"),
)


def recording(x, sfreq, channels, *, positions, notes=(), overrides=None, raw=None, **recipe):
    """Clean the EEG channels of a recording; all others never enter the cleaning and pass untouched.

    Where the cleaning changes the sampling rate, they are brought to the new one: triggers by the nearest sample.

    Parameters
    ----------
    x : ndarray (channels, samples)
        In µV.
    sfreq : float
        In Hz.
    channels : DataFrame
        ``name, type, units, status, status_description`` in the order of `x`.
    positions : ndarray (channels, 3)
        In m, NaN where unknown.
    notes : list of str
        What was odd when the recording was read; goes to the account.
    overrides : dict of str to list of dict, optional
        Decisions by hand (`hedgerow.overrides.settle`), each with ``value``, ``who`` and ``why``: channels that are
        taken as ``bad``, and ``good`` ones that never are. They go to the account.
    raw : dict, optional
        The raw recording's sidecar, which knows the frequency of the mains where the recipe does not give it.
    **recipe
        Keywords of `hedgerow.clean.clean`.

    Returns
    -------
    y : ndarray (channels, samples)
        In µV, at the rate ``account["sfreq"]``.
    channels : DataFrame
        With the status after cleaning: a channel that was bad and interpolated is good again, and
        ``status_description`` says what was done to it.
    account : dict
        Of `hedgerow.clean.clean` and `hedgerow.clean.evidence.gather`; ``notes``, ``untouched`` (channels that are
        not EEG) and ``overrides``.
    arrays : dict of str to ndarray
        Of `hedgerow.clean.evidence.gather`, for pictures.

    Raises
    ------
    Fault
        ``no-channels`` where there is no EEG channel, ``bad-override`` where one names a channel that is not there,
        and those of `hedgerow.clean.clean`.
    """
    eeg = (channels["type"] == "EEG").to_numpy()
    if not eeg.any():
        raise Fault("no-channels", f"no channel is of type EEG (types: {', '.join(channels['type'].unique())})")
    channels, by_hand = _by_hand(channels, eeg, overrides or {})
    names, marked = channels["name"][eeg], channels["name"][eeg & (channels["status"] == "bad").to_numpy()]
    known = {"marked": list(marked), "trusted": [name for name in by_hand if name not in set(marked)]}
    seen = []
    known["witness"] = lambda *signals: seen.extend(signals)
    recipe["line_hz"] = recipe.get("line_hz") or _mains(raw or {})
    cleaned, account = clean(x[eeg], sfreq, names=list(names), positions=positions[eeg], **known, **recipe)
    good = np.flatnonzero(eeg)[names.isin(account["good"])]
    removed, arrays = evidence.gather(*seen, account["sfreq"], account["good"], positions[good])
    account |= removed
    y = np.empty((len(x), cleaned.shape[1]))
    y[eeg] = cleaned
    # a filter would smear the steps of triggers, and NaN over the whole channel
    smooth = (channels["type"] != "TRIG").to_numpy() & np.isfinite(x).all(axis=1)
    for rows, bring in ((~eeg & smooth, rate.resample), (~eeg & ~smooth, rate.nearest)):
        if rows.any():
            y[rows] = bring(x[rows], sfreq, account["sfreq"])
    account["notes"] = [*notes, *_left(account), *_unjudged(account, recipe), *_of_steps(account)]
    account["untouched"] = list(channels["name"][~eeg])
    account |= {"overrides": overrides} if overrides else {}
    return y, _statuses(channels, account, by_hand), account, arrays


def masks(account):
    """Stretches that are beyond repair or were repaired, as the rows of an ``events.tsv``.

    Parameters
    ----------
    account : dict
        Of the cleaning.

    Returns
    -------
    DataFrame
        ``onset`` and ``duration`` in s and ``trial_type``, sorted: ``BAD_segment``, which everything that honours
        MNE's convention leaves out, and ``asr_repaired``, which it keeps.
    """
    found = [(start, stop, "BAD_segment") for start, stop in account["bad_segments"] or ()]
    asr = account["asr"] or {}
    # what was to be marked was not repaired, and stands among the bad segments
    if asr.get("action") != "mark":
        found += [(start, stop, "asr_repaired") for start, stop in asr.get("changed_seconds", ())]
    rows = [(round(start, 6), round(stop - start, 6), kind) for start, stop, kind in sorted(found)]
    return pd.DataFrame(rows, columns=["onset", "duration", "trial_type"])


def _mains(raw):
    """Frequency of the mains in Hz by a sidecar; None where it says nothing (``n/a``)."""
    hz = raw.get("PowerLineFrequency")
    return float(hz) if isinstance(hz, int | float) and hz > 0 else None


def _by_hand(channels, eeg, overrides):
    """Table of channels with the status that a person gave, and by channel who said so."""
    names, done, said = {name.lower(): name for name in channels["name"][eeg]}, channels.copy(), {}
    for status in ("bad", "good"):
        for entry in overrides.get(status, ()):
            name = names.get(entry["value"].lower())
            if name is None:
                raise Fault(
                    "bad-override",
                    f"{entry['who']} takes channel {entry['value']!r} as {status} ({entry['why']}), but the recording "
                    f"has no such EEG channel; there are {nearest(entry['value'], names.values())}: correct the line",
                )
            said[name] = f"taken as {status} by {entry['who']}: {entry['why']}"
            done.loc[done["name"] == name, ["status", "status_description"]] = [status, said[name]]
    return done, said


def _left(account):
    """A note on bad channels that stay as they are, which statistics and networks would otherwise meet unwarned."""
    left = {name for reason in BAD for name in account[reason]} - {*account["interpolated"]}
    if not left:
        return []
    why = (
        "no position known"
        if account["interpolation"] in ("no positions", "spherical splines")
        else f"interpolation {account['interpolation']}"
    )
    return [f"bad channels stay as they are ({why}): {', '.join(sorted(left))}"]


def _unjudged(account, recipe):
    """Notes on what was asked for and the recording cannot tell."""
    notes = []
    if account["bad_segments"] is None and recipe.get("bad_segments", 0) is not None:
        notes.append(f"bad segments are not told in {account['seconds']:.1f} s: the recording is too short")
    if account["sfreq"] <= 100 and recipe.get("noise_sd", 0) is not None:
        notes.append("noisy channels are not looked for at 100 Hz or less: nothing is above 50 Hz")
    return notes


def _of_steps(account):
    """What the steps had to note."""
    hum, ica = account["line_noise"] or {}, account["ica"] or {}
    return [*([hum["note"]] if hum.get("note") else []), *ica.get("notes", ())]


def _statuses(channels, account, by_hand):
    reasons = {}
    for reason in BAD:
        for name in account[reason]:
            marked = by_hand.get(name, "marked as bad in the raw data")
            reasons.setdefault(name, []).append(marked if reason == "marked" else reason)
    done = channels.copy()
    for row, name in zip(done.index, done["name"]):
        if name in reasons:
            mended = name in account["interpolated"]
            done.loc[row, "status"] = "good" if mended else "bad"
            done.loc[row, "status_description"] = ", ".join(reasons[name] + ["interpolated"] * mended)
    return done


def sidecar(raw, source, x, channels, account, *, version):
    """``eeg.json`` of a clean signal.

    Parameters
    ----------
    raw : dict
        The raw recording's sidecar, inheritance resolved.
    source : str
        The raw signal file, within the raw dataset.
    x, channels : ndarray, DataFrame
        The clean signal.
    account : dict
        Of the cleaning; its ``sfreq`` is the rate of the clean signal.
    version : str
        Of Hedgerow.

    Returns
    -------
    dict
        JSON-able.
    """
    counts = channels["type"].value_counts()
    reference = account["reference"]
    if reference is None:
        reference = raw.get("EEGReference", "n/a")
    elif not isinstance(reference, str):
        reference = ", ".join(reference)
    done = {key: raw[key] for key in KEPT if key in raw}
    return {
        **done,
        "RecordingType": "continuous",
        "SamplingFrequency": account["sfreq"],
        "RecordingDuration": x.shape[1] / account["sfreq"],
        "EEGReference": reference,
        "SoftwareFilters": {"Hedgerow": {"version": version}, **_filters(account)},
        **{f"{kind}ChannelCount": int(counts.get(kind, 0)) for kind in ("EEG", "EOG", "ECG", "EMG", "MISC")},
        "TriggerChannelCount": int(counts.get("TRIG", 0)),
        "PowerLineFrequency": raw.get("PowerLineFrequency", "n/a"),
        "TaskName": raw.get("TaskName", "n/a"),
        "Sources": [f"bids:raw:{source}"],
        "Description": "Cleaned signal: every channel and every sample of the recording is kept",
    }


def _filters(account):
    """``SoftwareFilters``: what was done to the signal, in this order."""
    done, asr, ica = {}, account["asr"], account["ica"]
    if account["resampled"]:
        done["resampling"] = {"from (Hz)": account["resampled"]["from"], "to (Hz)": account["resampled"]["to"]}
    if account["highpass"]:
        done["high-pass"] = {"transition band (Hz)": account["highpass"], "type": "zero-phase FIR, Kaiser window"}
    line = account["line_noise"]
    if line and not line.get("note"):
        done["line noise removal"] = {"method": line["method"], "frequencies (Hz)": line.get("harmonics", [line["hz"]])}
    if asr and asr.get("action") != "mark":
        done["artifact subspace reconstruction"] = {"cutoff (standard deviations)": asr["cutoff"]}
    if ica:
        plain = {key: value for key, value in ica.items() if isinstance(value, str | int | float | bool)}
        done["independent component analysis"] = plain
    return done
