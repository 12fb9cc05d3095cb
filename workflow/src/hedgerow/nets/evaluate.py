"""How good a classifier is, per window and per subject, with intervals over subjects (numpy and pandas only).

Windows of one person resemble each other, so the resampling unit is the person: an interval that counts windows as
independent is several times too narrow. The intervals say how the score would vary over people, given the networks as
trained; spread over seeds is another thing and is judged by other runs.

A table of predictions has one row per tested window: person (or subject), y (int, the true class), and p0, p1, ... (the
probability of each class), see `predictions`; and where there are several folds, tested (the one that tests it).

Windows of two folds were judged by two networks, whose probabilities are not on one scale: a network that has learnt
nothing says how frequent a class was among its training people, of which its test people have the fewer, so that ranks
over all folds would come out below chance. AUC is therefore the share of pairs of one fold that are in order, over all
folds. What counts classes instead (balanced accuracy, kappa) cannot be mended so; where it matters a note says it.
"""

import numpy as np
import pandas as pd

from hedgerow.nets import _people

#: Levels at which the windows speak for their subject, and the column of `votes` that has its class.
SPOKEN = {"subject": "predicted", "mean": "by_mean"}

#: Shares of a class in two folds that differ by more are said to be unlike.
UNLIKE = 0.1

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


def metrics(table, *, first=None, replicates=2000, seed=1, level=0.95):
    """Score predictions per window and per subject.

    Level "subject": a subject's class is the one that most of the windows name, ties going to the higher mean
    probability. Level "mean": it is the class with the highest mean probability over the subject's windows. Both rank
    subjects by the mean probability, so that they share their AUC. The AUC of two classes is that of class 1; of more
    it is the mean over the classes among the true ones of one class against the rest (macro average). Intervals are
    percentiles of a bootstrap over people; a replicate that lost a class has neither balanced accuracy nor AUC.

    Parameters
    ----------
    table : pandas.DataFrame
        Predictions of all tested windows (all folds together; ``tested`` says which is of which).
    first : int, optional
        Windows of each subject, in the order of the rows, that speak for the subject; by default all. Scores of windows
        are of all of them.
    replicates : int
        Bootstrap samples of the people. AUC costs replicates x windows x classes steps, and 8 x replicates x people
        bytes are held.
    seed : int
        Of the bootstrap.
    level : float
        Coverage of the intervals, 0 ... 1.

    Returns
    -------
    scores : pandas.DataFrame
        level ("window", "subject", "mean"), metric (balanced_accuracy, accuracy, kappa, auc), value, low, high, chance,
        n (windows or subjects). NaN where a score is not defined: the AUC of one class, the interval of one subject. No
        rows of subjects where a subject's windows are of several classes.
    confusion : pandas.DataFrame
        level ("window", "subject"), true, predicted (int), count, share (of the true class).
    account : dict
        Subjects, windows, classes, first, settings of the bootstrap, and notes on what the intervals cannot say.

    Raises
    ------
    ValueError
        A missing column, no row, values that are no probabilities, or no window that speaks.
    """
    p, (who, person) = _people.probabilities(table), _people.people(table)
    weights, classes = _people.resample(len(who), replicates, seed), p.shape[1]
    levels, scores, confusions, lost = _levels(table, p, person, first), [], [], 0
    for name, spoken in levels.items():
        counts, found = _scored(*spoken, weights)
        lost = max(lost, int(np.isnan(found["balanced_accuracy"]).sum()))
        scores += _rows(name, found, counts.sum(0), level)
        if name != "mean":
            confusions.append(_confusion(name, counts.sum(0)))
    account = {
        "subjects": len(who), "windows": len(table), "classes": classes, "first": first, "replicates": replicates,
        "seed": seed, "level": level, "notes": _people.few(len(who)) + _notes(levels, classes, lost),
    }  # fmt: skip
    return pd.DataFrame(scores), pd.concat(confusions, ignore_index=True), account


