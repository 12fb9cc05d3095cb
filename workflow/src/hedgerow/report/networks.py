"""What each network reached on people it never saw: scores with intervals, calibration, controls, learning curves, and
what a reader must know to believe them: the gate, the looks at the test people, the machine."""

import math
from pathlib import Path

from .. import account, layout
from ..nets import summary
from ..plot_networks import LOWEST
from . import training
from ._network_pictures import confusion, people, reliability, scattered, scores

#: Metrics in the order of the table.
METRICS = {
    "balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "auc": "AUC", "kappa": "Cohen’s kappa",
    "r2": "R²", "mae": "mean absolute error", "rmse": "root mean square error", "r": "Pearson’s r",
    "ece": "expected calibration error", "brier": "Brier score", "log_loss": "log loss (nats)",
}  # fmt: skip

#: What stands for a network: this metric, at the first of these levels that there is.
HEADLINE = {"classification": ("balanced_accuracy", "subject"), "regression": ("r2", "mean")}

#: Metrics of the picture, which share a scale (kappa and errors have others), and levels that it leaves out.
DRAWN = {"classification": ("balanced_accuracy", "auc"), "regression": ("r2", "r")}
UNDRAWN = {"classification": ("mean",), "regression": ()}

#: Levels in the order of the table, in words.
LEVELS = {
    "classification": {"subject": "people, by vote", "mean": "people, by mean probability", "window": "windows"},
    "regression": {"mean": "people, by mean", "window": "windows"},
}

CONTROLS = {"trial_number": "trial number alone"}

#: What scores of calibration are held against.
REFERENCES = {
    "ece": "what chance makes of a calibrated network with these people",
    "brier": "the shares of the classes, given for every window",
    "log_loss": "the shares of the classes, given for every window",
}

#: Keys that make two networks tell the same thing of the same people.
SAME = ("selection", "target", "labels", "task", "folds")

#: More looks at the test people than this are said with a warning.
LOOKS = 10


