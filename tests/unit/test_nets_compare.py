"""Comparison of networks: against brute force, scikit-learn and scipy; calibrated where nothing is to be found."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hedgerow import table
from hedgerow.nets import evaluate, regression
from hedgerow.nets.compare import holm, pair
from hedgerow.nets.compare import table as pairs


def made_up(rng, *, people=12, windows=10, classes=2, folds=4, skill=1.0, within=False, base=None):
    """Predictions of a network; `base` is the table of another one for the same windows."""
    person = np.repeat(np.arange(people), windows)
    if base is None:
        # as many people of each class in each fold
        y = rng.integers(classes, size=len(person)) if within else (np.arange(people) // folds % classes)[person]
        base = pd.DataFrame({"person": [f"ds/{i:02d}" for i in person], "dataset": "ds", "y": y})
        base["rec"], base["window"] = "sub-" + base["person"].str[3:], np.tile(np.arange(windows), people)
        base["onset"], base["tested"] = base["window"] * 2 + 0.1, (person % folds + 1).astype(str)
    y = base["y"].to_numpy()
    logits = skill * np.eye(classes)[y] + rng.normal(size=(people, classes))[person]
    logits += rng.normal(size=(len(y), classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return evaluate.predictions(base[["dataset", "person", "rec", "window", "onset", "tested"]], y, p)


def numbers(rng, *, people=12, windows=5, noise=1.0, folds=4):
    """Predictions of ages; the same true ones for the same number of people."""
    person = np.repeat(np.arange(people), windows)
    age = np.linspace(5, 20, people)[person]
    rows = pd.DataFrame({"person": [f"ds/{i:02d}" for i in person], "y_age": age})
    rows["rec"], rows["window"] = "sub-" + rows["person"].str[3:], np.tile(np.arange(windows), people)
    rows["f_age"] = age + noise * (rng.normal(size=people)[person] + rng.normal(size=len(age)))
    rows["tested"] = (person % folds + 1).astype(str)
    others = {fold: age[rows["tested"] != fold].mean() for fold in rows["tested"].unique()}
    return rows.assign(b_age=rows["tested"].map(others))


def at(rows, *key):
    """The row of a level and metric."""
    return rows.set_index(["level", "metric"]).loc[key]


def by_hand(metric, one, other, seed, replicates):
    """Differences of the sample and of each replicate: the drawn people's rows put together, and scored anew."""
    everybody = np.unique(one["person"])
    drawn = np.random.default_rng([seed, len(everybody)]).integers(len(everybody), size=(replicates, len(everybody)))
    found = []
    for who in [np.arange(len(everybody)), *drawn]:
        parts = [[each[each["person"] == everybody[i]] for i in who] for each in (one, other)]
        found.append(metric(pd.concat(parts[0])) - metric(pd.concat(parts[1])))
    return np.array(found)


def sklearn_scores():
    """Scores of a table of windows (or of votes) by scikit-learn."""
    sk = pytest.importorskip("sklearn.metrics")

    def named(rows):
        return rows["predicted"] if "predicted" in rows else rows.filter(regex=r"^p\d").to_numpy().argmax(1)

    def within_folds(rows):
        area = pairs = 0
        for _, fold in rows.groupby("tested"):
            if fold["y"].nunique() == 2:
                own = fold["y"].sum() * (1 - fold["y"]).sum()
                area, pairs = area + own * sk.roc_auc_score(fold["y"], fold["p1"]), pairs + own
        return area / pairs if pairs else np.nan

    def where_defined(metric):
        return lambda rows: metric(rows) if rows["y"].nunique() == 2 else np.nan

    return {
        "balanced_accuracy": where_defined(lambda rows: sk.balanced_accuracy_score(rows["y"], named(rows))),
        "accuracy": lambda rows: sk.accuracy_score(rows["y"], named(rows)),
        "auc": within_folds,
    }


def test_bootstrap_is_that_of_brute_force_with_the_same_people_for_both(rng):
    one = made_up(rng, skill=1.5)
    other = made_up(rng, base=one)
    rows, account = pair(one, other, replicates=25, seed=3, level=0.9)
    votes = [evaluate.votes(each).merge(one[["person", "tested"]].drop_duplicates()) for each in (one, other)]
    means = [each.assign(predicted=each["by_mean"]) for each in votes]
    assert account["subjects"] == 12 and account["windows"] == 120
    assert set(rows["level"]) == {"window", "subject", "mean"} and len(rows) == 9
    for level, tables in (("window", (one, other)), ("subject", votes), ("mean", means)):
        for name, metric in sklearn_scores().items():
            wanted, row = by_hand(metric, *tables, 3, 25), at(rows, level, name)
            assert row["difference"] == pytest.approx(wanted[0], abs=1e-12)
            assert row["one"] - row["other"] == pytest.approx(wanted[0], abs=1e-12)
            drawn = np.where(np.abs(wanted[1:]) < 1e-12, 0, wanted[1:])[np.isfinite(wanted[1:])]
            assert [row["low"], row["high"]] == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=1e-12)
            rarer = min((drawn <= 0).sum(), (drawn >= 0).sum())
            assert row["p"] == pytest.approx(min(1, max(2**-11, 2 * (rarer + 1) / (len(drawn) + 1))))


