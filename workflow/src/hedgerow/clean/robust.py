"""Robust statistics of the cleaning: amplitudes of the clean part of a recording, and its covariance.

Both are written for recordings of which a good part is artefact: the amplitudes by a fit to the lower part of their
distribution, the covariance by the geometric median of short blocks.
"""

import math

import numpy as np
import scipy.special

from hedgerow import _array
from hedgerow.clean.filters import half_up

#: Fewest windows on which the distribution of amplitudes is fitted.
FEWEST_WINDOWS = 20

#: Shapes of the generalised Gaussian that are tried (2 is the Gaussian).
_SHAPES = 1.7 + 0.15 * np.arange(13)

#: Part of the clean distribution that is fitted: from its 2.2 % to its 60 % quantile, before artefacts set in.
_QUANTILES = (0.022, 0.6)

#: At most this share of the windows may be dropouts (amplitude too low), and at least this share is clean.
_DROPOUTS, _CLEAN = 0.1, 0.25

_STEP = 0.01

#: Working memory of the block covariances, and of a piece of the signal, in float64 values.
_GROUP, _PIECE = 2**22, 2**18


def window_starts(samples, length, overlap=0.66):
    """First sample of each of the overlapping windows of `length` samples (rounded half away from zero); ndarray."""
    step = length * (1 - overlap)
    count = math.floor((samples - length - 1) / step + 1e-9) + 1
    return half_up(1 + step * np.arange(max(count, 0))) - 1


def rms(x, starts, length):
    """Root mean square of x (channels, samples) in windows: array (channels, windows)."""
    xp = _array.namespace(x)
    index = _array.like((starts[:, None] + np.arange(length)).ravel(), x)
    rows = []
    for channel in range(x.shape[0]):
        power = xp.take(x[channel, :] ** 2, index)
        rows.append(xp.sqrt(xp.mean(xp.reshape(power, (len(starts), length)), axis=1)))
    return xp.stack(rows)


def clean_amplitude(amplitudes):
    """Mean and SD of the amplitudes that windows of clean EEG have, per channel.

    A truncated generalised Gaussian is fitted to the lower part of the distribution by a grid search over where that
    part starts, how wide it is, and its shape; the measure is the Kullback-Leibler divergence of binned counts (Kothe
    & Jung's method, as the clean_rawdata plug-in computes it). At least a quarter of the windows must be clean, and
    at most a tenth too weak.

    Parameters
    ----------
    amplitudes : array (channels, windows)
        RMS amplitudes, at least 20 windows.

    Returns
    -------
    mean, sd : array (channels,)
        In the unit of `amplitudes`.
    """
    xp = _array.namespace(amplitudes)
    x = xp.sort(amplitudes, axis=1)
    windows = x.shape[1]
    starts = half_up(windows * (_QUANTILES[0] + _STEP * np.arange(round(_DROPOUTS / _STEP) + 1)))
    widest = _QUANTILES[1] - _QUANTILES[0]
    widths = half_up(windows * np.arange(widest, _CLEAN * widest, -_STEP))
    bins = [int(half_up(3 * math.log2(1 + width / 2))) for width in widths]
    low = xp.take(x, _array.like(starts, x), axis=1)
    spans = [xp.take(x, _array.like(starts + width - 1, x), axis=1) - low for width in widths]
    ranks = _ranks(x, low, spans, bins)
    best = {"kl": xp.full_like(x[:, 0], math.inf)}
    best |= {key: xp.zeros_like(x[:, 0]) for key in ("mean", "sd")}
    for width, span, number, rank in zip(widths, spans, bins, ranks):
        kl, choice = _divergence(rank, span, _array.like(starts, x), int(width), number)
        start, shape = choice % len(starts), choice // len(starts)
        better = kl < best["kl"]
        lower, scale, spread = (xp.take(_array.like(row, x), shape) for row in _shapes())
        alpha = xp.take_along_axis(span, start[:, None], axis=1)[:, 0] * scale
        mean = xp.take_along_axis(low, start[:, None], axis=1)[:, 0] - lower * alpha
        found = {"kl": kl, "mean": mean, "sd": alpha * spread}
        best = {key: xp.where(better, found[key], best[key]) for key in best}
    return best["mean"], best["sd"]


def _bounds():
    """Bounds of the fitted part in units of the scale parameter: ndarray (2, shapes)."""
    q = np.array(_QUANTILES)[:, None]
    return np.sign(q - 0.5) * scipy.special.gammaincinv(1 / _SHAPES, np.abs(2 * q - 1)) ** (1 / _SHAPES)


def _shapes():
    """Per shape: lower bound, scale per width of the fitted part, and SD per scale."""
    lower, upper = _bounds()
    sd = np.sqrt(scipy.special.gamma(3 / _SHAPES) / scipy.special.gamma(1 / _SHAPES))
    return lower, 1 / (upper - lower), sd


def _ranks(x, low, spans, bins):
    """How many sorted amplitudes lie below each inner bin edge; one (channels, starts, bins - 1) array per width."""
    xp = _array.namespace(x)
    channels, starts = low.shape
    edges = [
        low[:, :, None] + span[:, :, None] * _array.like(np.arange(1, number) / number, x)
        for span, number in zip(spans, bins)
    ]
    flat = xp.concat([xp.reshape(edge, (channels, -1)) for edge in edges], axis=1)
    rank = xp.stack([xp.searchsorted(x[c, :], flat[c, :]) for c in range(channels)])
    ends = np.cumsum([0] + [starts * (number - 1) for number in bins]).tolist()
    return [
        xp.reshape(rank[:, first:last], (channels, starts, number - 1))
        for first, last, number in zip(ends, ends[1:], bins)
    ]


