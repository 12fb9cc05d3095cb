"""Least squares at every cell of the grid, with errors, tests and criteria.

`fit_moments` starts from sums that add up over recordings (`moments`, `combine`), which is all that errors robust
against dependence within people need; `fit` starts from the windows themselves, which the errors robust against unequal
variances (HC) need. Both give the same keys, for every cell at once; `hedgerow.grid.errors` says which errors are what.

Cells are whatever lies behind the first axis of Y (channel x time, channel x frequency), flattened.
"""

import math

import numpy as np

from hedgerow import _array
from hedgerow.grid import errors as estimators
from hedgerow.grid._sums import basis_of, combination, combine, moments, placed, rebased, restrict, whiten

__all__ = ["basis_of", "combination", "combine", "fit", "fit_moments", "moments", "rebased", "restrict", "whiten"]

#: A residual sum of squares below this share of the whole is rounding: as a difference of sums, as a sum over windows.
ROUNDING = {"sums": 1e-13, "windows": 1e-26}
#: Of a residual sum of squares below this share of the whole, a difference of sums keeps about four digits or less.
OFFSET = 1e-11


def fit_moments(moments, *, weights=None, tests=(), errors="cr2", names=None):
    """Least squares at every cell from moments.

    Parameters
    ----------
    moments : dict
        From `moments`, `combine` or `restrict`, over all groups.
    weights : array_like, (k, p), optional
        Linear combinations of coefficients to estimate (`design.contrasts`); ``None``: each coefficient, k = p.
    tests : sequence of array_like, (q, p)
        Each: combinations that are tested to be zero together (`design.tests`).
    errors : {"classical", "cr1", "cr2"}
        See `hedgerow.grid.errors`.
    names : list of str, (p,), optional
        Coefficients, for messages.

    Returns
    -------
    dict
        Arrays of the kind of the moments: ``coef`` (k, m) in units of Y per unit of X, ``se`` and ``t`` (k, m); ``F``
        (tests, m); ``sigma`` (residual standard deviation), ``r2`` (about the mean where the design spans a constant),
        ``r2_adjusted``, ``loglik``, ``aic`` and ``bic`` (m,), which count p coefficients, as statsmodels does. NumPy
        arrays: degrees of freedom ``df`` (k,) of t, ``df1`` and ``df2`` (tests,) of F. ``account``: ``windows``,
        ``clusters``, ``coefficients``, ``cells``, ``errors``, ``windows_per_cluster`` (fewest, most), ``warnings``.
        Cells without residual have NaN for t, F and criteria, and constant cells for ``r2``.

    Raises
    ------
    ValueError
        A design that these windows cannot estimate, as many coefficients as windows, or errors that need the windows.
    """
    if errors not in ("classical", *estimators.CLUSTERED):
        known = "need the windows themselves, which ols.fit takes" if errors in estimators.WEIGHTS else "are not known"
        raise ValueError(f"errors {errors!r} {known}; from moments there are classical, cr1 and cr2.")
    solution = _solve(moments, weights, tests, names)
    xp = _array.namespace(solution.gamma)
    squares = xp.sum(moments["YtY"], axis=0)
    explained = xp.sum(solution.gamma**2, axis=0)
    residual = rounded(squares - explained, squares, "sums")
    offset = _offset(residual, squares)
    if errors == "classical":
        found = estimators.classical(solution, residual)
    else:
        found = estimators.over_groups(solution, moments, errors)
    found["warnings"] += offset
    return _result(solution, residual, ROUNDING["sums"] * squares, moments, found, errors)


def fit(X, Y, groups=None, *, weights=None, tests=(), errors="hc3", names=None):
    """Least squares at every cell from the windows, by QR of X.

    Parameters
    ----------
    X : array or numpy.ndarray, (n, p)
        Rows of the design matrix; a host array is taken to the device of `Y`.
    Y : array, (n, ...)
        Windows; all axes behind the first are cells. Everything is computed in float64.
    groups : array_like of str, (n,), optional
        Clusters, which ``cr1`` and ``cr2`` need.
    weights, tests, names
        As in `fit_moments`.
    errors : {"classical", "hc0", "hc1", "hc2", "hc3", "cr1", "cr2"}
        See `hedgerow.grid.errors`.

    Returns
    -------
    dict
        As from `fit_moments`; without groups, ``clusters`` of the account is None.

    Raises
    ------
    ValueError
        As `fit_moments` and `moments`; errors of clusters without groups.
    """
    basis = basis_of(X, names=names)
    if errors in estimators.CLUSTERED:
        if groups is None:
            raise ValueError(f"errors {errors!r} are robust against dependence within groups: give the groups.")
        sums = moments(X, Y, groups, basis=basis)
        return fit_moments(sums, weights=weights, tests=tests, errors=errors, names=names)
    if errors not in ("classical", *estimators.WEIGHTS):
        raise ValueError(f"errors {errors!r} are not known: classical, hc0, hc1, hc2, hc3, cr1 or cr2.")
    rows = rebased(X, basis, Y)
    sums = moments(rows, Y, np.full(Y.shape[0], "all")) | {"basis": placed(basis, Y)}
    solution = _solve(sums, weights, tests, names)
    Y = _array.namespace(Y).reshape(Y, (Y.shape[0], math.prod(Y.shape[1:])))
    residual, found = estimators.over_rows(solution, rows, Y, errors)
    squares = sums["YtY"][0, :]
    residual = rounded(residual, squares, "windows")
    if errors == "classical":
        found = estimators.classical(solution, residual)
    sums["n"] = None if groups is None else np.unique(np.asarray(groups, dtype=str), return_counts=True)[1]
    return _result(solution, residual, ROUNDING["windows"] * squares, sums, found, errors)


