"""Scores of predicted numbers against scikit-learn and scipy, intervals against a loop and against what they cover."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hedgerow.nets.regression import means, regression


def made_up(rng, *, subjects=12, windows=9, skill=0.6):
    """Ages 5 ... 21 predicted with errors of people and of windows, and a second target that is noise."""
    person = np.repeat(np.arange(subjects), windows)
    age = rng.uniform(5, 21, size=subjects)
    error = rng.normal(0, 2, size=subjects)[person] + rng.normal(0, 2, size=len(person))
    table = pd.DataFrame({"person": [f"ds/{i:02}" for i in person], "y_age": age[person]})
    table["f_age"] = 13 + skill * (table["y_age"] - 13) + error
    table["b_age"] = np.array([12.5, 13.5])[person % 2]  # two folds
    noise = {f"{kind}_trait": rng.normal(size=subjects)[person] for kind in "yfb"}
    return table.assign(**noise)


def scores_of(sk, y, f, b):
    return (
        sk.mean_absolute_error(y, f),
        sk.root_mean_squared_error(y, f),
        1 - sk.mean_squared_error(y, f) / sk.mean_squared_error(y, b),
        stats.pearsonr(y, f).statistic,
    )


def at(scores, target, level):
    rows = scores[(scores["target"] == target) & (scores["level"] == level)]
    assert rows["metric"].tolist() == ["mae", "rmse", "r2", "r"]
    return rows.set_index("metric")


def test_scores_are_those_of_scikit_learn(rng):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng)
    scores, account = regression(table, replicates=10)
    people = table.groupby("person").mean()
    for target in ("age", "trait"):
        for level, rows in (("window", table), ("mean", people)):
            y, f, b = (rows[f"{kind}_{target}"] for kind in "yfb")
            found = at(scores, target, level)
            assert found["value"].to_numpy() == pytest.approx(scores_of(sk, y, f, b), abs=1e-12)
            chance = [sk.mean_absolute_error(y, b), sk.root_mean_squared_error(y, b), 0, stats.pearsonr(y, b).statistic]
            assert found["chance"].to_numpy() == pytest.approx(chance, abs=1e-12)
            assert (found["n"] == len(rows)).all()
    assert account["targets"] == ["age", "trait"] and account["subjects"] == 12 and account["windows"] == 108


def test_r2_against_the_mean_of_the_tested_is_the_usual_one(rng):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng)
    table = table.assign(b_age=table["y_age"].mean())
    found = at(regression(table, replicates=10)[0], "age", "window")
    assert found.loc["r2", "value"] == pytest.approx(sk.r2_score(table["y_age"], table["f_age"]), abs=1e-12)
    null = at(regression(made_up(rng).assign(f_age=lambda t: t["b_age"]), replicates=10)[0], "age", "mean")
    assert null.loc["r2", ["value", "low", "high"]].tolist() == [0, 0, 0]
    assert null.loc["mae", "value"] == null.loc["mae", "chance"]


def test_intervals_are_those_of_tables_put_together_from_the_people_drawn(rng):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, subjects=7)
    table = table.drop(index=[0, 1, 2, 30, 31])  # people of unlike many windows
    scores, _ = regression(table, replicates=40, seed=5)
    parts = [rows for _, rows in table.groupby("person")]
    found = {"window": [], "mean": []}
    for drawn in np.random.default_rng([5, 7]).integers(7, size=(40, 7)):
        windows = pd.concat([parts[who] for who in drawn])
        people = pd.DataFrame([parts[who].drop(columns="person").mean() for who in drawn])
        for level, rows in (("window", windows), ("mean", people)):
            found[level].append(scores_of(sk, *(rows[f"{kind}_age"] for kind in "yfb")))
    for level, values in found.items():
        ends = np.quantile(values, [0.025, 0.975], axis=0)
        got = at(scores, "age", level)[["low", "high"]].to_numpy().T
        assert got == pytest.approx(ends, abs=1e-10)


def test_intervals_cover_as_often_as_they_say(rng):
    """The mean absolute error of windows when people differ: errors of people N(0, 2²), of windows N(0, 2²)."""
    expected, covered, naive, runs = np.sqrt(8) * np.sqrt(2 / np.pi), 0, 0, 100
    for run in range(runs):
        table = made_up(rng, subjects=60, windows=20, skill=1.0)[["person", "y_age", "f_age", "b_age"]]
        mae = at(regression(table, replicates=200, seed=run)[0], "age", "window").loc["mae"]
        covered += mae["low"] <= expected <= mae["high"]
        error = (table["f_age"] - table["y_age"]).abs()
        naive += abs(error.mean() - expected) <= 1.96 * error.std() / np.sqrt(len(error))
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs) < covered / runs <= 1
    assert naive / runs < 0.8


def test_no_person_has_a_mean_where_windows_have_several_values(rng):
    table = made_up(rng)
    table["y_trait"] = rng.normal(size=len(table))
    scores, account = regression(table, replicates=10)
    assert set(scores.loc[scores["target"] == "trait", "level"]) == {"window"}
    assert set(scores.loc[scores["target"] == "age", "level"]) == {"window", "mean"}
    assert account["notes"][1:] == ["trait: no level mean, the windows of a subject have several values"]
    people = means(table)
    assert people["y_trait"].isna().all() and people["y_age"].notna().all()


def test_what_the_windows_of_a_person_say_together(rng):
    table = made_up(rng, subjects=3, windows=4).drop(index=0).rename(columns={"person": "subject"})
    people = means(table.sample(frac=1, random_state=2))
    assert people["subject"].tolist() == ["ds/00", "ds/01", "ds/02"] and people["windows"].tolist() == [3, 4, 4]
    mine = table[table["subject"] == "ds/00"]
    assert people.loc[0, "f_age"] == pytest.approx(mine["f_age"].mean())
    assert people.loc[0, ["y_age", "b_age"]].tolist() == mine[["y_age", "b_age"]].iloc[0].tolist()


@pytest.mark.parametrize("constant", [0.1, 1e6, 0.0])
def test_correlation_with_a_constant_is_none(rng, constant):
    scores, _ = regression(made_up(rng).drop(index=[1, 30]).assign(f_age=constant), replicates=50)
    for level in ("window", "mean"):
        found = at(scores, "age", level)
        assert found.loc["r", ["value", "low", "high"]].isna().all()
        assert found.loc[["mae", "rmse", "r2"], ["value", "low", "high"]].notna().all(axis=None)


def test_replicates_of_one_person_have_no_correlation(rng):
    """Of two people, half of the replicates are one of them alone: rounding is not taken for a spread there."""
    for seed in range(20):
        ages = rng.uniform(5, 21, size=2).repeat(7)
        table = pd.DataFrame({"person": ["a"] * 7 + ["b"] * 7, "y_age": ages, "f_age": ages / 3, "b_age": 13.0})
        found = at(regression(table, replicates=30, seed=seed)[0], "age", "window").loc["r"]
        assert found[["value", "low", "high"]].tolist() == pytest.approx([1, 1, 1])


def test_correlation_does_not_depend_on_unit_or_origin(rng):
    table = made_up(rng)
    one = at(regression(table, replicates=50)[0], "age", "window")
    columns = {f"{kind}_age": 1e5 + 1e-3 * table[f"{kind}_age"] for kind in "yfb"}
    other = at(regression(table.assign(**columns), replicates=50)[0], "age", "window")
    for metric in ("r2", "r"):
        ends = [each.loc[metric, ["value", "low", "high"]].to_numpy(dtype=float) for each in (one, other)]
        assert ends[0] == pytest.approx(ends[1], abs=1e-6)


def test_a_baseline_that_is_right_leaves_no_r2(rng):
    found = at(regression(made_up(rng).assign(b_age=lambda t: t["y_age"]), replicates=20)[0], "age", "mean")
    assert np.isnan(found.loc["r2", "value"]) and found.loc["mae", "chance"] < 1e-12


def test_one_person_has_scores_but_no_interval(rng):
    scores, account = regression(made_up(rng, subjects=1), replicates=20)
    errors = scores[scores["metric"].isin(["mae", "rmse"])]
    assert errors["value"].notna().all() and scores[["low", "high"]].isna().all(axis=None)
    assert any("1 subject:" in note for note in account["notes"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.drop(columns="b_age"), "y_NAME, f_NAME, b_NAME"),
        (lambda t: t[["person"]], "y_NAME, f_NAME, b_NAME"),
        (lambda t: t.iloc[:0], "0 rows"),
        (lambda t: t.drop(columns="person"), "person or subject"),
        (lambda t: t.assign(f_age=t["f_age"].where(t.index != 40)), "row 40 .* .person ds/04.: f_age is nan"),
        (lambda t: t.assign(y_trait=np.inf), "row 0 .*: y_trait is inf"),
    ],
)
def test_unusable_predictions_are_refused(rng, spoil, message):
    with pytest.raises(ValueError, match=message):
        regression(spoil(made_up(rng)))


def test_the_chance_of_a_correlation_is_that_of_the_training_means():
    """Who is left out alone is the lower, the higher the mean of all others."""
    age = np.linspace(5, 20, 8)
    table = pd.DataFrame({"person": list("abcdefgh"), "y_age": age, "f_age": age + np.tile([1, -1], 4)})
    alone = regression(table.assign(b_age=(age.sum() - age) / 7), replicates=10)[0].set_index(["level", "metric"])
    assert alone.loc[("window", "r"), "chance"] == pytest.approx(-1)
    same = regression(table.assign(b_age=12.0), replicates=10)[0].set_index(["level", "metric"])
    assert same.loc[("mean", "r"), "chance"] == 0


def test_columns_of_others_are_no_targets():
    table = pd.DataFrame({"person": list("ab"), "y_position": [1.0, 2.0], "y_age": [5.0, 9.0]})
    table = table.assign(f_age=[6.0, 8.0], b_age=7.0)
    assert regression(table, replicates=10)[1]["targets"] == ["age"]
