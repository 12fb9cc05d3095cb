"""Least squares from moments: against statsmodels cell by cell, parts against the whole, conditioning, bad input."""

import numpy as np
import pytest
import statsmodels.api as sm

from hedgerow import _array
from hedgerow.grid import ols


@pytest.fixture
def data(rng):
    """Unequal subjects with random effects: X (150, 4), Y (150, 3 channels, 5 samples), subject (150,)."""
    subject = np.repeat([f"s{i:02d}" for i in range(9)], [5, 30, 12, 8, 25, 20, 10, 22, 18])
    X = np.column_stack([np.ones(150), rng.integers(0, 2, 150), rng.normal(3, 1, 150), np.zeros(150)])
    X[:, 3] = X[:, 1] * X[:, 2]
    effect = {name: rng.normal(size=(4, 15)) for name in np.unique(subject)}
    Y = np.stack([x @ effect[s] for x, s in zip(X, subject)]) + 4 * rng.normal(size=(150, 15)) + 7
    order = rng.permutation(150)
    return X[order], Y.reshape(150, 3, 5)[order], subject[order]


def cells(Y):
    return Y.reshape(len(Y), -1).T


def test_equals_statsmodels(xp, data):
    X, Y, subject = data
    basis = ols.basis_of(X)
    found = ols.fit(ols.moments(X, xp.asarray(Y), subject, basis=basis))
    assert type(found["coef"]) is type(xp.asarray(Y)) and found["coef"].dtype == xp.float64
    for j, y in enumerate(cells(Y)):
        model = sm.OLS(y, X).fit()
        robust = sm.OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": np.unique(subject, return_inverse=True)[1]})
        for key, expected in {
            "coef": model.params,
            "se": model.bse,
            "t": model.tvalues,
            "se_cluster": robust.bse,
            "t_cluster": robust.tvalues,
        }.items():
            np.testing.assert_allclose(_array.to_numpy(found[key])[:, j], expected, rtol=1e-10, err_msg=key)
        assert float(found["r2"][j]) == pytest.approx(model.rsquared, rel=1e-10)
        assert float(found["sigma"][j]) == pytest.approx(np.sqrt(model.scale), rel=1e-10)
    assert (found["df"], found["df_cluster"]) == (146, 8)
    assert found["account"]["windows_per_cluster"] == [5, 30] and found["account"]["warnings"] == []


def test_rows_and_moments_agree(data):
    X, Y, subject = data
    by_rows, by_sums = ols.fit_rows(X, Y, subject), ols.fit(ols.moments(X, Y, subject))
    for key in ("coef", "se", "t", "se_cluster", "t_cluster", "sigma", "r2"):
        np.testing.assert_allclose(by_rows[key], by_sums[key], rtol=1e-9, err_msg=key)
    assert np.isnan(ols.fit_rows(X, Y)["se_cluster"]).all() and np.isfinite(ols.fit_rows(X, Y)["se"]).all()


def test_contrast_equals_statsmodels(data):
    X, Y, subject = data
    weights = np.array([[0, 1.0, -1, 0], [0, 0, 1, 0.5]])
    found = ols.contrast(ols.moments(X, Y, subject, basis=ols.basis_of(X)), weights)
    groups = np.unique(subject, return_inverse=True)[1]
    for j, y in enumerate(cells(Y)):
        plain = sm.OLS(y, X).fit().t_test(weights)
        robust = sm.OLS(y, X).fit(cov_type="cluster", cov_kwds={"groups": groups}).t_test(weights)
        np.testing.assert_allclose(found["coef"][:, j], plain.effect, rtol=1e-10)
        np.testing.assert_allclose(found["se"][:, j], plain.sd.ravel(), rtol=1e-10)
        np.testing.assert_allclose(found["se_cluster"][:, j], robust.sd.ravel(), rtol=1e-10)


def test_r2_is_about_zero_without_a_constant(data):
    X, Y, subject = data
    found = ols.fit(ols.moments(X[:, 1:3], Y, subject))
    expected = [sm.OLS(y, X[:, 1:3]).fit().rsquared_adj for y in cells(Y)]
    adjusted = 1 - (1 - found["r2"]) * 150 / 148
    np.testing.assert_allclose(adjusted, expected, rtol=1e-10)


def test_parts_add_up_in_any_order(xp, data):
    X, Y, subject = data
    whole = ols.moments(X, xp.asarray(Y), subject)
    cut = [slice(0, 60), slice(60, 61), slice(61, 150)]  # subjects stand in several parts
    parts = [ols.moments(X[c], xp.asarray(Y[c]), subject[c]) for c in cut]
    parts.append(ols.moments(X[:0], xp.asarray(Y[:0]), subject[:0]))
    for some in (parts, parts[::-1]):
        joined = ols.combine(some)
        assert joined["groups"].tolist() == whole["groups"].tolist() and joined["n"].tolist() == whole["n"].tolist()
        for key in ("Xsum", "XtX", "XtY", "YtY", "Ysum"):
            np.testing.assert_allclose(
                _array.to_numpy(joined[key]), _array.to_numpy(whole[key]), rtol=1e-12, atol=1e-10
            )
    own = [ols.moments(X[subject == s], xp.asarray(Y[subject == s]), subject[subject == s]) for s in ("s08", "s01")]
    assert ols.combine(own)["groups"].tolist() == ["s01", "s08"]
    np.testing.assert_array_equal(_array.to_numpy(ols.combine(own)["YtY"])[1, :], _array.to_numpy(own[0]["YtY"])[0, :])


