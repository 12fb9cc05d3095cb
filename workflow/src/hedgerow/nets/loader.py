"""Windows of many stores as torch datasets: by index from a cache on this machine's disk, or streamed.

`Windows` is what ``hedgerow.store.Windows`` gives: a map-style dataset over a published derivative (a folder or its
URL), over a study's manifest, or over stores. Targets are joined when it is opened: they stand in the index of the
stores, in the tables of participants, and in the events. The samples of a recording come in one request when a window
of it is first asked for, and then stay in the cache: the first epoch streams, later ones read from the disk.
"""

import copy
import hashlib
import importlib
import itertools
import zipfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from hedgerow import _cache, _remote, split
from hedgerow._packed import Damaged, Packed
from hedgerow.nets import _sources


class Windows(Dataset):
    """Windows of many stores with their targets.

    Parameters
    ----------
    source : path, str, or list of path
        A published derivative (its folder or URL, with ``manifest.tsv``), a manifest (a path or URL that ends in
        ``.tsv``), or windows stores on this machine.
    selection : str, optional
        Name of the selection; may be left out where there is one.
    target : str
        What ``y`` is: ``label`` (the class of the window), or a column of the participants or of the events.
    classes : list of str, optional
        Values of the target in the order of their numbers; windows with other values are left out. By default text
        gives its distinct values, sorted, and numbers stay numbers (for a regression).
    where : dict, optional
        Values of columns of the `table` that are used: one, several, or a function that tells, e.g.
        ``{"label": "closed", "age": lambda age: age < 12}``.
    cache : path, optional
        Folder for the cache, best on a disk of this machine; by default ``HEDGEROW_CACHE`` or a folder in ``TMPDIR``.
    participants : path or str, optional
        Table of participants, where it does not stand beside the manifest.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per window: ``dataset``, ``subject``, ``rec``, the index of its store (``onset`` and ``zero`` in s,
        ``event``, ``label``, ``hed``), ``window`` (number in its store), and the columns of its participant, ``split``
        among them.
    y : torch.Tensor, shape (windows,)
        int64 numbers of `classes`, or float32.
    classes : list of str or None
    names, sfreq, tmin, positions
        Channels, rate in Hz, time of the first sample in s, and positions of the electrodes (m, in the frame of
        the 10-05 template; None where unknown).
    shape : tuple of int
        (windows, channels, samples).

    Raises
    ------
    ValueError
        No window, an unknown selection, target or column, or stores of unlike channels, rate or length.
    hedgerow.store.Unavailable, hedgerow.store.Damaged
        What cannot be had, or is not what the manifest says. Later, samples may raise these, too.

    Notes
    -----
    ``windows[3]`` is a pair of tensors: samples in µV as float32 (channels, samples), and the target.
    ``windows[[3, 14, 15]]`` is a batch of them at once, which is the fastest way; a ``DataLoader`` asks for batches by
    itself. Safe with any number of workers and ranks on a machine: they share the cache, and each store is fetched
    once.
    """

    def __init__(
        self, source, selection=None, *, target="label", classes=None, where=None, cache=None, participants=None
    ):
        self._cache = _cache.Cache(_cache.default() if cache is None else cache)
        self._stores, base = _sources.listed(source, selection)
        self._keys, self._places = self._stores["sha256"].tolist(), self._stores["place"].tolist()
        heads = self._heads()
        self.names, self.sfreq, self.samples, self.tmin, self._dtype = _sources.kind(heads, self._places)
        self.positions = heads[0].attributes["positions"]
        self._whole = self._dtype == np.float32
        self._scale = torch.from_numpy(np.array([head.array("scale") for head in heads], dtype=np.float32)[:, :, None])
        self._opened = {}
        found = _sources.with_people(_sources.rows(heads, self._places), base, participants)
        found = _sources.with_events(found, {target, *(where or {})}, self._places)
        self.table, self.classes, y = _sources.targets(_sources.chosen(found, where or {}), target, classes)
        self.y, self.target = torch.from_numpy(y), target
        self._index()

    def _index(self):
        """What access by number needs, from the table."""
        self.table = self.table.reset_index(drop=True)
        self._store = self.table["store"].map({place: n for n, place in enumerate(self._places)}).to_numpy()
        self._window = self.table["window"].to_numpy()

    @property
    def shape(self):
        return len(self), len(self.names), self.samples

    def __len__(self):
        return len(self._window)

    def __getstate__(self):
        return self.__dict__ | {"_opened": {}}

    def __repr__(self):
        people = self.table[["dataset", "subject"]].drop_duplicates()
        kinds = f"{self.target} of {', '.join(self.classes)}" if self.classes else self.target
        return (
            f"<{len(self)} windows of {len(people)} people, {len(self.names)} channels x {self.samples} samples at "
            f"{self.sfreq:g} Hz; {kinds}>"
        )

    def __getitem__(self, chosen):
        if isinstance(chosen, int | np.integer):
            number, window = int(self._store[chosen]), int(self._window[chosen])
            steps = torch.from_numpy(self._arrays([number])[0][window].copy())
            return steps if self._whole else steps.float().mul_(self._scale[number]), self.y[chosen]
        rows = np.arange(len(self))[chosen]
        stores = self._store[rows]
        return self._scaled(self._steps(stores, self._window[rows]), stores), self.y[rows]

    def __getitems__(self, chosen):
        """Pairs of a batch, as a ``DataLoader`` asks for them."""
        x, y = self[np.asarray(chosen)]
        return list(zip(x, y))

    def _steps(self, stores, windows):
        """Samples as they are kept, (rows, channels, samples)."""
        out = np.empty((len(stores), len(self.names), self.samples), self._dtype)
        for place, array, window in zip(out, self._arrays(stores.tolist()), windows.tolist()):
            place[...] = array[window]
        return out

    def _arrays(self, numbers):
        """Entry of the cache for each of the stores `numbers`; what is not there is fetched, several at a time."""
        opened = self._opened  # replaced as a whole and never changed, for several threads read at once
        try:
            return [opened[number] for number in numbers]
        except KeyError:
            pass
        wanted = set(numbers) - set(opened)
        absent = [number for number in wanted if not self._cache.has(self._keys[number])]
        if len(absent) > 1:
            with ThreadPoolExecutor(_remote.CONNECTIONS) as pool:
                list(pool.map(self._entry, absent))
        have = {
            number: opened[number] if number in opened else self._entry(number) for number in dict.fromkeys(numbers)
        }
        kept = opened if len(opened) + len(wanted) <= self._cache.most else {}
        self._opened = kept | dict(list(have.items())[: self._cache.most])
        return [have[number] for number in numbers]

    def _entry(self, number):
        return self._cache.get(self._keys[number], lambda: self.fetch(number))

    def _scaled(self, steps, stores):
        """In µV, as a tensor."""
        steps = torch.from_numpy(steps)
        return steps if self._whole else steps.float().mul_(self._scale[torch.from_numpy(stores)])

    def fetch(self, number):
        """Samples of one store as they are kept (windows, channels, samples), from where it is; the cache is not asked.

        Raises
        ------
        hedgerow.store.Unavailable, hedgerow.store.Damaged
        """
        place, size = self._places[number], int(self._stores["size"][number])
        for _ in range(2):  # what a proxy or a lossy way has spoilt may come whole the next time
            content = _remote.get(place)
            if hashlib.sha256(content).hexdigest() == self._keys[number]:
                return Packed(content, place).array("signal")
        what = f"{len(content)} bytes, not {size}" if len(content) != size else "other content"
        raise Damaged(f"{place} has {what} than its manifest says: open the manifest anew, or have it published again")

    def _heads(self):
        """Everything but the samples of each store, which for URLs is kept in one file of the cache."""
        places, sizes = self._places, self._stores["head"].astype(int).tolist()

        def head(number):
            return _remote.get(places[number], stop=sizes[number])

        if not _remote.is_url(places[0]):
            return [Packed(head(number), place) for number, place in enumerate(places)]
        key = hashlib.sha256("".join(self._keys).encode()).hexdigest()
        path = self._cache.folder / f"heads_{key[:32]}.zip"
        if not path.is_file():
            with self._cache.locked(key):
                if not path.is_file():
                    with ThreadPoolExecutor(_remote.CONNECTIONS) as pool:
                        contents = list(pool.map(head, range(len(places))))
                    for content, place in zip(contents, places):
                        Packed(content, place)  # what is damaged is not kept
                    self._cache.publish(path, lambda file: _pack(file, contents))
        with zipfile.ZipFile(path) as archive:
            return [Packed(archive.read(str(number)), place) for number, place in enumerate(places)]

    def subset(self, rows):
        """Some of the windows, as a dataset that shares everything else with this one.

        Parameters
        ----------
        rows : array_like of int or bool
            Of the `table`.
        """
        some = copy.copy(self)
        rows = np.arange(len(self))[np.asarray(rows)]
        some.table, some.y = self.table.iloc[rows], self.y[rows]
        some._index()
        return some

    def leave_out(self, *folds):
        """Two datasets: everybody else, and the people of `folds` (values of the column ``split``).

        Raises
        ------
        ValueError
            There is no such fold, or no split.
        hedgerow.split.Leak
            Somebody is on both sides.
        """
        if "split" not in self.table:
            raise ValueError("there is no column split: the study that published these windows trained no network")
        known = sorted(self.table["split"].dropna().unique())
        unknown = [fold for fold in folds if fold not in known]
        if unknown or not folds:
            raise ValueError(f"leave_out: there is no fold {unknown[:1]}; the folds are {', '.join(known)}")
        out = self.table["split"].isin(folds).to_numpy()
        own = self.table["dataset"].astype(str) + "/" + self.table["subject"].astype(str)
        person = self.table["person"].fillna(own) if "person" in self.table else own
        split.disjoint(train=set(person[~out]), test=set(person[out]))
        return self.subset(~out & self.table["split"].notna().to_numpy()), self.subset(out)

    def stream(self, batch=64, **how):
        """Batches of these windows in random order, recording by recording and without the disk: see `Stream`."""
        return Stream(self, batch, **how)

    def to_mne(self):
        """These windows as `mne.EpochsArray` (in V), with the `table` as metadata and labels as event names."""
        return _views().to_mne(self)

    def to_xarray(self):
        """These windows as `xarray.DataArray` (window, channel, time) in µV; coordinates are columns of the `table`."""
        return _views().to_xarray(self)

    def to_braindecode(self):
        """These windows as a braindecode ``BaseConcatDataset``, one dataset a recording (needs braindecode)."""
        return _views().to_braindecode(self)


