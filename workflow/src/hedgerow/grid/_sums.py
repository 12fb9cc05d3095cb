"""Sums over the rows of a design, group by group, in a basis in which they can be solved.

`moments` makes the sums of one part of the windows per group (subject), `combine` adds parts, `restrict` takes the sums
of a submodel out of them. Sums are taken of X R⁻¹, where R comes from the QR decomposition of the whole study's design
matrix (`Design.basis`), and `whiten` brings their total to the identity: two columns equal to 1e-4 then cost 8 digits
less than normal equations on X.
"""

import itertools
import math

import array_api_compat
import numpy as np
import scipy.linalg

from hedgerow import _array

#: Smallest singular value, relative to the largest, of scaled columns that can be told apart.
DEPENDENT = 1e-10
#: Smallest eigenvalue, relative to the largest, of the scaled cross products of a design that can be estimated.
SINGULAR = 1e-12
#: Rows that are worked on at once, and float64 numbers that the second cache of a core holds beside the products.
HEIGHT, CACHE = 512, 2**15


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
    X = placed(X, Y) if basis is None else rebased(X, basis, Y)
    basis = placed(np.eye(X.shape[1]) if basis is None else basis, Y)
    p, cells, device = X.shape[1], Y.shape[1], array_api_compat.device(Y)
    shapes = {"Xsum": (p,), "XtX": (p, p), "XtY": (p, cells), "YtY": (cells,), "Ysum": (cells,)}
    sums = {key: xp.zeros((labels.size, *of), dtype=xp.float64, device=device) for key, of in shapes.items()}
    for g, label in enumerate(labels.tolist()):
        rows = np.flatnonzero(places == g)
        for x, y in _blocks(X, Y, rows):
            _add(sums, g, x, y)
        if not bool(xp.all(xp.isfinite(sums["YtY"][g, :]))):
            bad = sum(int(xp.sum(xp.astype(~xp.all(xp.isfinite(y), axis=1), xp.int64))) for _, y in _blocks(X, Y, rows))
            raise ValueError(f"group {label!r}: {bad} of {rows.size} windows are not finite; leave them out.")
    return {"groups": labels, "n": np.bincount(places, minlength=labels.size), **sums, "basis": basis}


def _blocks(X, Y, rows):
    """Rows of X and Y, a few at a time: views where the rows follow each other, copies of at most 8 MB else."""
    if rows.size and rows[-1] - rows[0] == rows.size - 1:
        for part in slices(rows.size, _array.room(Y, HEIGHT), first=int(rows[0])):
            yield X[part, :], Y[part, :]
        return
    xp = _array.namespace(Y)
    height = min(HEIGHT, max(16, _array.room(Y, 2**20) // max(1, Y.shape[1])))
    for part in slices(rows.size, height):
        some = _array.like(rows[part], Y)
        yield xp.take(X, some, axis=0), xp.take(Y, some, axis=0)


def slices(size, most, first=0):
    """`size` places from `first` on, at most `most` at a time."""
    return [slice(start, min(start + most, first + size)) for start in range(first, first + size, most)]


def tiles(x, cells):
    """Slices of cells such that a block of as many rows as x (h, p) has stays in the cache of a core while in use."""
    width = max(64, 2 * x.shape[1], _array.room(x, CACHE) // x.shape[0])
    edges = np.linspace(0, cells, math.ceil(cells / width) + 1).astype(int).tolist()
    return list(itertools.starmap(slice, itertools.pairwise(edges)))


def _add(sums, g, x, y):
    """Add the sums of rows x (h, p) and y (h, m) to those of group g."""
    xp, p = _array.namespace(y), x.shape[1]
    one = xp.ones_like(x[:, :1])
    left, one = xp.matrix_transpose(xp.concat([x, one], axis=1)), xp.matrix_transpose(one)
    sums["XtX"][g, :, :] += xp.matmul(xp.matrix_transpose(x), x)
    sums["Xsum"][g, :] += xp.matmul(one, x)[0, :]
    for part in tiles(x, y.shape[1]):
        tile = xp.astype(y[:, part], xp.float64, copy=False)
        products = xp.matmul(left, tile)
        sums["XtY"][g, :, part] += products[:p, :]
        sums["Ysum"][g, part] += products[p, :]
        sums["YtY"][g, part] += xp.matmul(one, tile * tile)[0, :]


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
    turned = xp.linalg.qr(xp.matmul(moments["basis"], placed(host, moments["basis"])))
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
    # NumPy can leave Q out, which is half of the work
    triangle = np.linalg.qr(X, mode="r") if array_api_compat.is_numpy_array(X) else xp.linalg.qr(X).R
    norms = xp.sqrt(xp.sum(triangle * triangle, axis=0))
    scaled = triangle / xp.where(norms > 0, norms, xp.ones_like(norms))[None, :]
    _, singular, right = xp.linalg.svd(scaled)
    if float(singular[-1]) <= DEPENDENT * float(singular[0]):
        lost = _array.to_numpy(singular) <= DEPENDENT * float(singular[0])
        raise ValueError(_unestimable(_array.to_numpy(right)[lost].T, X.shape[0], names))
    return triangle


def rebased(X, basis, like):
    """X R⁻¹ (n, p) for X (n, p) and upper triangular R (p, p), as float64 of the kind and on the device of `like`."""
    xp = _array.namespace(like)
    X, basis = placed(X, like), placed(basis, like)
    if array_api_compat.is_numpy_array(X):
        return scipy.linalg.solve_triangular(basis, X.T, trans="T", check_finite=False).T
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
    return back if weights is None else xp.matmul(placed(weights, half), back)


def placed(values, like):
    """`values`, from the host or the library of `like`, as float64 where `like` is."""
    xp = _array.namespace(like)
    if isinstance(values, list) or array_api_compat.is_numpy_array(values):
        return _array.like(values, like, dtype=xp.float64)
    return xp.astype(values, xp.float64)


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
