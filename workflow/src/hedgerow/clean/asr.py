"""Artifact subspace reconstruction (ASR): what is far stronger than in calibration is replaced by a prediction.

Needs a high-passed signal (channels, samples) and a clean part of it; makes the repaired signal and an account.
Method: T. Mullen et al., Real-time neuroimaging and cognitive monitoring using wearable dry EEG, IEEE Transactions on
Biomedical Engineering 62 (2015) 2553-2567; C.-Y. Chang et al., same journal 67 (2020) 1114-1121. Numbers agree with
EEGLAB's clean_rawdata plug-in where it updates on a regular grid.

All of it happens in the coordinates of the calibration's principal components, of which those without variance are
left out. So average-referenced or interpolated data, whose covariance has no inverse, need no special case.
"""

from dataclasses import dataclass

import numpy as np

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import filters, robust
from hedgerow.clean.filters import half_up

#: Components with less than this share of the largest variance do not exist: 1e-5 of its amplitude, far below any
#: amplifier's noise and above what rounding to float32 leaves of a dimension that a reference removed.
RANK_TOLERANCE = 1e-10

#: Working memory of a batch of updates, in float64 values.
_GROUP = 2**22


@dataclass(frozen=True)
class State:
    """What calibration learnt. `rank` is the number of components; arrays are of the kind of the calibration data.

    Attributes
    ----------
    sfreq : float
        Sampling rate in Hz.
    cutoff : float
        Threshold in SDs above the mean amplitude of clean windows.
    components : array (channels, rank)
        Principal components of the clean, spectrally shaped signal; orthonormal columns, by rising variance.
    variance : array (rank,)
        Their variances in µV².
    threshold : array (rank,)
        Largest RMS amplitude in µV that counts as clean, per component.
    b, a : ndarray (9,)
        The shaping filter.
    tail : array (channels, n)
        Last samples of the calibration data, with which the shaping filter starts on new data.
    """

    sfreq: float
    cutoff: float
    components: object
    variance: object
    threshold: object
    b: object
    a: object
    tail: object

    @property
    def rank(self):
        """Number of components with variance."""
        return self.components.shape[1]

    @property
    def mixing(self):
        """Square root of the clean covariance, (channels, channels), in µV: the M of the literature."""
        xp = _array.namespace(self.components)
        return xp.matmul(self.components * xp.sqrt(self.variance), self.components.T)

    @property
    def thresholds(self):
        """Thresholds as a matrix (rank, channels) in µV: the T of the literature."""
        return self.threshold[:, None] * self.components.T


def calibrate(x, sfreq, cutoff=20.0, *, window=0.5, block=10):
    """Learn covariance and thresholds from clean data.

    Parameters
    ----------
    x : array (channels, samples)
        High-passed signal in µV, mostly clean, of about half a minute or more (5 s at least).
    sfreq : float
        Sampling rate in Hz, at least 40.
    cutoff : float
        Threshold in SDs above the mean amplitude of clean windows: 5 is aggressive, 20 conservative.
    window : float
        Length in s of the windows whose amplitudes set the thresholds.
    block : int
        Samples per block covariance of the robust covariance estimate.

    Returns
    -------
    State

    Raises
    ------
    Fault
        ``calibration`` where x is too short or has no variance, ``rate-too-low`` below 40 Hz.
    """
    xp = _array.namespace(x)
    if not cutoff > 0:
        raise ValueError(f"asr_cutoff={cutoff}: give a number of standard deviations above 0, or null for no ASR")
    b, a = filters.shaping(sfreq)
    length = int(half_up(window * sfreq))
    starts = robust.window_starts(x.shape[1], length)
    if x.shape[1] < 5 * sfreq or len(starts) < robust.FEWEST_WINDOWS:
        raise Fault("calibration", f"ASR has {x.shape[1] / sfreq:.2f} s to calibrate on and needs 5 s at least")
    shaped = filters.iir(b, a, x)
    variance, components = xp.linalg.eigh(robust.median_covariance(shaped, block))
    if not float(variance[-1]) > 0:
        raise Fault("calibration", "the signal on which ASR calibrates has no variance")
    first = int(xp.sum(xp.astype(variance <= RANK_TOLERANCE * variance[-1], xp.int64)))
    variance, components = variance[first:], components[:, first:]
    mean, sd = robust.clean_amplitude(robust.rms(xp.matmul(components.T, shaped), starts, length))
    memory = min(filters.memory(a), x.shape[1])
    return State(sfreq, cutoff, components, variance, mean + cutoff * sd, b, a, x[:, x.shape[1] - memory :])


