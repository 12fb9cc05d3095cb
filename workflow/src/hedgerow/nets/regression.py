"""How good predicted numbers are, per window and per subject, with intervals over subjects (numpy and pandas only).

A table of predictions has one row per tested window: person (or subject), and for each target NAME y_NAME (true),
f_NAME (predicted) and b_NAME (baseline: the mean of the windows on which its network was trained). A network that has
learnt nothing says b_NAME, not the mean of the people who are tested: R2 is against that.
"""

import numpy as np
import pandas as pd

from hedgerow.nets import _people


def regression(table, *, replicates=2000, seed=1, level=0.95):
    """Score predictions of numbers per window and per subject.

    Windows count equally. At the level "mean" a person's prediction is the mean of the person's windows. ``r2`` is
    1 - SSE / SSE of the baseline: 0 is as good as the mean of the training windows, below 0 is worse (with the mean of
    the tested values as the baseline it is the usual coefficient of determination). ``r`` is Pearson's correlation: it
    forgives a wrong scale and place, and over folds it compares different networks, of which those that have learnt
    nothing say the less, the more their test people have: to -1 where everybody is left out in turn. Intervals are
    percentiles of a bootstrap over people.

    Parameters
    ----------
    table : pandas.DataFrame
        Predictions of all tested windows (all folds together).
    replicates : int
        Bootstrap samples of the people.
    seed : int
        Of the bootstrap.
    level : float
        Coverage of the intervals, 0 ... 1.

    Returns
    -------
    scores : pandas.DataFrame
        target, level ("window", "mean"), metric (mae, rmse: in the target's unit; r2; r), value, low, high, chance
        (what the baseline has; of r 0 where it is the same for all), n (windows or subjects). r2 is NaN where the
        baseline is right throughout, r where either side is constant. No "mean" rows of a target of which a subject's
        windows have several values.
    account : dict
        Subjects, windows, targets, settings of the bootstrap, and notes.

    Raises
    ------
    ValueError
        A missing column, no row, or a value that is missing or infinite.
    """
    names = targets(table)
    who, person = _people.people(table)
    weights = _people.resample(len(who), replicates, seed)
    notes, everybody = _people.few(len(who)), means(table)
    scores = []
    for name in names:
        columns = [f"{kind}_{name}" for kind in "yfb"]
        levels = {"window": (person, table[columns].to_numpy(dtype=np.float64))}
        if everybody[f"y_{name}"].notna().all():
            levels["mean"] = (np.arange(len(who)), everybody[columns].to_numpy())
        else:
            notes.append(f"{name}: no level mean, the windows of a subject have several values")
        for where, (rows, values) in levels.items():
            scores += [{"target": name, "level": where, **row} for row in _score(rows, values, weights, level)]
    account = {
        "subjects": len(who), "windows": len(table), "targets": names, "replicates": replicates, "seed": seed,
        "level": level, "notes": notes,
    }  # fmt: skip
    return pd.DataFrame(scores), account


def means(table):
    """What the windows of each subject say together.

    Parameters
    ----------
    table : pandas.DataFrame
        Predictions.

    Returns
    -------
    pandas.DataFrame
        One row per subject, in the order of their names: person (or subject), windows, and for each target y_NAME (NaN
        where the windows have several values), f_NAME and b_NAME (means over the windows).
    """
    names = targets(table)
    _people.people(table)
    groups = table.groupby(table[_people.unit(table)].astype(str).to_numpy())
    out = pd.DataFrame({"windows": groups.size()})
    for name in names:
        one = groups[f"y_{name}"].nunique() == 1
        out[f"y_{name}"] = groups[f"y_{name}"].first().astype(np.float64).where(one)
        out[[f"f_{name}", f"b_{name}"]] = groups[[f"f_{name}", f"b_{name}"]].mean()
    return out.rename_axis(_people.unit(table)).reset_index()


def targets(table):
    """Names of the targets in `table`, after a look at their columns."""
    # a column of somebody else may begin so, too
    names = [column[2:] for column in table if column.startswith("y_") and f"f_{column[2:]}" in table]
    wanted = [f"{kind}_{name}" for name in names for kind in "yfb"]
    if not names or not len(table) or set(wanted) - set(table):
        raise ValueError(
            "predictions of numbers need rows and, for each target NAME, the columns y_NAME, f_NAME, b_NAME: "
            f"{len(table)} rows of {list(table.columns)}"
        )
    for column in wanted:
        bad = ~np.isfinite(table[column].to_numpy(dtype=np.float64))
        if bad.any():
            raise ValueError(
                f"{_people.place(table, bad)}: {column} is {table[column].iloc[int(bad.argmax())]}, no finite number; "
                "leave out windows without a target, and train anew with a smaller lr what diverged"
            )
    return names


def _score(rows, values, weights, level):
    """Rows of the table of scores from the person of each row and the columns true, predicted, baseline."""
    smallest = (1e-12 * np.abs(values).max()) ** 2  # a mean square below is that of rounded values
    # against a value of the sample the squares stay small, whatever the origin of the target
    true, predicted = (values[:, :2] - values[0, :2]).T
    error, null = (values[:, [1, 2]] - values[:, [0]]).T
    columns = [np.ones(len(values)), np.abs(error), error**2, np.abs(null), null**2]
    columns += [true, predicted, true**2, predicted**2, true * predicted]
    baseline = _correlation(true, values[:, 2] - values[0, 2], smallest)
    n, absolute, squared, *base, t, f, tt, ff, tf = (
        weights @ _people.sums(rows, np.stack(columns, axis=1), weights.shape[1])
    ).T
    with np.errstate(invalid="ignore", divide="ignore"):
        found = {
            "mae": (absolute / n, base[0][0] / n[0]),
            "rmse": (np.sqrt(squared / n), np.sqrt(base[1][0] / n[0])),
            "r2": (np.where(base[1] > n * smallest, 1 - squared / base[1], np.nan), 0.0),
            "r": ((tf - t * f / n) / np.sqrt(_spread(t, tt, n, smallest) * _spread(f, ff, n, smallest)), baseline),
        }
    return [
        {"metric": metric, **_people.interval(each, level), "chance": float(chance), "n": len(values)}
        for metric, (each, chance) in found.items()
    ]


def _correlation(one, other, smallest):
    """Pearson's correlation; 0 where either side is constant."""
    (t, f), n = (each.sum() for each in (one, other)), len(one)
    with np.errstate(invalid="ignore"):
        spreads = _spread(t, one @ one, n, smallest) * _spread(f, other @ other, n, smallest)
        return np.nan_to_num((one @ other - t * f / n) / np.sqrt(spreads))


def _spread(total, squares, n, smallest):
    """Sum of squares about the mean; NaN where it is but rounding, so where all values are equal."""
    about = squares - total**2 / n
    return np.where(about > 1e-12 * squares + n * smallest, about, np.nan)
