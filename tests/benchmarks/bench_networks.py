"""Training of networks against plain loops: windows/s, CPU s a step, the wait for windows, the way back after a kill.

One data set in one run, seeded, prints Markdown: ``python tests/benchmarks/bench_networks.py [--quick] [--peers VENV]``
VENV is an environment of tests/benchmarks/peers-nets.txt, whose packages are found behind those of the lock; what is
missing is said. Takes some five minutes on two cores that nobody else uses, and 6 GB of memory; with `--quick` narrow
networks and few steps only show that it works.

The data are 1,620 windows of 24 channels and 256 samples in two classes, 30 recordings of 54, in batches of 70. Ours is
`hedgerow.nets.train.fit` over a windows store. The loops are what one writes by hand, in torch and with braindecode:
the same layers, the same optimiser, the windows standardised and in memory (but for EEGNet's limits on its weights,
which ours sees to). All have processes of their own, which take turns of some steps: what disturbs the machine disturbs
them all alike. Two threads spend CPU s on waiting for each other, too. The ceiling is the product of square matrices of
2,048 rows in float32 on one core (on the GPU), and operations of a step are those of its convolutions and products of
matrices alone, forward and backward.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import multiprocessing
import os
import platform
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from bench_store import SHAPE, table, write_ours
from torch import nn

from hedgerow.nets import _truong, models, train

PEERS = Path(__file__).resolve().parents[2] / "build" / "peers-nets"
RECORDINGS, EACH, BATCH, LR = 30, 81, 70, 0.002
CLASSES = ("closed", "open")
PACKAGES = ("numpy", "torch", "braindecode", "skorch")
# loops
OURS, TORCH, BRAINDECODE = "ours", "plain torch", "braindecode's EEGClassifier (skorch)"
# networks with the steps of a turn: about a second
STEPS = {"r-scnn": 1, "r-vgg": 2, "eegnet": 20}


def recordings():
    """Windows in µV, float32, of which each recording has 81."""
    rng = np.random.default_rng(1)
    return [rng.standard_normal((EACH, *SHAPE), dtype=np.float32) * 15 for _ in range(RECORDINGS)]


def opened(folder):
    """The store as a dataset, and its classes."""
    from hedgerow import store

    windows = store.Windows(folder / "store", classes=CLASSES, cache=folder / "cache")
    return windows, windows.y.numpy()


class Ended(Exception):
    """A loop has had its last turn."""


class Turns:
    """To be called after each step: after some, it tells what they took and waits for the next turn."""

    def __init__(self, pipe, steps, device):
        self.pipe, self.steps, self.device, self.done = pipe, steps, device, 0
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def __call__(self, *_, **__):
        self.done += 1
        if self.done % self.steps:
            return
        if self.device != "cpu":
            torch.cuda.synchronize()
        # what threads read ahead between the turns is counted, too
        now = time.process_time()
        self.pipe.send((time.perf_counter() - self.wall, now - self.cpu))
        self.cpu = now
        if not self.pipe.recv():
            raise Ended
        self.wall = time.perf_counter()


# Loops train one network and call ``turn`` after each step, until that ends it.


def ours(how, folder, turn):
    """`train.fit` over the store."""
    windows, y = opened(folder)
    train.fit(windows, y, epochs=1000, **how, progress=turn)


def plain(how, folder, turn):
    """The loop of every tutorial."""
    x, y = in_memory(folder)
    net, device = network(how).to(how["device"]), how["device"]
    optimiser, loss = torch.optim.Adamax(net.parameters(), lr=how["lr"]), nn.CrossEntropyLoss()
    data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    loader = torch.utils.data.DataLoader(data, batch_size=how["batch"], shuffle=True)
    net.train()
    while True:
        for some, classes in loader:
            optimiser.zero_grad()
            loss(net(some.to(device)), classes.to(device)).backward()
            optimiser.step()
            turn()


def skorch(how, folder, turn):
    """braindecode's classifier, as its tutorials train one, without a look at the training windows after each epoch."""
    from hedgerow.nets import _braindecode

    warnings.simplefilter("ignore", FutureWarning)
    _braindecode._models("")  # imports braindecode where torchaudio cannot be loaded
    from braindecode import EEGClassifier
    from skorch.callbacks import Callback

    class Turn(Callback):
        def on_batch_end(self, net, training=True, **_):
            turn()

    x, y = in_memory(folder)
    classifier = EEGClassifier(
        network(how), criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adamax, optimizer__lr=how["lr"],
        train_split=None, iterator_train__shuffle=True, batch_size=how["batch"], max_epochs=1000, device=how["device"],
        callbacks=[Turn()], classes=[0, 1], verbose=0,
    )  # fmt: skip
    classifier.fit(x, y)


LOOPS = {OURS: ours, TORCH: plain, BRAINDECODE: skorch}


