"""What the rules know of a study: files by recording and part, folds, fingerprints."""

import shutil
from pathlib import Path

import pytest

from hedgerow import study

HEADER = "rec\tstatus\treason\tsubject\tsize\n"


@pytest.fixture
def demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for dataset, subjects in (("a", ["01", "02", "03"]), ("b", ["01"])):
        folder = tmp_path / f"results/index/{dataset}"
        folder.mkdir(parents=True)
        lines = [f"sub-{s}/eeg/sub-{s}_task-x\tok\tn/a\t{s}\t1500000\n" for s in subjects]
        lines.append("sub-99/eeg/sub-99_task-x\tquarantined\tno-events\t99\tn/a\n")
        (folder / "recordings.tsv").write_text(HEADER + "".join(lines))
    config = {
        "study": "s",
        "datasets": {"a": {"source": "path", "path": "/x", "only": {}}, "b": {"source": "simulate", "only": {}}},
        "pilot": None,
        "overrides": "config/overrides.tsv",
        "recipe": "standard",
        "selections": {"eyes": {}, "tones": {}},
        "features": {"psd": {"selection": "eyes"}},
        "models": {
            "m": {"selection": "tones", "feature": None, "bootstrap": "auto", "lags": None, "influence": True},
            "f": {"selection": "eyes", "feature": "psd", "bootstrap": "none", "lags": None, "influence": False},
        },
        "networks": {"n": {"selection": "eyes", "folds": "split", "seed": 7, "further_seeds": 2}},
        "split": {"folds": 2},
        "parts": 2,
    }
    config["networks"]["loso"] = {**config["networks"]["n"], "folds": "leave-one-subject-out"}
    return study.Study(config, lambda dataset: f"results/index/{dataset}/recordings.tsv")


def test_quarantined_recordings_have_no_files(demo):
    files = demo.stores(["eyes"])
    assert len(files) == 4
    assert files[0] == "results/derivatives/a/standard/sub-01/eeg/sub-01_task-x_desc-eyes_windows.zarr.zip"
    assert not any("99" in path for path in files)


def test_parts_hold_every_recording_once(demo):
    whole = demo.stores(["eyes"], dataset="a")
    parts = [demo.stores(["eyes"], "a", part) for part in ("0of2", "1of2")]
    assert sorted([*parts[0], *parts[1]]) == sorted(whole)
    assert all(study.part_of(s, 2) == study.part_of(s, 2) for s in ("01", "02"))


def test_values_of_a_model_are_windows_or_features(demo):
    assert all("desc-tones_windows" in path for path in demo.values("m"))
    assert all("/features/eyes_psd_" in path for path in demo.values("f"))
    assert len(demo.values("f")) == len(demo.features())


def test_values_themselves_are_at_hand_where_inference_may_be_over_trials(demo, monkeypatch):
    model = demo.config["models"]["m"]
    for bootstrap, few, many in (("auto", 4, 0), ("none", 4, 0), ("clusters", 0, 0), ("pairs", 4, 4), ("wild", 4, 4)):
        model["bootstrap"] = bootstrap
        monkeypatch.setattr(study, "FEW", 50)
        assert len(demo.values_of_few("m")) == few, bootstrap
        monkeypatch.setattr(study, "FEW", 2)
        assert len(demo.values_of_few("m")) == many, bootstrap


def test_a_model_with_lags_has_moments_of_its_own_and_no_values(demo):
    assert demo.moments("m") == demo.grid("m", "moments_{dataset}_{part}.npz")
    demo.config["models"]["m"]["lags"] = [-0.2, 0.8]
    assert demo.moments("m") == demo.grid("m", "rerp_{dataset}_{part}.npz") and demo.values_of_few("m") == []


