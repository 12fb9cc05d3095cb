"""Digests of the files of a tree, as ``sha256sum --check`` reads them (standard library only).

A table of sums has a line ``<64 hexadecimal digits>  <path>`` per file, sorted by path, with paths relative to the root
of the tree. A cache spares reading what has not changed; `compare` has none, for rot changes no time stamp.
"""

import errno
import hashlib
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path

#: Where a published derivative keeps the table of its own files.
TABLE = "code/sha256sums"
#: Columns of a cache.
KNOWN = ("path", "size", "mtime_ns", "inode", "sha256")
#: What ``sha256sum`` writes in another way, or takes for something else.
REFUSED = re.compile(r"[\\\n\r\t]|^-$")
#: How names are written: one that is no UTF-8 keeps its bytes.
TEXT = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
#: Files that a thread takes at once.
CHUNK = 64


def of(root, names, cache=None, *, threads=4):
    """Digests of files.

    Parameters
    ----------
    root : path
    names : iterable of str
        Paths below `root`, with slashes.
    cache : path, optional
        Table (`KNOWN`) that the last call left there: a file with the same size, time stamp and inode is not read
        again. It is written anew, whole or not at all, also when a fault ends the call.
    threads : int
        How many files are read at a time.

    Returns
    -------
    dict of str to str
        sha256 as 64 hexadecimal digits, in the order of `names`.

    Raises
    ------
    OSError
        A file is not there or cannot be read.
    ValueError
        A name that no table of sums can hold.
    """
    names = list(names)
    for name in names:
        _check(name)
    known, found = {} if cache is None else _known(cache), {}
    try:
        for name, entry in zip(names, read_all(root, names, known, threads=threads)):
            if isinstance(entry, OSError):
                raise entry
            found[name] = entry
    finally:
        if cache is not None:
            _keep(cache, {name: found.get(name) or known[name] for name in names if name in found or name in known})
    return {name: entry[-1] for name, entry in found.items()}


def write(path, digests):
    """Write a table of sums, whole or not at all.

    Parameters
    ----------
    path : path
    digests : dict of str to str
        sha256 by path relative to the root of the tree.

    Raises
    ------
    ValueError
        A path holds a backslash, a tab or the end of a line, or is ``-``: `sha256sum` writes or reads it otherwise.
    """
    for name in digests:
        _check(name)
    replace(path, (f"{digests[name]}  {name}\n" for name in sorted(digests)))


def read(path):
    """Read a table of sums.

    Returns
    -------
    dict of str to str
        sha256 by path.

    Raises
    ------
    ValueError
        A line is no sum, leads out of the tree or is there twice: names file and line.
    """
    digests = {}
    with open(path, **TEXT) as file:
        for number, line in enumerate(file, start=1):
            found = re.fullmatch(r"([0-9a-f]{64})  ([^\\\r\t\n]+)\n", line)
            if not found:
                raise ValueError(
                    f"{path}, line {number} is no sha256 with two spaces and a path: it was changed or cut short; "
                    "get the table anew, or make it anew"
                )
            digest, name = found.groups()
            if name.startswith("/") or ".." in name.split("/"):
                raise ValueError(f"{path}, line {number}: {name} is not below the tree; get the table anew")
            if name in digests:
                raise ValueError(f"{path}, line {number}: {name} is there twice; get the table anew")
            digests[name] = digest
    return digests


def compare(root, digests, ignore=(), *, threads=4):
    """Hold a tree against its sums; every byte is read.

    Parameters
    ----------
    root : path
    digests : dict of str to str
        sha256 by path.
    ignore : iterable of str
        Further files that may be there: their paths, patterns of these (``*.log``), or folders.
    threads : int
        How many files are read at a time.

    Returns
    -------
    dict of str to list of str
        Paths that are ``missing``, ``changed`` (also: that cannot be read) and ``added``, each sorted.
    """
    found = {"missing": [], "changed": [], "added": []}
    names = sorted(digests)
    for name, entry in zip(names, read_all(root, names, threads=threads)):
        if isinstance(entry, FileNotFoundError):
            found["missing"].append(name)
        elif isinstance(entry, OSError) or entry[-1] != digests[name]:
            found["changed"].append(name)
    found["added"] = [name for name in files(root, ignore) if name not in digests]
    return found


def files(root, ignore=()):
    """Paths of all files below `root`, sorted, but those that `ignore` names (see `compare`).

    A link to a folder is given like a file and not entered: no tree of ours has one.
    """
    return sorted(_files(os.fspath(root), "", tuple(ignore)))


def _files(folder, prefix, ignore):
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if any(name == each or fnmatchcase(name, each) for each in ignore):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, name + "/", ignore)
            else:
                yield name


def read_all(root, names, known=None, *, threads=4):
    """What identifies each file, by threads, in the order of `names`.

    Yields
    ------
    tuple of str, or OSError
        `KNOWN` without the path; what kept the file from being read (FileNotFoundError where there is none).
    """
    names, root, known, linked = list(names), os.fspath(root), known or {}, {}
    chunks = [names[first : first + CHUNK] for first in range(0, len(names), CHUNK)]
    pool = ThreadPoolExecutor(threads)
    try:
        for entries in pool.map(lambda chunk: [_entry(root, name, known.get(name), linked) for name in chunk], chunks):
            yield from entries
    finally:
        pool.shutdown(cancel_futures=True)


def _entry(root, name, old, linked):
    """Size, time stamp, inode and sha256 of a file as text; `linked` are files of several names that were read."""
    path = os.path.join(root, name)
    try:
        about = os.stat(path)
        # a pipe would wait for a writer
        if not stat.S_ISREG(about.st_mode):
            return FileNotFoundError(errno.ENOENT, "no file", path)
        if old and old[:3] == _when(about):
            return old
        with open(path, "rb") as file:
            about = os.fstat(file.fileno())
            found = _when(about)
            same = (about.st_dev, *found)
            sha256 = linked.get(same) or hashlib.file_digest(file, "sha256").hexdigest()
            if about.st_nlink > 1:
                linked[same] = sha256
            return (*found, sha256)
    except NotADirectoryError:
        return FileNotFoundError(errno.ENOENT, "no file", path)
    except OSError as error:
        return error


def _when(about):
    return str(about.st_size), str(about.st_mtime_ns), str(about.st_ino)


def replace(path, lines):
    """Write `lines` of text to `path`, whole or not at all."""
    scratch = Path(f"{path}.tmp")
    scratch.parent.mkdir(parents=True, exist_ok=True)
    with open(scratch, "w", **TEXT) as file:
        file.writelines(lines)
    os.replace(scratch, path)


def _check(name):
    if REFUSED.search(name):
        raise ValueError(f"{name!r} is a name that no table of sha256sum can hold as it is: rename the file")


def _known(cache):
    """Entries of a cache by path; a line that is none is passed over, for it only spares work."""
    try:
        with open(cache, **TEXT) as file:
            lines = [line.rstrip("\n").split("\t") for line in file]
    except FileNotFoundError:
        return {}
    return {line[0]: tuple(line[1:]) for line in lines[1:] if len(line) == len(KNOWN) and len(line[-1]) == 64}


def _keep(cache, entries):
    replace(cache, ("\t".join(line) + "\n" for line in (KNOWN, *((name, *entries[name]) for name in sorted(entries)))))
