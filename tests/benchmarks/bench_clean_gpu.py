"""Cleaning on a GPU: recordings per minute, one by one and several together, against numpy on the same machine.

Prints Markdown: ``python tests/benchmarks/bench_clean_gpu.py [--quick]``. Needs numpy, scipy, array-api-compat, and
CuPy or torch with a CUDA device; without one it says so, and with `--quick` torch on the CPU stands in for it.

Time is wall time from arrays on the host to arrays on the host, the best of three; numpy has one thread. Every answer
is compared with numpy's: the largest difference as a share of the largest value.
"""

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ |= {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import pink
from hedgerow import _array, clean
from hedgerow.clean import asr, drifts

SFREQ, CUTOFF = 250.0, 20.0
#: Arrays of ASR's state.
ARRAYS = ("components", "variance", "threshold", "tail")


def devices(quick):
    """Names of the devices that are there, and what moves a host array to each."""
    found = {}
    try:
        import cupy

        if cupy.is_available():
            found["CuPy"] = cupy.asarray
    except ImportError:
        pass
    try:
        import torch
    except ImportError:
        return found
    if torch.cuda.is_available():
        found["torch, CUDA"] = lambda x: torch.asarray(x, device="cuda")
    elif quick:
        found["torch, CPU"] = torch.asarray
    return found


def best(work, repeats=3):
    """Seconds of the fastest call, after one that counts for nothing, and what it gave."""
    spent, found = [], work()
    for _ in range(repeats):
        start = time.perf_counter()
        found = work()
        spent.append(time.perf_counter() - start)
    return min(spent), found


def apply_all(xs, states, move, dtype):
    """Repair host arrays on a device; host arrays. What comes back has been waited for."""
    moved = [move(x.astype(dtype, copy=False)) for x in xs]
    states = [replace(state, **{name: move(getattr(state, name)) for name in ARRAYS}) for state in states]
    return [_array.to_numpy(y) for y, _ in asr.apply_many(moved, SFREQ, states)]


def chain_all(xs, move):
    """The whole chain on each of the host arrays, without interpolation; host arrays."""
    settings = {"names": [f"c{i}" for i in range(len(xs[0]))], "positions": pink.positions(len(xs[0]))}
    return [_array.to_numpy(clean.clean(move(x), SFREQ, interpolate=False, **settings)[0]) for x in xs]


def rows(channels, seconds, together, found):
    """Lines of the table: ASR alone and the whole chain, on numpy and on each device."""
    xs = []
    for seed in range(together):
        brain, artefact, _ = pink.recording(channels, seconds, seed=seed)
        xs.append(drifts.highpass(brain + artefact, SFREQ))
    states = [asr.calibrate(x, SFREQ, CUTOFF) for x in xs]
    size = f"{channels} channels, {seconds / 60:g} min"
    works = {
        "apply": lambda move, count, dtype: apply_all(xs[:count], states[:count], move, dtype),
        "chain": lambda move, count, dtype: chain_all(xs[:count], move),
    }
    for what, work in works.items():
        slow, (wanted,) = best(lambda work=work: work(np.asarray, 1, np.float64), 1)
        print(f"| {size} | {what} | numpy, one thread | float64 | 1 | {60 / slow:.1f} | 1.0 | |", flush=True)
        for name, move in found.items():
            for dtype in (np.float64, np.float32) if what == "apply" else (np.float64,):
                for count in (1, together) if what == "apply" else (1,):
                    spent, (y, *_) = best(lambda given=(move, count, dtype), work=work: work(*given))
                    unlike = np.abs(y - wanted).max() / np.abs(wanted).max()
                    how = f"{name} | {np.dtype(dtype).name} | {count} | {60 * count / spent:.1f}"
                    print(f"| {size} | {what} | {how} | {slow * count / spent:.1f} | {unlike:.0e} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short recordings, and torch on the CPU where no GPU is")
    parser.add_argument("--together", type=int, default=8, help="recordings in one call")
    arguments = parser.parse_args()
    there = devices(arguments.quick)
    if not there:
        sys.exit(print("The cleaning was not run on a GPU: neither CuPy nor torch finds a CUDA device here."))
    print("| recording | what | how | precision | in one call | recordings per minute | times numpy | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for channels, seconds in [(16, 60.0)] if arguments.quick else [(64, 600.0), (128, 1800.0)]:
        rows(channels, seconds, arguments.together, there)
