"""How a dataset and its tables are laid out: names, parts, fingerprints (standard library only).

Apart from `study`, which says what the rules need: a change there must not make a dataset be indexed and cleaned anew.
"""

import csv
import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path

#: Folders of a dataset that hold no raw recordings; results of a run in the dataset's own folder are among them.
NOT_RAW = ("sourcedata", "derivatives", "code", "results", "stimuli")
#: Folders that are a recording (or have the name of one): CTF's .ds, MEF's .mefd, 4D's and KIT's without extension.
RECORDED = re.compile(r"_(?:eeg|ieeg|meg|emg|nirs)(?:\.[^.]*)?$|\.(?:ds|mefd|zarr|edf|bdf|set|vhdr)$")
#: Extensions of tables and sidecars, which enter a fingerprint by content.
TABLES = (".tsv", ".json")
#: Extensions of all files of which an index keeps a digest.
INDEXED = (*TABLES, ".edf", ".bdf", ".vhdr", ".eeg", ".vmrk", ".set", ".fdt")
#: Columns of the table of digests.
DIGESTS = ("path", "size", "mtime_ns", "inode", "sha256", "key")
#: A signal file of at most so many bytes is read for a fingerprint: headers that git keeps have the time of the clone.
HEADER = 100_000
#: No pointer of git-annex has more bytes.
POINTER = 1000
#: Where a run notes the folder of each dataset.
SOURCE = "results/index/{dataset}/source.json"
#: What a recording's stem with its folders looks like; what the wildcard ``rec`` matches.
REC = r"sub-[a-zA-Z0-9]+(?:/ses-[a-zA-Z0-9]+)?/eeg/sub-[a-zA-Z0-9]+(?:_(?!desc-)[a-z]+-[a-zA-Z0-9]+)*"


def rows(path):
    """Rows of a TSV file as dicts of text (cached by the file's time stamp and size); ``n/a`` becomes an empty text."""
    stat = os.stat(path)
    return _rows(str(path), stat.st_mtime_ns, stat.st_size)


@cache
def _rows(path, mtime_ns, size):
    with open(path, encoding="utf-8", newline="") as file:
        return [
            {key: "" if value == "n/a" else value for key, value in row.items()}
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def root(dataset):
    """Folder of the raw files of `dataset`, as the run that is under way has it.

    It stands in a file rather than among the parameters of a job: a dataset that moved is the same dataset.
    """
    return Path(json.loads(Path(SOURCE.format(dataset=dataset)).read_text(encoding="utf-8"))["root"])


def part_of(subject, parts):
    """Part of a dataset in which `subject` is processed (``0of4``): a hash, so that it never changes."""
    number = int.from_bytes(hashlib.blake2b(str(subject).encode(), digest_size=8).digest(), "big") % parts
    return f"{number}of{parts}"


def files(root):
    """Files of a dataset's raw part: pairs of path (relative to `root`, with slashes) and `os.DirEntry`.

    Hidden files and the folders `NOT_RAW` are left out. A folder that is itself a recording (``.ds``, ``.mefd``, 4D) is
    given like a file and not entered. Links to folders are followed, as pybids does, unless they lead back to a folder
    that they lie in.
    """
    yield from _files(os.fspath(root), "", ())


def _files(folder, prefix, above):
    """Walk `folder`; `above` are the places of those links to folders that led here."""
    with os.scandir(folder) as found:
        entries = sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name)
    for entry in entries:
        path = prefix + entry.name
        if not entry.is_dir() or RECORDED.search(entry.name):
            yield path, entry
        elif entry.name not in NOT_RAW:
            if not entry.is_symlink():
                yield from _files(entry.path, path + "/", above)
                continue
            places, real = (*above, os.path.realpath(folder)), os.path.realpath(entry.path)
            if not any(f"{place}/".startswith(f"{real}/") for place in places):
                yield from _files(entry.path, path + "/", places)


