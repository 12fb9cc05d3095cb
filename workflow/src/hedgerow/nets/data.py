"""What a network is shown: windows with their targets, and who of the people trains, validates and tests."""

import hashlib
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from hedgerow import rows, split, table
from hedgerow.nets import evaluate, leakage, loader

#: Column of `examples` that says what is tested together, for each way of leaving people out.
TOGETHER = {"leave-one-subject-out": "left_out", "leave-one-dataset-out": "dataset"}

#: Columns that predictions have (`hedgerow.nets.evaluate`, `hedgerow.nets.regression`).
OURS = re.compile(r"y|p\d+|[yfb]_.*|tested|person|fold|left_out")


def examples(stores, participants, split_table, network):
    """Every window that can be used, with its target and its person's fold.

    Parameters
    ----------
    stores, participants : list of path
        Windows stores and tables of participants.
    split_table : path
        ``split.tsv``.
    network : dict
        Block of the config: ``task``, ``target`` (``label`` or columns of events or participants) and ``labels``
        (classes of the selection whose windows are used, or None).

    Returns
    -------
    found : DataFrame
        A row per window: where it comes from (`hedgerow.rows.PLACE`), ``nth`` (its number in the recording, see
        `hedgerow.rows.collect`), ``person``, ``fold``, ``left_out``, the columns that are its targets, and these as
        numbers: ``y`` (int, in the order of the classes), or ``y_<name>`` (float).
    names : list of str
        The classes, or the targets of a regression.

    Raises
    ------
    ValueError
        An unknown target or label, fewer than two classes, or a target that is no number.
    """
    labels = network["labels"]
    found = rows.collect(stores, participants, numbered=True)
    if labels is not None:
        unknown = sorted(set(labels) - set(found["label"]))
        if unknown:
            raise ValueError(f"labels: no window is called {unknown[0]!r}; there are {sorted(set(found['label']))}")
        found = found[found["label"].isin(labels)]
    found, names = _targets(found, network)
    places, keys = table.read(split_table), ["dataset", "subject"]
    # any other column of events or people could have the name of one that predictions have
    kept = [*rows.PLACE, "nth", *(name for name in _asked(network) if not OURS.fullmatch(name)), *columns(network)]
    found = found[[name for name in dict.fromkeys(kept) if name in keys or name not in places]]
    found = found.merge(places, on=keys, how="left", validate="many_to_one")
    if found["fold"].isna().any():
        raise ValueError(
            f"split: {found.loc[found['fold'].isna(), 'rec'].iloc[0]} has no fold; make {split_table} anew"
        )
    return found, names


def _targets(found, network):
    """Those of the rows `found` that have all targets, with these; and the classes, or the names of the targets."""
    asked = _asked(network)
    for name in asked:
        if name not in found:
            raise ValueError(f"target: the windows have no column {name!r}; there are {', '.join(found.columns)}")
    found = found[found[asked].notna().all(axis=1)]
    if network["task"] == "classification":
        (target,) = asked
        text = found[target].astype(str)
        classes = sorted(text.unique())
        if len(classes) < 2:
            told = ", ".join(classes)
            raise ValueError(f"target: {target!r} has one value or none ({told}): nothing can be told apart")
        return found.assign(y=text.map(classes.index).astype(int)), classes
    for name in asked:
        numbers = pd.to_numeric(found[name], errors="coerce")
        if numbers.isna().any():
            what = found[name][numbers.isna()].iloc[0]
            raise ValueError(f"target: {name!r} is {what!r} in places, which is no number: nothing can be predicted")
        found = found.assign(**{f"y_{name}": numbers.astype(float)})
    if not len(found):
        raise ValueError(f"target: no window has a value of {', '.join(asked)}")
    return found, asked


def _asked(network):
    """Columns of events or participants that a network is to tell."""
    return [network["target"]] if isinstance(network["target"], str) else list(network["target"])


def roles(found, fold, network, *, seed):
    """``train``, ``validation`` or ``test`` for each row of `found` while `fold` is tested.

    Parameters
    ----------
    found : DataFrame
        From `examples`.
    fold : str
        A fold of the split, the person or the dataset that is left out.
    network : dict
        Block of the config: ``folds`` and ``validation`` (share of the training people that choose the epoch).
    seed : int
        Key of their choice.

    Returns
    -------
    ndarray of str
        ``none`` for windows that have no part: those of people of a dataset that is left out, in other datasets.
    """
    people = found.assign(fold=_together(found, network))
    apart = np.zeros(len(found), dtype=bool)
    if network["folds"] == "leave-one-dataset-out":
        tested = people["fold"] == fold
        apart = (~tested & people["person"].isin(people["person"][tested])).to_numpy()
        people["fold"] = np.where(tested, fold, f"not {fold}")
    own = "y" in found and people.groupby("person")["y"].nunique().max() == 1
    role = np.full(len(found), "none", dtype="<U10")
    how = dict(share=network["validation"], seed=seed, stratify=("y",) if own else ())
    role[~apart] = split.roles(people[~apart], fold, **how)
    return role


