"""The index of a BIDS dataset: which EEG recordings there are, and which files describe each (no signal is decoded).

One walk through the folder. Entities are those of pybids, by its own patterns; sidecars are resolved here by the
inheritance principle of BIDS: a sidecar applies if it lies in the recording's folder or above it and names no entity
that the recording does not have. Of one folder one sidecar applies: the only one, or that with the recording's name.
"""

import hashlib
import json
import os
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from bids.layout.models import Config

from . import account, layout, table
from .account import Fault

#: Extensions of EEG signal files, and the files that each needs beside it.
COMPANIONS = {".vhdr": (".eeg", ".vmrk"), ".set": (), ".edf": (), ".bdf": ()}

#: Columns of ``recordings.tsv``.
COLUMNS = (
    "rec status reason message subject session task run signal files eeg_json channels events events_json "
    "hed_version size signal_sha256 channels_sha256 events_sha256"
).split()

#: Signal files of other modalities by suffix, listed with a reason but never read; an empty extension is 4D's folder.
OTHER = {
    "meg": (".fif", ".ds", ".con", ".sqd", ".kdf", ".raw", ".mhd", ""),
    "ieeg": (".edf", ".vhdr", ".set", ".nwb", ".mefd"),
    "emg": (".edf", ".bdf", ".vhdr", ".set"),
    "nirs": (".snirf",),
    "motion": (".tsv",),
    "beh": (".tsv",),
}

#: ``<stem>_<suffix><extension>``; files above the subjects may have no stem.
NAME = re.compile(r"(?:(.+)_)?([a-zA-Z0-9]+)(\.[^/]*)?")

#: What pybids reads from the end of a name; entities are read from the stem, once for all files of a recording.
ENDINGS = ("suffix", "extension", "scans", "fmap")


