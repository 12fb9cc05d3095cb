"""Cleaning a recording: drifts, bad channels, artefacts (ASR), interpolation, reference.

Needs the raw EEG channels of one recording in µV; makes a signal of the same shape and an account. No sample is cut
and no channel is dropped. The order is that of EEGLAB's automated pipeline (clean_rawdata's clean_artifacts): flat
channels, high-pass, channels unlike all others, ASR on the good channels, what it could not repair; then spherical
splines and the reference.
"""

import math

import numpy as np

from hedgerow import _array, splines
from hedgerow.account import Fault
from hedgerow.clean import asr, channels, drifts, segments
from hedgerow.clean.filters import half_up

#: Fewest good channels with which cleaning makes sense.
FEWEST_CHANNELS = 3

#: Below this many seconds of clean segments ASR calibrates on the whole recording (its statistics are robust).
CALIBRATION_SECONDS = 15.0


def clean(
    x,
    sfreq,
    *,
    names,
    positions=None,
    marked=(),
    trusted=(),
    highpass=(0.25, 0.75),
    flat_seconds=5.0,
    correlation=0.45,
    asr_cutoff=20.0,
    bad_segments=0.25,
    interpolate=True,
    reference="average",
    witness=None,
):
    """Clean one recording.

    Parameters
    ----------
    x : array (channels, samples)
        EEG channels in µV, finite; no EOG, ECG or trigger channel.
    sfreq : float
        Sampling rate in Hz; at least 40 for ASR.
    names : sequence of str
        Channel names, one per row of x.
    positions : array_like (channels, 3), optional
        Electrode positions in m, head coordinates; NaN where unknown.
    marked : sequence of str
        Channels known to be bad, e.g. by channels.tsv.
    trusted : sequence of str
        Channels known to be good: never flat and never unlike the others.
    highpass : (float, float) or None
        Transition band in Hz (`drifts.highpass`); None if the signal is high-passed already.
    flat_seconds : float or None
        Longest stretch in s that a channel may stand still (`channels.flat`); None: not looked for.
    correlation : float or None
        Least correlation with other channels (`channels.uncorrelated`); None: not looked for.
    asr_cutoff : float or None
        Threshold in SDs (`asr.calibrate`); None: no ASR.
    bad_segments : float or None
        Share of the good channels, 0 to 1. A second in which more of them are too strong after ASR is beyond repair
        and listed in the account, never cut (`segments.keep`; 1: all of them); None: not looked for.
    interpolate : bool
        Replace bad channels by spherical splines over the good ones.
    reference : "average", sequence of str, or None
        Subtract the mean over these channels; None keeps the recording's reference. Bad channels that were not
        replaced are never part of the mean.
    witness : callable, optional
        Called once as ``witness(before, after)`` with two arrays (good channels, samples) in the reference of the
        recording: the high-passed signal before artefacts were taken out of it and the same after.

    Returns
    -------
    y : array (channels, samples)
        The kind of x, float64, µV. Bad channels that were not replaced are high-passed and referenced only.
    account : dict
        JSON-able. sfreq, seconds, channels (count), highpass; marked, flat, uncorrelated, good, interpolated (channel
        names) and interpolation ("spherical splines", "not needed", "off", "no positions"); reference ("average", the
        names used, or None); rank (independent channels left, without bad ones that were not replaced); asr: None, or
        cutoff, calibration ("clean segments" or "whole recording"), calibration_seconds, rank, and what `asr.apply`
        accounts for, its channel_variance_removed by name; bad_segments (list of [start, end] in s, the end not part
        of it) and bad_share of the recording, both None where not looked for or the recording is too short to tell.

    Raises
    ------
    Fault
        ``not-finite``, ``no-channels``, ``too-short``, ``rate-too-low``, ``calibration``, ``missing-channel``.
    """
    xp = _array.namespace(x)
    names = _checked(x, sfreq, names)
    x = xp.astype(x, xp.float64)
    raw = x
    if highpass is not None:
        x = drifts.highpass(raw, sfreq, highpass)
    marked = [name for name in names if name in marked]
    flat, uncorrelated = _bad_channels(raw, x, sfreq, names, marked, trusted, flat_seconds, correlation)
    bad = [i for i, name in enumerate(names) if name in {*marked, *flat, *uncorrelated}]
    good = [i for i in range(len(names)) if i not in bad]
    account = {"sfreq": float(sfreq), "seconds": x.shape[1] / sfreq, "channels": len(names)}
    account |= {"highpass": list(highpass) if highpass is not None else None}
    account |= {"marked": marked, "flat": flat, "uncorrelated": uncorrelated, "asr": None}
    account["good"] = [names[i] for i in good]
    before = _rows(x, good)
    if asr_cutoff is not None:
        fixed, account["asr"] = _asr(before, sfreq, account["good"], asr_cutoff)
        x = _placed(x, good, fixed)
    after = _rows(x, good)
    account |= _bad_segments(after, sfreq, bad_segments)
    if witness is not None:
        witness(before, after)
    x, account["interpolated"], account["interpolation"] = _interpolated(x, names, positions, bad, interpolate)
    left = [names[i] for i in bad if names[i] not in account["interpolated"]]
    x, account["reference"] = _referenced(x, names, reference, left)
    account["rank"] = _rank(x, [i for i, name in enumerate(names) if name not in left])
    return x, account


