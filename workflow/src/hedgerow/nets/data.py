"""What a network is shown: windows with their targets, and who of the people trains, validates and tests."""

import hashlib
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from hedgerow import rows, split, table
from hedgerow.nets import evaluate, inputs, leakage, loader, train, trained

#: Column of `examples` that says what is tested together, for each way of leaving people out.
TOGETHER = {"leave-one-subject-out": "left_out", "leave-one-dataset-out": "dataset"}


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
        A row per window: as `hedgerow.rows.collect`, and ``person``, ``fold``, ``left_out``, ``trial`` (number of the
        window in its recording), and its targets: ``y`` (int, in the order of the classes), or ``y_<name>`` (float).
    names : list of str
        The classes, or the targets of a regression.

    Raises
    ------
    ValueError
        An unknown target or label, fewer than two classes, or a target that is no number.
    """
    labels = network["labels"]
    found = rows.collect(stores, participants)
    found["trial"] = found.groupby("store").cumcount()
    if labels is not None:
        unknown = sorted(set(labels) - set(found["label"]))
        if unknown:
            raise ValueError(f"labels: no window is called {unknown[0]!r}; there are {sorted(set(found['label']))}")
        found = found[found["label"].isin(labels)]
    found, names = _targets(found, network)
    places, keys = table.read(split_table), ["dataset", "subject"]
    found = found[[name for name in found if name in keys or name not in places]]
    found = found.merge(places, on=keys, how="left", validate="many_to_one")
    if found["fold"].isna().any():
        raise ValueError(
            f"split: {found.loc[found['fold'].isna(), 'rec'].iloc[0]} has no fold; make {split_table} anew"
        )
    return found, names


def _targets(found, network):
    """Those of the rows `found` that have all targets, with these; and the classes, or the names of the targets."""
    target = network["target"]
    columns = [target] if isinstance(target, str) else list(target)
    for name in columns:
        if name not in found:
            raise ValueError(f"target: the windows have no column {name!r}; there are {', '.join(found.columns)}")
    found = found[found[columns].notna().all(axis=1)]
    if network["task"] == "classification":
        text = found[target].astype(str)
        classes = sorted(text.unique())
        if len(classes) < 2:
            told = ", ".join(classes)
            raise ValueError(f"target: {target!r} has one value or none ({told}): nothing can be told apart")
        return found.assign(y=text.map(classes.index).astype(int)), classes
    for name in columns:
        numbers = pd.to_numeric(found[name], errors="coerce")
        if numbers.isna().any():
            what = found[name][numbers.isna()].iloc[0]
            raise ValueError(f"target: {name!r} is {what!r} in places, which is no number: nothing can be predicted")
        found = found.assign(**{f"y_{name}": numbers.astype(float)})
    if not len(found):
        raise ValueError(f"target: no window has a value of {', '.join(columns)}")
    return found, columns


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
    return (_Shuffled(windows, seed) if network["shuffle_time"] else windows), about


def _windows(manifest, chosen):
    """The windows of the rows `chosen`, in their order, as a `hedgerow.nets.loader.Windows`."""
    windows, key = loader.Windows(manifest), ["dataset", "rec", "window"]
    place = pd.MultiIndex.from_frame(windows.table[key].astype({"window": int}).astype(str))
    found = place.get_indexer(pd.MultiIndex.from_frame(chosen[key].astype({"window": int}).astype(str)))
    if (found < 0).any():
        rec = chosen["rec"].to_numpy()[found < 0][0]
        raise ValueError(f"{manifest} lists no store with the windows of {rec}: run the study again")
    return windows.subset(found)


class _Shuffled:
    """Windows whose samples are in random order (`evaluate.shuffle_time`), each time in the same."""

    def __init__(self, windows, seed):
        self.windows, self.seed, self.shape = windows, seed, windows.shape

    def __len__(self):
        return len(self.windows)

    def __getitem__(self, chosen):
        places = np.arange(len(self))[chosen]
        x, y = self.windows[places]
        return torch.from_numpy(evaluate.shuffle_time(x.numpy(), seed=self.seed, places=places)), y


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
    target = network["target"]
    return [f"y_{name}" for name in ([target] if isinstance(target, str) else target)]


def counts(role):
    """How many windows have each role."""
    names, numbers = np.unique(role, return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist()))


def settings(network, *, seed, threads, gpus):
    """Keywords of `train.fit` from a block of the config and from what the job was given."""
    names = ("task", "model", "input_params", "epochs", "batch", "optimiser", "lr", "weight_decay", "balance")
    names += ("precision", "standardise")
    where = {"seed": seed, "threads": threads, "device": device(gpus), "world": max(1, gpus)}
    if where["device"] == "cpu":
        where["world"] = 1
    shown = "features" if network["feature"] else network["input"]
    return {**{name: network[name] for name in names}, "input": shown, **network["params"], **where}


def device(gpus):
    """``cuda`` if the job was given a GPU that torch sees, else ``cpu``."""
    return "cuda" if gpus and torch.cuda.is_available() else "cpu"


def described(network, names, about, done, *, seed, fold):
    """What the file of a trained network says beside its weights (`trained.save`).

    Parameters
    ----------
    network : dict
        Block of the config.
    names : list of str
        Classes or targets.
    about : SimpleNamespace
        See `show`.
    done : dict
        Account of `train.fit`.
    seed : int
    fold : str
    """
    told = "classes" if network["task"] == "classification" else "targets"
    call = {name: done[name] for name in ("task", "model", "params", "input", "input_params", "sfreq", "n_outputs")}
    where = {"selection": network["selection"], "feature": network["feature"], "labels": network["labels"]}
    return {
        **call, **where, told: names, "target": network["target"], "seed": seed, "fold": fold, "unit": "µV",
        "shape": [len(about.names), len(about.points)], "names": about.names, "positions": about.positions,
        about.axis: [about.points[0], about.points[-1]],
    }  # fmt: skip


def forget(path):
    """Delete a checkpoint that has served."""
    Path(path).unlink(missing_ok=True)


def predictions(weights, manifest, features, found, network, names, *, threads, gpus):
    """Predictions of every seed for all tested people, each by the network that never saw them.

    Parameters
    ----------
    weights : list of path
        ``seed-<seed>_fold-<fold>.safetensors`` of every seed and fold, the seed that counts first.
    manifest, features
        As for `show`.
    found : DataFrame
        From `examples`.
    network : dict
        Block of the config.
    names : list of str
        Classes or targets.
    threads, gpus
        What the job was given.

    Returns
    -------
    dict of int to DataFrame
        By seed: tested rows of `found` in their order with ``tested`` (the fold), and ``p0``, ``p1``, ... or, of a
        regression, ``f_<name>`` (predicted) and ``b_<name>`` (mean of the training windows).

    Raises
    ------
    ValueError
        A window that no fold tests.
    hedgerow.split.Leak
        A network is normalised by windows that are not its training windows.
    """
    X, _ = show(manifest, features, found, network)
    parts, sums = {}, None
    for path in map(Path, weights):
        seed, fold = re.fullmatch(r"seed-(\d+)_fold-(.+)", path.stem).groups()
        role = roles(found, fold, network, seed=int(seed))
        mine = np.flatnonzero(role == "test")
        if not len(mine):
            continue
        net = trained.load(path)
        if network["standardise"] and sums is None:
            sums = _sums(X, found["person"].to_numpy(), net)
        people = found["person"][role == "train"].unique()
        own = [net.weights[f"normalisation.{name}"].numpy() for name in ("mean", "std")]
        if network["standardise"]:
            leakage.normalisation(own, train.Sums.of(sums[who] for who in people).normalisation(), whose=str(path))
        said = net.predict(_Some(X, mine), threads=threads, device=device(gpus))
        done = found.iloc[mine].assign(tested=fold, place=mine)
        if network["task"] == "classification":
            done = evaluate.predictions(done, done["y"], said)
        else:
            mean = net.weights["normalisation.target_mean"].numpy()
            done = done.assign(**{f"f_{name}": said[:, k] for k, name in enumerate(names)})
            done = done.assign(**{f"b_{name}": mean[k] for k, name in enumerate(names)})
        parts.setdefault(int(seed), []).append(done)
    tables = {seed: pd.concat(found_).sort_values("place").drop(columns="place") for seed, found_ in parts.items()}
    tested = found["fold"].astype(str).eq("1").sum() if network["folds"] == "holdout" else len(found)
    for seed, table_ in tables.items():
        if len(table_) != tested:
            raise ValueError(f"seed {seed}: {tested - len(table_)} windows are in no test fold; train again")
    return {seed: each.reset_index(drop=True) for seed, each in tables.items()}


def _sums(X, person, net):
    """What the normalisation is made of, by person: `train.Sums` of all their windows."""
    info = net.info
    how = dict(n_chans=X.shape[1], n_times=X.shape[2], sfreq=info["sfreq"], positions=info["positions"])
    shown = inputs.make(info["input"], **how, **info["input_params"])
    return {who: train.Sums.over(X, np.flatnonzero(person == who), shown) for who in np.unique(person)}


class _Some:
    """Some of the windows of `X`, by their number among them."""

    def __init__(self, X, places):
        self.X, self.places, self.shape = X, places, (len(places), *X.shape[1:])

    def __len__(self):
        return len(self.places)

    def __getitem__(self, chosen):
        return self.X[self.places[chosen]]


def test_set(tables, network):
    """Digest of who is tested and for what: what a number of networks are chosen by when it is opened for each."""
    people = sorted({str(who) for found in tables.values() for who in found["person"]})
    text = "\n".join([str(network["target"]), *people])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def entry(weights):
    """Digest of the networks that were tested: their files, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for path in weights:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()