def in_memory(folder):
    """All windows, standardised, and their classes."""
    windows, y = opened(folder)
    x = windows[np.arange(len(windows))][0].numpy()
    mean, std = x.mean((0, 2), keepdims=True), x.std((0, 2), keepdims=True)
    return (x - mean) / std, y


def network(how):
    """The network as one writes it down: what the layers are, one after the other."""
    torch.set_num_threads(how["threads"])
    torch.manual_seed(1)
    name, width = how["model"], how.get("width", 1.0)
    if name == "eegnet":
        return models.build(name, *SHAPE, len(CLASSES))
    whole = models.build(name, *SHAPE, len(CLASSES), width=width)
    layers, planes = [nn.Unflatten(1, (1, SHAPE[0]))], 1
    for layer in _truong.RSCNN_LAYERS if name == "r-scnn" else _truong.VGG_LAYERS:
        filters = round(layer.filters * width)
        layers += [nn.Conv2d(planes, filters, layer.kernel, padding=layer.padding), nn.ReLU()]
        if layer.pool:
            layers.append(nn.MaxPool2d(layer.pool, layer.stride))
        if layer.pool and name == "r-scnn":
            layers.append(nn.Dropout(0.25))
        planes = filters
    return nn.Sequential(*layers, nn.Flatten(), whole.classifier, whole.final_layer)


def operations(how):
    """Floating-point operations of a step, by the shapes of its layers."""
    net, found = network(how), []

    def count(layer, given, out):
        # twice for the gradients, but that of the windows is asked of nobody
        times = 3 if found else 2
        found.append(2 * times * out.numel() * layer.weight[0].numel())

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        net.eval()(torch.zeros(how["batch"], *SHAPE))
    return sum(found)


def ceiling(device, precision="float32", size=2048):
    """Operations a second of a product of matrices, the best of some: a CPU second of one core, or on the GPU."""
    torch.set_num_threads(1)
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    rows = size if device == "cpu" else 4 * size
    a, b = torch.randn(rows, size, device=device, dtype=kind), torch.randn(size, rows, device=device, dtype=kind)
    clock, least = time.process_time if device == "cpu" else time.perf_counter, np.inf
    for _ in range(20):
        began = clock()
        a @ b
        if device != "cpu":
            torch.cuda.synchronize()
        least = min(least, clock() - began)
    return 2 * rows * size * rows / least


def child(loop, how, folder, steps, pipe):
    """One process: a loop in turns."""
    with contextlib.suppress(Ended):
        LOOPS[loop](how, folder, Turns(pipe, steps, how["device"]))


