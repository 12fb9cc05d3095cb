"""Whether the probabilities of a classifier keep their word, with intervals over subjects (numpy and pandas only).

A network that says 0.9 should be right nine times of ten. Everything here is per window, from tables of predictions as
`hedgerow.nets.evaluate` has them. Sources: Guo et al. 2017 (expected calibration error), Brier 1950.
"""

import numpy as np
import pandas as pd

from hedgerow.nets import _people

#: The logarithm is taken of no smaller probability: one window can cost 36 nats and not more.
SMALLEST = np.finfo(np.float64).eps


def calibration(table, *, bins=10, replicates=2000, seed=1, level=0.95):
    """How far the probabilities of windows are from how often they come true.

    The *expected calibration error* is about the class that a window names: its probability is the confidence. Windows
    are put into bins of equal numbers by their confidence (equal ones share a bin, so that fewer bins may be left), and
    the distance between the mean confidence and the share of right windows is averaged over the bins, weighted by their
    windows. The *Brier score* is the mean over windows of the sum over classes of (p - truth)^2: 0 ... 2, with two
    classes twice the score of one of them. The *log loss* is the mean of -ln p of the true class in nats, p being at
    least `SMALLEST`.

    Intervals are percentiles of a bootstrap over people with the bins of the sample. An error of calibration cannot be
    negative, so chance adds to it, and to its replicates once more: compare it with its reference, not with 0.

    Parameters
    ----------
    table : pandas.DataFrame
        Predictions of all tested windows (all folds together).
    bins : int
        At least 1.
    replicates : int
        Bootstrap samples of the people.
    seed : int
        Of the bootstrap.
    level : float
        Coverage of the intervals, 0 ... 1.

    Returns
    -------
    scores : pandas.DataFrame
        level ("window"), metric (ece, brier, log_loss), value, low, high, reference, n (windows). The reference of
        brier and log_loss is what the shares of the classes among these windows would reach if every window were given
        them; that of ece is what these people would show by chance if the network were calibrated (mean over replicates
        in which each person's surplus of right windows has its sign flipped or not).
    reliability : pandas.DataFrame
        bin (from 0), confidence (mean), right (share), low, high (of the share right, over subjects), windows.
    account : dict
        Subjects, windows, classes, bins that hold windows, settings of the bootstrap, and notes.

    Raises
    ------
    ValueError
        A missing column, no row, values that are no probabilities, or no bin.
    """
    if bins < 1:
        raise ValueError(f"calibration: {bins} bins; it takes at least 1")
    p, (who, person) = _people.probabilities(table), _people.people(table)
    y, subjects = table["y"].to_numpy(dtype=np.int64), len(who)
    weights = _people.resample(subjects, replicates, seed)
    confidence, right = p.max(1), (p.argmax(1) == y).astype(np.float64)
    place = _bins(confidence, bins)
    # per person and bin: windows, confidence, right ones
    cells = [_sums(person, place, values, subjects) for values in (np.ones(len(y)), confidence, right)]
    surplus = cells[2] - cells[1]
    n = weights @ cells[0].sum(1)
    losses = np.stack([((p - np.eye(p.shape[1])[y]) ** 2).sum(1), _log_loss(p[np.arange(len(y)), y])], axis=1)
    brier, log_loss = (weights @ _people.sums(person, losses, subjects)).T / n
    share = np.bincount(y, minlength=p.shape[1]) / len(y)
    references = {
        "ece": _by_chance(surplus, len(y), replicates, seed),
        "brier": 1 - (share**2).sum(),
        "log_loss": (share * _log_loss(share)).sum(),
    }
    found = {"ece": np.abs(weights @ surplus).sum(1) / n, "brier": brier, "log_loss": log_loss}
    scores = [
        {"level": "window", "metric": metric, **_people.interval(values, level)}
        | {"reference": float(references[metric]), "n": len(y)}
        for metric, values in found.items()
    ]
    account = {
        "subjects": subjects, "windows": len(y), "classes": p.shape[1], "bins": cells[0].shape[1],
        "replicates": replicates, "seed": seed, "level": level, "notes": _people.few(subjects),
    }  # fmt: skip
    return pd.DataFrame(scores), _reliability(*cells, weights, level), account


def _log_loss(p):
    return -np.log(np.clip(p, SMALLEST, 1))


def _bins(confidence, bins):
    """Bin of each window, from 0, without empty ones."""
    edges = np.quantile(confidence, np.arange(1, bins) / bins)
    return np.unique(np.searchsorted(edges, confidence, "right"), return_inverse=True)[1]


def _sums(person, place, values, subjects):
    """Sums of `values` per person and bin (subjects, bins)."""
    bins = place.max() + 1
    return np.bincount(person * bins + place, values, minlength=subjects * bins).reshape(subjects, bins)


def _by_chance(surplus, windows, replicates, seed):
    """Mean calibration error under flipped signs; NaN where there is one person, whose flip changes nothing."""
    if len(surplus) < 2 or not replicates:
        return np.nan
    signs = 2.0 * np.random.default_rng([seed, len(surplus), 1]).integers(2, size=(replicates, len(surplus))) - 1
    return np.abs(signs @ surplus).sum(1).mean() / windows


def _reliability(count, confidence, right, weights, level):
    """A row per bin, from sums per person and bin."""
    with np.errstate(invalid="ignore"):  # a replicate may leave a bin empty
        shares = (weights @ right) / (weights @ count)
    rows = []
    for k, share in enumerate(shares.T):
        ends = _people.interval(share, level)
        windows = count[:, k].sum()
        rows.append(
            {"bin": k, "confidence": float(confidence[:, k].sum() / windows), "right": ends["value"]}
            | {"low": ends["low"], "high": ends["high"], "windows": int(windows)}
        )
    return pd.DataFrame(rows)
