"""Cleaning: CPU seconds and memory of its stages, against the Python versions of clean_rawdata and ASR.

One thread, prints Markdown: ``python tests/benchmarks/bench_clean.py [--peers PYTHON] [--long] [--quick]``.

Every line is measured in a process of its own that has loaded its input, imported its library and worked on the first
minute before: none of that counts. Memory is the largest resident size less the one before the call (Linux). The
recordings are pink sources with smooth topographies and bursts of 20-70 Hz (`tests/pink.py`) at 250 Hz.

`PYTHON` belongs to an environment of tests/benchmarks/peers.txt (``make bench PEERS=1`` makes it in build/peers). Where
another program should give the same answer, it is compared: the largest difference as a share of the largest value.
`--long` runs the others on the long recording too; `--quick` runs everything on very short ones.
"""

import argparse
import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "workflow" / "src"), str(ROOT / "tests")]

# The peers' Python runs this file too, and the parent process stays small: libraries are imported where they are used.

SFREQ = 250.0
#: Of the raw signal, the channel that is noise alone.
NOISY = 7
WINDOWS = (0.075, (-math.inf, 5.5), 1.0)
#: What is measured: stage, words, what it works on, and the others that have it.
STAGES = [
    ("drifts", "high-pass, 0.25-0.75 Hz", "raw", ["eegprep"]),
    ("channels", "bad channels: RANSAC and line noise", "noisy", ["eegprep"]),
    ("segments", "segments", "slow", ["eegprep", "asrpy"]),
    ("calibrate", "calibrate, blocks of 10 samples", "calm", ["asrpy"]),
    ("calibrate_64", "calibrate, longer blocks as of 64 MB", "calm", ["eegprep"]),
    ("apply_20", "apply, cutoff 20, regular", "slow", ["asrpy", "meegkit"]),
    ("apply_5", "apply, cutoff 5, regular", "slow", []),
    ("apply_20_64", "apply, cutoff 20, updates as of 64 MB", "slow", ["eegprep"]),
    ("apply_5_64", "apply, cutoff 5, updates as of 64 MB", "slow", ["eegprep"]),
    ("chain", "all of clean_artifacts, cutoff 20, 64 MB", "raw", ["eegprep"]),
]
#: Equal answers are not expected where the program does something else.
UNLIKE = {
    ("segments", "asrpy"): "asrpy",
    ("calibrate", "asrpy"): "asrpy, blocks of 100",
    ("apply_20", "asrpy"): "asrpy, every 32 samples, 3 splits",
    ("apply_20", "meegkit"): "meegkit, another algorithm, chunks of 0.5 s",
}
#: One pass from the high-passed signal to the repaired one.
TOTAL = {"ours": ["segments", "calibrate", "apply_20"], "eegprep": ["segments", "calibrate_64", "apply_20_64"]}
TOTAL["asrpy"] = ["segments", "calibrate", "apply_20"]


# --- the work: a function of the folder of inputs that gives a function of the signal


def ours(stage, folder):
    import numpy as np

    import pink
    from hedgerow import clean
    from hedgerow.clean import asr, channels, drifts, segments

    memory = 64 if stage.endswith("64") else None
    state = None if "apply" not in stage else pickle.loads(Path(folder, f"state_{stage.split('_')[1]}").read_bytes())

    def chain(x):
        names = [f"c{i}" for i in range(len(x))]
        settings = {"names": names, "positions": pink.positions(len(x)), "asr_memory_mb": 64}
        settings |= {"interpolate": False, "reference": None}
        y, account = clean.clean(x, SFREQ, **settings)
        kept = np.ones(x.shape[1], dtype=bool)
        for start, stop in account["bad_segments"]:
            kept[round(start * SFREQ) : round(stop * SFREQ)] = False
        return y[[names.index(name) for name in account["good"]]][:, kept]

    def find(x):
        return ~(channels.uncorrelated(x, SFREQ, pink.positions(len(x))) | channels.noisy(x, SFREQ))

    def calibrate(x):
        state = asr.calibrate(x, SFREQ, 20.0, memory_mb=memory)
        return both(state.mixing, state.thresholds)

    return {
        "drifts": lambda x: drifts.highpass(x, SFREQ),
        "channels": find,
        "segments": lambda x: segments.keep(x, SFREQ, *WINDOWS),
        "calibrate": calibrate,
        "calibrate_64": calibrate,
        "chain": chain,
    }.get(stage) or (lambda x: asr.apply(x, SFREQ, state, memory_mb=memory)[0])


