"""The card of a network: what it tells, how well, of whom it was trained, and the lines that load it.

It holds no date and no place: the same accounts give the same text.
"""

import json
from pathlib import Path

from hedgerow import __version__, account

#: Names of the scores as people know them.
SCORES = {
    "balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "auc": "AUC", "kappa": "Cohen's kappa",
    "mae": "mean absolute error", "rmse": "root mean square error", "r2": "R² against the training mean",
    "r": "Pearson's r", "ece": "expected calibration error", "brier": "Brier score", "log_loss": "log loss (nats)",
}  # fmt: skip

LEVELS = {"window": "a window", "subject": "a person, by vote", "mean": "a person, by the mean"}


def write(path, name, done, accounts, weights):
    """Write the card of a network.

    Parameters
    ----------
    path : path
    name : str
        Of the network.
    done : dict
        From `hedgerow.nets.summary.summary`.
    accounts, weights : list of path
        Of all its trainings, the seed that counts first.
    """
    trainings = [account.read(path_) for path_ in accounts]
    Path(path).write_text(render(name, done, trainings, [Path(each).name for each in weights]), encoding="utf-8")


def render(name, done, trainings, files):
    """Text of the card; `trainings` are accounts, `files` names of weights, in the same order."""
    network, training = done["network"], trainings[0]
    told = done.get("classes") or done.get("targets")
    shown = network["feature"] or training["input"]
    main = done["results"].get(done["main_seed"]) or done["results"][str(done["main_seed"])]
    parts = [
        _front(name, done),
        f"# {name}",
        f"{_what(done, told)} Made by Hedgerow {__version__}; scores are of people that no network had seen.",
        "## Use",
        _use(name, files[0], told, network),
        "## What it is",
        _table(
            ("", ""),
            [
                ("model", _named(training["model"], training["params"])),
                ("parameters", f"{training['parameters']:,}"),
                ("shown", f"{_named(shown, training['input_params'])} of windows of `{network['selection']}`"),
                ("optimiser", _optimiser(training)),
                ("chosen by", training["chosen_by"]),
                ("balance, precision", f"{training['balance']}, {training['precision']}"),
                (
                    "trainings",
                    f"{len(files)}: folds {', '.join(done['folds'][:8])}{_more(done['folds'], 8)}; "
                    f"seeds {', '.join(map(str, done['results']))}",
                ),
                ("trained on", _machine(training)),
            ],
        ),
        "## Scores",
        _table(
            ("of", "score", "value", "95 % interval over people", "chance", "n"),
            [_score(row) for row in [*main["scores"], *done.get("calibration", {}).get("scores", [])]],
        ),
        "The intervals say how the scores would vary over people, given these networks.",
        *_seeds(done),
        "\n".join(f"- {note}" for note in dict.fromkeys(main["account"]["notes"])),
        *_control(done),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front(name, done):
    tags = ["eeg", "hedgerow", done["task"]]
    lines = ["---", "library_name: hedgerow", "tags:", *(f"- {tag}" for tag in tags)]
    return "\n".join([*lines, f"model_name: {json.dumps(name)}", "---"])


def _what(done, told):
    target = done["target"] if isinstance(done["target"], str) else ", ".join(done["target"])
    if done["task"] == "regression":
        return f"Networks that predict {target} from single windows of EEG."
    return f"Networks that tell `{target}` ({', '.join(told)}) from single windows of EEG."


def _use(name, file, told, network):
    says = "a probability for each of" if network["task"] == "classification" else "a value for each of"
    windows, shown = f'Windows("published/<dataset>", "{network["selection"]}")', []
    imports = ["from hedgerow.nets import load", "from hedgerow.store import Windows"]
    call = f"network.predict({windows})"
    if network["shuffle_time"]:
        imports.insert(1, "from hedgerow.nets.evaluate import shuffle_time")
        shown = [f"windows = {windows}[:][0].numpy()"]
        call = "network.predict(shuffle_time(windows, seed=1), shuffled=True)  # a control: samples in random order"
    if network["feature"]:
        del imports[1]
        call = "network.predict(features)  # (windows, channels, frequencies) of the feature store"
    code = [*imports, "", f'network = load("networks/{name}/{file}")', *shown, f"p = {call}"]
    return "\n".join(
        [
            "```python",
            *code,
            "```",
            "",
            f"A row a window, {says} {', '.join(told)}. Each file is of one seed and one fold, whose people it never "
            "saw. `network.info` says which channels, rate and length the windows must have.",
        ]
    )


def _optimiser(training):
    names = ("lr", "weight_decay", "batch", "epochs")
    return f"{training['optimiser']}, " + ", ".join(f"{name} {training[name]:g}" for name in names)


def _machine(training):
    where = training.get("gpu") or training.get("cpu") or training["device"]
    ranks = f", {training['world']} processes" if training["world"] > 1 else ""
    return f"{where}, torch {training['torch']}, {training['threads']} thread(s){ranks}"


def _score(row):
    chance = row.get("chance", row.get("reference"))
    around = "" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}"
    return _of(row), SCORES[row["metric"]], _rounded(row["value"]), around, _rounded(chance), str(row["n"])


def _of(row):
    return " ".join(filter(None, [row.get("target"), LEVELS[row["level"]]]))


def _seeds(done):
    wanted = [row for row in done["spread"] if row["metric"] in ("balanced_accuracy", "r2")]
    if not wanted:
        return []
    rows = [
        (_of(row), SCORES[row["metric"]], str(row["n"]), *(_rounded(row[key]) for key in ("mean", "sd", "min", "max")))
        for row in wanted
    ]
    return ["What another seed would change:", _table(("of", "score", "seeds", "mean", "sd", "least", "most"), rows)]


def _control(done):
    """What the order of trials alone reaches, where it reaches anything."""
    for control in done["controls"].values():
        for row in control["scores"]:
            if (row["level"], row["metric"]) == ("window", "balanced_accuracy") and row["value"] > row["chance"] + 0.01:
                return [
                    f"Control: the number of a window in its recording alone reaches {row['value']:.3f} per window. An "
                    "order of trials that people share can be learnt in place of what is asked."
                ]
    return []


def _table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _named(name, params):
    return f"`{name}`" + "".join(f", {key} {value}" for key, value in params.items())


def _more(values, shown):
    return f" and {len(values) - shown} more" if len(values) > shown else ""


def _rounded(value):
    return "" if value is None else f"{value:.3f}"
