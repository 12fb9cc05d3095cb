"""How much each window weighs in a regression at every cell: the diagnostics that leave one window out, in closed form.

Nothing is fitted again: all that changes when a window is left out follows from its leverage, its residual and the
residual standard deviation of the cell. Names are those of ``OLSInfluence`` in statsmodels.

`diagnostics` takes all windows at once. Where they are spread over the parts of a study, `whole` takes from the summed
moments what all parts need, `part` gives the diagnostics of the windows of a part, and `table` one row for each.

Sources: R. D. Cook (1977), Technometrics 19:15-18; D. A. Belsley, E. Kuh & R. E. Welsch (1980), Regression
Diagnostics, ch. 2; D. M. Allen (1974), Technometrics 16:125-127 (PRESS).
"""

import math

import array_api_compat
import numpy as np
import pandas as pd

from hedgerow import _array
from hedgerow.grid import ols

#: Diagnostics of size (windows, cells) or less; ``dfbetas`` is coefficients times larger and made only if asked for.
DIAGNOSTICS = (
    *("hat_matrix_diag", "cooks_distance", "resid_press", "ess_press"),
    *("resid_studentized_internal", "resid_studentized_external", "dffits", "cov_ratio"),
)
#: A window whose leverage is closer to 1 than this determines a coefficient alone: without it there is no fit.
ALONE = 1e-10
#: Values of a block that stays in the cache of a host while it is worked on, and of residuals held at a time.
_BLOCK, _TILE = 2**15, 2**22


def diagnostics(X, Y, *, which=DIAGNOSTICS, names=None, out=None):
    """Influence of each window on the fit of every cell.

    Parameters
    ----------
    X : array or numpy.ndarray, (n, p)
        Design matrix.
    Y : array, (n, ...)
        Windows; all axes behind the first are cells, m in all. Finite, any unit.
    which : sequence of str
        Of `DIAGNOSTICS` and ``dfbetas``.
    names : list of str, (p,), optional
        Coefficients, for messages.
    out : dict, optional
        Result of an earlier call with as many windows and cells, whose arrays are filled again: new memory costs as
        much time as the diagnostics themselves.

    Returns
    -------
    dict
        float64 arrays of the kind of `Y`. (n,): ``hat_matrix_diag``, leverage, 0 to 1. (n, m): ``cooks_distance``;
        ``resid_press``, residual of a window from the fit without it, in the unit of Y;
        ``resid_studentized_internal`` and ``_external``, residuals over their standard error, estimated with and
        without the window; ``dffits``; ``cov_ratio``. (m,): ``ess_press``, sum of squares of ``resid_press``.
        (p, n, m): ``dfbetas``. And ``account``: ``windows``, ``coefficients``, ``cells``, ``alone`` (rows of leverage
        1) and ``warnings``. Rows of leverage 1 are NaN but for their leverage, and ``ess_press`` then is NaN, as are
        cells without residual.

    Raises
    ------
    ValueError
        An unknown name, a design that the windows cannot estimate, fewer than two windows more than coefficients, or
        windows that are not finite.
    """
    basis = ols.basis_of(X, names=names)
    rows = ols.rebased(X, basis, Y)
    xp = _array.namespace(rows)
    basis = _array.like(basis, rows) if array_api_compat.is_numpy_array(basis) else basis
    gram = xp.matmul(xp.matrix_transpose(rows), rows)[None, ...]
    half = ols.whiten({"XtX": gram, "basis": basis, "n": [X.shape[0]]}, names=names)
    return part(X, Y, {"basis": basis, "half": half, "windows": X.shape[0]}, which=which, out=out)