def votes(table, *, first=None):
    """What the windows of each subject say together.

    Parameters
    ----------
    table : pandas.DataFrame
        Predictions.
    first : int, optional
        Only so many windows of each subject speak, the first in the order of the rows (Truong et al. 2021 let 40 of 81
        vote); by default all.

    Returns
    -------
    pandas.DataFrame
        One row per subject, in the order of their names: person (or subject), y (NaN where any two of the subject's
        windows differ), predicted (by vote), by_mean (class of the highest mean probability, the first of equal ones),
        windows (that speak), accuracy (share of them that are right), p0, p1, ... (their means).
    """
    if first is not None and first < 1:
        raise ValueError(f"first: {first} windows of a subject cannot speak; it takes at least 1, or None for all")
    table = table.reset_index(drop=True)  # tables of folds, put together, have repeated labels
    p, (_, person), unit = _people.probabilities(table), _people.people(table), _people.unit(table)
    columns = [f"p{k}" for k in range(p.shape[1])]
    named = pd.DataFrame(np.eye(p.shape[1])[p.argmax(1)], index=table.index)
    right = p.argmax(1) == table["y"].to_numpy()
    frame = table[columns].assign(accuracy=right).join(named)
    names = table[unit].astype(str)
    y = table["y"].groupby(names).agg(lambda values: values.iloc[0] if values.nunique() == 1 else np.nan)
    if first is not None:
        frame = frame[table.groupby(person).cumcount() < first]
    groups = frame.groupby(names)
    mean, counts = groups[columns].mean(), groups[list(named)].sum()
    # counts of windows differ by whole numbers, so half a probability decides between equals and nothing else
    decided = (counts.to_numpy() + 0.5 * mean.to_numpy()).argmax(1)
    out = pd.DataFrame({"y": y, "predicted": decided, "by_mean": mean.to_numpy().argmax(1)})
    return out.assign(windows=groups.size(), accuracy=groups["accuracy"].mean()).join(mean).reset_index()


def spread(scores_by_seed):
    """How far the scores of trainings that differ in their seed alone are apart.

    This is what another seed would change for the same people; an interval over people is what other people would
    change for the same networks. Neither stands for the other.

    Parameters
    ----------
    scores_by_seed : dict
        By seed: a table of scores (`metrics`, `hedgerow.nets.calibration`, `hedgerow.nets.regression`), or its rows as
        dicts.

    Returns
    -------
    pandas.DataFrame
        target (where the scores have one), level, metric, n (seeds that have this score), mean, sd (n - 1 below; NaN of
        one seed), min, max.
    """
    if not scores_by_seed:
        raise ValueError("spread over seeds: there are no scores; give those of at least one seed")
    scores = pd.concat([pd.DataFrame(each) for each in scores_by_seed.values()], ignore_index=True)
    keys = [key for key in ("target", "level", "metric") if key in scores]
    scores["value"] = scores["value"].astype(np.float64)
    found = scores.groupby(keys, sort=False)["value"].agg(n="count", mean="mean", sd="std", min="min", max="max")
    return found.reset_index()


def baseline_trial_number(table, *, n_outputs=None):
    """Class probabilities from the trial number alone: what an order of trials that everybody shares gives away.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per window: fold, nth (its number in the recording, `hedgerow.rows.collect`) and y.
    n_outputs : int, optional
        Classes; by default the largest of y plus one.

    Returns
    -------
    ndarray, shape (windows, n_outputs)
        Shares of the classes among the windows of that number in all other folds; for a number that is not there, among
        all their windows. 1 for the true class throughout means that the order is fixed: then a classifier
        that recognises time in the recording cannot be told from one that recognises the class.
    """
    y = table["y"].to_numpy()
    trial, fold = table["nth"].to_numpy(), table["fold"].to_numpy()
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


def shuffle_time(X, *, seed, places=None):
    """Windows with their samples in random order, the same for all channels of a window: a control.

    What is left is amplitude and the relations between channels at one instant; rhythms and responses are gone. A
    network that still does well on such windows uses neither (sex classifiers do: Jochmann 2023).

    Parameters
    ----------
    X : ndarray, shape (windows, channels, samples)
        Any unit.
    seed : int
        At least 0; the order in a window depends on it and on the window's number alone.
    places : array of int, optional
        Number of each window, at least 0, where `X` is a part of something; by default 0, 1, ...

    Returns
    -------
    ndarray
        New array of the shape and dtype of `X`.
    """
    out = np.empty_like(X)
    for row, place, window in zip(out, range(len(X)) if places is None else places, X):
        order = np.random.Generator(np.random.Philox(key=[seed, int(place)])).permutation(window.shape[1])
        row[:] = window[:, order]
    return out


def _levels(table, p, person, first):
    """What is scored, by level: (person, true class, named class, probabilities, fold) of each window or subject.

    Subjects only where each is of one class; one that stands in several folds is taken to be of the first window's.
    """
    fold = np.zeros(len(table), dtype=int)
    if "tested" in table:
        _, fold = np.unique(table["tested"].astype(str), return_inverse=True)
    levels = {"window": (person, table["y"].to_numpy(dtype=np.int64), p.argmax(1), p, fold)}
    people = votes(table, first=first)
    if people["y"].isna().any():
        return levels
    y, mean = people["y"].to_numpy(dtype=np.int64), people[[f"p{k}" for k in range(p.shape[1])]].to_numpy()
    every, met = np.unique(person, return_index=True)
    spoken = {level: (every, y, people[column].to_numpy(), mean, fold[met]) for level, column in SPOKEN.items()}
    return levels | spoken