def both(mixing, thresholds):
    """Covariance's root and thresholds, each as a share of its largest value; rows of the thresholds have any sign."""
    import numpy as np

    squared = thresholds.T @ thresholds
    return np.stack([mixing / np.abs(mixing).max(), squared / np.abs(squared).max()])


def eegprep(stage, folder):
    import numpy as np
    from eegprep.plugins.clean_rawdata.asr_calibrate import asr_calibrate
    from eegprep.plugins.clean_rawdata.asr_process import asr_process
    from eegprep.plugins.clean_rawdata.clean_artifacts import clean_artifacts
    from eegprep.plugins.clean_rawdata.clean_channels import clean_channels
    from eegprep.plugins.clean_rawdata.clean_drifts import clean_drifts
    from eegprep.plugins.clean_rawdata.clean_windows import clean_windows

    import pink

    def dataset(x):
        places = [dict(zip(["labels", *"XYZ"], [f"c{i}", *row])) for i, row in enumerate(1000 * pink.positions(len(x)))]
        size = {"nbchan": len(x), "pnts": x.shape[1], "trials": 1, "xmin": 0, "xmax": (x.shape[1] - 1) / SFREQ}
        return {"data": x.copy(), "srate": SFREQ, "chanlocs": np.array(places), "etc": {}, "event": [], **size}

    def find(x):
        mask = clean_channels(dataset(x), 0.8, 4.0, 5, 0.5)["etc"].get("clean_channel_mask")
        return np.ones(len(x), dtype=bool) if mask is None else mask

    def calibrate(x):
        state = asr_calibrate(x.copy(), SFREQ, 20.0, maxmem=64)
        return both(state["M"], state["T"])

    def apply(x):
        window = max(0.5, 1.5 * len(x) / SFREQ)
        ahead = math.floor(window / 2 * SFREQ + 0.5)
        longer = np.concatenate([x, 2 * x[:, -1:] - x[:, -2 : -2 - ahead : -1]], axis=1)
        step, window = math.floor(SFREQ * window / 2), {"window_len": window, "lookahead": window / 2}
        done, _ = asr_process(longer, SFREQ, dict(state), step_size=step, max_mem=64, **window)
        return done[:, : x.shape[1]]

    if "apply" in stage:
        calm = np.load(Path(folder, "calm.npy"))
        state = asr_calibrate(calm, SFREQ, float(stage.split("_")[1]), maxmem=64)
    return {
        "drifts": lambda x: clean_drifts(dataset(x), (0.25, 0.75))["data"],
        "channels": find,
        "segments": lambda x: clean_windows(dataset(x), *WINDOWS)[1],
        "calibrate_64": calibrate,
        "chain": lambda x: clean_artifacts(dataset(x), BurstCriterion=20.0)[0]["data"],
    }.get(stage, apply)


def asrpy(stage, folder):
    import numpy as np
    from asrpy import asr

    if stage == "apply_20":
        mixing, thresholds = asr.asr_calibrate(np.load(Path(folder, "calm.npy")), SFREQ, 20.0)

    def apply(x):
        x = np.concatenate([x, np.zeros((len(x), int(0.25 * SFREQ)))], axis=1)
        return asr.asr_process(x, SFREQ, mixing, thresholds)

    return {
        "segments": lambda x: asr.clean_windows(x, SFREQ, WINDOWS[0], list(WINDOWS[1]), WINDOWS[2])[1],
        "calibrate": lambda x: asr.asr_calibrate(x, SFREQ, 20.0)[0],
        "apply_20": apply,
    }[stage]


