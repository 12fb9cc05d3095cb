"""Faults of the first kind: what is done to a run, what survives, what runs again, and that the end is the same."""

import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import yaml

from granted import accounting, granted
from onenode import STUDY, kill
from workflow import differences, nothing_to_do, run

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]

REC = "results/derivatives/small/standard/sub-{0}/eeg/sub-{0}_task-sounds_desc-{1}"
NETWORK = "results/studies/small/networks/eyes"
SPECTRA = "results/derivatives/raw/standard/features/eyes_psd_0of1.zarr.zip"
METRICS = f"{NETWORK}/metrics.json"


def _wait(condition, seconds=120):
    """What `condition` gives as soon as it gives anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s in vain")


def _jobs(rule):
    """Ids of the jobs of a rule (with its wildcards, if need be) that the scheduler still has."""
    command = ["squeue", "--me", "--noheader", "--format=%i %k"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line.split()[0] for line in lines if f"rule_{rule}" in line]


def _checkpoint(site):
    """The first checkpoint that a training leaves: the fold that it leaves out."""
    found = _wait(lambda: list(site.folder.glob(f"{NETWORK}/checkpoints/*.pt")))
    return found[0].stem.removeprefix("seed-1_fold-")


def _without_network(site, folder):
    """Give `site` the results of `folder`, but not of its trainings."""
    shutil.copytree(folder / "results", site.folder / "results", dirs_exist_ok=True)
    shutil.copytree(folder / ".snakemake/metadata", site.folder / ".snakemake/metadata")
    shutil.rmtree(site.folder / NETWORK)


def test_a_job_killed_for_want_of_memory_gets_more(site, undisturbed):
    shutil.copytree(undisturbed / "results", site.folder / "results", dirs_exist_ok=True)
    shutil.copytree(undisturbed / ".snakemake/metadata", site.folder / ".snakemake/metadata")
    target = REC.format("02", "eyes_windows.zarr.zip")
    (site.folder / REC.format("02", "clean_account.json")).unlink()
    (site.folder / target).unlink()
    # Snakemake takes 150 MB and the script that it starts as much again: the first attempt dies in the midst of it
    little = [f"{rule}:mem_mb=attempt * 220" for rule in ("clean", "windows")]
    text = site.run(target, "--set-resources", *little)
    assert "Trying to restart" in text
    assert text.count("has been submitted") == 2  # sub-02 alone, twice
    first, second = accounting(site.folder)
    assert (first["State"], granted(first)["mb"]) == ("FAILED", 220)
    assert (second["State"], granted(second)["mb"]) == ("COMPLETED", 440)
    assert differences(site.folder, undisturbed) == []


def test_a_training_that_is_cancelled_goes_on_where_it_was(site, undisturbed):
    _without_network(site, undisturbed)
    process = site.start(METRICS)
    (cancelled,) = _jobs(f"train_wildcards_eyes_1_{_checkpoint(site)}")
    subprocess.run(["scancel", cancelled], check=True)
    assert process.wait(timeout=300) == 0, (site.folder / "out").read_text()[-4000:]
    text = (site.folder / "out").read_text()
    assert "CANCELLED" in text and text.count("Trying to restart") == 1
    logs = [file.read_text() for file in (site.folder / "results/logs/train").rglob("*.log")]
    assert sum("goes on" in log for log in logs) == 1
    assert differences(site.folder, undisturbed) == []


def test_a_run_that_was_killed_is_refused_while_its_jobs_run_and_then_goes_on(site, undisturbed):
    _without_network(site, undisturbed)
    process = site.start(METRICS)
    _checkpoint(site)
    kill(process)
    running = _jobs("train")
    assert running
    assert "lock" in site.run(METRICS, fails=True).lower()
    site.run("--unlock")
    text = site.run(METRICS, fails=True)
    assert "jobs of another run in this folder" in text and f"scancel {' '.join(running)}" in text
    assert "Traceback" not in text
    subprocess.run(["scancel", *running], check=True)
    _wait(lambda: not _jobs("train"))
    site.run(METRICS)
    assert differences(site.folder, undisturbed) == []
    assert nothing_to_do(site.run(METRICS, "--dry-run"))


def test_a_run_that_is_interrupted_takes_its_jobs_along(site, undisturbed):
    _without_network(site, undisturbed)
    process = site.start(METRICS)
    _wait(lambda: _jobs("train"))
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    _wait(lambda: not _jobs("train"), 20)


def test_a_corrupt_recording_leaves_and_the_others_end_as_without_a_scheduler(site, undisturbed):
    raw = site.folder / "raw"
    shutil.copytree(undisturbed / "results/raw/small", raw)
    signal = raw / "sub-03/eeg/sub-03_task-sounds_eeg.eeg"
    samples = np.fromfile(signal, dtype="<f4")
    samples[:100] = np.nan
    samples.tofile(signal)
    study = yaml.safe_load(STUDY.read_text(encoding="utf-8")) | {
        "datasets": {"raw": {"source": "path", "path": str(raw)}},
        "networks": {},
    }
    path = site.folder / "corrupt.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    text = site.run(SPECTRA, config=path)
    assert "recordings: 3 ok, 1 quarantined, 1 not-finite" in text
    alone = site.folder / "alone"
    alone.mkdir()
    run(alone, path, SPECTRA)
    assert differences(site.folder, alone) == []
