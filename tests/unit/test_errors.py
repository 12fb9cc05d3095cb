"""CR2, its degrees of freedom and its tests against the direct formulas with hat blocks of all windows; lone groups."""

import numpy as np
import pytest
import scipy.linalg

from hedgerow import _array
from hedgerow.grid import errors, ols


def unlike(rng, n=90, groups=7):
    """A design with terms within and between unlike groups: X (n, 4), Y (n, 6), group (n,)."""
    group = np.sort(rng.integers(0, groups, n))
    between = rng.normal(size=groups)[group]
    X = np.column_stack([np.ones(n), rng.integers(0, 2, n), rng.normal(3, 1, n), between])
    Y = rng.normal(size=(groups, 6))[group] + rng.normal(size=(n, 6)) * (1 + X[:, 1:2]) + X @ rng.normal(size=(4, 6))
    order = rng.permutation(n)
    return X[order], Y[order], np.array([f"s{g}" for g in group])[order]


def direct(X, Y, group, weights):
    """CR2 from its definition: covariance of the combinations at every cell (m, k, k), and the vectors u (S, k, n).

    The part of group g in a combination is w (X'X)⁻¹ X_g' A_g e_g, where A_g is the symmetric inverse root of
    I - X_g (X'X)⁻¹ X_g'; with e = (I - H) y it is u'y.
    """
    bread = np.linalg.inv(X.T @ X)
    residual_maker = np.eye(len(X)) - X @ bread @ X.T
    u = []
    for g in np.unique(group):
        rows = group == g
        root = scipy.linalg.inv(scipy.linalg.sqrtm(residual_maker[np.ix_(rows, rows)]).real)
        u.append(weights @ bread @ X[rows].T @ root @ residual_maker[rows])
    u = np.array(u)
    scores = u @ Y  # (S, k, m)
    return np.einsum("skm,slm->mkl", scores, scores), u


def bell_mccaffrey(u):
    """(Σ λ)² / Σ λ² with the eigenvalues λ of U'U, U (n, S) of one combination, for independent equal errors."""
    values = np.linalg.eigvalsh(u @ u.T)
    return values.sum() ** 2 / (values**2).sum()


def nearest_wishart(u):
    """q (q + 1) / the sum of the variances, 2 tr B², of the covariance's entries, which are quadratic forms ε'Bε."""
    q = u.shape[1]
    expected = np.einsum("skn,sln->kl", u, u)
    u = np.einsum("kl,sln->skn", scipy.linalg.inv(scipy.linalg.sqrtm(expected).real), u)
    total = 0.0
    for k in range(q):
        for j in range(q):
            form = u[:, k].T @ u[:, j]
            total += 2 * np.sum(((form + form.T) / 2) ** 2)
    return q * (q + 1) / total


def test_cr2_equals_the_direct_formula(xp, rng):
    X, Y, group = unlike(rng)
    weights = np.vstack([np.eye(4), [0, 1, -1, 0.5]])
    found = ols.fit(X, xp.asarray(Y), group, errors="cr2", weights=weights)
    covariance, u = direct(X, Y, group, weights)
    expected = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T
    np.testing.assert_allclose(_array.to_numpy(found["se"]), expected, rtol=1e-10)
    df = [bell_mccaffrey(u[:, k]) for k in range(5)]
    np.testing.assert_allclose(found["df"], df, rtol=1e-10)
    assert 1 < found["df"].min() < 6 and found["account"]["warnings"] == []


def test_tests_with_cr2_equal_the_direct_formula(xp, rng):
    X, Y, group = unlike(rng, n=120, groups=11)
    tests = [np.eye(4)[[1]], np.eye(4)[[1, 2]], np.array([[0, 1.0, 2, 0], [0, 0, 1, -1], [0, 1, 0, 1]])]
    found = ols.fit(X, xp.asarray(Y), group, errors="cr2", tests=tests)
    coef = np.linalg.lstsq(X, Y)[0]
    for i, test in enumerate(tests):
        covariance, u = direct(X, Y, group, test)
        q, eta = len(test), nearest_wishart(u)
        estimate = (test @ coef).T
        wald = np.einsum("mk,mk->m", estimate, np.linalg.solve(covariance, estimate[:, :, None])[:, :, 0])
        assert found["df1"][i] == q and found["df2"][i] == pytest.approx(eta - q + 1, rel=1e-9)
        expected = wald * (eta - q + 1) / (eta * q)
        np.testing.assert_allclose(_array.to_numpy(found["F"])[i], expected, rtol=1e-9)
    single = ols.fit(X, Y, group, errors="cr2")
    np.testing.assert_allclose(_array.to_numpy(found["F"])[0], single["t"][1] ** 2, rtol=1e-10)
    assert found["df2"][0] == pytest.approx(single["df"][1])


