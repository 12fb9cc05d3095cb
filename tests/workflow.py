"""Runs of the workflow as a user would start them, and what the tests ask of their output."""

import contextlib
import hashlib
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ROOT / "config/profiles/local"


def run(folder, config, *arguments, snakefile=ROOT / "Snakefile", fails=False):
    """Run Snakemake in `folder` with the study `config`; its output as text. Fails the test on another exit code."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", snakefile, "--configfile", config]
    command += ["--profile", PROFILE, "--cores", "2", *arguments]
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, text[-8000:]
    return text


def planned(text):
    """Jobs of a dry run by rule: dict of str to int, without the target rule."""
    counts = re.search(r"^job +count\n-+ +-+\n(.*?)\ntotal", text, flags=re.M | re.S)
    found = {} if counts is None else dict(line.split() for line in counts.group(1).strip().splitlines())
    return {name: int(number) for name, number in found.items() if name != "all"}


def nothing_to_do(text):
    """Whether a dry run found everything up to date."""
    return "Nothing to be done" in text and not planned(text)


def digests(folder):
    """sha256 of every result below `folder`, by path: all but logs, benchmarks, caches of time stamps, what describes
    the run itself (hours, versions), and what has digests of that."""
    passing = re.compile(
        r"results/(logs/|benchmarks/|index/[^/]+/sha256\.tsv|studies/[^/]+/(record(_cache)?\.tsv"
        r"|published/(\.|[^/]+_validation\.json|[^/]+/(code/sha256sums|croissant\.json|ro-crate-metadata\.json))))"
    )
    names = {path.relative_to(folder).as_posix() for path in Path(folder, "results").rglob("*") if path.is_file()}
    return {name: _sha256(Path(folder, name)) for name in names if not passing.match(name)}


def _sha256(path):
    content = path.read_bytes()
    if path.suffix == ".npz" and content:
        # Python 3.11.4 began to write other zip headers around the same arrays
        with np.load(path) as arrays:
            content = b"".join(name.encode() + arrays[name].tobytes() for name in arrays.files)
    return hashlib.sha256(content).hexdigest()


def differences(one, other):
    """Results that two folders do not have in common, to the bit."""
    a, b = digests(one), digests(other)
    assert a and b
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def kill_when(condition, folder, config, *arguments):
    """Start a run; kill it and all that it has started as soon as `condition(text)` holds of its output, given back."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--configfile", config]
    command += ["--profile", PROFILE, "--cores", "2", *arguments]
    said = Path(folder, "killed.txt")
    with open(said, "w") as file:
        process = psutil.Popen(list(map(str, command)), cwd=folder, stdout=file, stderr=file, start_new_session=True)
        while process.poll() is None and not condition(said.read_text()):
            time.sleep(0.01)
        everything = [process, *process.children(recursive=True)] if process.is_running() else []
        for each in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()
    assert everything, "the run had ended before it could be killed"
    return said.read_text()
