"""Artifact subspace reconstruction (ASR): what is far stronger than in calibration is replaced by a prediction.

Needs a high-passed signal (channels, samples) and a clean part of it; makes the repaired signal and an account.
Method: T. Mullen et al., Real-time neuroimaging and cognitive monitoring using wearable dry EEG, IEEE Transactions on
Biomedical Engineering 62 (2015) 2553-2567; C.-Y. Chang et al., same journal 67 (2020) 1114-1121. Numbers agree with
EEGLAB's clean_rawdata plug-in, with its memory splits (`memory_mb`) or without.

All of it happens in the coordinates of the calibration's principal components, of which those without variance are
left out. So average-referenced or interpolated data, whose covariance has no inverse, need no special case.
"""

import math
from dataclasses import dataclass, replace

import array_api_compat
import numpy as np

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import filters, manifold, robust, subspace
from hedgerow.clean.filters import half_up

#: Components with less than this share of the largest variance do not exist: 1e-5 of its amplitude, far below any
#: amplifier's noise and above what rounding to float32 leaves of a dimension that a reference removed.
RANK_TOLERANCE = 1e-10

#: Robust covariances of the calibration.
COVARIANCES = {"euclidean": robust.median_covariance, "riemannian": manifold.median_covariance}

#: Working memory of a batch of updates on the host, in bytes.
_ROOM = 2**23


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


