"""Sums over the rows of a design, group by group, in a basis in which they can be solved.

`moments` makes the sums of one part of the windows per group (subject), `combine` adds parts, `restrict` takes the sums
of a submodel out of them. Sums are taken of X R⁻¹, where R comes from the QR decomposition of the whole study's design
matrix (`Design.basis`), and `whiten` brings their total to the identity: two columns equal to 1e-4 then cost 8 digits
less than normal equations on X.
"""

import math

import array_api_compat
import numpy as np

from hedgerow import _array

#: Smallest singular value, relative to the largest, of scaled columns that can be told apart.
DEPENDENT = 1e-10
#: Smallest eigenvalue, relative to the largest, of the scaled cross products of a design that can be estimated.
SINGULAR = 1e-12


def moments(X, Y, groups, *, basis=None):
    """Sums per group from which least squares, cluster errors and the bootstrap over groups follow.

    Parameters
    ----------
    X : array or numpy.ndarray, (n, p)
        Rows of the design matrix; a host array is taken to the device of `Y`.
    Y : array, (n, ...)
        Windows; all axes behind the first are cells. Any unit, finite. Sums are made in float64, group by group.
    groups : array_like of str, (n,)
        What is resampled and robust against: the subject of each window, unlike across datasets.
    basis : array_like, (p, p), optional
        `Design.basis`; the same for all parts. ``None``: X as it is, at the precision of normal equations.

    Returns
    -------
    dict
        ``groups`` (S,) text and ``n`` (S,) on the host; ``Xsum`` (S, p), ``XtX`` (S, p, p), ``XtY`` (S, p, m), ``YtY``
        (S, m), ``Ysum`` (S, m) and ``basis`` (p, p), float64 arrays of the kind of `Y`. `numpy.savez` takes it.

    Raises
    ------
    ValueError
        Unlike lengths, or windows that are not finite (with the group and their number).
    """
    xp = _array.namespace(Y)
    Y = xp.reshape(Y, (Y.shape[0], math.prod(Y.shape[1:])))
    labels, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if not X.shape[0] == Y.shape[0] == places.size:
        raise ValueError(f"{X.shape[0]} rows of the design, {Y.shape[0]} windows and {places.size} groups differ.")
    basis = _device(np.eye(X.shape[1]) if basis is None else basis, Y)
    X = rebased(X, basis, Y)
    sums = {name: [] for name in ("Xsum", "XtX", "XtY", "YtY", "Ysum")}
    for place, label in enumerate(labels.tolist()):
        rows = _array.like(np.flatnonzero(places == place), Y)
        x, y = xp.take(X, rows, axis=0), xp.astype(xp.take(Y, rows, axis=0), xp.float64)
        squares = xp.sum(y * y, axis=0)
        if not bool(xp.all(xp.isfinite(squares))):
            bad = int(xp.sum(xp.astype(~xp.all(xp.isfinite(y), axis=1), xp.int64)))
            raise ValueError(f"group {label!r}: {bad} of {y.shape[0]} windows are not finite; leave them out.")
        sums["Xsum"].append(xp.sum(x, axis=0))
        sums["XtX"].append(xp.matmul(xp.matrix_transpose(x), x))
        sums["XtY"].append(xp.matmul(xp.matrix_transpose(x), y))
        sums["YtY"].append(squares)
        sums["Ysum"].append(xp.sum(y, axis=0))
    stacked = {name: xp.stack(parts, axis=0) for name, parts in sums.items()} if labels.size else _empty(sums, X, Y)
    return {"groups": labels, "n": np.bincount(places, minlength=labels.size), **stacked, "basis": basis}


def combine(parts):
    """Moments of all windows from the moments of parts of them; a group in several parts is summed.

    Parameters
    ----------
    parts : list of dict
        From `moments`, with the same basis and cells. The order of the parts does not matter but for rounding.

    Returns
    -------
    dict
        As from `moments`, groups in alphabetical order.

    Raises
    ------
    ValueError
        No part, or parts of unlike basis or cells.
    """
    if not parts:
        raise ValueError("there are no moments to combine.")
    first = parts[0]
    xp = _array.namespace(first["XtY"])
    for part in parts[1:]:
        if part["XtY"].shape[1:] != first["XtY"].shape[1:]:
            raise ValueError(
                f"moments of unlike shape: {tuple(first['XtY'].shape[1:])} and {tuple(part['XtY'].shape[1:])}."
            )
        if not bool(xp.all(part["basis"] == first["basis"])):
            raise ValueError("moments were made with different designs (basis); make them again with the same one.")
    names = np.concatenate([np.asarray(part["groups"], dtype=str) for part in parts])
    labels, places = np.unique(names, return_inverse=True)
    total = {"groups": labels, "n": np.bincount(places, weights=np.concatenate([p["n"] for p in parts])).astype(int)}
    for key in ("Xsum", "XtX", "XtY", "YtY", "Ysum"):
        rows = xp.concat([part[key] for part in parts], axis=0)
        if labels.size < names.size:
            summed = [xp.sum(xp.take(rows, _array.like(np.flatnonzero(places == i), rows), axis=0), axis=0)
                      for i in range(labels.size)]  # fmt: skip
            total[key] = xp.stack(summed, axis=0)
        else:
            total[key] = xp.take(rows, _array.like(np.argsort(places, kind="stable"), rows), axis=0)
    return {**total, "basis": first["basis"]}


