"""The design matrix: against patsy, part by part, through JSON, and what it refuses."""

import json

import numpy as np
import pandas as pd
import patsy
import pytest
from statsmodels.stats.outliers_influence import variance_inflation_factor

from hedgerow.grid import _rank, design

FORMULAS = [
    "~ kind * intensity",
    "kind + sex + age",
    "~ center(intensity) * sex",
    "~ C(kind, contr.sum) * scale(intensity)",
    "~ bs(intensity, df=5) + kind",
    "~ poly(age, 2)",
    "~ C(kind, contr.treatment('c')) + C(run)",
    "~ cr(intensity, df=4) - 1",
    "~ 0 + kind:sex",
    "~ np.log(age) + I(intensity ** 2)",
    "~ `reaction time` + kind",
    "~ standardize(age) + subject",
    "~ 1",
]


@pytest.fixture
def table(rng):
    """Windows of three subjects in two datasets; the second dataset has no 'c', the third subject no 'a'."""
    n = 90
    made = pd.DataFrame(
        {
            "dataset": np.repeat(["one", "two"], [60, 30]),
            "subject": np.repeat(["01", "02", "03"], 30),
            "kind": rng.choice(["a", "b", "c"], n),
            "intensity": rng.uniform(1, 5, n),
            "run": np.tile([1, 2, 3], 30),
            "age": np.repeat([21.5, 34.0, 47.25], 30) + rng.normal(size=n),
            "sex": np.repeat(["M", "F", "M"], 30),
            "reaction time": rng.normal(0.4, 0.1, n),
            "onset": np.arange(n) * 2.0,
        }
    )
    made.loc[60:, "kind"] = rng.choice(["b"], 30)
    made.loc[60:75, "kind"] = "a"
    return made


@pytest.mark.parametrize("formula", FORMULAS)
def test_parts_of_the_table_give_the_rows_of_the_whole(table, formula):
    built = design.build(formula, table)
    whole, kept = design.apply(built, table)
    assert kept.all() and whole.shape == (90, len(built.coefficients)) and whole.dtype == np.float64
    stored = design.Design.from_json(json.loads(json.dumps(built.to_json(), allow_nan=False)))
    assert stored == built
    parts = [design.apply(stored, part)[0] for _, part in table.groupby("subject")]
    assert np.array_equal(np.vstack(parts), whole)
    assert built.rank == np.linalg.matrix_rank(whole) == whole.shape[1]
    assert [name for names in built.terms.values() for name in names] == built.coefficients


@pytest.mark.parametrize(
    "formula", ["kind * intensity", "kind + sex + age", "center(intensity) * sex", "C(kind, Sum) * sex", "0 + kind:sex"]
)
def test_equals_patsy(table, formula):
    ours, _ = design.apply(design.build(formula, table), table)
    theirs = np.asarray(patsy.dmatrix(formula, table))
    assert ours.shape == theirs.shape
    order = [int(np.argmin(np.abs(ours - column[:, None]).max(axis=0))) for column in theirs.T]
    assert sorted(order) == list(range(ours.shape[1]))
    np.testing.assert_allclose(ours[:, order], theirs, atol=1e-12)


def test_levels_come_from_all_recordings(table):
    built = design.build("~ kind + C(run)", table)
    assert built.levels == {"kind": ["a", "b", "c"]}
    assert built.coefficients == ["Intercept", "kind[T.b]", "kind[T.c]", "C(run)[T.2]", "C(run)[T.3]"]
    only_b = table[(table.kind == "b") & (table.run == 2)]
    assert np.array_equal(design.apply(built, only_b)[0], np.tile([1.0, 1, 0, 1, 0], (len(only_b), 1)))


def test_order_of_a_categorical_is_the_order_of_its_levels(table):
    table["kind"] = pd.Categorical(table.kind, categories=["c", "unused", "a", "b"])
    assert design.build("~ kind", table).coefficients == ["Intercept", "kind[T.a]", "kind[T.b]"]


def test_booleans_and_whole_numbers_read_as_floats_are_the_same_levels(table):
    table["correct"] = table.onset % 4 == 0
    table["block"] = pd.Series(np.where(table.run == 1, "x", table.run.astype(object)), dtype=object)
    built = design.build("~ correct + block", table)
    assert built.levels == {"correct": ["False", "True"], "block": ["2", "3", "x"]}
    part = table[table.run == 2].assign(block=2.0)
    assert design.apply(built, part)[0][:, 2:].tolist() == [[0.0, 0.0]] * len(part)


