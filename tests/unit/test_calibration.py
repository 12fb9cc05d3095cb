"""Brier score and log loss against scikit-learn, calibration against what was planted, intervals against a loop."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from hedgerow.nets import evaluate
from hedgerow.nets.calibration import calibration


def made_up(rng, *, subjects=30, windows=40, classes=3, temperature=1.0, spread=0.0):
    """Predictions that are calibrated at temperature 1; `spread`: people differ in how often they are right."""
    person = np.repeat(np.arange(subjects), windows)
    logits = 1.5 * rng.normal(size=(len(person), classes))
    odds = logits + spread * rng.normal(size=(subjects, classes))[person]
    y = (_softmax(odds).cumsum(1) > rng.random((len(person), 1))).argmax(1)
    return evaluate.predictions(
        pd.DataFrame({"person": [f"s{i:02}" for i in person]}), y, _softmax(logits / temperature)
    )


def _softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


def probabilities(table):
    return table[[c for c in table if c[0] == "p" and c[1:].isdigit()]].to_numpy()


def value(scores, metric, column="value"):
    return scores.set_index("metric").loc[metric, column]


@pytest.mark.parametrize("classes", [2, 3])
def test_brier_score_and_log_loss_are_those_of_scikit_learn(rng, classes):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, classes=classes)
    scores, _, account = calibration(table, replicates=10)
    y, p = table["y"], probabilities(table)
    brier = sk.brier_score_loss(y, p, scale_by_half=False, labels=range(classes))
    assert value(scores, "brier") == pytest.approx(brier, abs=1e-12)
    assert value(scores, "log_loss") == pytest.approx(sk.log_loss(y, p), abs=1e-12)
    shares = np.tile(np.bincount(y) / len(y), (len(y), 1))
    reference = sk.brier_score_loss(y, shares, scale_by_half=False, labels=range(classes))
    assert value(scores, "brier", "reference") == pytest.approx(reference, abs=1e-12)
    assert value(scores, "log_loss", "reference") == pytest.approx(sk.log_loss(y, shares), abs=1e-12)
    assert (scores["level"] == "window").all() and (scores["n"] == len(y)).all()
    assert account["classes"] == classes and account["subjects"] == 30


def by_hand(table, edges):
    """Calibration error in bins between `edges`, window after window."""
    p, error = probabilities(table), 0
    confidence, right = p.max(1), p.argmax(1) == table["y"].to_numpy()
    for low, high in pairwise(edges):
        inside = (confidence >= low) & (confidence < high)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


def test_intervals_are_those_of_tables_put_together_from_the_people_drawn(rng):
    sk = pytest.importorskip("sklearn.metrics")
    table = made_up(rng, subjects=9, windows=9)  # the edges of four bins are values of the sample
    scores, reliability, _ = calibration(table, bins=4, replicates=60, seed=3)
    parts = [rows for _, rows in table.groupby("person")]
    edges = [0, *np.quantile(probabilities(table).max(1), [0.25, 0.5, 0.75]), 2]
    assert value(scores, "ece") == pytest.approx(by_hand(table, edges), abs=1e-12)
    found = []
    for drawn in np.random.default_rng([3, 9]).integers(9, size=(60, 9)):
        sample = pd.concat([parts[who] for who in drawn])
        y, p = sample["y"], probabilities(sample)
        brier = sk.brier_score_loss(y, p, scale_by_half=False, labels=range(3))
        found.append((by_hand(sample, edges), brier, sk.log_loss(y, p, labels=range(3))))
    ends = np.quantile(found, [0.025, 0.975], axis=0)
    got = scores[["low", "high"]].to_numpy().T
    assert got == pytest.approx(ends, abs=1e-12)
    assert reliability["windows"].tolist() == [20, 20, 20, 21] and reliability["bin"].tolist() == [0, 1, 2, 3]


def test_a_network_that_says_too_much_is_found_out(rng):
    """What a temperature of 1/2 does to the confidence is known without bins: its mean distance from the true one."""
    fine = made_up(rng, subjects=100, windows=50)
    bold = fine.assign(**{f"p{k}": p for k, p in enumerate(_softmax(2 * np.log(probabilities(fine))).T)})
    for table in (fine, bold):
        truth = probabilities(fine)[np.arange(len(fine)), probabilities(table).argmax(1)]
        expected = (probabilities(table).max(1) - truth).mean()
        scores, reliability, _ = calibration(table, replicates=200)
        assert value(scores, "ece") == pytest.approx(expected, abs=0.02)
        share = np.average(reliability["right"], weights=reliability["windows"])
        assert share == pytest.approx((probabilities(table).argmax(1) == table["y"]).mean())
    assert expected > 0.1
    assert (reliability["confidence"] > reliability["high"]).sum() >= 6
    assert value(scores, "ece", "low") > 3 * value(scores, "ece", "reference")


def test_reference_of_the_calibration_error_is_what_calibrated_networks_show(rng):
    """People differ, so that the error is far above 0 though nothing is wrong on average over people."""
    ece, reference = [], []
    for seed in range(20):
        table = made_up(rng, subjects=25, classes=2, spread=1.5)
        scale = 1 / np.sqrt(1 + np.pi / 8 * 2 * 1.5**2)  # the logistic of a normal sum: averaged over people, flatter
        p = _softmax(np.log(probabilities(table)) * scale)
        scores, _, _ = calibration(table.assign(p0=p[:, 0], p1=p[:, 1]), replicates=100, seed=seed)
        ece.append(value(scores, "ece"))
        reference.append(value(scores, "ece", "reference"))
    again = [value(calibration(table, seed=seed)[0], "ece", "reference") for seed in (1, 2)]
    assert again[0] == pytest.approx(again[1], rel=0.05)
    assert np.mean(ece) > 0.03
    assert np.mean(reference) == pytest.approx(np.mean(ece), rel=0.2)


def test_intervals_of_the_brier_score_are_over_people(rng):
    """Everybody's windows are alike: ten copies of each window know no more than one."""
    table = made_up(rng, windows=8)
    one, _, _ = calibration(table, replicates=50)
    ten, _, _ = calibration(pd.concat([table] * 10), replicates=50)
    assert one[["value", "low", "high"]].to_numpy() == pytest.approx(ten[["value", "low", "high"]].to_numpy())


