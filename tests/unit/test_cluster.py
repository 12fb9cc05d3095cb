"""What the scheduler says, told in sentences; what jobs asked and used."""

import os
import stat
import subprocess
import sys

import pytest

from conftest import ROOT
from hedgerow import cluster, usage

CALL = (
    "sbatch --parsable --job-name 1f7a1f4e-0000-4000-8000-00000000abcd --output x -A 'nobody' -p 'cpux' -t 600 --mem "
    "999999 --ntasks=1 --cpus-per-task=300 --gpus=a100:1 -C fat -D /tmp"
)


def _log(message, call=CALL):
    words = f"SLURM sbatch failed. The error message was '{message}'.\n    sbatch call:\n        {call}\n"
    return f"Error in rule clean:\n    message: {words}"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Stand-ins of sinfo and squeue on the PATH: ``commands(sinfo="...", squeue="...")`` gives what they print."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def write(**outputs):
        for name, text in outputs.items():
            (tmp_path / f"{name}.txt").write_text(text)
            path = tmp_path / name
            path.write_text(f"#!/bin/sh\ncat {tmp_path}/{name}.txt\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    write(sinfo="cpu|23593|2|(null)|1:00:00\ngpu|900000|128|gpu:h200:8(S:0-1)|8:00:00\n", squeue="")
    return write


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("sbatch: error: invalid partition specified: cpux\nsbatch: error: Batch job submission failed: Invalid "
         "partition name specified", ["no partition 'cpux'", "there are cpu, gpu", "slurm_partition"]),
        ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
         ["account 'nobody'", "slurm_account", "sacctmgr"]),
        ("sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: "
         "Requested node configuration is not available", ["999999 MB", "900000 MB", "mem_mb"]),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available",
         ["GPUs 'a100:1'", "gpu:h200:8", "gpu_model"]),
        ("sbatch: error: Batch job submission failed: Invalid generic resource (gres) specification",
         ["GPUs 'a100:1'", "gpu:h200:8", "gpu_model"]),
        ("sbatch: error: Batch job submission failed: Requested time limit is invalid (missing or exceeds some limit)",
         ["600 minutes", "cpu: 1:00:00", "runtime"]),
        ("sbatch: error: CPU count per node can not be satisfied", ["300 CPUs", "128", "threads"]),
        ("sbatch: error: Batch job submission failed: Invalid qos specification", ["slurm-qos"]),
        ("sbatch: error: Batch job submission failed: Requested reservation is invalid", ["slurm-reservation"]),
        ("sbatch: error: Batch job submission failed: Invalid feature specification", ["'fat'", "constraint"]),
        ("sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's "
         "size and/or time limits)", ["lower `jobs`"]),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
         ["did not answer", "again"]),
    ],
)  # fmt: skip
def test_a_refusal_ends_in_a_sentence_that_says_what_to_change(commands, message, words):
    (sentence,) = cluster.advice(_log(message))
    assert (sentence.startswith("Slurm refused: ") and "slurm/config.yaml" in sentence) or "again later" in sentence
    for word in words:
        assert word in sentence


def test_a_node_configuration_that_fits_nowhere_lists_what_was_asked_and_what_there_is(commands):
    call = CALL.replace("--gpus=a100:1", "--gpus=h200:9")
    (sentence,) = cluster.advice(
        _log("Batch job submission failed: Requested node configuration is not available", call)
    )
    assert "300 CPUs, 999999 MB and GPUs 'h200:9'" in sentence and "128 CPUs and 900000 MB" in sentence


def test_the_same_refusal_is_told_once_and_another_in_its_own_words(commands):
    text = _log("Invalid qos specification") * 30 + _log("sbatch: error: the moon is full")
    assert cluster.advice(text)[1:] == ["Slurm refused: sbatch: error: the moon is full"]
    assert cluster.advice("all is well") == []


def test_an_account_that_the_plugin_refuses(commands):
    text = "WorkflowError:\nThe given account zoo appears to be invalid. Available accounts:\nhedge, other\n"
    (sentence,) = cluster.advice(text)
    assert "no account 'zoo'" in sentence and "hedge, other" in sentence


def test_without_sinfo_a_refusal_is_still_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    (sentence,) = cluster.advice(_log("invalid partition specified: cpux"))
    assert "no partition 'cpux'" in sentence
    assert cluster.queued(".") == [] and cluster.leftovers(".") is None and cluster.watch(".", print) is None


