"""A regression solved in the whitened basis, and F tests in it."""

import dataclasses
import itertools

import numpy as np

from hedgerow import _array

#: A covariance whose smallest eigenvalue is below this share of its largest is singular.
SINGULAR = 1e-12


@dataclasses.dataclass(frozen=True)
class Solution:
    """Coefficients in the whitened basis (X'X = I), and what is asked for in it.

    Attributes
    ----------
    half : array, (p, p)
        Brings the basis of the moments to the whitened one.
    gamma : array, (p, m)
        Coefficients.
    constant : array, (p,)
        Sum of the whitened rows of X: coefficients of a constant, if the design spans one.
    combinations : array, (k, p)
        What is estimated.
    tests : list of array, (q, p)
        What is tested to be zero: orthonormal rows.
    coefficients : array, (p, p)
        Rows: the coefficients of X.
    names : list of str, (p,)
    windows : int
    """

    half: object
    gamma: object
    constant: object
    combinations: object
    tests: list
    coefficients: object
    names: list
    windows: int

    @property
    def constraints(self):
        """Numerator degrees of freedom of the tests (tests,)."""
        return np.asarray([test.shape[0] for test in self.tests], dtype=float)

    def stacked(self, found):
        """Values of the tests (tests, m) from those of each (m,)."""
        return _array.namespace(self.gamma).stack(found, axis=0) if found else self.gamma[:0, :]

    @property
    def asked(self):
        """Combinations and tests, one below the other."""
        return _array.namespace(self.gamma).concat([self.combinations, *self.tests], axis=0)

    def rows_of_tests(self):
        """Place of each test in `asked`."""
        stops = np.cumsum([self.combinations.shape[0], *(test.shape[0] for test in self.tests)])
        return [slice(int(start), int(stop)) for start, stop in itertools.pairwise(stops)]


def orthonormal(rows):
    """Orthonormal rows (rank, p) that span what `rows` (q, p) spans."""
    xp = _array.namespace(rows)
    norms = xp.sqrt(xp.sum(rows * rows, axis=1))
    if float(xp.max(norms)) == 0:
        raise ValueError("a test of nothing: all its weights are zero.")
    _, values, right = xp.linalg.svd(rows / xp.where(norms > 0, norms, 1 + 0 * norms)[:, None], full_matrices=False)
    rank = int(xp.sum(xp.astype(values > SINGULAR**0.5 * values[0], xp.int64)))
    return right[:rank, :]


def wald(estimate, covariance):
    """Estimate' (covariance)⁻¹ estimate / q (m,), of (q, m) and (m, q, q); NaN where the covariance is singular."""
    xp, q = _array.namespace(estimate), estimate.shape[0]
    values, vectors = xp.linalg.eigh(covariance)
    turned = xp.matmul(xp.matrix_transpose(vectors), xp.matrix_transpose(estimate)[:, :, None])[:, :, 0]
    full = values[:, 0] > SINGULAR * values[:, -1]
    ratio = turned**2 / xp.where(full[:, None], values, xp.full_like(values, xp.nan))
    return xp.sum(ratio, axis=1) / q