def index(root, *, cache=None, remote=False):
    """List every recording of the BIDS dataset at `root`.

    A recording is known by its signal file, or where that is absent by what describes it: ``*_events.tsv``,
    ``*_channels.tsv`` or ``*_eeg.*`` in a folder ``eeg`` (or events above it that no recording inherits). It is then
    quarantined as ``missing-file`` like any whose files are not all here. A quarantined row has every entry that could
    be found.

    A signal that git-annex keeps is identified by its key and not read. Where its content is not here, the recording
    is quarantined, unless `cache` knows that key from an earlier index: it was dropped since, and can come back.

    Parameters
    ----------
    root : path
        The dataset's folder (with ``dataset_description.json``).
    cache : DataFrame, optional
        `hedgerow.layout.DIGESTS` of an earlier index, as text: a file with the same size, time stamp and inode is not
        read again for its digest.
    remote : bool
        The folder is a clone into which signals are fetched later: the content of annexed ones need not be here.

    Returns
    -------
    recordings : DataFrame
        A row per recording: ``rec`` (BIDS stem with its folders), ``status``, ``reason``, ``message``, the entities,
        the paths of signal and sidecars relative to `root` (all files of the signal, and JSON sidecars from the most
        general to the most specific, separated by ``;``), ``size`` in bytes, ``hed_version``, and digests of signal
        (content, or keys of git-annex), of channels and of events, each with their JSON sidecars.
        ``attrs["notes"]`` says what was odd in ``participants.tsv``.
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
    version = _hed_version(root)
    known = {} if cache is None else {row["path"]: row for row in cache.fillna("").astype(str).to_dict("records")}
    dataset = _Dataset(root, known, remote)
    rows, taken = [], set()
    for rec, path, suffix in dataset.recordings():
        rows.append(_row(dataset, rec, path, suffix, rec in taken) | {"hed_version": version})
        taken.add(rec)
    if not rows:
        raise ValueError(f"{root} holds no EEG recording (sub-*/[ses-*/]eeg/*_eeg.edf, .bdf, .vhdr or .set)")
    recordings = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(COLUMNS, "str") | {"size": "Int64"})
    people, notes = participants(root, recordings)
    recordings.attrs["notes"] = notes
    return recordings, people, pd.DataFrame(dataset.seen(), columns=layout.DIGESTS, dtype=str)


def participants(root, recordings):
    """``participants.tsv`` of `root` with a row for each subject of `recordings`, and notes on what was odd.

    Returns
    -------
    DataFrame
        n/a for a subject of whom the table has no row, or several that contradict each other.
    list of str
        Sentences.
    """
    subjects = pd.DataFrame({"participant_id": [f"sub-{s}" for s in recordings["subject"].dropna().unique()]})
    path = Path(root) / "participants.tsv"
    if not path.is_file():
        return subjects, [f"{path.name} is not there: nothing is known of the participants"]
    try:
        known = table.read(path, text=True)
    except (OSError, ValueError) as error:
        return subjects, [f"{path.name} is passed over ({str(error).removeprefix(f'{path} ')}): mend it"]
    if "participant_id" not in known:
        return subjects, [f"{path.name} is passed over: it has no column participant_id; name its first column so"]
    notes = []
    known["participant_id"] = "sub-" + known["participant_id"].str.strip().str.removeprefix("sub-")
    known = known.drop_duplicates()
    twice = known["participant_id"].duplicated(keep=False) & known["participant_id"].notna()
    if twice.any():
        names = ", ".join(sorted(known["participant_id"][twice].unique()))
        notes.append(f"{path.name} has rows that contradict each other for {names}: n/a for all; leave one row each")
    absent = subjects["participant_id"][~subjects["participant_id"].isin(known["participant_id"])]
    if len(absent):
        notes.append(f"{path.name} has no row for {', '.join(absent)}: n/a for all")
    return subjects.merge(known[~twice].dropna(subset="participant_id"), on="participant_id", how="left"), notes


def sidecar(root, paths):
    """Merge JSON sidecars, given from the most general to the most specific (``;``-separated, relative to `root`)."""
    merged = {}
    for path in filter(None, str(paths if isinstance(paths, str) else "").split(";")):
        try:
            merged |= dict(json.loads((Path(root) / path).read_text(encoding="utf-8-sig")))
        except (OSError, ValueError, TypeError) as error:
            message = f"{Path(root) / path} is no JSON object in UTF-8 ({error}): mend or remove this file"
            raise Fault("bad-sidecar", message) from error
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
        ``no-events``, ``bad-events`` or ``bad-sidecar``.
    """
    if not row["events"]:
        raise Fault("no-events", f"{row['rec']} has no *_events.tsv in {root}: nothing can be selected; write one")
    path = Path(root) / row["events"]
    try:
        found = table.read(path, text=True) if path.stat().st_size else []
    except (OSError, ValueError) as error:
        raise Fault("bad-events", f"{path} is no table ({error}); mend this file") from error
    if not len(found):
        raise Fault("no-events", f"{path} has no rows: nothing can be selected; fill or drop it")
    return found, sidecar(root, row["events_json"])


def _hed_version(root):
    """``HEDVersion`` of ``dataset_description.json``: versions separated by commas, or None."""
    path = root / "dataset_description.json"
    if not path.is_file():
        raise ValueError(
            f"{root} has no dataset_description.json: give the folder of a BIDS dataset as `path` of the dataset"
        )
    try:
        versions = json.loads(path.read_text(encoding="utf-8-sig")).get("HEDVersion")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is no JSON object ({error}): mend this file") from None
    return ",".join(map(str, versions)) if isinstance(versions, list) else versions and str(versions)


