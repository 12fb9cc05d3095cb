"""The engine of ASR: covariances at the updates, what they reject, and the repair from one update to the next.

Needs what calibration learnt (`asr.State`) and a signal in parts; makes the repaired signal. An update costs a Gram
matrix, an eigendecomposition (of which a part may do), and products with as many columns as components are rejected.
The full decompositions are asked for, not done, here (`repaired` is a generator), so that several recordings can share
a batch.
"""

import functools

import array_api_compat
import numpy as np
import scipy.linalg

from hedgerow import _array
from hedgerow.clean import filters

#: From so many components on it pays to look at the strongest eigenvectors first, and at how many: of 128 channels six
#: take half the time of all, of 64 channels nearly all of it.
FEW, UPPER = 96, 6


def update_ends(samples, step, splits=1, first=True):
    """Last sample of the window of each update: the very first, then in each split every `step`, and its very last.

    Parameters
    ----------
    samples, step : int
    splits : int
        Stretches, of equal length within a sample, each of which starts its grid afresh.
    first : bool
        Whether the very first sample is an update; False where the stream began earlier.

    Returns
    -------
    int ndarray
        Strictly rising.
    """
    edges = np.arange(splits + 1) * samples // splits
    lengths = np.diff(edges)
    counts = -(-lengths // step)
    within = step * (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + 1)
    ends = np.repeat(edges[:-1], counts) + np.minimum(within, np.repeat(lengths, counts)) - 1
    return np.concatenate([[0], ends]) if first and ends[0] > 0 else ends


def repaired(raw, seen, ends, state, past, *, length, most, batch, skip=0):
    """Repair a signal; a generator that yields stacks of covariances and is sent their eigendecompositions.

    Parameters
    ----------
    raw : list of array (channels, n)
        Parts of the signal, in order. It is older than `seen` by the look-ahead: what the window that ends at sample
        e of `seen` finds is repaired in `raw` up to its sample e.
    seen : list of array (channels, n)
        Parts of the signal that is judged.
    ends : int ndarray (updates,)
        From `update_ends`, in samples of `seen`; one less than the number of samples at the end.
    state : asr.State
    past : (object, array, tuple or None)
        What `filters.recursive` carries, the last ``length - 1`` shaped samples as (samples, rank), and the two
        factors of the last repair (None where nothing was rejected).
    length : int
        Samples of a window.
    most : int
        Components that may go, less one.
    batch : int
        Updates worked on together.
    skip : int
        First samples of `raw` that are not wanted.

    Returns
    -------
    y : array (channels, samples)
        `raw` from `skip` up to the last update.
    flags : bool ndarray (updates,)
        Where anything was rejected.
    removed : array (channels,)
        Sum of squares of what was taken out.
    past : tuple
        For the samples that follow.
    """
    xp = _array.namespace(state.components)
    channels, whole = state.components.shape
    y = xp.zeros((channels, int(ends[-1]) + 1 - skip), dtype=raw[-1].dtype, device=array_api_compat.device(raw[-1]))
    removed = xp.zeros_like(y[:, 0])
    memory, shaped, before = past
    flags, last, done = np.zeros(len(ends), dtype=bool), -1, 0
    short = _Shortcut(min(most + 1, UPPER) if array_api_compat.is_numpy_array(y) and state.rank >= FEW else 0)
    for first in range(0, len(ends), batch):
        mine = ends[first : first + batch]
        upto = int(mine[-1]) + 1
        fresh, memory = filters.recursive(state.b, state.a, joined(seen, done, upto), memory)
        z = xp.concat([shaped, xp.matmul(fresh.T, state.components)], axis=0)
        covariances = _covariances(z, mine - done, length)
        rows, bad, vectors = yield from _rejected(covariances, state, most, short)
        now = _factors(rows, bad, vectors, state)
        start = max(last + 1, skip)
        if upto > start:
            piece = joined(raw, start, upto)
            known = piece if whole == channels else _projected(piece, state)
            fixed, lost = _mended(known, np.concatenate([[last], mine]) - start, before, now)
            y[:, start - skip : upto - skip] = fixed
            if whole < channels:
                lost = xp.vecdot(piece - fixed, piece - fixed, axis=-1)
            removed = removed + lost
        flags[first + rows] = True
        before = (now[1][-1, ...], now[2][-1, ...]) if len(rows) and rows[-1] == len(mine) - 1 else None
        shaped, last, done = z[z.shape[0] - length + 1 :, :], int(mine[-1]), upto
    return y, flags, removed, (memory, shaped, before)


def joined(parts, start, stop):
    """Samples `start` to `stop` of parts that follow one another."""
    pieces, first = [], 0
    for part in parts:
        if start < first + part.shape[1] and stop > first:
            pieces.append(part[:, max(start - first, 0) : min(stop - first, part.shape[1])])
        first += part.shape[1]
    return pieces[0] if len(pieces) == 1 else _array.namespace(*pieces).concat(pieces, axis=1)


def _projected(x, state):
    """The part of x that calibration knows: what a reference took out of it, x has only by mistake."""
    xp = _array.namespace(x)
    return xp.matmul(state.components, xp.matmul(state.components.T, x))


def _covariances(z, starts, length):
    """Covariances (updates, rank, rank) of the windows of z (samples, rank) that begin at `starts`."""
    xp = _array.namespace(z)
    if array_api_compat.is_numpy_array(z):
        # BLAS reads each window where it lies; gathering them first takes longer than the products.
        found = np.empty((len(starts), z.shape[1], z.shape[1]), dtype=z.dtype)
        for covariance, start in zip(found, starts.tolist()):
            window = z[start : start + length]
            np.matmul(window.T, window, out=covariance)
    else:
        index = _array.like((starts[:, None] + np.arange(length)).ravel(), z)
        windows = xp.reshape(xp.take(z, index, axis=0), (len(starts), length, z.shape[1]))
        found = xp.matmul(xp.permute_dims(windows, (0, 2, 1)), windows)
    found /= length
    return found


def _rejected(covariances, state, most, short):
    """Eigenvectors of the windows' covariances that are too strong: those v with v'Wv >= v'T'Tv.

    Parameters
    ----------
    short : _Shortcut

    Returns
    -------
    rows : int ndarray (n,)
        Updates that reject anything.
    bad : bool array (n, rank)
    vectors : array (n, rank, rank)
    """
    xp = _array.namespace(covariances)
    allowed, rank = state.threshold**2, state.rank
    if short.pays():
        variance, vectors, proven = _judged_by_upper(covariances, allowed, short.upper)
        rest = np.flatnonzero(~proven)
        short.learn(len(proven), len(rest))
        if len(rest):
            variance[rest], vectors[rest] = yield covariances[rest]
    else:
        variance, vectors = yield covariances
    # As in the original, `most` and one more of the strongest components may go.
    strongest = _array.like(np.arange(rank) + 1 >= rank - most, covariances)
    bad = (variance >= xp.matmul(allowed, vectors**2)) & strongest
    rows = np.flatnonzero(_array.to_numpy(xp.any(bad, axis=1)))
    if 0 < len(rows) < bad.shape[0]:
        index = _array.like(rows, covariances)
        bad, vectors = xp.take(bad, index, axis=0), xp.take(vectors, index, axis=0)
    return rows, bad, vectors


class _Shortcut:
    """Whether to try with the `upper` strongest eigenvectors first (0: never), by how often that was enough so far."""

    def __init__(self, upper):
        self.upper, self.tried, self.failed, self.batches = upper, 0, 0, 0

    def pays(self):
        """A try costs half a full decomposition or more; now and then one is made in any case, to learn."""
        self.batches += 1
        return self.upper > 0 and (self.failed <= 0.4 * (self.tried + 60) or self.batches % 32 == 0)

    def learn(self, tried, failed):
        self.tried, self.failed = self.tried + tried, self.failed + failed


def _judged_by_upper(covariances, allowed, upper):
    """The `upper` strongest eigenvectors of each covariance, and whether it is proven that no other is rejected.

    With W = V L V' + R, V the strongest eigenvectors, all others are eigenvectors of R to the same eigenvalues. If
    T'T - R is positive definite, v'Rv < v'T'Tv for every v, theirs among them: none of them goes. The proof is one
    Cholesky factorisation. It fails for few windows while cutoffs are high, and a few eigenvectors take half the time
    of all.

    Returns
    -------
    variance : ndarray (updates, rank)
        By rising variance; -1 for the eigenvectors that were not asked for, so that they are never rejected.
    vectors : ndarray (updates, rank, rank)
        0 for those.
    proven : bool ndarray (updates,)
    """
    updates, rank = covariances.shape[:2]
    variance, vectors = np.full((updates, rank), -1.0, covariances.dtype), np.zeros_like(covariances)
    solve = scipy.linalg.get_lapack_funcs("syevr", (covariances,))
    first, failed = rank - upper, np.zeros(updates, dtype=bool)
    for i, covariance in enumerate(covariances):
        strongest, axes, found, _, info = solve(covariance.T, range="I", il=first + 1, iu=rank, lower=1)
        failed[i] = info != 0 or found != upper
        variance[i, first:], vectors[i, :, first:] = strongest[:upper], axes[:, :upper]
    axes = vectors[:, :, first:]
    others = covariances - (axes * variance[:, None, first:]) @ axes.transpose(0, 2, 1)
    return variance, vectors, _array.positive_definite(np.diag(allowed) - others) & ~failed


def _factors(rows, bad, vectors, state):
    """What to subtract at each of the updates `rows`: left (n, channels, k) @ right (n, k, channels).

    The repair is I - H, H = B (B' L B)^-1 B' L on principal components: B holds the rejected eigenvectors and L is the
    inverse of the clean covariance, here diagonal. It gives the expectation of the signal given those components that
    B does not touch, and equals the M (K V'M)^+ V' of the literature. k is the largest number of rejected components;
    where there are fewer, columns are zero.
    """
    if not len(rows):
        return rows, None, None
    xp = _array.namespace(vectors)
    count = xp.astype(bad, xp.int64)
    most = int(xp.max(xp.sum(count, axis=1)))
    order = xp.argsort(count, axis=1, descending=True, stable=True)[:, :most]
    flag = xp.astype(xp.take_along_axis(bad, order, axis=1), vectors.dtype)[:, None, :]
    index = xp.broadcast_to(order[:, None, :], (vectors.shape[0], state.rank, most))
    rejected = xp.take_along_axis(vectors, index, axis=2) * flag
    weighted = xp.permute_dims(rejected / state.variance[:, None], (0, 2, 1))
    # A one on the diagonal makes the empty columns' part of the system the identity.
    system = xp.matmul(weighted, rejected) + (1 - flag) * _array.eye(most, vectors)
    right = xp.matmul(xp.linalg.solve(system, weighted), state.components.T)
    return rows, xp.matmul(state.components, rejected), right


def _mended(x, bounds, before, now):
    """Subtract from x (channels, samples) what the factors say, blended from one update to the next.

    Parameters
    ----------
    bounds : int ndarray (updates + 1,)
        Sample of x at which the previous update and each of these takes full effect; may lie before x.
    before : (array (channels, k), array (k, channels)) or None
        Factors of the previous update.
    now : tuple
        From `_factors`.

    Returns
    -------
    array (channels, samples)
        x itself where there is nothing to repair.
    array (channels,)
        Sum of squares of what was subtracted.
    """
    rows, left, right = now
    # Segment i, from one update to the next, blends what place[i] says into what place[i + 1] says; 0 says nothing.
    place = np.zeros(len(bounds), dtype=np.int64)
    place[0] = before is not None
    place[1 + rows] = 2 + np.arange(len(rows))
    segments = np.flatnonzero(((place[1:] > 0) | (place[:-1] > 0)) & (bounds[1:] >= 0))
    if not len(segments):
        return x, _array.namespace(x).zeros_like(x[:, 0])
    if array_api_compat.is_numpy_array(x):
        known = [None, before, *zip(left, right)] if len(rows) else [None, before]
        return _mended_in_turn(x, bounds, segments, place, known)
    return _mended_at_once(x, bounds, segments, place, *_stacked(before, left, right, x))


@functools.lru_cache(maxsize=64)
def _rise(samples):
    """Rising half of a raised cosine, which ends in 1."""
    return (1 - np.cos(np.pi * np.arange(1, samples + 1) / samples)) / 2


def _mended_in_turn(x, bounds, segments, place, known):
    """One segment after the other: where memory is near, small products beat large gathers."""
    y, lost = x.copy(), np.zeros_like(x[:, 0])
    for i in segments.tolist():
        start, stop = int(bounds[i]) + 1, int(bounds[i + 1]) + 1
        weight = _rise(stop - start)[max(-start, 0) :].astype(x.dtype, copy=False)
        piece = x[:, max(start, 0) : stop]
        pairs = ((known[place[i + 1]], weight), (known[place[i]], 1 - weight))
        excess = sum(each[0] @ (each[1] @ piece * share) for each, share in pairs if each is not None)
        y[:, max(start, 0) : stop] -= excess
        lost += np.vecdot(excess, excess)
    return y, lost


def _mended_at_once(x, bounds, segments, place, left, right):
    """All segments as one stack."""
    xp = _array.namespace(x)
    channels, samples = x.shape
    lengths = (bounds[1:] - bounds[:-1])[segments]
    width = int(lengths.max())
    table = np.clip(bounds[segments, None] + 1 + np.arange(width), 0, samples - 1)
    pieces = xp.reshape(xp.take(x, _array.like(table.ravel(), x), axis=1), (channels, len(segments), width))
    pieces = xp.permute_dims(pieces, (1, 0, 2))
    within = np.minimum(np.arange(1, width + 1), lengths[:, None])
    weight = _array.like((1 - np.cos(np.pi * within / lengths[:, None])) / 2, x)[:, None, :]
    excess = 0
    for which, share in ((place[segments + 1], weight), (place[segments], 1 - weight)):
        which = _array.like(which, x)
        excess = excess + xp.matmul(
            xp.take(left, which, axis=0), xp.matmul(xp.take(right, which, axis=0), pieces) * share
        )
    # Back to the order of the samples; those of no segment take from a column of zeros.
    excess = xp.reshape(xp.permute_dims(excess, (1, 0, 2)), (channels, -1))
    excess = xp.concat([xp.zeros_like(x[:, :1]), excess], axis=1)
    slot = np.full(len(bounds) - 1, -1)
    slot[segments] = np.arange(len(segments))
    sample = np.arange(samples)
    row = np.searchsorted(bounds[1:], sample)
    source = np.where(slot[row] < 0, 0, slot[row] * width + sample - bounds[row])
    excess = xp.take(excess, _array.like(source, x), axis=1)
    return x - excess, xp.vecdot(excess, excess, axis=-1)


def _stacked(before, left, right, x):
    """One stack of left and of right factors: none at all, those of the update before, those of these updates."""
    xp = _array.namespace(x)
    left, right = ([] if each is None else [each] for each in (left, right))
    if before is not None:
        left, right = [before[0][None, ...], *left], [before[1][None, ...], *right]
    else:
        left, right = [xp.zeros_like(left[0][:1, ...]), *left], [xp.zeros_like(right[0][:1, ...]), *right]
    most = max(each.shape[2] for each in left)
    none = xp.zeros((1, x.shape[0], most), dtype=x.dtype, device=array_api_compat.device(x))
    left = [none, *(_widened(each, most) for each in left)]
    right = [none, *(_widened(xp.permute_dims(each, (0, 2, 1)), most) for each in right)]
    return xp.concat(left, axis=0), xp.permute_dims(xp.concat(right, axis=0), (0, 2, 1))


def _widened(stack, columns):
    """`stack` (n, rows, k) with columns of zeros up to `columns`."""
    xp = _array.namespace(stack)
    more = xp.zeros(
        (*stack.shape[:2], columns - stack.shape[2]), dtype=stack.dtype, device=array_api_compat.device(stack)
    )
    return xp.concat([stack, more], axis=2)
