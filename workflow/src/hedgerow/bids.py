"""The index of a BIDS dataset: which EEG recordings there are, and which files describe each (no signal is opened).

pybids parses the file names; sidecars are resolved here by the inheritance principle of BIDS: a sidecar applies if it
lies in the recording's folder or above it and names no entity that the recording does not have.
"""

import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path

import pandas as pd
from bids import BIDSLayout, BIDSLayoutIndexer

from . import account, table
from .account import Fault
from .layout import NOT_RAW, REC

#: Extensions of EEG signal files, and the files that each needs beside it.
COMPANIONS = {".vhdr": (".eeg", ".vmrk"), ".set": (), ".edf": (), ".bdf": ()}

#: Columns of ``recordings.tsv``.
COLUMNS = (
    "rec status reason message subject session task run signal eeg_json channels events events_json "
    "hed_version size signal_sha256 channels_sha256 events_sha256"
).split()

#: Suffixes of other modalities, listed with a reason but never read.
OTHER = {"meg": (".fif", ".ds", ".con", ".sqd"), "ieeg": (".edf", ".vhdr", ".set", ".nwb", ".mefd")}


def index(root, *, cache=None):
    """List every recording of the BIDS dataset at `root`.

    Parameters
    ----------
    root : path
        The dataset's folder (with ``dataset_description.json``).
    cache : DataFrame, optional
        ``path, size, mtime_ns, inode, sha256`` of an earlier index: a signal that still has the same three is not read
        again for its digest.

    Returns
    -------
    recordings : DataFrame
        A row per recording: ``rec`` (BIDS stem with its folders), ``status``, ``reason``, ``message``, the entities,
        the paths of signal and sidecars relative to `root` (JSON sidecars from the most general to the most specific,
        separated by ``;``), ``size`` in bytes, ``hed_version``, and the sha256 of signal, channels and events.
    participants : DataFrame
        ``participants.tsv`` with a row for every subject that has a recording.
    cache : DataFrame
        The cache for the next index.

    Raises
    ------
    ValueError
        `root` is no BIDS dataset.
    """
    root = Path(root).resolve()
    description = root / "dataset_description.json"
    if not description.is_file():
        raise ValueError(
            f"{root} has no dataset_description.json: give the folder of a BIDS dataset as `path` of the dataset"
        )
    try:
        versions = json.loads(description.read_text(encoding="utf-8-sig")).get("HEDVersion")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{description} is no JSON object ({error}): mend this file") from None
    ignored = [re.compile(f"/({'|'.join(NOT_RAW)})/")]
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=False, ignore=ignored)
    files = BIDSLayout(str(root), validate=False, indexer=indexer).get()
    shelf = defaultdict(list)
    for file in files:
        entities, path = file.get_entities(), Path(file.path)
        shelf[entities.get("suffix"), entities.get("extension"), path.parent].append((entities, path))
    known = {} if cache is None else {row["path"]: row for row in cache.to_dict("records")}
    rows, cached = [], []
    for file in sorted(files, key=lambda file: file.path):
        entities = file.get_entities()
        if _modality(entities) is None:
            continue
        row = _row(root, Path(file.path), entities, shelf, {row["rec"] for row in rows})
        if row["status"] == "ok":
            signals = [_digest(root, path, known) for path in _signal_files(root / row["signal"])]
            cached += signals
            row["signal_sha256"] = _join(entry["sha256"] for entry in signals)
            row["size"] = sum(entry["size"] for entry in signals)
            row["hed_version"] = ",".join(versions) if isinstance(versions, list) else versions
        rows.append(row)
    recordings = pd.DataFrame(rows, columns=COLUMNS)
    if not len(recordings):
        raise ValueError(f"{root} holds no EEG recording (sub-*/[ses-*/]eeg/*_eeg.edf, .bdf, .vhdr or .set)")
    return recordings, participants(root, recordings), pd.DataFrame(cached)


def participants(root, recordings):
    """``participants.tsv`` of `root` with a row for each subject of `recordings` (n/a where it has none)."""
    subjects = pd.DataFrame({"participant_id": [f"sub-{s}" for s in recordings["subject"].dropna().unique()]})
    path = Path(root) / "participants.tsv"
    if not path.is_file():
        return subjects
    known = table.read(path, text=True)
    if "participant_id" not in known:
        raise ValueError(f"{path} has no column participant_id")
    known["participant_id"] = "sub-" + known["participant_id"].str.removeprefix("sub-")
    return subjects.merge(known.drop_duplicates("participant_id"), on="participant_id", how="left")


def sidecar(root, paths):
    """Merge JSON sidecars, given from the most general to the most specific (``;``-separated, relative to `root`)."""
    merged = {}
    for path in filter(None, str(paths if isinstance(paths, str) else "").split(";")):
        try:
            merged |= dict(json.loads((Path(root) / path).read_text(encoding="utf-8-sig")))
        except (OSError, ValueError, TypeError) as error:
            raise Fault("unreadable", f"{Path(root) / path}: {error}; mend or remove this JSON file") from error
    return merged