def networks(metrics, curves, trainings, splits, gates, opened=None):
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
    gates : list of path
        ``networks/<network>/leakage.json``.
    opened : path, optional
        Folder in which it is noted how often test people were looked at.

    Returns
    -------
    list of dict
        Per network ``name``, ``scores`` (rows of a table), ``headline`` and ``headlines`` (of a regression one for each
        target), ``notes``, and pictures (None where there is none).
    """
    dealt = {}
    for row in [row for path in splits for row in layout.rows(path)]:
        dealt.setdefault(row["fold"], set()).add(row["person"])
    found = {Path(path).parent.name: account.read(path) for path in metrics}
    passed = {Path(path).parent.name: account.read(path) for path in gates}
    about = {"folds": {fold: len(dealt[fold]) for fold in sorted(dealt, key=int)}, "opened": opened}
    about |= {"curves": sorted(map(str, curves)), "trainings": sorted(map(str, trainings))}
    return [_network(name, found, passed.get(name), about) for name in found]


def _network(name, every, gate, about):
    found = every[name]
    task, main = found["task"], str(found["main_seed"])
    first, headlines = found["results"][main], _headlines(found)
    rows, controls = _table(found), _controls(found) + _twins(found, every)
    drawn = [row for row in rows if row["metric"] in DRAWN[task] and row["level"] not in UNDRAWN[task]] + controls
    calibration = found.get("calibration", {"scores": [], "reliability": [], "account": {"notes": []}})
    curves = training.own(about["curves"], name, main)
    return {
        "name": name,
        "seed": main,
        "account": first["account"],
        **_described(found, about),
        **_believed(found, training.trained(training.own(about["trainings"], name)), gate, calibration, about),
        "scores": rows + controls,
        "ranked": any(row["metric"] == "auc" for row in rows),
        "controls": bool(controls),
        "lowest": LOWEST,
        "below": any(row["value"] is not None and row["value"] < LOWEST for row in drawn),
        "headline": headlines[0],
        "headlines": headlines,
        "trial_number": next((row for row in controls if row["control"] == CONTROLS["trial_number"]), None),
        "bins": len(calibration["reliability"]),
        "calibration": [_row(score, found) for score in calibration["scores"]],
        "scores_picture": scores(drawn),
        "confusion_picture": confusion(first["confusion"], found["classes"]) if "confusion" in first else None,
        "reliability_picture": reliability(calibration["reliability"], found["classes"])
        if calibration["scores"]
        else None,
        "people_picture": people(found, headlines[0]["chance"]) if task == "classification" else None,
        "scatter_picture": scattered(found) if task == "regression" else None,
        "curves_picture": training.curves(curves, task, _largest(found)),
    }


def _described(found, about):
    """What a network tells, from what, and of whom."""
    sizes = [about["folds"].get(fold, 0) for fold in found["folds"]]
    return {
        "task": found["task"],
        "network": found["network"],
        "target": found["target"] if isinstance(found["target"], str) else " and ".join(found["target"]),
        "classes": found.get("classes"),
        "shown": training.shown(found["network"]),
        "seeds": sorted(int(seed) for seed in found["results"] if seed != str(found["main_seed"])),
        "folds": len(about["folds"]),
        "sizes": [min(sizes), max(sizes)],
        "tested": found["folds"],
        "voting": _voting(found),
    }


def _believed(found, trainings, gate, calibration, about):
    """What a reader must know to believe the scores: warnings, the gate, looks at the test people, the trainings."""
    main, opened = str(found["main_seed"]), about["opened"]
    looks = summary.looks(opened, found["test_set"]) if opened else 0
    notes = [*found["results"][main]["account"]["notes"], *calibration["account"]["notes"]]
    notes += [*(gate["notes"] if gate else ()), *training.resumed(trainings), *_many(looks)]
    return {
        # that nobody votes is a matter of course where it is so, and the page says it in passing
        "notes": [note for note in dict.fromkeys(notes) if not note.startswith("no vote")],
        "gate": gate,
        "looks": 0 if _many(looks) else looks,
        "training": training.told(trainings, main),
    }


def _main(found):
    """Scores of the seed that counts."""
    return found["results"][str(found["main_seed"])]["scores"]


def _headlines(found):
    """What stands for a network: a score of the seed that counts; of a regression one for each target."""
    metric, level = HEADLINE[found["task"]]
    best = {}
    for score in sorted(_main(found), key=lambda score: score["level"] != level):
        if score["metric"] == metric:
            best.setdefault(score.get("target"), score)
    return [_row(best[name], found) for name in found.get("targets", [None])]


def _many(looks):
    """A warning about test people who were looked at often."""
    if looks <= LOOKS:
        return []
    return [
        f"the people of this test set were shown to {looks} sets of networks: the best of so many is too good; choose "
        "by the validation people, or test whom no network was shown"
    ]


def _largest(found):
    """Score of validation of who has learnt nothing: the share of the largest class, or an R² of 0."""
    shares = [s["chance"] for s in _main(found) if (s["level"], s["metric"]) == ("window", "accuracy")]
    return shares[0] if shares else 0.0


def _table(found):
    """Rows of the table of scores; of classes by mean probability, which differ little from the vote, one alone."""
    classes = found["task"] == "classification"
    rows = [
        _row(score, found)
        for score in _main(found)
        if not classes or score["level"] != "mean" or score["metric"] == "balanced_accuracy"
    ]
    levels, names = list(LEVELS[found["task"]]), found.get("targets", [None])
    rows.sort(key=lambda r: (names.index(r["target"]), levels.index(r["level"]), list(METRICS).index(r["metric"])))
    return rows


def _controls(found):
    """Balanced accuracy of every control per window.

    Where all windows of a person are of one class there is nothing to control: the control is left out.
    """
    if _headlines(found)[0]["level"] != "window":
        return []
    return [
        _row(score, found, CONTROLS.get(name, name))
        for name, done in found["controls"].items()
        for score in done["scores"]
        if (score["level"], score["metric"]) == ("window", "balanced_accuracy")
    ]


def _twins(found, every):
    """Headlines of networks of the same windows and target whose samples are in random order: controls of `found`."""
    if found["network"]["shuffle_time"]:
        return []
    return [
        row | _named(row, f"{name} (time shuffled)") | {"further": [], "spread": None}
        for name, other in every.items()
        if other["network"]["shuffle_time"] and all(other["network"][key] == found["network"][key] for key in SAME)
        for row in _headlines(other)
    ]


def _row(score, found, control=None):
    """A score in words, with what further seeds reached."""
    key = _key(score)
    main = str(found["main_seed"])
    others = {seed: done["scores"] for seed, done in found["results"].items() if seed != main and not control}
    further = [s["value"] for seed in sorted(others, key=int) for s in others[seed] if _key(s) == key]
    spread = [row for row in found["spread"] if _key(row) == key and not control]
    row = {**score, "target": score.get("target"), "name": METRICS[score["metric"]]}
    row |= {"over": LEVELS[found["task"]][score["level"]], "several": len(found.get("targets", ())) > 1}
    row |= {"digits": decimals(score["metric"], score["value"]), "held": REFERENCES.get(score["metric"])}
    row |= {"further": [value for value in further if value is not None], "spread": spread[0] if spread else None}
    return row | _named(row, control)


def decimals(metric, value):
    """How many decimals are told of a score: two, or of an error in a unit so many that three figures stand."""
    if metric not in ("mae", "rmse") or not value:
        return 2
    return max(0, 2 - math.floor(math.log10(abs(value))))


def _named(row, control):
    parts = [control, row["target"] if row["several"] else None, row["over"], row["name"]]
    return {"control": control, "label": " · ".join(part for part in parts if part)}


def _key(score):
    return score.get("target"), score["level"], score["metric"]


def _voting(found):
    """Least and largest number of windows that speak for a person; None where nobody's windows do."""
    if found["task"] != "classification" or any(person["y"] is None for person in found["subjects"]):
        return None
    counts = [person["windows"] for person in found["subjects"]]
    return [min(counts), max(counts)]
