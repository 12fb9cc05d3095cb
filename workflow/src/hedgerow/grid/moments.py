"""Moments of a dataset part on disk: what `ols.moments` sums, with the axes of the cells, as one .npz file."""

import json

import numpy as np

from hedgerow.grid import design, ols
from hedgerow.rows import refuse_unlike, subject_labels


def save(path, model, rows, values, axes):
    """Sum the windows of one part by subject and keep the sums.

    Parameters
    ----------
    path : path
        ``.npz``.
    model : design.Family
    rows : DataFrame
        A row per window of the part; none is allowed.
    values : ndarray (rows, channels, times or frequencies)
    axes : dict
        From `hedgerow.rows.values`.
    """
    matrix, kept = design.apply(model, rows)
    sums = ols.moments(matrix, values[kept], subject_labels(rows[kept]), basis=np.asarray(model.basis))
    np.savez(path, axes=json.dumps(axes), **sums)


def load(paths):
    """Moments of a whole study from those of its parts, and the axes of the cells.

    Raises
    ------
    ValueError
        No part has a window, or parts of unlike channels, rate or length.
    """
    parts, axes = [], {}
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            part = {name: file[name] for name in file.files}
        text = str(part.pop("axes"))
        if len(part["groups"]):
            parts.append(part)
            axes.setdefault(text, path)
    if not parts:
        raise ValueError("no part of the study has a window: look at the accounts of the recordings")
    refuse_unlike(axes)
    return ols.combine(parts), json.loads(next(iter(axes)))


def units(family, total, over, *, lagged=False):
    """What is fitted apart: everybody together, or each person alone.

    Parameters
    ----------
    family : design.Family
    total : dict
        Moments of all people, of the columns of all formulas.
    over : str
        ``people`` or ``trials``, over which inference is.
    lagged : bool
        Whether the moments are of the continuous signal.

    Yields
    ------
    name : str
        ``all``, or a person's label.
    whole, own : dict
        Moments of the columns of all formulas, and of the model's own.
    """
    own = None if lagged else family.within[family.main.formula]
    for place, name in enumerate(["all"] if over == "people" else total["groups"].tolist()):
        one = {key: value if key == "basis" else value[place : place + 1] for key, value in total.items()}
        whole = total if over == "people" else one
        yield name, whole, whole if lagged else ols.restrict(whole, own)
