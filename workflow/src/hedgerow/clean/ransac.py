"""What other channels predict: spherical splines from random subsets of the electrodes, and the median of them.

RANSAC (Fischler & Bolles, Communications of the ACM 24 (1981) 381-395) as EEGLAB's clean_rawdata plug-in uses it: a
prediction from a quarter of the channels is wrong where a bad one is among them, the median of many such predictions
is not. Subsets and weights are made on the host (a few hundred thousand numbers), predictions where the signal is.
"""

import math

import numpy as np
from array_api_compat import is_numpy_array

from hedgerow import _array
from hedgerow.clean.filters import half_up, zero_phase

#: Predictions are made in blocks of about this many values: they stay in a processor's cache while they are sorted.
_BLOCK = 2**18

#: Terms of the series of a spline. They fall with the seventh power: what is left out is below double precision.
_TERMS = 500

#: Stiffness of the splines, on the diagonal of their equations, where entries are at most 0.015: a spline all but
#: passes through its electrodes, and two electrodes at one place do no harm.
_SMOOTHING = 1e-5


def subsets(channels, size, draws, seed):
    """Random subsets of the channels: int64 ndarray (draws, size), no channel twice in a row.

    The stream of MT19937 that `seed` starts is consumed from the last row to the first; each number u picks the
    channel at place round(1 + (n - 1) u) of the n that are left in the row. With seed 5489 and 50 draws these are the
    subsets of the original. They are places in the order of the channels: in another order other channels are drawn.
    """
    stream = np.random.RandomState(seed)
    chosen = np.empty((draws, size), dtype=np.int64)
    for row in reversed(range(draws)):
        left = list(range(channels))
        for i, u in enumerate(stream.random_sample(size)):
            chosen[row, i] = left.pop(int(half_up(1 + (len(left) - 1) * u)) - 1)
    return chosen


def directions(positions):
    """Directions in which electrodes lie from the centre of the head: unit vectors, ndarray (channels, 3).

    The centre is that of the sphere which the electrodes fit best (linear least squares of Kåsa, IEEE Transactions on
    Instrumentation and Measurement 25 (1976) 8-14), for in head coordinates the origin lies between the ears, some
    4 cm below it. So neither scale nor rotation nor origin of the positions matters, and positions on a sphere around
    their origin keep their directions. Where electrodes lie in a plane, which fits many spheres, the centre is the
    one in it.

    Parameters
    ----------
    positions : ndarray (channels, 3)
        In any unit; finite, not all at one place.
    """
    middle = positions.mean(axis=0)
    offsets = positions - middle
    offsets = offsets / np.sqrt(np.mean(np.sum(offsets**2, axis=1)))
    squares = np.sum(offsets**2, axis=1)
    centre = np.linalg.lstsq(2 * offsets, squares - squares.mean(), rcond=1e-6)[0]
    offsets = offsets - centre
    length = np.linalg.norm(offsets, axis=1, keepdims=True)
    return offsets / np.where(length > 0, length, 1)


def filtered(x, start, stop, kernel):
    """Samples `start` to `stop` of what `zero_phase` makes of x; (channels, stop - start).

    The samples that the kernel reaches on either side are enough for it: so a window can be had without the rest, in
    memory that does not grow with the recording, and FFTs of that length are the fastest.

    Parameters
    ----------
    x : array (channels, samples)
        Of more samples than the kernel has taps.
    kernel : ndarray (taps,) or None
        None: x as it is.
    """
    if kernel is None:
        return x[:, start:stop]
    first, last = max(0, start - len(kernel)), min(x.shape[1], stop + len(kernel))
    # never fewer than `zero_phase` mirrors at the ends
    first = max(0, min(first, last - len(kernel) - 1))
    last = min(x.shape[1], max(last, first + len(kernel) + 1))
    return zero_phase(x[:, first:last], kernel)[:, start - first : stop - first]


def unpredicted(x, sfreq, places, chosen, least, window, max_broken, kernel=None):
    """Channels whose correlation with what the others predict stays below `least` for too much of the time.

    Parameters
    ----------
    x : array (channels, samples)
        Around zero (high-passed): the correlation is that of the values, not of their deviations from a mean.
    sfreq : float
        Sampling rate in Hz; windows and tolerance count whole Hz, as in the original.
    places : ndarray (channels, 3)
        `directions`.
    chosen : int ndarray (draws, size)
        `subsets`.
    least : float
        Least correlation, -1 to 1.
    window : float
        Length of the windows in s. They lie side by side; the last one ends before the recording does.
    max_broken : float
        Below 1: share of the recording that a channel may be broken; otherwise seconds.
    kernel : ndarray (taps,), optional
        Of a filter that x goes through first (`filtered`).

    Returns
    -------
    bool ndarray (channels,)
        True where the channel is bad. A channel that is zero in a window does not count as broken there.
    """
    xp = _array.namespace(x)
    channels, samples = x.shape
    rate = int(half_up(sfreq))
    length = int(window * rate)
    starts = range(0, samples - length, length)
    tolerated = samples * max_broken if max_broken < 1 else rate * max_broken
    limit = int(np.sum(np.arange(len(starts) + 1) * length <= tolerated))  # broken windows that make a channel bad
    subset, by = _array.like(chosen, x), _array.like(weights(places, chosen), x)
    broken = np.zeros(channels, dtype=np.int64)
    for i, start in enumerate(starts):
        # Most channels are decided half-way: bad already, or good whatever comes.
        open_ = np.flatnonzero((broken < limit) & (broken + len(starts) - i >= limit))
        if not open_.size:
            break
        targets, part = _array.like(open_, x), filtered(x, start, start + length, kernel)
        guess = predicted(part, subset, by, targets)
        part = xp.take(part, targets, axis=0)
        # Compared as a product: zero, which has no correlation, is no less than zero.
        bound = least * xp.sqrt(xp.sum(part**2, axis=1)) * xp.sqrt(xp.sum(guess**2, axis=1))
        broken[open_] += _array.to_numpy(xp.sum(part * guess, axis=1) < bound)
    return broken >= limit


