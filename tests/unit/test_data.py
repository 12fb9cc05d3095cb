"""What networks are shown: classes, people, folds, and that nobody is tested by a network that saw them."""

import numpy as np
import pandas as pd
import pytest

from hedgerow import split, store, table

pytest.importorskip("torch")
from hedgerow.nets import card, data, jobs, load, summary, train, trained

NETWORK = {
    "selection": "x",
    "feature": None,
    "target": "sex",
    "labels": None,
    "task": "classification",
    "model": "eegnet",
    "params": {"kernel": 16},
    "input": "raw",
    "input_params": {},
    "standardise": True,
    "folds": "split",
    "validation": 0.0,
    "shuffle_time": False,
    "vote": None,
    "balance": "none",
    "precision": "float32",
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
        frame["age"] = [20 + 5 * n for n in range(4)]
        table.write(folder / "participants.tsv", frame)
        participants.append(folder / "participants.tsv")
        people.append(pd.DataFrame({"dataset": dataset, "subject": subjects, "person": human}))
        for subject in subjects:
            path = f"{tmp_path}/{dataset}-{subject}_desc-x_windows.zarr.zip"
            events = pd.DataFrame({"onset": np.arange(4.0), "fold": ["9", "9", "9", "9"]})
            table.write(path.replace("windows.zarr.zip", "events.tsv"), events)
            index = pd.DataFrame({"onset": np.arange(4.0), "event": np.arange(4), "label": ["u", "v"] * 2})
            attrs = {"dataset": dataset, "subject": subject, "rec": f"sub-{subject}", "selection": "x"}
            index = index.assign(zero=index["onset"], hed="Event")
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
    assert found["nth"].tolist() == [0, 1, 2, 3] * 8


def test_a_person_in_two_datasets_has_one_role(study):
    found, _ = data.examples(*study, NETWORK)
    alone = NETWORK | {"folds": "leave-one-subject-out"}
    for fold, network in (("1", NETWORK), ("2", NETWORK | {"validation": 0.2}), ("a-1", alone | {"validation": 0.2})):
        role = data.roles(found, fold, network, seed=1)
        assert pd.Series(role).groupby(found["person"].to_numpy()).nunique().max() == 1
    assert (found["person"][data.roles(found, "a-1", alone, seed=1) == "test"] == "a1").all()


def test_a_dataset_is_left_out_with_its_people(study):
    """Who is in both datasets is tested in the one and has no part in the training on the other."""
    found, _ = data.examples(*study, NETWORK)
    network = NETWORK | {"folds": "leave-one-dataset-out"}
    role = data.roles(found, "b", network, seed=1)
    assert (found["dataset"][role == "test"] == "b").all() and (role == "test").sum() == 16
    assert (found["person"][role == "none"] == "a1").all() and (role == "none").sum() == 4
    assert (role == "train").sum() == 12


def test_only_the_wanted_classes_are_used_and_mistakes_are_named(study):
    found, classes = data.examples(*study, NETWORK | {"target": "label"})
    assert classes == ["u", "v"]
    found, _ = data.examples(*study, NETWORK | {"labels": ["u"]})
    assert len(found) == 16
    with pytest.raises(ValueError, match="no window is called 'w'"):
        data.examples(*study, NETWORK | {"labels": ["w"]})
    with pytest.raises(ValueError, match="no column 'height'"):
        data.examples(*study, NETWORK | {"target": "height"})
    with pytest.raises(ValueError, match="one value or none"):
        data.examples(*study, NETWORK | {"target": "label", "labels": ["u"]})


def test_a_person_without_a_fold_is_named(study):
    stores, participants, path = study
    dealt = table.read(path)
    table.write(path, dealt[dealt["subject"] != "4"])
    with pytest.raises(ValueError, match="sub-4 has no fold"):
        data.examples(stores, participants, path, NETWORK)


@pytest.fixture
def manifest(study, tmp_path):
    """Table of the stores, as the study has it."""
    table.write(tmp_path / "manifest_x.tsv", store.manifest(study[0]))
    return tmp_path / "manifest_x.tsv"


def trained_on(study, manifest, network, folds, tmp_path, seed=5):
    """Train all `folds` as the rules do: examples, names, paths of the weights and their accounts."""
    found, names = data.examples(*study, network)
    paths, accounts = [], []
    for fold in folds:
        role = data.roles(found, fold, network, seed=seed)
        task, about = data.task(manifest, [], found, role, network, names)
        assert len(task["X"]) == np.isin(role, ["train", "validation"]).sum()
        weights, _, done = train.fit(**task, **jobs.settings(network, seed=seed, threads=1, gpus=0))
        paths.append(tmp_path / f"seed-{seed}_fold-{fold}.safetensors")
        trained.save(paths[-1], weights, jobs.described(network, names, about, done, seed=seed, fold=fold))
        accounts.append(done)
    return found, names, paths, accounts


def test_every_window_is_predicted_once_by_a_network_that_never_saw_its_person(study, manifest, tmp_path):
    found, classes, paths, accounts = trained_on(study, manifest, NETWORK, ["1", "2"], tmp_path)
    ask = (manifest, [], found, NETWORK, classes)
    predicted = jobs.predictions(paths, *ask, threads=1, gpus=0)[5]
    assert len(predicted) == len(found) and (predicted["tested"] == predicted["fold"]).all()
    assert predicted[["dataset", "subject", "window"]].equals(found[["dataset", "subject", "window"]])
    done = summary.summary({5: predicted}, found, classes, NETWORK, test_set="t", entry="e")
    assert done["main_seed"] == 5 and done["folds"] == ["1", "2"]
    assert {row["metric"] for row in done["results"][5]["scores"]} >= {"balanced_accuracy", "auc"}
    assert {row["metric"] for row in done["calibration"]["scores"]} == {"ece", "brier", "log_loss"}
    text = card.render("sex", done, accounts, [path.name for path in paths])
    assert 'load("networks/sex/seed-5_fold-1.safetensors")' in text and "F, M" in text
    with pytest.raises(ValueError, match="are in no test fold"):
        jobs.predictions(paths[:1], *ask, threads=1, gpus=0)


def test_a_network_whose_normalisation_is_of_others_is_not_judged(study, manifest, tmp_path):
    found, classes, paths, _ = trained_on(study, manifest, NETWORK, ["1", "2"], tmp_path)
    one, other = map(load, paths)
    one.weights["normalisation.mean"] = other.weights["normalisation.mean"]
    trained.save(paths[0], one.weights, one.info)
    with pytest.raises(split.Leak, match=r"seed-5_fold-1\.safetensors is normalised by windows that are not its"):
        jobs.predictions(paths, manifest, [], found, NETWORK, classes, threads=1, gpus=0)


def test_a_file_is_a_network_that_can_be_called(study, manifest, tmp_path, rng):
    from hedgerow.nets.loader import Windows

    paths = trained_on(study, manifest, NETWORK, ["1"], tmp_path)[2]
    network = load(paths[0])
    assert network.info["classes"] == ["F", "M"] and network.info["names"] == list("ABC")
    assert repr(network) == "<eegnet for 3 channels x 64 samples that tells F or M>"
    windows = Windows(manifest, cache=tmp_path / "cache")
    p = network.predict(windows)
    assert p.shape == (32, 2) and np.allclose(p.sum(1), 1)
    assert np.array_equal(p, network.predict(windows[:][0])) and np.array_equal(
        p, network.predict(windows[:][0].numpy())
    )
    with pytest.raises(ValueError, match=r"\(3, 32\) channels x samples, the network was trained on \(3, 64\)"):
        network.predict(rng.normal(size=(2, 3, 32)))
    windows.names = list("CBA")
    with pytest.raises(ValueError, match="names"):
        network.predict(windows)
    content = paths[0].read_bytes()
    trained.save(paths[0], network.weights, network.info)
    assert paths[0].read_bytes() == content
    paths[0].write_bytes(content[:100])
    with pytest.raises(ValueError, match="damaged"):
        load(paths[0])


def test_ages_are_predicted(study, manifest, tmp_path):
    network = NETWORK | {"task": "regression", "target": ["age"]}
    found, names, paths, accounts = trained_on(study, manifest, network, ["1", "2"], tmp_path)
    assert names == ["age"] and set(found["y_age"]) == {20.0, 25.0, 30.0, 35.0}
    predicted = jobs.predictions(paths, manifest, [], found, network, names, threads=1, gpus=0)[5]
    for fold in ("1", "2"):
        others = found["y_age"][found["fold"].astype(str) != fold].mean()
        assert np.allclose(predicted["b_age"][predicted["tested"] == fold], others)
    done = summary.summary({5: predicted}, found, names, network, test_set="t", entry="e")
    assert {row["metric"] for row in done["results"][5]["scores"]} == {"mae", "rmse", "r2", "r"}
    assert "predict age" in card.render("age", done, accounts, [path.name for path in paths])
    assert "age" in summary.lines(done)[0]
    with pytest.raises(ValueError, match="'sex' is 'F' in places, which is no number"):
        data.examples(*study, network | {"target": "sex"})


def test_of_a_holdout_one_fold_is_tested(study, manifest, tmp_path):
    network = NETWORK | {"folds": "holdout"}
    found, classes, paths, _ = trained_on(study, manifest, network, ["1"], tmp_path)
    predicted = jobs.predictions(paths, manifest, [], found, network, classes, threads=1, gpus=0)[5]
    assert (predicted["fold"].astype(str) == "1").all() and len(predicted) == (found["fold"].astype(str) == "1").sum()
    done = summary.summary({5: predicted}, found, classes, network, test_set="t", entry="e")
    assert done["folds"] == ["1"] and done["controls"]["trial_number"]["scores"]


def test_time_is_shuffled_the_same_way_each_time(study, manifest):
    found, _ = data.examples(*study, NETWORK)
    plain, _ = data.show(manifest, [], found, NETWORK)
    shuffled, _ = data.show(manifest, [], found, NETWORK | {"shuffle_time": True})
    before, after = plain[:][0].numpy(), shuffled[:][0].numpy()
    assert not np.array_equal(before, after) and np.array_equal(np.sort(before), np.sort(after))
    assert np.array_equal(shuffled[np.array([7, 3])][0].numpy(), after[[7, 3]])
    # all channels in the same order
    assert sorted(map(tuple, before[5].T)) == sorted(map(tuple, after[5].T))


def test_a_control_wants_windows_whose_time_is_shuffled(study, manifest, tmp_path):
    network = NETWORK | {"shuffle_time": True}
    found, classes, paths, accounts = trained_on(study, manifest, network, ["1", "2"], tmp_path)
    predicted = jobs.predictions(paths, manifest, [], found, network, classes, threads=1, gpus=0)[5]
    X, _ = data.show(manifest, [], found, network)
    control, mine = load(paths[0]), (predicted["tested"] == "1").to_numpy()
    said = control.predict(X[np.flatnonzero(mine)][0], shuffled=True)
    assert np.array_equal(said, predicted.loc[mine, ["p0", "p1"]])
    with pytest.raises(ValueError, match="random order: shuffle these"):
        control.predict(X[:][0])
    done = summary.summary({5: predicted}, found, classes, network, test_set="t", entry="e")
    text = card.render("sex", done, accounts, [path.name for path in paths])
    assert "network.predict(shuffle_time(windows, seed=1), shuffled=True)" in text


def test_lines_of_a_card_can_be_run(study, manifest, tmp_path, monkeypatch):
    """Of a network of windows, of features and of a control; features are windows here, of a store of none."""
    found, classes, paths, accounts = trained_on(study, manifest, NETWORK, ["1", "2"], tmp_path)
    (tmp_path / "networks/sex").mkdir(parents=True)
    paths[0].rename(tmp_path / "networks/sex" / paths[0].name)
    (tmp_path / "published").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    windows = data.show(manifest, [], found, NETWORK)[0]
    wanted = load(tmp_path / "networks/sex" / paths[0].name).predict(windows)
    predicted = found.assign(tested=found["fold"], p0=0.5, p1=0.5)
    for change in ({}, {"feature": "psd"}, {"shuffle_time": True}):
        network = NETWORK | change
        done = summary.summary({5: predicted}, found, classes, network, test_set="t", entry="e")
        text = card.render("sex", done, accounts, [paths[0].name])
        code = text.split("```python\n")[1].split("```")[0].replace('"published/<dataset>", "x"', f'"{manifest}"')
        here = {"features": windows[:][0]}
        exec(code, here)
        assert np.array_equal(here["p"], wanted) == (not change.get("shuffle_time")), change


def test_parameters_that_a_model_has_not_do_not_pass_for_settings():
    for name in ("lr", "seed", "validation", "standardise"):
        with pytest.raises(ValueError, match=f"model eegnet has no parameter '{name}': it has f1"):
            jobs.settings(NETWORK | {"params": {name: 1}}, seed=1, threads=1, gpus=0)


def test_the_gate_stops_a_person_under_two_names(study, manifest):
    found, _ = data.examples(*study, NETWORK)
    done = data.gate(manifest, found, NETWORK)
    assert done["people"] == 7 and done["windows"] == 32
    # the recording of one person copied under the name of another
    signal = store.read(study[0][1])[0]
    index, attrs = store.index(study[0][2])
    told = {name: attrs[name] for name in ("dataset", "subject", "rec", "selection")}
    index = index[["onset", "event", "label", "zero", "hed"]]
    store.write(study[0][2], signal, index, names=list("ABC"), sfreq=64.0, tmin=0.0, attrs=told)
    table.write(manifest, store.manifest(study[0]))
    with pytest.raises(split.Leak, match="person"):
        data.gate(manifest, found, NETWORK)


def test_looks_at_test_people_are_counted_once_for_each_set_of_networks(tmp_path):
    """Of all sets of people that have some of these, for the same target."""
    people = [pd.DataFrame({"person": list(names)}) for names in ("ab", "bc", "d")]
    shown = [
        (0, "t", "e", "sex"),
        (0, "t", "e", "sex"),
        (0, "t", "f", "sex"),
        (1, "u", "f", "sex"),
        (1, "u", "g", "sex"),
    ]
    shown += [(2, "v", "h", "sex"), (0, "w", "i", "age")]
    for number, test_set, entry, target in shown:
        block = NETWORK | {"target": target}
        summary.opened(tmp_path / "opened", "n", {1: people[number]}, block, test_set=test_set, entry=entry)
    counts = {test_set: summary.looks(tmp_path / "opened", test_set) for test_set in "tuvwx"}
    # e, f and g have met b, whoever else was there
    assert counts == {"t": 3, "u": 3, "v": 1, "w": 1, "x": 0}
    assert summary.looks(tmp_path / "nowhere", "t") == 0


def test_names_that_predictions_have_are_no_matter_to_targets(study, manifest, tmp_path):
    """Events with columns p3, trial, tested and y_position, the second of which is told."""
    for path in study[0]:
        listed = path.replace("windows.zarr.zip", "events.tsv")
        events = table.read(listed).assign(p3=5.1, trial=["go", "no"] * 2, tested="x", y_position=1.0, nth="seventh")
        table.write(listed, events)
    network = NETWORK | {"target": "trial"}
    found, classes, paths, _ = trained_on(study, manifest, network, ["1", "2"], tmp_path)
    assert classes == ["go", "no"] and not {"p3", "y_position", "tested"} & set(found)
    predicted = jobs.predictions(paths, manifest, [], found, network, classes, threads=1, gpus=0)[5]
    assert len(summary.summary({5: predicted}, found, classes, network, test_set="t", entry="e")["subjects"]) == 7
    found, _ = data.examples(*study, NETWORK | {"target": ["p3"], "task": "regression"})
    assert "p3" not in found and set(found["y_p3"]) == {5.1}


def test_who_was_rejected_moves_no_number(study):
    """The order of all trials is the same for all; the second and the last of one person were left out."""
    signal, index, attrs = store.read(study[0][0])
    kept, gone = index.iloc[[0, 2]], index.iloc[[1, 3]]
    told = {name: attrs[name] for name in ("dataset", "subject", "rec", "selection")}
    told["account"] = {"left": gone[["event", "label", "zero"]].to_numpy().tolist()}
    kept = kept[["onset", "event", "label", "zero", "hed"]]
    store.write(study[0][0], signal[[0, 2]], kept, names=list("ABC"), sfreq=64.0, tmin=0.0, attrs=told)
    found, _ = data.examples(*study, NETWORK)
    assert found["nth"].tolist() == [0, 2] + [0, 1, 2, 3] * 7


def test_folds_of_whom_nobody_has_a_value_are_stopped(study, manifest):
    network = NETWORK | {"folds": "holdout"}
    found, _ = data.examples(*study, network)
    first = found["fold"].astype(str) == "1"
    with pytest.raises(ValueError, match=r"folds: holdout: nobody of fold 1, which it tests, has .* a value of sex"):
        data.gate(manifest, found[~first], network)
    with pytest.raises(ValueError, match="folds: split: nobody but one fold has windows with a value of sex"):
        data.gate(manifest, found[first], NETWORK)


def test_time_is_shuffled_the_same_in_every_part(study, manifest):
    network = NETWORK | {"shuffle_time": True}
    found, _ = data.examples(*study, network)
    every, part = (data.show(manifest, [], each, network)[0] for each in (found, found.iloc[[9, 20, 2]]))
    assert np.array_equal(every[[9, 20, 2]][0], part[:][0])


def test_one_person_a_fold_has_no_auc_and_a_note(study, rng):
    found, classes = data.examples(*study, NETWORK)
    p = rng.uniform(size=len(found))
    predicted = found.assign(tested=found["left_out"], p0=1 - p, p1=p)
    result = summary.summary({1: predicted}, found, classes, NETWORK, test_set="t", entry="e")["results"][1]
    assert "auc" not in {row["metric"] for row in result["scores"]}
    assert any("7 folds together" in note for note in result["account"]["notes"])
    assert any("7 of 7 folds hold one class only" in note for note in result["account"]["notes"])