NAME = "1f7a1f4e-0000-4000-8000-00000000abcd"


def test_jobs_of_this_folder_alone_are_leftovers(commands, tmp_path):
    rows = [
        f"7|RUNNING|None|gpu|4:00:00|{NAME}|{tmp_path}|rule_train_wildcards_eyes",
        f"8|PENDING|Priority|gpu|4:00:00|lab_{NAME}|{tmp_path}|rule_train_wildcards_eyes",
        f"9|RUNNING|None|gpu|4:00:00|{NAME}|/elsewhere|rule_train_wildcards_eyes",
        f"10|RUNNING|None|gpu|4:00:00|snakemake-by-hand|{tmp_path}|(null)",
    ]
    commands(squeue="\n".join(rows) + "\n")
    assert [job["id"] for job in cluster.queued(tmp_path)] == ["7", "8"]
    assert "scancel 7 8" in cluster.leftovers(tmp_path)
    assert cluster.leftovers(tmp_path / "other") is None


def test_jobs_that_wait_for_ever_are_told_once_by_reason(commands, tmp_path):
    def row(number, reason):
        return f"{number}|PENDING|{reason}|gpu|9:00:00|{NAME}|{tmp_path}|rule_train"

    reasons = ["PartitionTimeLimit", "PartitionTimeLimit", "Priority", "QOSMaxWallDurationPerJobLimit", "Resources"]
    commands(squeue="\n".join(row(k, reason) for k, reason in enumerate([*reasons, "AssocGrpCPUMinutesLimit"])) + "\n")
    told = cluster.hopeless(cluster.queued(tmp_path))
    assert len(told) == 3
    assert "jobs 0 1 (PartitionTimeLimit)" in told[0] and "9:00:00" in told[0] and "scancel 0 1" in told[0]
    assert "gpu: 8:00:00" in told[0]
    assert "3" in told[1] and "set-resources" in told[1]
    assert "computing time of your account is spent" in told[2]


def test_the_watch_tells_in_the_background(commands, tmp_path):
    import threading

    commands(squeue=f"5|PENDING|InvalidQOS|gpu|9:00:00|{NAME}|{tmp_path}|rule_train\n")
    told, heard = [], threading.Event()
    stop = cluster.watch(tmp_path, lambda text: (told.append(text), heard.set()), every=0.05)
    assert heard.wait(10)
    stop.wait(0.3)
    stop.set()
    assert len(told) == 1 and "slurm-qos" in told[0]


def test_a_cancelled_job_is_noticed():
    import asyncio
    import types

    async def query(command, logger):
        return ({"7": "CANCELLED by 1000", "8": "RUNNING", "9": ""}, 0.1) if command else (None, None)

    executor = types.SimpleNamespace(query_job_status=query)
    cluster.mend(executor)
    cluster.mend(executor)  # once is enough
    cluster.mend(None)
    assert asyncio.run(executor.query_job_status("x", None)) == ({"7": "CANCELLED", "8": "RUNNING", "9": ""}, 0.1)
    assert asyncio.run(executor.query_job_status("", None)) == (None, None)


LOG = """11:26:53 rule clean {{'rec': 'x'}}
11:26:53 threads 2, resources {{'tmpdir': '/tmp', 'mem_mb': {mb}, 'runtime': 20, 'gpu': 1}}, CUDA_VISIBLE_DEVICES 0
12:00:00 used {used} MB at most, 30.0 CPU s in 60.0 s
"""


def test_asked_and_used_by_rule(tmp_path):
    for name, mb, used in (("a", 1000, 400), ("b", 3000, 2500)):
        (tmp_path / f"clean/{name}").mkdir(parents=True)
        (tmp_path / f"clean/{name}/x.log").write_text(LOG.format(mb=mb, used=used))
    (tmp_path / "clean/died.log").write_text(LOG.format(mb=1, used=1).rsplit("\n", 2)[0])
    rows = usage.table(usage.jobs(tmp_path))
    assert rows[1:] == [("clean", "2", "3000", "2500", "20", "1.0", "2", "0.5", "1")]
    command = [sys.executable, "-m", "hedgerow.usage", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/src")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert "clean" in done.stdout.splitlines()[1]
    (tmp_path / "none").mkdir()
    done = subprocess.run([*command[:-1], str(tmp_path / "none")], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "no log of a finished job" in done.stderr
