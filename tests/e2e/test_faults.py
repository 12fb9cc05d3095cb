"""Recordings broken each in its own way, among sound ones: quarantined with a sentence, and nothing is lost."""

import json
import shutil

import numpy as np
import pytest
import yaml

from conftest import ROOT
from hedgerow import account, simulate, store, table
from workflow import run

pytestmark = pytest.mark.xdist_group("faults")

STUDY = yaml.safe_load((ROOT / "tests/e2e/tiny.yaml").read_text(encoding="utf-8"))
REC = "sub-{0}/eeg/sub-{0}_task-sounds"

#: What befalls which subject, and the reason code and words with which it must leave.
FAULTS = {
    "05": ("not-finite", ["NaN", "Cz"]),
    "06": ("truncated", ["sub-06", "RecordingDuration"]),
    "07": ("missing-file", ["sub-07", ".eeg"]),
    "08": ("no-match", ["tone", "click"]),
    "09": ("bad-hed", ["line"]),
}


def _spoil(raw):
    """Break the recordings of subjects 05 to 09 of the dataset `raw`."""
    stem = {subject: raw / REC.format(subject) for subject in FAULTS}
    names = list(table.read(raw / (REC.format("05") + "_channels.tsv"))["name"])
    signal = np.fromfile(f"{stem['05']}_eeg.eeg", dtype="<f4").reshape(-1, len(names))
    signal[5000:5010, names.index("Cz")] = np.nan
    signal.tofile(f"{stem['05']}_eeg.eeg")
    data = (raw / (REC.format("06") + "_eeg.eeg")).read_bytes()
    (raw / (REC.format("06") + "_eeg.eeg")).write_bytes(data[: len(data) // 2])
    (raw / (REC.format("07") + "_eeg.eeg")).unlink()
    events = table.read(f"{stem['08']}_events.tsv")
    table.write(f"{stem['08']}_events.tsv", events[events["trial_type"] != "sound"])
    events = table.read(f"{stem['09']}_events.tsv")
    table.write(f"{stem['09']}_events.tsv", events[events["trial_type"] != "eyes_closed"])


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faulty")
    simulate.write(folder / "raw", seed=3, subjects=9, channels=8, seconds=30)
    _spoil(folder / "raw")
    study = STUDY | {"study": "faulty", "datasets": {"raw": {"source": "path", "path": "raw"}}, "parts": 1}
    study["models"] = {"response": STUDY["models"]["response"]}
    study["networks"] = {"eyes": STUDY["networks"]["eyes"] | {"further_seeds": 0}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder, run(folder, folder / "study.yaml")


def _account(folder, subject):
    """The first account with which the recording of `subject` was quarantined."""
    rows = {row["subject"]: row for row in table.read(folder / "results/index/raw/recordings.tsv").to_dict("records")}
    if rows[subject]["status"] != "ok":
        return rows[subject]
    stem = folder / "results/derivatives/raw/standard" / REC.format(subject)
    found = account.read(f"{stem}_desc-clean_account.json")
    if found["status"] != "ok":
        return found
    accounts = [store.account(f"{stem}_desc-{name}_windows.zarr.zip") for name in ("sounds", "eyes")]
    return next(each for each in accounts if each["status"] != "ok")


@pytest.mark.parametrize("subject", FAULTS)
def test_a_broken_recording_leaves_by_its_account(faulty, subject):
    folder, _ = faulty
    code, words = FAULTS[subject]
    found = _account(folder, subject)
    assert (found["status"], found["reason"]) == ("quarantined", code), found["message"]
    for word in words:
        assert word in found["message"]


def test_the_rest_of_the_study_is_complete(faulty):
    folder, text = faulty
    results = folder / "results/studies/faulty"
    # 08 has no sounds, but its eyes were open and closed
    assert "recordings: 5 ok, 4 quarantined, 1 bad-hed, 1 missing-file, 1 not-finite, 1 truncated" in text
    design = json.loads((results / "grid/response/account.json").read_text())
    assert design["design"]["rows"] > 0
    rows = table.read(results / "grid/response/rows.tsv")
    assert set(rows["subject"]) == {"01", "02", "03", "04"}
    page = (results / "report.html").read_text(encoding="utf-8")
    for subject, (code, _) in FAULTS.items():
        assert f"sub-{subject}" in page and code in page
    validation = json.loads((results / "published/raw_validation.json").read_text())
    assert validation["errors"] == 0
    assert {row["rec"] for row in validation["left_out"]} >= {REC.format("05"), REC.format("06")}
    published = results / "published/raw"
    assert not (published / "sub-05").exists() and (published / "sub-01").is_dir()


def test_four_people_are_judged_over_their_trials(faulty):
    folder, _ = faulty
    arrays, _ = store.read_arrays(folder / "results/studies/faulty/grid/response/maps.zarr.zip")
    assert list(arrays["unit"]) == [f"raw/{subject}" for subject in ("01", "02", "03", "04")]


def _variant(folder, **changes):
    """The study with other words, in a file of its own."""
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8")) | changes
    (folder / "variant.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder / "variant.yaml"


def test_the_number_of_blocks_changes_no_result(faulty):
    folder, _ = faulty
    grid = folder / "results/studies/faulty/grid/response"
    before = {path.name: path.read_bytes() for path in grid.iterdir() if path.is_file()}
    assert {"maps.zarr.zip", "summary.tsv", "account.json"} <= before.keys()
    for blocks in (1, 3):
        assert run(folder, _variant(folder, blocks=blocks), "all_grids").count("bootstrap of model") == blocks
        assert {path.name: path.read_bytes() for path in grid.iterdir() if path.is_file()} == before


def test_a_model_that_fails_stops_no_other(faulty):
    folder, _ = faulty
    response = {"selection": "sounds", "formula": "kind", "replicates": 100}
    models = {"wrong": {**response, "compare": ["loudness"]}, "wild": {**response, "bootstrap": "wild"}}
    text = run(folder, _variant(folder, models=models), "all_grids", fails=True)
    assert "'loudness'" in text and "compare" in text
    found = account.read(folder / "results/studies/faulty/grid/wild/account.json")
    assert found["choice"]["bootstrap"] == "wild" and len(found["subjects"]) == 4


def test_a_test_of_what_is_not_there_stops_a_model_before_anything_is_drawn(faulty):
    folder, _ = faulty
    model = {"selection": "sounds", "formula": "kind", "tests": {"loudness": "loudness"}}
    text = run(folder, _variant(folder, models={"wrong": model}), "all_grids", fails=True)
    assert "test 'loudness'" in text and "Error in rule choice" in text and "bootstrap of model" not in text


def test_a_model_with_lags_says_that_four_people_are_too_few(faulty):
    folder, _ = faulty
    models = {"lagged": {"selection": "sounds", "formula": "kind", "lags": [-0.1, 0.4]}}
    text = run(folder, _variant(folder, models=models), "all_grids", fails=True)
    assert "lags: 4 people have events, and a model with lags needs 5" in text


def test_a_mended_recording_alone_runs_again(faulty):
    folder, _ = faulty
    sound = folder / "sound"
    simulate.write(sound, seed=3, subjects=6, channels=8, seconds=30)
    shutil.copy(sound / (REC.format("06") + "_eeg.eeg"), folder / "raw" / (REC.format("06") + "_eeg.eeg"))
    text = run(folder, folder / "study.yaml", "results/studies/faulty/published/raw_validation.json")
    assert "clean sub-06" in text and text.count("raw: clean sub-") == 1
    assert text.count("raw: cut windows") == 2
    left = json.loads((folder / "results/studies/faulty/published/raw_validation.json").read_text())["left_out"]
    assert REC.format("06") not in {row["rec"] for row in left}


def test_a_corrected_participant_reaches_the_models(faulty):
    folder, _ = faulty
    people = table.read(folder / "raw/participants.tsv", text=True)
    people.loc[people["participant_id"] == "sub-01", "age"] = "99"
    table.write(folder / "raw/participants.tsv", people)
    run(folder, folder / "study.yaml", "all_grids")
    rows = table.read(folder / "results/studies/faulty/grid/response/rows.tsv")
    assert set(rows["age"][rows["subject"] == "01"]) == {99}
