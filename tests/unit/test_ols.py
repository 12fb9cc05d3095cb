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


WEIGHTS = np.array([[0, 1.0, -1, 0], [0, 0, 1, 0.5], [2, 0, 0, 0]])
TESTS = [np.eye(4)[1:], np.array([[0, 1.0, 0, 0]]), np.array([[0, 1.0, -1, 0], [0, 2.0, -2, 0]])]  # the last: one twice


def test_estimates_and_criteria_equal_statsmodels(xp, data):
    X, Y, subject = data
    moments = ols.moments(X, xp.asarray(Y), subject, basis=ols.basis_of(X))
    for found in (
        ols.fit_moments(moments, errors="classical", tests=TESTS),
        ols.fit(X, xp.asarray(Y), errors="classical", tests=TESTS),
    ):
        assert type(found["coef"]) is type(xp.asarray(Y)) and found["coef"].dtype == xp.float64
        for j, y in enumerate(cells(Y)):
            model = sm.OLS(y, X).fit()
            for key, expected in {
                "coef": model.params,
                "se": model.bse,
                "t": model.tvalues,
                "F": [model.f_test(TESTS[0]).fvalue, model.f_test(TESTS[1]).fvalue, model.f_test(TESTS[2][:1]).fvalue],
            }.items():
                np.testing.assert_allclose(_array.to_numpy(found[key])[:, j], expected, rtol=1e-10, err_msg=key)
            for key, name in {
                "r2": "rsquared",
                "r2_adjusted": "rsquared_adj",
                "loglik": "llf",
                "aic": "aic",
                "bic": "bic",
            }.items():
                assert float(found[key][j]) == pytest.approx(getattr(model, name), rel=1e-10), key
            assert float(found["sigma"][j]) == pytest.approx(np.sqrt(model.scale), rel=1e-10)
        assert found["df"].tolist() == [146.0] * 4
        assert (found["df1"].tolist(), found["df2"].tolist()) == ([3, 1, 1], [146, 146, 146])


@pytest.mark.parametrize("errors", ["hc0", "hc1", "hc2", "hc3", "cr1"])
def test_robust_errors_and_tests_equal_statsmodels(xp, data, errors):
    X, Y, subject = data
    found = ols.fit(X, xp.asarray(Y), subject, errors=errors, weights=WEIGHTS, tests=TESTS)
    groups = np.unique(subject, return_inverse=True)[1]
    options = {"cov_kwds": {"groups": groups, "df_correction": True}} if errors == "cr1" else {}
    kind = "cluster" if errors == "cr1" else errors.upper()
    for j, y in enumerate(cells(Y)):
        model = sm.OLS(y, X).fit(cov_type=kind, use_t=True, **options)
        told = model.t_test(WEIGHTS)
        np.testing.assert_allclose(_array.to_numpy(found["coef"])[:, j], told.effect, rtol=1e-10)
        np.testing.assert_allclose(_array.to_numpy(found["se"])[:, j], told.sd.ravel(), rtol=1e-10)
        np.testing.assert_allclose(_array.to_numpy(found["t"])[:, j], told.tvalue.ravel(), rtol=1e-10)
        tests = [model.f_test(test) for test in (*TESTS[:2], TESTS[2][:1])]
        np.testing.assert_allclose(_array.to_numpy(found["F"])[:, j], [each.fvalue for each in tests], rtol=1e-10)
        assert found["df"].tolist() == [told.df_denom] * 3
        assert found["df2"].tolist() == [each.df_denom for each in tests]
    assert found["account"]["errors"] == errors and found["account"]["warnings"] == []
    assert found["account"]["clusters"] == 9 and found["account"]["windows_per_cluster"] == [5, 30]


@pytest.mark.parametrize("errors", ["classical", "cr1", "cr2"])
def test_rows_and_moments_agree(data, errors):
    X, Y, subject = data
    moments = ols.moments(X, Y, subject)
    by_rows, by_sums = (
        ols.fit(X, Y, subject, errors=errors, tests=TESTS),
        ols.fit_moments(moments, errors=errors, tests=TESTS),
    )
    for key in by_rows.keys() - {"account"}:
        np.testing.assert_allclose(by_rows[key], by_sums[key], rtol=1e-9, err_msg=key)
    assert by_rows["account"] == by_sums["account"]