def apply(x, sfreq, state, *, window=None, maxdims=0.66, batch=None):
    """Repair what exceeds the thresholds of `state`.

    Every half window the covariance of the last window is decomposed. Components stronger than their threshold are
    missing data: they are predicted from the others by the clean covariance. From one update to the next the two
    predictions are blended by a raised cosine.

    Parameters
    ----------
    x : array (channels, samples)
        High-passed signal in µV, channels as in calibration; mirrored at both ends.
    sfreq : float
        Sampling rate in Hz, the calibration's.
    state : State
    window : float, optional
        Length of the windows in s; at least, and by default, 0.5 s or 1.5 samples per channel.
    maxdims : float
        Below 1: share of the channels, otherwise number of components, that may be replaced at once.
    batch : int, optional
        Updates worked on together; by default as many as 32 MiB hold. Changes nothing but memory and speed.

    Returns
    -------
    y : array (channels, samples)
        The kind of x.
    account : dict
        updates, updates_changed, changed (share of samples), changed_seconds (list of [start, end]),
        variance_removed (share, over all channels), channel_variance_removed (list, per channel).
    """
    xp = _array.namespace(x)
    channels, samples = x.shape
    if sfreq != state.sfreq or channels != state.components.shape[0]:
        raise ValueError(
            f"ASR was calibrated on {state.components.shape[0]} channels at {state.sfreq:g} Hz and cannot be applied "
            f"to {channels} channels at {sfreq:g} Hz: calibrate it again"
        )
    window = max(window or 0.5, 1.5 * channels / sfreq)
    length, ahead = int(half_up(window * sfreq)), int(half_up(window / 2 * sfreq))
    if samples <= length:
        raise Fault("too-short", f"the signal is {samples / sfreq:.2f} s long, ASR's window {window:.2f} s")
    ends = _update_ends(samples + ahead, int(sfreq * window / 2))
    most = int(half_up(channels * maxdims)) if maxdims < 1 else int(maxdims)
    batch = batch or max(1, _GROUP // (channels * (2 * length + 6 * channels)))
    last, hat, hit = -1, xp.matmul(state.components.T, state.components) * 0, False
    y, flags, removed, total = [], [], 0, 0
    for mine, covariances in _covariances(x, state, ends, length, ahead, batch):
        bad, vectors = _reject(covariances, state, most)
        hats, hit_before, hit = None, hit, bool(xp.any(bad))
        if hit or hit_before:
            hats = xp.concat([hat[None, :, :], _hats(bad, vectors, state)], axis=0)
            hat = hats[-1, :, :]
        # The window of an update is centred on the last sample that it repairs, hence `ahead`.
        piece = x[:, max(last + 1 - ahead, 0) : max(int(mine[-1]) + 1 - ahead, 0)]
        if piece.shape[1]:
            fixed = _repair(piece, np.concatenate([[last], mine]) - max(ahead, last + 1), hats, state)
            removed, total = removed + xp.sum((piece - fixed) ** 2, axis=1), total + xp.sum(piece**2, axis=1)
            y.append(fixed)
        flags.append(xp.any(bad, axis=1))
        last = int(mine[-1])
    flags, removed, total = (_array.to_numpy(each) for each in (xp.concat(flags), removed, total))
    return xp.concat(y, axis=1), _account(flags, ends - ahead, samples, sfreq, removed, total)


def _update_ends(samples, step):
    """Last sample of the window of each update: the very first sample, then every `step`, then the very last."""
    ends = np.minimum(step * np.arange(1, -(-samples // step) + 1), samples) - 1
    return ends if ends[0] == 0 else np.concatenate([[0], ends])


def _covariances(x, state, ends, length, ahead, batch):
    """Covariances (updates, rank, rank) of the windows of `length` shaped samples that end at `ends`, in batches.

    The signal is continued by `ahead` mirrored samples; before its beginning the windows hold zeros.
    """
    xp = _array.namespace(x)
    samples = x.shape[1]
    mirror = 2 * x[:, -1:] - xp.flip(x[:, samples - 1 - ahead : samples - 1], axis=1)
    past = xp.zeros_like(x[: state.rank, : length - 1])
    done = 0
    for first in range(0, len(ends), batch):
        mine = ends[first : first + batch]
        upto = int(mine[-1]) + 1
        z = xp.concat([past, xp.matmul(state.components.T, _shaped(x, state, mirror, done, upto))], axis=1)
        index = _array.like(((mine - done)[:, None] + np.arange(length)).ravel(), x)
        windows = xp.reshape(xp.take(z, index, axis=1), (state.rank, len(mine), length))
        windows = xp.permute_dims(windows, (1, 0, 2))
        yield mine, xp.matmul(windows, xp.permute_dims(windows, (0, 2, 1))) / length
        past, done = z[:, z.shape[1] - length + 1 :], upto


def _shaped(x, state, mirror, start, stop):
    """Samples `start` to `stop` of [x, mirror] after the shaping filter, which has seen all that came before.

    The filter starts afresh as many samples earlier as it remembers, among the calibration data where need be.
    """
    xp = _array.namespace(x)
    samples, tail = x.shape[1], state.tail.shape[1]
    begin = max(start - filters.memory(state.a), -tail)
    pieces = []
    if begin < 0:
        pieces.append(state.tail[:, tail + begin :])
    if begin < samples:
        pieces.append(x[:, max(begin, 0) : min(stop, samples)])
    if stop > samples:
        pieces.append(mirror[:, max(begin - samples, 0) : stop - samples])
    return filters.iir(state.b, state.a, xp.concat(pieces, axis=1))[:, start - begin :]


def _reject(covariances, state, most):
    """Which eigenvectors of the windows' covariances are too strong: bool (updates, rank), and the eigenvectors."""
    xp = _array.namespace(covariances)
    variance, vectors = xp.linalg.eigh(covariances)
    allowed = xp.sum((state.threshold[:, None] * vectors) ** 2, axis=1)
    # As in the original, `most` and one more of the strongest components may go.
    strongest = _array.like(np.arange(state.rank) + 1 >= state.rank - most, covariances)
    return (variance >= allowed) & strongest, vectors


def _hats(bad, vectors, state):
    """What to subtract, as matrices (updates, rank, rank) on principal components: H = B (B' L B)^-1 B' L.

    B holds the rejected eigenvectors and L is the inverse of the clean covariance, here diagonal. I - H gives the
    expectation of the components given those that B does not touch, and equals M (K V'M)^+ V' of the literature.
    """
    xp = _array.namespace(vectors)
    rejected = vectors * xp.astype(bad, vectors.dtype)[:, None, :]
    weighted = xp.permute_dims(rejected / state.variance[:, None], (0, 2, 1))
    # Columns that are kept are zero in B: a one on the diagonal makes their part of the system the identity.
    kept = xp.astype(~bad, vectors.dtype)[:, :, None] * _array.like(np.eye(state.rank), vectors)
    return xp.matmul(rejected, xp.linalg.solve(xp.matmul(weighted, rejected) + kept, weighted))


def _repair(x, ends, hats, state):
    """Subtract from x (channels, samples) what `hats` predict, blended from one update to the next.

    Parameters
    ----------
    ends : ndarray (updates + 1,)
        Sample of x at which the previous update and each of these takes full effect; may lie before x.
    hats : array (updates + 1, rank, rank) or None
        None where nothing is rejected.
    """
    xp = _array.namespace(x)
    whole = state.rank == x.shape[0]
    if hats is None and whole:
        return x
    z = xp.matmul(state.components.T, x)
    if hats is None:
        return xp.matmul(state.components, z)
    sample = np.arange(x.shape[1])
    row = np.searchsorted(ends[1:], sample)
    width = int(np.max(np.diff(ends)))
    within = sample - ends[row]  # 1 for the first sample after an update, up to the distance to the next
    weight = (1 - np.cos(np.pi * within / (ends[row + 1] - ends[row]))) / 2
    table = np.clip(ends[:-1, None] + 1 + np.arange(width), 0, x.shape[1] - 1)
    parts = xp.reshape(xp.take(z, _array.like(table.ravel(), x), axis=1), (state.rank, len(ends) - 1, width))
    parts = xp.permute_dims(parts, (1, 0, 2))
    flat = _array.like(row * width + within - 1, x)
    before, after = (
        xp.take(xp.reshape(xp.permute_dims(xp.matmul(hat, parts), (1, 0, 2)), (state.rank, -1)), flat, axis=1)
        for hat in (hats[:-1, :, :], hats[1:, :, :])
    )
    weight = _array.like(weight, x)
    excess = weight * after + (1 - weight) * before
    return x - xp.matmul(state.components, excess) if whole else xp.matmul(state.components, z - excess)


def _account(flags, ends, samples, sfreq, removed, total):
    """Account of `apply`: which updates replaced anything, in which samples that shows, and how much went."""
    starts = np.clip(np.concatenate([[0], ends[:-1] + 1]), 0, samples)
    stops = np.clip(ends + 1, 0, samples)
    touched = flags | np.concatenate([[False], flags[:-1]])
    stretches = []
    for start, stop in zip(starts[touched].tolist(), stops[touched].tolist()):
        if stretches and stretches[-1][1] == start:
            stretches[-1][1] = stop
        elif stop > start:
            stretches.append([start, stop])
    share = removed / np.where(total > 0, total, 1)
    return {
        "updates": len(flags),
        "updates_changed": int(flags.sum()),
        "changed": sum(stop - start for start, stop in stretches) / samples,
        "changed_seconds": [[start / sfreq, stop / sfreq] for start, stop in stretches],
        "variance_removed": float(removed.sum() / total.sum()) if total.sum() > 0 else 0.0,
        "channel_variance_removed": share.tolist(),
    }
