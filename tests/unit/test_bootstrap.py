"""Bootstrap: against an explicit loop with the same counts, tiles, libraries, lost levels, what it refuses."""

import numpy as np
import pytest

from hedgerow import _array
from hedgerow.grid import bootstrap, ols

KEYS = ("coef", "se", "ci_low", "ci_high")


@pytest.fixture
def data(rng):
    """Unequal subjects with random effects: X (120, 4), Y (120, 10), subject (120,)."""
    subject = np.repeat([f"s{i:02d}" for i in range(10)], [4, 20, 8, 16, 12, 9, 11, 15, 5, 20])
    X = np.column_stack([np.ones(120), rng.integers(0, 2, 120), rng.normal(3, 1, 120), np.zeros(120)])
    X[:, 3] = X[:, 1] * X[:, 2]
    effect = {name: rng.normal(size=(4, 10)) for name in np.unique(subject)}
    return X, np.stack([x @ effect[s] for x, s in zip(X, subject)]) + 3 * rng.normal(size=(120, 10)), subject


def loop(X, Y, drawn, weights=None):
    """Replicates (B, k, m) by refitting the resampled rows one by one."""
    made = []
    for counts in drawn:
        rows = np.repeat(np.arange(len(X)), counts)
        made.append(np.linalg.lstsq(X[rows], Y[rows])[0])
    return np.array(made) if weights is None else np.einsum("kp,bpm->bkm", weights, np.array(made))


def expected(replicates, level):
    low, high = np.quantile(replicates, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {"se": replicates.std(axis=0, ddof=1), "ci_low": low, "ci_high": high}


def drawn_rows(subject, replicates, seed):
    """Counts of windows (B, n) when whole subjects are drawn."""
    names, places = np.unique(subject, return_inverse=True)
    return [bootstrap.counts(len(names), seed, b)[places] for b in range(replicates)]


def test_clusters_equal_an_explicit_loop(xp, data):
    X, Y, subject = data
    sums = ols.moments(X, xp.asarray(Y), subject, basis=ols.basis_of(X))
    found = bootstrap.clusters(sums, seed=11, replicates=60, level=0.9)
    made = loop(X, Y, drawn_rows(subject, 60, 11))
    np.testing.assert_allclose(_array.to_numpy(found["coef"]), np.linalg.lstsq(X, Y)[0], rtol=1e-10)
    for key, values in expected(made, 0.9).items():
        assert type(found[key]) is type(sums["XtY"])
        np.testing.assert_allclose(_array.to_numpy(found[key]), values, rtol=1e-9, atol=1e-11, err_msg=key)
    assert found["account"]["redrawn"] == 0 and found["account"]["resampled"] == "clusters"


def test_trials_equal_an_explicit_loop(xp, data):
    X, Y, _ = data
    found = bootstrap.trials(X, xp.asarray(Y), seed=5, replicates=50, level=0.8)
    made = loop(X, Y, [bootstrap.counts(120, 5, b) for b in range(50)])
    np.testing.assert_allclose(_array.to_numpy(found["coef"]), np.linalg.lstsq(X, Y)[0], rtol=1e-10)
    for key, values in expected(made, 0.8).items():
        np.testing.assert_allclose(_array.to_numpy(found[key]), values, rtol=1e-9, atol=1e-11, err_msg=key)
    assert found["account"]["resampled"] == "trials" and found["account"]["units"] == 120


def test_contrasts_are_resampled_too(data):
    X, Y, subject = data
    weights = np.array([[0, 1.0, 0, 3.0]])
    made = expected(loop(X, Y, drawn_rows(subject, 40, 2), weights), 0.95)
    found = bootstrap.clusters(ols.moments(X, Y, subject), seed=2, replicates=40, weights=weights)
    by_trial = bootstrap.trials(X, Y, seed=2, replicates=40, weights=weights)
    trial = expected(loop(X, Y, [bootstrap.counts(120, 2, b) for b in range(40)], weights), 0.95)
    for key in made:
        np.testing.assert_allclose(found[key], made[key], rtol=1e-9)
        np.testing.assert_allclose(by_trial[key], trial[key], rtol=1e-9)


def test_two_columns_equal_to_1e_4(rng, data):
    _, Y, subject = data
    a = rng.normal(size=120)
    X = np.column_stack([np.ones(120), a, a + 1e-4 * rng.normal(size=120)])
    found = bootstrap.clusters(ols.moments(X, Y, subject, basis=ols.basis_of(X)), seed=1, replicates=40)
    for key, values in expected(loop(X, Y, drawn_rows(subject, 40, 1)), 0.95).items():
        assert np.abs(found[key] - values).max() < 1e-9 * np.abs(values).max(), key


def test_tiles_change_nothing(data):
    X, Y, subject = data
    sums = ols.moments(X, Y, subject)
    for call in (
        lambda budget: bootstrap.clusters(sums, seed=3, replicates=50, budget_mb=budget),
        lambda budget: bootstrap.trials(X, Y, seed=3, replicates=50, budget_mb=budget),
    ):
        whole, tiles = call(512), call(0.02)
        assert whole["account"]["cells_per_tile"] == 10 and tiles["account"]["cells_per_tile"] < 4
        for key in KEYS:
            np.testing.assert_allclose(tiles[key], whole[key], rtol=1e-12, err_msg=key)


def test_same_seed_same_bits_and_more_replicates_keep_the_first(data):
    X, Y, subject = data
    sums = ols.moments(X, Y, subject)
    one, two = (bootstrap.clusters(sums, seed=9, replicates=40) for _ in range(2))
    other = bootstrap.clusters(sums, seed=10, replicates=40)
    assert all(np.array_equal(one[key], two[key]) for key in KEYS)
    assert not np.allclose(one["ci_low"], other["ci_low"])
    few, many = (bootstrap._draw(10, 9, b, lambda c: np.ones((len(c), 1, 1)), np.eye(1))[0] for b in (5, 50))
    assert np.array_equal(few, many[:5])


def test_counts_are_multinomial():
    drawn = np.array([bootstrap.counts(20, 1, b) for b in range(4000)])
    assert (drawn.sum(axis=1) == 20).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.08)
    np.testing.assert_allclose(drawn.var(axis=0), 1 - 1 / 20, atol=0.1)
    assert abs(np.corrcoef(drawn[:-1, 0], drawn[1:, 0])[0, 1]) < 0.08


