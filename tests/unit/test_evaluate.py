"""Scores against scikit-learn, votes by hand, and intervals that are as wide as the spread over people."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hedgerow.nets import _people, evaluate


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


def sk_scores(sk, y, named, p):
    """Balanced accuracy, accuracy, kappa and AUC of scikit-learn, in the order of `evaluate.metrics`."""
    score = p[:, 1] if p.shape[1] == 2 else p / p.sum(1, keepdims=True)
    auc = sk.roc_auc_score(y, score, multi_class="ovr", average="macro", labels=range(p.shape[1]))
    return sk.balanced_accuracy_score(y, named), sk.accuracy_score(y, named), sk.cohen_kappa_score(y, named), auc


def by_level(table):
    """True and named class and probabilities of windows and of subjects, counted with loops."""
    columns = [c for c in table if c[0] == "p" and c[1:].isdigit()]
    p = table[columns].to_numpy()
    found = {"window": (table["y"].to_numpy(), p.argmax(1), p), "subject": ([], [], []), "mean": ([], [], [])}
    for _, rows in table.groupby("copy" if "copy" in table else "person"):
        mine = rows[columns].to_numpy()
        votes = np.bincount(mine.argmax(1), minlength=len(columns))
        most = [k for k in range(len(columns)) if votes[k] == votes.max()]
        winner = max(most, key=lambda k: mine[:, k].mean())
        for level, named in (("subject", winner), ("mean", mine.mean(0).argmax())):
            for values, one in zip(found[level], (rows["y"].iloc[0], named, mine.mean(0))):
                values.append(one)
    return {level: tuple(map(np.asarray, values)) for level, values in found.items()}


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_scores_are_those_of_scikit_learn(rng, classes):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, subjects=20, classes=classes)
    scores, confusion, _ = evaluate.metrics(table, replicates=20)
    assert [*scores["level"].unique()] == ["window", "subject", "mean"]
    for level, (y, named, p) in by_level(table).items():
        found = scores.loc[scores["level"] == level].set_index("metric")["value"]
        assert [*found.index] == ["balanced_accuracy", "accuracy", "kappa", "auc"]
        assert found.to_numpy() == pytest.approx(sk_scores(sk, y, named, p), abs=1e-12)
        if level != "mean":
            counts = confusion.loc[confusion["level"] == level, "count"].to_numpy().reshape(classes, classes)
            assert (counts == sk.confusion_matrix(y, named, labels=range(classes))).all()
    assert value(scores, "subject", "auc") == value(scores, "mean", "auc")


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize(("classes", "within"), [(2, False), (3, False), (3, True)])
def test_intervals_are_those_of_tables_put_together_from_the_people_drawn(rng, classes, within):
    """Every replicate anew, with scikit-learn: the rows of each person as often as the person was drawn."""
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, subjects=9, windows=7, classes=classes, within=within)
    scores, _, account = evaluate.metrics(table, replicates=25, seed=6)
    names, lost = np.unique(table["person"]), 0
    found = {level: [] for level in scores["level"].unique()}
    for drawn in np.random.default_rng([6, 9]).integers(9, size=(25, 9)):
        parts = [table[table["person"] == names[who]].assign(copy=copy) for copy, who in enumerate(drawn)]
        sample = pd.concat(parts)
        whole = set(sample["y"]) == set(table["y"])
        lost += not whole
        for level in found:
            y, named, p = by_level(sample)[level]
            without = np.nan, sk.accuracy_score(y, named), sk.cohen_kappa_score(y, named), np.nan
            found[level].append(sk_scores(sk, y, named, p) if whole else without)
    for level, values in found.items():
        ends = np.nanquantile(values, [0.025, 0.975], axis=0)
        got = scores.loc[scores["level"] == level, ["low", "high"]].to_numpy().T
        assert got == pytest.approx(ends, abs=1e-12)
    assert any(f"{lost} replicates lost a class" in note for note in account["notes"]) == (lost > 0)


@pytest.mark.parametrize("classes", [2, 3])
def test_auc_counts_ties_and_replicates_as_scikit_learn_does(rng, classes):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, classes=classes, within=True)
    p = table[[f"p{k}" for k in range(classes)]].round(1).to_numpy()  # many ties
    unit, y = np.unique(table["person"], return_inverse=True)[1], table["y"].to_numpy()
    weights = _people.resample(12, 5, seed=2)
    for got, times in zip(evaluate._auc(unit, y, p, weights, np.zeros_like(y)), weights.astype(int)):
        rows = np.repeat(np.arange(len(unit)), times[unit])
        each = [sk.roc_auc_score(y[rows] == k, p[rows, k]) for k in ([1] if classes == 2 else range(classes))]
        assert got == pytest.approx(np.mean(each), abs=1e-12)


def test_networks_that_learnt_nothing_have_an_auc_of_chance(rng):
    """They say how frequent the class is among their training people: over all folds ranks would say the reverse."""
    found, pooled, said = [], [], []
    for _ in range(30):
        person = np.arange(40)
        table = pd.DataFrame({"person": [f"{i:02}" for i in person], "y": rng.permutation(person % 2)})
        table["tested"] = (rng.permutation(40) % 4).astype(str)
        share = np.array([table["y"][table["tested"] != fold].mean() for fold in table["tested"]])
        p = share + 0.02 * rng.normal(size=40)
        table = evaluate.predictions(table, table["y"], np.column_stack([1 - p, p]))
        scores, _, account = evaluate.metrics(table, replicates=2)
        found.append(value(scores, "window", "auc"))
        pooled.append(value(evaluate.metrics(table.drop(columns="tested"), replicates=2)[0], "window", "auc"))
        said += account["notes"]
    assert np.mean(pooled) < 0.43 and np.mean(found) == pytest.approx(0.5, abs=0.06)
    assert sum("4 folds together: networks that have learnt nothing come out below" in note for note in said) > 25


def test_vote_is_by_windows_and_ties_go_to_the_mean_probability():
    rows = pd.DataFrame({"person": ["a"] * 3 + ["b"] * 2 + ["c"] * 2})
    p1 = np.array([0.51, 0.51, 0.01, 0.9, 0.4, 0.2, 0.6])
    people = evaluate.votes(evaluate.predictions(rows, [1, 1, 1, 0, 0, 0, 1], np.stack([1 - p1, p1], 1)))
    assert people["predicted"].tolist() == [1, 1, 0]
    assert people["windows"].tolist() == [3, 2, 2]
    assert people["accuracy"].tolist() == pytest.approx([2 / 3, 0.5, 1.0])
    assert people["y"].isna().tolist() == [False, False, True]


def test_the_mean_probability_can_overrule_the_vote():
    p1 = np.array([0.51, 0.51, 0.01, 0.1, 0.2, 0.3])
    table = evaluate.predictions(pd.DataFrame({"person": [*"aaabbb"]}), [1, 1, 1, 0, 0, 0], np.stack([1 - p1, p1], 1))
    assert evaluate.votes(table)["predicted"].tolist() == [1, 0]
    assert evaluate.votes(table)["by_mean"].tolist() == [0, 0]
    scores, _, _ = evaluate.metrics(table, replicates=10)
    assert [value(scores, level, "accuracy") for level in ("window", "subject", "mean")] == [5 / 6, 1, 0.5]


def test_the_first_windows_of_everybody_speak_and_all_are_counted(rng):
    table = made_up(rng, windows=9)
    table = table.sample(frac=1, random_state=3).reset_index(drop=True)  # people interleaved, the order of rows counts
    head = pd.concat([rows.iloc[:4] for _, rows in table.groupby("person")])
    pd.testing.assert_frame_equal(evaluate.votes(table, first=4), evaluate.votes(head))
    pd.testing.assert_frame_equal(evaluate.votes(table, first=99), evaluate.votes(table))
    scores, _, account = evaluate.metrics(table, first=4, replicates=30)
    whole, part = evaluate.metrics(table, replicates=30)[0], evaluate.metrics(head, replicates=30)[0]
    expected = pd.concat([whole[whole["level"] == "window"], part[part["level"] != "window"]], ignore_index=True)
    pd.testing.assert_frame_equal(scores, expected)
    assert account["first"] == 4
    with pytest.raises(ValueError, match="first: 0 windows"):
        evaluate.metrics(table, first=0)


def test_a_person_of_two_classes_has_none_even_if_the_first_windows_agree():
    rows = pd.DataFrame({"person": [*"aabb"]})
    table = evaluate.predictions(rows, [0, 1, 1, 1], np.full((4, 2), 0.5))
    assert evaluate.votes(table, first=1)["y"].isna().tolist() == [True, False]


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


def test_intervals_cover_as_often_as_they_say_and_those_over_windows_do_not(rng):
    """Accuracy of windows with people of unlike skill: how often the intervals hold its expected value."""
    covered, naive, runs = 0, 0, 100
    for run in range(runs):
        skill = rng.beta(6, 2, size=40)
        right = rng.random((40, 40)) < skill[:, None]
        y = np.tile([0, 1], 800)
        p1 = np.where(right.ravel(), y, 1 - y).astype(float)
        rows = pd.DataFrame({"person": np.repeat(np.arange(40), 40)})
        table = evaluate.predictions(rows, y, np.stack([1 - p1, p1], 1))
        scores, _, _ = evaluate.metrics(table, replicates=200, seed=run)
        got, low, high = (value(scores, "window", "accuracy", column) for column in ("value", "low", "high"))
        covered += low <= 0.75 <= high
        naive += abs(got - 0.75) <= 1.96 * np.sqrt(got * (1 - got) / 1600)
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs) < covered / runs <= 1
    assert naive / runs < 0.8  # expected: 0.6


def test_forty_people_of_forty_windows_know_what_forty_people_know():
    """Skills that differ as people do: half a width of 0.06 instead of the 0.017 of 1600 coins."""
    skill = stats.beta.ppf((np.arange(40) + 0.5) / 40, 1.95, 0.33)
    right = (np.arange(40) < np.round(40 * skill)[:, None]).ravel()
    rows, y = pd.DataFrame({"person": np.repeat([f"s{i:02}" for i in range(40)], 40)}), np.repeat(np.arange(40) % 2, 40)
    p1 = np.where(right, 0.3 + 0.4 * y, 0.7 - 0.4 * y)
    scores, _, _ = evaluate.metrics(evaluate.predictions(rows, y, np.stack([1 - p1, p1], 1)), replicates=4000)
    accuracy = scores[scores["metric"] == "accuracy"].set_index("level")[["value", "low", "high"]]
    assert accuracy.loc["window"].tolist() == pytest.approx([0.854, 0.79, 0.911], abs=0.01)
    share = accuracy.loc["subject", "value"]
    exact = stats.binom.ppf([0.025, 0.975], 40, share) / 40
    assert 0.85 < share < 0.95 and accuracy.loc["subject", ["low", "high"]].tolist() == pytest.approx(exact, abs=0.026)


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


@pytest.mark.parametrize("classes", [2, 3])
def test_one_class_has_no_auc_and_says_so(rng, classes):
    table = made_up(rng, classes=classes).assign(y=1)
    scores, _, account = evaluate.metrics(table, replicates=30)
    assert scores.loc[scores["metric"] == "auc", ["value", "low", "high"]].isna().all(axis=None)
    share = (table[[f"p{k}" for k in range(classes)]].to_numpy().argmax(1) == 1).mean()
    assert value(scores, "window", "balanced_accuracy") == value(scores, "window", "accuracy") == pytest.approx(share)
    assert any("of class 1: nothing had to be told apart" in note for note in account["notes"])


def test_a_class_that_nobody_has_is_left_out_of_the_means(rng):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, classes=3)
    table = table[table["y"] != 1].assign(fold="1")
    scores, confusion, account = evaluate.metrics(table, replicates=30)
    each = [sk.roc_auc_score(table["y"] == k, table[f"p{k}"]) for k in (0, 2)]
    assert value(scores, "window", "auc") == pytest.approx(np.mean(each), abs=1e-12)
    assert value(scores, "window", "balanced_accuracy", "chance") == 0.5
    assert confusion.loc[confusion["true"] == 1, "share"].isna().all()
    assert any("no tested window is of class 1" in note for note in account["notes"])


def test_one_person_has_scores_but_no_interval(rng):
    scores, _, account = evaluate.metrics(made_up(rng, subjects=1, within=True), replicates=30)
    assert scores["value"].notna().all() and scores[["low", "high"]].isna().all(axis=None)
    assert any("1 subject:" in note for note in account["notes"])


def test_sums_of_probabilities_may_be_rounded(rng):
    table = made_up(rng, classes=3)
    off = table.assign(p0=table["p0"] + rng.uniform(-1e-6, 1e-6, len(table)))
    one, other = evaluate.metrics(table, replicates=10)[0], evaluate.metrics(off, replicates=10)[0]
    assert one["value"].to_numpy() == pytest.approx(other["value"].to_numpy(), abs=0.01)
    sure = table.assign(p0=np.where(table["y"] == 0, 1 + 1e-6, 0), p1=table["y"] == 1, p2=table["y"] == 2)
    assert (evaluate.metrics(sure, replicates=10)[0]["value"] == 1).all()


def test_spread_over_seeds_is_that_of_the_seeds(rng):
    seeds = {seed: evaluate.metrics(made_up(rng), replicates=10, seed=seed)[0] for seed in range(3)}
    found = evaluate.spread(seeds)
    assert found[["level", "metric"]].equals(seeds[0][["level", "metric"]])
    values = np.stack([scores["value"] for scores in seeds.values()])
    assert found["mean"].to_numpy() == pytest.approx(values.mean(0)) and (found["n"] == 3).all()
    assert found["sd"].to_numpy() == pytest.approx(values.std(0, ddof=1))
    assert (found["min"] == values.min(0)).all() and (found["max"] == values.max(0)).all()


def test_spread_reads_the_rows_of_a_json_and_leaves_out_what_is_missing():
    row = {"target": "age", "level": "window", "metric": "r"}
    found = evaluate.spread({"1": [row | {"value": None}], "2": [row | {"value": 0.5}]}).iloc[0]
    assert (found["target"], found["n"], found["mean"], found["min"], found["max"]) == ("age", 1, 0.5, 0.5, 0.5)
    assert np.isnan(found["sd"])
    with pytest.raises(ValueError, match="no scores"):
        evaluate.spread({})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="person"), "person"),
        (lambda t: t.assign(p1=np.nan), "row 0 of the predictions .person ds/0.: p0, p1 are .* no probabilities"),
        (lambda t: t.assign(p0=t["p0"].where(t.index != 40, -0.1)), "row 40 of the predictions .person ds/2."),
        (lambda t: t.assign(p1=t["p1"].where(t.index != 3, 0.0)), "row 3 .* sum to 0.*, not 1"),
        (lambda t: t.assign(person=t["person"].where(t.index != 5)), "row 5 .* no person"),
        (lambda t: t.assign(y=t["y"].where(t.index != 5)), "nan"),
        (lambda t: t.assign(y=7), "7"),
        (lambda t: t.iloc[:0], "0 rows"),
    ],
)
def test_unusable_predictions_are_refused(rng, spoil, message):
    with pytest.raises(ValueError, match=message):
        evaluate.metrics(spoil(made_up(rng)))


def test_trial_number_tells_all_where_everybody_has_one_order(rng):
    order = rng.integers(3, size=24)
    table = pd.DataFrame({"fold": np.repeat([1, 2, 3], 24), "nth": np.tile(np.arange(24), 3), "y": np.tile(order, 3)})
    assert (evaluate.baseline_trial_number(table).argmax(1) == table["y"]).all()
    mixed = table.assign(y=np.concatenate([rng.permutation(order) for _ in range(3)]))
    assert (evaluate.baseline_trial_number(mixed).argmax(1) == mixed["y"]).mean() < 0.7


def test_trial_number_that_nobody_else_has_gives_the_shares_of_the_others():
    table = pd.DataFrame({"fold": [1, 1, 2, 2, 2], "nth": [1, 9, 1, 2, 3], "y": [0, 1, 0, 1, 1]})
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
