"""A study whose trainings are killed: at which steps, and what must have happened then."""

import json
import os
import shutil
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
STUDY = HERE / "study.yaml"
NETWORK = "results/studies/killed/networks/eyes"
METRICS = f"{NETWORK}/metrics.json"
#: How often each training dies; Snakemake must be allowed as many retries.
DEATHS = 3
#: Steps between checkpoints in trainings that are killed; those that are not save them as they always do.
EVERY = 50


def accounts(folder):
    """Account of every training of a run in `folder`, by the name of the training."""
    found = Path(folder, NETWORK).glob("*_account.json")
    return {path.name.removesuffix("_account.json"): json.loads(path.read_text()) for path in sorted(found)}


def plan(folder, seed):
    """Random steps at which to kill each training of `folder`, ascending, none before the first checkpoint is there."""
    rng, steps = np.random.default_rng(seed), {}
    for name, account in accounts(folder).items():
        later = np.arange(EVERY + 1, account["steps"] + 1)
        steps[name] = sorted(rng.choice(later, DEATHS, replace=False).tolist())
    return steps


def set_up(monkeypatch, folder, undisturbed, steps):
    """Give `folder` all of a run but its trainings, and let those that are started now kill themselves at `steps`."""
    left = shutil.ignore_patterns("networks", "opened")
    shutil.copytree(undisturbed / "results", folder / "results", ignore=left)
    shutil.copytree(undisturbed / ".snakemake/metadata", folder / ".snakemake/metadata")
    path = folder / "plan.json"
    path.write_text(json.dumps({"every": EVERY, "steps": steps}))
    monkeypatch.setenv("KILL_PLAN", str(path))
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)


def happened(folder):
    """By the name of the training: ("from" or "killed", step) as its processes noted them."""
    journals = {path.stem: path.read_text().splitlines() for path in sorted(Path(folder).glob("seed-*.txt"))}
    return {name: [(word, int(step)) for word, step in map(str.split, lines)] for name, lines in journals.items()}


def expected(folder, steps):
    """The same, if each process takes up the last checkpoint that the one before it can have written."""
    events = {name: [("from", 0)] for name in steps}
    for name, account in accounts(folder).items():
        per_epoch = account["steps"] // account["epochs"]
        for step in steps[name]:
            checkpoint = max((step - 1) // number * number for number in (EVERY, per_epoch))
            events[name] += [("killed", step), ("from", checkpoint)]
    return events