def test_files_of_a_grid(demo):
    folder = "results/studies/s/grid"
    assert demo.grid("m", "scratch.npy") == [f"{folder}/m/scratch.npy"]
    assert len(demo.moments("m")) == len(demo.parts("{dataset}{part}"))
    assert demo.drawn("m", ["a", "b"]) == [f"{folder}/m/a", f"{folder}/m/b"] and demo.drawn("f", ["a", "b"]) == []
    assert all(path.startswith(f"{folder}/m/influence_") for path in demo.influences()) and demo.influences()
    assert demo.unfinished("m", "1-of-2") == f"{folder}/m/unfinished_1-of-2"


def test_parameters_of_a_rule_are_the_keys_that_it_uses(demo):
    assert demo.model("m", "lags", "feature") == {"lags": None, "feature": None}
    assert demo.model("m", without=["influence"]).keys() == demo.config["models"]["m"].keys() - {"influence"}


def test_folds_and_seeds(demo):
    assert demo.folds("n") == ["1", "2"]
    assert demo.folds("loso") == ["a-01", "a-02", "a-03", "b-01"]
    assert demo.seeds("n") == [7, 8, 9]
    assert len(demo.trained("n", ".safetensors")) == 6


def test_a_recording_that_is_not_listed_is_named(demo):
    with pytest.raises(ValueError, match="lists no recording 'sub-7'"):
        demo.row("a", "sub-7", "subject")
    with pytest.raises(ValueError, match=r"recordings\.tsv is missing: run `snakemake"):
        demo.row("c", "sub-7", "subject")


def test_the_summary_counts_reasons(demo):
    assert demo.summary() == "recordings: 0 ok, 2 quarantined, 2 no-events; 4 failed or not done"


def test_the_fingerprint_follows_names_and_sidecars_not_time_stamps(tmp_path):
    root = tmp_path / "d"
    (root / "sub-01/eeg").mkdir(parents=True)
    (root / "sub-01/eeg/sub-01_eeg.edf").write_bytes(b"12345678")
    (root / "sub-01/eeg/sub-01_eeg.json").write_text("{}")
    first = study.tree(root)
    shutil.copytree(root, tmp_path / "clone")  # keeps time stamps
    assert study.tree(tmp_path / "clone") == first
    (root / "sub-01/eeg/sub-01_eeg.edf").write_bytes(b"87654321")
    assert study.tree(root) != first
    first = study.tree(root)
    (root / "sourcedata").mkdir()
    (root / "sourcedata/x.json").write_text("{}")
    assert study.tree(root) == first
    (root / "sub-01/eeg/sub-01_eeg.json").write_text("[]")
    assert study.tree(root) != first


def test_jobs_ask_by_the_size_of_what_they_read(demo):
    rec = "sub-01/eeg/sub-01_task-x"
    assert demo.size_mb("a", rec=rec) == 2  # 1.5 MB, rounded up
    assert demo.size_mb("a") == 5 and demo.size_mb() == 6
    assert sum(demo.size_mb("a", part) for part in ("0of2", "1of2")) in (5, 6)
    assert demo.size_mb("a", rec="sub-99/eeg/sub-99_task-x") == 0
    assert study.Study({**demo.config, "datasets": {"new": {"source": "path", "only": {}}}}, None).size_mb() == 0
    assert demo.largest_mb() in (3, 5)
    (path := Path("values")).write_bytes(bytes(1_500_000))
    assert demo.mb([path, path]) == 3
    demo.config["models"]["m"]["replicates"], demo.config["blocks"] = 200_000, 5
    assert demo.drawing_minutes("m", str(path)) == 2
    demo.config["datasets"]["b"] |= {"seconds": 100.0, "sfreq": 250.0, "channels": 24}
    assert demo.simulated_mb("b") == 60


def test_a_job_of_a_cluster_does_not_walk_through_the_dataset(demo, monkeypatch):
    monkeypatch.setattr(study, "tree", lambda *_: pytest.fail("the dataset was walked through"))
    inside = study.Study(demo.config, demo.index, in_job=True)
    assert inside.tree("a") and inside.tree("b") is None
