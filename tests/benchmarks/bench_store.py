"""Windows stores against other layouts: writing and size, random reads on this machine, reads over HTTP.

One data set in one run, one thread, seeded, prints Markdown: ``python tests/benchmarks/bench_store.py [--peers VENV]
[--folder DIR]``. VENV is an environment of tests/benchmarks/peers-store.txt, whose packages are found behind those of
the lock; what is missing is said. All layouts are written into a new folder in DIR (by default the one for temporary
files), 3 GB in all, which is deleted in the end.

The data are 20,007 windows of 24 channels and 256 samples (128 Hz, band-limited noise), 247 recordings of 81. HTTP is a
server in a process of its own on this machine, which waits 20 ms before each answer; clients have at most 16 requests
under way. What takes long is done with some of the windows, drawn at random, and says with how many.
"""

import argparse
import importlib.metadata
import importlib.util
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from served import Served

PEERS = Path(__file__).resolve().parents[2] / "build" / "peers-store"
RECORDINGS, EACH, SHAPE, SFREQ = 247, 81, (24, 256), 128.0
TOTAL = RECORDINGS * EACH
BATCH, DELAY, IN_FLIGHT = 64, 0.02, 16
# layouts
OURS, INTS, FLOATS = "ours: stores and manifest", "one .npy, int16", "one .npy, float32"
BRAINDECODE, HDF5, TARS = "Zarr, float32, as braindecode's hub", "HDF5, int16", "WebDataset, int16"
# what readers give
STEPS, TENSORS, LOADER = "int16 steps", "tensors in µV", "pairs of a DataLoader"
IN_SEQUENCE = "in sequence, shuffled among 1,000"
SLOW = (BRAINDECODE, HDF5, f"{TARS}, {IN_SEQUENCE}")
STREAM = "ours, streamed in random order"
PACKAGES = ("numpy", "torch", "zarr", "numcodecs", "h5py", "webdataset", "fsspec", "aiohttp")


def signals():
    """All windows in µV, float32."""
    from scipy.signal import butter, lfilter

    rng, (b, a) = np.random.default_rng(1), butter(2, [1, 40], "bandpass", fs=SFREQ)
    x = np.empty((TOTAL, *SHAPE), np.float32)
    for part in np.split(x, RECORDINGS):
        part[...] = lfilter(b, a, rng.standard_normal(part.shape, dtype=np.float32)) * 15
    return x


# A layout is written by ``write_<layout>(folder, recordings)``, of which each is (81, 24, 256), and returns nothing.


def write_ours(folder, recordings):
    import pandas as pd

    from hedgerow import store, table

    onset, paths = np.arange(EACH) * 2.0, []
    label = np.array(["closed", "open", "blink"])[np.arange(EACH) % 3]
    index = {"onset": onset, "event": np.arange(EACH), "label": label, "zero": onset}
    index = pd.DataFrame(index | {"hed": [f"Sensory-event, (Task, Label/{name})" for name in label]})
    for number, signal in enumerate(recordings):
        stem = f"sub-{number:03}/eeg/sub-{number:03}_task-rest"
        path = folder / f"{stem}_desc-eyes_windows.zarr.zip"
        path.parent.mkdir(parents=True)
        attrs = {"dataset": "made", "subject": f"{number:03}", "rec": stem, "selection": "eyes"}
        names = [f"E{channel}" for channel in range(1, SHAPE[0] + 1)]
        store.write(
            path, signal, index, names=names, sfreq=SFREQ, tmin=0.0, attrs=attrs | {"account": {"status": "ok"}}
        )
        paths.append(path)
    table.write(folder / "manifest.tsv", store.manifest(paths, folder))
    people = [f"sub-{number:03}" for number in range(RECORDINGS)]
    table.write(folder / "participants.tsv", pd.DataFrame({"participant_id": people}))


def steps(signal):
    """As int16 in steps of a channel's largest value in the recording over 32767, as a store keeps them."""
    scale = np.abs(signal).max(axis=(0, 2), keepdims=True).astype(float) / 32767
    return np.rint(signal / scale).astype(np.int16), scale[0]


def write_ints(folder, recordings):
    out = np.lib.format.open_memmap(folder / "signal.npy", "w+", np.int16, (TOTAL, *SHAPE))
    scales = []
    for place, signal in zip(np.split(out, RECORDINGS), recordings):
        place[...], scale = steps(signal)
        scales.append(scale)
    np.save(folder / "scale.npy", np.array(scales, np.float32))


def write_floats(folder, recordings):
    out = np.lib.format.open_memmap(folder / "signal.npy", "w+", np.float32, (TOTAL, *SHAPE))
    for place, signal in zip(np.split(out, RECORDINGS), recordings):
        place[...] = signal


