"""Batches of windows, read while the last ones are computed with."""

import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from torch.utils.data import DataLoader

#: Batches that are ready or on their way.
AHEAD = 4


def take(X, rows):
    """Windows `rows` of `X` as a float32 tensor (rows, channels, samples).

    Parameters
    ----------
    X : array_like, shape (windows, channels, samples)
        An array, or a dataset that gives windows, or pairs of windows and targets, for an array of indices.
    rows : ndarray of int
    """
    found = X[rows]
    found = found[0] if isinstance(found, tuple) else found
    if isinstance(found, torch.Tensor):
        return found.float()
    return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))


class Feed:
    """Batches in the order of a plan, a few of them read ahead.

    Parameters
    ----------
    X
        As for `take`.
    plan : callable
        Gives an iterator of (rows, size), the same each time it is called.
    device : str
        Where the batches will go: for a GPU they are put in page-locked memory.
    workers : int
        Processes that read; 0: a thread of this one.

    Yields
    ------
    x : torch.Tensor (rows, channels, samples)
    rows : ndarray of int
    size : int

    Attributes
    ----------
    waited : float
        Seconds for which batches were waited for.
    """

    def __init__(self, X, plan, device, workers=0):
        self.X, self.plan, self.workers = X, plan, workers
        self.pinned = not device.startswith("cpu")
        self.waited = 0.0

    def __iter__(self):
        batches = self._processes() if self.workers else self._thread()
        for rows, size in self.plan():
            began = time.monotonic()
            x = next(batches)
            self.waited += time.monotonic() - began
            yield x, rows, size

    def _processes(self):
        sampler = _Rows(self.plan)
        return iter(
            DataLoader(
                _Windows(self.X), batch_size=None, sampler=sampler, num_workers=self.workers, pin_memory=self.pinned,
                prefetch_factor=AHEAD,
            )
        )  # fmt: skip

    def _thread(self):
        plan = iter(_Rows(self.plan))
        with ThreadPoolExecutor(1) as pool:
            coming = deque(pool.submit(self._read, rows) for rows in islice(plan, AHEAD))
            try:
                while coming:
                    x = coming.popleft().result()
                    coming.extend(pool.submit(self._read, rows) for rows in islice(plan, 1))
                    yield x
            finally:
                for future in coming:
                    future.cancel()

    def _read(self, rows):
        x = take(self.X, rows)
        return x.pin_memory() if self.pinned else x


class _Rows:
    """The rows of each batch of a plan, as a sampler."""

    def __init__(self, plan):
        self.plan = plan

    def __iter__(self):
        return (rows for rows, _ in self.plan())


class _Windows:
    """A dataset whose index is an array of rows: a batch at once."""

    def __init__(self, X):
        self.X = X

    def __getitem__(self, rows):
        return take(self.X, rows)
