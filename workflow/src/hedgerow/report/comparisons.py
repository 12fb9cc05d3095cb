"""Networks held against each other: of all that was compared the rows that a reader needs."""

from .. import account, table
from .networks import HEADLINE, METRICS, decimals

#: What is shown of a pair, of classes and of numbers, at the level of `HEADLINE` or else of windows.
SHOWN = {"classification": ("balanced_accuracy",), "regression": ("r2", "mae")}

#: Levels, in words.
LEVELS = {"subject": "people, by vote", "mean": "people, by mean", "window": "windows"}

#: Columns of a row of the table, as `hedgerow.nets.compare` has them.
COLUMNS = ("network", "against", "level", "metric", "one", "other", "difference", "low", "high", "p", "p_holm", "folds")
COLUMNS += ("folds_difference", "folds_low", "folds_high", "t", "df", "folds_p", "folds_p_holm")


def comparisons(paths, networks):
    """What the comparison of all pairs says.

    Parameters
    ----------
    paths : list of path
        ``comparisons.tsv`` and ``comparisons.json``; empty where there is one network.
    networks : list of dict
        From `hedgerow.report.networks.networks`.

    Returns
    -------
    dict or None
        ``rows`` (``COLUMNS`` with None for what is not there, and words), ``people`` (numbers of them), ``level`` and
        ``replicates`` of the bootstrap, ``notes`` (sentences, those of single pairs with their names), ``unmatched``
        (lists of pairs by reason), ``any_folds``, ``several_targets`` and ``votes`` (whether the networks let unlike
        numbers of windows vote, so that here all do).
    """
    if not paths:
        return None
    rows = table.read(next(path for path in paths if str(path).endswith(".tsv")))
    done = account.read(next(path for path in paths if str(path).endswith(".json")))
    targets = {each["name"]: each["target"] for each in networks}
    chosen = [_row(row, targets) for row in _chosen(rows)]
    unmatched = {}
    for pair in done["unmatched"]:
        unmatched.setdefault(pair["reason"], []).append(_name(pair))
    voted = {each["network"]["vote"] for each in networks if each["headline"]["level"] == "subject"}
    return {
        "rows": chosen,
        "people": sorted({pair["subjects"] for pair in done["pairs"]}),
        "pairs": len(done["pairs"]),
        **({key: done["pairs"][0][key] for key in ("level", "replicates", "first")} if done["pairs"] else {}),
        "notes": _notes(done["pairs"], chosen),
        "unmatched": unmatched,
        "any_folds": any(row["folds"] for row in chosen),
        "several_targets": len({row["target"] for row in chosen}) > 1,
        "votes": len(voted) > 1,
    }


def _chosen(rows):
    """Of all rows those that stand for a pair: of classes and of each target, at the level that counts most."""
    rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    best = {}
    for place, row in enumerate(rows):
        for task, metrics in SHOWN.items():
            if row["metric"] in metrics:
                key = row["network"], row["against"], row.get("target"), row["metric"]
                rank = row["level"] != HEADLINE[task][1], place
                best[key] = min(best.get(key, (rank, row)), (rank, row), key=lambda found: found[0])
    return [row for _, row in sorted(best.values(), key=lambda found: found[0][1])]


def _row(row, targets):
    target = row.get("target")
    return {
        **{name: row[name] for name in COLUMNS},
        "of": target,
        "target": targets.get(row["network"]) if target is None else target,
        "name": METRICS[row["metric"]],
        "over": LEVELS[row["level"]],
        "digits": decimals(row["metric"], row["one"]),
    }


def _notes(pairs, chosen):
    """Notes on the rows that are shown, each once; with the names of its pairs unless it is about all of them."""
    keys = {_key(row): f"{row['name']}, {row['over']}" for row in chosen}
    found = {}
    for pair in pairs:
        for note in pair["notes"]:
            about, _, why = note.partition(": no test over folds, ")
            if why and about in keys:
                note = f"{keys[about]}: no test over folds, {why}"
            if (not why or about in keys) and not note.startswith("no AUC"):
                found.setdefault(note, []).append(_name(pair))
    return [
        note if len(names) == len(pairs) else f"{', '.join(names[:3])}{_more(names)}: {note}"
        for note, names in found.items()
    ]


def _key(row):
    """What a note on a row begins with."""
    return " ".join(part for part in (row["of"], row["level"], row["metric"]) if part)


def _name(pair):
    return f"{pair['network']} and {pair['against']}"


def _more(names):
    return f" and {len(names) - 3} more" if len(names) > 3 else ""
