"""Bias-reduced errors of groups (CR2) in the whitened basis: roots, degrees of freedom.

With G = X_g'X_g of one group, whose eigenvalues are between 0 and 1, b'(I - G)^(-1/2) X_g'e_g is the group's part in
the combination b. It is u'ε of the errors ε, and the vectors u of two groups have the product

    [g = h] b'(I - G)^(-1) G b - b'M_g M_h b        with  M = (I - G)^(-1/2) G,

from which expectation and variance of the estimated variance follow for independent errors of equal variance. Sources:
see `hedgerow.grid.errors`.
"""

import dataclasses

import numpy as np

from hedgerow import _array
from hedgerow.grid._alone import ALONE
from hedgerow.grid._sums import slices


@dataclasses.dataclass(frozen=True)
class Split:
    """G = vectors diag(values) vectors' of every group: arrays (S, p), (S, p, p)."""

    values: object
    vectors: object

    @property
    def inverse(self):
        """Eigenvalues (S, p) of (I - G)^+: what a group fits alone has no residual and is left out."""
        xp = _array.namespace(self.values)
        left = 1 - self.values
        free = left > ALONE
        return xp.where(free, 1 / xp.where(free, left, xp.ones_like(left)), xp.zeros_like(left))

    def root(self):
        """(I - G)^(+1/2), (S, p, p)."""
        xp = _array.namespace(self.values)
        scaled = self.vectors * xp.sqrt(self.inverse)[:, None, :]
        return xp.matmul(scaled, xp.matrix_transpose(self.vectors))

    def pieces(self, rows):
        """Of combinations b (r, p): vectors whose products are b'(I - G)^+ G c, and M b, both (S, p, r)."""
        xp = _array.namespace(rows)
        turned = xp.matmul(xp.matrix_transpose(self.vectors), xp.matrix_transpose(rows))  # (S, p, r)
        inverse = self.inverse
        own = turned * xp.sqrt(self.values * inverse)[:, :, None]
        across = xp.matmul(self.vectors, turned * (self.values * xp.sqrt(inverse))[:, :, None])
        return own, across


def split(gram):
    """Eigenvalues and vectors of G (S, p, p)."""
    xp = _array.namespace(gram)
    values, vectors = xp.linalg.eigh((gram + xp.matrix_transpose(gram)) / 2)
    return Split(xp.clip(values, 0, 1), vectors)


def satterthwaite(parts, combinations):
    """Degrees of freedom (k,) of the variances of combinations (k, p): 2 E² / Var."""
    xp = _array.namespace(combinations)
    found = []
    room = max(1, _array.room(combinations, 2**20) // max(parts.vectors.shape[0] * parts.vectors.shape[1], 1))
    for some in slices(combinations.shape[0], room):
        own, across = parts.pieces(combinations[some, :])
        own = xp.matrix_transpose(xp.sum(own**2, axis=1))  # (r, S)
        across = xp.permute_dims(across, (2, 0, 1))  # (r, S, p)
        length = xp.sum(across**2, axis=2)
        small = across if across.shape[1] <= across.shape[2] else xp.matrix_transpose(across)
        products = xp.matmul(small, xp.matrix_transpose(small))
        mean = xp.sum(own - length, axis=1)
        spread = xp.sum(own * (own - 2 * length), axis=1) + xp.sum(products**2, axis=(1, 2))
        found.append(_array.to_numpy(mean**2 / xp.where(spread > 0, spread, xp.full_like(spread, xp.nan))))
    return np.concatenate(found)


def htz(parts, tests):
    """Degrees of freedom (tests,) of the Wishart distribution that is nearest to the covariance of each test.

    The covariance, divided by its expectation, has q (q + 1) / η as the sum of the variances of all its entries.
    """
    return np.asarray([_wishart(parts, test) for test in tests], dtype=float)


def _wishart(parts, test):
    """η of one test (q, p); NaN where the expectation is singular."""
    xp = _array.namespace(test)
    own, across = parts.pieces(test)
    expected = xp.sum(xp.matmul(xp.matrix_transpose(own), own) - xp.matmul(xp.matrix_transpose(across), across), axis=0)
    values, vectors = xp.linalg.eigh(expected)
    if not float(values[0]) > 1e-10 * float(values[-1]):
        return np.nan
    standard = vectors / xp.sqrt(values)[None, :]
    own, across = xp.matmul(own, standard), xp.matmul(across, standard)  # (S, p, q)
    total = 0.0
    for g in range(across.shape[0]):
        products = -xp.matmul(xp.matrix_transpose(across[g, ...]), across)  # (S, q, q)
        products[g, ...] += xp.matmul(xp.matrix_transpose(own[g, ...]), own[g, ...])
        total += float(xp.sum(xp.linalg.trace(products) ** 2) + xp.sum(products * xp.matrix_transpose(products)))
    q = test.shape[0]
    return q * (q + 1) / total