def whole(moments, *, names=None):
    """What `part` and `table` need to know of the fit of all windows.

    Parameters
    ----------
    moments : dict
        Of all windows, from `ols.moments` or `ols.combine`.
    names : list of str, (p,), optional
        Coefficients, for messages.

    Returns
    -------
    dict
        ``basis`` and ``half`` (p, p), which bring the rows of the design to orthonormal ones; ``gamma`` (p, m), the
        coefficients of these; ``sigma`` (m,); ``windows``.

    Raises
    ------
    ValueError
        A design that these windows cannot estimate.
    """
    xp, half = _array.namespace(moments["XtY"]), ols.whiten(moments, names=names)
    gamma = xp.matmul(xp.matrix_transpose(half), xp.sum(moments["XtY"], axis=0))
    squares, windows = xp.sum(moments["YtY"], axis=0), int(np.sum(moments["n"]))
    left = squares - xp.sum(gamma * gamma, axis=0)
    left = xp.where(left > ols.ROUNDING["sums"] * squares, left, xp.zeros_like(left))
    sigma = xp.sqrt(left / max(1, windows - half.shape[0]))
    return {"basis": moments["basis"], "half": half, "gamma": gamma, "sigma": sigma, "windows": windows}


def part(X, Y, whole, *, which=DIAGNOSTICS, out=None):
    """Influence of some windows of a study on the fit of all.

    Parameters
    ----------
    X : array or numpy.ndarray, (n, p)
        Rows of the design matrix of these windows.
    Y : array, (n, ...)
        These windows.
    whole : dict
        From `whole`, of all windows.
    which, out
        As in `diagnostics`.

    Returns
    -------
    dict
        As from `diagnostics`, for these windows; ``ess_press`` is their share of the sum.

    Raises
    ------
    ValueError
        As `diagnostics`.
    """
    unknown = set(which) - {*DIAGNOSTICS, "dfbetas"}
    if unknown:
        raise ValueError(f"which: {', '.join(sorted(unknown))} is none of {', '.join(DIAGNOSTICS)} and dfbetas.")
    Y = _flat(Y)
    rows, factors = _rows(X, Y, whole)
    xp, (n, m), p = _array.namespace(rows), Y.shape, rows.shape[1]
    shapes = {"hat_matrix_diag": (n,), "ess_press": (m,), "dfbetas": (p, n, m)}
    options = {"dtype": xp.float64, "device": array_api_compat.device(rows)}
    known, out = out or {}, {}
    for name in which:
        shape = shapes.get(name, (n, m))
        out[name] = known[name] if name in known else xp.empty(shape, **options)
        if tuple(out[name].shape) != shape:
            raise ValueError(f"out: {name} is {tuple(out[name].shape)}, not {shape}: leave it out.")
    change = _changes(rows, factors, whole) if "dfbetas" in which else None
    if "hat_matrix_diag" in which:
        out["hat_matrix_diag"] = factors["hat"]
    if "ess_press" in which:
        out["ess_press"][...] = 0.0
    for at, cells, found in _blocks(rows, Y, whole, factors, which) if {*which} - {"hat_matrix_diag"} else ():
        for name in out.keys() & found.keys() - shapes.keys():
            out[name][at, cells] = found[name]
        if "ess_press" in which:
            out["ess_press"][cells] += found["ess_press"]
        for j in range(p) if "dfbetas" in which else ():
            out["dfbetas"][j, at, cells] = found["resid_studentized_external"] * change[at, j][:, None]
    return {**out, "account": _account(factors, whole, m)}


