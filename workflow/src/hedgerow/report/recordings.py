"""What became of every recording: status and windows; from tables and accounts, no signal is read."""

import re

import numpy as np

from .. import account, layout, overrides, plot, store
from .._canvas import picture
from ..grid.choice import MIN_CLUSTERS

#: Where a per-recording result belongs.
PLACE = re.compile(r"derivatives/(?P<dataset>[^/]+)/[^/]+/(?P<rec>.+)_desc-(?P<name>[^_]+)_(?:account|windows)\.")

#: Why events and windows of a recording are left out, as the accounts of windows have it.
LOST = ("overlaps", "rejected", "outside", "short", "unclosed", "skipped")


def collect(indices, accounts, stores, about):
    """One entry per recording of the study, in the order of the index.

    Parameters
    ----------
    indices : list of path
        ``results/index/<dataset>/recordings.tsv``.
    accounts : list of path
        Accounts of the cleaning.
    stores : list of path
        Windows stores of all selections.
    about : dict of str to dict
        By dataset the recordings that the study is about, and why a person rejected them (None: not).

    Returns
    -------
    list of dict
        ``dataset, rec, subject, status, stage, reason, message``; ``clean``: account of the cleaning, if any, and
        ``evidence``, the path of its arrays, which its account stands for;
        ``windows``: by selection the account of its windows; ``left``: selections for which a clean recording has
        none, as (selection, reason, message).
    """
    found = {}
    for path in map(str, indices):
        dataset = path.split("/")[-2]
        for row in overrides.within(layout.rows(path), about[dataset]):
            if (dataset, row["rec"]) in found:
                continue  # of two signal files of one name the first is processed
            entry = {key: row[key] for key in ("rec", "subject", "status", "reason", "message")}
            found[dataset, row["rec"]] = entry | {
                "dataset": dataset,
                "stage": "overrides" if row["reason"] == "rejected" else "index",
                "clean": None,
                "windows": {},
                "left": [],
            }
    for path in map(str, accounts):
        entry, done = _entry(found, path), account.read(path)
        entry["clean"], entry["evidence"] = done, path.replace("_account.json", "_evidence.npz")
        if done["status"] != "ok":
            entry |= {key: done[key] for key in ("status", "stage", "reason", "message")}
    for path in map(str, stores):
        _entry(found, path)["windows"][PLACE.search(path)["name"]] = store.account(path)
    for entry in found.values():
        without = [(name, done) for name, done in entry["windows"].items() if done["status"] != "ok"]
        if entry["status"] == "ok":
            entry["left"] = [(name, done["reason"], done["message"]) for name, done in without]
        if entry["left"] and len(entry["left"]) == len(entry["windows"]):
            _, reason, message = entry["left"][0]
            entry |= {"status": "quarantined", "stage": "windows", "reason": reason, "message": message}
    return list(found.values())


def left(found):
    """What left the workflow and where, one row each: of recordings quarantined, and of selections without windows."""
    rows = []
    for entry in found:
        here = {"dataset": entry["dataset"], "rec": entry["rec"]}
        if entry["status"] != "ok":
            rows.append(here | {"where": entry["stage"], "reason": entry["reason"], "message": entry["message"]})
            continue
        for name, reason, message in entry["left"]:
            rows.append(here | {"where": f"windows “{name}”", "reason": reason, "message": message})
    return rows


def _entry(found, path):
    place = PLACE.search(path)
    return found[place["dataset"], place["rec"]]


def windows(found, selections):
    """Windows per class and subject of every selection.

    Parameters
    ----------
    found : list of dict
        From `collect`.
    selections : dict
        Blocks of the config.

    Returns
    -------
    list of dict
        Per selection ``name``, ``block``, ``classes`` (rows of a table), ``total``, ``subjects``, ``picture``.
    """
    return [_selected(found, name, block) for name, block in selections.items()]


def _selected(found, name, block):
    labels, by_subject, lost = list(block["classes"]), {}, dict.fromkeys(LOST, 0)
    for entry in found:
        done = entry["windows"].get(name)
        if done is None or done["status"] != "ok":
            continue
        counts = by_subject.setdefault((entry["dataset"], entry["subject"]), dict.fromkeys(labels, 0))
        for label, count in done["windows"].items():
            counts[label] += count
        for why in LOST:
            told = done.get(why, 0)
            told = sum(map(len, told.values())) if isinstance(told, dict) else told
            lost[why] += told if isinstance(told, int) else len(told)
    numbers = np.array([[counts[label] for counts in by_subject.values()] for label in labels], dtype=int)
    numbers = numbers.reshape(len(labels), len(by_subject))
    rows = [
        {
            "label": label,
            "query": block["classes"][label],
            "windows": int(row.sum()),
            "subjects": int((row > 0).sum()),
            "each": row.tolist(),
            "spread": [int(row.min()), float(np.median(row)), int(row.max())] if row.size else None,
        }
        for label, row in zip(labels, numbers)
    ]
    order = np.argsort(-numbers.sum(axis=0), kind="stable")
    many = numbers.shape[1] >= MIN_CLUSTERS and (numbers != numbers[:, :1]).any()
    return {
        "name": name,
        "block": block,
        "classes": rows,
        "total": int(numbers.sum()),
        "subjects": [subject for _, subject in by_subject],
        "few": len(by_subject) < MIN_CLUSTERS,
        "lost": lost,
        "left": sorted(reason for entry in found for where, reason, _ in entry["left"] if where == name),
        "picture": picture(plot.counts(numbers[:, order], labels)) if many else None,
    }
