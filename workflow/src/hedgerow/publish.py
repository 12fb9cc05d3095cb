"""A complete BIDS derivative of one dataset and study, gathered from the results and held against the validator.

Files are linked, not copied, where the file system can. ``.bidsignore`` holds exactly what BIDS has no name for:
`IGNORED`. What is the same for all recordings of a task stands once, at the top (the inheritance principle).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pandas as pd
from jinja2 import Template

from . import __version__, account, store, table

#: What a derivative of Hedgerow holds and BIDS has no name for, as lines of ``.bidsignore``.
IGNORED = ("*_account.json", "*_windows.zarr.zip", "features")

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

README = Path(__file__).parent / "templates" / "derivative_README.md.j2"
CODE_URL = "https://github.com/hedgerow-eeg/hedgerow"


def gather(tree, *, dataset, raw, stems, features, recordings, participants, split, config, selections):
    """Write the derivative of one dataset into the new folder `tree`.

    Parameters
    ----------
    tree : path
        Folder to write; what stands there is replaced.
    dataset : str
        Name of the dataset in the config.
    raw : path
        Folder of the raw dataset: its description, licence and citation are carried over.
    stems : list of path
        Per recording the path of its results up to ``_desc-``, in the derivative of the recipe.
    features : list of path
        Feature stores of the dataset.
    recordings : list of dict
        Rows of ``recordings.tsv`` that the study is about.
    participants, split : DataFrame
        ``participants.tsv`` and ``split.tsv`` (None without networks).
    config : path
        The merged config, which goes to ``code/``.
    selections : dict
        Blocks of the config by name; each becomes a row of ``descriptions.tsv``.

    Returns
    -------
    dict
        Account: recordings published and left out (with reasons), number of files.
    """
    tree, raw = Path(tree), Path(raw)
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    left = [row for row in recordings if row["status"] != "ok"]
    left = [{"rec": row["rec"], "reason": row["reason"], "message": row["message"]} for row in left]
    published = []
    for stem in map(str, stems):
        found = account.read(f"{stem}_desc-clean_account.json")
        rec = stem[stem.index("/sub-") + 1 :]
        if found["status"] != "ok":
            left.append({"rec": rec, "reason": found["reason"], "message": found["message"]})
            continue
        published.append(rec)
        for path in _files(stem, selections):
            _link(path, tree / Path(rec).parent / path.name)
    for path in map(Path, features):
        _link(path, tree / "features" / path.name)
    _link(Path(config), tree / "code" / "config.yaml", copy=True)
    description = _description(raw, dataset)
    account.write(tree / "dataset_description.json", description)
    (tree / ".bidsignore").write_text("\n".join(IGNORED) + "\n", encoding="utf-8")
    account.write(tree / "desc-clean_events.json", _masks(description.get("HEDVersion")))
    for name in selections:
        _inherit(tree, f"desc-{name}_events.json")
    _people(tree, raw, participants, None if split is None else split[split["dataset"] == dataset], published)
    _descriptions(tree, selections)
    facts = {
        "version": __version__,
        "published": published,
        "left": left,
        "selections": selections,
        "split": split is not None,
    }
    text = Template(README.read_text(encoding="utf-8"), trim_blocks=True).render(
        dataset=dataset, **facts, **description
    )
    (tree / "README").write_text(text + "\n", encoding="utf-8")
    return account.ok("publish", published=published, left_out=left, files=len(files(tree)))


def files(tree):
    """Paths of all files of a derivative, relative to it, sorted; ``.bidsignore`` itself is one."""
    tree = Path(tree)
    return sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file())


def seen(tree):
    """Those of `files` that the validator counts: not `IGNORED`, dot files, ``sourcedata/`` and ``code/``."""
    return [
        path
        for path in files(tree)
        if path.split("/")[0] not in ("sourcedata", "code")
        and not any(part.startswith(".") for part in path.split("/"))
        and not any(fnmatch(part, pattern) for part in path.split("/") for pattern in IGNORED)
    ]


def validate(tree):
    """Run the official BIDS validator.

    Returns
    -------
    dict
        ``errors`` and ``warnings`` (counts), ``codes`` (count by code, errors marked), ``files`` (number the validator
        saw) and ``issues`` (the first few errors, whole).

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
        "files": answer["summary"]["totalFiles"],
        "issues": severe[:10],
    }


