"""Trainings that are killed in the midst of their rule, again and again, end as if nothing had happened."""

import pytest

from e2e.killed import disturbed
from workflow import differences, digests, nothing_to_do, run

pytestmark = pytest.mark.xdist_group("killed")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Folder in which the study has been run without a fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder, disturbed.STUDY, disturbed.METRICS)
    return folder


@pytest.fixture
def steps(undisturbed):
    """Where each training is killed; among the checkpoints that are left some close an epoch, and some do not."""
    steps = disturbed.plan(undisturbed, seed=8)
    taken_up = {
        at for events in disturbed.expected(undisturbed, steps).values() for word, at in events if word == "from"
    }
    (per_epoch,) = {account["steps"] // account["epochs"] for account in disturbed.accounts(undisturbed).values()}
    assert len({at % per_epoch == 0 for at in taken_up - {0}}) == 2, "another seed must be chosen"
    return steps


def test_trainings_killed_at_three_random_steps_end_with_the_same_bits(undisturbed, steps, tmp_path, monkeypatch):
    disturbed.set_up(monkeypatch, tmp_path, undisturbed, steps)
    # two processes read ahead; in the undisturbed run none does
    reading = ["--set-resources", "train:workers=2"]
    text = run(tmp_path, disturbed.STUDY, disturbed.METRICS, "--retries", disturbed.DEATHS, *reading)
    assert disturbed.happened(tmp_path) == disturbed.expected(undisturbed, steps)
    assert text.count("died with <Signals.SIGKILL: 9>") == disturbed.DEATHS * len(steps) == 6
    for name, events in disturbed.happened(tmp_path).items():
        for checkpoint in {at for word, at in events if word == "from"} - {0}:
            # failed attempts' logs are shown by Snakemake, the last one's is there
            log = tmp_path / f"results/logs/train/killed/eyes_{name}.log"
            assert f"goes on at step {checkpoint + 1} of " in text + log.read_text()
    names = {name.rpartition("fold-")[2] for name in digests(tmp_path) if "/seed-1_" in name}
    assert names == {f"{fold}{end}" for fold in "12" for end in (".safetensors", "_curve.tsv", "_account.json")}
    assert differences(tmp_path, undisturbed) == []
    assert nothing_to_do(run(tmp_path, disturbed.STUDY, disturbed.METRICS, "--dry-run"))
