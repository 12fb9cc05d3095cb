"""Another run of a study, and how far it is from this one.

Results are held against each other file by file: by digest and, where these differ and both files are at hand, by
value, within the tolerance of the stage (`hedgerow.record.STAGES`).
"""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import _alike, record, sums
from ._words import ConfigError, nearest

#: Where a published tree has its table of sums.
SUMS = sums.TABLE
#: What can become of a result; ``told``: it describes the run itself, and is not judged.
KINDS = ("files", "equal", "within", "told", "unlike", "missing", "added")
#: Those that set two runs apart, and words for those that do not.
APART = ("unlike", "missing", "added")
FINE = {"within": "within their tolerance", "told": "describe the run itself and are not judged"}


class Run(NamedTuple):
    """Another run.

    ``name`` is what it is called; ``digests`` are sha256 by path as its own table has them; ``find`` gives where a file
    of it lies, None where only the table is at hand; ``of`` is the folder of results that the table is about.
    """

    name: str
    digests: dict[str, str]
    find: Callable
    of: str = ""


def find(study, against):
    """Another run by a path.

    Parameters
    ----------
    study : hedgerow.study.Study
    against : str
        A folder in which the study was run, its folder ``results/studies/<study>``, or its ``record.tsv`` alone; or a
        published tree of it, or the table of sums of one alone.

    Returns
    -------
    Run

    Raises
    ------
    hedgerow._words.ConfigError
        There is nothing of that study; it is this very run; or its table was changed.
    """
    path, name = Path(against).expanduser(), study.config["study"]
    if not path.exists():
        raise ConfigError(f"config: against: there is no {against!r} (seen from {Path.cwd()}); mend the path")
    whole = path / record.place(name)
    try:
        if whole.is_file():
            return _recorded(name, whole, lambda each: path / each)
        if (path / "record.tsv").is_file():
            return _recorded(name, path / "record.tsv", _beside(name, path.resolve()))
        if (path / SUMS).is_file():
            return _tree(study, path / SUMS, path)
        if path.is_file():
            with open(path, encoding="utf-8", errors="replace") as file:
                first = file.readline()
            return _recorded(name, path, None) if first.startswith("path\t") else _tree(study, path, None)
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"config: against: {error}; nothing can be held against it") from None
    others = sorted(each.parent.name for each in path.glob("results/studies/*/record.tsv"))
    known = f"; there are records of {nearest(name, others)}" if others else ""
    raise ConfigError(
        f"config: against: {path} holds no record of the study {name}{known}; name a folder in which this study was "
        "run to its end, its record.tsv, or a published tree"
    )


def _recorded(name, path, find):
    if os.path.realpath(path) == os.path.realpath(record.place(name)):
        raise ConfigError(f"config: against: {path} is the record of this very run; name that of another")
    named, entries = record.read(path)
    if named != name:
        raise ConfigError(
            f"config: against: {path} is the record of the study {named}, not of {name}: only runs of one study are "
            "held against each other; give both the same `study`"
        )
    digests = {each: entry.sha256 for each, entry in entries.items()}
    return Run(str(path.parent if find else path), digests, find or _nowhere)


def _nowhere(path):
    """Of a table alone no file is at hand."""


def _beside(name, folder):
    """Where files lie of a run whose folder ``results/studies/<study>`` is given, perhaps copied from its place."""
    own = f"results/studies/{name}/"
    if folder.as_posix().endswith(f"/{own}"[:-1]):
        return lambda each: folder.parents[2] / each
    return lambda each: folder / each.removeprefix(own) if each.startswith(own) else None


def _tree(study, table, folder):
    """A published tree, or its table of sums alone."""
    digests = sums.read(table)
    datasets, named = list(study.config["datasets"]), table.resolve().parents[1].name
    if named not in datasets and len(datasets) > 1:
        raise ConfigError(
            f"config: against: of which dataset is {table}? Give its folder the name of one: {nearest(named, datasets)}"
        )
    own = f"results/studies/{study.config['study']}/published/{named if named in datasets else datasets[0]}"
    if os.path.realpath(table) == os.path.realpath(f"{own}/{SUMS}"):
        raise ConfigError(f"config: against: {folder or table} is of this very run; name that of another")
    digests = {f"{own}/{each}": sha256 for each, sha256 in digests.items()}
    digests[f"{own}/{SUMS}"] = sums.of(table.parent, [table.name])[table.name]
    within = f"{own}/"
    place = (lambda each: folder / each.removeprefix(within)) if folder else _nowhere
    return Run(str(folder or table), digests, place, within)


class Finding(NamedTuple):
    """What became of one result: a word of `KINDS`, words on it, and how far apart its values are (None: not known)."""

    path: str
    stage: str
    kind: str
    words: str = ""
    apart: _alike.Apart | None = None


