"""Windows as rows, and the values behind them."""

import numpy as np
import pandas as pd
import pytest

from hedgerow import rows, store, table


@pytest.fixture
def study(tmp_path, rng):
    """Three stores of two people (the last one empty), their events and participants."""
    folder = tmp_path / "results/index/d"
    folder.mkdir(parents=True)
    people = pd.DataFrame({"participant_id": ["sub-01", "sub-02"], "sex": ["F", "M"], "onset": [1, 2]})
    table.write(folder / "participants.tsv", people)
    paths = []
    for number, (subject, windows) in enumerate((("01", 3), ("02", 2), ("02", 0))):
        rec = f"sub-{subject}/eeg/sub-{subject}_run-{number}"
        path = f"{tmp_path}/{rec}_desc-a_windows.zarr.zip"
        (tmp_path / rec).parent.mkdir(parents=True, exist_ok=True)
        events = pd.DataFrame({"onset": np.arange(5.0), "kind": list("abcde")})
        table.write(path.replace("windows.zarr.zip", "events.tsv"), events)
        index = pd.DataFrame({"onset": np.arange(windows) + 0.5, "event": np.arange(windows) * 2})
        index = index.assign(label="x", zero=index["onset"], hed="Event")
        if windows:
            attrs = {"dataset": "d", "subject": subject, "rec": rec, "selection": "a", "account": {"status": "ok"}}
            signal = rng.normal(size=(windows, 2, 4))
            store.write(path, signal, index, names=["A", "B"], sfreq=2.0, tmin=-1.0, dtype="float32", attrs=attrs)
        else:
            store.write_empty(path, {"status": "quarantined"})
        paths.append(path)
    return paths, [folder / "participants.tsv"]


def test_a_row_has_its_place_its_event_and_its_person(study):
    paths, participants = study
    found = rows.collect(paths, participants)
    assert list(found.columns) == [*rows.PLACE, "kind", "sex"]
    assert found["kind"].tolist() == ["a", "c", "e", "a", "c"]
    assert found["sex"].tolist() == ["F"] * 3 + ["M"] * 2
    assert found["onset"].tolist() == [0.5, 1.5, 2.5, 0.5, 1.5]
    assert found["window"].tolist() == [0, 1, 2, 0, 1]


def test_values_follow_the_rows_in_any_order(study):
    paths, participants = study
    found = rows.collect(paths, participants).iloc[[4, 0, 2]]
    values, axes = rows.values(paths[::-1], found)
    whole = {path: store.read(path)[0] for path in paths}
    expected = np.stack([whole[path][window] for path, window in zip(found["store"], found["window"])])
    assert np.array_equal(values, expected)
    assert axes == {"names": ["A", "B"], "axis": "time", "points": [-1.0, -0.5, 0.0, 0.5], "unit": "µV"}


def test_features_come_back_by_window(study, tmp_path):
    paths, participants = study
    found = rows.collect(paths, participants)
    parts = []
    for path in paths[:2]:
        signal, _, attrs = store.read(path)
        parts.append((path, np.array([1.0, 2.0]), np.abs(signal[:, :, :2]) + 1, attrs))
    (tmp_path / "features").mkdir()
    store.write_arrays(tmp_path / "features/a_psd_0.zarr.zip", *rows.features(parts))
    values, axes = rows.values([tmp_path / "features/a_psd_0.zarr.zip"], found[::-1], log10=True)
    expected = np.concatenate([power for *_, power, _ in parts])[::-1]
    np.testing.assert_allclose(values, np.log10(expected), rtol=1e-6)
    assert axes["axis"] == "frequency" and axes["unit"] == "log10 µV²/Hz" and axes["points"] == [1.0, 2.0]


def test_no_windows_give_no_features_and_no_values(study, tmp_path):
    arrays, attrs = rows.features([])
    store.write_arrays(tmp_path / "f.zarr.zip", arrays, attrs)
    assert store.read_arrays(tmp_path / "f.zarr.zip")[0]["psd"].shape == (0, 0, 0)
    paths, participants = study
    values, _ = rows.values(paths, rows.collect(paths, participants)[:0])
    assert values.shape == (0, 0, 0)


def test_missing_windows_and_unlike_files_are_named(study, tmp_path, rng):
    paths, participants = study
    found = rows.collect(paths, participants)
    with pytest.raises(ValueError, match=r"windows are missing: .*sub-02_run-1"):
        rows.values(paths[:1], found)
    with pytest.raises(ValueError, match="none of 1 stores has a window"):
        rows.collect(paths[2:], participants)
    index = pd.DataFrame({"onset": [0.0], "event": [0], "label": ["x"], "zero": [0.0], "hed": ["Event"]})
    attrs = {"dataset": "d", "subject": "02", "rec": "rec-1"}
    store.write(paths[1], rng.normal(size=(1, 3, 4)), index, names=list("ABC"), sfreq=2.0, tmin=-1.0, attrs=attrs)
    with pytest.raises(ValueError, match="differ in channels, rate or length"):
        rows.values(paths, rows.collect(paths, participants))


def test_the_logarithm_of_a_signal_is_refused(study):
    paths, participants = study
    with pytest.raises(ValueError, match="log: values are not all above 0"):
        rows.values(paths, rows.collect(paths, participants), log10=True)


def test_people_of_several_datasets(tmp_path):
    listed, described = [], []
    for dataset in ("a", "b"):
        folder = tmp_path / dataset
        folder.mkdir()
        table.write(
            folder / "recordings.tsv",
            pd.DataFrame({"subject": ["01", "01", "02"], "rec": [f"{dataset}1", f"{dataset}2", f"{dataset}3"]}),
        )
        table.write(folder / "participants.tsv", pd.DataFrame({"participant_id": ["sub-01"], "sex": ["F"]}))
        listed.append(folder / "recordings.tsv")
        described.append(folder / "participants.tsv")
    found = rows.people(listed, described, {"a": ["a1", "a2"], "b": ["b2"]})
    assert found["label"].tolist() == ["a-01", "b-01"] and found["sex"].tolist() == ["F", "F"]


def test_parts_of_the_rows_are_of_whole_people_and_hold_all():
    found = pd.DataFrame({"dataset": np.repeat(["a", "b"], 40), "subject": [f"{k % 20:02d}" for k in range(80)]})
    parts = [rows.of_part(found, dataset, f"{k}of3", 3) for dataset in "ab" for k in range(3)]
    assert sorted(place for part in parts for place in part.index) == list(range(80))
    people = [set(zip(part["dataset"], part["subject"])) for part in parts]
    assert sum(map(len, people)) == len(set.union(*people)) == 40 and all(people)


def test_a_model_with_lags_needs_as_many_people_as_inference_over_them():
    from hedgerow.grid import choice

    assert rows.FEWEST_WITH_LAGS == choice.MIN_CLUSTERS