def table(X, Y, whole, axes):
    """One row per window: how much it weighs over all cells, and where most.

    Parameters
    ----------
    X, Y, whole
        As in `part`; Y is (n, channels, times or frequencies). None is allowed.
    axes : dict
        ``names`` (channels), ``axis`` (``time`` or ``frequency``) and ``points`` (s or Hz) of the cells.

    Returns
    -------
    DataFrame
        ``leverage``; ``cooks_distance_mean`` and ``cooks_distance_max`` over the cells, ``cooks_distance_channel`` and
        ``cooks_distance_<axis>`` where it is largest; ``resid_studentized_max``, largest magnitude of the externally
        studentised residual, with ``_channel`` and ``_<axis>`` likewise; ``cooks_distance_beyond``, share of the
        cells whose Cook's distance is above 4 / windows. NaN and n/a where the leverage is 1.

    Raises
    ------
    ValueError
        As `diagnostics`.
    """
    Y = _flat(Y)
    xp, cells = _array.namespace(Y), Y.shape[1]
    rows, factors = _rows(X, Y, whole)
    kinds = ("cooks_distance", "resid_studentized_external")
    best = {kind: (np.full(X.shape[0], -np.inf), np.zeros(X.shape[0], dtype=int)) for kind in kinds}
    total, beyond = np.zeros(X.shape[0]), np.zeros(X.shape[0])
    for at, here, found in _blocks(rows, Y, whole, factors, kinds):
        total[at] += _array.to_numpy(xp.sum(found["cooks_distance"], axis=1))
        above = found["cooks_distance"] > 4 / whole["windows"]
        beyond[at] += _array.to_numpy(xp.sum(xp.astype(above, xp.float64), axis=1))
        for kind in kinds:
            size, (peak, where) = xp.abs(found[kind]), best[kind]
            highest, place = _array.to_numpy(xp.max(size, axis=1)), _array.to_numpy(xp.argmax(size, axis=1))
            # a row of NaN never is above
            more = highest > peak[at]
            peak[at], where[at] = np.where(more, highest, peak[at]), np.where(more, here.start + place, where[at])
    made = {"leverage": _array.to_numpy(factors["hat"]), "cooks_distance_mean": total / max(1, cells)}
    for kind, name in zip(kinds, ("cooks_distance", "resid_studentized")):
        made |= _where(name, *best[kind], axes)
    alone = ~np.isfinite(total)
    return pd.DataFrame(made | {"cooks_distance_beyond": np.where(alone, np.nan, beyond / max(1, cells))})