def write_braindecode(folder, recordings):
    """A group a recording: an array of one window a chunk under zstd, level 5 (there called blosc), and a table."""
    import zarr

    table = "\ti_window_in_trial\ti_start_in_trial\ti_stop_in_trial\ttarget\n"
    table += "".join(f"{n}\t0\t{n * 256}\t{(n + 1) * 256}\t{n % 3}\n" for n in range(EACH))
    root = zarr.open_group(folder / "dataset.zarr", mode="w", zarr_format=3)
    for number, signal in enumerate(recordings):
        group = root.create_group(f"recording_{number}")
        kind = {"chunks": (1, *SHAPE), "compressors": [zarr.codecs.ZstdCodec(level=5)]}
        group.create_array("data", data=signal, **kind)
        (folder / f"dataset.zarr/recording_{number}/metadata.tsv").write_text(table)


def write_hdf5(folder, recordings):
    import h5py

    with h5py.File(folder / "signal.h5", "w") as file:
        kind = {"chunks": (1, *SHAPE), "dtype": np.int16}
        out, scale = file.create_dataset("signal", (TOTAL, *SHAPE), **kind), []
        for number, signal in enumerate(recordings):
            out[number * EACH : (number + 1) * EACH], own = steps(signal)
            scale.append(own)
        file["scale"] = np.array(scale, np.float32)


def write_tars(folder, recordings):
    """Shards of about a thousand windows, an .npy each."""
    import webdataset

    with webdataset.ShardWriter(str(folder / "shard-%04d.tar"), maxcount=1000, verbose=0) as file:
        for number, signal in enumerate(recordings):
            for window, one in enumerate(steps(signal)[0]):
                file.write({"__key__": f"{number:03}-{window:02}", "npy": one, "cls": window % 3})


LAYOUTS = {
    OURS: write_ours,
    INTS: write_ints,
    FLOATS: write_floats,
    BRAINDECODE: write_braindecode,
    HDF5: write_hdf5,
    TARS: write_tars,
}


def cpu():
    """CPU seconds of this process and of those that it waited for."""
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def written(folder):
    """Folders of the layouts that could be written, by name, and what writing took; why others could not."""
    x, places, rows = signals(), {}, []
    for what, write in LAYOUTS.items():
        own, began = folder / write.__name__.removeprefix("write_"), cpu()
        own.mkdir(parents=True)
        try:
            write(own, np.split(x, RECORDINGS))
        except ImportError as error:
            rows.append((what, f"{error.name} is missing", "", "", ""))
            continue
        spent, found = cpu() - began, list(own.rglob("*"))
        sizes = [path.stat().st_size for path in found if path.is_file()]
        rows.append((what, f"{spent:.1f}", f"{len(sizes):,}", f"{len(found):,}", f"{sum(sizes) / 1e6:.0f}"))
        places[what] = own
    return places, rows


# Readers are given all numbers of windows in random batches, read some or all of them, and tell how many they read.


def by_batch(read, most=None):
    """Reader that has `read` read batch by batch."""

    def reader(order):
        for batch in order[:most]:
            read(batch)
        return sum(map(len, order[:most]))

    return reader


def loader(dataset):
    """Reader by torch's DataLoader, which draws an order of its own."""
    from torch.utils.data import DataLoader

    return lambda _: sum(len(y) for _, y in DataLoader(dataset, batch_size=BATCH, shuffle=True))


class Plain:
    """What one writes by hand over a memmap."""

    def __init__(self, array):
        self.array, self.y = array, np.arange(len(array)) % 3

    def __len__(self):
        return len(self.array)

    def __getitem__(self, number):
        return self.array[number].copy(), self.y[number]


