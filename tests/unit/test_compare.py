"""Comparison of models from the sums of one matrix: against statsmodels fits of each, nested and not."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from hedgerow import _array
from hedgerow.grid import design, ols
from hedgerow.grid.compare import compare

MAIN = "~ kind * intensity"
OTHERS = [
    "~ kind",  # nested in the first
    "~ C(kind, contr.sum) * intensity + sex",  # holds it, in another coding
    "~ 0 + kind + kind:intensity",  # the same space
    "~ intensity + I(intensity**2) + sex",  # neither
    "~ bs(age, df=4)",
]


@pytest.fixture
def table(rng):
    n = 200
    return pd.DataFrame(
        {
            "subject": np.repeat([f"s{i}" for i in range(10)], 20),
            "kind": rng.choice(["a", "b", "c"], n),
            "sex": rng.choice(["F", "M"], n),
            "intensity": rng.uniform(1, 5, n),
            "age": rng.normal(40, 9, n),
        }
    )


@pytest.fixture
def Y(table, rng):
    return rng.normal(20, 3, size=(200, 7)) + np.outer(table.intensity + (table.sex == "M"), np.linspace(0, 1, 7))


def sums_of(family, table, Y, xp=np):
    matrix, kept = design.apply(family, table)
    return ols.moments(matrix, xp.asarray(Y[kept]), table.subject[kept], basis=np.asarray(family.basis))


def test_equals_statsmodels(xp, table, Y):
    family = design.family(MAIN, OTHERS, table)
    found = compare(sums_of(family, table, Y, xp), family)
    assert found["models"] == [MAIN, *(each.formula for each in family.others.values())]
    matrices = [design.apply(each, table)[0] for each in (family.main, *family.others.values())]
    assert found["coefficients"] == [6, 3, 7, 6, 4, 5]
    for j in range(7):
        fits = [sm.OLS(Y[:, j], matrix).fit() for matrix in matrices]
        for key, name in {"aic": "aic", "bic": "bic", "loglik": "llf"}.items():
            expected = [getattr(each, name) for each in fits]
            np.testing.assert_allclose(_array.to_numpy(found[key])[:, j], expected, rtol=1e-11, err_msg=key)
        down, up = fits[0].compare_f_test(fits[1]), fits[2].compare_f_test(fits[0])
        np.testing.assert_allclose(_array.to_numpy(found["F"])[:2, j], [down[0], up[0]], rtol=1e-10)
    np.testing.assert_array_equal(found["df1"], [3, 1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found["df2"], [194, 193, np.nan, np.nan, np.nan])
    assert np.isnan(_array.to_numpy(found["F"])[2:]).all() and type(found["F"]) is type(xp.asarray(Y))


def test_every_model_is_estimated_on_the_windows_that_all_can_use(table, Y):
    table.loc[[1, 5], "age"], table.loc[[5, 7], "kind"] = np.nan, None
    family = design.family(MAIN, OTHERS, table)
    assert (family.rows, family.dropped) == (197, 3)
    found = compare(sums_of(family, table, Y), family)
    used = table.drop(index=[1, 5, 7])
    expected = sm.OLS(Y[used.index, 0], design.apply(design.build("~ kind", used), used)[0]).fit()
    np.testing.assert_allclose(found["aic"][1, 0], expected.aic, rtol=1e-11)


def test_submodels_follow_by_restriction(xp, table, Y):
    family = design.family(MAIN, OTHERS, table)
    sums = sums_of(family, table, Y, xp)
    found = compare(sums, family)
    for i, (formula, within) in enumerate(family.within.items()):
        own = family.others.get(formula, family.main)
        part = ols.restrict(sums, within)
        fitted = ols.fit_moments(part, errors="cr1", names=own.coefficients)
        direct = ols.fit(design.apply(own, table)[0], Y, table.subject.to_numpy(), errors="cr1")
        for key in ("coef", "se", "r2", "aic"):
            np.testing.assert_allclose(_array.to_numpy(fitted[key]), direct[key], rtol=1e-9, atol=1e-12, err_msg=key)
        np.testing.assert_allclose(_array.to_numpy(found["bic"])[i], direct["bic"], rtol=1e-11)
    assert ols.restrict(sums, np.eye(len(family.coefficients))) is sums


def test_a_part_of_the_windows_that_knows_each_model_but_not_their_union(table, Y):
    family = design.family("~ sex", ["~ intensity"], table)
    some = table.assign(intensity=np.where(table.sex == "M", 2.0, 1.0))
    found = compare(sums_of(family, some, Y[some.index]), family)
    np.testing.assert_allclose(found["aic"][0], found["aic"][1], rtol=1e-12)
    assert np.isnan(found["df1"]).all()


def test_a_model_that_the_windows_cannot_estimate_is_named(table, Y):
    family = design.family("~ sex", ["~ kind"], table)
    some = table[table.kind != "c"]
    with pytest.raises(ValueError, match="cannot tell apart or determine the coefficients of '~ kind'"):
        compare(sums_of(family, some, Y[some.index]), family)
    family, some = design.family("~ 1", ["~ kind"], table), table.groupby("kind").head(1)
    with pytest.raises(ValueError, match="'~ kind': 3 coefficients and 3 windows"):
        compare(sums_of(family, some, Y[some.index]), family)


def test_a_flat_cell_has_no_criteria(table, Y):
    Y[:, 2] = 0
    family = design.family("~ sex", ["~ sex + kind"], table)
    found = compare(sums_of(family, table, Y), family)
    for key in ("F", "aic", "bic"):
        assert np.isnan(found[key][:, 2]).all() and np.isfinite(found[key][:, :2]).all()


def test_without_others_there_is_one_model(table, Y):
    family = design.family(MAIN, [], table)
    found = compare(sums_of(family, table, Y), family)
    assert found["models"] == [MAIN] and found["F"].shape == (0, 7) and found["df1"].shape == (0,)
