"""Many symmetric positive definite systems, one per replicate: solutions, and which of them are as good as singular."""

import numpy as np
import scipy.linalg

from hedgerow import _array

#: Smallest eigenvalue of a replicate's design, whose mean over replicates is 1; a lost level gives rounding error.
SINGULAR = 1e-8
#: Equations up to this many are solved together, and their inverses are kept.
SMALL = 32


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
