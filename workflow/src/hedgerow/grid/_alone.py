"""Combinations of coefficients that one unit (group, window) alone determines: no data tell their error.

A unit that fits a direction alone has no residual in it, whatever its values, so that robust errors and the
bootstraps see no variation there, although it is as large as anywhere. In the whitened basis, where X'X = I, such a
direction is an eigenvector of the unit's cross products with eigenvalue 1. No other unit has any part in it, and
directions of unlike units are orthogonal.
"""

import numpy as np

from hedgerow import _array
from hedgerow.grid._sums import listed

#: An eigenvalue (of a window: the leverage) closer to 1: the unit fits that direction alone.
ALONE = 1e-10
#: A smaller part of a combination is rounding.
SHARE = 1e-5


def alone(gram, back):
    """Combinations that a group alone determines, in part or whole.

    Parameters
    ----------
    gram : array, (S, p, p)
        Cross products of groups in the whitened basis: their sum is the identity.
    back : array, (k, p)
        Combinations of the whitened coefficients.

    Returns
    -------
    numpy.ndarray of bool, (k,)
    """
    return within(back, of_groups(gram)[0])


def alone_windows(rows, back):
    """Combinations that a window alone determines, in part or whole.

    Parameters
    ----------
    rows : array, (n, p)
        Rows of the design in the whitened basis: orthonormal columns.
    back : array, (k, p)
        Combinations of the whitened coefficients.

    Returns
    -------
    numpy.ndarray of bool, (k,)
    """
    hat = _array.namespace(rows).sum(rows * rows, axis=1)
    return within(back, of_windows(rows, hat)[0])


def of_groups(gram):
    """Directions (r, p) that groups (S, p, p) fit alone, orthonormal, and whose they are (r,): NumPy arrays."""
    xp = _array.namespace(gram)
    # sums of the second, then the fourth powers of the eigenvalues: cheap, and below 1 for nearly all groups
    squares = _array.to_numpy(xp.sum(gram * gram, axis=(1, 2)))
    some = np.flatnonzero(squares > 1 - 8 * ALONE)
    own = _array.to_numpy(xp.take(gram, _array.like(some, gram), axis=0))
    likely = np.linalg.norm(own @ own, axis=(1, 2)) ** 2 > 1 - 8 * ALONE
    some, own = some[likely], own[likely]
    values, vectors = np.linalg.eigh((own + own.swapaxes(1, 2)) / 2)
    group, place = np.nonzero(values > 1 - ALONE)
    return vectors[group, :, place], some[group]


def of_windows(rows, hat):
    """Directions (r, p) that windows with leverage `hat` (n,) fit alone, and whose they are (r,): NumPy arrays."""
    xp = _array.namespace(rows)
    own = np.flatnonzero(_array.to_numpy(hat > 1 - ALONE))
    return _array.to_numpy(xp.take(rows, _array.like(own, rows), axis=0)), own


def within(combinations, directions):
    """Which combinations (k, p) have a part in orthonormal directions (r, p): ndarray of bool (k,)."""
    rows = _array.to_numpy(combinations)
    return np.linalg.norm(rows @ directions.T, axis=1) > SHARE * np.linalg.norm(rows, axis=1)


def tests_within(tests, directions):
    """Which tests, each (q, p), have a part in orthonormal directions (r, p): ndarray of bool (tests,)."""
    return np.asarray([within(test, directions).any() for test in tests], dtype=bool)


def without(found, solution, directions):
    """Errors as from `hedgerow.grid.errors`, NaN for what has a part in directions that one unit fits alone."""
    if not len(directions):
        return found
    rows, tests = within(solution.combinations, directions), tests_within(solution.tests, directions)
    for of, array, degrees in ((rows, "se", "df"), (tests, "F", "df2")):
        found[array] = found[array] + _array.like(np.where(of, np.nan, 0.0), found[array])[:, None]
        found[degrees] = np.where(of, np.nan, found[degrees])
    return found


def warnings(solution, directions, units):
    """One sentence, or none, on what one unit alone determines; `units` names the units and has the verb."""
    named = [solution.names[j] for j in np.flatnonzero(within(solution.coefficients, directions))]
    return [
        f"{units} {listed(named)}: nothing tells how much that varies from one to the next; "
        "standard errors, t, degrees of freedom and F of all that holds it are NaN."
    ] * bool(named)
