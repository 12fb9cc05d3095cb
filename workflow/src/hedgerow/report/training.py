"""How networks were trained: what they were shown, by which settings, on which machines, and their learning curves."""

import re

import numpy as np

from .. import account, plot_networks, table
from .._canvas import picture

#: What a network is shown, in words.
INPUTS = {"raw": "the samples", "fft": "the complex tapered spectrum", "topographies": "maps of band power"}

#: What makes classes weigh alike, and other arithmetic than float32, in words.
BALANCE = {"weights": "classes weigh the same in the loss", "sampler": "classes are drawn equally often"}
PRECISION = {"tf32": "products of matrices in TF32", "bfloat16": "arithmetic in bfloat16"}

#: What the bits of a training depend on, and what a build is recognised by.
BUILD = ("device", "gpu", "cpu", "cuda", "torch", "instructions", "threads", "world")

_TRAINED = re.compile(
    r"networks/(?P<network>[^/]+)/seed-(?P<seed>\d+)_fold-(?P<fold>.+?)(?:_curve\.tsv|_account\.json)$"
)


def own(paths, name, seed=None):
    """Of `paths` of all trainings those of one network, or of one of its seeds."""
    places = [(path, _TRAINED.search(path)) for path in paths]
    return [path for path, place in places if place["network"] == name and seed in (None, place["seed"])]


def shown(network):
    """What a network is shown of a window, in words."""
    if network["feature"]:
        return f"the feature “{network['feature']}”"
    return INPUTS[network["input"]] + settings(network["input_params"])


def settings(params):
    """Parameters in words, in brackets; nothing if all are the default."""
    return f" ({', '.join(f'{name} {_value(value)}' for name, value in params.items())})" if params else ""


def _value(value):
    if isinstance(value, dict):
        return " and ".join(f"{name} {_value(part)}" for name, part in value.items())
    return " to ".join(map(str, value)) if isinstance(value, list) else str(value)


def trained(paths):
    """Accounts of trainings, each with its ``seed`` and ``fold`` as text."""
    return [{**account.read(path), **_TRAINED.search(path).groupdict()} for path in paths]


def told(done, main):
    """How the networks were trained; None without accounts.

    Parameters
    ----------
    done : list of dict
        From `trained`: all trainings of a network.
    main : str
        Seed that counts.

    Returns
    -------
    dict
        Shared settings, ``chosen`` (epochs of the seed that counts), ``folds`` (their number), ``windows`` (least and
        largest number that train, and that choose the epoch), ``trainings`` (of all seeds), ``machines`` (in words,
        with how many trainings each did) and ``unusual`` (settings that change the result, in words).
    """
    first = [each for each in done if each["seed"] == main]
    if not first:
        return None
    shared = {key: first[0][key] for key in ("optimiser", "lr", "weight_decay", "batch", "epochs", "parameters")}
    counts = {role: [each["windows"][role] for each in first] for role in ("train", "validation")}
    machines = [_machine(each) for each in done]
    unusual = [BALANCE.get(first[0]["balance"]), PRECISION.get(first[0]["precision"])]
    return shared | {
        "model": first[0]["model"] + settings(first[0]["params"]),
        "chosen": sorted(each["best_epoch"] for each in first),
        "folds": len(first),
        "windows": {role: [min(numbers), max(numbers)] for role, numbers in counts.items()},
        "trainings": len(done),
        "machines": {name: machines.count(name) for name in sorted(set(machines))},
        "unusual": [words for words in unusual if words],
    }


def _machine(done):
    parts = [done.get("gpu") or done["cpu"], f"torch {done['torch']}"]
    parts += [f"CUDA {done['cuda']}"] if done.get("cuda") else []
    parts += [done["instructions"], f"{done['threads']} thread{'' if done['threads'] == 1 else 's'}"]
    return ", ".join(parts + ([f"{done['world']} processes"] if done["world"] > 1 else []))


def resumed(done):
    """A sentence on trainings that were taken up on another machine or build than they were begun on."""
    changed = [each for each in done if each.get("earlier_builds")]
    if not changed:
        return []
    names = [f"seed {each['seed']}, fold {each['fold']}" for each in changed]
    one, before = changed[0], changed[0]["earlier_builds"][-1]
    differs = [f"{key} {before.get(key)}, then {one.get(key)}" for key in BUILD if before.get(key) != one.get(key)]
    several = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [
        f"{names[0]}{several}: begun on another machine or build ({'; '.join(differs)}): the weights are not those of "
        "an undisturbed run to the bit"
    ]


def curves(paths, task, chance):
    """Picture of the learning curves of all folds; None without any. `chance`: score of who has learnt nothing."""
    tables = [table.read(path) for path in paths]
    if not tables:
        return None
    score, name, nothing = "val_accuracy", "Accuracy", "largest class"
    if task == "regression":
        score, name, nothing = "val_r2", "R²", "training mean"
    epochs = np.arange(1, max(int(each["epoch"].max()) for each in tables) + 1)
    lines = {column: np.full((len(tables), len(epochs)), np.nan) for column in ("train_loss", "val_loss", score)}
    for row, each in enumerate(tables):
        at = each["epoch"].to_numpy(dtype=int) - int(each["epoch"].min())
        for column, values in lines.items():
            values[row, at] = each[column]
    figure = plot_networks.curves(epochs, *lines.values(), chance=chance, name=name, nothing=nothing)
    return picture(figure)
