"""The face study on the real event tables of OpenNeuro ds003645, with simulated signals: found, and lost to no kill."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROOT
from hedgerow import simulate, store, table
from pink import sources
from workflow import differences, kill_when, nothing_to_do, planned, run

STUDY = ROOT / "config/studies/faces-grid.yaml"
NAMES = ["Fz", "C3", "Cz", "C4", "P7", "Pz", "P8", "O1", "Oz", "O2"]
RATE = 125.0
SUBJECTS = [f"{number:03d}" for number in range(2, 8)]
#: What is planted in the responses, and for which faces: channel, latency and width in s, amplitude in µV.
PLANTED = {
    "faces - scrambled": (["famous_face", "unfamiliar_face"], "P8", 0.17, 0.03, -6.0),
    "famous - unfamiliar": (["famous_face"], "Cz", 0.45, 0.06, 4.0),
}
BLOCKS = 6

pytestmark = pytest.mark.xdist_group("faces")


def _signal(events, gain, rng):
    """Pink noise of a smooth scalp with the planted responses: (channels, samples), µV."""
    samples = int((events["onset"].max() + 4) * RATE)
    mix = np.stack([simulate.topography(NAMES, name) for name in NAMES], axis=1)
    x = mix @ sources(rng, len(NAMES), samples, RATE) * 4 + rng.standard_normal((len(NAMES), samples))
    time = np.arange(int(0.8 * RATE)) / RATE
    for faces, channel, latency, width, amplitude in PLANTED.values():
        response = (
            gain * amplitude * np.outer(simulate.topography(NAMES, channel), simulate.course(time, latency, width))
        )
        for onset in events["onset"][events["face_type"].isin(faces)]:
            at = round(onset * RATE)
            x[:, at : at + len(time)] += response
    return x


@pytest.fixture(scope="module")
def gains():
    """Factor on the planted responses of each person; 1 on average."""
    found = np.random.default_rng(1).normal(1, 0.15, len(SUBJECTS))
    return found / found.mean()


@pytest.fixture(scope="module")
def faces(shared, gains, tmp_path_factory):
    """Folder of the study on the first run of six people, its windows cut and their moments summed."""
    import pybv

    source, folder = shared / "data/events-only/ds003645", tmp_path_factory.mktemp("faces")
    raw = folder / "raw"
    raw.mkdir()
    for name in ("dataset_description.json", "participants.tsv", "task-FacePerception_events.json"):
        shutil.copy(source / name, raw)
    for subject, gain in zip(SUBJECTS, gains):
        place, stem = raw / f"sub-{subject}/eeg", f"sub-{subject}_task-FacePerception_run-1"
        place.mkdir(parents=True)
        shutil.copy(source / f"sub-{subject}/{stem}_events.tsv", place)
        x = _signal(table.read(place / f"{stem}_events.tsv"), gain, np.random.default_rng(int(subject)))
        to = {"fname_base": f"{stem}_eeg", "folder_out": str(place), "unit": "µV"}
        pybv.write_brainvision(data=x * 1e-6, sfreq=RATE, ch_names=NAMES, fmt="binary_float32", resolution=1, **to)
        channels = {"name": NAMES, "type": "EEG", "units": "µV"}
        table.write(place / f"{stem}_channels.tsv", pd.DataFrame(channels))
        sidecar = {"TaskName": "FacePerception", "SamplingFrequency": RATE, "PowerLineFrequency": 50}
        (place / f"{stem}_eeg.json").write_text(
            json.dumps(sidecar | {"EEGReference": "nose", "SoftwareFilters": "n/a"})
        )
    study = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    study["datasets"] = {"faces": {"source": "path", "path": str(raw), "only": {"task": "FacePerception"}}}
    study["recipes"]["slow"]["resample"] = None
    study |= {name: {"faces": study[name]["faces"]} for name in ("selections", "models")}
    study["models"]["faces"]["replicates"] = 600
    study |= {"parts": 1, "blocks": BLOCKS}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    run(folder, folder / "study.yaml", "results/studies/faces-grid/grid/faces/moments_faces_0of1.npz")
    return folder


@pytest.fixture(scope="module")
def undisturbed(faces, tmp_path_factory):
    """The study, run to its end."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copytree(faces, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("locks"))
    run(folder, folder / "study.yaml", "all_grids")
    return folder


