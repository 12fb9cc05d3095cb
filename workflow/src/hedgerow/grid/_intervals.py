"""Intervals from replicates, for all cells at once; the replicates stand along the last axis and are put in order.

The quantile of share q of B replicates is the (B + 1) q-th in order, between two by linear interpolation, and never
beyond the first or the last (A. C. Davison & D. V. Hinkley 1997, Bootstrap Methods and their Application, ch. 5.2).
"""

import numpy as np
from scipy.special import ndtr, ndtri

from hedgerow import _array


def ordered(values):
    """`values` in order along the last axis; a numpy array is put in order where it is."""
    if isinstance(values, np.ndarray):
        values.sort(axis=-1)
        return values
    # a stable sort, the standard's default, takes nine times as long
    return _array.namespace(values).sort(values, axis=-1, stable=False)


def quantile(values, share):
    """Quantile of ordered `values` (..., B): `share` is a number, or a host array of the shape of a cell's values."""
    xp, many = _array.namespace(values), values.shape[-1]
    place = np.clip(np.asarray(share, dtype=float) * (many + 1) - 1, 0, many - 1)
    below = np.minimum(np.floor(place), many - 2).astype(np.int64)
    part = place - below
    if place.ndim == 0:
        low, high = values[..., int(below)], values[..., int(below) + 1]
        low, high = xp.astype(low, xp.float64), xp.astype(high, xp.float64)
        return low + float(part) * (high - low)
    flat = xp.reshape(values, (-1,))
    first = np.arange(below.size) * many + below.ravel()
    low, high = (xp.astype(xp.take(flat, _array.like(at, flat)), xp.float64) for at in (first, first + 1))
    part = _array.like(part.ravel(), flat, dtype=xp.float64)
    return xp.reshape(low + part * (high - low), below.shape)


def percentile(estimate, deviations, level):
    """Limits (k, w) from deviations from the estimate (k, w, B), in order: quantiles of the replicates."""
    return tuple(estimate + quantile(deviations, share) for share in ((1 - level) / 2, (1 + level) / 2))


def studentised(estimate, se, t, level):
    """Limits (k, w) from t of the replicates (k, w, B), in order: the upper quantile gives the lower limit."""
    return tuple(estimate - se * quantile(t, share) for share in ((1 + level) / 2, (1 - level) / 2))


def symmetric(estimate, se, sizes, level):
    """Limits (k, w) from magnitudes of t of the replicates (k, w, B), in order."""
    reach = se * quantile(sizes, level)
    return estimate - reach, estimate + reach


def bca(estimate, deviations, acceleration, level):
    """Limits (k, w), corrected for bias and acceleration (B. Efron 1987, J. Am. Stat. Assoc. 82:171-185).

    Parameters
    ----------
    estimate : array (k, w)
    deviations : array (k, w, B)
        Of the replicates from the estimate, in order.
    acceleration : array (k, w)
        A sixth of the skewness of what leaving out each unit does to the estimate.
    level : float
    """
    many = deviations.shape[-1]
    # one number per cell, for which the host has the normal distribution; no replicate on a side counts as half a one
    below = _array.to_numpy(counted(deviations < 0)) + 0.5 * _array.to_numpy(counted(deviations == 0))
    shift = ndtri(np.clip(below / many, 0.5 / many, 1 - 0.5 / many))
    bend = _array.to_numpy(acceleration)
    limits = []
    for share in ((1 - level) / 2, (1 + level) / 2):
        reach = shift + ndtri(share)
        limits.append(estimate + quantile(deviations, ndtr(shift + reach / (1 - bend * reach))))
    return tuple(limits)


def counted(mask):
    """How many are true along the last axis."""
    if isinstance(mask, np.ndarray):
        return np.count_nonzero(mask, axis=-1)
    xp = _array.namespace(mask)
    return xp.sum(xp.astype(mask, xp.int64), axis=-1)


def skewness(sums, squares, cubes, units):
    """Acceleration from sums over units of D, D² and D³, D the estimate less what it is without the unit.

    A sixth of the third over the power 3/2 of the second central moment, both as sums; 0 where nothing varies.
    """
    xp = _array.namespace(sums)
    mean = sums / units
    second = squares - units * mean**2
    third = cubes - 3 * mean * squares + 2 * units * mean**3
    spread = second > 1e-12 * squares
    safe = xp.where(spread, second, xp.ones_like(second))
    return xp.where(spread, third / (6 * safe**1.5), xp.zeros_like(third))
