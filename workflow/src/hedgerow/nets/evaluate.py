"""How good a classifier is, per window and per subject, with intervals over subjects (numpy and pandas only).

Windows of one person resemble each other, so the resampling unit is the person: an interval that counts windows as
independent is several times too narrow. The intervals say how the score would vary over people, given the networks as
trained; spread over seeds is another thing and is judged by other runs.

A table of predictions has one row per tested window: person (or subject), y (int, the true class), and p0, p1, ... (the
probability of each class), see `predictions`.
"""

import numpy as np
import pandas as pd

#: Chance level of each metric, a function of the share of each class among the true ones.
CHANCE = {
    "balanced_accuracy": lambda share: 1 / np.count_nonzero(share),
    "accuracy": lambda share: share.max(),
    "auc": lambda share: 0.5,
    "kappa": lambda share: 0.0,
}


def predictions(rows, y, probabilities):
    """Table of predictions.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per tested window: person or subject, and whatever else is to be kept (fold, recording, onset).
    y : ndarray of int, shape (windows,)
        True classes, 0 ... classes - 1.
    probabilities : ndarray, shape (windows, classes)
        0 ... 1.

    Returns
    -------
    pandas.DataFrame
        `rows` with y, p0, p1, ... and a new index.
    """
    columns = {f"p{k}": p for k, p in enumerate(np.asarray(probabilities, dtype=np.float64).T)}
    return rows.reset_index(drop=True).assign(y=np.asarray(y, dtype=np.int64), **columns)


def metrics(table, *, replicates=2000, seed=1, level=0.95):
    """Score predictions per window and per subject.

    A subject's class is the one that most of the windows name, ties going to the higher mean probability; the AUC of
    subjects uses the mean probability. Intervals are percentiles of a bootstrap over people.

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
        level ("window", "subject"), metric (balanced_accuracy, accuracy, kappa, and auc with two classes), value, low,
        high, chance, n (windows or subjects). No subject rows where a subject's windows are of several classes.
    confusion : pandas.DataFrame
        level, true, predicted (int), count, share (of the true class).
    account : dict
        Subjects, windows, classes, settings of the bootstrap, and notes on what the intervals cannot say.

    Raises
    ------
    ValueError
        A missing column, no row, or values that are no probabilities.
    """
    probabilities = _probabilities(table)
    who, person = np.unique(table[_unit(table)].astype(str), return_inverse=True)
    y = table["y"].to_numpy()
    notes = _notes(len(who))
    weights = _resample(len(who), replicates, seed)
    levels = {"window": (person, y, probabilities.argmax(1), probabilities)}
    people = votes(table)
    if people["y"].notna().all():
        mean = people[[f"p{k}" for k in range(probabilities.shape[1])]].to_numpy()
        levels["subject"] = (
            np.arange(len(who)),
            people["y"].astype(int).to_numpy(),
            people["predicted"].to_numpy(),
            mean,
        )
        if (people["predicted"] == people["y"]).all():
            notes.append(
                "every subject is right: an interval without width says nothing; up to 3/n errors are possible"
            )
    else:
        notes.append("no vote: the windows of a subject are of several classes")
    scores, confusions = [], []
    for name, (unit, true, predicted, p) in levels.items():
        counts = _counts(unit, true, predicted, len(who), p.shape[1])
        found = _score(counts, weights) | (_auc(unit, true, p[:, 1], weights) if p.shape[1] == 2 else {})
        scores += _rows(name, found, counts.sum(0), level)
        confusions.append(_confusion(name, counts.sum(0)))
    account = {
        "subjects": len(who), "windows": len(table), "classes": probabilities.shape[1], "replicates": replicates,
        "seed": seed, "level": level, "notes": notes,
    }  # fmt: skip
    return pd.DataFrame(scores), pd.concat(confusions, ignore_index=True), account


def votes(table):
    """What the windows of each subject say together.

    Parameters
    ----------
    table : pandas.DataFrame
        Predictions.

    Returns
    -------
    pandas.DataFrame
        One row per subject, in the order of their names: person (or subject), y (NaN where the windows are of several
        classes), predicted (by vote), windows, accuracy (share of the windows that are right), p0, p1, ... (means).
    """
    table = table.reset_index(drop=True)  # tables of folds, put together, have repeated labels
    p, unit = _probabilities(table), _unit(table)
    columns = [f"p{k}" for k in range(p.shape[1])]
    named = pd.DataFrame(np.eye(p.shape[1])[p.argmax(1)], index=table.index)
    right = p.argmax(1) == table["y"].to_numpy()
    frame = table[["y", *columns]].assign(accuracy=right).join(named)
    groups = frame.groupby(table[unit].astype(str))
    mean, counts = groups[columns].mean(), groups[list(named)].sum()
    y = groups["y"].agg(lambda values: values.iloc[0] if values.nunique() == 1 else np.nan)
    # counts of windows differ by whole numbers, so half a probability decides between equals and nothing else
    decided = (counts.to_numpy() + 0.5 * mean.to_numpy()).argmax(1)
    out = pd.DataFrame({"y": y, "predicted": decided, "windows": groups.size(), "accuracy": groups["accuracy"].mean()})
    return out.join(mean).reset_index()