def _checked(x, sfreq, names):
    """Refuse what cannot be cleaned; the names as a list."""
    xp = _array.namespace(x)
    names = [str(name) for name in names]
    if x.ndim != 2 or x.shape[0] != len(names):
        raise ValueError(f"names: {len(names)} channel names for a signal of shape {tuple(x.shape)}")
    if len(set(names)) < len(names):
        raise ValueError(f"names: channel names are not unique: {sorted({n for n in names if names.count(n) > 1})}")
    if not sfreq > 0:
        raise ValueError(f"sfreq={sfreq}: give the sampling rate in Hz")
    finite = xp.isfinite(x)
    if not bool(xp.all(finite)):
        finite = _array.to_numpy(finite)
        rows, seconds = np.flatnonzero(~finite.all(axis=1)), np.flatnonzero(~finite.all(axis=0)) / sfreq
        some = ", ".join(names[i] for i in rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
        raise Fault(
            "not-finite",
            f"{int((~finite).sum())} samples are NaN or infinite, between {seconds[0]:.3f} s and {seconds[-1]:.3f} s "
            f"in {some}: repair the file, or mark the channel as not EEG in channels.tsv",
        )
    _enough(names, [], [], [])
    return names


def _bad_channels(raw, x, sfreq, names, marked, trusted, flat_seconds, correlation):
    """Names of the flat channels (told by the raw signal) and of those unlike all others (by the high-passed one)."""
    flat, uncorrelated = [], []
    if flat_seconds is not None:
        flat = [name for name in _names_of(channels.flat(raw, sfreq, flat_seconds), names) if name not in trusted]
        _enough(names, marked, flat, [])
    if correlation is not None:
        lively = [i for i, name in enumerate(names) if name not in {*marked, *flat}]
        mask = channels.uncorrelated(_rows(x, lively), sfreq, correlation=correlation)
        uncorrelated = [name for name in _names_of(mask, [names[i] for i in lively]) if name not in trusted]
        _enough(names, marked, flat, uncorrelated)
    return flat, uncorrelated


def _enough(names, marked, flat, uncorrelated):
    good = len({*names} - {*marked, *flat, *uncorrelated})
    if good < FEWEST_CHANNELS:
        raise Fault(
            "no-channels",
            f"{good} good EEG channels of {len(names)} are left and cleaning needs {FEWEST_CHANNELS}: "
            f"{len(marked)} are marked as bad, {len(flat)} stand still ({', '.join(flat) or 'none'}), "
            f"{len(uncorrelated)} resemble no other ({', '.join(uncorrelated) or 'none'})",
        )


def _names_of(mask, names):
    return [name for name, bad in zip(names, _array.to_numpy(mask).tolist()) if bad]


def _rows(x, rows):
    return _array.namespace(x).take(x, _array.like(np.array(rows, dtype=np.int64), x), axis=0)


def _placed(x, rows, part):
    """x with the given rows replaced by those of `part`."""
    xp = _array.namespace(x)
    order = {row: i for i, row in enumerate(rows)}
    return xp.stack([part[order[i], :] if i in order else x[i, :] for i in range(x.shape[0])])


def _asr(x, sfreq, names, cutoff):
    """ASR calibrated on the clean segments of x itself; the repaired signal and its account."""
    xp = _array.namespace(x)
    # No lower bound, as in clean_artifacts: a weak stretch does no harm to a calibration that looks for the strong.
    kept = segments.keep(x, sfreq, 0.075, (-math.inf, 5.5))
    seconds, source = float(xp.sum(xp.astype(kept, xp.float64))) / sfreq, "clean segments"
    if seconds < CALIBRATION_SECONDS:
        seconds, source, calibration = x.shape[1] / sfreq, "whole recording", x
    else:
        calibration = xp.take(x, xp.nonzero(kept)[0], axis=1)
    state = asr.calibrate(calibration, sfreq, cutoff)
    y, account = asr.apply(x, sfreq, state)
    account["channel_variance_removed"] = dict(zip(names, account["channel_variance_removed"]))
    return y, {
        "cutoff": float(cutoff),
        "calibration": source,
        "calibration_seconds": seconds,
        "rank": state.rank,
        **account,
    }


def _bad_segments(x, sfreq, share):
    """Stretches beyond repair: clean_artifacts' last step, on the good channels and before any is interpolated."""
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"bad_segments={share}: give the share of channels, 0 to 1, or null")
    if share is None or segments.too_short(x.shape[1], sfreq):
        return {"bad_segments": None, "bad_share": None}
    kept = segments.keep(x, sfreq, int(half_up(share * x.shape[0])), (-math.inf, 7))
    found = segments.stretches(~_array.to_numpy(kept))
    return {
        "bad_segments": [[start / sfreq, stop / sfreq] for start, stop in found],
        "bad_share": sum(stop - start for start, stop in found) / x.shape[1],
    }


