"""Windows of stores as memory-mapped files on this machine's own disk, shared by all processes that read them.

An entry is named by the sha256 of its store, so that studies and versions share it, and is there whole or not at all:
it is written under another name, and renamed. Whoever makes an entry holds a lock, which the system takes back when
its holder dies, so that each store is fetched once however many processes want it.
"""

import contextlib
import os
import tempfile
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from hedgerow._packed import FULL, Damaged

#: Folder of the files that keep the processes apart: a store has the one that the first two digits of its digest name.
LOCKS = "locks"


def default():
    """Folder for the cache: ``HEDGEROW_CACHE``, or one of this user in the folder for temporary files (``TMPDIR``)."""
    named = os.environ.get("HEDGEROW_CACHE")
    return Path(named) if named else Path(tempfile.gettempdir(), f"hedgerow-{_user()}")


def _user():
    """Number of this user; 0 where users have none (Windows)."""
    return os.getuid() if hasattr(os, "getuid") else 0


def _most():
    """How many files may stay mapped, for a mapping holds a file open: a quarter of those that a process may have."""
    try:
        import resource
    except ImportError:  # Windows
        return 128
    return max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4, 16)


class Cache:
    """Entries of a folder.

    Parameters
    ----------
    folder : path
        Made where it is not there, for this user alone.

    Raises
    ------
    OSError
        The folder cannot be made, or is another user's.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self.folder.mkdir(exist_ok=True, mode=0o700)
            (self.folder / LOCKS).mkdir(exist_ok=True)
        except OSError as error:
            text = f"{self.folder} cannot hold the cache ({error.strerror}): name another folder"
            raise OSError(error.errno, text) from None
        if self.folder.stat().st_uid != _user():
            raise PermissionError(f"{self.folder} is another user's: name another folder for the cache")
        self._mapped, self.most = OrderedDict(), _most()

    def __getstate__(self):
        return {"folder": self.folder}

    def __setstate__(self, state):
        self.folder, self._mapped, self.most = state["folder"], OrderedDict(), _most()

    def path(self, key):
        """Where the entry of a store with sha256 `key` is, or would be."""
        return self.folder / key[:2] / f"{key}.npy"

    def has(self, key):
        """Whether an entry is there."""
        return key in self._mapped or self.path(key).is_file()

    def get(self, key, make):
        """An entry, mapped into memory; those used last stay mapped.

        Parameters
        ----------
        key : str
            sha256 of the store.
        make : callable
            Gives the array of an entry that is not there; called in one process and thread at a time.

        Returns
        -------
        ndarray
            Read-only.

        Raises
        ------
        Damaged
            The entry was cut off or overwritten.
        OSError
            The disk is full, or knows no locks.
        """
        found = self._mapped.get(key)
        if found is not None:
            with contextlib.suppress(KeyError):  # another thread may have dropped it
                self._mapped.move_to_end(key)
            return found
        path = self.path(key)
        if not path.is_file():
            self._make(path, key, make)
        try:
            found = np.load(path, mmap_mode="r").view(np.ndarray)
        except (ValueError, EOFError, OSError) as error:
            raise Damaged(f"{path} is damaged ({error}): delete it, and it is made again") from None
        self._mapped[key] = found
        while len(self._mapped) > self.most:
            self._mapped.popitem(last=False)
        return found

    def _make(self, path, key, make):
        with self.locked(key):
            if path.is_file():
                return
            path.parent.mkdir(exist_ok=True)
            # what somebody was killed over; nobody else writes this entry now
            for left in path.parent.glob(f"{key}.*.tmp"):
                left.unlink()
            self.publish(path, lambda file: _save(file, make()))

    @contextlib.contextmanager
    def locked(self, key):
        """Alone among all threads and processes with what `key` names."""
        from filelock import FileLock

        lock = FileLock(self.folder / LOCKS / f"{key[:2]}.lock", thread_local=False)
        try:
            lock.acquire()
        except NotImplementedError:
            raise OSError(f"{self.folder} is on a file system without locks: name a folder of this machine") from None
        try:
            yield
        finally:
            lock.release()

    def publish(self, path, write):
        """Have `write(file)` write a file that is then there, whole, as `path`."""
        scratch = path.with_name(f"{path.stem}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            with scratch.open("wb") as file:
                write(file)
            os.replace(scratch, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                scratch.unlink()
            if isinstance(error, OSError) and error.errno in FULL:
                text = f"the cache {self.folder} is full ({error.strerror}): make room, name another, or stream()"
                raise OSError(error.errno, text) from None
            raise


def _save(file, array):
    """As `numpy.save`, which does not say why it could not write."""
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)
