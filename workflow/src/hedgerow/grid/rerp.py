"""Regression ERPs: responses that overlap in the continuous signal, told apart by least squares.

A window around an event holds the responses to its neighbours too. Here every sample of the continuous signal is the
sum of the responses to all events near it: each coefficient of the formula is estimated at each lag, together. Nothing
is averaged and no baseline is subtracted, which would hold the neighbours' responses: slow drifts are left to the
high-pass filter of the cleaning.

`moments` makes, of one recording, the same sums as `hedgerow.grid.ols.moments`, with coefficient x lag in place of
coefficients and channels in place of cells: they add up over recordings and people, and `ols.combine`, the fit with
errors robust against all dependence within a person, and the bootstrap over people take them as they are. Samples are
not independent, so that errors and intervals mean something over people alone.

The matrix (samples, coefficients x lags) is never made. Its cross products are those of pairs of events closer than the
span of the lags, each constant along a diagonal but for samples that are left out: bad ones, and those that no response
reaches, which say nothing about any response.

Sources: N. J. Smith & M. Kutas (2015), Psychophysiology 52:169-181 (regression ERPs with overlap); B. V. Ehinger &
O. Dimigen (2019), PeerJ 7:e7838 (time expansion, masks).
"""

import array_api_compat
import numpy as np

from hedgerow import _array
from hedgerow.grid import _lags, ols

#: Bytes of working memory for windows or cross products at a time.
_ROOM = 2**26


def samples(times, sfreq):
    """Nearest sample of each time (s), halves upwards, as windows are cut."""
    return np.floor(np.round(np.asarray(times, dtype=float) * sfreq, 6) + 0.5).astype(np.int64)


def points(lags, sfreq):
    """Times (s) after the event at which responses are estimated, from the first of `lags` to before the last."""
    return np.round(lags[0] + np.arange(_lags.number(lags, sfreq)) / sfreq, 9).tolist()


def moments(X, starts, Y, length, *, group, basis=None, good=None):
    """Sums of one recording from which overlapping responses are estimated.

    Parameters
    ----------
    X : numpy.ndarray, (events, p)
        Rows of the design matrix, one per event; any order. No event is allowed.
    starts : array_like of int, (events,)
        Sample at which the first lag of each event falls; it may lie before the recording, or the last lag after it.
    Y : array, (channels, samples)
        Continuous signal; any unit, finite where it is good.
    length : int
        Number of lags L.
    group : str
        Whose recording it is: what is resampled and robust against.
    basis : array_like, (p, p), optional
        `Design.basis`; the same for all recordings. ``None``: X as it is.
    good : array_like of bool, (samples,), optional
        False where the signal is not to be used.

    Returns
    -------
    dict
        As from `ols.moments` for the single group, float64 arrays of the kind of `Y`: ``n`` counts samples, rows are
        coefficient-major x lag (p * L), cells are channels, ``basis`` is that of the design at every lag.

    Raises
    ------
    ValueError
        Unlike lengths, or samples that are not finite and not marked.
    """
    xp, count = _array.namespace(Y), Y.shape[1]
    basis = np.eye(X.shape[1]) if basis is None else np.asarray(basis, dtype=float)
    X, starts = ols.rebased(np.asarray(X, dtype=float), basis, np.empty(0)), np.asarray(starts, dtype=np.int64)
    good = np.ones(count, dtype=bool) if good is None else np.asarray(good, dtype=bool)
    if not (len(X) == len(starts) and len(good) == count):
        raise ValueError(
            f"{len(X)} rows of the design, {len(starts)} events, {count} samples and a mask of {len(good)} differ."
        )
    order = np.argsort(starts, kind="stable")
    order = order[(starts[order] > -length) & (starts[order] < count)]
    X, starts = X[order], starts[order]
    used = good & reached(starts, length, count)
    Y = xp.where(_array.like(used, Y)[None, :], xp.astype(Y, xp.float64), _zero(Y))
    squares = xp.sum(Y * Y, axis=1)
    if not bool(xp.all(xp.isfinite(squares))):
        bad = int(xp.sum(xp.astype(~xp.all(xp.isfinite(Y), axis=0), xp.int64)))
        raise ValueError(f"group {group!r}: {bad} of {count} samples are not finite; mark them as bad.")
    products = _window_products(X, starts, Y, length)
    weight = _window_products(X, starts, used[None, :].astype(float), length)
    return {
        "groups": np.array([str(group)]),
        "n": np.array([int(used.sum())]),
        "Xsum": _array.like(weight[:, 0], Y)[None, :],
        "XtX": _array.like(cross_products(X, starts, used, length), Y)[None, ...],
        "XtY": products[None, ...],
        "YtY": squares[None, :],
        "Ysum": xp.sum(Y, axis=1)[None, :],
        "basis": _array.like(spread(basis, length), Y),
    }


def reached(starts, length, count):
    """Which of `count` samples lie within the lags of any event: bool (count,)."""
    edges = np.zeros(count + 1, dtype=np.int64)
    np.add.at(edges, np.clip(starts, 0, count), 1)
    np.add.at(edges, np.clip(np.asarray(starts) + length, 0, count), -1)
    return np.cumsum(edges[:-1]) > 0