def events(root, row):
    """Events of one recording and their sidecar.

    Parameters
    ----------
    root : path
        The dataset.
    row : dict
        ``events`` and ``events_json`` of the recording's row in ``recordings.tsv``.

    Returns
    -------
    events : DataFrame
        Every column as text, as it is written: what goes to the derivative is what came.
    sidecar : dict

    Raises
    ------
    Fault
        ``no-events`` or ``unreadable``.
    """
    if not row["events"]:
        raise Fault("no-events", f"{row['rec']} has no *_events.tsv in {root}: nothing can be selected; write one")
    path = Path(root) / row["events"]
    try:
        found = table.read(path, text=True)
    except (OSError, ValueError) as error:
        raise Fault("unreadable", f"{path} is no table ({error}); mend this file") from error
    if not len(found):
        raise Fault("no-events", f"{path} has no rows: nothing can be selected; fill or drop it")
    return found, sidecar(root, row["events_json"])


def _modality(entities):
    """``eeg``, another known modality, or None for a file that is not a recording's signal."""
    suffix, extension = entities.get("suffix"), entities.get("extension")
    if suffix == "eeg" and extension in COMPANIONS:
        return suffix
    return suffix if extension in OTHER.get(suffix, ()) else None


def _row(root, path, entities, shelf, taken):
    stem = path.name[: -len(entities["extension"])].removesuffix("_" + entities["suffix"])
    rec = (path.parent.relative_to(root) / stem).as_posix()
    row = {"rec": rec, "status": "ok", "signal": path.relative_to(root).as_posix()}
    row |= {name: entities.get(name) for name in ("subject", "session", "task", "run")}
    try:
        if entities["suffix"] != "eeg":
            raise Fault("not-eeg", f"{row['signal']} is {entities['suffix']}; only EEG is processed")
        if re.fullmatch(REC, rec) is None:
            example = "sub-01/[ses-a/]eeg/sub-01[_ses-a]_task-rest_eeg"
            raise Fault(
                "bad-name", f"{row['signal']} is not named as BIDS has it ({example}; labels: letters and digits)"
            )
        if rec in taken:
            raise Fault("bad-name", f"{row['signal']} has the name of another signal file: leave one of them")
        row |= _sidecars(root, path, entities, shelf)
    except Fault as fault:
        row |= account.quarantined("index", fault)
    return row


def _sidecars(root, path, entities, shelf):
    for companion in _signal_files(path):
        if not companion.is_file():
            raise Fault("missing-file", f"{companion.relative_to(root)} is missing (or its content is not fetched)")
    found = {
        "eeg_json": _inherited(path, entities, shelf, "eeg", ".json"),
        "events_json": _inherited(path, entities, shelf, "events", ".json"),
        "channels": _inherited(path, entities, shelf, "channels", ".tsv")[-1:],
        "events": _inherited(path, entities, shelf, "events", ".tsv")[-1:],
    }
    if not found["eeg_json"]:
        raise Fault("missing-file", f"{path.relative_to(root)} has no *_eeg.json; write one with SamplingFrequency")
    for path in [path for paths in found.values() for path in paths]:
        if not path.is_file():
            raise Fault("missing-file", f"{path.relative_to(root)} is a link without content: fetch it")
    row = {name: ";".join(p.relative_to(root).as_posix() for p in paths) for name, paths in found.items()}
    row["channels_sha256"] = _join(_sha256(p) for p in found["channels"] + found["eeg_json"])
    row["events_sha256"] = _join(_sha256(p) for p in found["events"] + found["events_json"])
    return row


def _inherited(path, entities, shelf, suffix, extension):
    """Files that apply to the recording at `path`, from the most general to the most specific."""
    free, chosen = {"suffix", "extension", "datatype"}, []
    for folder in path.parents:
        for other, file in shelf.get((suffix, extension, folder), ()):
            if all(entities.get(name) == value for name, value in other.items() if name not in free):
                chosen.append((len(file.parts), len(other), file))
    return [file for *_, file in sorted(chosen)]


def _signal_files(path):
    """The signal file and its companions: BrainVision's .eeg and .vmrk, and EEGLAB's .fdt where there is one."""
    extras = [path.with_suffix(extension) for extension in COMPANIONS.get(path.suffix, ())]
    if path.suffix == ".set" and path.with_suffix(".fdt").is_file():
        extras.append(path.with_suffix(".fdt"))
    return [path, *extras]


def _digest(root, path, known):
    """sha256 of a signal file, from the cache if size, time stamp and inode are as they were."""
    stat = path.stat()
    entry = {"path": path.relative_to(root).as_posix(), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    entry["inode"] = stat.st_ino
    old = known.get(entry["path"], {})
    same = all(old.get(name) == entry[name] for name in ("size", "mtime_ns", "inode"))
    entry["sha256"] = old["sha256"] if same else _sha256(path)
    return entry


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _join(digests):
    """One digest for several files."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