class _Dataset:
    """Files of a dataset, found in one walk, and what each of them is.

    Parameters
    ----------
    root : Path
    known : dict of str to dict of str to str
        Digests of an earlier index, by path.
    remote : bool
        Whether annexed signals may be fetched later.
    """

    def __init__(self, root, known, remote):
        self.root, self.known, self.remote = root, known, remote
        self.entries = dict(layout.files(root))
        self._contents = {}
        self._signals, self._told, self._above = [], {}, {}
        self._shelf = defaultdict(list)
        for path in self.entries:
            self._place(path)

    def _place(self, path):
        """Note whether a file is a signal, one of another modality, or describes a recording."""
        folder, _, name = path.rpartition("/")
        found = NAME.fullmatch(name)
        stem, suffix, extension = found.groups(default="") if found else ("", "", "")
        rec, within = f"{folder}/{stem}".lstrip("/"), folder.rpartition("/")[2]
        if suffix.lower() == "eeg" and extension.lower() in COMPANIONS:
            self._signals.append((rec, path, suffix if suffix + extension == (suffix + extension).lower() else ""))
        elif extension in OTHER.get(suffix, ()):
            self._signals.append((rec, path, suffix))
        elif within == "eeg" and Path(name).suffix.lower() in COMPANIONS:
            self._signals.append((path.rpartition(".")[0], path, ""))
        elif stem and "_desc-" not in stem:
            table = extension in layout.TABLES
            if table and suffix in ("eeg", "events", "channels"):
                self._shelf[suffix, extension, folder].append((stem, path))
            if within == "eeg" and (suffix == "eeg" or (suffix in ("events", "channels") and extension == ".tsv")):
                self._told.setdefault(rec, []).append(path)
            elif within.startswith(("sub-", "ses-")) and (suffix, extension) == ("events", ".tsv"):
                self._above[rec] = path
        elif not stem and suffix in ("eeg", "events", "channels") and extension in layout.TABLES:
            self._shelf[suffix, extension, folder].append((stem, path))

    def recordings(self):
        """Name, path of the signal (None where it is absent) and suffix ("" if misnamed) of every recording."""
        found, heirs = list(self._signals), defaultdict(list)
        for rec, *_ in found:
            heirs[rec.rpartition("/")[0]].append(_entities(rec))
        # of several names the one with most entities is the recording, the others are what it inherits
        for rec in sorted(self._told, key=lambda rec: -len(_entities(rec))):
            folder = rec.rpartition("/")[0]
            if not any(_applies(_entities(rec), heir) for heir in heirs[folder]):
                heirs[folder].append(_entities(rec))
                found.append((rec, None, "eeg"))
        return sorted(found + self._lifted(heirs), key=lambda each: (each[0], each[1] or ""))

    def _lifted(self, heirs):
        """Recordings known by events above their folder alone, which no file of any modality inherits."""
        below, found = defaultdict(list), []
        for path in self.entries if self._above else ():
            if not path.endswith(layout.TABLES):
                below[path.partition("/")[0]].append(path.rpartition("_")[0])
        for rec in sorted(self._above, key=lambda rec: -len(_entities(rec))):
            folder, _, stem = rec.rpartition("/")
            near = [heir for place, each in heirs.items() if f"{place}/".startswith(f"{folder}/") for heir in each]
            near += [_entities(path) for path in set(below[rec.partition("/")[0]])]
            if "task" in _entities(rec) and not any(_applies(_entities(rec), heir) for heir in near):
                heirs[f"{folder}/eeg"].append(_entities(rec))
                found.append((f"{folder}/eeg/{stem}", None, "eeg"))
        return found

    def telling(self, rec):
        """Files by which a recording without signal is known."""
        folder, _, stem = rec.rpartition("/")
        return self._told.get(rec) or [self._above[f"{folder.rpartition('/')[0]}/{stem}"]]

    def inherited(self, rec, suffix, extension):
        """Files that apply to a recording, from the most general to the most specific.

        Raises
        ------
        Fault
            Several of one folder apply, and none has the recording's own name.
        """
        folder, _, own = rec.rpartition("/")
        parts, chosen = folder.split("/") if folder else [], []
        for depth in range(len(parts) + 1):
            place = "/".join(parts[:depth])
            found = [
                (stem, path)
                for stem, path in self._shelf.get((suffix, extension, place), ())
                if _applies(_entities(f"{place}/{stem}".lstrip("/")), _entities(rec))
            ]
            found = [each for each in found if each[0] == own] or found
            if len(found) > 1:
                names = " and ".join(path for _, path in found)
                raise Fault("bad-name", f"{names} both apply to {rec}: BIDS allows one in a folder, leave one of them")
            chosen += [path for _, path in found]
        return chosen

    def files(self, path):
        """All files of a signal: itself, BrainVision's .eeg and .vmrk, EEGLAB's .fdt where there is one.

        Raises
        ------
        Fault
            A BrainVision header names another recording's data.
        """
        stem, extension = os.path.splitext(path)
        found = [path, *(stem + each for each in COMPANIONS.get(extension, ()))]
        if extension == ".set" and stem + ".fdt" in self.entries:
            found.append(stem + ".fdt")
        if extension != ".vhdr" or path not in self.entries or not os.path.isfile(self.entries[path].path):
            return found
        folder = path.rpartition("/")[0]
        for place, name in enumerate(layout.named(self.entries[path].path), start=1):
            other = f"{folder}/{name}"
            if name is None or other not in self.entries or other == found[place]:
                continue
            if place == 1 and (found[1] in self.entries or os.path.splitext(other)[0] + ".vhdr" in self.entries):
                raise Fault("bad-name", f"{path} names {name} as its data (DataFile): write its own .eeg file there")
            if found[place] not in self.entries:
                found[place] = other
        return found

    def content(self, path):
        """Digest of a file (`hedgerow.layout.DIGESTS`, None if there is none), and a `Fault` if it cannot be used."""
        if path not in self._contents:
            self._contents[path] = self._content(path)
        return self._contents[path]

    def _content(self, path):
        entry, old = self.entries.get(path), self.known.get(path, {})
        if entry is None:
            return None, Fault("missing-file", f"{path} is missing: add it, or drop the recording")
        if entry.is_dir():
            return None, Fault("unreadable", f"{path} is a folder, not a file: put the signal file in its place")
        here = os.path.exists(entry.path)
        key = layout.annexed(entry)
        if here and not key and entry.stat().st_size < layout.POINTER:
            key = layout.pointer(entry.path)
            here = not key
        if here:
            found = layout.digest(path, entry, self.known)
            empty = found["size"] == "0" and not path.endswith(layout.TABLES)
            return found, Fault("unreadable", f"{path} is empty (0 bytes): fetch it anew") if empty else None
        if not key:
            return None, Fault("missing-file", f"{path} is a link to nowhere ({os.readlink(entry.path)}): mend it")
        if old.get("key") == key:
            return old, None
        found = dict.fromkeys(layout.DIGESTS, "") | {"path": path, "size": str(layout.size_of(key) or ""), "key": key}
        if self.remote and not path.endswith(layout.TABLES):
            return found, None
        return found, Fault(
            "missing-file", f"the content of {path} is not here: run `datalad get {path}` in the dataset"
        )

    def seen(self):
        """Digests of all files of which content was here, now or at an earlier index, for the next one."""
        for path, entry in self.entries.items():
            if path.endswith(layout.TABLES) or (path.endswith(layout.INDEXED) and layout.annexed(entry)):
                self.content(path)
        found = (row for row, _ in self._contents.values() if row is not None and row["mtime_ns"])
        return [row for row in found if row["path"].isprintable()]