def restrict(moments, within):
    """Moments of a submodel whose columns are combinations of the columns of the model.

    Parameters
    ----------
    moments : dict
        From `moments` or `combine`, with p columns.
    within : array_like, (p, p')
        Columns of the submodel in those of the model (`Family.within`).

    Returns
    -------
    dict
        As from `moments`; the same object where `within` is the identity.
    """
    host = np.asarray(within, dtype=float)
    if host.shape == moments["basis"].shape and np.array_equal(host, np.eye(len(host))):
        return moments
    xp = _array.namespace(moments["XtY"])
    # X' = X W = (X R⁻¹) R W, and with R W = Q R' the rows of X' R'⁻¹ are those of X R⁻¹ times Q.
    turned = xp.linalg.qr(xp.matmul(moments["basis"], _device(host, moments["basis"])))
    q, back = turned.Q, xp.matrix_transpose(turned.Q)
    return {
        **moments,
        "Xsum": xp.matmul(moments["Xsum"], q),
        "XtX": xp.matmul(xp.matmul(back, moments["XtX"]), q),
        "XtY": xp.matmul(back, moments["XtY"]),
        "basis": turned.R,
    }


def basis_of(X, *, names=None):
    """R (p, p) of the QR decomposition of X (n, p), where X is; ValueError where the columns are dependent."""
    xp = _array.namespace(X)
    X = xp.astype(X, xp.float64)
    if X.shape[0] < X.shape[1]:
        raise ValueError(f"{X.shape[1]} coefficients but only {X.shape[0]} windows.")
    triangle = xp.linalg.qr(X).R
    norms = xp.sqrt(xp.sum(triangle * triangle, axis=0))
    scaled = triangle / xp.where(norms > 0, norms, xp.ones_like(norms))[None, :]
    _, singular, right = xp.linalg.svd(scaled)
    if float(singular[-1]) <= DEPENDENT * float(singular[0]):
        lost = _array.to_numpy(singular) <= DEPENDENT * float(singular[0])
        raise ValueError(_unestimable(_array.to_numpy(right)[lost].T, X.shape[0], names))
    return triangle


def rebased(X, basis, like):
    """X R⁻¹ (n, p) for X (n, p) and R (p, p), as float64 of the kind and on the device of `like`."""
    xp = _array.namespace(like)
    X, basis = _device(X, like), _device(basis, like)
    return xp.matrix_transpose(xp.linalg.solve(xp.matrix_transpose(basis), xp.matrix_transpose(X)))


def whiten(moments, *, names=None):
    """H (p, p) with H' (sum of XtX) H = I: brings the whole study's design to the identity.

    Parameters
    ----------
    moments : dict
    names : list of str, (p,), optional

    Raises
    ------
    ValueError
        A direction of the coefficients about which these windows say nothing.
    """
    scale, values, vectors = spectrum(moments)
    xp = _array.namespace(values)
    if float(values[0]) <= SINGULAR * float(values[-1]):
        lost = _array.to_numpy(values) <= SINGULAR * float(values[-1])
        directions = _array.to_numpy(xp.linalg.solve(moments["basis"], scale[:, None] * vectors))[:, lost]
        raise ValueError(_unestimable(directions, int(np.sum(moments["n"])), names))
    return scale[:, None] * vectors / xp.sqrt(values)[None, :]


def spectrum(moments):
    """Scale (p,), eigenvalues (p,) ascending and vectors (p, p) of the scaled sum of XtX: sum = D⁻¹ V Λ V' D⁻¹."""
    xp = _array.namespace(moments["XtX"])
    total = xp.sum(moments["XtX"], axis=0)
    spread = xp.sqrt(xp.linalg.diagonal(total))
    scale = 1 / xp.where(spread > 0, spread, xp.ones_like(spread))
    return scale, *xp.linalg.eigh(total * scale[:, None] * scale[None, :])


def combination(moments, half, weights=None):
    """Matrix (k, p) from whitened coefficients to `weights` (k, p) times the coefficients of X."""
    xp = _array.namespace(half)
    back = xp.linalg.solve(moments["basis"], half)
    return back if weights is None else xp.matmul(_device(weights, half), back)


def _device(values, like):
    """`values`, from the host or the library of `like`, as float64 where `like` is."""
    xp = _array.namespace(like)
    if isinstance(values, list) or array_api_compat.is_numpy_array(values):
        return _array.like(values, like, dtype=xp.float64)
    return xp.astype(values, xp.float64)


def _empty(sums, X, Y):
    """Moments of no window at all."""
    xp = _array.namespace(Y)
    p, m = X.shape[1], Y.shape[1]
    shapes = {"Xsum": (0, p), "XtX": (0, p, p), "XtY": (0, p, m), "YtY": (0, m), "Ysum": (0, m)}
    return {name: xp.zeros(shapes[name], dtype=xp.float64) for name in sums}


def _unestimable(directions, windows, names):
    """Sentence for the combinations of coefficients, (p, r), that the windows do not determine."""
    names = [f"column {j}" for j in range(len(directions))] if names is None else names
    part = np.linalg.norm(directions / np.max(np.abs(directions), axis=0), axis=1)
    return (
        f"{windows} windows cannot tell apart or determine the coefficients "
        f"{listed([names[j] for j in np.flatnonzero(part > 0.01)])}: "
        "a level may have no window left; leave the term out."
    )


def listed(names, most=6):
    """The names, of many the first few and how many more there are."""
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"