def test_cr2_is_unbiased_for_independent_errors_of_equal_variance(rng):
    X, _, group = unlike(rng)
    covariance = direct(X, np.eye(len(X)), group, np.eye(4))[0].sum(axis=0)  # expectation: sum over unit errors
    found = ols.fit(X, np.eye(len(X)), group, errors="cr2")
    np.testing.assert_allclose(np.sum(found["se"] ** 2, axis=1), np.diag(np.linalg.inv(X.T @ X)), rtol=1e-9)
    np.testing.assert_allclose(covariance, np.linalg.inv(X.T @ X), rtol=1e-8, atol=1e-12)


def test_tests_with_cr2_hold_their_level_where_wald_does_not(rng):
    """2,000 null cells, 9 unlike groups, q = 3: HTZ is below 5 % + 3 Monte Carlo errors, F(q, S - 1) of CR1 is not."""
    X, _, group = unlike(rng, n=120, groups=9)
    Y = rng.normal(size=(120, 2000))
    tests = [np.eye(4)[1:]]
    told = {}
    for kind in ("cr1", "cr2"):
        found = ols.fit(X, Y, group, errors=kind, tests=tests)
        told[kind] = np.mean(scipy.stats.f.sf(found["F"][0], found["df1"][0], found["df2"][0]) < 0.05)
    assert told["cr2"] < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000) < told["cr1"]


def test_two_columns_equal_to_1e_4(rng):
    """The condition of X is 7e4: what inverts X'X keeps 6 digits, what starts from QR of X eps * 7e4 = 2e-11.

    The direct formula is therefore taken of the orthonormal columns of X; 1e-9 is asked for.
    """
    X, Y, group = unlike(rng)
    X[:, 3] = X[:, 2] + 1e-4 * rng.normal(size=len(X))
    q, r = np.linalg.qr(X)
    found = ols.fit(X, Y, group, errors="cr2", tests=[np.eye(4)[2:]])
    covariance, u = direct(q, Y, group, np.linalg.inv(r))
    np.testing.assert_allclose(found["se"], np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T, rtol=1e-9)
    np.testing.assert_allclose(found["df"], [bell_mccaffrey(u[:, k]) for k in range(4)], rtol=1e-9)
    _, u = direct(q, Y, group, np.linalg.qr(np.linalg.inv(r)[2:].T)[0].T)
    assert found["df2"][0] == pytest.approx(nearest_wishart(u) - 1, rel=1e-9)


def test_hundreds_of_coefficients_keep_their_precision(rng):
    """60 coefficients and 80 groups of 12 windows, fewer than coefficients."""
    X = np.column_stack([np.ones(960), rng.normal(size=(960, 59))])
    Y, group = rng.normal(size=(960, 4)), np.repeat([f"s{i:02d}" for i in range(80)], 12)
    found = ols.fit(X, Y, group, errors="cr2")
    covariance, u = direct(X, Y, group, np.eye(60))
    np.testing.assert_allclose(found["se"], np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T, rtol=1e-9)
    np.testing.assert_allclose(found["df"], [bell_mccaffrey(u[:, k]) for k in range(60)], rtol=1e-9)


