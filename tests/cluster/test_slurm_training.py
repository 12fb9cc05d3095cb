"""Trainings whose jobs are killed on a node, again and again: the same bits as on this machine without a fault."""

import pytest

from e2e.killed import disturbed
from granted import accounting
from workflow import differences, nothing_to_do, run

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]


def test_trainings_killed_on_a_node_end_as_those_of_a_laptop(site, tmp_path_factory, monkeypatch):
    alone = tmp_path_factory.mktemp("alone")
    run(alone, disturbed.STUDY, disturbed.METRICS)
    steps = disturbed.plan(alone, seed=9)
    disturbed.set_up(monkeypatch, site.folder, alone, steps)
    command = [disturbed.METRICS, "--retries", disturbed.DEATHS]
    text = site.run(*command, config=disturbed.STUDY)
    assert disturbed.happened(site.folder) == disturbed.expected(alone, steps)
    assert text.count("Trying to restart") == disturbed.DEATHS * len(steps)
    states = [job["State"] for job in accounting(site.folder) if "rule_train" in job["Comment"]]
    assert sorted(states) == ["COMPLETED"] * len(steps) + ["FAILED"] * disturbed.DEATHS * len(steps)
    for name, events in disturbed.happened(site.folder).items():
        log = (site.folder / f"results/logs/train/killed/eyes_{name}.log").read_text()
        assert f"goes on at step {events[-1][1] + 1} of " in log and "Slurm job" in log
    assert differences(site.folder, alone) == []
    assert nothing_to_do(site.run(*command, "--dry-run", config=disturbed.STUDY))