def baseline_trial_number(table, *, n_outputs=None):
    """Class probabilities from the trial number alone: what an order of trials that everybody shares gives away.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per window: fold, trial (number of the trial in its recording) and y.
    n_outputs : int, optional
        Classes; by default the largest of y plus one.

    Returns
    -------
    ndarray, shape (windows, n_outputs)
        Shares of the classes among the windows of that trial number in all other folds; for a trial number that is not
        there, among all their windows. 1 for the true class throughout means that the order is fixed: then a classifier
        that recognises time in the recording cannot be told from one that recognises the class.
    """
    y = table["y"].to_numpy()
    trial, fold = table["trial"].to_numpy(), table["fold"].to_numpy()
    one_hot = np.eye(int(y.max()) + 1 if n_outputs is None else n_outputs)[y]
    p = np.zeros_like(one_hot)
    for k in np.unique(fold):
        train = fold != k
        if not train.any():
            raise ValueError("the trial-number baseline needs at least two folds: nobody is left to learn from")
        overall = one_hot[train].mean(0)
        for number in np.unique(trial[~train]):
            known = train & (trial == number)
            p[~train & (trial == number)] = one_hot[known].mean(0) if known.any() else overall
    return p


def shuffle_time(X, *, seed):
    """Windows with their samples in random order, the same for all channels of a window: a control.

    What is left is amplitude and the relations between channels at one instant; rhythms and responses are gone. A
    network that still does well on such windows uses neither (sex classifiers do: Jochmann 2023).

    Parameters
    ----------
    X : ndarray, shape (windows, channels, samples)
        Any unit.
    seed : int
        At least 0; the order in a window depends on it and on the window's place alone.

    Returns
    -------
    ndarray
        New array of the shape and dtype of `X`.
    """
    out = np.empty_like(X)
    for i, window in enumerate(X):
        order = np.random.Generator(np.random.Philox(key=[seed, i])).permutation(window.shape[1])
        out[i] = window[:, order]
    return out


def _unit(table):
    """Column that names the people: person where there is one (labels of subjects repeat between datasets)."""
    for column in ("person", "subject"):
        if column in table:
            return column
    raise ValueError(f"the predictions need a column person or subject, they have {list(table.columns)}")


def _probabilities(table):
    """Columns p0, p1, ... as an array (windows, classes), after a look at them and at y."""
    columns = sorted((c for c in table if c[0] == "p" and c[1:].isdigit()), key=lambda c: int(c[1:]))
    if len(columns) < 2 or "y" not in table or not len(table):
        raise ValueError(f"predictions need rows and the columns y, p0, p1: {len(table)} rows of {list(table.columns)}")
    p = table[columns].to_numpy(dtype=np.float64)
    if not (np.isfinite(p).all() and (p >= 0).all() and (p <= 1 + 1e-9).all()):
        raise ValueError("the columns p0, p1, ... hold values that are no probabilities (0 ... 1)")
    if not table["y"].isin(range(len(columns))).all():
        raise ValueError(f"y holds classes that are not 0 ... {len(columns) - 1}: {sorted(set(table['y']))}")
    return p


def _notes(subjects):
    few = f"{subjects} subjects: percentile intervals over so few are too narrow"
    return [few] if subjects < 40 else []


def _resample(subjects, replicates, seed):
    """How often each subject is drawn in each replicate (1 + replicates, subjects); row 0 is the sample itself."""
    drawn = np.random.default_rng([seed, subjects]).integers(subjects, size=(replicates, subjects))
    weights = np.ones((replicates + 1, subjects))
    for row, who in zip(weights[1:], drawn):
        row[:] = np.bincount(who, minlength=subjects)
    return weights


def _counts(unit, true, predicted, subjects, classes):
    """Confusion counts of each subject (subjects, true, predicted)."""
    counts = np.zeros((subjects, classes, classes))
    np.add.at(counts, (unit, true, predicted), 1)
    return counts


def _score(counts, weights):
    """Metrics that follow from the confusion, each (1 + replicates,); NaN where a replicate lost a class."""
    confusion = (weights @ counts.reshape(len(counts), -1)).reshape(-1, *counts.shape[1:])
    true, named, total = confusion.sum(2), confusion.sum(1), confusion.sum((1, 2))
    right = np.diagonal(confusion, axis1=1, axis2=2)
    present = true[0] > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        observed, expected = right.sum(1) / total, (true * named).sum(1) / total**2
        return {
            "balanced_accuracy": (right / true)[:, present].mean(1),
            "accuracy": observed,
            "kappa": (observed - expected) / (1 - expected),
        }


def _auc(unit, true, p, weights):
    """Area under the ROC curve of class 1 for each replicate, from how often a subject's windows outrank another's."""
    subjects = weights.shape[1]
    positive, ranks = true == 1, np.zeros((subjects, subjects))
    for who in range(subjects):
        below = np.sort(p[~positive & (unit == who)])
        wins = np.searchsorted(below, p[positive], "left") + np.searchsorted(below, p[positive], "right")
        ranks[:, who] = np.bincount(unit[positive], wins / 2, minlength=subjects)
    yes, no = (weights @ np.bincount(unit[side], minlength=subjects) for side in (positive, ~positive))
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"auc": ((weights @ ranks) * weights).sum(1) / (yes * no)}


def _rows(name, found, confusion, level):
    """Rows of the table of scores: value, percentile interval, chance."""
    share = confusion.sum(1) / confusion.sum()
    rows = []
    for metric, values in found.items():
        drawn = values[1:][np.isfinite(values[1:])]
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if len(drawn) else (np.nan, np.nan)
        rows.append(
            dict(level=name, metric=metric, value=values[0], low=low, high=high)
            | dict(chance=CHANCE[metric](share), n=int(confusion.sum()))
        )
    return rows


def _confusion(name, counts):
    """Confusion counts (true, predicted) as a long table."""
    true, predicted = np.indices(counts.shape).reshape(2, -1)
    with np.errstate(invalid="ignore"):
        share = counts / counts.sum(1, keepdims=True)
    columns = dict(true=true, predicted=predicted, count=counts.ravel().astype(int), share=share.ravel())
    return pd.DataFrame({"level": name, **columns})
