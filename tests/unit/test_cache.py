"""The cache under fire: many processes, some of them killed; full disks; entries that are cut off."""

import contextlib
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT
from hedgerow import store
from hedgerow._cache import Cache, default
from served import Served
from stores import publish

KEY = "ab" + 62 * "0"

#: One rank: four workers read everything from a URL, in an order of its own; what came is told as a digest.
RANK = """
import hashlib, sys
sys.path.insert(0, {src!r})
import torch
from hedgerow import store

windows = store.Windows({url!r}, cache={cache!r})
order = torch.randperm(len(windows), generator=torch.Generator().manual_seed({rank})).tolist()
got = {{}}
batches = [order[k : k + 8] for k in range(0, len(order), 8)]
loader = torch.utils.data.DataLoader(windows, batch_sampler=batches, num_workers=4)
print("begun", flush=True)
for chosen, (x, _) in zip(batches, loader):
    got.update(zip(chosen, x))
x = torch.stack([got[k] for k in range(len(windows))])
print(hashlib.sha256(x.numpy().tobytes()).hexdigest(), flush=True)
"""


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


def test_an_entry_is_made_once_and_mapped(cache):
    made = []

    def make():
        made.append(1)
        return np.arange(12, dtype="<i2").reshape(2, 2, 3)

    for _ in range(3):
        np.testing.assert_array_equal(cache.get(KEY, make), make())
    assert len(made) == 4 and cache.has(KEY) and not cache.has("cd" + KEY[2:])
    again = pickle.loads(pickle.dumps(cache))
    np.testing.assert_array_equal(again.get(KEY, None), cache.get(KEY, None))
    assert not again.get(KEY, None).flags.writeable
    assert oct(cache.folder.stat().st_mode)[-3:] == "700"


def test_a_failed_making_leaves_nothing_and_lets_go(cache):
    def fails():
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        cache.get(KEY, fails)
    assert not list(cache.folder.rglob("*.tmp"))
    assert cache.get(KEY, lambda: np.ones((1, 1, 1))).shape == (1, 1, 1)


def test_what_a_killed_process_left_is_removed(cache):
    left = cache.path(KEY).with_name(f"{KEY}.123-4.tmp")
    left.parent.mkdir()
    left.write_bytes(b"half")
    cache.get(KEY, lambda: np.ones((1, 1, 1)))
    assert not left.exists()


def test_an_entry_that_was_cut_off_is_named(cache):
    cache.get(KEY, lambda: np.ones((3, 4, 5)))
    path = cache.path(KEY)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(store.Damaged, match=rf"{path.name} is damaged .*delete it, and it is made again"):
        Cache(cache.folder).get(KEY, None)


def test_a_folder_that_cannot_be_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/cache cannot hold the cache .*name another folder"):
        Cache(tmp_path / "file/cache")
    monkeypatch.setattr("hedgerow._cache._user", lambda: 12345)
    with pytest.raises(PermissionError, match="another user"):
        Cache(tmp_path / "mine")
    monkeypatch.delenv("HEDGEROW_CACHE", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert default() == tmp_path / "hedgerow-12345"
    monkeypatch.setenv("HEDGEROW_CACHE", "/scratch/x")
    assert default() == Path("/scratch/x")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("no right to mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_told_and_holds_no_half_entry(tmp_path, small_disk):
    pytest.importorskip("torch")
    held = publish(tmp_path / "a", people=6, windows=200, shape=(4, 50))
    windows = store.Windows(tmp_path / "a", cache=small_disk / "cache")
    with pytest.raises(
        OSError, match=r"the cache .*disk/cache is full \(No space left.*\): make room, name another, or"
    ):
        windows[:]
    kept = list(small_disk.rglob("*.npy"))
    assert 0 < len(kept) < 6 and not list(small_disk.rglob("*.tmp"))
    number = next(k for k, key in enumerate(windows._keys) if key == kept[0].stem)
    rows = np.flatnonzero(windows._store == number)
    np.testing.assert_array_equal(windows[rows][0].numpy(), held[f"{number + 1:02}"])
    # the store itself, too
    with pytest.raises(OSError, match=r"cannot be written .*make room there"):
        publish(small_disk / "b", people=1, windows=2000, shape=(4, 50))
    assert not [path for path in (small_disk / "b").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of 40 stores, and the digest of all that they hold."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("made")
    held = publish(folder, people=40, windows=6, shape=(8, 100))
    x = np.concatenate([held[subject] for subject in sorted(held)])
    return folder, hashlib.sha256(x.tobytes()).hexdigest()


class TestProcesses:
    def _rank(self, server, cache, rank):
        code = RANK.format(src=str(ROOT / "workflow/src"), url=server.url, cache=str(cache), rank=rank)
        command = [sys.executable, "-c", code]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def test_four_workers_of_two_ranks_fetch_each_store_once(self, made, tmp_path):
        folder, wanted = made
        with Served(folder, delay=0.005) as server:
            ranks = [self._rank(server, tmp_path / "cache", rank) for rank in (1, 2)]
            told = [rank.communicate(timeout=120)[0].split() for rank in ranks]
            assert told == [["begun", wanted]] * 2
            # twice: its head, by one rank, and the whole, by one worker of either
            assert sorted(server.requests[name] for name in server.requests if name.endswith(".zip")) == [2] * 40
        assert not list((tmp_path / "cache").rglob("*.tmp")) and len(list((tmp_path / "cache").rglob("*.npy"))) == 40

    def test_nothing_is_torn_or_lost_where_one_is_killed_twice(self, made, tmp_path):
        folder, wanted = made
        cache = tmp_path / "cache"
        with Served(folder, delay=0.03) as server:
            other = self._rank(server, cache, 1)
            for least in (1, 12):
                killed = self._rank(server, cache, 2)
                while len(list(cache.rglob("*.npy"))) < least:
                    time.sleep(0.002)
                # no word to anybody: the rank and its workers, in the middle of what they write
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(killed.pid, signal.SIGKILL)
                killed.wait()
                killed.stdout.close()
            last = self._rank(server, cache, 2)
            assert other.communicate(timeout=120)[0].split() == ["begun", wanted]
            assert last.communicate(timeout=120)[0].split() == ["begun", wanted]
            whole = [server.requests[name] for name in server.requests if name.endswith(".zip")]
        # a head each, the whole, and once more what a killed one had asked for
        assert len(whole) == 40 and max(whole) <= 4 and sum(whole) < 40 * 3
        assert len(list(cache.rglob("*.npy"))) == 40
        for path in cache.rglob("*.npy"):
            assert np.load(path, mmap_mode="r").shape[1:] == (8, 100)
