"""Bad channels: flat ones, and ones that no other channel resembles.

Needs a signal (channels, samples); makes boolean masks (channels,), True where a channel is bad.
"""

import math

import array_api_compat
import numpy as np

from hedgerow import _array
from hedgerow.clean import filters

#: Largest step between samples that still counts as flat: 20 units of double precision at 1 µV.
_JITTER = 20 * 2.0**-52


def flat(x, sfreq, max_seconds=5.0):
    """Channels that stand still for longer than `max_seconds` at a stretch.

    Parameters
    ----------
    x : array (channels, samples)
        Raw signal in µV, before any filter (a filter's rounding makes a dead channel move).
    sfreq : float
        Sampling rate in Hz.
    max_seconds : float
        Longest stretch that is tolerated, in s.

    Returns
    -------
    bool array (channels,)
        True where the channel is bad.
    """
    xp = _array.namespace(x)
    longest = math.floor(max_seconds * sfreq) + 1
    bad = []
    for channel in range(x.shape[0]):
        still = xp.abs(xp.diff(x[channel, :])) < _JITTER
        count = xp.cumulative_sum(xp.astype(still, xp.int64), include_initial=True)
        bad.append(xp.any(count[longest:] - count[: max(count.shape[0] - longest, 0)] == longest))
    return xp.stack(bad)


def uncorrelated(x, sfreq, *, correlation=0.45, ignored=0.1, window=2.0, max_broken=0.5, line_noise_aware=True):
    """Channels that resemble too few of the others for too much of the time; positions are not needed.

    In each window a channel is broken where its absolute correlation with all but the most similar channels stays
    below `correlation`: the clean_channels_nolocs stage of EEGLAB's clean_rawdata plug-in.

    Parameters
    ----------
    x : array (channels, samples)
        High-passed signal.
    sfreq : float
        Sampling rate in Hz.
    correlation : float
        Least absolute correlation, 0 to 1.
    ignored : float
        Share of the channels, the most similar ones and the channel itself among them, that does not count; so
        channels bridged with each other do not vouch for each other.
    window : float
        Length of the windows in s.
    max_broken : float
        Below 1: share of the recording that a channel may be broken; otherwise seconds.
    line_noise_aware : bool
        Take 50 and 60 Hz out before correlating, so that shared hum is no resemblance. Between 100 and 110 Hz
        everything above 50 Hz goes; at 100 Hz or less there is nothing to take out.

    Returns
    -------
    bool array (channels,)
        True where the channel is bad. A channel that is constant in a window has no correlation there and does not
        count as broken: `flat` finds those.

    Raises
    ------
    Fault
        ``too-short`` where x is shorter than the notch filter (about half a second).
    """
    xp = _array.namespace(x)
    channels, samples = x.shape
    if line_noise_aware and sfreq > 100:
        x = filters.zero_phase(x, _notch(sfreq))
    length = window * sfreq
    starts = np.arange(0, max(samples - length, 0), length).astype(int).tolist()
    counted = channels - math.ceil(channels * ignored)
    broken = xp.zeros(channels, dtype=xp.int64, device=array_api_compat.device(x))
    for start in starts:
        likeness = xp.sort(_correlations(x[:, start : start + int(length)]), axis=1)
        if counted > 0:
            broken = broken + xp.astype(likeness[:, counted - 1] < correlation, xp.int64)
    tolerated = samples * max_broken if 0 < max_broken < 1 else sfreq * max_broken
    return xp.astype(broken, x.dtype) * length > tolerated


def _correlations(x):
    """Absolute correlations of the rows of x; 2, above any threshold, where one of the two rows is constant."""
    xp = _array.namespace(x)
    x = x - xp.mean(x, axis=1, keepdims=True)
    products = xp.matmul(x, x.T)
    norm = xp.sqrt(xp.linalg.diagonal(products))
    scale = norm[:, None] * norm[None, :]
    defined = scale > 0
    quotient = xp.abs(products) / xp.where(defined, scale, xp.ones_like(scale))
    return xp.where(defined, quotient, xp.full_like(quotient, 2.0))


def _notch(sfreq):
    """Kernel that takes out 50 and 60 Hz, as far as the sampling rate reaches."""
    window = filters.kaiser(2 * (50 - 45) / sfreq, 60)
    if sfreq <= 110:
        edges, gains = [0, 45, 50, sfreq / 2], [1, 1, 0, 0]
    elif sfreq <= 130:
        edges, gains = [0, 45, 50, 55, sfreq / 2], [1, 1, 0, 1, 1]
    else:
        edges, gains = [0, 45, 50, 55, 60, 65, sfreq / 2], [1, 1, 0, 1, 0, 1, 1]
    return filters.fir(window, 2 * np.array(edges) / sfreq, gains)
