"""What an upload has to send, what stands at its destination, and what is to be done there (standard library only).

The table of sums of a derivative goes last: where it stands, everything it lists has arrived. As long as an upload is
under way a note stands beside it (`UNFINISHED`), so that a later one knows what an earlier one may have written.
"""

import hashlib
import io
import json
import re
from pathlib import Path
from typing import NamedTuple

from . import sums
from .account import Stopped

#: Table of the digests of all files of a derivative but itself, as `hedgerow.publish` names it.
SUMS = sums.TABLE
#: Note at a destination: which derivative an upload is sending, and which files it or an earlier one has written.
UNFINISHED = "code/upload_unfinished.json"
#: What tells one derivative from another.
TELLING = ("dataset_description.json", "code/config.yaml")


class File(NamedTuple):
    """Size in bytes and sha256 of a file that is to be sent."""

    size: int
    sha256: str


class Goods(NamedTuple):
    """A derivative: its folder, its files by path, those of them that are made for a destination, and whose it is."""

    tree: Path
    files: dict
    extra: dict
    whose: dict

    def open(self, name):
        """A file of the derivative, to be read."""
        return io.BytesIO(self.extra[name]) if name in self.extra else open(self.tree / name, "rb")


class There(NamedTuple):
    """What stands at a destination.

    Attributes
    ----------
    files : dict of str to (str or None)
        By path the sha256; None where it is of no wanted path, or surely not the wanted one.
    owned : set of str
        Paths that an earlier upload of the same derivative may have written.
    whose : dict or None
        `identity` of the derivative that is there, None where there is none.
    unfinished : bool
        Whether an upload began and did not end.
    refused : list of str
        What no consent mends, in sentences.
    """

    files: dict
    owned: set
    whose: dict | None
    unfinished: bool
    refused: list


class Plan(NamedTuple):
    """Paths by what is to be done with them: sent (``new``, ``changed``), left (``same``, ``others``), removed
    (``stale``)."""

    new: list
    changed: list
    same: list
    stale: list
    others: list


def goods(tree, extra=None):
    """The derivative in the folder `tree`, by its table of sums.

    Parameters
    ----------
    tree : path
    extra : dict of str to bytes, optional
        Files that are made for the destination.

    Raises
    ------
    hedgerow.account.Stopped
        The table, or a file that it lists, is not there.
    """
    tree, extra = Path(tree), extra or {}
    try:
        digests = sums.read(tree / SUMS)
        digests[SUMS] = sums.of(tree, [SUMS])[SUMS]
        files = {name: File((tree / name).stat().st_size, digest) for name, digest in digests.items()}
        whose = identity(*((tree / name).read_bytes() for name in TELLING))
    except (FileNotFoundError, ValueError) as error:
        raise Stopped(f"{tree} is no complete derivative ({error}): {again(tree)}") from None
    if whose is None:
        raise Stopped(f"{tree / TELLING[0]} does not tell the raw dataset (DatasetLinks): {again(tree)}")
    for name, content in extra.items():
        files[name] = File(len(content), hashlib.sha256(content).hexdigest())
    return Goods(tree, files, extra, whose)


def again(tree):
    """What to do about a published tree that is not what it was."""
    return f"`snakemake --forcerun {tree}_validation.json` makes it anew"


def identity(description, config):
    """What tells a derivative from all others, whatever its version.

    Parameters
    ----------
    description, config : bytes
        Content of the files `TELLING`.

    Returns
    -------
    dict or None
        ``study``, and ``raw`` and ``name``, address and name of its raw dataset; None where the files do not tell.
    """
    try:
        described = json.loads(description)
        raw, name = str(described["DatasetLinks"]["raw"]), str(described["Name"])
    except (ValueError, KeyError, TypeError):
        return None
    study = re.search(rb"""^study:[ ]*["']?([a-zA-Z0-9-]+)""", config, re.M)
    # the version may stand in the address of the dataset, or in its DOI
    raw = re.sub(r"/versions/[^/]*$|\.v\d+(\.\d+)*$", "", raw)
    return {"study": study[1].decode(), "raw": raw, "name": name} if study else None