def _row(dataset, rec, path, suffix, taken):
    """One row of ``recordings.tsv``: every entry that can be found, and the first of the faults."""
    entities = _entities(rec)
    row = {"rec": rec, "signal": path} | {
        name: str(entities[name]) for name in ("subject", "session", "task", "run") if name in entities
    }
    if suffix in OTHER:
        faults = [Fault("not-eeg", f"{path} is {suffix}; only EEG is processed")]
        row["files"] = path
    else:
        faults = _misnamed(rec, path, suffix, taken)
        row |= _signal(dataset, rec, path, faults) | _sidecars(dataset, rec, faults)
    row |= account.quarantined("index", faults[0]) if faults else {"status": "ok"}
    # a name may hold what neither a table nor UTF-8 can
    return {
        name: "".join(c if c.isprintable() else "\ufffd" for c in value)
        if isinstance(value, str) and not value.isprintable()
        else value
        for name, value in row.items()
    }


def _misnamed(rec, path, suffix, taken):
    """Faults of a recording's name."""
    shown = path or rec
    if not suffix or re.fullmatch(layout.REC, rec) is None:
        example = "sub-01/[ses-a/]eeg/sub-01[_ses-a]_task-rest_eeg.edf"
        return [Fault("bad-name", f"{shown} is not named as BIDS has it ({example}; labels: letters and digits)")]
    *folders, _, name = rec.split("/")
    if re.match(r"sub-[a-zA-Z0-9]+(_ses-[a-zA-Z0-9]+)?", name).group() != "_".join(folders):
        return [Fault("bad-name", f"{shown} lies in the folders of {'_'.join(folders)}: name it after them")]
    if taken:
        return [Fault("bad-name", f"{shown} has the name of another signal file: leave one of them")]
    return []