def calibrate(x, sfreq, cutoff=20.0, *, window=0.5, block=10, memory_mb=None, covariance="euclidean"):
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
        Samples per block covariance of the robust covariance estimate, at least.
    memory_mb : float, optional
        Emulate the original with this `maxmem`, which lengthens the blocks of long recordings; None: it does not.
    covariance : "euclidean" or "riemannian"
        Geometric median of the block covariances in the plane or on the manifold of covariances; on the manifold
        blocks last 1 s or longer and hold at least twice as many samples as there are components.

    Returns
    -------
    State

    Raises
    ------
    Fault
        ``calibration`` where x is too short or has no variance, ``rate-too-low`` below 40 Hz, ``not-finite``.
    """
    xp = _array.namespace(x)
    if not cutoff > 0:
        raise ValueError(f"asr_cutoff={cutoff}: give a number of standard deviations above 0, or null for no ASR")
    if covariance not in COVARIANCES:
        raise ValueError(f"asr_covariance={covariance!r}: give {' or '.join(COVARIANCES)}")
    b, a = filters.shaping(sfreq)
    length = int(half_up(window * sfreq))
    starts = robust.window_starts(x.shape[1], length)
    if x.shape[1] < 5 * sfreq or len(starts) < robust.FEWEST_WINDOWS:
        raise Fault("calibration", f"ASR has {x.shape[1] / sfreq:.2f} s to calibrate on and needs 5 s at least")
    x = _finite(xp.astype(x, xp.float64, copy=False))
    shaped = filters.iir(b, a, x)
    if covariance == "riemannian":
        block = max(block, int(sfreq))
    if memory_mb is not None:
        block = max(block, math.ceil(48 * x.shape[0] ** 2 * x.shape[1] / (memory_mb * 2**21)))
    variance, components = xp.linalg.eigh(COVARIANCES[covariance](shaped, block))
    if not float(variance[-1]) > 0:
        raise Fault("calibration", "the signal on which ASR calibrates has no variance")
    first = int(xp.sum(xp.astype(variance <= RANK_TOLERANCE * variance[-1], xp.int64)))
    variance, components = variance[first:], components[:, first:]
    # A few components at a time: all of them would be as large as the signal.
    groups = [components[:, c : min(c + 16, components.shape[1])] for c in range(0, components.shape[1], 16)]
    amplitude = xp.concat([robust.rms(xp.matmul(each.T, shaped), starts, length) for each in groups], axis=0)
    mean, sd = robust.clean_amplitude(amplitude)
    tail = xp.asarray(x[:, x.shape[1] - min(filters.memory(a), x.shape[1]) :], copy=True)  # a view would keep all of x
    return State(sfreq, cutoff, components, variance, mean + cutoff * sd, b, a, tail)


def apply(x, sfreq, state, *, memory_mb=None, window=None, maxdims=0.66, statistics=None, batch=None):
    """Repair what exceeds the thresholds of `state`.

    Every half window the covariance of the last window is decomposed. Components stronger than their threshold are
    missing data: they are predicted from the others by the clean covariance. From one update to the next the two
    predictions are blended by a raised cosine.

    Parameters
    ----------
    x : array (channels, samples)
        High-passed signal in µV, channels as in calibration; mirrored at both ends. float64, or float32 for speed on a
        GPU: then the repair is right to about 1e-4 of the signal.
    sfreq : float
        Sampling rate in Hz, the calibration's.
    state : State
    memory_mb : float, optional
        Emulate the original with this `maxmem` (its default is 64): it splits long recordings so that each piece fits,
        and each piece ends in an update of its own. Other updates give another answer. None: a regular grid.
    window : float, optional
        Length of the windows in s; at least, and by default, 0.5 s or 1.5 samples per channel.
    maxdims : float
        Below 1: share of the channels, otherwise number of components, that may be replaced at once.
    statistics : array (channels, samples), optional
        What is judged in place of x, e.g. a copy without slow waves; `state` is then calibrated on such a copy.
    batch : int, optional
        Updates worked on together; by default as many as 8 MiB hold, on a GPU 1 GiB. Changes nothing but memory and
        speed.

    Returns
    -------
    y : array (channels, samples)
        The kind of x.
    account : dict
        updates, updates_changed, splits, changed (share of samples), changed_seconds (list of [start, end]),
        variance_removed (share, over all channels), channel_variance_removed (list, per channel).

    Raises
    ------
    Fault
        ``too-short`` where x is shorter than a window, ``not-finite``, ``memory-too-small``.
    """
    return _decomposed([_applied(x, sfreq, state, memory_mb, window, maxdims, statistics, batch)])[0]


def apply_many(xs, sfreq, states, *, statistics=None, **settings):
    """Repair several recordings of one sampling rate, whose eigendecompositions share their batches.

    Meant for a GPU, which the updates of one recording of few channels do not fill.

    Parameters
    ----------
    xs, states : sequences of array and State
    statistics : sequence of array, optional
    **settings
        As in `apply`.

    Returns
    -------
    list of (y, account)
        As `apply` gives them, one by one.
    """
    settings = {"memory_mb": None, "window": None, "maxdims": 0.66, "batch": None} | settings
    seen = statistics or [None] * len(xs)
    return _decomposed([_applied(x, sfreq, each, statistics=s, **settings) for x, each, s in zip(xs, states, seen)])


def process(x, sfreq, state, carry=None, *, memory_mb=None, window=0.5, lookahead=None, maxdims=0.66, batch=None):
    """Repair a stream, piece by piece; each piece ends in an update.

    Parameters
    ----------
    x : array (channels, samples)
        The next piece of the high-passed signal in µV.
    sfreq, state, memory_mb, window, maxdims, batch
        As in `apply`.
    carry : tuple, optional
        What the call for the piece before returned; None at the beginning, before which the signal is mirrored.
    lookahead : float, optional
        In s; by default half a window. The same in all calls.

    Returns
    -------
    y : array (channels, samples)
        The repaired signal, late by the look-ahead.
    carry : tuple
    """
    state, (length, _, step, most) = _as(state, x), _plan(x, sfreq, state, window, maxdims)
    ahead = int(half_up((window / 2 if lookahead is None else lookahead) * sfreq))
    if carry is None and x.shape[1] <= ahead:
        raise Fault("too-short", f"the first piece has {x.shape[1]} samples and needs more than {ahead}")
    xp = _array.namespace(x)
    raw, past = carry or (2 * x[:, :1] - xp.flip(x[:, 1 : ahead + 1], axis=1), _begin(state, length))
    splits = _splits(*x.shape, ahead, step, memory_mb)
    ends = subspace.update_ends(x.shape[1], step, splits, first=carry is None)
    known = {"length": length, "most": most, "batch": batch or _batch(x, length)}
    y, _, _, past = _decomposed([subspace.repaired([raw, x], [x], ends, state, past, **known)])[0]
    return y, (subspace.joined([raw, x], x.shape[1], x.shape[1] + ahead), past)


def _applied(x, sfreq, state, memory_mb, window, maxdims, statistics, batch):
    """Generator of `apply`: asks for eigendecompositions, returns the repaired signal and its account."""
    xp = _array.namespace(x)
    samples, seen = x.shape[1], x if statistics is None else statistics
    if seen.shape != x.shape:
        raise ValueError(f"statistics: shape {tuple(seen.shape)} for a signal of shape {tuple(x.shape)}")
    state, (length, ahead, step, most) = _as(state, x), _plan(x, sfreq, state, window, maxdims)
    if samples <= length:
        raise Fault("too-short", f"the signal is {samples / sfreq:.2f} s long, ASR's window {length / sfreq:.2f} s")
    mirror = 2 * seen[:, -1:] - xp.flip(seen[:, samples - 1 - ahead : samples - 1], axis=1)
    splits = _splits(x.shape[0], samples + ahead, ahead, step, memory_mb)
    ends = subspace.update_ends(samples + ahead, step, splits)
    known = {"length": length, "most": most, "batch": batch or _batch(x, length), "skip": ahead}
    # What came before x is skipped: any samples will do in its place.
    y, flags, removed, _ = yield from subspace.repaired(
        [x[:, :ahead], x], [seen, mirror], ends, state, _begin(state, length), **known
    )
    removed, total = (_array.to_numpy(each).astype(float) for each in (removed, xp.vecdot(x, x, axis=-1)))
    return y, {"splits": splits} | _account(flags, ends - ahead, samples, sfreq, removed, total)


def _finite(x):
    """x itself, if its samples are numbers: what is not would spread over all that follows."""
    if not math.isfinite(float(_array.namespace(x).sum(x))):
        raise Fault("not-finite", "ASR was given samples that are NaN or infinite: repair them, or leave them out")
    return x


def _plan(x, sfreq, state, window, maxdims):
    """Samples of a window, of the look-ahead and from one update to the next; components that may go, less one."""
    channels = x.shape[0]
    if sfreq != state.sfreq or channels != state.components.shape[0]:
        raise ValueError(
            f"ASR was calibrated on {state.components.shape[0]} channels at {state.sfreq:g} Hz and cannot be applied "
            f"to {channels} channels at {sfreq:g} Hz: calibrate it again"
        )
    _finite(x)
    window = max(window or 0.5, 1.5 * channels / sfreq)
    most = int(half_up(channels * maxdims)) if maxdims < 1 else int(maxdims)
    return int(half_up(window * sfreq)), int(half_up(window / 2 * sfreq)), int(sfreq * window / 2), most


def _splits(channels, samples, ahead, step, memory_mb):
    """In how many pieces the original cuts a recording, given so much memory; 1 where that is not emulated."""
    if memory_mb is None:
        return 1
    entries = 8 * channels**2
    room = memory_mb * 2**20 - 3 * entries * ahead
    if not room > 0:
        least = math.ceil(3 * entries * ahead / 2**20)
        raise Fault(
            "memory-too-small",
            f"{channels} channels with a look-ahead of {ahead} samples need asr_memory_mb above {least}, which is "
            f"{memory_mb:g}: raise it, or set it to null",
        )
    needed = 8 * entries * samples + entries * samples / step + 16 * channels * samples + 40 * samples
    return min(math.ceil(needed / room), 10000, samples)


def _as(state, x):
    """`state` in the precision of x."""
    xp = _array.namespace(x, state.components)
    names = ("components", "variance", "threshold", "tail")
    return replace(state, **{name: xp.astype(getattr(state, name), x.dtype, copy=False) for name in names})


def _begin(state, length):
    """What the engine knows before the first sample: the calibration's end in the filter, windows of zeros."""
    xp = _array.namespace(state.tail)
    shaped = xp.zeros((length - 1, state.rank), dtype=state.tail.dtype, device=array_api_compat.device(state.tail))
    return filters.recursive(state.b, state.a, state.tail)[1], shaped, None


def _batch(x, length):
    """Updates worked on together: covariances, eigenvectors and windows of a batch within the working memory."""
    channels = x.shape[0]
    room = _array.room(x, _ROOM)
    return max(1, room // (8 * channels * (2 * length + 3 * channels)))


def _decomposed(runs):
    """Drive generators that ask for eigendecompositions; those of equal size are done together."""
    results, wanted = [None] * len(runs), {}

    def advance(i, answer):
        try:
            wanted[i] = runs[i].send(answer)
        except StopIteration as stop:
            results[i] = stop.value
            wanted.pop(i, None)

    for i in range(len(runs)):
        advance(i, None)
    while wanted:
        size = max(each.shape[1] for each in wanted.values())
        mine = {i: each for i, each in wanted.items() if each.shape[1] == size}
        xp = _array.namespace(*mine.values())
        stack = xp.concat(list(mine.values()), axis=0) if len(mine) > 1 else next(iter(mine.values()))
        variance, vectors = xp.linalg.eigh(stack)
        first = 0
        for i, each in mine.items():
            last = first + each.shape[0]
            advance(i, (variance[first:last, :], vectors[first:last, ...]))
            first = last
    return results


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