def test_scores_are_those_of_the_evaluation(rng):
    one = made_up(rng, classes=3, people=24)
    other = made_up(rng, classes=3, people=24, base=one, skill=0.3)
    rows, _ = pair(one, other, first=4, replicates=10)
    for name, each in (("one", one), ("other", other)):
        scores, _, _ = evaluate.metrics(each, first=4, replicates=10)
        for _, row in rows.iterrows():
            assert row[name] == pytest.approx(at(scores, row["level"], row["metric"])["value"], abs=1e-12)


def test_over_folds_it_is_the_t_test_with_the_variance_corrected(rng):
    one = made_up(rng, people=26, skill=2.0)  # folds of 7, 7, 6 and 6 people
    other = made_up(rng, people=26, base=one)
    rows, _ = pair(one, other, replicates=10, level=0.9)
    sizes = one.groupby("tested")["person"].nunique()
    share = (sizes / (26 - sizes)).mean()
    votes = [evaluate.votes(each).merge(one[["person", "tested"]].drop_duplicates()) for each in (one, other)]
    for level, tables in (("window", (one, other)), ("subject", votes)):
        for name, metric in sklearn_scores().items():
            folds = [
                np.array([metric(each[each["tested"] == fold]) for fold in sorted(sizes.index)]) for each in tables
            ]
            plain = stats.ttest_1samp(folds[0] - folds[1], 0)
            row, factor = at(rows, level, name), np.sqrt((1 / 4) / (1 / 4 + share))
            assert row["folds_difference"] == pytest.approx((folds[0] - folds[1]).mean())
            assert (row["folds"], row["df"]) == (4, 3)
            assert row["t"] == pytest.approx(plain.statistic * factor)
            assert row["folds_p"] == pytest.approx(2 * stats.t.sf(abs(plain.statistic * factor), 3))
            half = stats.t.ppf(0.95, 3) * row["folds_difference"] / row["t"]
            assert [row["folds_low"], row["folds_high"]] == pytest.approx(
                [row["folds_difference"] - half, row["folds_difference"] + half]
            )


def test_equal_networks_are_told_apart_as_seldom_as_p_says(rng):
    small, runs = {"p": 0, "folds_p": 0}, 120
    for seed in range(runs):
        one, other = (numbers(rng, people=40, windows=3) for _ in range(2))
        rows, _ = pair(one, other, replicates=200, seed=seed)
        for name in small:
            small[name] += at(rows, "window", "mae")[name] < 0.1
    for count in small.values():
        assert count / runs < 0.1 + 4 * np.sqrt(0.1 * 0.9 / runs), small
    assert small["p"] / runs > 0.02


def test_the_better_one_is_found_whichever_comes_first(rng):
    one = made_up(rng, people=40, skill=3.0)
    other = made_up(rng, people=40, base=one, skill=0.5)
    row, back = (at(pair(*both)[0], "window", "balanced_accuracy") for both in ((one, other), (other, one)))
    assert row["difference"] > 0 and row["low"] > 0 and row["p"] < 0.01 and row["folds_p"] < 0.05
    assert back["difference"] == -row["difference"] and back["p"] == row["p"] and back["t"] == pytest.approx(-row["t"])
    assert [back["low"], back["high"]] == pytest.approx([-row["high"], -row["low"]])


def test_p_and_interval_tell_the_same(rng):
    for _ in range(15):
        one = made_up(rng, skill=1.0)
        row = at(pair(one, made_up(rng, base=one, skill=0.2), replicates=500)[0], "window", "accuracy")
        if abs(row["p"] - 0.05) > 0.01:  # of 500 replicates the 5 % are known no better
            assert (row["low"] > 0 or row["high"] < 0) == (row["p"] < 0.05)


def test_what_both_find_hard_does_not_widen_the_interval(rng):
    """Networks that fail for the same people differ less surely than two that are judged each for itself."""
    one = made_up(rng, people=40, skill=1.0)
    flip = rng.random(len(one)) < 0.05
    other = one.assign(p0=np.where(flip, one["p1"], one["p0"]), p1=np.where(flip, one["p0"], one["p1"]))
    row = at(pair(one, other)[0], "window", "accuracy")
    alone = [at(evaluate.metrics(each)[0], "window", "accuracy") for each in (one, other)]
    unpaired = np.hypot(*[each["high"] - each["low"] for each in alone])
    assert row["high"] - row["low"] < 0.5 * unpaired


