"""A folder as the destination of an upload (standard library only).

Files are copied, not linked: what is published must stay as it is when the results that it came from are changed in
place. A copy is written under another name, read again and renamed: a file is there whole or not at all.
"""

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from . import sums
from ._destination import SUMS, UNFINISHED, There, again, crossing, note, owner
from .account import Stopped

#: Bytes that are copied at once.
BLOCK = 1 << 20


class Folder:
    """A folder of this machine, which need not be there yet.

    Parameters
    ----------
    path : path
    passing : tuple of str
        Names at its top that are nobody's business, e.g. those of a program that sends the folder on.
    cache : path, optional
        See `hedgerow.sums.of`; without it all that is there is read.
    threads : int
        How many files are read at a time.
    """

    def __init__(self, path, *, passing=(), cache=None, threads=4):
        self.root = Path(path)
        self.passing, self.cache, self.threads = passing, cache, threads
        self.left = []

    def __str__(self):
        return str(self.root)

    def look(self, goods):
        """What is there (`There`); of files with the size of the wanted ones the digests."""
        if not os.path.lexists(self.root):
            return There({}, set(), None, False, [])
        if not self.root.is_dir():
            return There({}, set(), None, False, [f"{self.root} is no folder: move it away, or give another path"])
        names = sums.files(self.root, self.passing)
        whose, owned, unfinished = owner(self._read)
        self.left, names = self._apart(names, {*goods.files, *owned, UNFINISHED})
        wanted = [name for name in names if name in goods.files and self._like(name, goods.files[name].size)]
        digests = sums.of(self.root, wanted, self.cache, threads=self.threads)
        across = [str(self.root / name) for name in crossing(goods.files, names)]
        refused = [
            f"{path} is in the way (a folder, file or link where there should be none): move it away"
            for path in across[:1]
        ]
        found = {name: digests.get(name) for name in names}
        return There(found, set(owned), whose, unfinished, refused)

    def begin(self, goods, owned, about):
        """Note that an upload begins: what `owned` files are there, and what is to come.

        ``about`` is a message to those who read the history of a destination, where it has one.
        """
        self.remove(self.left)
        self._write(UNFINISHED, note(goods.files, owned, goods.whose))

    def put(self, goods, names, done):
        """Copy files; ``done(number)`` is told how many are there.

        Raises
        ------
        hedgerow.account.Stopped
            The content of a file is not what its digest says, here or there.
        """
        for number, name in enumerate(names, start=1):
            self._copy(goods, name)
            done(number)

    def remove(self, names):
        """Remove files, and folders that become empty."""
        for name in names:
            path = self.root / name
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                for folder in list(path.relative_to(self.root).parents)[:-1]:
                    (self.root / folder).rmdir()

    def end(self, goods):
        """Note that all is there."""
        self.remove([UNFINISHED])

    def _apart(self, names, ours):
        """Of the `names` that are there those of copies that were never finished, and the others."""
        parts = {_part(name) for name in ours}
        return [n for n in names if n in parts], [n for n in names if n not in parts and n != UNFINISHED]

    def _read(self, name):
        path = self.root / name
        return path.read_bytes() if path.is_file() and not path.is_symlink() else None

    def _like(self, name, size):
        """Whether a file can be the wanted one: its size is, and it is no link, behind which there may be anything."""
        about = os.lstat(self.root / name)
        return stat.S_ISREG(about.st_mode) and about.st_size == size

    def _write(self, name, content):
        part = self._begun(name)
        part.write_bytes(content)
        os.replace(part, self.root / name)

    def _begun(self, name):
        """Path under which a file is written first, where nothing stands any more."""
        part = self.root / _part(name)
        part.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        return part

    def _copy(self, goods, name):
        part, total, wanted = self._begun(name), hashlib.sha256(), goods.files[name].sha256
        with goods.open(name) as source, open(part, "xb") as target:
            while block := source.read(BLOCK):
                total.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
            if hasattr(os, "posix_fadvise"):
                # so that what is read again comes from the disk
                os.posix_fadvise(target.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if total.hexdigest() != wanted:
            part.unlink()
            raise Stopped(f"{goods.tree / name} is not what {SUMS} says: {again(goods.tree)}")
        with open(part, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != wanted:
                raise Stopped(f"{self.root / name} was not written as it was sent: look after the disk, and run again")
        os.replace(part, self.root / name)


def _part(name):
    """Name of a file that is under way, beside the one that it will be."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}.{last}.part"
