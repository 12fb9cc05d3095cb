"""Which of two networks is better, and how sure that is: the same windows, paired (numpy, pandas and scipy only).

Two answers, which do not stand for each other. The bootstrap over people draws the same people for both networks: it
says how the difference would vary over people, given the networks as trained. The corrected resampled t-test over folds
(Nadeau & Bengio 2003, Mach. Learn. 52:239, doi:10.1023/A:1024068626366) takes in that other training people make other
networks, and that the training sets of folds overlap. Neither says what another seed would change.

Tables of predictions are those of `hedgerow.nets.evaluate` (y, p0, p1, ...) or `hedgerow.nets.regression` (y_NAME,
f_NAME, b_NAME), with what names a window: rec, window or onset, and where they are there dataset and tested (its fold).
"""

import itertools

import numpy as np
import pandas as pd
from scipy import stats

from hedgerow.nets import _people, evaluate, regression

#: Columns that name a window: those of them that both tables have.
KEYS = ("dataset", "rec", "window", "onset")

#: Scores that are compared.
METRICS = ("balanced_accuracy", "accuracy", "auc")

#: Fewer folds than this have no spread that could be judged.
FEWEST_FOLDS = 3


def pair(one, other, *, first=None, replicates=2000, seed=1, level=0.95):
    """Compare two networks that predicted the same windows.

    Parameters
    ----------
    one, other : pandas.DataFrame
        Predictions of all tested windows; the rows may stand in any order. Targets that one of them alone has are not
        compared.
    first : int, optional
        Windows of each subject that vote, the first in the order of `one`; by default all (classes only).
    replicates : int
        Bootstrap samples of the people, the same for both; those of `hedgerow.nets.evaluate.metrics` with that seed.
    seed : int
        Of the bootstrap.
    level : float
        Coverage of the intervals, 0 ... 1.

    Returns
    -------
    rows : pandas.DataFrame
        target (numbers only), level ("window", "subject", "mean"), metric (balanced_accuracy, accuracy, auc; for
        numbers mae and r2, against the baseline), one, other (their scores), difference (one - other), low, high
        (percentiles of the bootstrap), and p: two-sided, 2 (b + 1) / (B + 1) and at most 1, b of B replicates being on
        the rarer side of 0 or on it; of n people never below 2 / 2^n, how often n coins show the same side. Over folds:
        folds (how many), folds_difference (mean of the differences in each), folds_low, folds_high, t, df (folds - 1)
        and folds_p, with the variance of that mean taken as that of the differences times 1 / folds + tested / trained
        people (mean over the folds; people who choose the epoch count as trained). Where there is no such test, folds
        is 0, the others NaN, and a note says why.
    account : dict
        Subjects, windows, folds, settings of the bootstrap, and notes.

    Raises
    ------
    ValueError
        The tables are not of the same windows, people and true values; the message says where they differ.
    """
    targets, other = _matched(one, other)
    who, person = _people.people(one)
    drawn = _people.resample(len(who), replicates, seed)
    folds, notes = _folds(one, other, person)
    weights = np.concatenate([drawn, folds])
    scored = [_scores(each, targets, weights, person, first) for each in (one, other)]
    share = np.mean(folds.sum(1) / (len(who) - folds.sum(1))) if len(folds) else np.nan
    rows, notes = [], _people.few(len(who), ", and p values too small") + notes
    if targets is None and any(np.isnan(each["window", "auc"][0]) for each in scored):
        scored[0] = {key: values for key, values in scored[0].items() if key[-1] != "auc"}
        notes.append("no AUC: each fold holds one class only")
    for key, ours in scored[0].items():
        difference = ours - scored[1][key]
        difference[np.abs(difference) < 1e-12] = 0.0  # equal scores, summed in another order
        if key[-1] == "r2":
            difference[len(drawn) :][folds.sum(1) < 2] = np.nan  # of one person it is no share of a variance
        spread, why = _over_folds(difference[len(drawn) :], share, level)
        notes += [f"{' '.join(key)}: no test over folds, {why}"] if why else []
        rows.append(
            {**dict(zip(("target", "level", "metric")[-len(key) :], key)), "one": ours[0], "other": scored[1][key][0]}
            | _over_people(difference[: len(drawn)], level, len(who))
            | spread
        )
    account = {"subjects": len(who), "windows": len(one), "folds": len(folds), "first": first}
    account |= {"replicates": replicates, "seed": seed, "level": level, "notes": notes}
    return pd.DataFrame(rows), account