def test_every_face_is_selected_under_its_name(faces):
    rows = table.read(faces / "results/studies/faces-grid/grid/faces/rows.tsv")
    assert (rows["label"] == rows["face_type"].str.removesuffix("_face")).all()
    for subject in SUBJECTS:
        shown = table.read(faces / f"raw/sub-{subject}/eeg/sub-{subject}_task-FacePerception_run-1_events.tsv")
        for face, number in shown["face_type"].value_counts().items():
            mine = rows[(rows["subject"] == subject) & (rows["face_type"] == face)]
            # some lie in seconds that the cleaning marked as beyond repair
            assert 0.8 * number <= len(mine) <= number and number >= 45


def test_what_was_planted_is_found_with_its_sign_and_size(undisturbed):
    folder = undisturbed / "results/studies/faces-grid/grid/faces"
    arrays, _ = store.read_arrays(folder / "maps.zarr.zip")
    assert list(arrays["unit"]) == ["all"] and list(arrays["channel"]) == NAMES
    summary = table.read(folder / "summary.tsv")
    for name, (_, channel, latency, width, amplitude) in PLANTED.items():
        place = simulate.topography(NAMES, channel)
        expected = amplitude * np.outer(place - place.mean(), simulate.course(arrays["time"], latency, width))
        row, column = np.unravel_index(np.abs(expected).argmax(), expected.shape)
        at = (0, list(arrays["coefficient"]).index(name), row, column)
        assert NAMES[row] == channel and abs(arrays["coef"][at] - expected[row, column]) < 1.2
        assert arrays["ci_low"][at] * arrays["ci_high"][at] > 0
        assert (
            arrays["p"][at] < 0.01
            and arrays["p_bootstrap"][at] < 0.05
            and np.sign(arrays["t"][at]) == np.sign(amplitude)
        )
        peak = summary[(summary["coefficient"] == name) & (summary["channel"] == channel)].iloc[0]
        assert abs(peak["time"] - latency) < 0.03 and np.sign(peak["coef"]) == np.sign(amplitude)
    tests, P8 = list(arrays["test"]), NAMES.index("P8")
    early = np.abs(arrays["time"] - 0.17).argmin()
    assert arrays["p_F"][0, tests.index("kind of face"), P8, early] < 0.01
    assert arrays["p_F"][0, tests.index("kind x repetition"), P8, early] > 0.001
    told = json.loads((folder / "account.json").read_text())
    assert told["choice"] == told["choice"] | {"bootstrap": "wild-clusters", "errors": "cr2", "over": "people"}
    assert told["bootstrap"]["units"] == told["fit"]["clusters"] == len(SUBJECTS) and told["devices"] == ["cpu"]
    best = {model: each["best_bic"] for model, each in told["comparison"].items()}
    assert sum(best.values()) == pytest.approx(1) and max(best, key=best.get) == "~ 1"
    weight = table.read(next(folder.glob("influence_*.tsv")))
    assert len(weight) == told["design"]["rows"]
    assert weight["leverage"].sum() == pytest.approx(len(told["design"]["coefficients"]))


def test_killed_in_the_middle_of_the_bootstrap_it_ends_with_the_same_results(faces, undisturbed, tmp_path):
    shutil.copytree(faces, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("locks"))
    grid, config = tmp_path / "results/studies/faces-grid/grid/faces", tmp_path / "study.yaml"
    drawn = "(Rule: bootstrap)"
    done = kill_when(lambda text: drawn in text, tmp_path, config, "all_grids").count(drawn)
    assert 0 < done < BLOCKS and not (grid / "maps.zarr.zip").exists()
    run(tmp_path, config, "all_grids", "--unlock")
    assert run(tmp_path, config, "all_grids").count("bootstrap of model") == BLOCKS - done
    assert differences(tmp_path, undisturbed) == []
    assert nothing_to_do(run(tmp_path, config, "all_grids", "--dry-run"))
    assert not list(grid.glob("replicates_*")) and not list(grid.glob("unfinished_*"))


def test_the_published_study_has_a_plan(tmp_path):
    assert planned(run(tmp_path, STUDY, "--dry-run")).keys() >= {"clone", "index", "config", "report"}
