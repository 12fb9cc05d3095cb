"""Requests that Slurm refuses or can never meet end in a sentence; ten GPU jobs in a group ask for one GPU."""

import re
import signal
import subprocess
import time

import pytest
import yaml

from granted import accounting, declared, granted
from hedgerow import cluster
from onenode import STUDY

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]

#: A line of the profile that a test may write its own request into.
SPARE = "# clean: {mem_mb: attempt * 32000, runtime: attempt * 120}"
CONFIG = "results/studies/small/config.yaml"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"- slurm_partition=cpu": "- slurm_partition=big"}, ["no partition 'big'", "cpu, gpu, short"]),
        ({"- slurm_account=hedge": "- slurm_account=nobody"}, ["no account 'nobody'", "hedge", "slurm_account"]),
        ({SPARE: "config: {mem_mb: 900000}"}, ["900000 MB", "the largest node"]),
        (
            {SPARE: "config: {gpu: 1, gpu_model: a100}"},
            ["GPUs 'a100:1'", "gpu:h200:2", "gpu_model"],
        ),
    ],
    ids=["partition", "account", "memory", "gpu model"],
)
def test_a_refusal_ends_in_a_sentence(site, edit, words):
    site.edit(edit)
    text = site.run(CONFIG, "--retries", "0", fails=True)
    sentences = [line for line in text.splitlines() if line.startswith("Slurm refused: ")]
    assert len(sentences) == 1, text[-3000:]
    for word in words:
        assert word in sentences[0]


def test_a_request_that_can_never_be_met_is_told_while_snakemake_waits(site):
    site.edit({SPARE: "config: {slurm_partition: short}"})
    process = site.start(CONFIG)
    try:
        end = time.monotonic() + 90
        while "never start" not in (site.folder / "out").read_text() and time.monotonic() < end:
            time.sleep(0.5)
        text = (site.folder / "out").read_text()
        assert re.search(r"Slurm will never start jobs \d+ \(Partition(TimeLimit|Config)\)", text)
        assert "short: 2:00" in text and "mend slurm/config.yaml" in text
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    assert cluster.queued(site.folder) == []


def test_ten_grouped_gpu_jobs_ask_for_one_gpu(site, undisturbed):
    """Ten trainings in one job: one GPU, one at a time, on the same device."""
    study = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    study["networks"]["eyes"] |= {"further_seeds": 4, "epochs": 1}
    path = site.folder / "ten.yaml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    subprocess.run(["cp", "-a", undisturbed / "results", undisturbed / ".snakemake", site.folder], check=True)
    for name in ("train", "evaluate"):
        subprocess.run(["rm", "-rf", site.folder / "results/logs" / name], check=True)
    site.edit({"# - train=trainings": "- train=trainings", "# - trainings=10": "- trainings=10"})
    site.run("results/studies/small/networks/eyes/metrics.json", config=path)
    jobs = {job["Comment"].split("_")[1]: granted(job) for job in accounting(site.folder)}
    trainings = [job for job in declared(site.folder) if job["rule"] == "train"]
    assert len(trainings) == 10
    assert jobs["trainings"]["gpus"] == 1
    assert jobs["trainings"]["mb"] == trainings[0]["mb"]
    assert jobs["trainings"]["minutes"] == 10 * trainings[0]["minutes"]
    assert len({job["devices"] for job in trainings}) == 1 and trainings[0]["devices"] in "01"
