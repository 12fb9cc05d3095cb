"""Whether results are what they were when they were recorded, and whether two runs gave the same.

Against its own record every byte of a study is read. Each published tree is held against its table of sums too, and
this against the account of its validation, so that none of them changes unseen. `against` another run each result is
held file by file (`hedgerow._peer`). It reads, tells, and changes nothing.
"""

import os
import re
from collections import Counter
from typing import NamedTuple

from . import _peer, account, record, sums
from ._peer import SUMS
from ._words import ConfigError

#: How many files are told of each kind of fault, and how many are named in one command.
MOST, NAMED = 50, 8


def verify(study, against=None, *, say, threads=4):
    """Hold a study against its record, and against another run.

    Parameters
    ----------
    study : hedgerow.study.Study
    against : str, optional
        See `hedgerow._peer.find`.
    say : callable
        Takes text.
    threads : int
        How many files are read at a time.

    Returns
    -------
    bool
        Nothing is wrong.
    """
    try:
        other = None if against is None else _peer.find(study, against)
        faults, found = itself(study, say=say, threads=threads)
    except ConfigError as error:
        say(str(error))
        return False
    lines, name = _own(faults, found), study.config["study"]
    said = Counter(kind for kind, _ in {(fault.kind, fault.path) for fault in faults})
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(said.items()))
    verdict = f"study {name} is NOT as it was recorded: {said}" if faults else f"study {name} is as it was recorded"
    say("\n".join([*lines, *_remedies(name, faults), f"{verdict} ({len(found)} files, every byte read)"]))
    if other is None:
        return not faults
    say(f"\nhere against {other.name}")
    told, alike = _peer.hold(found, other, most=MOST, threads=threads)
    say("\n".join([*told, "but this run is not as it was recorded: see above"] if faults and alike else told))
    return alike and not faults


class Complaint(NamedTuple):
    """A file that is ``missing``, ``changed`` or ``added``, and what else there is to say."""

    kind: str
    path: str
    why: str


def itself(study, *, say, threads=4):
    """Hold a study against its record and its tables of sums.

    Parameters
    ----------
    study, say, threads
        As in `verify`.

    Returns
    -------
    faults : list of Complaint
    found : dict of str to (str or None)
        sha256 of every file that a table names as it is now, None where it is missing or cannot be read.

    Raises
    ------
    hedgerow._words.ConfigError
        There is no record.
    """
    name = study.config["study"]
    path = record.place(name)
    if not os.path.isfile(path):
        raise ConfigError(f"{path} is not there: run `snakemake` to its end, which writes it last")
    faults, entries = [], {}
    try:
        named, entries = record.read(path)
    except ValueError as error:
        faults, named = [Complaint("changed", path, str(error))], name
    if named != name:
        raise ConfigError(f"{path} is the record of the study {named}: bring back its own, or delete it and run again")
    wanted = {each: [(path, entry.sha256)] for each, entry in entries.items()}
    trees = [f"results/studies/{name}/published/{dataset}" for dataset in study.config["datasets"]]
    for tree in trees:
        rows, more = _summed(tree, entries)
        faults += more
        for each, sha256 in rows.items():
            wanted.setdefault(f"{tree}/{each}", []).append((f"{tree}/{SUMS}", sha256))
    size = sum(os.path.getsize(each) for each in wanted if os.path.isfile(each))
    say(f"reading {len(wanted)} files, {size / 1e6:.1f} MB")
    names, found = sorted(wanted), {}
    for each, entry in zip(names, sums.read_all(".", names, threads=threads)):
        found[each] = None if isinstance(entry, OSError) else entry[-1]
        against = [witness for witness, sha256 in wanted[each] if sha256 != found[each]]
        if against:
            faults.append(_unlike(each, entry, entries.get(each), against))
    # a record that cannot be read tells of no file that it was added, an index that changed not which the study has
    sound = not any(fault.path.startswith("results/index/") for fault in faults)
    added = _added(study, trees, wanted, set(record.results(study)) if sound else set()) if entries else []
    return faults + [Complaint("added", *each) for each in added], found


def _unlike(path, entry, recorded, against):
    if isinstance(entry, FileNotFoundError):
        return Complaint("missing", path, "")
    if isinstance(entry, OSError):
        return Complaint("changed", path, f"it cannot be read: {entry.strerror}")
    size = f"; {entry[0]} bytes instead of {recorded.size}" if recorded and int(entry[0]) != recorded.size else ""
    return Complaint("changed", path, f"not as {' and '.join(against)} has it{size}")


