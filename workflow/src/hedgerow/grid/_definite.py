"""Work on many replicates at once: products in memory that is used again, and their systems of equations.

The systems are symmetric and positive definite: their solutions, and which of them are as good as singular.
"""

import math

import numpy as np
import scipy.linalg

from hedgerow import _array

#: Smallest eigenvalue of a replicate's design, whose mean over replicates is 1; a lost level gives rounding error.
SINGULAR = 1e-8
#: Equations up to this many are solved together, and their inverses are kept.
SMALL = 32


class Buffers:
    """Working memory that is used again: to touch fresh memory costs more than to work in it (numpy alone)."""

    def __init__(self):
        self._held = {}

    def of(self, name, shape, dtype):
        """Array of that name, of which the last one becomes invalid."""
        size, dtype = math.prod(shape), np.dtype(dtype)
        if name not in self._held or self._held[name].size < size or self._held[name].dtype != dtype:
            self._held[name] = np.empty(size, dtype=dtype)
        return self._held[name][:size].reshape(shape)

    def matmul(self, name, a, b):
        """Product of matrices (stacks of them); valid until the next of that name."""
        if not isinstance(a, np.ndarray):
            return _array.namespace(a).matmul(a, b)
        shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
        return np.matmul(a, b, out=self.of(name, shape, a.dtype))


def singular(grams):
    """Which of `grams` (B, p, p) are singular: bool ndarray (B,)."""
    xp = _array.namespace(grams)
    if isinstance(grams, np.ndarray) and grams.shape[-1] > SMALL:
        return np.array([_condition(gram) < SINGULAR for gram in grams])
    values = xp.linalg.eigvalsh(grams)
    return _array.to_numpy(~(xp.min(values, axis=-1) > SINGULAR))


def solved(grams, right):
    """Solutions (B, p, w) of `grams` (B, p, p), none singular, and `right` (B, p, w)."""
    if isinstance(grams, np.ndarray) and grams.shape[-1] > SMALL:
        pairs = zip(grams, right)
        return np.stack([scipy.linalg.solve(g, r, assume_a="pos", check_finite=False) for g, r in pairs])
    return _array.namespace(grams).linalg.solve(grams, right)


def _condition(gram):
    """Reciprocal condition of a Gram matrix, by its Cholesky factor (LAPACK); 0 where it has none."""
    factor, info = scipy.linalg.lapack.dpotrf(gram, lower=1)
    if info:
        return 0.0
    return scipy.linalg.lapack.dpocon(factor, np.abs(gram).sum(axis=0).max(), uplo="L")[0]
