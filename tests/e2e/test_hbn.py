"""The study hbn-sex: planned on the real tree of ds005505, and run to its end on simulated people of the same shape."""

import json
import shutil

import numpy as np
import pytest
import yaml

from conftest import ROOT
from hedgerow import _resting, store, table
from workflow import nothing_to_do, planned, run

STUDY = ROOT / "config/studies/hbn-sex.yaml"
NETWORKS = ["r-scnn", "r-vgg", "s-scnn", "s-vgg"]
PEOPLE, WINDOWS, VOTE = 8, 17, 9  # an odd number of votes has no tie

pytestmark = pytest.mark.xdist_group("hbn")


def _study():
    return yaml.safe_load(STUDY.read_text(encoding="utf-8"))


# --- on the real tree: all tables and sidecars of 20 people, an empty file in the place of every signal


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """Folder with the study on the published tree, indexed."""
    folder = tmp_path_factory.mktemp("real")
    shutil.copytree(shared / "data/events-only/ds005505", folder / "raw", copy_function=shutil.copyfile)
    for path in list((folder / "raw").rglob("*_events.tsv")):
        path.with_name(path.name.replace("_events.tsv", "_eeg.set")).write_bytes(b"signal")
    study = _study()
    study["datasets"]["hbn"] = {"source": "path", "path": str(folder / "raw"), "only": study["datasets"]["hbn"]["only"]}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    run(folder, folder / "study.yaml", "coverage")
    return folder


def test_on_the_real_tree_every_person_is_cleaned_cut_and_trained_on(real):
    jobs = planned(run(real, real / "study.yaml", "--dry-run"))
    assert jobs["clean"] == jobs["windows"] == 20
    # four networks with ten seeds, one fold each
    assert jobs["train"] == 40 and jobs["evaluate"] == 4 and jobs["split"] == 1
    listed = table.read(real / "results/index/hbn/recordings.tsv")
    assert len(listed) == 240 and listed["status"].eq("ok").all()


def test_on_the_real_tree_every_person_has_85_windows(real):
    found = table.read(real / "results/studies/hbn-sex/coverage.tsv")
    assert len(found) == 20 and found["rec"].str.endswith("_task-RestingState").all()
    assert set(found["label"]) == {"closed"} and set(found["events"]) == {5} and set(found["windows"]) == {85}


def test_the_published_study_has_a_plan(tmp_path):
    jobs = planned(run(tmp_path, STUDY, "--dry-run"))
    assert jobs.keys() >= {"clone", "index", "config", "report"} and jobs["train"] == 40


# --- on simulated people


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Folder of a whole run: 129 channels at 500 Hz, one minute a person; narrow networks, two epochs."""
    folder, study = tmp_path_factory.mktemp("simulated"), _study()
    study["datasets"]["hbn"] = {
        "source": "simulate",
        "paradigm": "rest",
        "subjects": PEOPLE,
        "sfreq": 500,
        "seconds": 70,
    }
    study["split"]["folds"] = 4
    for network in study["networks"].values():
        network |= {"params": {"width": 0.05}, "epochs": 2, "batch": 20, "further_seeds": 0, "vote": VOTE}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    run(folder, folder / "study.yaml", "all_networks")
    return folder


def test_simulated_recordings_are_cleaned_as_planted(simulated):
    truth = json.loads((simulated / "results/raw/hbn/sourcedata/truth.json").read_text(encoding="utf-8"))
    assert len(truth["recordings"]) == PEOPLE
    for rec, planted in truth["recordings"].items():
        account = json.loads((simulated / f"results/derivatives/hbn/truong/{rec}_desc-clean_account.json").read_text())
        assert account["status"] == "ok" and account["sfreq"] == 128.0 and account["channels"] == len(_resting.NAMES)
        assert set(account["flat"]) == {planted["flat"], "Cz"} and planted["noisy"] in account["uncorrelated"]
        assert len(account["interpolated"]) <= 6 and account["reference"] == ["E57", "E100"]


def test_windows_are_those_that_the_networks_take(simulated):
    """24 channels by 256 samples; alpha is there, and what is faster than 25 Hz is not."""
    paths = sorted((simulated / "results/derivatives/hbn/truong").rglob("*_desc-closed_windows.zarr.zip"))
    assert len(paths) == PEOPLE
    freqs = np.fft.rfftfreq(256, 1 / 128)
    for path in paths:
        x, rows, attrs = store.read(path)
        assert x.shape == (WINDOWS, 24, 256) and attrs["names"] == _study()["selections"]["closed"]["channels"]
        np.testing.assert_allclose(np.diff(rows["onset"]), 2)
        power = (np.abs(np.fft.rfft(x * np.hanning(256), axis=-1)) ** 2).mean(axis=(0, 1))
        assert power[freqs > 33].max() < 1e-3 * power[(freqs > 7) & (freqs < 12)].max()


def _vote(found):
    """Share of the people of each class who are rightly told by their first windows, on average over the classes."""
    first = found.groupby("person").head(VOTE)
    said = (first["p1"] > first["p0"]).groupby(first["person"]).mean()
    true = first.groupby("person")["y"].first()
    return np.mean([((said > 0.5) == true)[true == y].mean() for y in (0, 1)])


def test_the_same_boy_and_girl_are_tested_by_all_networks(simulated):
    folder = simulated / "results/studies/hbn-sex"
    dealt = table.read(folder / "split.tsv", text=True)
    people = table.read(simulated / "results/index/hbn/participants.tsv")
    tested = set(dealt.loc[dealt["fold"] == "1", "subject"])
    assert sorted(people.loc[people["participant_id"].str.removeprefix("sub-").isin(tested), "sex"]) == ["F", "M"]
    shown = []
    for network in NETWORKS:
        found = table.read(folder / f"networks/{network}/predictions.tsv")
        assert len(found) == 2 * WINDOWS and set(found["subject"].astype(str).str.zfill(2)) == tested
        np.testing.assert_allclose(found["p0"] + found["p1"], 1, atol=1e-5)
        shown.append(found[["rec", "y"]])
        assert shown[-1].equals(shown[0])
        metrics = json.loads((folder / f"networks/{network}/metrics.json").read_text(encoding="utf-8"))
        (score,) = (
            row
            for row in metrics["results"]["1"]["scores"]
            if (row["level"], row["metric"]) == ("subject", "balanced_accuracy")
        )
        assert score["value"] == pytest.approx(_vote(found)) and score["n"] == 2


def test_every_pair_of_networks_is_compared(simulated):
    found = table.read(simulated / "results/studies/hbn-sex/comparisons.tsv")
    pairs = set(zip(found["network"], found["against"]))
    assert len(pairs) == 6 and {name for pair in pairs for name in pair} == set(NETWORKS)
    assert {"window", "subject", "mean"} == set(found["level"]) and found["difference"].notna().any()


def test_a_second_run_has_nothing_to_do(simulated):
    assert nothing_to_do(run(simulated, simulated / "study.yaml", "all_networks", "--dry-run"))