def table(predictions, **how):
    """Compare all pairs of networks that predicted the same windows.

    Parameters
    ----------
    predictions : dict of str to pandas.DataFrame
        Predictions by the name of the network.
    **how
        As for `pair`.

    Returns
    -------
    rows : pandas.DataFrame
        network, against, the columns of `pair`, and p_holm and folds_p_holm: adjusted by Holm's method for the number
        of pairs, within each target, level and metric. Who looks at several of those should choose one beforehand.
    account : dict
        ``pairs`` (a dict each: network, against, and the account of `pair`) and ``unmatched`` (network, against and
        the reason: a sentence).
    """
    found, pairs, unmatched = [], [], []
    for one, other in itertools.combinations(predictions, 2):
        names = {"network": one, "against": other}
        try:
            rows, account = pair(predictions[one], predictions[other], **how)
        except Unmatched as error:
            unmatched.append({**names, "reason": str(error)})
            continue
        found.append(pd.DataFrame({**names, **rows}))
        pairs.append({**names, **account})
    account = {"pairs": pairs, "unmatched": unmatched}
    if not found:
        return pd.DataFrame(columns=["network", "against"]), account
    rows = pd.concat(found, ignore_index=True)
    family = [name for name in ("target", "level", "metric") if name in rows]
    for name in ("p", "folds_p"):
        rows[f"{name}_holm"] = rows.groupby(family, dropna=False)[name].transform(holm)
    return rows, account


def holm(p):
    """P values (n,) adjusted for being several (Holm 1979): at most 1; NaN stays and does not count."""
    p = np.asarray(p, dtype=np.float64)
    adjusted, order = np.full(len(p), np.nan), np.argsort(p)[: np.isfinite(p).sum()]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


class Unmatched(ValueError):
    """Two tables of predictions are not of the same windows."""


def _matched(one, other):
    """Targets that both tables have (None: classes), and the rows of `other` in the order of `one`."""
    kinds = [_kind(each) for each in (one, other)]
    classes = [kind for kind in kinds if isinstance(kind, int)]
    shared = [] if classes else [name for name in kinds[0] if name in kinds[1]]
    if len(set(classes)) == 2 or len(classes) == 1 or not (classes or shared):
        told = [f"{kind} classes" if isinstance(kind, int) else ", ".join(kind) for kind in kinds]
        raise Unmatched(f"one tells {told[0]}, the other {told[1]}")
    keys = [name for name in KEYS if name in one and name in other]
    if "rec" not in keys or not {"window", "onset"} & set(keys):
        raise Unmatched(f"windows are matched by rec and window or onset, of which both have {keys}: predict anew")
    windows = [_windows(each, keys) for each in (one, other)]
    place = windows[1].get_indexer(windows[0])
    alone = place < 0
    if alone.any() or len(one) != len(other):
        lost = np.setdiff1d(np.arange(len(other)), place)
        where = _named(one, alone.argmax()) if alone.any() else _named(other, lost[0])
        raise Unmatched(f"{alone.sum()} windows of one and {len(lost)} of the other stand alone, among them {where}")
    other = other.iloc[place]
    names = [_people.unit(each) for each in (one, other)]
    _refuse(one, "person", one[names[0]].astype(str).to_numpy() != other[names[1]].astype(str).to_numpy())
    for column in [f"y_{name}" for name in shared] or ["y"]:
        own, its = (each[column].to_numpy(dtype=np.float64) for each in (one, other))
        _refuse(one, "true value", ~np.isclose(own, its, rtol=1e-6))
    return (shared if not classes else None), other


def _kind(predictions):
    """Number of classes, or names of the targets, after a look at all values."""
    if not {"y", "p0"} <= set(predictions) and any(name.startswith("y_") for name in predictions):
        return regression.targets(predictions)
    return _people.probabilities(predictions).shape[1]


