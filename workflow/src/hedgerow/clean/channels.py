"""Bad channels: flat ones, noisy ones, and ones that the others do not predict or resemble.

Needs a signal (channels, samples), and positions where they are known; makes boolean masks (channels,), True where a
channel is bad.
"""

import math

import array_api_compat
import numpy as np

from hedgerow import _array, splines
from hedgerow.account import Fault
from hedgerow.clean import filters
from hedgerow.clean import ransac as prediction

#: Largest step between samples that still counts as flat: 20 units of double precision at 1 µV.
_JITTER = 20 * 2.0**-52

#: Line noise is looked for in groups of channels of about this many values, which bounds the memory.
_GROUP = 2**20

#: Samples that are filtered at a time: FFTs of about this length are the fastest.
_SPAN = 4096


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
    # A stretch holds several samples of any coarse grid: few channels stand still at so many of them in a row.
    step = max(1, longest // 8)
    on_grid = _stretch(_still(x[:, : x.shape[1] - 1 : step], x[:, 1::step]), longest // step)
    bad = [
        _stretch(_still(x[i : i + 1, :-1], x[i : i + 1, 1:]), longest) if suspect else on_grid[i : i + 1]
        for i, suspect in enumerate(_array.to_numpy(on_grid).tolist())
    ]
    return xp.concat(bad)


def _still(before, after):
    return _array.namespace(before).abs(after - before) < _JITTER


def _stretch(still, longest):
    """Rows of `still` (channels, steps) that hold a run of `longest` True."""
    xp = _array.namespace(still)
    count = xp.cumulative_sum(xp.astype(still, xp.int64), axis=1, include_initial=True)
    return xp.any(count[:, longest:] - count[:, : max(count.shape[1] - longest, 0)] == longest, axis=1)


def noisy(x, sfreq, sd=4.0):
    """Channels with too much above 50 Hz for what they have below: line noise and whatever else reaches up there.

    The line-noise criterion of the clean_channels stage of EEGLAB's clean_rawdata plug-in: the ratio of the median
    absolute deviations above and below 50 Hz, `sd` robust standard deviations (1.4826 median absolute deviations)
    above the median channel's.

    Parameters
    ----------
    x : array (channels, samples)
        High-passed signal.
    sfreq : float
        Sampling rate in Hz. At 100 Hz or less nothing is above 50 Hz and no channel noisy.
    sd : float
        Standard deviations that are tolerated.

    Returns
    -------
    bool array (channels,)
        True where the channel is bad. A channel with nothing below 50 Hz (`flat` finds those) is not noisy and no
        part of the median either.

    Raises
    ------
    Fault
        ``too-short`` where x is shorter than the filter at 50 Hz (102 samples).
    """
    bad = np.zeros(x.shape[0], dtype=bool)
    if sfreq <= 100:
        return _array.like(bad, x)
    kernel, group = _below_50(x, sfreq), max(1, _array.room(x, _GROUP) // x.shape[1])
    groups = [x[i : min(i + group, len(bad)), :] for i in range(0, len(bad), group)]
    above, below = np.concatenate([_array.to_numpy(_deviations(part, kernel)) for part in groups], axis=1)
    moving = below > 0
    ratio = above[moving] / below[moving]
    if ratio.size:
        excess = ratio - np.median(ratio)
        bad[moving] = excess > sd * 1.4826 * np.median(np.abs(excess))
    return _array.like(bad, x)


def placed(positions, channels, subset=0.25):
    """Channels that `uncorrelated` judges by what the others predict, the rest by the variant without positions.

    Parameters
    ----------
    positions : array_like (channels, 3) or None
        Electrode positions; NaN where unknown. The origin itself is no position either.
    channels : int
        Channels of the recording.
    subset : float
        As in `uncorrelated`.

    Returns
    -------
    bool ndarray (channels,)
        True where the electrode has a position. False everywhere where fewer than half of the channels have one (the
        original refuses these) or a subset has fewer than 3 channels (no spline): 10 channels are needed at 0.25.
    """
    if positions is None:
        return np.zeros(channels, dtype=bool)
    positions = np.asarray(positions, dtype=float)
    if positions.shape != (channels, 3):
        raise ValueError(f"positions: shape {positions.shape} for {channels} channels, expected ({channels}, 3)")
    known = splines.placed(positions)
    enough = 2 * known.sum() >= channels and splines.FEWEST <= _size(channels, subset) <= known.sum()
    return known & enough


def _size(channels, subset):
    """Channels of a subset: a share of all channels where below 1, as in the original, otherwise their number."""
    if not subset > 0:
        raise ValueError(f"subset={subset}: give a share of the channels, or their number")
    return int(filters.half_up(channels * subset)) if subset < 1 else int(subset)


def uncorrelated(
    x,
    sfreq,
    positions=None,
    *,
    ransac=0.8,
    correlation=0.45,
    window=None,
    max_broken=0.5,
    samples=50,
    subset=0.25,
    ignored=0.1,
    line_noise_aware=True,
    seed=5489,
):
    """Channels that the others do not predict, or resemble, for too much of the time.

    Where electrodes have positions (`placed`) a channel is broken in a window where its correlation with what the
    others predict stays below `ransac`: the clean_channels stage of EEGLAB's clean_rawdata plug-in. The prediction is
    the median, sample by sample, of spherical splines through `samples` random subsets of the electrodes. Only what
    is below 50 Hz counts. The other channels are broken where their absolute correlation with all but the most
    similar channels, placed or not, stays below `correlation`: the clean_channels_nolocs stage.

    Parameters
    ----------
    x : array (channels, samples)
        High-passed signal.
    sfreq : float
        Sampling rate in Hz.
    positions : array_like (channels, 3), optional
        Electrode positions in m, NaN where unknown. Directions from the centre of the sphere that fits them count
        (`ransac.directions`): scale, rotation and origin do not.
    ransac : float
        Least correlation with the prediction, -1 to 1.
    correlation : float
        Least absolute correlation with other channels, 0 to 1.
    window : float, optional
        Length of the windows in s; None: 5 with positions, 2 without.
    max_broken : float
        Below 1: share of the recording that a channel may be broken; otherwise seconds.
    samples : int
        Subsets of the electrodes.
    subset : float
        Below 1: share of the channels in a subset; otherwise their number.
    ignored : float
        Without positions: share of the channels, the most similar ones and the channel itself among them, that does
        not count; so channels bridged with each other do not vouch for each other.
    line_noise_aware : bool
        Without positions: take 50 and 60 Hz out before correlating, so that shared hum is no resemblance. Between 100
        and 110 Hz everything above 50 Hz goes; at 100 Hz or less there is nothing to take out.
    seed : int
        Of the subsets. They are places in the order of the channels, so that with positions another order draws other
        subsets.

    Returns
    -------
    bool array (channels,)
        True where the channel is bad. A channel that is constant (with positions: zero) in a window has no
        correlation there and does not count as broken: `flat` finds those. A recording that is not longer than a
        window has no bad channel.

    Raises
    ------
    Fault
        ``too-short`` where x is shorter than a filter (102 samples at 50 Hz; half a second for the notch).
    """
    xp = _array.namespace(x)
    if window is not None and not window * sfreq >= 1:
        raise ValueError(f"window={window}: give seconds, at least one sample")
    known = placed(positions, x.shape[0], subset)
    bad = np.zeros(x.shape[0], dtype=bool)
    if not known.all():
        length = 2.0 if window is None else window
        bad = ~known & _unlike(x, sfreq, correlation, length, max_broken, ignored, line_noise_aware)
    if known.any():
        rows = np.flatnonzero(known)
        places = prediction.directions(np.asarray(positions, dtype=float)[rows])
        subsets = prediction.subsets(len(rows), _size(len(bad), subset), samples, seed)
        x = x if known.all() else xp.take(x, _array.like(rows, x), axis=0)
        kernel = _below_50(x, sfreq) if sfreq > 100 else None
        length = 5.0 if window is None else window
        bad[rows] = prediction.unpredicted(x, sfreq, places, subsets, ransac, length, max_broken, kernel)
    return _array.like(bad, x)


def _unlike(x, sfreq, correlation, window, max_broken, ignored, line_noise_aware):
    """Channels that resemble too few of the others, whatever their positions; bool ndarray (channels,)."""
    xp = _array.namespace(x)
    channels, samples = x.shape
    if line_noise_aware and sfreq > 100:
        x = filters.zero_phase(x, _fitting(_notch(sfreq), x, sfreq))
    length = window * sfreq
    starts = np.arange(0, max(samples - length, 0), length).astype(int).tolist()
    counted = channels - math.ceil(channels * ignored)
    broken = xp.zeros(channels, dtype=xp.int64, device=array_api_compat.device(x))
    for start in starts:
        likeness = xp.sort(_correlations(x[:, start : start + int(length)]), axis=1)
        if counted > 0:
            broken = broken + xp.astype(likeness[:, counted - 1] < correlation, xp.int64)
    tolerated = samples * max_broken if 0 < max_broken < 1 else sfreq * max_broken
    return _array.to_numpy(broken) * length > tolerated


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


def _deviations(x, kernel):
    """Median absolute deviations of each row of x: of what the kernel leaves out, and of what it keeps; (2, rows)."""
    xp = _array.namespace(x)
    stops = range(_SPAN, x.shape[1] + _SPAN, _SPAN)
    kept = xp.concat([prediction.filtered(x, s - _SPAN, min(s, x.shape[1]), kernel) for s in stops], axis=1)
    return xp.stack([_array.medians(xp.abs(part - _array.medians(part)[:, None])) for part in (x - kept, kept)])


def _below_50(x, sfreq):
    """Kernel that takes out what is above 50 Hz; the band from 45 to 50 Hz lies in between."""
    return _fitting(filters.fir(np.hamming(101), 2 * np.array([0, 45, 50, sfreq / 2]) / sfreq, [1, 1, 0, 0]), x, sfreq)


def _fitting(kernel, x, sfreq):
    """The kernel, if x is long enough for it."""
    if x.shape[1] > len(kernel):
        return kernel
    raise Fault(
        "too-short",
        f"the recording is {x.shape[1] / sfreq:.2f} s long, a filter before bad channels are looked for "
        f"{len(kernel) / sfreq:.2f} s: leave the recording out, or set noise_sd, ransac and correlation to null",
    )


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
