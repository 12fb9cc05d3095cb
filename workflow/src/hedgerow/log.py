"""What a job leaves in its log: versions, device, where the libraries came from, and its own words.

``log.start(snakemake)`` is the first line of every script. It sends everything that the job prints, compiled libraries
included, to the rule's log file.
"""

import atexit
import os
import platform
import resource
import shutil
import sys
import time
from importlib import metadata, util

from .isolation import enforce

#: Libraries that can change a result: import name and the packages that carry it.
LIBRARIES = {
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "pandas": ("pandas",),
    "mne": ("mne",),
    "mne_icalabel": ("mne-icalabel",),
    "onnxruntime": ("onnxruntime",),
    "hed": ("hedtools",),
    "zarr": ("zarr",),
    "formulaic": ("formulaic",),
    "torch": ("torch",),
    "cupy": ("cupy-cuda13x", "cupy-cuda12x"),
}

#: Standard error of the run itself, once `start` has sent that of this job to its log: what a person is shown.
terminal = None


def start(snakemake):
    """Send standard output and error of this job to its log, and write there what ran, where and with what.

    Raises
    ------
    SystemExit
        A library came from outside the environment that the rule declares.
    """
    target = os.open(str(snakemake.log[0]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    global terminal
    terminal = os.fdopen(os.dup(2), "w")
    os.dup2(target, 1)
    os.dup2(target, 2)
    sys.stdout.reconfigure(line_buffering=True)
    say(f"rule {snakemake.rule} {dict(snakemake.wildcards)}")
    say(f"{platform.node()}, {platform.platform()}, Python {platform.python_version()} at {sys.prefix}")
    if "SLURM_JOB_ID" in os.environ:
        say(f"Slurm job {os.environ['SLURM_JOB_ID']}")
    enforce(snakemake.rule)
    for folder, found in _places().items():
        say(f"{', '.join(found)} in {folder}")
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES") or "none"
    say(f"threads {snakemake.threads}, resources {dict(snakemake.resources)}, CUDA_VISIBLE_DEVICES {gpus}")
    atexit.register(_end, time.monotonic(), _cpu())


def _cpu():
    """CPU seconds of this job and of the programs that it has started and waited for."""
    return sum(os.times()[:4])


def _end(began, cpu):
    """Log what the job used: what its requests are held against (``make resources``)."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    say(f"used {peak:.0f} MB at most, {_cpu() - cpu:.1f} CPU s in {time.monotonic() - began:.1f} s")


def say(text):
    """Write one line with the time of day to the log."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Steps:
    """A function ``progress(step, steps, row)`` that logs a line with a bar and the time left, at most every `every` s.

    The first line says at which step the work begins, or goes on. An object, so that it can go to another process.

    Parameters
    ----------
    every : float
        Seconds between lines.
    board : path, optional
        Folder for the rows of each epoch as TensorBoard reads them, where tensorboardX is installed; what an earlier
        run left there goes when the work begins anew.
    """

    def __init__(self, every=10.0, board=None):
        self.every, self.board, self.writer = every, board, None
        self.first = self.began = self.last = self.epoch = None

    def __call__(self, step, steps, row):
        now, row = time.monotonic(), row or {}
        if self.first is None:
            self.began = self.last = now
            self.first = step
            say(f"begins at step {step} of {steps}" if step <= 1 else f"goes on at step {step} of {steps}")
            if self.board and step <= 1:
                shutil.rmtree(self.board, ignore_errors=True)
        if self.board and row.get("epoch") != self.epoch:
            self.epoch = row.get("epoch")
            self._scalars({name: value for name, value in row.items() if name != "epoch"})
        if step == self.first or (now - self.last < self.every and step < steps):
            return
        self.last = now
        left = (now - self.began) / max(step - self.first, 1) * (steps - step)
        done = step * 20 // steps
        found = "".join(f", {key.replace('_', ' ')} {value:.4g}" for key, value in row.items() if key != "epoch")
        say(f"{'█' * done}{'░' * (20 - done)} step {step} of {steps}, {left:.0f} s left{found}")

    def _scalars(self, row):
        """The rows of an epoch, for TensorBoard."""
        if self.writer is None:
            try:
                from tensorboardX import SummaryWriter
            except ImportError:
                self.board = None
                return
            self.writer = SummaryWriter(self.board, flush_secs=30)
        for name, value in row.items():
            if value == value:  # NaN without validation windows
                self.writer.add_scalar(name, value, self.epoch)
        self.writer.flush()


def versions():
    """Versions of the libraries that this job has loaded: the same whatever else is installed beside them."""
    return {name: version for name, version in _installed() if name in sys.modules}


def images():
    """Container image of each family of rules, where jobs run in containers; the Snakefile hands it on."""
    import yaml

    return yaml.safe_load(os.environ.get("HEDGEROW_IMAGES", "{}"))


def _installed():
    """Import name and version of each library that is installed here."""
    for name, packages in LIBRARIES.items():
        for package in packages:
            try:
                yield name, metadata.version(package)
            except metadata.PackageNotFoundError:
                continue


def _places():
    """What is installed here by the folder that an import takes it from; nothing is imported."""
    found = {}
    for name, version in _installed():
        spec = util.find_spec(name)
        folder = os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else "no folder"
        found.setdefault(folder, []).append(f"{name} {version}")
    return found