def criteria(residual, n, p):
    """Log-likelihood, AIC and BIC (dict of arrays (m,)) of n windows, p coefficients and residual sums of squares (m,).

    The variance is not counted as a coefficient, as in statsmodels. NaN where there is no residual.
    """
    xp = _array.namespace(residual)
    left = xp.where(residual > 0, residual, xp.full_like(residual, xp.nan))
    loglik = -n / 2 * (xp.log(left * (2 * math.pi / n)) + 1)
    return {"loglik": loglik, "aic": 2 * p - 2 * loglik, "bic": math.log(n) * p - 2 * loglik}


def _solve(moments, weights, tests, names):
    """Coefficients in the whitened basis, and what is asked for in it."""
    windows, p = int(np.sum(moments["n"])), moments["XtX"].shape[1]
    half = whiten(moments, names=names)
    if windows <= p:
        raise ValueError(f"{p} coefficients and {windows} windows: nothing is left to estimate the error from.")
    xp = _array.namespace(half)
    transposed = xp.matrix_transpose(half)
    return estimators.Solution(
        half=half,
        gamma=xp.matmul(transposed, xp.sum(moments["XtY"], axis=0)),
        constant=xp.matmul(transposed, xp.sum(moments["Xsum"], axis=0)),
        combinations=combination(moments, half, weights),
        tests=[estimators.orthonormal(combination(moments, half, test)) for test in tests],
        coefficients=combination(moments, half),
        names=[f"column {j}" for j in range(p)] if names is None else list(names),
        windows=windows,
    )


def rounded(residual, squares, source):
    """Residual sum of squares (m,), 0 where it is rounding error; `source` is a key of `ROUNDING`."""
    xp = _array.namespace(residual)
    return xp.where(residual > ROUNDING[source] * squares, residual, xp.zeros_like(residual))


def _offset(residual, squares):
    """Sentence, or none, on cells whose residual (m,) is small beside their sum of squares (m,)."""
    xp = _array.namespace(residual)
    count = int(xp.sum(xp.astype((squares > 0) & (residual < OFFSET * squares), xp.int64)))
    return [
        f"{count} of {residual.shape[0]} cells have a residual below {OFFSET:g} of their sum of squares (a large "
        "offset?): sums keep four digits or fewer of their sigma, R2, criteria and classical errors; "
        "subtract a baseline or high-pass."
    ] * bool(count)


def _result(solution, residual, rounding, moments, found, errors):
    """Everything that is derived from estimates, residuals and errors; `rounding` (m,) is no sum of squares."""
    xp = _array.namespace(residual)
    n, (p, cells) = solution.windows, solution.gamma.shape
    exact = residual == 0
    gap = xp.full_like(residual, xp.nan)
    coef = xp.matmul(solution.combinations, solution.gamma)
    se = xp.where(exact[None, :], 0 * found["se"], found["se"])
    explained, spans = _explained(solution)
    whole = residual + explained
    r2 = 1 - residual / xp.where(whole > rounding, whole, gap)
    counts = moments["n"]
    return {
        "coef": coef,
        "se": se,
        "t": coef / xp.where(se > 0, se, xp.full_like(se, xp.nan)),
        "F": xp.where(exact[None, :], xp.full_like(found["F"], xp.nan), found["F"]),
        **{key: found[key] for key in ("df", "df1", "df2")},
        "sigma": xp.sqrt(residual / (n - p)),
        "r2": r2,
        "r2_adjusted": 1 - (n - spans) / (n - p) * (1 - r2),
        **criteria(residual, n, p),
        "account": {
            "windows": n,
            "clusters": None if counts is None else len(counts),
            "coefficients": p,
            "cells": int(cells),
            "errors": errors,
            "windows_per_cluster": None if counts is None else [int(np.min(counts)), int(np.max(counts))],
            "warnings": found["warnings"],
        },
    }


def _explained(solution):
    """Explained sum of squares (m,), about the mean where the design spans a constant, and whether (1 or 0) it does.

    The constant is a direction of the whitened basis, so that nothing is subtracted from a sum of squares.
    """
    xp, n = _array.namespace(solution.gamma), solution.windows
    gamma, constant = solution.gamma, solution.constant
    spans = abs(float(xp.sum(constant * constant)) - n) <= 1e-8 * n
    if spans:
        gamma = gamma - constant[:, None] * (xp.matmul(constant[None, :], gamma) / n)
    return xp.sum(gamma * gamma, axis=0), int(spans)
