"""Models held against each other at every cell, from the sums of the one matrix that they share (`design.Family`)."""

import itertools

import numpy as np

from hedgerow import _array
from hedgerow.grid import _sums, ols

#: Columns whose part outside another model is smaller than this share of them lie in it.
NESTED = 1e-7


def compare(moments, family):
    """Criteria of every model, and F tests of those nested in the first or holding it.

    Parameters
    ----------
    moments : dict
        Sums of U (`ols.moments`, `ols.combine`) with the basis of `family`, over the windows that all models use.
    family : hedgerow.grid.design.Family

    Returns
    -------
    dict
        ``models``, formulas, the first that of ``family.main``, and ``coefficients``, how many each has. Arrays of the
        kind of the moments: ``loglik``, ``aic``, ``bic`` (models, m), with p coefficients counted, as statsmodels
        does; ``F`` (models - 1, m) of each other model against the first, classical, NaN where neither holds the other
        or a cell has no residual. NumPy arrays: ``df1``, ``df2`` (models - 1,), NaN where F is.

    Raises
    ------
    ValueError
        A model that these windows cannot estimate, or with as many coefficients as windows.
    """
    xp, n = _array.namespace(moments["XtY"]), int(np.sum(moments["n"]))
    up, gamma = _orthonormal(moments)
    spaces = {}
    # in this order, whatever the one in which a design file holds them
    for formula in (family.main.formula, *family.others):
        spaces[formula] = _space(moments, up, family.within[formula], formula)
        if n <= spaces[formula].shape[1]:
            raise ValueError(f"{formula!r}: {spaces[formula].shape[1]} coefficients and {n} windows: leave terms out.")
    fitted = [xp.matmul(space, xp.matmul(xp.matrix_transpose(space), gamma)) for space in spaces.values()]
    squares = xp.sum(moments["YtY"], axis=0)
    rest = ols.rounded(squares - xp.sum(gamma * gamma, axis=0), squares, "sums")
    # What U explains beyond a model is a sum of squares: no difference of large sums is taken for any of them.
    residuals = [rest + xp.sum((gamma - each) ** 2, axis=0) for each in fitted]
    sizes = [space.shape[1] for space in spaces.values()]
    found = [ols.criteria(residual, n, p) for residual, p in zip(residuals, sizes, strict=True)]
    first = next(iter(spaces.values()))
    F, df1, df2 = [], [], []
    for other, fit, residual in itertools.islice(zip(spaces.values(), fitted, residuals, strict=True), 1, None):
        larger = residual if other.shape[1] > first.shape[1] else residuals[0]
        degrees = _degrees(first, other, n)
        below = xp.where(larger > 0, larger, xp.full_like(larger, xp.nan)) / degrees[1] * degrees[0]
        F.append(xp.sum((fit - fitted[0]) ** 2, axis=0) / below)
        df1.append(degrees[0]), df2.append(degrees[1])
    return {
        "models": list(spaces),
        "coefficients": sizes,
        **{key: xp.stack([each[key] for each in found], axis=0) for key in ("loglik", "aic", "bic")},
        "F": xp.stack(F, axis=0) if F else gamma[:0, :],
        "df1": np.asarray(df1, dtype=float),
        "df2": np.asarray(df2, dtype=float),
    }


def _orthonormal(moments):
    """The way (r, p_u) from the basis of the sums to an orthonormal one of U, and the coefficients (r, m) in it.

    These windows may know less than all of U, as long as they know each of the models: r is the rank of U in them.
    """
    scale, values, vectors = _sums.spectrum(moments)
    xp = _array.namespace(values)
    known = _array.like(np.flatnonzero(_array.to_numpy(values > _sums.SINGULAR * values[-1])), values)
    root, vectors = xp.sqrt(xp.take(values, known, axis=0)), xp.take(vectors, known, axis=1)
    down = xp.matrix_transpose(scale[:, None] * vectors / root[None, :])
    up = xp.matrix_transpose(vectors * root[None, :] / scale[:, None])
    return up, xp.matmul(down, xp.sum(moments["XtY"], axis=0))


def _space(moments, up, within, formula):
    """Orthonormal columns (r, p) that span a model."""
    xp = _array.namespace(up)
    whole = xp.matmul(moments["basis"], _array.like(np.asarray(within), up))
    columns = xp.matmul(up, whole)
    norms, before = (xp.sqrt(xp.sum(each * each, axis=0)) for each in (columns, whole))
    held = norms > _sums.DEPENDENT * before  # of an empty column rounding is left
    scaled = xp.where(held, columns / xp.where(held, norms, xp.ones_like(norms)), xp.zeros_like(columns))
    left, values, _ = xp.linalg.svd(scaled, full_matrices=False)
    if columns.shape[0] < columns.shape[1] or float(values[-1]) <= _sums.DEPENDENT * float(values[0]):
        raise ValueError(
            f"comparison: {int(np.sum(moments['n']))} windows cannot tell apart or determine the coefficients of "
            f"{formula!r}; a level may have no window left; leave the term out."
        )
    return left


def _degrees(first, other, n):
    """Degrees of freedom of F of two models given by orthonormal columns; NaN where neither lies in the other."""
    xp = _array.namespace(first)
    small, large = sorted((first, other), key=lambda columns: columns.shape[1])
    outside = small - xp.matmul(large, xp.matmul(xp.matrix_transpose(large), small))
    if small.shape[1] == large.shape[1] or float(xp.max(xp.sum(outside**2, axis=0))) > NESTED**2:
        return np.nan, np.nan
    return large.shape[1] - small.shape[1], n - large.shape[1]
