"""Whether the columns of a design matrix can be told apart, and how well."""

import itertools

import numpy as np

from hedgerow.grid._sums import listed

#: A column whose part that no other column explains is smaller than this share of it is collinear (as in R's `lm`).
COLLINEAR = 1e-7


def triangle(matrix, rows=65536):
    """R (p, p) of the QR decomposition, positive diagonal, block by block so that no second matrix is held."""
    triangle = np.zeros((0, matrix.shape[1]))
    for start in range(0, matrix.shape[0], rows):
        triangle = np.linalg.qr(np.vstack([triangle, matrix[start : start + rows]]), mode="r")
    return triangle * np.where(np.diag(triangle) < 0, -1.0, 1.0)[:, None]


def check_finite(matrix, coefficients):
    """Refuse a design matrix with NaN or infinity, naming the coefficient."""
    bad = np.count_nonzero(~np.isfinite(matrix), axis=0)
    if bad.any():
        worst = int(np.argmax(bad))
        raise ValueError(
            f"formula: {coefficients[worst]!r} is not finite in {bad[worst]} of {len(matrix)} windows "
            "(an infinite value, the logarithm of zero?); change the term or mark those values n/a."
        )


def check(basis, matrix, coefficients, terms):
    """Refuse empty, constant and collinear columns, naming coefficient, term and what it repeats (after R's `lm`)."""
    term_of = {name: term for term, names in terms.items() for name in names}
    norms = np.linalg.norm(basis, axis=0)
    for j, name in enumerate(coefficients):
        where = f"formula: term {term_of[name]!r}, coefficient {name!r},"
        if norms[j] == 0:
            raise ValueError(f"{where} is zero in all {len(matrix)} windows: no window has that combination.")
        if basis[j, j] > COLLINEAR * norms[j]:
            continue
        if np.ptp(matrix[:, j]) == 0:
            raise ValueError(f"{where} is constant ({matrix[0, j]:g}) in all {len(matrix)} windows; leave it out.")
        weights = np.linalg.lstsq(basis[:, :j] / norms[:j], basis[:, j] / norms[j], rcond=None)[0]
        others = [coefficients[i] for i in np.flatnonzero(np.abs(weights) > 1e-6)]
        raise ValueError(f"{where} is a combination of {listed(others)} in all {len(matrix)} windows; leave one out.")


def inflation(basis, coefficients):
    """Variance inflation factors from R: spread of a column times its diagonal element of (X'X)⁻¹."""
    first = 1 if coefficients[0] == "Intercept" else 0
    inverse = np.linalg.inv(basis)
    spread = np.sum(basis[first:] ** 2, axis=0)
    factors = spread * np.sum(inverse**2, axis=1)
    return {name: float(factors[j]) for j, name in enumerate(coefficients) if j >= first}


def union(matrices, names):
    """Linearly independent columns among those of several designs over the same windows.

    Parameters
    ----------
    matrices : list of numpy.ndarray, (n, p_i)
        The columns of the first are independent.
    names : list of list of str, (p_i,)

    Returns
    -------
    chosen : list of list of int
        Columns taken of each design, all of the first.
    within : list of numpy.ndarray, (p_u, p_i)
        Columns of each design in those taken.
    basis : numpy.ndarray, (p_u, p_u)
        R of the QR decomposition of those taken.
    """
    whole, labels = np.concatenate(matrices, axis=1), [name for each in names for name in each]
    first, columns = matrices[0].shape[1], triangle(whole)  # columns of R lie to each other as those of the matrices do
    norms = np.linalg.norm(columns, axis=0)
    taken, same = list(range(first)), {}
    space = np.linalg.qr(columns[:, :first])[0]
    for j in range(first, len(labels)):
        twins = [i for i in taken if labels[i] == labels[j] and np.array_equal(whole[:, i], whole[:, j])]
        if twins:
            same[j] = twins[0]
            continue
        rest = columns[:, j] / norms[j]
        for _ in range(2):
            rest = rest - space @ (space.T @ rest)
        if np.linalg.norm(rest) > COLLINEAR:
            taken.append(j)
            space = np.column_stack([space, rest / np.linalg.norm(rest)])
    weights = np.linalg.lstsq(columns[:, taken] / norms[taken], columns / norms, rcond=None)[0]
    weights = np.where(np.abs(weights) > 1e-10, weights, 0) * norms / norms[taken][:, None]
    for j in (*taken, *same):
        weights[:, j] = np.eye(len(taken))[taken.index(same.get(j, j))]
    starts = np.cumsum([0, *(each.shape[1] for each in matrices)]).tolist()
    chosen = [[j - start for j in taken if start <= j < stop] for start, stop in itertools.pairwise(starts)]
    return chosen, np.split(weights, starts[1:-1], axis=1), triangle(columns[:, taken])
