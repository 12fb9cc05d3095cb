"""What a network reached, in one account: scores with intervals, calibration, controls, and how often the test people
were looked at (numpy and pandas only)."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from hedgerow import table
from hedgerow.nets import calibration, evaluate, regression


def summary(tables, found, names, network, *, test_set, entry):
    """Metrics of all seeds, and what the first seed's networks say of people, of themselves, and beside a control.

    Parameters
    ----------
    tables : dict of int to DataFrame
        Predictions of all folds by seed, the one that counts first.
    found : DataFrame
        All windows that take part (`hedgerow.nets.data.examples`).
    names : list of str
        Classes, or targets of a regression.
    network : dict
        Block of the config.
    test_set, entry : str
        Digests of who is tested, and of the networks that are.

    Returns
    -------
    dict
        ``task``, ``target``, ``classes`` or ``targets``, ``network``, ``folds``, ``main_seed``, ``test_set``,
        ``entry``; ``results`` by seed (``scores``, ``account``, of classes ``confusion``, too), ``spread`` over seeds
        (empty with one), ``subjects`` (what was said of each), and of classes ``calibration`` and ``controls``.
    """
    classes = network["task"] == "classification"
    score = _scores if classes else _errors
    tables = {seed: each.assign(fold=each["tested"]) for seed, each in tables.items()}
    results = {seed: score(each, network) for seed, each in tables.items()}
    main = next(iter(tables))
    first = tables[main]
    several = {seed: done["scores"] for seed, done in results.items()} if len(results) > 1 else {}
    done = {
        "task": network["task"], "target": network["target"], "classes" if classes else "targets": names,
        "network": network, "folds": sorted(first["fold"].astype(str).unique()), "main_seed": main,
        "test_set": test_set, "entry": entry, "results": results,
        "spread": _records(evaluate.spread(several)) if several else [],
    }  # fmt: skip
    if not classes:
        return done | {"subjects": _records(regression.means(first)), "controls": {}}
    done["subjects"] = _records(evaluate.votes(first, first=network["vote"]))
    scores, reliability, account = calibration.calibration(first)
    done["calibration"] = {"scores": _records(scores), "reliability": _records(reliability), "account": account}
    return done | {"controls": {"trial_number": _scores(_by_trial_number(first, found), network)}}


def _by_trial_number(first, found):
    """The tested windows with what their number in the recording alone gives away, learnt from all other folds."""
    if first["fold"].nunique() > 1:
        p = evaluate.baseline_trial_number(first)
    else:
        # one fold is tested: the others are those of the split
        tested = found["fold"].astype(str).isin(first["fold"].astype(str).unique()).to_numpy()
        everybody = found.assign(fold=np.where(tested, "tested", "not tested"))
        p = evaluate.baseline_trial_number(everybody)[tested]
    return first.assign(**{f"p{k}": column for k, column in enumerate(p.T)})


def _scores(found, network):
    scores, confusion, account = evaluate.metrics(found, first=network["vote"])
    scores = scores[(scores["metric"] != "auc") | scores["value"].notna()]
    return {"scores": _records(scores), "confusion": _records(confusion), "account": account}


def _errors(found, network):
    scores, account = regression.regression(found)
    return {"scores": _records(scores), "account": account}


def _records(frame):
    """Rows of a table as dicts that JSON can hold: NaN becomes None."""
    return [
        {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in row.items()}
        for row in frame.to_dict("records")
    ]


def lines(done):
    """The scores of the seed that counts, a line each."""
    return [f"{_name(row)}: {_number(row)}" for row in done["results"][done["main_seed"]]["scores"]]


def _name(row):
    return " ".join(str(row[key]) for key in ("target", "level", "metric") if row.get(key) is not None)


def _number(row):
    if row["value"] is None:
        return "undefined"
    around = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.3f}{around}, chance {row['chance']:.3f}"


def test_set(tables, network):
    """Digest of who is tested and for what: what a number of networks are chosen by when it is opened for each."""
    text = "\n".join([str(network["target"]), *_tested(tables)])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _tested(tables):
    """Everybody in tables of predictions, in the order of their names."""
    return sorted({str(who) for found in tables.values() for who in found["person"]})


def opened(folder, name, tables, network, *, test_set, entry):
    """Note that test people are looked at, before a score of theirs is: a file for each set of them and of networks.

    How many there are says by how many looks a best network may have been chosen. Evaluating the same networks again
    shows the same and counts once.

    Parameters
    ----------
    folder : path
        Of the study.
    name : str
        Of the network.
    tables, network, test_set, entry
        As for `summary`.
    """
    path = Path(folder) / f"{test_set}_{entry}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    note = {"network": name, "target": network["target"], "people": _tested(tables)}
    scratch.write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def looks(folder, test_set):
    """How many sets of networks the people of a test set were shown to, or some of these people, for the same target
    (0 if nothing is noted)."""
    noted = sorted(Path(folder).glob("*_*.json"))
    own = [path for path in noted if path.name.startswith(f"{test_set}_")]
    if not own:
        return 0
    mine = _note(own[0])
    met = {path.stem.rpartition("_")[2] for path in own}
    for path in set(noted) - set(own):
        other = _note(path)
        if other["target"] == mine["target"] and other["people"] & mine["people"]:
            met.add(path.stem.rpartition("_")[2])
    return len(met)


def _note(path):
    note = {"target": None, "people": []} | json.loads(path.read_text(encoding="utf-8"))
    return {"target": note["target"], "people": set(note["people"])}


def predictions(paths):
    """Tables of predictions by network, from ``networks/<network>/predictions.tsv``."""
    return {Path(path).parent.name: table.read(path) for path in paths}


def vote(votes):
    """How many windows vote where networks are compared: what all say, or all windows where they differ.

    Parameters
    ----------
    votes : dict of str to int or None
        By network of classes; numbers have no votes.
    """
    said = set(votes.values())
    return said.pop() if len(said) == 1 else None