def meegkit(stage, folder):
    import numpy as np
    from meegkit.asr import ASR

    repairer = ASR(sfreq=SFREQ, cutoff=20, method="euclid")
    repairer.fit(np.load(Path(folder, "calm.npy")))
    step = int(0.5 * SFREQ)
    return lambda x: np.concatenate(
        [repairer.transform(x[:, first : first + step]) for first in range(0, x.shape[1], step)], axis=1
    )


def floor(stage, folder):
    """Eigendecompositions of as many windows' covariances as `asr.apply` has updates, and nothing else."""
    import numpy as np

    updates = json.loads(Path(folder, "updates.json").read_text())[stage]

    def work(x):
        length, some = math.floor(max(0.5 * SFREQ, 1.5 * len(x)) + 0.5), min(updates, 200)
        starts = np.linspace(0, x.shape[1] - length, some).astype(int)
        windows = np.stack([x[:, start : start + length] for start in starts])
        return windows @ windows.transpose(0, 2, 1) / length

    def decompose(x):
        for first in range(0, updates, len(x)):
            np.linalg.eigh(x[: updates - first])

    return work, decompose


# --- one process


def make(folder, channels, seconds):
    """Inputs of all stages, ASR's states, and how many updates there are."""
    import numpy as np

    import pink
    from hedgerow.clean import asr, drifts, segments

    brain, artefact, _ = pink.recording(channels, seconds)
    brain += artefact
    brain += 1000 * np.linspace(0, 1, brain.shape[1]) ** 2
    slow = drifts.highpass(brain, SFREQ)
    np.save(Path(folder, "slow.npy"), slow)
    noise = 50 * np.random.default_rng(1).standard_normal(brain.shape[1])
    brain[NOISY] = noise
    np.save(Path(folder, "raw.npy"), brain)
    np.save(Path(folder, "noisy.npy"), drifts.highpass(brain, SFREQ))
    calm = slow[:, segments.keep(slow, SFREQ, *WINDOWS)]
    np.save(Path(folder, "calm.npy"), calm)
    for cutoff in (20, 5):
        state = asr.calibrate(calm, SFREQ, cutoff, memory_mb=64)
        Path(folder, f"state_{cutoff}").write_bytes(pickle.dumps(state))
    grids = {"regular": None, "64 MB": 64}
    updates = {name: asr.apply(slow, SFREQ, state, memory_mb=grids[name])[1]["updates"] for name in grids}
    Path(folder, "updates.json").write_text(json.dumps(updates))


