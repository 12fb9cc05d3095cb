"""Folds: nobody crosses, nobody moves when others come, and window-wise splits are shown to leak."""

import numpy as np
import pandas as pd
import pytest

from hedgerow import split
from hedgerow.nets import evaluate


def people(count, dataset="ds", first=1):
    labels = [f"{i}" for i in range(first, first + count)]
    return pd.DataFrame({"dataset": dataset, "subject": labels, "sex": ["F", "M"] * (count // 2) + ["F"] * (count % 2)})


@pytest.mark.parametrize("method", ["hash", "blocks"])
def test_nobody_moves_when_others_come(method):
    few = split.assign(people(40), method=method, folds=4, seed=3)
    more = split.assign(people(60), method=method, folds=4, seed=3)
    assert more["fold"].iloc[:40].tolist() == few["fold"].tolist()


def test_hash_ignores_order_other_datasets_and_strata():
    table = pd.concat([people(30), people(30, "other")], ignore_index=True)
    alone = split.assign(table.iloc[:30], folds=3, seed=5).set_index("person")["fold"]
    mixed = split.assign(table.sample(frac=1, random_state=0), folds=3, seed=5).set_index("person")["fold"]
    assert mixed[alone.index].equals(alone)
    assert not mixed.equals(split.assign(table, folds=3, seed=6).set_index("person")["fold"][mixed.index])


def test_hash_is_the_same_on_every_machine():
    table = split.assign(people(8), folds=2, seed=1)
    assert table["person"].tolist() == [f"ds/{i}" for i in range(1, 9)]
    assert table["fold"].tolist() == [1, 1, 1, 2, 1, 1, 2, 1]


def test_hash_fills_folds_evenly_in_the_long_run():
    counts = split.assign(people(4000), folds=4, seed=0)["fold"].value_counts()
    assert ((counts - 1000).abs() < 5 * np.sqrt(4000 * 0.25 * 0.75)).all()


@pytest.mark.parametrize("seed", range(5))
def test_blocks_are_even_within_strata(seed):
    table = split.assign(people(26), method="blocks", folds=4, seed=seed, stratify=["sex"])
    counts = pd.crosstab(table["sex"], table["fold"])
    assert (counts.max(axis=1) - counts.min(axis=1) <= 1).all()


def test_leave_one_subject_out_in_natural_order():
    table = split.assign(people(12), method="leave-one-subject-out")
    assert table["fold"].tolist() == list(range(1, 13))


def test_one_person_in_two_datasets_stays_in_one_fold():
    table = pd.concat([people(20), people(20, "again")], ignore_index=True)
    table["person"] = [f"human-{i % 20}" for i in range(40)]
    for method in split.METHODS:
        folds = split.assign(table, method=method, folds=4, seed=2)
        assert folds["fold"].iloc[:20].tolist() == folds["fold"].iloc[20:].tolist()
    table.loc[3, "person"] = None
    assert split.assign(table, folds=4)["person"][3] == "ds/4"


def test_check_stops_a_person_who_crosses():
    table = split.assign(people(20), folds=4)
    assert split.check(table) is table
    twice = pd.concat([table, table.iloc[[0]].assign(fold=table["fold"][0] % 4 + 1)])
    with pytest.raises(split.Leak, match="ds/1"):
        split.check(twice)
    with pytest.raises(split.Leak, match="no fold"):
        split.check(table.assign(fold=[None, *table["fold"][1:]]))
    with pytest.raises(split.Leak, match="train and test"):
        split.disjoint(train=["a", "b"], validation=["c"], test=["b"])


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_roles_keep_people_apart_and_represent_strata(fold):
    table = split.assign(people(24), method="blocks", folds=4, stratify=["sex"])
    sessions = pd.concat([table, table], ignore_index=True)
    role = split.roles(sessions, fold, share=0.25, stratify=["sex"])
    assert (role[:24] == role[24:]).all()
    assert set(sessions["person"][role == "test"]) == set(table["person"][table["fold"] == fold])
    assert sessions["sex"][role == "validation"].value_counts().to_dict() == {"F": 4, "M": 4}


def test_validation_takes_nobody_or_somebody():
    few = split.assign(people(3), method="leave-one-subject-out")
    assert split.validation(few, share=0.1).sum() == 1
    assert split.validation(few, share=0).sum() == 0
    assert split.validation(few.iloc[:1], share=0.5).sum() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "random"}, "random"),
        ({"folds": 1}, "at least 2"),
        ({"stratify": ["handedness"], "method": "blocks"}, "handedness"),
        ({"stratify": ["sex"]}, "blocks"),
        ({"folds": 30, "method": "blocks"}, "empty"),
    ],
)
def test_a_split_that_cannot_be_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        split.assign(people(20), **change)


def test_strata_that_differ_within_a_person_are_refused():
    table = people(4).assign(person=["a", "a", "b", "b"])
    with pytest.raises(ValueError, match="sex differs"):
        split.assign(table, method="blocks", folds=2, stratify=["sex"])


def test_random_labels_are_learnt_from_windows_but_not_from_people(rng):
    """The field's commonest mistake: labels random per subject; a window-wise split still seems to learn them."""
    subjects, windows, votes = 30, 30, {"windows": [], "people": []}
    for _ in range(8):
        y = np.repeat(rng.permutation(np.arange(subjects) % 2), windows)
        person = np.repeat(np.arange(subjects), windows)
        X = rng.normal(size=(subjects, 10))[person] + rng.normal(size=(len(y), 10))
        table = people(subjects).assign(label=y[::windows])
        by_person = split.assign(table, method="blocks", folds=5, stratify=["label"])["fold"].to_numpy()[person]
        for name, fold in (("windows", rng.permutation(len(y)) % 5 + 1), ("people", by_person)):
            votes[name].append(subject_vote(X, y, person, fold))
    assert np.mean(votes["windows"]) > 0.85
    assert abs(np.mean(votes["people"]) - 0.5) < 4 * 0.5 / np.sqrt(8 * subjects)
    with pytest.raises(split.Leak):
        split.check(pd.DataFrame({"person": person, "fold": rng.permutation(len(y)) % 5 + 1}))


def subject_vote(X, y, person, fold):
    """Balanced accuracy of the subjects' vote, each window named by its 5 nearest neighbours in the other folds."""
    p = np.zeros((len(y), 2))
    for k in np.unique(fold):
        train, test = fold != k, fold == k
        distance = ((X[test][:, None] - X[train][None]) ** 2).sum(-1)
        nearest = np.argpartition(distance, 5, axis=1)[:, :5]
        p[test, 1] = y[train][nearest].mean(1)
    p[:, 0] = 1 - p[:, 1]
    scores, _, _ = evaluate.metrics(evaluate.predictions(pd.DataFrame({"person": person}), y, p), replicates=1)
    return scores.set_index(["level", "metric"]).loc[("subject", "balanced_accuracy"), "value"]
