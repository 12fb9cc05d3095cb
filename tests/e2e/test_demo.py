"""The demo and its null twin at full size: what was planted is found, and nothing where nothing is."""

import json

import pytest
import yaml

from conftest import ROOT
from hedgerow import publish, validation
from readback import read_back
from workflow import nothing_to_do, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    run(folder, ROOT / "config/config.yaml")
    assert nothing_to_do(run(folder, ROOT / "config/config.yaml", "--dry-run"))
    return folder / "results"


@pytest.fixture(scope="module")
def null(tmp_path_factory):
    """The same study on the null twin; the first seed of the network is enough."""
    folder = tmp_path_factory.mktemp("null")
    study = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    study["datasets"]["demo"]["effect"] = 0
    study["networks"]["sex"]["further_seeds"] = 0
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    run(folder, folder / "study.yaml")
    return folder / "results"


def _vote(results, seed="1"):
    metrics = json.loads((results / "studies/demo/networks/sex/metrics.json").read_text())
    scores = metrics["results"][seed]["scores"]
    return next(row for row in scores if (row["level"], row["metric"]) == ("subject", "balanced_accuracy"))


def test_the_planted_is_recovered(demo):
    found = json.loads((demo / "studies/demo/recovery_demo.json").read_text())
    for fault in ("flat", "noisy"):
        assert found["channels"][fault] == {"found": 24, "missed": [], "false": []}
    assert found["bursts"]["db"] >= 10 and min(found["bursts"]["recordings"].values()) >= 10
    for term in found["responses"]["response"]:
        assert term["recovered"]["channel"] == term["planted"]["channel"]
        assert abs(term["recovered"]["time"] - term["planted"]["time"]) <= 0.02
        assert term["ratio"] >= 0.9


def test_sex_is_told_by_vote_with_every_seed(demo):
    for seed in map(str, range(1, 7)):
        score = _vote(demo, seed)
        assert score["n"] == 24 and score["low"] > 0.5, seed


def test_the_simulated_dataset_and_the_derivative_are_valid(demo):
    for tree in (demo / "raw/demo", demo / "studies/demo/published/demo"):
        found = validation.official(tree)
        assert found["errors"] == 0 and found["seen"] == len(publish.seen(tree))
    told = json.loads((demo / "studies/demo/published/demo_validation.json").read_text())
    assert told["errors"] == 0 and len(told["published"]) == 24 and told["licence"]["redistribution"] == "allowed"


def test_every_clean_signal_reads_back_through_mne_bids(demo):
    assert read_back(demo / "studies/demo/published/demo") == 24


def test_in_the_null_twin_there_is_nothing(null):
    score = _vote(null)
    assert score["low"] < 0.5 < score["high"]
    found = json.loads((null / "studies/demo/recovery_demo.json").read_text())
    assert all(
        term["planted"] is None and abs(term["recovered"]["value"]) < 1.5 for term in found["responses"]["response"]
    )
    assert found["bursts"]["db"] >= 10
