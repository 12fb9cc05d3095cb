"""What a job leaves in its log: versions, device, where the libraries came from, and its own words.

``log.start(snakemake)`` is the first line of every script. It sends everything that the job prints, compiled libraries
included, to the rule's log file.
"""

import atexit
import os
import platform
import resource
import sys
import time
from importlib import metadata

LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "mne",
    "hedtools",
    "zarr",
    "formulaic",
    "torch",
    "cupy-cuda13x",
    "cupy-cuda12x",
)


def start(snakemake):
    """Send standard output and error of this job to its log, and write there what ran, where and with what."""
    target = os.open(str(snakemake.log[0]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(target, 1)
    os.dup2(target, 2)
    sys.stdout.reconfigure(line_buffering=True)
    say(f"rule {snakemake.rule} {dict(snakemake.wildcards)}")
    say(f"{platform.node()}, {platform.platform()}, Python {platform.python_version()} at {sys.prefix}")
    say(", ".join(f"{name} {version}" for name, version in versions().items()))
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES") or "none"
    say(f"threads {snakemake.threads}, resources {dict(snakemake.resources)}, CUDA_VISIBLE_DEVICES {gpus}")
    atexit.register(_end, time.monotonic())


def _end(began):
    """Log what the job used: what its requests are held against (``make resources``)."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak, cpu = used.ru_maxrss / 1024, used.ru_utime + used.ru_stime
    say(f"used {peak:.0f} MB at most, {cpu:.1f} CPU s in {time.monotonic() - began:.1f} s")


def say(text):
    """Write one line with the time of day to the log."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def steps(every=10.0):
    """A function ``progress(step, steps, row)`` that logs a line with the time left, at most every `every` s."""
    began = last = time.monotonic()

    def progress(step, steps, row):
        nonlocal last
        now = time.monotonic()
        if now - last < every and step < steps:
            return
        last = now
        left = (now - began) / max(step, 1) * (steps - step)
        found = "".join(f", {key} {value:.4g}" for key, value in (row or {}).items() if key != "epoch")
        say(f"step {step} of {steps}, {left:.0f} s left{found}")

    return progress


def versions():
    """Versions of the libraries that can change a result, as far as they are installed here."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
