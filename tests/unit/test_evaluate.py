"""Scores against scikit-learn, votes by hand, and intervals that are as wide as the spread over people."""

import numpy as np
import pandas as pd
import pytest

from hedgerow.nets import evaluate


def made_up(rng, *, subjects=12, windows=15, classes=2, within=False, skill=1.0):
    """Predictions with some skill; `within`: every subject has windows of all classes."""
    person = np.repeat(np.arange(subjects), windows)
    y = rng.integers(classes, size=subjects)[person] if not within else rng.integers(classes, size=len(person))
    logits = (
        rng.normal(size=(len(y), classes)) + skill * np.eye(classes)[y] + rng.normal(size=(subjects, classes))[person]
    )
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return evaluate.predictions(pd.DataFrame({"person": [f"ds/{i}" for i in person]}), y, p)


def value(scores, level, metric, column="value"):
    return scores.loc[(scores["level"] == level) & (scores["metric"] == metric), column].item()


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_scikit_learn(rng, classes):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, classes=classes)
    scores, confusion, _ = evaluate.metrics(table, replicates=20)
    people = evaluate.votes(table)
    p = [f"p{k}" for k in range(classes)]
    for level, y, named, score in (
        ("window", table["y"], table[p].to_numpy().argmax(1), table["p1"]),
        ("subject", people["y"], people["predicted"], people["p1"]),
    ):
        assert value(scores, level, "accuracy") == pytest.approx(sk.accuracy_score(y, named), abs=1e-12)
        expected = sk.balanced_accuracy_score(y, named)
        assert value(scores, level, "balanced_accuracy") == pytest.approx(expected, abs=1e-12)
        assert value(scores, level, "kappa") == pytest.approx(sk.cohen_kappa_score(y, named), abs=1e-12)
        if classes == 2:
            assert value(scores, level, "auc") == pytest.approx(sk.roc_auc_score(y, score), abs=1e-12)
        counts = confusion.loc[confusion["level"] == level, "count"].to_numpy().reshape(classes, classes)
        assert (counts == sk.confusion_matrix(y, named, labels=range(classes))).all()


def test_auc_counts_ties_and_replicates_as_scikit_learn_does(rng):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, within=True)
    p1 = table["p1"].round(1)  # many ties
    table = table.assign(p1=p1, p0=1 - p1)
    unit = np.unique(table["person"], return_inverse=True)[1]
    weights = evaluate._resample(12, 5, seed=2)
    found = evaluate._auc(unit, table["y"].to_numpy(), p1.to_numpy(), weights)["auc"]
    for got, times in zip(found, weights.astype(int)):
        rows = np.repeat(np.arange(len(unit)), times[unit])
        assert got == pytest.approx(sk.roc_auc_score(table["y"].iloc[rows], p1.iloc[rows]), abs=1e-12)


def test_vote_is_by_windows_and_ties_go_to_the_mean_probability():
    rows = pd.DataFrame({"person": ["a"] * 3 + ["b"] * 2 + ["c"] * 2})
    p1 = np.array([0.51, 0.51, 0.01, 0.9, 0.4, 0.2, 0.6])
    people = evaluate.votes(evaluate.predictions(rows, [1, 1, 1, 0, 0, 0, 1], np.stack([1 - p1, p1], 1)))
    assert people["predicted"].tolist() == [1, 1, 0]
    assert people["windows"].tolist() == [3, 2, 2]
    assert people["accuracy"].tolist() == pytest.approx([2 / 3, 0.5, 1.0])
    assert people["y"].isna().tolist() == [False, False, True]


def test_no_vote_where_a_subject_has_several_classes(rng):
    scores, _, account = evaluate.metrics(made_up(rng, within=True, classes=3), replicates=10)
    assert set(scores["level"]) == {"window"}
    assert any("no vote" in note for note in account["notes"])


def test_chance_is_what_no_knowledge_gives(rng):
    table = made_up(rng, subjects=40, classes=3, within=True)
    blind = table.assign(p0=0.2, p1=0.5, p2=0.3)
    scores, _, _ = evaluate.metrics(blind, replicates=10)
    assert value(scores, "window", "balanced_accuracy") == pytest.approx(1 / 3)
    assert value(scores, "window", "balanced_accuracy", "chance") == pytest.approx(1 / 3)
    assert value(scores, "window", "kappa") == pytest.approx(0)
    share = table["y"].value_counts(normalize=True).max()
    assert value(scores, "window", "accuracy", "chance") == pytest.approx(share)