def resident(key):
    """Resident memory of this process in MB: ``VmRSS`` now, ``VmHWM`` at most."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024 / 1e6


def measure(who, stage, file, folder):
    """CPU seconds and extra memory of one call, and how far its answer is from ours."""
    import warnings

    import numpy as np

    warnings.simplefilter("ignore")
    x = np.load(Path(folder, f"{file}.npy"))
    work = globals()[who](stage, folder)
    if who == "floor":
        x, work = work[0](x), work[1]
    else:
        work(x[:, : int(60 * SFREQ)].copy())
        work = globals()[who](stage, folder)
    given = x.copy() if who == "asrpy" else x  # it writes into its input
    Path("/proc/self/clear_refs").write_text("5")
    before, start = resident("VmRSS"), time.process_time()
    found = work(given)
    told = {"cpu": time.process_time() - start, "mb": resident("VmHWM") - before}
    path = Path(folder, f"{stage}.npy")
    if who == "ours":
        np.save(path, found)
    elif who != "floor" and (stage, who) not in UNLIKE and path.is_file():
        wanted, found = np.load(path), np.asarray(found)
        if found.dtype == bool:
            told["masks"] = [int((wanted != found).sum()), int((~wanted).sum()), found.size]
        if found.shape != wanted.shape:
            told["difference"] = math.inf
        elif found.dtype != bool:
            told["difference"] = float(np.abs(found - wanted).max() / np.abs(wanted).max())
    return told


def child(python, *arguments):
    """What one of the functions above tells, run in a fresh process; a sentence if it failed."""
    command = [str(python), __file__, "--child", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:100]}
    return json.loads(done.stdout.splitlines()[-1])


# --- tables


def told(stage, who, found, ours):
    """One line of the table."""
    if "failed" in found:
        return f"failed: {found['failed']} | | |"
    answer = ""
    if "masks" in found:
        unlike, bad, size = found["masks"]
        answer = f"{f'differs in {unlike}' if unlike else 'none'} ({bad:,} of {size:,} are bad)"
    elif "difference" in found:
        answer = f"{found['difference']:.0e}"
    times = f"{found['cpu'] / ours['cpu']:.1f}" if "cpu" in ours else ""
    return f"{found['cpu']:.2f} | {times} | {found['mb']:.0f} | {answer}"


def table(channels, seconds, peers):
    """Measure a recording and print its table and its floor."""
    with tempfile.TemporaryDirectory() as folder:
        made = child(sys.executable, "make", folder, channels, seconds)
        if "failed" in made:
            sys.exit(made["failed"])
        spent, gigabytes = {}, channels**2 * seconds * SFREQ / 3 * 8 / 1e9
        fits = gigabytes < 4
        print(f"**{channels} channels, {seconds / 60:g} min**\n")
        if peers and not fits:
            print(
                f"asrpy is left out: it holds the covariances at a third of the samples, {gigabytes:.0f} GB a copy.\n"
            )
        print("| what | how | CPU s | times ours | extra MB | difference from ours |\n|---|---|---|---|---|---|")
        for stage, words, file, others in STAGES:
            for who in ["ours", *(each for each in others if peers and (each != "asrpy" or fits))]:
                python = sys.executable if who == "ours" else peers
                found = spent[stage, who] = child(python, "measure", who, stage, file, folder)
                how = UNLIKE.get((stage, who), who)
                print(f"| {words} | {how} | {told(stage, who, found, spent[stage, 'ours'])} |", flush=True)
        for who, stages in TOTAL.items():
            if all("cpu" in spent.get((stage, who), {}) for stage in stages):
                total = spent["total", who] = {"cpu": sum(spent[stage, who]["cpu"] for stage in stages)}
                times = total["cpu"] / spent["total", "ours"]["cpu"]
                print(f"| segments, calibrate, apply (20) | {who} | {total['cpu']:.2f} | {times:.1f} | | |")
        print(f"\nTwice the data and 200 MB are {2 * channels * seconds * SFREQ * 8 / 1e6 + 200:.0f} MB.", end=" ")
        for grid, stage in (("regular", "apply_5"), ("64 MB", "apply_5_64")):
            least, whole = child(sys.executable, "measure", "floor", grid, "slow", folder), spent[stage, "ours"]
            updates = json.loads(Path(folder, "updates.json").read_text())[grid]
            if "cpu" in whole and "cpu" in least:
                print(f"The floor, {grid}: {updates} eigendecompositions alone take {least['cpu']:.2f} CPU s;", end=" ")
                print(f"`apply` takes {whole['cpu'] / least['cpu']:.1f} times that at cutoff 5,", end=" ")
                twenty = spent[stage.replace("_5", "_20"), "ours"]
                print(f"{twenty['cpu'] / least['cpu']:.1f} times at cutoff 20.", end=" ")
        print("\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        name, *given = sys.argv[2:]
        if name == "make":
            make(given[0], int(given[1]), float(given[2]))
            print("{}")
        else:
            print(json.dumps(measure(*given)))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", type=Path, default=ROOT / "build/peers/bin/python", help="Python of the others")
    parser.add_argument("--long", action="store_true", help="the others on the long recording too (3 more minutes)")
    parser.add_argument("--quick", action="store_true", help="recordings of a minute or two")
    arguments = parser.parse_args()
    there = arguments.peers.is_file()
    if not there:
        print(f"Ours alone: {arguments.peers} is not there (`make bench PEERS=1` makes build/peers, 1 GB).\n")
    sizes = [(16, 60.0), (24, 120.0)] if arguments.quick else [(64, 600.0), (128, 1800.0)]
    for channels, seconds in sizes:
        others = there and (arguments.quick or arguments.long or (channels, seconds) == sizes[0])
        table(channels, seconds, arguments.peers if others else None)