def readers(places, windows):
    """Readers by kind of what they give and by name, the raw memmap first."""
    import torch

    # views of the same memory: numpy's own class takes time with every window
    ints, floats = (np.load(places[what] / "signal.npy", mmap_mode="r").view(np.ndarray) for what in (INTS, FLOATS))
    scale = torch.from_numpy(np.load(places[INTS] / "scale.npy"))

    def kept(batch):
        return windows._steps(windows._store[batch], windows._window[batch])

    def scaled(batch):
        return torch.from_numpy(ints[batch]).float().mul_(scale[torch.from_numpy(batch // EACH)])

    some = np.arange(90, 5000, 77)
    assert np.array_equal(kept(some), ints[some]) and torch.equal(windows[some][0], scaled(some))
    found = {
        STEPS: {
            "raw memmap": by_batch(lambda batch: ints[batch]),
            "ours": by_batch(kept),
        },
        TENSORS: {
            "raw memmap, float32": by_batch(lambda batch: torch.from_numpy(floats[batch])),
            "raw memmap, int16, scaled by torch": by_batch(scaled),
            "ours": by_batch(windows.__getitem__),
        },
        LOADER: {"raw memmap, float32, window by window": loader(Plain(floats)), "ours": loader(windows)},
    }
    if HDF5 in places:
        import h5py

        array = h5py.File(places[HDF5] / "signal.h5")["signal"]
        found[STEPS][HDF5] = by_batch(lambda batch: np.stack([array[number] for number in batch]))
    if TARS in places:
        shards = sorted(map(str, places[TARS].glob("*.tar")))
        found[STEPS][SLOW[-1]] = lambda _: shuffled(shards)
    chunks = arrays(places[BRAINDECODE] / "dataset.zarr")
    one = by_batch(lambda batch: np.stack([chunks[number // EACH][number % EACH] for number in batch]), 32)
    found[TENSORS][BRAINDECODE] = one
    return found


def arrays(place):
    """Arrays of all recordings in the layout of braindecode's hub."""
    import zarr

    root = zarr.open_group(place, mode="r")
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        return list(pool.map(lambda number: root[f"recording_{number}/data"], range(RECORDINGS)))


def shuffled(shards):
    """How many windows WebDataset reads from shards."""
    import webdataset

    found = webdataset.WebDataset(shards, shardshuffle=False).shuffle(1000).decode()
    return sum(len(y) for _, y in found.to_tuple("npy", "cls").batched(BATCH))


def spend(work):
    """Windows that `work` read, and the wall and CPU seconds that it took for each."""
    wall, spent = time.perf_counter(), cpu()
    count = work()
    return count, np.array([time.perf_counter() - wall, cpu() - spent]) / count


def local(places, folder, rounds=25):
    """Rows of random reads on this machine, and how many times the CPU seconds of a raw memmap ours took, by kind."""
    from hedgerow import store

    rng, windows = np.random.default_rng(2), store.Windows(places[OURS], cache=folder / "cache")

    def order():
        return np.split(rng.permutation(TOTAL), range(BATCH, TOTAL, BATCH))

    cold = spend(lambda: by_batch(windows.__getitem__)(order()))[1]
    found, least = readers(places, windows), {}
    for number in range(rounds):
        same = order()
        for kind, some in found.items():
            for how, read in some.items():
                # all are read in turn, what takes long twice alone
                if number < 2 or how not in SLOW:
                    took = spend(lambda read=read, same=same: read(same))[1]
                    least[kind, how] = np.minimum(least.get((kind, how), np.inf), took)
    least[TENSORS, "ours, first epoch, which makes the cache"] = cold
    first = {kind: least[kind, next(iter(some))] for kind, some in found.items()}
    rows = [
        (kind, how, f"{1 / took[0]:,.0f}", f"{TOTAL * took[1]:.3g}", f"{took[1] / first[kind][1]:.2f}")
        for (kind, how), took in sorted(least.items(), key=lambda item: list(found).index(item[0][0]))
    ]
    return rows, {kind: least[kind, "ours"][1] / first[kind][1] for kind in found}


class Quick(Served):
    """A server that reads no more of a file than is asked for, and does not hold the rest of an answer back."""

    def __init__(self, *args):
        super().__init__(*args)
        self._server.RequestHandlerClass.disable_nagle_algorithm = True

    def _answer(self, request, path, fault):
        asked = request.headers.get("Range")
        if not asked or not path.is_file():
            super()._answer(request, path, fault)
            return
        first, _, last = asked.removeprefix("bytes=").partition("-")
        with path.open("rb") as file:
            file.seek(int(first))
            content = file.read(int(last) + 1 - int(first) if last else -1)
        request.send_response(206)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)
        self.sent += len(content)


def serve(folder, pipe):
    """Serve a folder; when asked, tell what was asked for since it was last told."""
    with Quick(folder, DELAY) as server:
        pipe.send(server.url)
        while pipe.recv():
            pipe.send((server.requests.total(), server.sent, server.most))
            server.requests.clear()
            server.sent = server.most = 0


def remotes(places, folder, url):
    """What is read over HTTP, one after the other: names, and functions that tell how many windows they have read."""
    from hedgerow import _remote, store

    opened, order = [], np.random.default_rng(3).permutation(TOTAL)
    some, order = order[: 32 * BATCH], np.split(order, range(BATCH, TOTAL, BATCH))
    here, size = {what: f"{url}/{place.name}" for what, place in places.items()}, 2 * int(np.prod(SHAPE))
    pool = ThreadPoolExecutor(IN_FLIGHT)

    def ours():
        opened.append(store.Windows(here[OURS], cache=folder / "remote"))
        return 0

    yield "ours, opened for the first time", ours
    yield "ours, opened again", ours
    windows = opened[-1]
    yield STREAM, lambda: sum(len(y) for _, y in windows.stream(BATCH, in_flight=IN_FLIGHT))
    yield "ours, first epoch in random order, which makes the cache", lambda: by_batch(windows.__getitem__)(order)
    yield "ours, second epoch", lambda: by_batch(windows.__getitem__)(order)

    def ranged(first, count=1):
        start = 128 + int(first) * size
        content = _remote.get(f"{here[INTS]}/signal.npy", start=start, stop=start + count * size)
        return len(np.frombuffer(content, np.int16)) * 2 // size

    yield f"{INTS}, a range a recording", lambda: sum(pool.map(ranged, range(0, TOTAL, EACH), [EACH] * RECORDINGS))
    yield f"{INTS}, a range a window", lambda: sum(pool.map(ranged, some))
    if TARS in places:
        shards = [f"pipe:curl -s {here[TARS]}/{path.name}" for path in sorted(places[TARS].glob("*.tar"))]
        yield f"{TARS}, {IN_SEQUENCE}, by curl", lambda: shuffled(shards)
    if not importlib.util.find_spec("aiohttp"):
        return
    if HDF5 in places:
        yield f"{HDF5}, by fsspec", lambda: hdf5(f"{here[HDF5]}/signal.h5", some[:128].tolist())

    def groups():
        opened.append(arrays(f"{here[BRAINDECODE]}/dataset.zarr"))
        return 0

    def chunk(number):
        return opened[-1][number // EACH][number % EACH]

    yield f"{BRAINDECODE}, its arrays opened", groups
    yield f"{BRAINDECODE}, a chunk a window", lambda: len(list(pool.map(chunk, some)))


def hdf5(url, numbers):
    """How many windows of an HDF5 file are read from a URL, one after the other as its library has it."""
    import fsspec
    import h5py

    # of fsspec's caches the one that was fastest
    with fsspec.open(url, cache_type="bytes", block_size=65536) as file:
        array = h5py.File(file)["signal"]
        return len([array[number] for number in numbers])


def remote(places, folder):
    """Rows of reads over HTTP, and windows/s by name."""
    spawn = multiprocessing.get_context("spawn")
    pipe, other = spawn.Pipe()
    spawn.Process(target=serve, args=(folder, other), daemon=True).start()
    rows, rate = [], {}
    for what, work in remotes(places, folder, pipe.recv()):
        wall, spent, count = time.perf_counter(), cpu(), work()
        wall, spent = time.perf_counter() - wall, cpu() - spent
        pipe.send(True)
        asked, sent, most = pipe.recv()
        rate[what] = count / wall
        kept = (f"{count:,}", f"{count / wall:,.0f}") if count else ("", "")
        rows.append((what, *kept, f"{wall:.2f}", f"{spent:.2f}", f"{asked:,}", f"{sent / 1e6:.1f}", most))
    pipe.send(False)
    return rows, rate


def table(title, columns, rows):
    print(f"\n**{title}**\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def main(folder):
    """Write, read, and print all tables."""
    places, size = written(folder)
    here, slower = local(places, folder)
    there, rate = remote(places, folder)
    known = {found.name: found.version for found in importlib.metadata.distributions()}
    told = (f"{name} {known.get(name, 'missing')}" for name in PACKAGES)
    print(f"Python {platform.python_version()}, {', '.join(told)}\n")
    for kind, ratio in slower.items():
        print(f"- random reads, {kind}: {ratio:.2f} times the CPU s of a raw memmap (goal 2: {_reached(ratio <= 2)})")
    print(f"- streaming: {rate[STREAM]:,.0f} windows/s (goal 5,000: {_reached(rate[STREAM] >= 5000)})")
    table("Writing and size", ["layout", "CPU s", "files", "files and folders", "MB"], size)
    columns = ["what is given", "from", "windows/s", "CPU s an epoch", "times a raw memmap"]
    table(f"Random reads on this machine, batches of {BATCH}", columns, here)
    columns = ["what", "windows", "windows/s", "s", "CPU s", "requests", "MB", "most under way"]
    table(f"Over HTTP, {1000 * DELAY:.0f} ms before each answer, {IN_FLIGHT} requests at a time", columns, there)


def _reached(whether):
    return "reached" if whether else "not reached"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", type=Path, default=PEERS, help="environment of other libraries")
    parser.add_argument("--folder", type=Path, help="where 3 GB are written, and deleted in the end")
    given = parser.parse_args()
    sys.path += map(str, given.peers.glob("lib/python*/site-packages"))
    with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
        main(Path(scratch))