def test_intervals_are_over_people_not_windows(rng):
    """Each person's windows are all right or all wrong: 400 windows know no more than 20 people."""
    wrong = np.repeat(np.arange(20) % 4 == 0, 20)
    rows = pd.DataFrame({"person": np.repeat([f"s{i}" for i in range(20)], 20)})
    y = np.repeat(np.arange(20) // 10, 20)
    p1 = np.where(wrong, 1 - y, y).astype(float)
    scores, _, _ = evaluate.metrics(evaluate.predictions(rows, y, np.stack([1 - p1, p1], 1)), replicates=4000)
    for level in ("window", "subject"):
        half = (value(scores, level, "accuracy", "high") - value(scores, level, "accuracy", "low")) / 2
        assert half == pytest.approx(1.96 * np.sqrt(0.75 * 0.25 / 20), rel=0.15)  # of 400 windows: a fifth of that


def test_intervals_cover_as_often_as_they_say(rng):
    """Accuracy of windows with people of unlike skill: the intervals hold its expected value."""
    covered, runs = 0, 100
    for run in range(runs):
        skill = rng.beta(6, 2, size=40)
        right = rng.random((40, 10)) < skill[:, None]
        y = np.tile([0, 1], 200)
        p1 = np.where(right.ravel(), y, 1 - y).astype(float)
        rows = pd.DataFrame({"person": np.repeat(np.arange(40), 10)})
        table = evaluate.predictions(rows, y, np.stack([1 - p1, p1], 1))
        scores, _, _ = evaluate.metrics(table, replicates=400, seed=run)
        low, high = (value(scores, "window", "accuracy", side) for side in ("low", "high"))
        covered += low <= 0.75 <= high
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs) < covered / runs <= 1


def test_same_seed_same_intervals_whatever_the_order_of_rows(rng):
    table = made_up(rng)
    one = evaluate.metrics(table, replicates=50, seed=4)[0]
    again = evaluate.metrics(table.sample(frac=1, random_state=1), replicates=50, seed=4)[0]
    pd.testing.assert_frame_equal(one, again)
    folds = pd.concat([table.iloc[::2].reset_index(drop=True), table.iloc[1::2].reset_index(drop=True)])
    pd.testing.assert_frame_equal(one, evaluate.metrics(folds, replicates=50, seed=4)[0])
    other = evaluate.metrics(table, replicates=50, seed=5)[0]
    assert not np.allclose(one["low"], other["low"])


def test_notes_tell_of_few_and_of_perfect_subjects(rng):
    _, _, account = evaluate.metrics(made_up(rng, skill=50), replicates=10)
    assert any("12 subjects" in note for note in account["notes"])
    assert any("every subject is right" in note for note in account["notes"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="person"), "person"),
        (lambda t: t.assign(p1=np.nan), "probabilities"),
        (lambda t: t.assign(y=7), "7"),
        (lambda t: t.iloc[:0], "0 rows"),
    ],
)
def test_unusable_predictions_are_refused(rng, spoil, message):
    with pytest.raises(ValueError, match=message):
        evaluate.metrics(spoil(made_up(rng)))


def test_trial_number_tells_all_where_everybody_has_one_order(rng):
    order = rng.integers(3, size=24)
    table = pd.DataFrame({"fold": np.repeat([1, 2, 3], 24), "trial": np.tile(np.arange(24), 3), "y": np.tile(order, 3)})
    assert (evaluate.baseline_trial_number(table).argmax(1) == table["y"]).all()
    mixed = table.assign(y=np.concatenate([rng.permutation(order) for _ in range(3)]))
    assert (evaluate.baseline_trial_number(mixed).argmax(1) == mixed["y"]).mean() < 0.7


def test_trial_number_that_nobody_else_has_gives_the_shares_of_the_others():
    table = pd.DataFrame({"fold": [1, 1, 2, 2, 2], "trial": [1, 9, 1, 2, 3], "y": [0, 1, 0, 1, 1]})
    p = evaluate.baseline_trial_number(table)
    assert p[0].tolist() == [1, 0]
    assert p[1] == pytest.approx([1 / 3, 2 / 3])
    with pytest.raises(ValueError, match="two folds"):
        evaluate.baseline_trial_number(table.iloc[:2])


def test_shuffled_time_keeps_amplitudes_and_loses_rhythm(rng):
    times = np.arange(256) / 128
    X = np.stack([np.sin(2 * np.pi * 10 * times), np.cos(2 * np.pi * 10 * times)])[None].repeat(5, 0).astype(np.float32)
    shuffled = evaluate.shuffle_time(X, seed=1)
    assert shuffled.dtype == X.dtype
    assert np.allclose(np.sort(shuffled), np.sort(X))
    assert np.allclose(shuffled[:, 0] ** 2 + shuffled[:, 1] ** 2, 1, atol=1e-5)  # one order for all channels
    share = np.abs(np.fft.rfft(shuffled[:, 0])[:, 20]) ** 2 / (np.abs(np.fft.rfft(shuffled[:, 0])) ** 2).sum(1)
    assert (share < 0.1).all()
    assert np.array_equal(evaluate.shuffle_time(X[:2], seed=1), shuffled[:2])
    assert not np.array_equal(shuffled[0], shuffled[1])