@pytest.mark.parametrize("kind", ["cr1", "cr2"])
def test_what_one_group_alone_determines_has_no_errors_and_is_said(xp, rng, kind):
    """A level in one subject. All else is as from the definition with the pseudo-inverse, which drops its direction."""
    X, Y, group = unlike(rng)
    X[:, 3] = group == "s2"
    names = ["Intercept", "kind", "intensity", "patient"]
    weights, tests = np.vstack([np.eye(4), [0, 1, 0, 1.0], [0, 1, -1, 0]]), [np.eye(4)[1:3], np.eye(4)[2:]]
    found = ols.fit(X, xp.asarray(Y), group, errors=kind, weights=weights, tests=tests, names=names)
    (said,) = found["account"]["warnings"]
    assert "group s2 alone determines patient: " in said and "are NaN" in said
    lone = np.array([0, 0, 0, 1, 1, 0], dtype=bool)
    for key in ("se", "t", "df"):
        np.testing.assert_array_equal(np.isnan(_array.to_numpy(found[key])).reshape(6, -1).all(axis=1), lone)
    assert (
        np.isnan(_array.to_numpy(found["F"])).all(axis=1).tolist() == np.isnan(found["df2"]).tolist() == [False, True]
    )
    assert np.isfinite(_array.to_numpy(found["coef"])).all()
    bread = np.linalg.inv(X.T @ X)
    residual_maker = np.eye(len(X)) - X @ bread @ X.T
    variance, u = 0, []
    for g in np.unique(group):
        rows = group == g
        values, vectors = np.linalg.eigh(residual_maker[np.ix_(rows, rows)])
        root = vectors @ np.diag([v**-0.5 if v > 1e-9 else 0 for v in values]) @ vectors.T
        root = np.eye(rows.sum()) if kind == "cr1" else root
        u.append(weights[~lone] @ bread @ X[rows].T @ root @ residual_maker[rows])
        variance = variance + (u[-1] @ Y) ** 2
    scale = 7 / 6 * 89 / 86 if kind == "cr1" else 1
    np.testing.assert_allclose(_array.to_numpy(found["se"])[~lone], np.sqrt(variance * scale), rtol=1e-9)
    df = [6.0] * 4 if kind == "cr1" else [bell_mccaffrey(np.array(u)[:, k]) for k in range(4)]
    np.testing.assert_allclose(found["df"][~lone], df, rtol=1e-8)


def test_effects_within_people_keep_their_errors_beside_a_coefficient_for_each_person(rng):
    """kind + subject: each person alone determines its own mean, none the effect of kind. One sentence, abridged."""
    X, Y, group = unlike(rng, n=200, groups=20)
    dummies = (group[:, None] == np.unique(group)[1:]).astype(float)
    names = ["Intercept", "kind", *(f"subject[T.{name}]" for name in np.unique(group)[1:])]
    for kind in ("cr1", "cr2"):
        found = ols.fit(np.column_stack([X[:, :2], dummies]), Y, group, errors=kind, names=names)
        assert np.flatnonzero(np.isfinite(found["df"])).tolist() == [1] and np.isfinite(found["se"][1]).all()
        assert np.isnan(np.delete(found["se"], 1, axis=0)).all()
        said = " ".join(found["account"]["warnings"])
        assert said.count("alone determine") == 1
        assert "groups s0, s1, s10, s11, s12, s13 and 14 more each alone determine Intercept, subject[T.s1]" in said


@pytest.mark.parametrize("kind", ["hc0", "hc1", "hc2", "hc3"])
def test_what_one_window_alone_determines_has_no_errors_and_is_said(xp, rng, kind):
    """All else is as without that window and its coefficient."""
    X, Y, _ = unlike(rng)
    X[:, 3] = 0
    X[5, 3] = 1
    options = {"errors": kind, "names": ["Intercept", "kind", "intensity", "once"]}
    found = ols.fit(X, xp.asarray(Y), tests=[np.eye(4)[1:3], np.eye(4)[2:]], **options)
    (said,) = found["account"]["warnings"]
    assert "1 of 90 windows (row 5, leverage 1) alone determines once: " in said
    found = {key: _array.to_numpy(found[key]) for key in ("coef", "se", "t", "df", "F", "df2")}
    assert np.isnan(found["se"][3]).all() and np.isnan(found["t"][3]).all() and np.isfinite(found["coef"]).all()
    assert np.isnan(found["df"]).tolist() == [False, False, False, True] and np.isnan(found["df2"]).tolist() == [0, 1]
    assert np.isnan(found["F"][1]).all()
    others = ols.fit(np.delete(X, 5, axis=0)[:, :3], np.delete(Y, 5, axis=0), errors=kind, tests=[np.eye(3)[1:]])
    more = 90 / 89 if kind == "hc1" else 1  # n - p is 86 with and without
    np.testing.assert_allclose(found["se"][:3], others["se"] * np.sqrt(more), rtol=1e-10)
    np.testing.assert_allclose(found["F"][0], others["F"][0] / more, rtol=1e-9)
    assert np.isfinite(ols.fit(X, Y, errors="classical")["se"]).all()


def test_exact_fits_keep_what_is_not_known(rng):
    X, _, group = unlike(rng)
    X[:, 3] = group == "s2"
    for kind in ("hc3", "cr2"):
        lone = np.isnan(ols.fit(X, np.zeros((90, 1)), group, errors=kind)["se"][:, 0])
        assert lone.tolist() == [False, False, False, kind == "cr2"]