def test_equal_confidences_share_a_bin_and_the_order_of_rows_does_not_matter(rng):
    table = made_up(rng, classes=2)
    p1 = table["p1"].round(1)
    table = table.assign(p1=p1, p0=1 - p1)
    _, reliability, account = calibration(table, replicates=20)
    assert reliability["windows"].sum() == len(table) and len(reliability) == account["bins"] < 10
    again = calibration(table.sample(frac=1, random_state=1), replicates=20)[0]
    pd.testing.assert_frame_equal(calibration(table, replicates=20)[0], again)
    _, flat, _ = calibration(table.assign(p0=0.3, p1=0.7), replicates=20)
    assert flat["confidence"].tolist() == pytest.approx([0.7]) and flat["bin"].tolist() == [0]
    assert flat["right"].item() == pytest.approx((table["y"] == 1).mean())


def test_certain_and_wrong_costs_36_nats_and_not_more():
    table = evaluate.predictions(pd.DataFrame({"person": [*"ab"]}), [0, 1], [[0, 1], [0, 1]])
    scores, _, _ = calibration(table, replicates=10)
    assert value(scores, "log_loss") == pytest.approx(-np.log(2.0**-52) / 2)
    assert value(scores, "brier") == 1


def test_one_person_and_one_class(rng):
    scores, reliability, account = calibration(made_up(rng, subjects=1).assign(y=1), replicates=20)
    assert scores["value"].notna().all() and scores[["low", "high"]].isna().all(axis=None)
    assert np.isnan(value(scores, "ece", "reference"))
    assert value(scores, "brier", "reference") == 0 and abs(value(scores, "log_loss", "reference")) < 1e-12
    assert reliability["low"].isna().all() and any("1 subject:" in note for note in account["notes"])


def test_unusable_predictions_are_refused(rng):
    with pytest.raises(ValueError, match="0 bins"):
        calibration(made_up(rng), bins=0)
    with pytest.raises(ValueError, match=r"row 7 of the predictions \(person s00\).* no probabilities"):
        table = made_up(rng)
        calibration(table.assign(p2=table["p2"].where(table.index != 7)))