def _signal(dataset, rec, path, faults):
    """Entries of the signal; what is wrong with it is added to `faults`."""
    if path is None:
        told = ", ".join(file.rpartition("_")[2] for file in sorted(dataset.telling(rec)))
        message = f"{rec} has no signal file (*_eeg.edf, .bdf, .vhdr or .set), only {told}: add it or fetch it"
        faults.append(Fault("missing-file", message))
        return {}
    try:
        files = dataset.files(path)
    except Fault as fault:
        faults.append(fault)
        files = [path]
    found = [dataset.content(file) for file in files]
    faults += [fault for _, fault in found if fault]
    row = {"files": ";".join(files)}
    if all(content for content, _ in found):
        row["signal_sha256"] = _join(content["key"] or content["sha256"] for content, _ in found)
        if all(content["size"] for content, _ in found):
            row["size"] = sum(int(content["size"]) for content, _ in found)
    return row


def _sidecars(dataset, rec, faults):
    """Entries of tables and sidecars; what is wrong with them is added to `faults`."""
    row, digests = {}, {}
    wanted = {"eeg_json": ("eeg", ".json"), "channels": ("channels", ".tsv"), "events": ("events", ".tsv")}
    for name, (suffix, extension) in (wanted | {"events_json": ("events", ".json")}).items():
        # events.json describes events.tsv, which may serve several recordings and lack some of their entities
        owner = row["events"].removesuffix("_events.tsv") if name == "events_json" and row.get("events") else rec
        try:
            paths = dataset.inherited(owner, suffix, extension)
        except Fault as fault:
            faults.append(fault)
            continue
        paths = paths if extension == ".json" else paths[-1:]
        row[name] = ";".join(paths)
        found = [dataset.content(path) for path in paths]
        faults += [fault for _, fault in found if fault]
        digests[name] = [content and content["sha256"] for content, _ in found]
    if row.get("eeg_json") == "":
        faults.append(Fault("missing-file", f"{rec} has no *_eeg.json; write one with SamplingFrequency"))
    for name, parts in (("channels_sha256", ("channels", "eeg_json")), ("events_sha256", ("events", "events_json"))):
        each = [digest for part in parts for digest in digests.get(part, [None])]
        row[name] = _join(each) if all(each) else None
    return row


@cache
def _patterns():
    """pybids's patterns of those entities that are read from folders and stem."""
    return [entity for entity in Config.load("bids").entities.values() if entity.name not in ENDINGS]


@cache
def _entities(stem):
    """Entities of all files of a folder that share a `stem` (path without suffix and extension), as pybids has them."""
    file = SimpleNamespace(path=f"/{stem}")
    found = ((entity.name, entity.match_file(file)) for entity in _patterns())
    return {name: value for name, value in found if value is not None}


def _applies(entities, others):
    """Whether what has `entities` applies to what has `others`: it names none that they lack."""
    return all(others.get(name) == value for name, value in entities.items() if name != "datatype")


def _join(digests):
    """One digest for several files."""
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:32]