def test_alone_tells_the_combinations_that_one_unit_determines(xp, rng):
    X, _, group = unlike(rng)
    X[:, 3] = group == "s2"
    basis = ols.basis_of(X)
    q, back = X @ np.linalg.inv(basis), np.vstack([np.eye(4), [0, 1, 0, 0.01]]) @ np.linalg.inv(basis)
    gram = np.stack([q[group == g].T @ q[group == g] for g in np.unique(group)])
    assert errors.alone(xp.asarray(gram), xp.asarray(back)).tolist() == [False, False, False, True, True]
    assert not errors.alone_windows(xp.asarray(q), xp.asarray(back)).any()
    X[:, 3] = 0
    X[5, 3] = 1
    q, back = X @ np.linalg.inv(ols.basis_of(X)), np.linalg.inv(ols.basis_of(X))
    assert errors.alone_windows(xp.asarray(q), xp.asarray(back)).tolist() == [False, False, False, True]


@pytest.mark.parametrize("kind", ["cr1", "cr2"])
def test_as_many_combinations_as_groups_have_no_f(rng, kind):
    X, Y, group = unlike(rng)
    some = np.isin(group, ["s0", "s1", "s2"])
    found = ols.fit(X[some][:, :3], Y[some], group[some], errors=kind, tests=[np.eye(3), np.eye(3)[1:2]])
    assert np.isnan(found["F"][0]).all() and np.isnan(found["df2"][0])
    assert np.isfinite(found["F"][1]).all() and np.isfinite(found["se"]).all()
    told = " ".join(found["account"]["warnings"])
    assert "3 groups and 3 coefficients" in told and "test 1 of 2: 3 combinations" in told and "with 3 groups" in told


@pytest.mark.parametrize("kind", ["cr1", "cr2"])
def test_a_single_group_has_no_errors(rng, kind):
    X, Y, _ = unlike(rng)
    found = ols.fit(X, Y, np.full(90, "s0"), errors=kind, tests=[np.eye(4)[1:2]])
    assert np.isnan(found["se"]).all() and np.isnan(found["F"]).all() and np.isnan(found["df"]).all()
    assert np.isfinite(found["coef"]).all() and "single group" in found["account"]["warnings"][0]


def test_redundant_rows_of_a_test_count_once(rng):
    X, Y, group = unlike(rng)
    test = np.array([[0, 1.0, -1, 0], [0, 0, 1, -1], [0, 1, 0, -1]])
    for kind in ("classical", "hc3", "cr1", "cr2"):
        found = ols.fit(X, Y, group, errors=kind, tests=[test, test[:2]])
        assert found["df1"].tolist() == [2, 2]
        np.testing.assert_allclose(found["F"][0], found["F"][1], rtol=1e-9)
        np.testing.assert_allclose(found["df2"][0], found["df2"][1], rtol=1e-9)


def test_large_tests_are_made_in_bounded_blocks(rng, monkeypatch):
    """The same F from narrow tiles of cells and few rows at once."""
    from hedgerow.grid import _hc

    X, Y = np.column_stack([np.ones(300), rng.normal(size=(300, 24))]), rng.normal(size=(300, 200))
    tests = [np.eye(25)[1:21], np.eye(25)[21:]]
    whole = ols.fit(X, Y, errors="hc2", tests=tests)
    monkeypatch.setattr(_hc, "BLOCK", 2**12)
    monkeypatch.setattr(_hc, "SUMS", 2**12)
    parts = ols.fit(X, Y, errors="hc2", tests=tests)
    np.testing.assert_allclose(parts["F"], whole["F"], rtol=1e-9)
    np.testing.assert_allclose(parts["se"], whole["se"], rtol=1e-12)


def test_refuses(rng):
    X, Y, group = unlike(rng)
    with pytest.raises(ValueError, match="'hc3' need the windows themselves"):
        ols.fit_moments(ols.moments(X, Y, group), errors="hc3")
    with pytest.raises(ValueError, match="'hc4' are not known"):
        ols.fit_moments(ols.moments(X, Y, group), errors="hc4")
    with pytest.raises(ValueError, match="'hc4' are not known"):
        ols.fit(X, Y, errors="hc4")
    with pytest.raises(ValueError, match="'cr2' are robust against dependence within groups: give the groups"):
        ols.fit(X, Y, errors="cr2")
    with pytest.raises(ValueError, match="a test of nothing"):
        ols.fit(X, Y, tests=[np.zeros((1, 4))])
    assert set(errors.CLUSTERED) & set(errors.WEIGHTS) == set()