def _scored(unit, true, named, p, fold, weights):
    """Confusion counts of each person, and all metrics of one level of `_levels`, each (1 + replicates,)."""
    counts = _counts(unit, true, named, weights.shape[1], p.shape[1])
    return counts, _score(counts, weights) | {"auc": _auc(unit, true, p, weights, fold)}


def _notes(levels, classes, lost):
    """What the scores and their intervals cannot say, given the levels of `metrics`."""
    _, true, _, _, fold = levels["window"]
    notes, there = [], np.unique(true)
    if len(there) == 1:
        notes.append(f"all tested windows are of class {there[0]}: nothing had to be told apart, there is no AUC")
    elif len(there) < classes:
        absent = ", ".join(map(str, sorted(set(range(classes)) - set(there.tolist()))))
        notes.append(f"no tested window is of class {absent}: balanced accuracy and AUC are over the others")
    if fold.max():
        shares = np.array(
            [np.bincount(true[fold == k], minlength=classes) / (fold == k).sum() for k in np.unique(fold)]
        )
        if np.ptp(shares, axis=0).max() > UNLIKE:
            notes.append(
                f"scores of {len(shares)} folds together: networks that have learnt nothing come out below chance, for "
                "a class that is frequent among those who train is rare among those who are tested"
            )
        of_one = (shares == 1).any(1).sum()
        if of_one and len(there) > 1:
            notes.append(f"{of_one} of {len(shares)} folds hold one class only: they count in no AUC")
    if lost:
        notes.append(f"{lost} replicates lost a class: they count in no interval of balanced accuracy or AUC")
    if len(levels) == 1:
        return [*notes, "no vote: the windows of a subject are of several classes"]
    if any((named == own).all() for level, (_, own, named, *_) in levels.items() if level != "window"):
        notes.append("every subject is right: an interval without width says nothing; up to 3/n errors are possible")
    return notes


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


def _auc(unit, true, p, weights, fold):
    """Area under the ROC curve of each replicate: of class 1 of two, else the mean of each class against the rest."""
    classes = [1] if p.shape[1] == 2 else np.unique(true)
    return np.mean([_area(unit, true == k, p[:, k], weights, fold) for k in classes], axis=0)


def _area(unit, positive, p, weights, fold):
    """Share of the pairs of a positive and a negative window of one fold that `p` puts in order (ties: half), of each
    replicate."""
    yes, no = np.flatnonzero(positive), np.flatnonzero(~positive)
    # both sides sorted once, fold by fold: a replicate only adds up how often each window's person was drawn
    rank = np.unique(p, return_inverse=True)[1] + fold * len(p)
    yes, no = yes[np.argsort(rank[yes], kind="stable")], no[np.argsort(rank[no], kind="stable")]
    before, upto = (np.searchsorted(rank[no], rank[yes], side) for side in ("left", "right"))
    first, last = (np.searchsorted(fold[no], fold[yes], side) for side in ("left", "right"))
    yes, no = unit[yes], unit[no]
    area = np.full(len(weights), np.nan)
    for row, weight in enumerate(weights):
        below, drawn = np.concatenate([[0.0], np.cumsum(weight[no])]), weight[yes]
        pairs = drawn @ (below[last] - below[first])
        if pairs:
            area[row] = drawn @ (below[before] + below[upto] - 2 * below[first]) / (2 * pairs)
    return area


def _rows(name, found, confusion, level):
    """Rows of the table of scores: value, percentile interval, chance."""
    share = confusion.sum(1) / confusion.sum()
    return [
        {"level": name, "metric": metric, **_people.interval(values, level)}
        | {"chance": float(CHANCE[metric](share)), "n": int(confusion.sum())}
        for metric, values in found.items()
    ]


def _confusion(name, counts):
    """Confusion counts (true, predicted) as a long table."""
    true, predicted = np.indices(counts.shape).reshape(2, -1)
    with np.errstate(invalid="ignore"):
        share = counts / counts.sum(1, keepdims=True)
    columns = dict(true=true, predicted=predicted, count=counts.ravel().astype(int), share=share.ravel())
    return pd.DataFrame({"level": name, **columns})