def annexed(entry):
    """Key of a file that git-annex keeps (a link into ``annex/objects``), whether its content is here or not.

    `entry` is a path or an entry of `os.scandir`.
    """
    if not entry.is_symlink():
        return None
    target = os.readlink(entry).replace("\\", "/")
    return os.path.basename(target) if "annex/objects/" in target else None


def pointer(path):
    """Key that stands in place of the content of an unlocked file of git-annex; None for any other file."""
    with open(path, "rb") as file:
        start = file.read(POINTER).split(b"\n")[0]
    return os.path.basename(start).decode(errors="replace") if start.startswith(b"/annex/objects/") else None


def named(vhdr):
    """Names of the data and the marker file that stand in a BrainVision header, None where it names none."""
    with open(vhdr, "rb") as file:
        text = file.read(20_000)
    found = [
        re.search(rb"^" + key + rb"[ \t]*=[ \t]*(.+?)[ \t]*\r?$", text, re.M) for key in (b"DataFile", b"MarkerFile")
    ]
    stem = os.path.splitext(os.path.basename(vhdr))[0]
    return [each and os.fsdecode(each.group(1)).replace("$b", stem) for each in found]


def size_of(key):
    """Bytes of the content that has a `key` of git-annex (``MD5E-s1234--...``); None where the key does not say."""
    found = re.match(r"[A-Z0-9_]+(?:-[a-zA-Z]\d+)*?-s(\d+)-", key)
    return int(found.group(1)) if found else None


def digest(path, entry, known):
    """What identifies the content of a file that is here: a signal that git-annex keeps has its key and is not read.

    Parameters
    ----------
    path : str
        Relative to the dataset.
    entry : os.DirEntry
    known : dict of str to dict
        Earlier digests by path: a file with the same size, time stamp and inode is not read again.

    Returns
    -------
    dict of str to str
        `DIGESTS`.
    """
    stat = entry.stat()
    found = {"path": path, "size": str(stat.st_size), "mtime_ns": str(stat.st_mtime_ns), "inode": str(stat.st_ino)}
    key, old = annexed(entry), known.get(path, {})
    if key and not path.endswith(TABLES):
        sha256 = ""
    elif old.get("sha256") and all(old[name] == found[name] for name in ("size", "mtime_ns", "inode")):
        sha256 = old["sha256"]
    else:
        with open(entry.path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return found | {"sha256": sha256, "key": key or ""}


def tree(root, digests=None):
    """Fingerprint of a dataset's folder, on which `index` runs again.

    Tables, sidecars and headers enter by content, large signals by name, size and time stamp (`index` then decides by
    their digests, which it keeps), annexed files by their key, and what the index never opens by its name.

    Parameters
    ----------
    root : path
    digests : path, optional
        Table of digests of the last index (`DIGESTS`), if there is one already. It spares reading tables that have not
        changed. And it tells an annexed file that has yet to come from one that was dropped after it was indexed: the
        fingerprint changes when the former arrives, and stays when the latter goes or comes back.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    known = {} if digests is None or not os.path.isfile(digests) else {row["path"]: row for row in rows(digests)}
    total = hashlib.sha256()
    for path, entry in files(root):
        total.update(os.fsencode(path) + b"\0" + _identity(path, entry, known, digests is not None).encode() + b"\0")
    return total.hexdigest()[:16]


def _identity(path, entry, known, awaited):
    key, kind = annexed(entry), os.path.splitext(path)[1]
    if key:
        seen = known.get(path, {}).get("key") == key or kind not in INDEXED or os.path.exists(entry.path)
        return f"{key} absent" if awaited and not seen else key
    if entry.is_dir():
        return "folder"
    if kind not in INDEXED:
        return ""
    try:
        stat = entry.stat()
        if kind in TABLES or stat.st_size <= HEADER:
            return digest(path, entry, known)["sha256"]
    except FileNotFoundError:
        return "link without content"
    return f"{stat.st_size} {stat.st_mtime_ns}"