class Stream(IterableDataset):
    """Batches of windows whose recordings are fetched in random order, decoded and forgotten.

    Windows of `mix` recordings at a time are dealt to batches at random, so that a batch holds several people. The
    order depends on `seed`, `epoch`, `rank` and the number of workers, and on nothing else. Give a ``DataLoader``
    ``batch_size=None``, and set `epoch` before each one.

    Parameters
    ----------
    windows : Windows
    batch : int
        Windows per batch; the last one may have fewer.
    seed, epoch : int
        Key of the order.
    mix : int
        Recordings whose windows are mixed.
    in_flight : int
        Recordings that are asked for ahead, in all workers together.
    rank, world : int
        Which part of the recordings is this process's, for training on several devices. Parts may differ in windows.

    Yields
    ------
    x : torch.Tensor float32 (batch, channels, samples)
        In µV.
    y : torch.Tensor (batch,)
    """

    def __init__(self, windows, batch=64, *, seed=1, epoch=0, mix=16, in_flight=16, rank=0, world=1):
        if min(batch, mix, in_flight) < 1 or not 0 <= rank < world:
            raise ValueError("batch, mix and in_flight must be at least 1, and rank one of 0 ... world - 1")
        self.windows, self.batch, self.seed, self.epoch = windows, batch, seed, epoch
        self.mix, self.in_flight, self.rank, self.world = mix, in_flight, rank, world

    def __iter__(self):
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        windows, part = self.windows, (self.rank * workers + worker, self.world * workers)
        order = self._random(0).permutation(np.unique(windows._store))[part[0] :: part[1]].tolist()
        rng, x, y = self._random(1 + part[0]), None, None
        for steps, stores, rows in self._groups(order, max(self.in_flight // workers, 1)):
            dealt = rng.permutation(len(rows))
            block, own = windows._scaled(steps[dealt], stores[dealt]), windows.y[rows[dealt]]
            x, y = (block, own) if x is None else (torch.cat([x, block]), torch.cat([y, own]))
            whole = len(x) // self.batch * self.batch
            yield from zip(x[:whole].split(self.batch), y[:whole].split(self.batch))
            x, y = x[whole:], y[whole:]
        if x is not None and len(x):
            yield x, y

    def _random(self, number):
        return np.random.Generator(np.random.Philox(key=[self.seed, self.epoch], counter=[0, 0, 0, number]))

    def _groups(self, order, ahead):
        """Samples, stores and rows of the windows of `mix` recordings at a time; `ahead` of them are on their way."""
        by_store = pd.Series(range(len(self.windows))).groupby(self.windows._store).indices
        with ThreadPoolExecutor(ahead) as pool:
            coming = deque((number, pool.submit(self.windows.fetch, number)) for number in order[:ahead])
            further, group = iter(order[ahead:]), []
            try:
                while coming:
                    number, future = coming.popleft()
                    steps, rows = future.result(), by_store[number]
                    for another in itertools.islice(further, 1):
                        coming.append((another, pool.submit(self.windows.fetch, another)))
                    group.append((steps[self.windows._window[rows]], np.full(len(rows), number), rows))
                    if len(group) == self.mix or not coming:
                        yield tuple(np.concatenate(parts) for parts in zip(*group))
                        group = []
            finally:
                for _, future in coming:
                    future.cancel()


def _views():
    """The module of the views: a training has no use of it, so that its rules do not depend on what it imports."""
    return importlib.import_module("hedgerow.nets.views")


def _pack(file, contents):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(str(number), content)