def test_many_windows_and_coefficients_equal_statsmodels(rng):
    """n = 2000, p = 120: several blocks of rows, clusters in disorder, a test of 25 coefficients."""
    X = np.column_stack([np.ones(2000), rng.normal(size=(2000, 119)) * rng.uniform(0.01, 100, 119)])
    Y = (rng.normal(size=(2000, 70)) * (1 + X[:, 1:2] ** 2)).astype(np.float32)
    groups = rng.integers(0, 150, 2000)
    test = np.eye(120)[5:30]
    for errors, kind in {"classical": "nonrobust", "hc0": "HC0", "hc3": "HC3", "cr1": "cluster"}.items():
        found = ols.fit(X, Y, groups.astype(str), errors=errors, tests=[test])
        options = {"cov_kwds": {"groups": groups}} if errors == "cr1" else {}
        for j in (0, 69):
            model = sm.OLS(Y[:, j].astype(float), X).fit(cov_type=kind, use_t=True, **options)
            np.testing.assert_allclose(found["coef"][:, j], model.params, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found["se"][:, j], model.bse, rtol=1e-10, err_msg=errors)
            np.testing.assert_allclose(found["F"][0, j], model.f_test(test).fvalue, rtol=1e-9, err_msg=errors)


def test_an_offset_costs_no_digits_from_the_windows(data):
    X, Y, _ = data
    plain, moved = ols.fit(X, Y, errors="hc3"), ols.fit(X, Y + 1e7, errors="hc3")
    for key in ("se", "sigma", "r2", "aic"):
        np.testing.assert_allclose(moved[key], plain[key], rtol=1e-7, err_msg=key)


def test_the_same_input_gives_the_same_bits(data):
    X, Y, subject = data
    for errors in ("hc3", "cr2"):
        one, two = (ols.fit(X, Y, subject, errors=errors, tests=TESTS) for _ in range(2))
        for key in one.keys() - {"account"}:
            np.testing.assert_array_equal(one[key], two[key])


def test_r2_is_about_zero_without_a_constant(data):
    X, Y, subject = data
    found = ols.fit_moments(ols.moments(X[:, 1:3], Y, subject))
    models = [sm.OLS(y, X[:, 1:3]).fit() for y in cells(Y)]
    np.testing.assert_allclose(found["r2"], [model.rsquared for model in models], rtol=1e-10)
    np.testing.assert_allclose(found["r2_adjusted"], [model.rsquared_adj for model in models], rtol=1e-10)


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


@pytest.mark.parametrize("order", ["one after the other", "mixed"])
def test_sums_over_blocks_of_rows_and_tiles_of_cells_equal_plain_sums(xp, rng, order):
    X, Y = rng.normal(size=(1300, 3)), rng.normal(size=(1300, 500)).astype(np.float32)
    group = np.repeat(["a", "b", "c"], [700, 599, 1])
    group = group if order == "one after the other" else rng.permutation(group)
    found = ols.moments(X, xp.asarray(Y), group)
    for g, name in enumerate("abc"):
        x, y = X[group == name], Y[group == name].astype(float)
        expected = {"Xsum": x.sum(0), "XtX": x.T @ x, "XtY": x.T @ y, "YtY": (y**2).sum(0), "Ysum": y.sum(0)}
        for key, sums in expected.items():
            np.testing.assert_allclose(_array.to_numpy(found[key])[g], sums, rtol=1e-11, atol=1e-11, err_msg=key)
    assert found["n"].tolist() == [700, 599, 1]


def test_moments_survive_a_file(tmp_path, data):
    X, Y, subject = data
    made = ols.moments(X, Y, subject, basis=ols.basis_of(X))
    np.savez(tmp_path / "moments.npz", **made)
    with np.load(tmp_path / "moments.npz") as read:
        again = {key: read[key] for key in read.files}
    assert np.array_equal(ols.fit_moments(again)["coef"], ols.fit_moments(made)["coef"])


def test_two_columns_equal_to_1e_4(rng):
    """Normal equations on X lose 8 digits; the study's basis keeps them. Exact answer planted in rational numbers."""
    a = rng.integers(-50, 50, 200).astype(float)
    X = np.column_stack([np.ones(200), a, a + 1e-4 * rng.integers(-50, 50, 200)])
    truth = rng.integers(-4, 5, (3, 12)).astype(float)
    Y, subject = X @ truth, np.arange(200) % 8
    with_basis = ols.fit_moments(ols.moments(X, Y, subject, basis=ols.basis_of(X)))["coef"]
    without = ols.fit_moments(ols.moments(X, Y, subject))["coef"]
    assert np.abs(with_basis - truth).max() < 1e-9
    assert np.abs(without - truth).max() < 1e-5
    Y = Y + rng.normal(size=Y.shape)
    found = ols.fit_moments(ols.moments(X, Y, subject, basis=ols.basis_of(X)))
    q, r = np.linalg.qr(X)
    np.testing.assert_allclose(found["coef"], np.linalg.solve(r, q.T @ Y), rtol=1e-8)
    for errors, kind in {"classical": "nonrobust", "hc3": "HC3"}.items():
        found = ols.fit(X, Y, errors=errors)
        np.testing.assert_allclose(found["se"][:, 0], sm.OLS(Y[:, 0], X).fit(cov_type=kind).bse, rtol=1e-8)