def _together(found, network):
    return found[TOGETHER.get(network["folds"], "fold")].astype(str)


def gate(manifest, found, network):
    """Stop a study whose windows or people would be on both sides of its split; see `hedgerow.nets.leakage.gate`.

    Parameters
    ----------
    manifest : path
        Of the windows stores.
    found : DataFrame
        From `examples`.
    network : dict
        Block of the config.
    """
    left = set(_together(found, network))
    if (network["folds"] == "holdout" and "1" not in left) or len(left) < 2:
        tested = "nobody of fold 1, which it tests," if network["folds"] == "holdout" else "nobody but one fold"
        raise ValueError(
            f"folds: {network['folds']}: {tested} has windows with a value of {' and '.join(_asked(network))}: look "
            "whom participants.tsv or the selection leaves out, take fewer folds, or another seed of the split"
        )
    # people of several datasets take no part in the training that leaves one of these out, so it is they who are apart
    by_person = network["folds"] == "leave-one-dataset-out"
    rows_ = found.assign(fold=found["left_out"] if by_person else _together(found, network))
    return leakage.gate(rows_, leakage.digests(_windows(manifest, found)))


def show(manifest, features, chosen, network, *, seed=1):
    """What a network is shown of the rows `chosen`.

    Parameters
    ----------
    manifest : path
        Of the windows stores.
    features : list of path
        Feature stores that hold the windows' features, where the network has a ``feature``.
    chosen : DataFrame
        Rows of `examples`.
    network : dict
        Block of the config.
    seed : int
        Of the order of the samples, where the network is a control with shuffled time.

    Returns
    -------
    X : array_like (windows, channels, samples or frequencies)
        As `train.fit` takes it: samples stay on the disk until they are needed.
    about : SimpleNamespace
        ``names`` of the channels, ``sfreq`` in Hz and ``positions`` in m (None of features), ``axis`` and ``points``
        (s or Hz).
    """
    if network["feature"]:
        X, axes = rows.values(features, chosen)
        return X, SimpleNamespace(**axes, sfreq=None, positions=None)
    windows = _windows(manifest, chosen)
    points = (windows.tmin + np.arange(windows.samples) / windows.sfreq).round(9).tolist()
    about = SimpleNamespace(
        names=windows.names, sfreq=windows.sfreq, positions=windows.positions, axis="time", points=points
    )
    return (_Shuffled(windows, seed, _keys(chosen)) if network["shuffle_time"] else windows), about


def _keys(chosen):
    """A number for each window, the same in whatever part of the windows it stands."""
    names = map("|".join, _named(chosen).to_numpy())
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(digest, "big") >> 1 for digest in digests])


def _named(listed):
    """What names each window of a table, as text: dataset, recording, and number in its store."""
    return listed[["dataset", "rec", "window"]].astype({"window": int}).astype(str)


def _windows(manifest, chosen):
    """The windows of the rows `chosen`, in their order, as a `hedgerow.nets.loader.Windows`."""
    windows = loader.Windows(manifest)
    place = pd.MultiIndex.from_frame(_named(windows.table))
    found = place.get_indexer(pd.MultiIndex.from_frame(_named(chosen)))
    if (found < 0).any():
        rec = chosen["rec"].to_numpy()[found < 0][0]
        raise ValueError(f"{manifest} lists no store with the windows of {rec}: run the study again")
    return windows.subset(found)


class _Shuffled:
    """Windows whose samples are in random order (`evaluate.shuffle_time`), each window's always in the same."""

    def __init__(self, windows, seed, keys):
        self.windows, self.seed, self.keys, self.shape = windows, seed, keys, windows.shape

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, chosen):
        places = np.arange(len(self))[chosen]
        x, y = self.windows[places]
        return torch.from_numpy(evaluate.shuffle_time(x.numpy(), seed=self.seed, places=self.keys[places])), y


def task(manifest, features, found, role, network, names):
    """Keywords of `train.fit` that are data: the windows that train and validate; the tested ones are not even read.

    Returns
    -------
    given : dict
    about : SimpleNamespace
        See `show`.
    """
    chosen = np.flatnonzero((role == "train") | (role == "validation"))
    if not (role[chosen] == "train").any():
        raise ValueError("nobody is left to train on: use fewer folds or a smaller validation share")
    mine = found.iloc[chosen].reset_index(drop=True)
    X, about = show(manifest, features, mine, network)
    given = {"X": X, "y": mine[columns(network)].to_numpy(), "validation": role[chosen] == "validation"}
    given |= {"n_outputs": len(names), "sfreq": about.sfreq, "positions": about.positions}
    if network["task"] == "classification":
        given["y"] = mine["y"].to_numpy()
    return given, about


def columns(network):
    """Columns of `examples` that hold what a network is to tell."""
    if network["task"] == "classification":
        return ["y"]
    return [f"y_{name}" for name in _asked(network)]


def counts(role):
    """How many windows have each role."""
    names, numbers = np.unique(role, return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist()))
