"""A derivative held against the official BIDS validator, and against what Hedgerow itself promises of it.

What the validator cannot know is checked here: that `Sources` lead to recordings that exist, that `desc` is the last
entity and is explained, and that a manifest lists what is there. Such findings are errors among the validator's own.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import publish, table

#: What our own checks find, and what is wrong then; ``{}`` takes the particulars.
CODES = {
    "SOURCES_UNKNOWN": "Sources names {}, which is no signal of a published recording in a dataset of DatasetLinks",
    "SOURCES_OTHER": "Sources does not name {}, the signal that this recording was made from",
    "DESC_NOT_LAST": "the entity {} stands after desc, which must be the last",
    "DESC_UNEXPLAINED": "the label {} of desc is not in descriptions.tsv",
    "STORE_MISSING": "manifest.tsv lists {}, which is not there",
    "STORE_UNLISTED": "{} is not in manifest.tsv",
}

#: How many errors are kept whole.
SHOWN = 10


def validate(tree, signals):
    """Run the official BIDS validator and our own checks on a derivative.

    Parameters
    ----------
    tree : path
        A derivative of Hedgerow.
    signals : dict of str to str
        As for `check`.

    Returns
    -------
    dict
        As of `official`, our own findings among them.

    Raises
    ------
    RuntimeError
        The validator is not installed or gave no answer.
    """
    found, own = official(tree), check(tree, signals)
    for issue in own:
        code = f"error: {issue['code']}"
        found["codes"][code] = found["codes"].get(code, 0) + 1
    return {**found, "errors": found["errors"] + len(own), "issues": [*own, *found["issues"]][:SHOWN]}


def official(tree):
    """Run the official BIDS validator, on any dataset.

    Returns
    -------
    dict
        ``errors`` and ``warnings`` (counts), ``codes`` (count by code, errors marked), ``seen`` (number of files that
        the validator saw), ``schema`` (its version) and ``issues`` (the first few errors, whole).

    Raises
    ------
    RuntimeError
        The validator is not installed or gave no answer.
    """
    name = "bids-validator-deno"
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.is_file() else shutil.which(name)
    if program is None:
        raise RuntimeError(f"{name} is not installed: pip install {name}")
    done = subprocess.run([program, str(tree), "--json"], capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        raise RuntimeError(f"{name} {tree} gave no JSON: {done.stderr[-500:] or done.stdout[-500:]}") from None
    issues = answer["issues"]["issues"]
    severe = [issue for issue in issues if issue.get("severity") == "error"]
    codes = {}
    for issue in issues:
        code = f"{issue.get('severity', 'warning')}: {issue['code']}"
        codes[code] = codes.get(code, 0) + 1
    return {
        "errors": len(severe),
        "warnings": sum(issue.get("severity") == "warning" for issue in issues),
        "codes": codes,
        "seen": answer["summary"]["totalFiles"],
        "schema": answer["summary"]["schemaVersion"],
        "issues": severe[:SHOWN],
    }


def check(tree, signals):
    """What the official validator cannot know.

    Parameters
    ----------
    tree : path
        A derivative of Hedgerow.
    signals : dict of str to str
        By published recording (``rec``) the path of its signal in the raw dataset, as the index has it.

    Returns
    -------
    list of dict
        ``code`` (of `CODES`), ``location`` (from the root of the tree), ``issueMessage`` and ``severity``, as the
        validator has them; empty where all is well.
    """
    tree, names = Path(tree), publish.files(tree)
    return [*_sources(tree, names, signals), *_labels(tree, names), *_stores(tree, names)]


def _sources(tree, names, signals):
    links = _json(tree / "dataset_description.json").get("DatasetLinks") or {}
    known, given = set(signals.values()), {}
    for name in names:
        if not name.endswith(".json") or publish.ignored(name):
            continue
        named = _json(tree / name).get("Sources")
        named = named if isinstance(named, list) else [] if named is None else [named]
        paths = [re.fullmatch(r"bids:([^:]*):(.+)", str(uri)) for uri in named]
        for uri, path in zip(named, paths):
            if path is None or path[1] not in links or path[2] not in known:
                yield _issue("SOURCES_UNKNOWN", name, repr(uri))
        given[name] = [path[2] for path in paths if path]
    for rec, own in signals.items():
        name = f"{rec}_desc-clean_eeg.json"
        if own not in given.get(name, ()):
            yield _issue("SOURCES_OTHER", name, own)


def _labels(tree, names):
    path = tree / "descriptions.tsv"
    explained = set(table.read(path, text=True)["desc_id"]) if path.is_file() else set()
    for name in names:
        found = re.search(r"(?:^|_)(desc-[a-zA-Z0-9]+)(?:_([a-z]+-[^_]*))?", name.rsplit("/", 1)[-1])
        if found and found[2]:
            yield _issue("DESC_NOT_LAST", name, found[2])
        if found and found[1] not in explained:
            yield _issue("DESC_UNEXPLAINED", name, found[1])


def _stores(tree, names):
    path = tree / "manifest.tsv"
    listed = set(table.read(path, text=True)["store"]) if path.is_file() else set()
    there = {name for name in names if name.endswith("_windows.zarr.zip")}
    for code, stores in (("STORE_MISSING", listed - there), ("STORE_UNLISTED", there - listed)):
        yield from (_issue(code, "manifest.tsv", store) for store in sorted(stores))


def _json(path):
    """Content of a file of JSON; none where it is no object, which the validator tells."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _issue(code, name, particulars):
    message = CODES[code].format(particulars)
    return {"code": code, "location": f"/{name}", "issueMessage": message, "severity": "error"}