def test_scales_of_columns_do_not_matter(data):
    X, Y, subject = data
    scale = np.array([1, 1e6, 1e-9, 1e3])
    plain = ols.fit_moments(ols.moments(X, Y, subject), tests=TESTS)
    scaled = ols.fit_moments(ols.moments(X * scale, Y, subject), tests=[test * scale for test in TESTS])
    np.testing.assert_allclose(scaled["coef"] * scale[:, None], plain["coef"], rtol=1e-9)
    for key in ("t", "df", "F", "df2"):
        np.testing.assert_allclose(scaled[key], plain[key], rtol=1e-8, err_msg=key)


def test_float32_windows_are_summed_in_float64(data):
    X, Y, subject = data
    Y = Y.astype(np.float32)
    found = ols.fit_moments(ols.moments(X, Y, subject, basis=ols.basis_of(X)))
    np.testing.assert_allclose(found["coef"], np.linalg.lstsq(X, Y.reshape(150, -1).astype(float))[0], rtol=1e-10)


def test_flat_cells_have_no_t(data):
    X, Y, subject = data
    Y[:, 0, 0] = 0
    found = ols.fit_moments(ols.moments(X, Y, subject))
    assert np.isnan(found["t"][:, 0]).all() and np.isnan(found["r2"][0]) and np.isfinite(found["t"][:, 1:]).all()


@pytest.mark.parametrize("value", [7.3, -1e5, 0.1])
def test_constant_cells_have_no_r2(xp, data, value):
    X, Y, subject = data
    Y[:, 1, 2] = value
    moments = ols.moments(X, xp.asarray(Y), subject, basis=ols.basis_of(X))
    for found in (ols.fit_moments(moments, errors="classical"), ols.fit(X, xp.asarray(Y), errors="classical")):
        for key in ("r2", "r2_adjusted", "aic"):
            assert np.flatnonzero(np.isnan(_array.to_numpy(found[key]))).tolist() == [7], key
        assert float(found["sigma"][7]) == 0 and float(found["coef"][0, 7]) == pytest.approx(value, rel=1e-9)


def test_small_effects_on_a_large_offset_keep_their_r2(data):
    X, _, _ = data
    exact = (X @ [[0], [1e-6], [2e-6], [0]]) + 1000
    assert ols.fit(X, exact, errors="classical")["r2"][0] == pytest.approx(1, abs=1e-6)


def test_offsets_that_cost_digits_of_sums_are_said(data):
    """Noise of 1 on 1e5 keeps five digits and says nothing, on 1e6 and 1e7 it says so; windows themselves do not."""
    X, _, subject = data
    noise = np.random.default_rng(0).normal(size=(150, 4))
    noise[:, 0] = 0  # a flat cell is none of these
    plain = ols.fit(X, noise, errors="classical")
    for offset, said in (([0, 1e5, 1e5, 1e5], 0), ([0, 1e5, 1e6, 1e7], 2)):
        moved = noise + np.array(offset)
        found = ols.fit_moments(ols.moments(X, moved, subject, basis=ols.basis_of(X)), errors="classical")
        warnings = found["account"]["warnings"]
        assert len(warnings) == bool(said) and all(
            f"{said} of 4 cells have a residual below 1e-11" in each for each in warnings
        )
        kept = np.array(offset) == 1e5
        np.testing.assert_allclose(found["sigma"][kept], plain["sigma"][kept], rtol=1e-4)
        found = ols.fit(X, moved, errors="classical")
        assert found["account"]["warnings"] == []
        np.testing.assert_allclose(found["sigma"], plain["sigma"], rtol=1e-7)
    assert "subtract a baseline" in warnings[0]


def test_refuses(data):
    X, Y, subject = data
    names = ["Intercept", "kind", "intensity", "kind:intensity"]
    gone = X[:, 1] == 0
    for some in (ols.basis_of(X), None):
        with pytest.raises(ValueError, match=r"windows cannot tell apart or determine.* kind, kind:intensity"):
            ols.fit_moments(ols.moments(X[gone], Y[gone], subject[gone], basis=some), names=names)
    with pytest.raises(ValueError, match="kind"):
        ols.fit(X[gone], Y[gone], names=names)
    with pytest.raises(ValueError, match="4 coefficients and 4 windows"):
        ols.fit_moments(ols.moments(X[:4] + np.eye(4), Y[:4], subject[:4]))
    with pytest.raises(ValueError, match="4 coefficients but only 3 windows"):
        ols.fit(X[:3], Y[:3])
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
        "3 groups and 4 coefficients"
        in ols.fit_moments(ols.moments(X[some], Y[some], subject[some]))["account"]["warnings"][0]
    )