def weights(places, chosen):
    """Weights of spherical splines through each subset of the electrodes, at all electrodes.

    F. Perrin, J. Pernier, O. Bertrand & J. F. Echallier, Spherical splines for scalp potential and current density
    mapping, Electroencephalography and Clinical Neurophysiology 72 (1989) 184-187, with m = 4: the potential at a
    place is c0 + sum over the electrodes of c_i g(cos(angle to i)), where the c_i add up to 0 and c0 + sum c_j g_ij +
    smoothing c_i is what electrode i measures.

    Parameters
    ----------
    places : ndarray (channels, 3)
        Unit vectors.
    chosen : int ndarray (draws, size)
        Electrodes of each subset.

    Returns
    -------
    ndarray (draws, channels, size)
        Each row adds up to 1, so that the reference does not matter.
    """
    draws, size = chosen.shape
    g = _spline(np.clip(places @ places.T, -1, 1))
    equations = np.zeros((draws, size + 1, size + 1))
    equations[:, :size, :size] = g[chosen[:, :, None], chosen[:, None, :]] + _SMOOTHING * np.eye(size)
    equations[:, size, :size] = equations[:, :size, size] = 1
    bases = np.ones((draws, size + 1, len(places)))
    bases[:, :size] = g[chosen]
    # the equations are symmetric: solved for what the bases are at each place, they give its weights
    return np.linalg.solve(equations, bases)[:, :size].swapaxes(1, 2)


def _spline(cosines):
    """Perrin's g for m = 4: sum over n >= 1 of (2 n + 1) / (n (n + 1))^4 P_n(cosine), over 4 pi."""
    n = np.arange(1, _TERMS + 1, dtype=float)
    series = np.concatenate([[0.0], (2 * n + 1) / (n * (n + 1)) ** 4 / (4 * np.pi)])
    return np.polynomial.legendre.legval(cosines, series)


def predicted(x, chosen, by, targets):
    """Median over the subsets of what each predicts for the target channels.

    Parameters
    ----------
    x : array (channels, samples)
    chosen : int array (draws, size)
        Channels of each subset, the kind of x.
    by : array (draws, channels, size)
        `weights`, the kind of x.
    targets : int array (targets,)
        Channels to predict, the kind of x.

    Returns
    -------
    array (targets, samples)
        Of an even number of predictions the lower of the two in the middle, as in the original.
    """
    xp = _array.namespace(x)
    draws, size = chosen.shape
    chosen, by = xp.reshape(chosen, (-1,)), xp.take(by, targets, axis=1)
    rank, count = int(half_up(draws / 2)) - 1, by.shape[1]
    step, done = max(1, _array.room(x, _BLOCK) // (draws * count)), []
    median = _median_in(np.empty((2, draws * count * step), dtype=x.dtype)) if is_numpy_array(x) else _median
    for first in range(0, x.shape[1], step):
        seen = xp.take(x[:, first : min(first + step, x.shape[1])], chosen, axis=0)
        done.append(median(by, xp.reshape(seen, (draws, size, -1)), rank))
    return xp.concat(done, axis=1)


def _median(by, seen, rank):
    """The value of that rank among the predictions from `seen` (draws, size, samples): (targets, samples)."""
    xp = _array.namespace(seen)
    each = xp.matmul(by, seen)  # (draws, targets, samples)
    rows = xp.reshape(each, (each.shape[0], -1)).T
    return xp.reshape(xp.sort(rows, axis=1, stable=False)[:, rank], each.shape[1:])


def _median_in(room):
    """`_median` in memory that is used again: asked for anew at every block, it would cost more than the sorting."""

    def median(by, seen, rank):
        shape = len(by), by.shape[1], seen.shape[2]
        each = room[0, : math.prod(shape)].reshape(shape)
        rows = room[1, : each.size].reshape(-1, shape[0])
        np.matmul(by, seen, out=each)
        rows[...] = each.reshape(shape[0], -1).T
        rows.sort(axis=1)
        return rows[:, rank].copy().reshape(shape[1:])

    return median
