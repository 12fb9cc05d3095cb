"""What each network reached on people it never saw: scores with intervals, confusion, learning curves, controls."""

import re
from pathlib import Path

import numpy as np

from .. import account, layout, plot, table
from .._canvas import picture

#: Metrics in the order of the table, and those that share the scale of the picture (kappa has another).
METRICS = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "auc": "AUC", "kappa": "Cohen's kappa"}
DRAWN = ("balanced_accuracy", "auc")

CONTROLS = {"trial_number": "trial number alone"}

_TRAINED = re.compile(r"networks/(?P<network>[^/]+)/seed-(?P<seed>\d+)_fold-[^/]+$")


def networks(metrics, curves, trainings, splits):
    """What each network reached.

    Parameters
    ----------
    metrics : list of path
        ``networks/<network>/metrics.json``.
    curves : list of path
        ``networks/<network>/seed-<seed>_fold-<fold>_curve.tsv`` of all networks.
    trainings : list of path
        ``..._account.json`` beside them.
    splits : list of path
        ``split.tsv``; may be empty where no network is.

    Returns
    -------
    list of dict
        Per network ``name``, ``scores`` (rows of a table), ``headline`` (one of them), ``notes``, and pictures.
    """
    folds = {}
    for row in [row for path in splits for row in layout.rows(path)]:
        folds[row["fold"]] = folds.get(row["fold"], 0) + 1
    found = {Path(path).parent.name: account.read(path) for path in metrics}
    return [_network(name, found, folds, sorted(map(str, curves)), sorted(map(str, trainings))) for name in found]


def _network(name, networks, folds, curves, trainings):
    found = networks[name]
    main = str(found["main_seed"])
    first = found["results"][main]
    further = {seed: found["results"][seed]["scores"] for seed in sorted(found["results"], key=int) if seed != main}
    rows = [_row(score, further) for score in first["scores"]]
    rows.sort(key=lambda row: (row["level"] != "subject", list(METRICS).index(row["metric"])))
    headline = next(row for row in rows if row["metric"] == "balanced_accuracy")
    controls = [] if headline["level"] == "subject" else _controls(found.get("controls", {}))
    controls += [_row(_headline(other), {}, f"{label} (time shuffled)") for label, other in _shuffled(found, networks)]
    drawn = [row for row in rows if row["metric"] in DRAWN and row["value"] is not None]
    return {
        "name": name,
        "network": found["network"],
        "target": found["target"],
        "classes": found["classes"],
        "seed": main,
        "seeds": sorted(map(int, further)),
        "account": first["account"],
        "folds": folds if found["network"]["folds"] == "split" else {},
        "scores": rows + controls,
        "controls": bool(controls),
        "headline": headline,
        "notes": list(dict.fromkeys(first["account"]["notes"])),
        "trial_number": next((row for row in controls if row["control"] == CONTROLS["trial_number"]), None),
        "scores_picture": picture(plot.scores(drawn + controls)),
        "confusion_picture": _confusion(first["confusion"], found["classes"]),
        "people_picture": _people(found, headline["chance"]),
        "training": _training(_own(trainings, name, main)),
        "curves_picture": _curves(_own(curves, name, main), headline["chance"]),
    }


def _controls(found):
    """Balanced accuracy of every control per window.

    Where all windows of a person are of one class there is nothing to control: the control is left out.
    """
    return [
        _row(score, {}, CONTROLS.get(name, name))
        for name, done in found.items()
        for score in done["scores"]
        if (score["level"], score["metric"]) == ("window", "balanced_accuracy")
    ]


def _headline(found):
    """Balanced accuracy of the seed that counts, per subject where there is a vote."""
    scores = [s for s in found["results"][str(found["main_seed"])]["scores"] if s["metric"] == "balanced_accuracy"]
    return min(scores, key=lambda score: score["level"] != "subject")


def _shuffled(found, networks):
    """Networks of the same windows and target whose samples are in random order: controls of `found`."""
    same = ("selection", "target", "labels")
    if found["network"]["shuffle_time"]:
        return []
    return [
        (name, other)
        for name, other in networks.items()
        if other["network"]["shuffle_time"] and all(other["network"][key] == found["network"][key] for key in same)
    ]


def _row(score, further, control=None):
    others = [s["value"] for scores in further.values() for s in scores if _same(s, score) and s["value"] is not None]
    label = f"{score['level']}s · {METRICS[score['metric']]}"
    return {
        **score,
        "name": METRICS[score["metric"]],
        "label": f"{control} · {label}" if control else label,
        "control": control,
        "further": others,
        # an interval is unknown where every replicate lost a class
        "low": score["value"] if score["low"] is None else score["low"],
        "high": score["value"] if score["high"] is None else score["high"],
    }


def _same(one, other):
    return (one["level"], one["metric"]) == (other["level"], other["metric"])


def _confusion(cells, classes):
    levels = [level for level in ("subject", "window") if any(cell["level"] == level for cell in cells)]
    matrices = np.zeros((len(levels), len(classes), len(classes)))
    for cell in cells:
        matrices[levels.index(cell["level"]), cell["true"], cell["predicted"]] = cell["count"]
    titles = [f"{level.capitalize()}s ({matrix.sum():.0f})" for level, matrix in zip(levels, matrices)]
    return picture(plot.confusion(matrices, titles, classes))


def _people(found, chance):
    """Picture of everybody's share of right windows; none where the windows of a person are of several classes."""
    people = found["subjects"]
    if any(person["y"] is None for person in people):
        return None
    return picture(
        plot.people(
            np.array([person["accuracy"] for person in people]),
            np.array([person["y"] == person["predicted"] for person in people]),
            np.array([found["classes"][int(person["y"])] for person in people]),
            chance=chance,
        )
    )


def _own(paths, name, seed):
    """Of `paths` of all trainings those of one network and seed."""
    places = [(path, _TRAINED.search(path)) for path in paths]
    return [path for path, place in places if (place["network"], place["seed"]) == (name, seed)]


def _training(paths):
    """How the networks of all folds were trained; None without accounts."""
    done = [account.read(path) for path in paths]
    if not done:
        return None
    shared = {key: done[0][key] for key in ("optimiser", "lr", "weight_decay", "batch", "epochs", "parameters")}
    return shared | {"chosen": sorted(each["best_epoch"] for each in done), "folds": len(done)}


def _curves(paths, chance):
    tables = [table.read(path) for path in paths]
    if not tables:
        return None
    epochs = np.arange(1, max(int(each["epoch"].max()) for each in tables) + 1)
    lines = {name: np.full((len(tables), len(epochs)), np.nan) for name in ("train_loss", "val_loss", "val_accuracy")}
    for row, each in enumerate(tables):
        at = each["epoch"].to_numpy(dtype=int) - int(each["epoch"].min())
        for name, values in lines.items():
            values[row, at] = each[name]
    figure = plot.curves(epochs, lines["train_loss"], lines["val_loss"], lines["val_accuracy"], chance=chance)
    return picture(figure)