def cross_products(X, starts, used, length):
    """X'X (p * L, p * L) of the lagged design over the samples that are `used`, without the design.

    Parameters
    ----------
    X : numpy.ndarray, (events, p)
    starts : numpy.ndarray of int, (events,)
        Ascending.
    used : numpy.ndarray of bool, (samples,)
    length : int
        Number of lags L.

    Notes
    -----
    Two events that start d samples apart meet in the samples of lags l + d of the earlier and l of the later one: the
    product of their rows stands on the d-th diagonal, in runs of l where no sample is left out. Runs are kept as
    differences, +1 where they begin and -1 behind their end, and summed along the diagonals once, at the end.
    """
    p = X.shape[1]
    steps = np.zeros((length, length + 1, p, p))  # (distance, lag of the later event, earlier, later)
    flat = steps.reshape(-1, p, p)
    for first, second in _pairs(starts, length, max(1, _ROOM // (16 * p * p))):
        begin, end = starts[second], starts[first] + length
        which, low, high = _runs(used, begin, end)
        distance = (begin - starts[first])[which]
        product = X[first[which], :, None] * X[second[which], None, :]
        # of events at one time, each meets the other
        twice = (distance == 0) & (first != second)[which]
        product[twice] += product[twice].swapaxes(1, 2)
        for sign, place in ((1, low), (-1, high)):
            _add(flat, distance * (length + 1) + place - begin[which], sign * product)
    out, lag = np.zeros((p, length, p, length)), np.arange(length)
    for distance in range(length):
        later = lag[: length - distance]
        block = np.cumsum(steps[distance, : length - distance], axis=0)
        out[:, later, :, later + distance] = block.swapaxes(1, 2)
        out[:, later + distance, :, later] = block
    return out.reshape(p * length, p * length)


def _pairs(starts, length, most):
    """Pairs of events (itself among them) whose lags overlap, earlier and later one, about `most` at a time."""
    last = np.searchsorted(starts, starts + length, side="left")
    total = np.cumsum(np.concatenate([[0], last - np.arange(len(starts))]))
    begin = 0
    while begin < len(starts):
        end = max(begin + 1, int(np.searchsorted(total, total[begin] + most, side="right")) - 1)
        first = np.repeat(np.arange(begin, end), np.diff(total[begin : end + 1]))
        yield first, first + np.arange(len(first)) - (total[first] - total[begin])
        begin = end


def _runs(used, begin, end):
    """Runs of used samples from each `begin` to its `end`: number of the pair, first sample, one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], used.astype(np.int8), [0]])))
    low, high = edges[::2], edges[1::2]
    first, last = np.searchsorted(high, begin, side="right"), np.searchsorted(low, end, side="left")
    number = np.maximum(last - first, 0)
    which = np.repeat(np.arange(len(begin)), number)
    run = np.arange(len(which)) - np.repeat(np.cumsum(number) - number - first, number)
    return which, np.maximum(low[run], begin[which]), np.minimum(high[run], end[which])


def _add(out, places, values):
    """Add `values` (n, p, p) at `places` (n,) of `out` (..., p, p), where places may repeat."""
    if len(places):
        order = np.argsort(places, kind="stable")
        places, firsts = np.unique(places[order], return_index=True)
        out[places] += np.add.reduceat(values[order], firsts, axis=0)


def _window_products(X, starts, Y, length):
    """X' of the lagged design times Y' (p * L, channels): sums of windows, weighted by the rows of their events."""
    xp, channels, p = _array.namespace(Y), Y.shape[0], X.shape[1]
    options = {"dtype": xp.float64, "device": array_api_compat.device(Y)}
    border = xp.zeros((channels, length), **options)
    Y = xp.concat([border, Y, border], axis=1)
    total = xp.zeros((channels, p, length), **options)
    step = max(1, _ROOM // (8 * channels * length))
    for begin in range(0, len(starts), step):
        some = slice(begin, begin + step)
        place = (starts[some, None] + length + np.arange(length)).reshape(-1)
        windows = xp.reshape(xp.take(Y, _array.like(place, Y), axis=1), (channels, -1, length))
        total += xp.matmul(_array.like(np.ascontiguousarray(X[some].T), Y), windows)
    return xp.reshape(xp.permute_dims(total, (1, 2, 0)), (p * length, channels))


def _zero(Y):
    """Zero as an array that goes with Y."""
    xp = _array.namespace(Y)
    return xp.zeros((1, 1), dtype=xp.float64, device=array_api_compat.device(Y))


def spread(weights, length):
    """Weights (k, p) of coefficients as weights (k * L, p * L) of coefficients x lags: the same at every lag."""
    return np.kron(np.asarray(weights, dtype=float), np.eye(length))


def spread_tests(tests, length):
    """F tests, (q, p) each, as one (q, p * L) for each of them at each lag: test-major x lag."""
    lags = np.eye(length)
    return [np.kron(np.asarray(test, dtype=float), lags[lag : lag + 1]) for test in tests for lag in range(length)]


def names(coefficients, points):
    """Names of all unknowns, coefficient-major x lag, for messages: ``kind[T.b] at 0.1 s``."""
    return [f"{name} at {point:g} s" for name in coefficients for point in points]


def folded(values, length):
    """Result (k * L, channels) as (k, channels, L): coefficient, channel, time, as the maps of windows."""
    xp = _array.namespace(values)
    return xp.permute_dims(xp.reshape(values, (-1, length, values.shape[1])), (0, 2, 1))