def alike(one, other):
    """Whether two derivatives (`identity`) are versions of one: a raw dataset may move, or get another name."""
    return one["study"] == other["study"] and (one["raw"] == other["raw"] or one["name"] == other["name"])


def note(files, owned, whose):
    """Content of `UNFINISHED`: sha256 of the `files` that are sent, None for those that only an earlier one wrote."""
    found = {**dict.fromkeys(owned), **{name: file.sha256 for name, file in files.items()}}
    return json.dumps({"derivative": whose, "files": found}, indent=1, sort_keys=True).encode()


def owner(read):
    """Which derivative stands at a destination, and which files of it an upload wrote.

    Parameters
    ----------
    read : callable
        ``read(name)`` gives the content of a small file, None where there is none.

    Returns
    -------
    whose : dict or None
    owned : dict of str to (str or None)
        By path the sha256 with which it was sent, where that is known.
    unfinished : bool
    """
    text = read(UNFINISHED)
    if text is not None:
        try:
            found = json.loads(text)
            return {key: found["derivative"][key] for key in ("study", "raw", "name")}, dict(found["files"]), True
        except (ValueError, KeyError, TypeError):
            return None, {}, False
    table = read(SUMS)
    told = [read(name) for name in TELLING] if table is not None else [None]
    whose = None if None in told else identity(*told)
    lines = [line.partition("  ") for line in (table or b"").decode("utf-8", "surrogateescape").splitlines()]
    return whose, ({name: digest for digest, _, name in lines} | {SUMS: None}) if whose else {}, False


def compare(files, there):
    """What is to be done so that a destination holds `files` (`File` by path)."""
    wanted = {name: there.files.get(name) == file.sha256 for name, file in files.items()}
    new = sorted(name for name in wanted if name not in there.files)
    changed = sorted(name for name, same in wanted.items() if not same and name in there.files)
    same = sorted(name for name, same in wanted.items() if same)
    rest = there.files.keys() - files.keys()
    return Plan(new, changed, same, sorted(rest & there.owned), sorted(rest - there.owned))


def refusals(plan, there, whose, *, place, consent, key):
    """Why nothing may be sent, in sentences; empty where all may go.

    Parameters
    ----------
    plan : Plan
    there : There
    whose : dict
        `identity` of the derivative.
    place : str
        The destination, for a person.
    consent : bool
        Whether what is there may be replaced.
    key : str
        Where the destination stands in the config.
    """
    if there.refused:
        return there.refused
    if there.whose and not alike(there.whose, whose):
        one, other = (f"study {each['study']}, dataset {each['raw']}" for each in (there.whose, whose))
        return [f"{place} holds another derivative ({one}; this one is of {other}): give {key} another place"]
    if consent:
        return []
    found = []
    if plan.changed:
        found.append(f"holds other content of {some(plan.changed)}")
    if plan.stale:
        found.append(f"holds what is no longer part of the derivative: {some(plan.stale)}")
    if plan.others and not there.owned:
        found.append(f"holds what is not of this derivative: {some(plan.others)}")
    remedy = "to replace and remove what an upload wrote, and to leave the rest, set"
    why = f"{place} {'; it '.join(found)}. Nothing was sent: {remedy} `overwrite: true` in {key}, or change its place"
    return [why] if found else []


def some(names, most=3):
    """The first few of `names`, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def crossing(files, found):
    """Names that stand in the way: a file or link where a folder is wanted, a folder where a file is.

    Parameters
    ----------
    files : iterable of str
        Paths that are wanted.
    found : iterable of str
        Paths of files and links that are there.
    """
    folders = {parent for name in files for parent in _parents(name)}
    taken = {parent for name in found for parent in _parents(name)}
    return sorted({name for name in found if name in folders} | {name for name in files if name in taken})


def _parents(name):
    return [str(parent) for parent in list(Path(name).parents)[:-1]]
