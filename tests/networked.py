"""A study's networks made by hand: tables of predictions of known quality, and all files that the report reads."""

from pathlib import Path

import numpy as np
import pandas as pd

from hedgerow import account, table
from hedgerow.nets import compare, leakage, summary

#: Windows of each person, and people of each fold.
WINDOWS, FOLD = 6, 4

#: Account of a training, as far as the report reads it.
TRAINED = {
    "model": "eegnet", "params": {}, "optimiser": "adamax", "lr": 0.01, "weight_decay": 0.0, "batch": 32, "epochs": 3,
    "parameters": 666, "best_epoch": 2, "balance": "none", "precision": "float32", "device": "cpu", "cpu": "Loom 3",
    "torch": "2.13.0", "instructions": "AVX2", "threads": 1, "world": 1, "windows": {"train": 90, "validation": 24},
}  # fmt: skip


def people(count=20):
    """Windows of `count` people, women and men in turn, in folds of `FOLD`."""
    who = np.repeat(np.arange(count), WINDOWS)
    rows = pd.DataFrame({"dataset": "lab", "subject": [f"{k:02}" for k in who], "person": [f"lab/{k:02}" for k in who]})
    rows = rows.assign(rec="sub-" + rows["subject"], window=np.tile(np.arange(WINDOWS), count), y=who % 2)
    rows = rows.assign(nth=rows["window"], fold=(who // FOLD + 1).astype(str), y_age=20.0 + who)
    return rows.assign(tested=rows["fold"])


def told(rows, rng, *, noise):
    """Predictions of class `y` that are the better the less `noise` there is."""
    p = np.clip(0.5 + 0.3 * (2 * rows["y"] - 1) + rng.normal(0, noise, len(rows)), 0, 1)
    return rows.assign(p0=1 - p, p1=p)


def aged(rows, rng, *, noise):
    """Predictions of `y_age` with so many years of noise."""
    mean = rows["y_age"].mean()
    return rows.assign(
        f_age=rows["y_age"] + rng.normal(0, noise, len(rows)), b_age=mean + rows["fold"].astype(int) / 10
    )


def write(folder, name, tables, block, *, names, found=None, trained=None, test_set="0123456789abcdef"):
    """Write what `leakage`, `train` and `evaluate` leave of a network below ``<folder>/networks/<name>/``."""
    place = Path(folder) / "networks" / name
    place.mkdir(parents=True)
    first = next(iter(tables.values()))
    found = first if found is None else found
    done = summary.summary(tables, found, names, block, test_set=test_set, entry=name)
    account.write(place / "metrics.json", account.ok("evaluate", **done))
    account.write(place / "leakage.json", account.ok("leakage", **leakage.gate(found)))
    summary.opened(Path(folder) / "opened", name, tables, block, test_set=test_set, entry=name)
    score = "val_r2" if block["task"] == "regression" else "val_accuracy"
    for seed in tables:
        for fold in done["folds"]:
            curve = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [0.7, 0.5, 0.4], "val_loss": [0.7, 0.6, 0.65]})
            stem = f"{place}/seed-{seed}_fold-{fold}_"
            table.write(stem + "curve.tsv", curve.assign(**{score: [0.5, 0.7, 0.6]}))
            account.write(stem + "account.json", account.ok("train", **TRAINED | (trained or {})))
    table.write(place / "predictions.tsv", first)


def compared(folder, votes):
    """Write the comparison of all networks; `votes` are their blocks' ``vote`` by name."""
    paths = [f"{folder}/networks/{name}/predictions.tsv" for name in votes]
    rows, done = compare.table(summary.predictions(paths), first=summary.vote(votes))
    table.write(f"{folder}/comparisons.tsv", rows)
    account.write(f"{folder}/comparisons.json", account.ok("compare", **done))
    return rows


def files(folder, names):
    """Files of networks as the report takes them."""
    folder = Path(folder)
    dealt = pd.concat([table.read(folder / f"networks/{name}/predictions.tsv") for name in names])
    dealt = dealt[["dataset", "subject", "person", "fold"]].drop_duplicates()
    table.write(folder / "split.tsv", dealt)
    found = {"metrics": [folder / f"networks/{name}/metrics.json" for name in names], "split": [folder / "split.tsv"]}
    found |= {"gates": [folder / f"networks/{name}/leakage.json" for name in names]}
    for key, ending in (("curves", "_curve.tsv"), ("trainings", "_account.json")):
        found[key] = [path for name in names for path in sorted((folder / f"networks/{name}").glob(f"*{ending}"))]
    return found | {"comparisons": sorted(folder.glob("comparisons.*"))}