def _files(stem, selections):
    """Files of one recording that go into the derivative: the clean signal, and the selections that have windows."""
    endings = ("eeg.vhdr", "eeg.eeg", "eeg.vmrk", "eeg.json", "channels.tsv", "events.tsv", "account.json")
    paths = [Path(f"{stem}_desc-clean_{ending}") for ending in endings]
    for name in selections:
        if store.account(f"{stem}_desc-{name}_windows.zarr.zip")["status"] == "ok":
            paths += [Path(f"{stem}_desc-{name}_{e}") for e in ("events.tsv", "events.json", "windows.zarr.zip")]
    return paths


def _masks(version):
    """Sidecar of the masks, with HED where the standard schema of the dataset's `version` knows the tags."""
    versions = [version] if isinstance(version, str) else version or []
    known = [re.fullmatch(r"(\d+)\.(\d+)\.\d+", str(each)) for each in versions]
    if not any(each and (int(each[1]), int(each[2])) >= (8, 3) for each in known):
        return MASKS
    return {name: entry | ({"HED": MASKS_HED[name]} if name in MASKS_HED else {}) for name, entry in MASKS.items()}


def _inherit(tree, ending):
    """Put sidecars that are the same in all recordings of a task into one file at the top of the derivative."""
    by_task = {}
    for path in sorted(tree.rglob(f"sub-*_{ending}")):
        by_task.setdefault(re.search(r"task-[^_]+", path.name)[0], []).append(path)
    for task, paths in by_task.items():
        if len({path.read_bytes() for path in paths}) == 1:
            paths[0].rename(tree / f"{task}_{ending}")
            for path in paths[1:]:
                path.unlink()


def _link(source, target, copy=False):
    """Hard link `source` to `target`; a copy where that cannot be done (another file system) or is asked for."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if copy:
            raise OSError
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _json(path):
    """JSON object of the raw dataset; a fault names the file."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8-sig")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no JSON object ({error}): mend this file") from None


def _description(raw, dataset):
    origin = _json(raw / "dataset_description.json")
    kept = ("License", "Authors", "HEDVersion", "HowToAcknowledge", "ReferencesAndLinks", "Funding", "EthicsApprovals")
    source = {"URL": origin.get("DatasetDOI", f"file:{raw.name}")}
    known = origin.get("SourceDatasets") or [source]
    return {
        "Name": f"{origin.get('Name', dataset)}: clean signals and windows",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        **{key: origin[key] for key in kept if key in origin},
        "GeneratedBy": [{"Name": "Hedgerow", "Version": __version__, "CodeURL": CODE_URL}],
        "SourceDatasets": known,
        "DatasetLinks": {"raw": next((each["URL"] for each in known if "URL" in each), f"file:{dataset}")},
    }


def _people(tree, raw, participants, split, published):
    """participants.tsv of the published people with the study's fold, and its sidecar."""
    here = {rec.split("/")[0] for rec in published}
    people = participants[participants["participant_id"].isin(here)].copy()
    if split is not None:
        folds = dict(zip("sub-" + split["subject"].astype(str), split["fold"]))
        people["split"] = [f"fold-{folds[name]}" if name in folds else pd.NA for name in people["participant_id"]]
    table.write(tree / "participants.tsv", people)
    source = raw / "participants.json"
    sidecar = _json(source) if source.is_file() else {}
    sidecar = {name: entry for name, entry in sidecar.items() if name in people}
    if split is not None:
        sidecar["split"] = {
            "Description": "Fold of the study: the windows of a person are never in two folds",
            "Levels": {name: f"people of {name}" for name in sorted(people["split"].dropna().unique())},
        }
    account.write(tree / "participants.json", sidecar)


def _descriptions(tree, selections):
    rows = [("desc-clean", "cleaned signal: drifts, bad channels and artefacts removed, all channels and samples kept")]
    for name, block in selections.items():
        queries = "; ".join(f"{label}: {query}" for label, query in block["classes"].items())
        rows.append((f"desc-{name}", f"events with the windows that these HED queries select ({queries})"))
    table.write(tree / "descriptions.tsv", pd.DataFrame(rows, columns=["desc_id", "description"]))
