"""What the jobs of a network do with windows: with which settings they train, what they keep, what they predict.

Apart from `hedgerow.nets.data`, so that the gate before all training does not depend on how one trains.
"""

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hedgerow.nets import data, evaluate, inputs, leakage, models, train, trained


def settings(network, *, seed, threads, gpus):
    """Keywords of `train.fit` from a block of the config and from what the job was given.

    Raises
    ------
    ValueError
        A parameter that the model has not: it would pass for a keyword of `train.fit`.
    """
    models.known(network["model"], network["params"])
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
        See `hedgerow.nets.data.show`.
    done : dict
        Account of `train.fit`.
    seed : int
    fold : str
    """
    told = "classes" if network["task"] == "classification" else "targets"
    call = {name: done[name] for name in ("task", "model", "params", "input", "input_params", "sfreq", "n_outputs")}
    where = {name: network[name] for name in ("selection", "feature", "labels", "shuffle_time", "target")}
    return {
        **call, **where, told: names, "seed": seed, "fold": fold, "unit": None if network["feature"] else "µV",
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
        As for `hedgerow.nets.data.show`.
    found : DataFrame
        From `hedgerow.nets.data.examples`.
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
    X, _ = data.show(manifest, features, found, network)
    parts, sums = {}, None
    for path in map(Path, weights):
        seed, fold = re.fullmatch(r"seed-(\d+)_fold-(.+)", path.stem).groups()
        role = data.roles(found, fold, network, seed=int(seed))
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
        said = net.predict(_Some(X, mine), threads=threads, device=device(gpus), shuffled=network["shuffle_time"])
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


def entry(weights):
    """Digest of the networks that were tested: their files, in their order."""
    digest = hashlib.blake2b(digest_size=8)
    for path in weights:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()
