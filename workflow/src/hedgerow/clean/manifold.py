"""The robust covariance of ASR's calibration on the manifold of covariances, where scale and mixing do not matter.

Needs a signal (channels, samples); makes its covariance. In the plane a block of large variance is far from all others
whatever its shape; on the manifold distances are those of the logarithms, and a linear mixing of channels moves all
covariances alike.
"""

import numpy as np

from hedgerow import _array

#: Share of the overall covariance that is added to each block's: where a block of a smooth signal lacks a direction,
#: its logarithm would have no end.
_SHRINKAGE = 1e-3

#: Directions with less than this share of the largest variance are none: a reference took them out.
_TOLERANCE = 1e-10


def median_covariance(x, block=10, tolerance=1e-7, most=100):
    """Riemannian geometric median of the covariances of successive blocks of x.

    Weiszfeld's algorithm on the manifold (P. T. Fletcher et al., NeuroImage 45 (2009) S143-S152) under the
    affine-invariant metric, from the mean. It is taken in the space that x spans, so that data of low rank have one.

    Parameters
    ----------
    x : array (channels, samples)
    block : int
        Samples per block; at least twice the rank.
    tolerance : float
        Stop where the next step, in the metric, is below.
    most : int
        Most iterations.

    Returns
    -------
    array (channels, channels)
        In the squared unit of x.
    """
    xp = _array.namespace(x)
    whole = xp.matmul(x, x.T) / x.shape[1]
    variance, axes = xp.linalg.eigh(whole)
    first = int(xp.sum(xp.astype(variance <= _TOLERANCE * variance[-1], xp.int64)))
    if not float(variance[-1]) > 0:
        return whole
    rank, scale = x.shape[0] - first, xp.sqrt(variance[first:])
    whitened = xp.matmul(axes[:, first:].T, x) / scale[:, None]
    block = min(max(block, 2 * rank), x.shape[1])
    blocks = x.shape[1] // block
    parts = xp.reshape(whitened[:, : blocks * block], (rank, blocks, block))
    parts = xp.permute_dims(parts, (1, 0, 2))
    covariances = xp.matmul(parts, xp.permute_dims(parts, (0, 2, 1))) / block
    covariances = (1 - _SHRINKAGE) * covariances + _SHRINKAGE * _array.eye(rank, x)
    median = xp.mean(covariances, axis=0)
    for _ in range(most):
        root, inverse = _power(median, 0.5), _power(median, -0.5)
        logs = _logarithm(xp.matmul(xp.matmul(inverse, covariances), inverse))
        distance = xp.sqrt(xp.sum(logs**2, axis=(1, 2)))
        # A block at the median itself has no direction: it weighs much, not infinitely.
        weight = 1 / xp.where(distance > 1e-12, distance, xp.full_like(distance, 1e-12))
        step = xp.sum(logs * (weight / xp.sum(weight))[:, None, None], axis=0)
        median = xp.matmul(xp.matmul(root, _exponential(step)), root)
        median = (median + median.T) / 2
        if float(xp.sqrt(xp.sum(step**2))) < tolerance:
            break
    back = axes[:, first:] * scale
    return xp.matmul(xp.matmul(back, median), back.T)


def _spectral(matrices, function):
    """Apply a function to the eigenvalues of symmetric matrices (..., n, n)."""
    xp = _array.namespace(matrices)
    values, vectors = xp.linalg.eigh(matrices)
    return xp.matmul(vectors * function(values)[..., None, :], xp.matrix_transpose(vectors))


def _power(matrix, exponent):
    return _spectral(matrix, lambda values: values**exponent)


def _logarithm(matrices):
    xp = _array.namespace(matrices)
    floor = float(np.finfo(float).tiny)
    return _spectral(matrices, lambda values: xp.log(xp.where(values > floor, values, xp.full_like(values, floor))))


def _exponential(matrix):
    return _spectral(matrix, _array.namespace(matrix).exp)