def _summed(tree, entries):
    """What the table of sums of a published tree says; and faults of the table itself, which then says nothing."""
    table, validation = f"{tree}/{SUMS}", f"{tree}_validation.json"
    small = [each for each in (table, validation) if os.path.isfile(each)]
    now = sums.of(".", small)
    # what is not as it was recorded says nothing of others, and is told of by the record
    doubted = {each for each in small if each in entries and entries[each].sha256 != now[each]}
    sealed = None if validation in doubted else _seal(validation)
    if table not in now:
        known = table in entries or sealed is None
        return {}, [] if known else [Complaint("missing", table, f"{validation} has its digest")]
    if table in doubted:
        return {}, []
    if sealed not in (None, now[table]):
        return {}, [Complaint("changed", table, f"not the one that {validation} has the digest of")]
    try:
        return sums.read(table), []
    except ValueError as error:
        return {}, [Complaint("changed", table, str(error))]


def _seal(validation):
    """Digest of a tree's table of sums in the account of its validation; None where there is none."""
    try:
        return account.read(validation).get("sums")
    except (FileNotFoundError, ValueError, AttributeError):
        return None


def _added(study, trees, wanted, here):
    """Files among the results that no table names: pairs of path and what they are; `here` are those of the study."""
    config = study.config
    for tree in filter(os.path.isdir, trees):
        for path in (f"{tree}/{name}" for name in sums.files(tree)):
            if path not in wanted:
                yield path, "the tree was published without it"
    folders = [f"results/derivatives/{dataset}/{config['recipe']}" for dataset in config["datasets"]]
    for folder in filter(os.path.isdir, [*folders, f"results/studies/{config['study']}"]):
        for path in (f"{folder}/{name}" for name in sums.files(folder, ["published/*/*"])):
            if path in wanted or record.ASIDE.fullmatch(path):
                continue
            # what has the name of a result and is none of this study belongs to another, or to an earlier config
            if path in here:
                yield path, "made since the record was written"
            elif record.stage(path) is None:
                yield path, "no stage makes a file of this name"


def _own(faults, found):
    """Counts of a study's files by stage, and what is wrong with each, as lines."""
    counts, lines = {}, []
    for path in found:
        counts.setdefault(_stage(path), Counter())["files"] += 1
    for kind, path in {(fault.kind, fault.path) for fault in faults}:
        counts.setdefault(_stage(path), Counter())[kind] += 1
    for count in counts.values():
        count["equal"] = max(0, count["files"] - count["changed"] - count["missing"])
    for kind in ("missing", "changed", "added"):
        told = [fault for fault in faults if fault.kind == kind]
        lines += [f"{kind}  {path} ({_stage(path)}){why and ': '}{why}" for _, path, why in told[:MOST]]
        lines += [f"{kind}  ... and {len(told) - MOST} more"] if len(told) > MOST else []
    return [*_peer.columns(counts, ("files", "equal", "changed", "missing", "added")), "", *lines]


def _stage(path):
    found = record.stage(path)
    return found[0] if found else "record" if path.endswith("/record.tsv") else "none"


def _remedies(name, faults):
    """What to do about faults, as lines."""
    lines, own = [], record.place(name)
    if any(fault.path == own for fault in faults):
        lines += [f"to do: bring back {own} from a copy: nothing can be held against this one. Or delete it and run"]
        lines += ["       again: results are then taken as they are"]
    again = list(dict.fromkeys(_target(fault.path) for fault in faults if fault.kind != "added" and fault.path != own))
    if again:
        more = f" ... and likewise the other {len(again) - NAMED}" if len(again) > NAMED else ""
        lines += [f"to do: snakemake --forcerun {' '.join(again[:NAMED])}{more}"]
        lines += ["       makes them anew, and what follows from them; or bring them back from a copy"]
    if any(fault.kind == "added" for fault in faults):
        lines += ["to do: delete what was added; what was made since is recorded when you run again"]
    return lines


def _target(path):
    """The output to ask for, for a file to be made anew: a published tree is known by its validation."""
    inside = re.match(r"(results/studies/[^/]+/published/[^/]+)/", path)
    return f"{inside[1]}_validation.json" if inside else path
