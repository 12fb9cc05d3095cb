"""What networks are shown: classes, people, folds, and that nobody is tested by a network that saw them."""

import numpy as np
import pandas as pd
import pytest

from hedgerow import split, store, table

pytest.importorskip("torch")
from safetensors.torch import save_file

from hedgerow.nets import data, train

NETWORK = {
    "target": "sex",
    "labels": None,
    "model": "eegnet",
    "params": {"kernel": 16},
    "validation": 0.0,
    "shuffle_time": False,
    **dict.fromkeys(("batch", "lr", "weight_decay")),
    "epochs": 1,
    "optimiser": "adamax",
}


@pytest.fixture
def study(tmp_path, rng):
    """Eight people of two datasets (one of them in both) with four windows each."""
    stores, participants, people = [], [], []
    for dataset, subjects in (("a", ["1", "2", "03", "1e5"]), ("b", ["1", "2", "3", "4"])):
        folder = tmp_path / "index" / dataset
        folder.mkdir(parents=True)
        human = [f"{dataset}{s}" if (dataset, s) != ("b", "1") else "a1" for s in subjects]
        frame = pd.DataFrame({"participant_id": [f"sub-{s}" for s in subjects], "sex": ["F", "M"] * 2, "person": human})
        table.write(folder / "participants.tsv", frame)
        participants.append(folder / "participants.tsv")
        people.append(pd.DataFrame({"dataset": dataset, "subject": subjects, "person": human}))
        for subject in subjects:
            path = f"{tmp_path}/{dataset}-{subject}_desc-x_windows.zarr.zip"
            events = pd.DataFrame({"onset": np.arange(4.0), "fold": ["9", "9", "9", "9"]})
            table.write(path.replace("windows.zarr.zip", "events.tsv"), events)
            index = pd.DataFrame({"onset": np.arange(4.0), "event": np.arange(4), "label": ["u", "v"] * 2})
            attrs = {"dataset": dataset, "subject": subject, "rec": f"sub-{subject}", "selection": "x"}
            index = index.assign(zero=0.0, hed="Event")
            store.write(path, rng.normal(size=(4, 3, 64)), index, names=list("ABC"), sfreq=64.0, tmin=0.0, attrs=attrs)
            stores.append(path)
    dealt = split.assign(pd.concat(people, ignore_index=True), method="blocks", folds=2)
    dealt["left_out"] = dealt.groupby("person")["dataset"].transform("first") + "-" + dealt["subject"]
    dealt.loc[dealt["person"] == "a1", "left_out"] = "a-1"
    table.write(tmp_path / "split.tsv", dealt)
    return stores, participants, tmp_path / "split.tsv"


def test_people_keep_their_labels_and_columns_of_the_same_name_do_not_collide(study):
    found, classes = data.examples(*study, NETWORK)
    assert classes == ["F", "M"] and len(found) == 32
    assert set(found["subject"]) == {"1", "2", "03", "1e5", "3", "4"}
    assert set(found["fold"]) == {"1", "2"} and found["person"].nunique() == 7
    assert found["trial"].tolist() == [0, 1, 2, 3] * 8


def test_a_person_in_two_datasets_has_one_role(study):
    found, _ = data.examples(*study, NETWORK)
    for fold in ("1", "2", "a-1"):
        role = data.roles(found, fold, validation=0.2, seed=1)
        assert pd.Series(role).groupby(found["person"].to_numpy()).nunique().max() == 1
    assert (found["person"][data.roles(found, "a-1", validation=0, seed=1) == "test"] == "a1").all()


def test_only_the_wanted_classes_are_used_and_mistakes_are_named(study):
    found, classes = data.examples(*study, NETWORK | {"target": "label"})
    assert classes == ["u", "v"]
    found, _ = data.examples(*study, NETWORK | {"labels": ["u"]})
    assert len(found) == 16
    with pytest.raises(ValueError, match="no window is called 'w'"):
        data.examples(*study, NETWORK | {"labels": ["w"]})
    with pytest.raises(ValueError, match="no column 'age'"):
        data.examples(*study, NETWORK | {"target": "age"})
    with pytest.raises(ValueError, match="one value or none"):
        data.examples(*study, NETWORK | {"target": "label", "labels": ["u"]})


def test_a_person_without_a_fold_is_named(study):
    stores, participants, path = study
    dealt = table.read(path)
    table.write(path, dealt[dealt["subject"] != "4"])
    with pytest.raises(ValueError, match="sub-4 has no fold"):
        data.examples(stores, participants, path, NETWORK)


def test_every_window_is_predicted_once_by_a_network_that_never_saw_its_person(study, tmp_path):
    stores = study[0]
    found, classes = data.examples(*study, NETWORK)
    paths = []
    for fold in ("1", "2"):
        role = data.roles(found, fold, validation=0.0, seed=5)
        task = data.task(stores, found, role, NETWORK, n_outputs=2)
        assert len(task["X"]) == (role != "test").sum()
        weights, _, _ = train.fit(**task, **data.settings(NETWORK, seed=5, threads=1, gpus=0))
        paths.append(tmp_path / f"seed-5_fold-{fold}.safetensors")
        save_file(weights, paths[-1])
    predicted = data.predictions(paths, stores, found, NETWORK, threads=1, gpus=0)[5]
    assert len(predicted) == len(found) and (predicted["tested"] == predicted["fold"]).all()
    assert predicted[["dataset", "subject", "window"]].equals(found[["dataset", "subject", "window"]])
    done = data.summary({5: predicted}, classes, NETWORK)
    assert done["main_seed"] == 5 and done["folds"] == ["1", "2"]
    assert {row["metric"] for row in done["results"][5]["scores"]} >= {"balanced_accuracy", "auc"}
    with pytest.raises(ValueError, match="are in no test fold"):
        data.predictions(paths[:1], stores, found, NETWORK, threads=1, gpus=0)


def test_one_person_a_fold_has_no_auc_and_a_note(study, rng):
    found, classes = data.examples(*study, NETWORK)
    p = rng.uniform(size=len(found))
    predicted = found.assign(tested=found["left_out"], p0=1 - p, p1=p)
    result = data.summary({1: predicted}, classes, NETWORK)["results"][1]
    assert "auc" not in {row["metric"] for row in result["scores"]}
    assert any("one class only" in note for note in result["account"]["notes"])