def _windows(predictions, keys):
    """What names each window, onsets to the µs."""
    named = predictions[keys]
    if "onset" in keys:
        named = named.assign(onset=named["onset"].astype(np.float64).round(6))
    found = pd.MultiIndex.from_frame(named)
    if found.has_duplicates:
        raise Unmatched(f"{_named(predictions, found.duplicated().argmax())} stands twice in the predictions")
    return found


def _refuse(one, what, differ):
    if differ.any():
        raise Unmatched(f"{differ.sum()} windows have another {what}, among them {_named(one, differ.argmax())}")


def _named(predictions, place):
    row = predictions.iloc[place]
    return ", ".join(f"{key} {row[key]}" for key in KEYS if key in predictions)


def _folds(one, other, person):
    """Who is tested in which fold (folds, people), none where folds cannot be compared, and a note on why."""
    none = np.empty((0, person.max() + 1))
    if "tested" not in one or "tested" not in other:
        return none, ["no test over folds: the predictions do not say who was tested in which (column tested)"]
    if (one["tested"].astype(str).to_numpy() != other["tested"].astype(str).to_numpy()).any():
        return none, ["no test over folds: the two networks were tested on other folds"]
    names, fold = np.unique(one["tested"].astype(str), return_inverse=True)
    if len(names) < FEWEST_FOLDS:
        return none, [f"no test over folds: it takes {FEWEST_FOLDS}, and there are {len(names)}"]
    members = np.zeros((len(names), person.max() + 1))
    members[fold, person] = 1
    if (members.sum(0) > 1).any():
        return none, ["no test over folds: people stand in several, which therefore share more than their training"]
    return members, []


def _scores(predictions, targets, weights, person, first):
    """Scores by (target,) level and metric, for each row of `weights` (samples, people)."""
    found = {}
    if targets is None:
        p = _people.probabilities(predictions)
        for level, spoken in evaluate._levels(predictions, p, person, first).items():
            _, scores = evaluate._scored(*spoken, weights)
            found |= {(level, metric): scores[metric] for metric in METRICS}
        return found
    people = regression.means(predictions)
    for name in targets:
        levels = {"window": (person, predictions)}
        if people[f"y_{name}"].notna().all():
            levels["mean"] = (np.arange(len(people)), people)
        for level, (unit, values) in levels.items():
            y, f, b = (values[f"{kind}_{name}"].to_numpy(dtype=np.float64) for kind in "yfb")
            parts = np.stack([np.ones(len(y)), np.abs(f - y), (f - y) ** 2, (b - y) ** 2], axis=1)
            n, absolute, squared, null = (weights @ _people.sums(unit, parts, weights.shape[1])).T
            with np.errstate(invalid="ignore", divide="ignore"):
                found[name, level, "mae"] = absolute / n
                found[name, level, "r2"] = np.where(null > 0, 1 - squared / null, np.nan)
    return found


def _over_people(difference, level, people):
    """Difference, interval and p from that of the sample and its replicates (1 + replicates,)."""
    low_high = _people.interval(difference, level)
    drawn = difference[1:][np.isfinite(difference[1:])]
    rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
    # if the networks were equal, all people would still lean to one side as often as this
    least = 2.0 ** (1 - people)
    p = min(1.0, max(least, 2 * (rarer + 1) / (len(drawn) + 1))) if len(drawn) else np.nan
    return {"difference": low_high.pop("value"), **low_high, "p": p}


def _over_folds(difference, share, level):
    """The corrected t-test of the differences in the folds, and why there is none (None: there is one, or no fold)."""
    names = ("folds", "folds_difference", "folds_low", "folds_high", "t", "df", "folds_p")
    none, k = dict.fromkeys(names, np.nan) | {"folds": 0}, len(difference)
    if not k:
        return none, None
    if not np.isfinite(difference).all():
        return none, f"{(~np.isfinite(difference)).sum()} of {k} folds hold too few classes or people for this score"
    mean, error = difference.mean(), np.sqrt(difference.var(ddof=1) * (1 / k + share))
    if error < 1e-12:
        return none, "which all differ by the same"
    half = stats.t.ppf((1 + level) / 2, k - 1) * error
    p = 2 * stats.t.sf(abs(mean / error), k - 1)
    return dict(zip(names, (k, mean, mean - half, mean + half, mean / error, k - 1, p))), None
