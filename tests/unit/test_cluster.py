"""What the scheduler says, told in sentences; what jobs asked and used."""

import asyncio
import os
import stat
import subprocess
import sys
import threading
import types

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
    (sentence,) = cluster.advice(_log(message), "slurm/config.yaml")
    assert (sentence.startswith("Slurm refused: ") and "slurm/config.yaml" in sentence) or "again later" in sentence
    for word in words:
        assert word in sentence


def test_a_node_configuration_that_fits_nowhere_lists_what_was_asked_and_what_there_is(commands):
    call = CALL.replace("--gpus=a100:1", "--gpus=h200:9")
    (sentence,) = cluster.advice(
        _log("Batch job submission failed: Requested node configuration is not available", call), "slurm/config.yaml"
    )
    assert "300 CPUs, 999999 MB and GPUs 'h200:9'" in sentence and "128 CPUs and 900000 MB" in sentence


def test_the_same_refusal_is_told_once_and_another_in_its_own_words(commands):
    text = _log("Invalid qos specification") * 30 + _log("sbatch: error: the moon is full")
    assert cluster.advice(text, "slurm/config.yaml")[1:] == ["Slurm refused: sbatch: error: the moon is full"]
    assert cluster.advice("all is well", "slurm/config.yaml") == []


def test_an_account_that_the_plugin_refuses(commands):
    text = "WorkflowError:\nThe given account zoo appears to be invalid. Available accounts:\nhedge, other\n"
    (sentence,) = cluster.advice(text, "slurm/config.yaml")
    assert "no account 'zoo'" in sentence and "hedge, other" in sentence


def test_without_sinfo_a_refusal_is_still_told(monkeypatch):
    monkeypatch.setenv("PATH", "")
    (sentence,) = cluster.advice(_log("invalid partition specified: cpux"), "slurm/config.yaml")
    assert "no partition 'cpux'" in sentence
    assert (
        cluster.queued(".") == []
        and cluster.leftovers(".") is None
        and cluster.watch(".", "slurm/config.yaml", print) is None
    )


NAME = "1f7a1f4e-0000-4000-8000-00000000abcd"


def test_jobs_of_this_folder_alone_are_leftovers(commands, tmp_path):
    rows = [
        f"7|RUNNING|None|gpu|4:00:00|{NAME}|{tmp_path}",
        f"8|PENDING|Priority|gpu|4:00:00|lab_{NAME}|{tmp_path}",
        f"9|RUNNING|None|gpu|4:00:00|{NAME}|/elsewhere",
        f"10|RUNNING|None|gpu|4:00:00|snakemake-by-hand|{tmp_path}",
    ]
    commands(squeue="\n".join(rows) + "\n")
    assert [job["id"] for job in cluster.queued(tmp_path)] == ["7", "8"]
    assert "scancel 7 8" in cluster.leftovers(tmp_path)
    assert cluster.leftovers(tmp_path / "other") is None


def _pending(number, reason, folder, state="PENDING"):
    return f"{number}|{state}|{reason}|gpu|9:00:00|{NAME}|{folder}"


def test_jobs_that_wait_for_ever_are_told_once_by_reason(commands, tmp_path):
    reasons = ["PartitionTimeLimit", "PartitionTimeLimit", "Priority", "QOSMaxWallDurationPerJobLimit", "Resources"]
    reasons += ["AssocGrpCPUMinutesLimit", "JobHeldUser"]
    commands(squeue="\n".join(_pending(k, reason, tmp_path) for k, reason in enumerate(reasons)) + "\n")
    told = cluster.hopeless(cluster.queued(tmp_path), "my/config.yaml")
    assert len(told) == 4
    assert "never start jobs 0 1 (PartitionTimeLimit)" in told[0] and "9:00:00" in told[0]
    assert "gpu: 8:00:00" in told[0] and "mend my/config.yaml" in told[0]
    assert "jobs 3 (" in told[1] and "set-resources" in told[1]
    assert "does not start jobs 5 (" in told[2] and "computing time of your account is spent" in told[2]
    assert "`scontrol release 6`" in told[3] and "Ctrl-C" not in told[3]


def test_jobs_that_are_just_ending_are_waited_for(commands, tmp_path):
    commands(squeue=_pending(5, "None", tmp_path, "COMPLETING") + "\n")
    assert "scancel 5" in cluster.leftovers(tmp_path, patience=0.1)
    threading.Timer(0.5, lambda: commands(squeue="")).start()
    assert cluster.leftovers(tmp_path) is None


def test_the_watch_tells_in_the_background(commands, tmp_path):
    commands(squeue=_pending(5, "InvalidQOS", tmp_path) + "\n")
    told, heard = [], threading.Event()
    stop = cluster.watch(
        tmp_path, "slurm/config.yaml", lambda text: (told.append(text), heard.set()), first=0.05, every=0.05
    )
    assert heard.wait(10)
    stop.wait(0.3)
    stop.set()
    assert len(told) == 1 and "slurm-qos" in told[0]


@pytest.mark.parametrize(
    ("arguments", "file"),
    [
        (["snakemake", "--profile", "slurm"], "slurm/config.yaml"),
        (["snakemake", "--profile=berzelius/"], "berzelius/config.yaml"),
        (["snakemake", "-n"], "your profile"),
    ],
)
def test_the_profile_in_use_is_the_one_that_is_named(arguments, file):
    assert cluster.profile(arguments) == file


def _executor(states):
    async def query(command, logger):
        return (states, 0.1) if states is not None else (None, None)

    class Executor:
        def __init__(self):
            self.reported = []

        def _report_job_error_threadsafe(self, info, words):
            self.reported.append((info, words))

        def run_job(self, job):
            try:
                raise RuntimeError("sacctmgr is away")
            except RuntimeError:
                return job.rule  # as the plugin does, which a group has not

    return types.SimpleNamespace(query_job_status=query, Executor=Executor, SubmittedJobInfo=lambda job: job)


def test_jobs_for_which_the_executor_would_wait_for_ever_are_noticed():
    states = {"7": "CANCELLED by 1000", "8": "RUNNING", "9": "", "10": "PREEMPTED"}
    executor = _executor(states)
    cluster.mend(executor)
    cluster.mend(executor)  # once is enough
    cluster.mend(None)
    words = {"7": "CANCELLED", "8": "RUNNING", "9": "", "10": "FAILED"}
    assert asyncio.run(executor.query_job_status("x", None)) == (words, 0.1)
    executor = _executor(states)
    cluster.mend(executor, requeue=True)
    assert asyncio.run(executor.query_job_status("x", None))[0]["10"] == "PREEMPTED"
    executor = _executor(None)
    cluster.mend(executor)
    assert asyncio.run(executor.query_job_status("x", None)) == (None, None)


def test_a_group_that_cannot_be_submitted_fails_and_says_why():
    executor = _executor({})
    cluster.mend(executor)
    running = executor.Executor()
    running.run_job(types.SimpleNamespace())
    assert [words for _, words in running.reported] == ["Job submission failed with exception: sacctmgr is away"]
    running.run_job(types.SimpleNamespace(rule="clean"))
    assert len(running.reported) == 1


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