def _divergence(rank, span, starts, width, number):
    """Smallest divergence per channel over shapes and starts, and where it is (shape major)."""
    xp = _array.namespace(span)
    first = xp.zeros_like(rank[:, :, :1]) + xp.astype(starts, rank.dtype)[None, :, None]
    inner = xp.minimum(xp.maximum(rank, first), first + width)
    counts = xp.astype(xp.diff(xp.concat([first, inner, first + width], axis=2), axis=2), span.dtype)
    # Amplitudes that are all equal fill no bin: such a stretch must never win.
    counts = xp.where(span[:, :, None] > 0, counts, xp.zeros_like(counts))
    lower, upper = _bounds()
    centres = lower[:, None] + (0.5 + np.arange(number)) / number * (upper - lower)[:, None]
    density = np.exp(-(np.abs(centres) ** _SHAPES[:, None]))
    density /= density.sum(axis=1, keepdims=True)
    entropy = np.sum(density * np.log(density), axis=1) + math.log(width)
    cross = xp.matmul(xp.log(counts + 0.01), _array.like(density.T, span))
    kl = xp.permute_dims(_array.like(entropy, span) - cross, (0, 2, 1))
    kl = xp.reshape(kl, (kl.shape[0], -1))
    return xp.min(kl, axis=1), xp.argmin(kl, axis=1)


def median_covariance(x, block=10, tolerance=1e-5, most=500):
    """Geometric median of the covariances of successive blocks of x: robust against bursts shorter than half of it.

    Weiszfeld's algorithm (Tohoku Mathematical Journal 43 (1937) 355-386) from the median of each entry. The block
    covariances are never held together: distances and weighted sums are formed from the samples.

    Parameters
    ----------
    x : array (channels, samples)
        Zero-mean; the last sample is repeated to fill the last block.
    block : int
        Samples per block.
    tolerance : float
        Stop where the median's relative change is below.
    most : int
        Most iterations.

    Returns
    -------
    array (channels, channels)
        In the squared unit of x.
    """
    xp = _array.namespace(x)
    samples = x.shape[1]
    blocks = -(-samples // block)
    median, squares = _entry_medians(x, blocks, block)
    for _ in range(most):
        square = xp.sum(median**2)
        total, weights = xp.zeros_like(median), 0.0
        for first, part in _pieces(x, blocks, block):
            overlap = xp.sum(xp.reshape(xp.sum(xp.matmul(median, part) * part, axis=0), (-1, block)), axis=1) / block
            distance = squares[first : first + overlap.shape[0]] - 2 * overlap + square
            distance = xp.sqrt(xp.maximum(distance, square * 1e-30))
            # Equal blocks at distance 0 of the median: any equal weight will do, and all-zero data stay zero.
            weight = 1 / xp.where(distance > 0, distance, xp.ones_like(distance))
            spread = xp.reshape(xp.tile(weight[:, None], (1, block)), (1, -1)) / block
            total, weights = total + xp.matmul(part * spread, part.T), weights + xp.sum(weight)
        before, median = median, total / weights
        if float(xp.sum((median - before) ** 2)) < tolerance**2 * float(xp.sum(median**2)):
            break
    return (median + median.T) / 2


def _pieces(x, blocks, block):
    """Whole blocks of x, as many as the working memory holds: (first block, array (channels, samples)).

    The last block is filled up with the last sample.
    """
    xp = _array.namespace(x)
    several = max(1, _array.room(x, _PIECE) // (block * x.shape[0]))
    for first in range(0, blocks, several):
        last = min(first + several, blocks)
        part = x[:, first * block : min(last * block, x.shape[1])]
        lacking = (last - first) * block - part.shape[1]
        yield first, part if not lacking else xp.concat([part, xp.tile(x[:, -1:], (1, lacking))], axis=1)


def _entry_medians(x, blocks, block):
    """Median over blocks of each entry of the block covariances, and the squared norm of each block's."""
    xp = _array.namespace(x)
    channels = x.shape[0]
    rows = max(1, _array.room(x, _GROUP) // (blocks * channels))
    medians, squares = [], 0
    for first in range(0, channels, rows):
        last = min(first + rows, channels)
        # Covariances are symmetric: what lies left of the diagonal blocks is known already.
        products = [_products(part[first:, :], last - first, block) for _, part in _pieces(x, blocks, block)]
        products = xp.concat(products, axis=0)
        squares = squares + xp.sum(products[:, : last - first, :] ** 2, axis=(1, 2))
        squares = squares + 2 * xp.sum(products[:, last - first :, :] ** 2, axis=(1, 2))
        median = xp.reshape(_array.medians(xp.reshape(products, (blocks, -1)).T), products.shape[1:])
        medians.append(xp.concat([xp.zeros_like(x[:first, : last - first]), median], axis=0))
    lower = xp.concat(medians, axis=1)
    return xp.tril(lower) + xp.tril(lower, k=-1).T, squares


def _products(x, columns, block):
    """Covariances (blocks, channels, columns) of all channels of x with the first few, block by block."""
    xp = _array.namespace(x)
    parts = xp.permute_dims(xp.reshape(x, (x.shape[0], -1, block)), (1, 0, 2))
    return xp.matmul(parts, xp.permute_dims(parts[:, :columns, :], (0, 2, 1))) / block