def _interpolated(x, names, positions, bad, wanted):
    """Replace bad channels by spherical splines where that can be done; signal, names replaced, and a word why."""
    xp = _array.namespace(x)
    if not bad:
        return x, [], "not needed"
    if not wanted:
        return x, [], "off"
    if positions is None:
        return x, [], "no positions"
    positions = np.asarray(positions, dtype=float)
    if positions.shape != (len(names), 3):
        raise ValueError(f"positions: shape {positions.shape} for {len(names)} channels, expected ({len(names)}, 3)")
    placed = np.isfinite(positions).all(axis=1) & (np.abs(positions).sum(axis=1) > 0)
    sources = [i for i in range(len(names)) if placed[i] and i not in bad]
    targets = [i for i in bad if placed[i]]
    if not targets or len(sources) < FEWEST_CHANNELS:
        return x, [], "no positions"
    weights = splines.weights(positions[sources], positions[targets])
    fixed = xp.matmul(_array.like(weights, x), _rows(x, sources))
    return _placed(x, targets, fixed), [names[i] for i in targets], "spherical splines"


def _referenced(x, names, reference, left):
    """Subtract the mean of the reference channels, without the bad ones in `left`; signal and the names used."""
    xp = _array.namespace(x)
    if reference is None:
        return x, None
    if isinstance(reference, str) and reference != "average":
        raise ValueError(f'reference={reference!r}: give "average", a list of channel names, or null')
    wanted = names if reference == "average" else [str(name) for name in reference]
    missing = [name for name in wanted if name not in names]
    used = [name for name in wanted if name in names and name not in left]
    if missing or not used:
        raise Fault(
            "missing-channel",
            f"the reference {', '.join(wanted)} needs channels that "
            + (f"the recording does not have: {', '.join(missing)}" if missing else "are all bad and not interpolated"),
        )
    mean = xp.mean(_rows(x, [names.index(name) for name in used]), axis=0, keepdims=True)
    return x - mean, "average" if reference == "average" else used


def _rank(x, rows):
    """Number of independent channels among `rows`: for whoever inverts the covariance of the cleaned signal."""
    xp = _array.namespace(x)
    x = _rows(x, rows)
    x = x - xp.mean(x, axis=1, keepdims=True)
    variance = xp.linalg.eigvalsh(xp.matmul(x, x.T) / x.shape[1])
    return int(xp.sum(xp.astype(variance > asr.RANK_TOLERANCE * variance[-1], xp.int64)))