def hold(found, other, *, most=50, threads=4):
    """Hold this run against another.

    Parameters
    ----------
    found : dict of str to (str or None)
        sha256 of this run's results; None: missing.
    other : Run
    most : int
        How many files are told of each kind.
    threads : int

    Returns
    -------
    lines : list of str
        The last one is the verdict.
    alike : bool
        Nothing is unlike, missing or added, and the other run is as it was recorded.
    """
    theirs, broken = _now(other, threads)
    ours = {path: sha256 for path, sha256 in found.items() if sha256 and path.startswith(other.of)}
    findings = [
        _held(path, ours.get(path), theirs.get(path), other.find(path)) for path in sorted(ours.keys() | theirs.keys())
    ]
    counts = {}
    for each in findings:
        counts.setdefault(each.stage, Counter()).update(("files", each.kind))
    lines = [*columns(counts, KINDS, _furthest(findings)), ""]
    for kind in ("missing", "added", "unlike", "told"):
        listed = [each for each in findings if each.kind == kind]
        lines += [f"{kind}  {path} ({stage}){words and ': '}{words}" for path, stage, _, words, _ in listed[:most]]
        lines += [f"{kind}  ... and {len(listed) - most} more"] if len(listed) > most else []
    lines += [
        f"there  {path} is not as {other.name} has it: bring it back, or compare with a sound run" for path in broken
    ]
    return [*lines, *_verdict(findings, broken)], not broken and not any(each.kind in APART for each in findings)


def _now(other, threads):
    """Digests of another run's files, as they are now where these are at hand; and which its table has otherwise."""
    now, at_hand = dict(other.digests), {path: other.find(path) for path in other.digests}
    paths = [path for path in sorted(now) if at_hand[path]]
    broken = []
    for path, entry in zip(paths, sums.read_all(".", [str(at_hand[path]) for path in paths], threads=threads)):
        now[path] = None if isinstance(entry, OSError) else entry[-1]
        if now[path] != other.digests[path]:
            broken.append(path)
    return {path: sha256 for path, sha256 in now.items() if sha256}, broken


def _held(path, ours, theirs, there):
    stage, likeness = record.stage(path) or ("none", record.EXACT)
    if ours is None or theirs is None:
        return Finding(path, stage, "missing" if ours is None else "added")
    if ours == theirs:
        return Finding(path, stage, "equal")
    if likeness == record.TOLD:
        return Finding(path, stage, "told")
    if there is None:
        return Finding(path, stage, "unlike", "other bytes; of a table alone no values can be compared")
    exact = likeness == record.EXACT
    apart = _alike.apart(path, there, record.SAME if exact else likeness)
    words = apart.unlike or ("the same values in other bytes" if exact else "")
    return Finding(path, stage, "unlike" if words else "within", words, apart)


def _furthest(findings):
    """By stage the largest deviation and where it is, as words."""
    worst = {}
    for each in findings:
        if (
            each.apart
            and each.apart.where
            and (each.stage not in worst or each.apart.relative > worst[each.stage].apart.relative)
        ):
            worst[each.stage] = each
    return {
        stage: f"{apart.absolute:.2g}, {apart.relative:.2g} of the largest {apart.where}, in {path}"
        for stage, (path, _, _, _, apart) in worst.items()
    }


def columns(counts, kinds, notes=None):
    """Counts by stage as a table, in the order of the stages, with a last column of what is noted of some.

    Parameters
    ----------
    counts : dict of str to dict of str to int
        By stage and kind.
    kinds : sequence of str
    notes : dict of str to str, optional
        Words by stage.

    Returns
    -------
    list of str
    """
    notes, wide = notes or {}, max(map(len, [*counts, "stage"]))
    head = f"{'stage':<{wide}}" + "".join(f"{kind:>9}" for kind in kinds) + ("  largest deviation" if notes else "")
    order = sorted(counts, key=lambda stage: record.ORDER.index(stage) if stage in record.ORDER else len(record.ORDER))
    rows = [(stage, "".join(f"{counts[stage][kind]:>9}" for kind in kinds), notes.get(stage, "")) for stage in order]
    return [head, *(f"{stage:<{wide}}{numbers}  {note}".rstrip() for stage, numbers, note in rows)]


def _verdict(findings, broken):
    """What it comes to, as lines."""
    number = Counter(each.kind for each in findings)
    bad = ", ".join(f"{number[kind]} {kind}" for kind in APART if number[kind])
    if not bad and not broken:
        rest = "".join(f", {number[kind]} {words}" for kind, words in FINE.items() if number[kind])
        return [f"the two runs are alike: {number['equal']} files are equal{rest}"]
    stages = {each.stage for each in findings if each.kind in APART}
    first = next((stage for stage in record.ORDER if stage in stages), "none")
    bad += f"{', ' if bad and broken else ''}{f'{len(broken)} changed there' if broken else ''}"
    why = (
        f"; the first stage that differs is {first}, and what follows from it may differ for that alone"
        if stages
        else ""
    )
    return [f"the two runs DIFFER: {bad} of {len(findings)} files{why}"]