def test_a_network_equals_itself(rng):
    one = made_up(rng)
    rows, account = pair(one, one.copy())
    assert (rows["difference"] == 0).all() and (rows["p"] == 1).all() and (rows["folds"] == 0).all()
    assert any("differ by the same" in note for note in account["notes"])


def test_equal_scores_are_equal_though_summed_in_another_order():
    """Recalls of 0.1, 0.2 and 0.3 have another mean than 0.3, 0.2 and 0.1, for a computer."""
    y = np.tile(np.repeat([0, 1, 2], 10), 12)
    rows = pd.DataFrame({"person": np.repeat(np.arange(12), 30), "window": np.tile(np.arange(30), 12)})
    rows["rec"] = rows["person"].astype(str)
    tables = []
    for right in ([1, 2, 3], [3, 2, 1]):
        named = np.where(rows["window"] % 10 < np.array(right)[y], y, (y + 1) % 3)
        tables.append(evaluate.predictions(rows, y, np.eye(3)[named]))
    row = at(pair(*tables, replicates=50)[0], "window", "balanced_accuracy")
    assert row["one"] != row["other"]
    assert row["difference"] == row["low"] == row["high"] == 0 and row["p"] == 1


def test_order_of_rows_and_other_columns_do_not_matter(rng, tmp_path):
    one = made_up(rng)
    other = made_up(rng, base=one)
    wanted, _ = pair(one, other, replicates=50)
    mixed = other.sample(frac=1, random_state=1).assign(label="x")
    pd.testing.assert_frame_equal(pair(one, mixed, replicates=50)[0], wanted)
    pd.testing.assert_frame_equal(pair(one.drop(columns="window"), mixed, replicates=50)[0], wanted)
    late = mixed.assign(onset=mixed["onset"] + 1e-9)
    pd.testing.assert_frame_equal(pair(one, late, replicates=50)[0], wanted)
    # as files
    table.write(tmp_path / "one.tsv", one)
    table.write(tmp_path / "other.tsv", mixed.drop(columns="onset"))
    read = [table.read(tmp_path / f"{name}.tsv") for name in ("one", "other")]
    pd.testing.assert_frame_equal(pair(*read, replicates=50)[0], wanted)


def test_the_first_windows_of_one_vote_in_both(rng):
    one = made_up(rng)
    other = made_up(rng, base=one)
    wanted = evaluate.votes(other[other["window"] < 3])
    right = (wanted["predicted"] == wanted["y"]).mean()
    mixed = other.sample(frac=1, random_state=1)
    assert at(pair(one, mixed, first=3, replicates=5)[0], "subject", "accuracy")["other"] == pytest.approx(right)


def test_where_each_fold_is_one_person_of_one_class(rng):
    one = made_up(rng, people=12, folds=12)
    other = made_up(rng, people=12, folds=12, base=one)
    one["y"] = other["y"] = np.repeat(np.arange(12) % 2, 10)
    rows, account = pair(one, other, replicates=50)
    assert set(rows["metric"]) == {"balanced_accuracy", "accuracy"}
    assert any(note.startswith("no AUC") for note in account["notes"])
    balanced, plain = (at(rows, "window", name) for name in ("balanced_accuracy", "accuracy"))
    assert balanced["folds"] == 0 and np.isnan(balanced["folds_p"]) and np.isfinite(balanced["p"])
    assert any("window balanced_accuracy: no test over folds, 12 of 12" in note for note in account["notes"])
    assert plain["folds"] == 12


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda t: t.assign(tested="1"), "it takes 3, and there are 1"),
        (lambda t: t.drop(columns="tested"), "column tested"),
        (lambda t: t.assign(tested=(np.arange(len(t)) % 4).astype(str)), "people stand in several"),
    ],
)
def test_folds_that_say_nothing_are_named(rng, change, note):
    one = made_up(rng)
    rows, account = pair(change(one), change(made_up(rng, base=one)), replicates=20)
    assert (rows["folds"] == 0).all() and rows["t"].isna().all() and rows["p"].notna().all()
    assert [note in text for text in account["notes"]].count(True) == 1


def test_networks_that_were_tested_in_other_folds_are_compared_over_people_only(rng):
    one = made_up(rng)
    other = made_up(rng, base=one).assign(tested=one["person"])
    rows, account = pair(one, other, replicates=20)
    assert (rows["folds"] == 0).all() and any("other folds" in note for note in account["notes"])