def race(loops, steps, folder, rounds):
    """Wall and CPU s of a step in each of the rounds for each of the loops: (rounds, 2) by name."""
    spawn = multiprocessing.get_context("spawn")
    pipes, processes, took = {}, [], {name: [] for name in loops}
    for name, (loop, how) in loops.items():
        pipes[name], other = spawn.Pipe()
        processes.append(spawn.Process(target=child, args=(loop, how, folder, steps, other), daemon=True))
        processes[-1].start()
        other.close()
        pipes[name].recv()  # the way to the first step, which is another table's
    for _ in range(rounds + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            took[name].append(pipe.recv())
    for pipe, process in zip(pipes.values(), processes):
        pipe.send(False)
        process.join()
    # the first turn is one to warm up
    return {name: np.array(some[1:]) / steps for name, some in took.items()}


def speed(name, threads, folder, quick, peak):
    """Rows of training speed for one network, and what ours takes of the plain loops' CPU s."""
    how = {"model": name, "threads": threads, "device": "cpu", "batch": BATCH, "lr": LR}
    if quick and name != "eegnet":
        how["width"] = 0.1
    loops = {loop: (loop, how) for loop in LOOPS if loop != BRAINDECODE or importlib.util.find_spec("braindecode")}
    if threads == 1 and name != "eegnet":
        loops["ours, bfloat16 on request"] = (OURS, how | {"precision": "bfloat16"})
    found = race(loops, STEPS[name], folder, 2 if quick else 6)
    flops, rows = operations(how), []
    for loop in LOOPS | loops:
        if loop not in found:
            rows.append((name, threads, loop, "is missing", *[""] * 4))
            continue
        wall, cpu = found[loop].T
        times = np.median(cpu / found[OURS][:, 1])
        share = "" if "bfloat16" in loop or name == "eegnet" else f"{flops / cpu.min() / peak:.0%}"
        rows.append(
            (name, threads, loop, f"{BATCH / wall.min():,.0f}", f"{np.median(cpu):.3g}", f"{cpu.min():.3g}",
             f"{times:.2f}", share)
        )  # fmt: skip
    return rows, {loop: np.median(found[OURS][:, 1] / some[:, 1]) for loop, some in found.items() if loop in LOOPS}


def on_gpu(name, folder, quick):
    """Rows of training speed for one network on the GPU; none where there is no GPU."""
    if not torch.cuda.is_available():
        return [(name, "not run on a GPU", "", "", "", "")]
    how = {"model": name, "threads": 1, "device": "cuda", "batch": BATCH, "lr": LR}
    loops = {TORCH: (TORCH, how)}
    for precision in train.PRECISION:
        loops[f"{OURS}, {precision}"] = (OURS, how | {"precision": precision})
    if importlib.util.find_spec("braindecode"):
        loops[BRAINDECODE] = (BRAINDECODE, how)
    found, flops, rows = race(loops, 10 * STEPS[name], folder, 2 if quick else 6), operations(how), []
    for loop, (wall, cpu) in ((loop, some.T) for loop, some in found.items()):
        share = ""
        if loop.startswith(OURS) and name != "eegnet":  # the others leave the precision to torch
            share = f"{flops / wall.min() / ceiling('cuda', loops[loop][1]['precision']):.0%}"
        times = np.median(wall / found[f"{OURS}, float32"][:, 0])
        rows.append((name, loop, f"{BATCH / wall.min():,.0f}", f"{np.median(cpu):.3g}", f"{times:.2f}", share))
    return rows


def some_steps(steps, folder, **how):
    """Ours for so many steps in one go: when each of them was done (s from the beginning), and what was told last."""
    windows, y = opened(folder)
    done, told, began = [], {}, time.perf_counter()

    def progress(_, __, row):
        done.append(time.perf_counter() - began)
        told.update(row)
        if len(done) == steps:
            raise Ended

    with contextlib.suppress(Ended):
        train.fit(windows, y, batch=BATCH, lr=LR, epochs=1000, **how, progress=progress)
    return done, told


def waiting(name, device, folder, quick):
    """Row of how much of the time of some steps is spent waiting for windows."""
    steps = 4 if quick else 20 * STEPS[name]
    _, told = some_steps(steps, folder, model=name, device=device)
    return name, device, steps, f"{told['windows_per_s']:,.0f}", f"{told['waiting']:.2%}"


def resuming(name, folder, quick):
    """Row of what a checkpoint is and costs, and how long it takes to the next step with it and without."""
    path = folder / f"{name}.pt"
    how = {"model": name, "checkpoint": path, "checkpoint_steps": 1, "checkpoint_seconds": 0.0}
    how |= {"width": 0.1} if quick and name != "eegnet" else {}
    (first, _), _ = some_steps(2, folder, **how)
    (again,), _ = some_steps(1, folder, **how)
    began = time.perf_counter()
    state = train.checkpointed(path)
    load, began = time.perf_counter() - began, time.perf_counter()
    torch.save(state, folder / "again.pt")
    save = time.perf_counter() - began
    return name, f"{path.stat().st_size / 1e6:.1f}", *(f"{spent:.2f}" for spent in (save, load, first, again))


def main(folder, quick):
    """Measure, and print all tables."""
    (folder / "store").mkdir()
    write_ours(folder / "store", recordings())
    lines, ratios, peak = [], {}, ceiling("cpu")
    for name, threads in (("r-scnn", 1), ("r-scnn", 2), ("r-vgg", 1), ("r-vgg", 2), ("eegnet", 1)):
        rows, ratios[name, threads] = speed(name, threads, folder, quick, peak)
        lines += rows
    known = {found.name: found.version for found in importlib.metadata.distributions()}
    told = (f"{name} {known.get(name, 'missing')}" for name in PACKAGES)
    print(f"Python {platform.python_version()}, {', '.join(told)}; {peak / 1e9:.0f} GFLOP/s a core\n")
    for (name, threads), found in ratios.items():
        told = ", ".join(f"{ratio:.2f} times the CPU s of {loop}" for loop, ratio in found.items() if loop != OURS)
        print(f"- {name}, threads {threads}: {told}")
    columns = ["network", "threads", "loop", "windows/s, best", "CPU s a step, median", "best", "times ours"]
    table(f"Training on the CPU, batches of {BATCH}", [*columns, "of the ceiling"], lines)
    columns = ["network", "loop", "windows/s, best", "CPU s a step", "wall s, times ours", "of the ceiling"]
    table("Training on a GPU", columns, [row for name in STEPS for row in on_gpu(name, folder, quick)])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    columns = ["network", "device", "steps", "windows/s", "waiting for windows"]
    table("Ours in one go, one thread", columns, [waiting(name, device, folder, quick) for name in STEPS])
    columns = ["network", "checkpoint, MB", "s to save", "s to load", "s to the first step", "s to the next, resumed"]
    table("Checkpoints", columns, [resuming(name, folder, quick) for name in STEPS])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", type=Path, default=PEERS, help="environment of other libraries")
    parser.add_argument("--quick", action="store_true", help="narrow networks and few steps")
    given = parser.parse_args()
    sys.path += map(str, given.peers.glob("lib/python*/site-packages"))
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch), given.quick)