def test_moments_survive_a_file(tmp_path, data):
    X, Y, subject = data
    made = ols.moments(X, Y, subject, basis=ols.basis_of(X))
    np.savez(tmp_path / "moments.npz", **made)
    with np.load(tmp_path / "moments.npz") as read:
        again = {key: read[key] for key in read.files}
    assert np.array_equal(ols.fit(again)["coef"], ols.fit(made)["coef"])


def test_two_columns_equal_to_1e_4(rng):
    """Normal equations on X lose 8 digits; the study's basis keeps them. Exact answer planted in rational numbers."""
    a = rng.integers(-50, 50, 200).astype(float)
    X = np.column_stack([np.ones(200), a, a + 1e-4 * rng.integers(-50, 50, 200)])
    truth = rng.integers(-4, 5, (3, 12)).astype(float)
    Y, subject = X @ truth, np.arange(200) % 8
    with_basis = ols.fit(ols.moments(X, Y, subject, basis=ols.basis_of(X)))["coef"]
    without = ols.fit(ols.moments(X, Y, subject))["coef"]
    assert np.abs(with_basis - truth).max() < 1e-9
    assert np.abs(without - truth).max() < 1e-5
    Y = Y + rng.normal(size=Y.shape)
    found = ols.fit(ols.moments(X, Y, subject, basis=ols.basis_of(X)))
    q, r = np.linalg.qr(X)
    np.testing.assert_allclose(found["coef"], np.linalg.solve(r, q.T @ Y), rtol=1e-8)
    np.testing.assert_allclose(found["se"][:, 0], sm.OLS(Y[:, 0], X).fit().bse, rtol=1e-8)


def test_scales_of_columns_do_not_matter(data):
    X, Y, subject = data
    scale = np.array([1, 1e6, 1e-9, 1e3])
    plain, scaled = ols.fit(ols.moments(X, Y, subject)), ols.fit(ols.moments(X * scale, Y, subject))
    np.testing.assert_allclose(scaled["coef"] * scale[:, None], plain["coef"], rtol=1e-9)
    np.testing.assert_allclose(scaled["t_cluster"], plain["t_cluster"], rtol=1e-9)


def test_float32_windows_are_summed_in_float64(data):
    X, Y, subject = data
    Y = Y.astype(np.float32)
    found = ols.fit(ols.moments(X, Y, subject, basis=ols.basis_of(X)))
    np.testing.assert_allclose(found["coef"], np.linalg.lstsq(X, Y.reshape(150, -1).astype(float))[0], rtol=1e-10)


def test_flat_cells_have_no_t(data):
    X, Y, subject = data
    Y[:, 0, 0] = 0
    found = ols.fit(ols.moments(X, Y, subject))
    assert np.isnan(found["t"][:, 0]).all() and np.isnan(found["r2"][0]) and np.isfinite(found["t"][:, 1:]).all()


def test_refuses(data):
    X, Y, subject = data
    names = ["Intercept", "kind", "intensity", "kind:intensity"]
    gone = X[:, 1] == 0
    for some in (ols.basis_of(X), None):
        with pytest.raises(ValueError, match=r"windows cannot tell apart or determine.* kind, kind:intensity"):
            ols.fit(ols.moments(X[gone], Y[gone], subject[gone], basis=some), names=names)
    with pytest.raises(ValueError, match="kind"):
        ols.fit_rows(X[gone], Y[gone], names=names)
    with pytest.raises(ValueError, match="4 coefficients and 4 windows"):
        ols.fit(ols.moments(X[:4] + np.eye(4), Y[:4], subject[:4]))
    with pytest.raises(ValueError, match="4 coefficients but only 3 windows"):
        ols.fit_rows(X[:3], Y[:3])
    with pytest.raises(ValueError, match="150 rows of the design, 149 windows and 150 groups"):
        ols.moments(X, Y[:149], subject)
    with pytest.raises(ValueError, match="no moments"):
        ols.combine([])
    with pytest.raises(ValueError, match="different designs"):
        ols.combine([ols.moments(X, Y, subject), ols.moments(X, Y, subject, basis=ols.basis_of(X))])
    with pytest.raises(ValueError, match="unlike shape"):
        ols.combine([ols.moments(X, Y, subject), ols.moments(X, Y[:, :2], subject)])
    bad = Y.copy()
    bad[np.flatnonzero(subject == "s03")[:2], 1, 2] = [np.nan, np.inf]
    with pytest.raises(ValueError, match="group 's03': 2 of 8 windows are not finite"):
        ols.moments(X, bad, subject)


def test_few_clusters_are_said(data):
    X, Y, subject = data
    some = np.isin(subject, ["s01", "s04", "s07"])
    assert (
        "3 groups and 4 coefficients" in ols.fit(ols.moments(X[some], Y[some], subject[some]))["account"]["warnings"][0]
    )