def test_lost_level_is_drawn_again(xp, rng):
    """Two of eight subjects carry a factor: one resample in ten has neither, or nothing else."""
    subject = np.repeat(np.arange(8), 6)
    X = np.column_stack([np.ones(48), subject < 2, rng.normal(size=48)]).astype(float)
    Y = rng.normal(size=(48, 3))
    found = bootstrap.clusters(ols.moments(X, xp.asarray(Y), subject, basis=ols.basis_of(X)), seed=4, replicates=300)
    account = found["account"]
    assert 15 <= account["redrawn"] <= 60  # 300 * (0.75**8 + 0.25**8) = 30
    assert any("drawn again" in line for line in account["warnings"])
    drawn = []
    for b in range(300):
        tries = (bootstrap.counts(8, 4, b, attempt) for attempt in range(100))
        drawn.append(next(c for c in tries if 0 < c[:2].sum() < 8)[subject])
    for key, values in expected(loop(X, Y, drawn), 0.95).items():
        np.testing.assert_allclose(_array.to_numpy(found[key]), values, rtol=1e-9, atol=1e-11, err_msg=key)


def test_design_that_tells_subjects_apart_is_refused(rng):
    subject = np.repeat(np.arange(8), 6)
    X = np.column_stack([subject == s for s in range(8)]).astype(float)
    with pytest.raises(ValueError, match=r"stay singular after 100 draws.*tells the 8 resampled units apart"):
        bootstrap.clusters(ols.moments(X, rng.normal(size=(48, 2)), subject), seed=0, replicates=20)


def test_standard_error_is_that_of_cluster_robust_theory(rng):
    """With many alike subjects the bootstrap's standard error approaches CR1's."""
    subject = np.repeat(np.arange(100), 6)
    X = np.column_stack([np.ones(600), rng.normal(size=600)])
    Y = rng.normal(size=(600, 4)) + np.repeat(rng.normal(size=(100, 4)), 6, axis=0)
    sums = ols.moments(X, Y, subject)
    found = bootstrap.clusters(sums, seed=0, replicates=1500)
    np.testing.assert_allclose(found["se"], ols.fit(sums)["se_cluster"], rtol=0.1)
    assert found["account"]["warnings"] == []


def test_intervals_follow_location_and_scale(data):
    X, Y, subject = data
    one = bootstrap.clusters(ols.moments(X, Y, subject), seed=6, replicates=50)
    two = bootstrap.clusters(ols.moments(X, 5 - 2 * Y, subject), seed=6, replicates=50)
    np.testing.assert_allclose(two["ci_low"][1:], -2 * one["ci_high"][1:], rtol=1e-9)
    np.testing.assert_allclose(two["ci_high"][0], 5 - 2 * one["ci_low"][0], rtol=1e-9)


def test_few_clusters_are_said_and_too_few_refused(data):
    X, Y, subject = data
    found = bootstrap.clusters(ols.moments(X, Y, subject), seed=0, replicates=20)
    assert "10 clusters" in found["account"]["warnings"][0] and "fewer than 40" in found["account"]["warnings"][0]
    some = np.isin(subject, ["s01", "s03", "s07", "s09"])
    with pytest.raises(ValueError, match=r"4 groups are too few.*trials within each subject"):
        bootstrap.clusters(ols.moments(X[some], Y[some], subject[some]), seed=0)


@pytest.mark.parametrize(
    ("keys", "sentence"), [({"seed": -1}, "seed"), ({"replicates": 1}, "replicates"), ({"level": 95}, "level: 95")]
)
def test_refuses_parameters(data, keys, sentence):
    X, Y, subject = data
    with pytest.raises(ValueError, match=sentence):
        bootstrap.clusters(ols.moments(X, Y, subject), **{"seed": 0, **keys})
    with pytest.raises(ValueError, match=sentence):
        bootstrap.trials(X, Y, **{"seed": 0, **keys})
    with pytest.raises(ValueError, match="too few windows"):
        bootstrap.trials(X[:4] + np.eye(4), Y[:4], seed=0)
