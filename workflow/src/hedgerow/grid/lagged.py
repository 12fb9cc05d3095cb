"""Moments of a dataset part's continuous signals at every lag after the events, as one .npz file.

They are read like those of windows (`moments.load`).
"""

import json

import numpy as np

from hedgerow.grid import _lags, design, ols, rerp
from hedgerow.rows import refuse_unlike, subject_labels


def save(path, model, rows, signals, lags):
    """Sum the continuous signals of one part by subject, at every lag after the events, and keep the sums.

    Parameters
    ----------
    path : path
        ``.npz``.
    model : design.Family
    rows : DataFrame
        A row per event of the part (`hedgerow.rows.collect` with ``events``); none is allowed. Samples that the
        response to an event without a value in a column of the formula may reach are left out, like bad ones.
    signals : iterable of (store, x, sfreq, names, good)
        Of every recording that has rows, from `hedgerow.continuous.signals`.
    lags : (float, float)
        First lag in s after the event, and where the last one ends.

    Raises
    ------
    ValueError
        More unknowns than fit, or recordings of unlike channels or rate.
    """
    total, axes, kinds = {}, {"names": [], "axis": "time", "points": [], "unit": "µV", "lagged": True}, {}
    for store, x, sfreq, names, good in signals:
        mine = rows[rows["store"] == str(store)]
        matrix, kept = design.apply(model, mine)
        _lags.check(lags, sfreq, matrix.shape[1])
        axes |= {"names": names, "points": rerp.points(lags, sfreq)}
        kinds.setdefault((tuple(names), sfreq), store)
        refuse_unlike(kinds)
        length, starts = len(axes["points"]), rerp.samples(mine["onset"] + lags[0], sfreq)
        good = good & ~rerp.reached(starts[~kept], length, len(good))
        person = subject_labels(mine)[0]
        sums = rerp.moments(matrix, starts[kept], x, length, group=person, basis=model.basis, good=good)
        if sums["n"][0]:
            total[person] = ols.combine([total[person], sums]) if person in total else sums
    made = ols.combine(list(total.values())) if total else {"groups": np.empty(0, dtype=str)}
    np.savez(path, axes=json.dumps(axes), **made)