def test_people_with_windows_of_all_classes_do_not_vote(rng):
    one = made_up(rng, within=True)
    rows, _ = pair(one, made_up(rng, base=one), replicates=20)
    assert set(rows["level"]) == {"window"} and set(rows["metric"]) == {"balanced_accuracy", "accuracy", "auc"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda t: t.iloc[3:], r"3 windows of one and 0 of the other stand alone, among them .* sub-00, window 0"),
        (lambda t: t.assign(onset=t["onset"] + 1), r"120 windows of one and 120 of the other stand alone"),
        (lambda t: t.assign(y=1 - t["y"]), r"120 windows have another true value"),
        (lambda t: t.assign(person=t["person"].replace("ds/03", "x")), r"10 windows have another person.*sub-03"),
        (lambda t: pd.concat([t, t.iloc[[7]]]), r"sub-00, window 7.* stands twice"),
        (lambda t: t.assign(p2=0.0), r"one tells 2 classes, the other 3 classes"),
        (lambda t: t.drop(columns=["window", "onset"]), r"rec and window or onset"),
        (
            lambda t: t.drop(columns=["y", "p0", "p1"]).assign(y_age=1.0, f_age=2.0, b_age=3.0),
            r"2 classes, the other age",
        ),
    ],
)
def test_other_windows_are_refused_with_the_first_that_differs(rng, spoil, message):
    one = made_up(rng)
    with pytest.raises(ValueError, match=message):
        pair(one, spoil(made_up(rng, base=one)))


def test_predicted_numbers_are_compared_with_what_their_scores_are(rng):
    one, other = numbers(rng), numbers(rng, noise=3.0)
    rows, _ = pair(one, other, replicates=40, seed=2)
    assert rows["target"].unique().tolist() == ["age"] and len(rows) == 4
    for name, each in (("one", one), ("other", other)):
        scores, _ = regression.regression(each, replicates=10)
        for _, row in rows.iterrows():
            assert row[name] == pytest.approx(at(scores, row["level"], row["metric"])["value"])
    wanted = by_hand(lambda t: (t["f_age"] - t["y_age"]).abs().mean(), one, other, 2, 40)
    row = at(rows, "window", "mae")
    assert row["difference"] == pytest.approx(wanted[0]) and wanted[0] < 0
    assert [row["low"], row["high"]] == pytest.approx(np.quantile(wanted[1:], [0.025, 0.975]))
    folds = [(each["f_age"] - each["y_age"]).abs().groupby(each["tested"]).mean() for each in (one, other)]
    plain = stats.ttest_1samp(folds[0] - folds[1], 0).statistic
    assert row["t"] == pytest.approx(plain * np.sqrt((1 / 4) / (1 / 4 + 1 / 3)))


def test_of_one_person_a_fold_there_is_an_error_but_no_share_of_a_variance(rng):
    rows, account = pair(numbers(rng, folds=12), numbers(rng, folds=12), replicates=10)
    assert at(rows, "mean", "mae")["folds"] == 12 and at(rows, "mean", "r2")["folds"] == 0
    assert any(note.startswith("age window r2: no test over folds, 12 of 12") for note in account["notes"])


def test_only_shared_targets_are_compared(rng):
    one = numbers(rng)
    other = numbers(rng).assign(y_height=1.0, f_height=2.0, b_height=3.0)
    assert set(pair(one, other, replicates=5)[0]["target"]) == {"age"}
    with pytest.raises(ValueError, match="one tells age, the other height"):
        pair(one, other.drop(columns=["y_age", "f_age", "b_age"]))


def test_all_pairs_that_match_and_the_reason_of_those_that_do_not(rng):
    a = made_up(rng, people=20, skill=3.0)
    given = {"a": a, "b": made_up(rng, people=20, base=a, skill=0.5), "c": made_up(rng, people=20, base=a, skill=1.0)}
    given["few"] = made_up(rng)
    rows, account = pairs(given, replicates=100)
    found = [(each["network"], each["against"]) for each in account["pairs"]]
    assert found == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [each["against"] for each in account["unmatched"]] == ["few"] * 3
    assert "80 windows of one" in account["unmatched"][0]["reason"]
    direct, _ = pair(given["a"], given["c"], replicates=100)
    own = rows[(rows["network"] == "a") & (rows["against"] == "c")]
    pd.testing.assert_frame_equal(own[direct.columns].reset_index(drop=True), direct)
    for _, family in rows.groupby(["level", "metric"]):
        assert family["p_holm"].tolist() == holm(family["p"]).tolist() and len(family) == 3
        assert family["folds_p_holm"].tolist() == holm(family["folds_p"]).tolist()
    alone, account = pairs({"a": a, "few": given["few"]})
    assert not len(alone) and len(account["unmatched"]) == 1


def test_holm_is_that_of_statsmodels_and_passes_over_what_is_missing(rng):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for _ in range(20):
        p = rng.beta(0.3, 1, size=rng.integers(1, 8))
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
    assert holm([0.02, np.nan, 0.01])[[0, 2]].tolist() == [0.02, 0.02] and np.isnan(holm([0.1, np.nan])[1])
