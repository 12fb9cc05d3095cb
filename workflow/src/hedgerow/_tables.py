"""Tables and sidecars at the top of a derivative: the people and their split, the descriptions, the masks."""

import hashlib
import re

import pandas as pd

from . import account, table

#: Columns of ``desc-clean_events.tsv``: the masks of the cleaning.
MASKS = {
    "onset": {"Description": "Beginning of the stretch, from the first sample of the recording", "Units": "s"},
    "duration": {"Description": "Length of the stretch", "Units": "s"},
    "trial_type": {
        "LongName": "What the cleaning found",
        "Description": "Stretches of the signal, of which no sample was cut",
        "Levels": {
            "BAD_segment": "Beyond repair: too many channels are too strong, even after the reconstruction",
            "asr_repaired": "Artifact subspace reconstruction replaced a part of the signal; it can be used",
        },
    },
}

#: Annotations of the masks, and of how long they last; the tag is there since HED 8.3.
MASKS_HED = {
    "duration": "Duration/# s",
    "trial_type": {
        "BAD_segment": "({duration}, (Data-artifact, Label/Beyond-repair))",
        "asr_repaired": "({duration}, (Data-artifact, Label/Repaired))",
    },
}


def masks(version):
    """Sidecar of the masks, with HED where the standard schema of the dataset's `version` knows the tags."""
    versions = [version] if isinstance(version, str) else version or []
    known = [re.fullmatch(r"(\d+)\.(\d+)\.\d+", str(each)) for each in versions]
    if not any(each and (int(each[1]), int(each[2])) >= (8, 3) for each in known):
        return MASKS
    return {name: entry | ({"HED": MASKS_HED[name]} if name in MASKS_HED else {}) for name, entry in MASKS.items()}


def inherit(tree, ending):
    """Put sidecars that are the same in all recordings of a task into one file at the top of the derivative."""
    by_task = {}
    for path in sorted(tree.rglob(f"sub-*_{ending}")):
        by_task.setdefault(re.search(r"task-[^_]+", path.name)[0], []).append(path)
    for task, paths in by_task.items():
        first = paths[0].read_bytes()
        if all(path.read_bytes() == first for path in paths):
            paths[0].rename(tree / f"{task}_{ending}")
            for path in paths[1:]:
                path.unlink()


def people(tree, participants, published, *, dataset, sidecar, split=None, method=None):
    """Write ``participants.tsv`` of the published people with the study's fold, and its sidecar.

    Parameters
    ----------
    tree : pathlib.Path
    participants : DataFrame
        All people of the dataset.
    published : iterable of str
        Recordings.
    dataset : str
        Name in the config.
    sidecar : dict
        ``participants.json`` of the raw dataset.
    split : DataFrame, optional
        ``split.tsv`` of the study.
    method : dict, optional
        Keywords by which it was made.

    Returns
    -------
    DataFrame
        The published people.
    """
    here = {rec.split("/")[0] for rec in published}
    people = participants[participants["participant_id"].isin(here)].copy()
    if split is not None:
        own = split[split["dataset"] == dataset]
        folds = dict(zip("sub-" + own["subject"].astype(str), own["fold"]))
        people["split"] = [f"fold-{folds[name]}" if name in folds else pd.NA for name in people["participant_id"]]
    table.write(tree / "participants.tsv", people)
    sidecar = {name: entry for name, entry in sidecar.items() if name in people}
    if split is not None:
        sidecar["split"] = _split(split, people["split"].dropna().unique(), method or {})
    account.write(tree / "participants.json", sidecar)
    return people


def _split(split, folds, method):
    """What ``participants.json`` tells of the split: enough to draw it again."""
    everybody = "".join(f"{person}\n" for person in sorted(split["person"].astype(str).unique()))
    told = {"method": "Method", "folds": "Folds", "seed": "Seed", "stratify": "Stratifiers"}
    return {
        "Description": "Fold of the study: the windows of a person are never in two folds. PeopleSHA256 is the sha256 "
        "of the names of all people of the study (dataset/subject), sorted, one a line",
        "Levels": {name: f"people of fold {name.removeprefix('fold-')}" for name in sorted(folds)},
        **{name: method[key] for key, name in told.items() if key in method},
        "PeopleSHA256": hashlib.sha256(everybody.encode()).hexdigest(),
    }


def descriptions(tree, selections):
    """Write ``descriptions.tsv``: what each label of `desc` means."""
    rows = [("desc-clean", "cleaned signal: drifts, bad channels and artefacts removed, all channels and samples kept")]
    for name, block in selections.items():
        queries = "; ".join(f"{label}: {query}" for label, query in block["classes"].items())
        rows.append((f"desc-{name}", f"events with the windows that these HED queries select ({queries})"))
    table.write(tree / "descriptions.tsv", pd.DataFrame(rows, columns=["desc_id", "description"]))