def _where(name, peak, cell, axes):
    """Columns for the largest value of each window and its channel and point."""
    none, points = ~np.isfinite(peak), max(1, len(axes["points"]))
    channel = np.asarray(axes["names"] or [None], dtype=object)[cell // points]
    point = np.asarray(axes["points"] or [np.nan], dtype=float)[cell % points]
    return {
        f"{name}_max": np.where(none, np.nan, peak),
        f"{name}_channel": np.where(none, None, channel),
        f"{name}_{axes['axis']}": np.where(none, np.nan, point),
    }


def _flat(Y):
    """Windows (n, m)."""
    return _array.namespace(Y).reshape(Y, (Y.shape[0], math.prod(Y.shape[1:])))


def _rows(X, Y, whole):
    """Orthonormal rows (n, p) of the design, and by what each row's residual is multiplied: (n,) each."""
    df = whole["windows"] - X.shape[1]
    if df < 2:
        raise ValueError(
            f"{X.shape[1]} coefficients and {whole['windows']} windows: without a window, nothing is left to estimate "
            "the error from."
        )
    rows = ols.rebased(X, whole["basis"], Y)
    xp = _array.namespace(rows)
    rows = xp.matmul(rows, whole["half"])
    hat = xp.sum(rows * rows, axis=1)
    left = xp.where(1 - hat > ALONE, 1 - hat, xp.full_like(hat, xp.nan))
    factors = {"hat": hat, "press": 1 / left, "internal": 1 / xp.sqrt(left), "dffits": xp.sqrt(hat / left)}
    return rows, factors | {"cook": hat / (X.shape[1] * left)}


def _blocks(rows, Y, whole, factors, which):
    """Diagnostics block by block: slice of the windows, slice of the cells, those of `which` there.

    Residuals are made for as many cells as fit a budget, all else from them in blocks that stay in the cache.
    """
    xp, (n, m) = _array.namespace(rows), Y.shape
    df = whole["windows"] - rows.shape[1]
    width = max(1, min(m, _array.room(rows, _TILE) // max(1, n)))
    height = max(1, _array.room(rows, _BLOCK) // width)
    for start in range(0, m, width):
        cells = slice(start, min(start + width, m))
        y = xp.astype(Y[:, cells], xp.float64, copy=False)
        gamma = whole["gamma"][:, cells] if "gamma" in whole else xp.matmul(xp.matrix_transpose(rows), y)
        residual = xp.matmul(rows, -gamma)
        residual += y
        strips = [slice(first, min(first + height, n)) for first in range(0, n, height)]
        sigma = whole["sigma"][cells] if "sigma" in whole else _sigma(residual, gamma, strips, df)
        if not bool(xp.all(xp.isfinite(residual if "sigma" in whole else sigma))):
            bad = int(xp.sum(xp.astype(~xp.all(xp.isfinite(y), axis=1), xp.int64)))
            raise ValueError(f"{bad} of {n} windows are not finite; leave them out.")
        sigma = xp.where(sigma > 0, sigma, xp.full_like(sigma, xp.nan))
        for at in strips:
            some = {name: factor[at][:, None] for name, factor in factors.items()}
            yield at, cells, _measures(residual[at, :], sigma, some, df, rows.shape[1], which)


def _sigma(residual, gamma, strips, df):
    """Residual standard deviation (m,), 0 where the residuals are rounding error."""
    xp = _array.namespace(residual)
    squares = xp.zeros_like(gamma[0, :])
    for at in strips:
        part = residual[at, :]
        squares += xp.sum(part * part, axis=0)
    rounding = ols.ROUNDING["windows"] * xp.sum(gamma * gamma, axis=0)
    # what is not finite stays so
    return xp.sqrt(xp.where(squares <= rounding, xp.zeros_like(squares), squares) / df)


def _measures(residual, sigma, factors, df, p, which):
    """Diagnostics of one block (windows, cells); `factors` are columns."""
    xp, found = _array.namespace(residual), {}
    if "resid_press" in which or "ess_press" in which:
        press = residual * factors["press"]
        found |= {"resid_press": press, "ess_press": xp.sum(press * press, axis=0)}
    student = residual / sigma[None, :]
    student *= factors["internal"]
    square = student * student
    found |= {"resid_studentized_internal": student, "cooks_distance": square * factors["cook"]}
    # variance of the residuals without the window over that with it
    square -= df
    square *= 1 / (1 - df)
    square = xp.maximum(square, xp.zeros_like(square[:1, :1]))
    if "cov_ratio" in which:
        found["cov_ratio"] = _power(square, p) * factors["press"]
    external = student / xp.sqrt(square)
    return found | {"resid_studentized_external": external, "dffits": external * factors["dffits"]}


def _power(x, n):
    """x to the power of a whole number n from 1, by squaring: a few products rather than a logarithm for each value."""
    done = None
    while n:
        if n % 2:
            done = x if done is None else done * x
        n //= 2
        x = x * x if n else x
    return done


def _changes(rows, factors, whole):
    """By what the externally studentised residual of each window is multiplied for DFBETAS: (n, p)."""
    xp = _array.namespace(rows)
    back = xp.linalg.solve(whole["basis"], whole["half"])
    unit = back / xp.sqrt(xp.sum(back * back, axis=1))[:, None]
    return xp.matmul(rows, xp.matrix_transpose(unit)) * factors["internal"][:, None]


def _account(factors, whole, cells):
    """What the diagnostics stood on."""
    alone = np.flatnonzero(_array.to_numpy(factors["hat"]) > 1 - ALONE).tolist()
    warnings = []
    if alone:
        rows = ", ".join(map(str, alone[:10])) + ", ..." * (len(alone) > 10)
        warnings.append(
            f"leverage is 1 in {len(alone)} of the windows (rows {rows}): each determines a coefficient alone, and "
            "there is no fit without it."
        )
    p = whole["half"].shape[0]
    found = {"windows": whole["windows"], "coefficients": p, "cells": cells, "alone": alone}
    return found | {"warnings": warnings}
