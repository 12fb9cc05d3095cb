"""Bad stretches of time: windows in which too many channels are unusually strong or weak.

Needs a high-passed signal (channels, samples); makes a boolean mask over samples, True where they are good.
"""

import math

import numpy as np

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import robust
from hedgerow.clean.filters import half_up


def keep(x, sfreq, max_bad=0.075, tolerances=(-3.5, 5.5), window=1.0):
    """Samples that lie in no bad window: the clean_windows stage of EEGLAB's clean_rawdata plug-in.

    Parameters
    ----------
    x : array (channels, samples)
        High-passed signal.
    sfreq : float
        Sampling rate in Hz.
    max_bad : float
        Below 1: share of the channels, otherwise their number, that may exceed a tolerance in a good window.
    tolerances : (float, float)
        Lower and upper bound of a channel's RMS amplitude in SDs of its clean amplitudes. A lower bound that is not
        negative (or an upper one that is not positive) is not applied; -inf likewise.
    window : float
        Length of the windows in s; they overlap by 66 %.

    Returns
    -------
    bool array (samples,)
        True where the sample is kept.

    Raises
    ------
    Fault
        ``too-short`` where x has fewer than 20 windows.
    """
    xp = _array.namespace(x)
    channels, samples = x.shape
    length = int(half_up(window * sfreq))
    starts = robust.window_starts(samples, length)
    if too_short(samples, sfreq, window):
        raise Fault(
            "too-short",
            f"the recording is {samples / sfreq:.2f} s long: too short for the {robust.FEWEST_WINDOWS} windows of "
            f"{window:g} s by which clean segments are told",
        )
    amplitude = robust.rms(x, starts, length)
    mean, sd = robust.clean_amplitude(amplitude)
    # A channel whose clean amplitudes are all equal has no scale to judge by, and gives no verdict.
    scale = xp.where(sd > 0, sd, xp.full_like(sd, math.inf))
    z = xp.sort((amplitude - mean[:, None]) / scale[:, None], axis=0)
    allowed = int(half_up(channels * max_bad)) if 0 < max_bad < 1 else int(max_bad)
    allowed = min(allowed, channels - 1)
    bad = xp.zeros_like(z[0, :], dtype=xp.bool)
    if tolerances[1] > 0:
        bad = bad | (z[channels - 1 - allowed, :] > tolerances[1])
    if tolerances[0] < 0:
        bad = bad | (z[allowed, :] < tolerances[0])
    return _outside(bad, starts, length, samples)


def too_short(samples, sfreq, window=1.0):
    """Whether a recording of so many samples has too few windows to tell good ones from bad."""
    return len(robust.window_starts(samples, int(half_up(window * sfreq)))) < robust.FEWEST_WINDOWS


def stretches(mask):
    """Runs of True in a mask.

    Parameters
    ----------
    mask : array_like of bool (samples,)

    Returns
    -------
    list of (int, int)
        First sample of each run and the one after its last.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(mask, dtype=np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))


def _outside(bad, starts, length, samples):
    """Samples that no bad window covers, by the first window at or after the one that starts `length` earlier."""
    xp = _array.namespace(bad)
    count = xp.cumulative_sum(xp.astype(bad, xp.int64), include_initial=True)
    sample = np.arange(samples)
    first = np.searchsorted(starts, sample - length, side="right")
    last = np.searchsorted(starts, sample, side="right")
    return xp.take(count, _array.like(last, bad)) == xp.take(count, _array.like(first, bad))
