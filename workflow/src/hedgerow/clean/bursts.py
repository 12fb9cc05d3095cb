"""Bursts: ASR calibrated on the recording itself, and the stretches that are beyond repair.

Needs the high-passed good channels (channels, samples); makes the repaired signal, and masks over samples as
stretches in s.
"""

import math

import numpy as np

from hedgerow import _array
from hedgerow.clean import asr, drifts, segments
from hedgerow.clean.filters import half_up

#: Below this many seconds of clean segments ASR calibrates on the whole recording (its statistics are robust).
CALIBRATION_SECONDS = 15.0

#: What ASR changes less than this (µV, summed over channels) it has not changed, and a run of samples between changed
#: ones that is not longer than this many counts as changed, too: as in the original.
UNCHANGED, SHORTEST = 1e-10, 5

ACTIONS = ("repair", "mark")


def repair(x, sfreq, names, cutoff, *, highpass=None, covariance="euclidean", memory_mb=None):
    """ASR calibrated on the clean segments of x itself.

    Parameters
    ----------
    x : array (channels, samples)
        In µV.
    names : list of str
        Channels.
    cutoff, covariance, memory_mb
        `asr.calibrate`, `asr.apply`.
    highpass : (float, float) or None
        Transition band in Hz of a high-pass for what ASR judges; the repair is that of x. For signals with slow waves
        of interest, whose amplitude would hide bursts.

    Returns
    -------
    y : array (channels, samples)
    account : dict
        cutoff, covariance, memory_mb, highpass, calibration ("clean segments" or "whole recording"),
        calibration_seconds, rank, and what `asr.apply` accounts for, its channel_variance_removed by name.
    """
    xp = _array.namespace(x)
    judged = x if highpass is None else drifts.highpass(x, sfreq, highpass)
    # No lower bound, as in clean_artifacts: a weak stretch does no harm to a calibration that looks for the strong.
    kept = segments.keep(judged, sfreq, 0.075, (-math.inf, 5.5))
    seconds, source = float(xp.sum(xp.astype(kept, xp.float64))) / sfreq, "clean segments"
    if seconds < CALIBRATION_SECONDS:
        seconds, source, calibration = x.shape[1] / sfreq, "whole recording", judged
    else:
        calibration = xp.take(judged, xp.nonzero(kept)[0], axis=1)
    state = asr.calibrate(calibration, sfreq, cutoff, covariance=covariance, memory_mb=memory_mb)
    y, account = asr.apply(x, sfreq, state, memory_mb=memory_mb, statistics=None if highpass is None else judged)
    account["channel_variance_removed"] = dict(zip(names, account["channel_variance_removed"]))
    return y, {
        "cutoff": float(cutoff),
        "covariance": covariance,
        "memory_mb": memory_mb,
        "highpass": None if highpass is None else list(highpass),
        "calibration": source,
        "calibration_seconds": seconds,
        "rank": state.rank,
        **account,
    }


def changed(before, after, sfreq, seconds):
    """Samples that ASR changed, and runs between them too short to be of use: bool ndarray (samples,).

    Parameters
    ----------
    before, after : array (channels, samples)
    sfreq : float
    seconds : list of [start, end]
        Stretches that ASR repaired: where the rank is low, rounding changes all samples.
    """
    xp = _array.namespace(before)
    mask = np.zeros(before.shape[1], dtype=bool)
    for start, stop in seconds:
        mask[round(start * sfreq) : round(stop * sfreq)] = True
    mask &= _array.to_numpy(xp.sum(xp.abs(before - after), axis=0)) >= UNCHANGED
    for start, stop in segments.stretches(~mask):
        if stop - start <= SHORTEST:
            mask[start:stop] = True
    return mask


def beyond_repair(x, sfreq, share, *, highpass=None, without=None):
    """Stretches in which too many channels are too strong: clean_artifacts' last step, on the good channels.

    Parameters
    ----------
    x : array (channels, samples)
        After ASR, before any channel is interpolated.
    share : float or None
        Share of the channels, 0 to 1, above which a second is bad; None: not looked for.
    highpass : (float, float) or None
        As in `repair`.
    without : bool ndarray (samples,), optional
        Samples that are bad already and no part of the statistics.

    Returns
    -------
    dict
        bad_segments (list of [start, end] in s, the end not part of it) and bad_share of the recording; both None
        where not looked for, or the recording is too short to tell.
    """
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"bad_segments={share}: give the share of channels, 0 to 1, or null")
    samples = x.shape[1]
    bad = np.zeros(samples, dtype=bool) if without is None else without.copy()
    rest = np.flatnonzero(~bad)
    told = share is not None and not segments.too_short(len(rest), sfreq)
    if told:
        x = x if highpass is None else drifts.highpass(x, sfreq, highpass)
        x = x if len(rest) == samples else _array.namespace(x).take(x, _array.like(rest, x), axis=1)
        kept = segments.keep(x, sfreq, int(half_up(share * x.shape[0])), (-math.inf, 7))
        bad[rest[~_array.to_numpy(kept)]] = True
    if not told and without is None:
        return {"bad_segments": None, "bad_share": None}
    found = segments.stretches(bad)
    return {
        "bad_segments": [[start / sfreq, stop / sfreq] for start, stop in found],
        "bad_share": sum(stop - start for start, stop in found) / samples,
    }
