"""What a network is shown: windows with their class, and who of the people trains, validates and tests."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from hedgerow import rows, split, table
from hedgerow.nets import evaluate, train


def examples(stores, participants, split_table, network):
    """Every window that can be used, with its class and its person's fold.

    Parameters
    ----------
    stores, participants : list of path
        Windows stores and tables of participants.
    split_table : path
        ``split.tsv``.
    network : dict
        Block of the config: ``target`` (``label`` or a column of events or participants) and ``labels`` (classes of
        the selection whose windows are used, or None).

    Returns
    -------
    found : DataFrame
        A row per window: as `hedgerow.rows.collect`, and ``person``, ``fold``, ``left_out``, ``y`` (int) and ``trial``
        (number of the window in its recording).
    classes : list of str
        In the order of `y`.

    Raises
    ------
    ValueError
        An unknown target or label, or fewer than two classes.
    """
    target, labels = network["target"], network["labels"]
    found = rows.collect(stores, participants)
    found["trial"] = found.groupby("store").cumcount()
    if labels is not None:
        unknown = sorted(set(labels) - set(found["label"]))
        if unknown:
            raise ValueError(f"labels: no window is called {unknown[0]!r}; there are {sorted(set(found['label']))}")
        found = found[found["label"].isin(labels)]
    if target not in found:
        raise ValueError(f"target: the windows have no column {target!r}; there are {', '.join(found.columns)}")
    found = found[found[target].notna()]
    classes = sorted(found[target].astype(str).unique())
    if len(classes) < 2:
        raise ValueError(f"target: {target!r} has one value or none ({', '.join(classes)}): nothing can be told apart")
    places, keys = table.read(split_table), ["dataset", "subject"]
    found = found[[name for name in found if name in keys or name not in places]]
    found = found.merge(places, on=keys, how="left", validate="many_to_one")
    if found["fold"].isna().any():
        raise ValueError(
            f"split: {found.loc[found['fold'].isna(), 'rec'].iloc[0]} has no fold; make {split_table} anew"
        )
    found["y"] = found[target].astype(str).map(classes.index).astype(int)
    return found, classes


def roles(found, fold, *, validation, seed):
    """``train``, ``validation`` or ``test`` for each row of `found` while `fold` is tested.

    Parameters
    ----------
    found : DataFrame
        From `examples`.
    fold : str
        A value of ``fold``, or of ``left_out`` (one person).
    validation : float
        Share of the training people that choose the epoch.
    seed : int
        Key of their choice.
    """
    column = "fold" if fold.isdigit() else "left_out"
    people = found.assign(fold=found[column].astype(str))
    even = people.groupby("person")["y"].nunique().max() == 1
    return split.roles(people, fold, share=validation, seed=seed, stratify=("y",) if even else ())


def load(stores, chosen, *, shuffle_time=False, seed=1):
    """Windows of the rows `chosen` as float32 (windows, channels, samples) in µV, time-shuffled on request."""
    X, _ = rows.values(stores, chosen)
    return evaluate.shuffle_time(X, seed=seed) if shuffle_time else X


def task(stores, found, role, network, *, n_outputs):
    """Keywords of `train.fit`: the windows that train and validate; the tested ones are not even read."""
    shown = (role != "test").nonzero()[0]
    if not (role[shown] == "train").any():
        raise ValueError("nobody is left to train on: use fewer folds or a smaller validation share")
    rows_shown = found.iloc[shown].reset_index(drop=True)
    X = load(stores, rows_shown, shuffle_time=network["shuffle_time"])
    return {
        "X": X,
        "y": rows_shown["y"].to_numpy(),
        "validation": role[shown] == "validation",
        "n_outputs": n_outputs,
    }


def counts(role):
    """How many windows have each role."""
    names, numbers = np.unique(role, return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist()))


def settings(network, *, seed, threads, gpus):
    """Keywords of `train.fit` from a block of the config and from what the job was given."""
    names = ("model", "epochs", "batch", "optimiser", "lr", "weight_decay")
    where = {"seed": seed, "threads": threads, "device": device(gpus)}
    return {**{name: network[name] for name in names}, **network["params"], **where}


def forget(path):
    """Delete a checkpoint that has served."""
    Path(path).unlink(missing_ok=True)


def predictions(weights, stores, found, network, *, threads, gpus):
    """Predictions of every seed for all people, each by the network that never saw them.

    Parameters
    ----------
    weights : list of path
        ``seed-<seed>_fold-<fold>.safetensors`` of every seed and fold, the seed that counts first.
    stores : list of path
        Windows stores.
    found : DataFrame
        From `examples`.
    network : dict
        Block of the config.
    threads, gpus
        What the job was given.

    Returns
    -------
    dict of int to DataFrame
        By seed: rows of `found` in their order with ``tested`` (the fold) and ``p0``, ``p1``, ...

    Raises
    ------
    ValueError
        A window that no fold tests.
    """
    from safetensors.torch import load_file

    tables = {}
    X = load(stores, found, shuffle_time=network["shuffle_time"])
    for path in map(Path, weights):
        seed, fold = re.fullmatch(r"seed-(\d+)_fold-(.+)", path.stem).groups()
        mine = roles(found, fold, validation=network["validation"], seed=int(seed)) == "test"
        if not mine.any():
            continue
        options = {"model": network["model"], "threads": threads, "device": device(gpus), **network["params"]}
        p = train.predict(load_file(path), X[mine], **options)
        done = evaluate.predictions(found[mine].assign(tested=fold, place=np.flatnonzero(mine)), found["y"][mine], p)
        tables.setdefault(int(seed), []).append(done)
    tables = {seed: pd.concat(parts).sort_values("place").drop(columns="place") for seed, parts in tables.items()}
    for seed, table_ in tables.items():
        if len(table_) != len(found):
            raise ValueError(f"seed {seed}: {len(found) - len(table_)} windows are in no test fold; train again")
    return {seed: each.reset_index(drop=True) for seed, each in tables.items()}


def device(gpus):
    """``cuda`` if the job was given a GPU that torch sees, else ``cpu``."""
    return "cuda" if gpus and torch.cuda.is_available() else "cpu"


def summary(tables, classes, network):
    """Metrics of all seeds, the votes of the first, and the trial-number control, JSON-able.

    Parameters
    ----------
    tables : dict of int to DataFrame
        Predictions of all folds by seed, the one that counts first.
    classes : list of str
    network : dict
        Block of the config.
    """
    tables = {seed: found.assign(fold=found["tested"]) for seed, found in tables.items()}
    results = {seed: _scores(found) for seed, found in tables.items()}
    main = next(iter(tables))
    first = tables[main]
    chance = first.assign(**{f"p{k}": p for k, p in enumerate(evaluate.baseline_trial_number(first).T)})
    done = {"target": network["target"], "classes": classes, "main_seed": main, "results": results}
    done["subjects"] = _records(evaluate.votes(first))
    done["controls"] = {"trial_number": _scores(chance)}
    return done | {"network": network, "folds": sorted(first["fold"].unique())}


def _scores(found):
    scores, confusion, account = evaluate.metrics(found)
    if found.groupby("fold")["y"].nunique().min() < 2:
        # each fold was scored by another network: ranks across folds of one class say nothing
        scores = scores[scores["metric"] != "auc"]
        account["notes"].append(
            "a fold holds one class only: no AUC, and a network that has learnt nothing can score below chance"
        )
    return {"scores": _records(scores), "confusion": _records(confusion), "account": account}


def _records(frame):
    """Rows of a table as dicts that JSON can hold: NaN becomes None."""
    return [
        {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]