def test_missing_values_are_left_out_and_counted(table):
    table.loc[[3, 5], "kind"] = None
    table.loc[[5, 7, 9], "intensity"] = np.nan
    table.loc[0, "age"] = np.nan
    built = design.build("~ kind * center(intensity)", table)
    assert (built.rows, built.dropped, built.missing) == (86, 4, {"kind": 2, "intensity": 3})
    matrix, kept = design.apply(built, table)
    assert np.flatnonzero(~kept).tolist() == [3, 5, 7, 9] and len(matrix) == 86 == built.rows
    assert np.isfinite(matrix).all()
    centre = table.intensity[kept].mean()
    np.testing.assert_allclose(matrix[:, built.coefficients.index("center(intensity)")], table.intensity[kept] - centre)
    nothing, kept = design.apply(built, table.iloc[[3, 5]])
    assert nothing.shape == (0, 6) and not kept.any()
    assert design.apply(built, table.iloc[:0])[0].shape == (0, 6)


def test_inflation_equals_statsmodels(table, rng):
    table["nearly"] = table.intensity + 0.1 * rng.normal(size=len(table))
    built = design.build("~ intensity + nearly + kind", table)
    matrix, _ = design.apply(built, table)
    expected = [variance_inflation_factor(matrix, j) for j in range(1, matrix.shape[1])]
    np.testing.assert_allclose(list(built.vif.values()), expected, rtol=1e-9)
    assert list(built.vif) == built.coefficients[1:] and built.vif["nearly"] > 10


def test_basis_orthonormalises_the_whole_design(table):
    built = design.build("~ kind * intensity", table)
    matrix, _ = design.apply(built, table)
    rows = matrix @ np.linalg.inv(np.array(built.basis))
    np.testing.assert_allclose(rows.T @ rows, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(_rank.triangle(matrix, rows=11), built.basis, rtol=1e-9, atol=1e-12)


def test_contrasts(table):
    built = design.build("~ kind * intensity", table)
    names, weights = design.contrasts(
        built, {"b against c": "kind[T.b] - kind[T.c]", "slope in b": "intensity + kind[T.b]:intensity"}
    )
    assert names == ["b against c", "slope in b"]
    assert built.coefficients[:4] == ["Intercept", "kind[T.b]", "kind[T.c]", "intensity"]
    assert built.coefficients[4:] == ["kind[T.b]:intensity", "kind[T.c]:intensity"]
    assert weights.tolist() == [[0, 1, -1, 0, 0, 0], [0, 0, 0, 1, 1, 0]]
    _, weights = design.contrasts(built, {"mean": "(kind[T.b] + `kind[T.c]`) / 2", "zero": "Intercept = 0"})
    assert weights.tolist() == [[0, 0.5, 0.5, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    for wrong in ["kind[T.z]", "intensity = 3", "intensity, kind[T.b]", "intensity *"]:
        with pytest.raises(ValueError, match="contrast 'wrong'"):
            design.contrasts(built, {"wrong": wrong})


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        ("~ kind + intensty", "no column 'intensty'.*did you mean 'intensity'"),
        ("~ center(kin)", "no column 'kin'"),
        ("signal ~ kind", "left side already; write '~ kind'"),
        ("~ kind + (1 | subject)", "random effects"),
        ("~", "empty"),
        ("~ kind +", "cannot be read"),
        ("~ 0", "no coefficient"),
        ("~ kind + same", "'same' has a single level \\('x'\\)"),
        ("~ kind + flat", "'flat'.* is constant \\(3\\)"),
        ("~ intensity + twice", "'twice'.* is a combination of Intercept, intensity"),
        ("~ subject + sex", "'sex\\[T.M\\]'.*is a combination of Intercept, subject"),
        ("~ kind * dataset", "no window has that combination"),
        ("~ np.log(onset)", "'np.log\\(onset\\)' is not finite in 1 of 90 windows"),
        ("~ I(intensity - intensity.mean())", "depends on the other rows"),
        ("~ lag(intensity)", "not finite"),
        ("~ when", "holds dates"),
        ("~ nothing", "none of 90 windows"),
    ],
)
def test_refuses(table, formula, sentence):
    table["same"], table["flat"], table["twice"] = "x", 3.0, 2 * table.intensity + 1
    table["when"], table["nothing"] = pd.Timestamp("2020-01-01"), np.nan
    with pytest.raises(ValueError, match=sentence):
        design.build(formula, table)


def test_refuses_more_coefficients_than_windows(table):
    with pytest.raises(ValueError, match="7 coefficients but only 5 windows"):
        design.build("~ C(onset) + bs(intensity, df=2, degree=1)", table.iloc[:5])


def test_apply_refuses_what_build_has_not_seen(table):
    built = design.build("~ kind + intensity", table)
    with pytest.raises(ValueError, match="level 'd' that the design was not built with"):
        design.apply(built, table.assign(kind="d"))
    with pytest.raises(ValueError, match="no column intensity"):
        design.apply(built, table.drop(columns="intensity"))


def test_state_that_no_file_can_hold_is_named():
    from hedgerow.grid import _formula

    with pytest.raises(ValueError, match="state of f, x is a object"):
        _formula._plain({"x": object()}, "f")
