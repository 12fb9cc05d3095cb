"""Runs of the workflow as a user would start them, and what the tests ask of their output."""

import re
import subprocess
import sys

from conftest import ROOT

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
