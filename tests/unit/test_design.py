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
    "~ C(kind, contr.helmert) * C(sex, contr.sum) + C(kind, contr.helmert):scale(intensity)",
    "~ C(kind, contr.diff) + C(run, contr.poly)",
    "~ cc(intensity, df=4, constraints='center'):sex + cs(age, df=3, constraints='center')",
    "~ C(kind, levels=['c', 'a', 'b']) * bs(intensity, df=4, degree=2)",
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


CODINGS = [
    "~ kind * sex + age",
    "~ C(kind, contr.sum) * C(sex, contr.helmert) + center(age)",
    "~ C(kind, contr.treatment('b')) * C(sex, contr.sum) + poly(age, 1)",
    "~ 0 + kind:sex + scale(age)",
    "~ C(kind, contr.poly) * sex + age",
    "~ C(kind, contr.diff) * sex + age",
]
LEVELS = {
    "a - b": "kind[a] - kind[b]",
    "a - rest": "kind[a] - (kind[b] + kind[c]) / 2",
    "women": "kind[a]:sex[F] - kind[c] : sex[F]",
    "differences differ": "(kind[a]:sex[F] - kind[b]:sex[F]) - (kind[a]:sex[M] - kind[b]:sex[M])",
    "mean": "0.5 * sex[F] + sex[M] * 5e-1",
}


@pytest.mark.parametrize("formula", CODINGS)
def test_contrasts_of_levels_mean_the_same_in_every_coding(table, rng, formula):
    """Against predictions of the fit at each cell of kind and sex, averaged by hand, the age at its mean."""
    table["sex"] = rng.choice(["M", "F"], len(table))
    y = rng.normal(size=len(table))
    built = design.Design.from_json(json.loads(json.dumps(design.build(formula, table).to_json())))
    _, weights = design.contrasts(built, LEVELS)
    found = weights @ np.linalg.lstsq(design.apply(built, table)[0], y)[0]
    plain = np.column_stack(
        [(table.kind == k) & (table.sex == s) for k in "abc" for s in "FM"] + [table.age - table.age.mean()]
    )
    cell = np.linalg.lstsq(plain.astype(float), y)[0][:6].reshape(3, 2)
    kind = cell.mean(axis=1)
    expected = [
        kind[0] - kind[1],
        kind[0] - (kind[1] + kind[2]) / 2,
        cell[0, 0] - cell[2, 0],
        (cell[0, 0] - cell[1, 0]) - (cell[0, 1] - cell[1, 1]),
        cell.mean(),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_numbers_stand_at_their_mean_and_other_factors_at_all_levels(table):
    """kind interacts with age: the difference is at the mean age over windows; C(run) counts each run alike."""
    built = design.build("~ kind * age + C(run)", table)
    _, weights = design.contrasts(built, {"b - a": "kind[b] - kind[a]", "c": "kind[c]", "run": "run[3] - run[1]"})
    place = {name: i for i, name in enumerate(built.coefficients)}
    mean = table.age.mean()
    expected = np.zeros((3, len(place)))
    expected[0, [place["kind[T.b]"], place["kind[T.b]:age"]]] = [1, mean]
    expected[1, [place["Intercept"], place["kind[T.c]"], place["age"], place["kind[T.c]:age"]]] = [1, 1, mean, mean]
    expected[1, [place["C(run)[T.2]"], place["C(run)[T.3]"]]] = 1 / 3
    expected[2, place["C(run)[T.3]"]] = 1
    np.testing.assert_allclose(weights, expected, rtol=1e-12, atol=1e-12)


def test_a_name_that_is_level_and_coefficient_is_the_level_unless_quoted(table):
    built = design.build("~ 0 + kind * age", table)
    _, weights = design.contrasts(built, {"level": "kind[a]", "coefficient": "`kind[a]`", "other": "kind[T.b]:age"})
    assert built.coefficients[3] == "age"
    np.testing.assert_allclose(weights[0], [1, 0, 0, table.age.mean(), 0, 0])
    assert weights[1:].tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0]]


def test_levels_of_numbers_are_named_in_full(table):
    """Seven digits are more than %g has, and a decimal is as it is printed; 2.0 is 2."""
    table["item"] = np.tile([1000001, 1000002, 1000003], 30)
    table["half"] = np.repeat([0.5, 2.0, 0.1 + 0.2], 30)
    built = design.build("~ C(item) + C(half)", table)
    built = design.Design.from_json(json.loads(json.dumps(built.to_json())))
    expressions = {
        "a": "item[1000001] - item[1000003]",
        "b": "half[2] - half[0.5]",
        "c": f"half[{0.1 + 0.2}] - half[2]",
    }
    _, weights = design.contrasts(built, expressions)
    place = {name: i for i, name in enumerate(built.coefficients)}
    eye = np.eye(len(place))
    assert np.array_equal(weights[0], -eye[place["C(item)[T.1000003]"]])
    of_half = {0.30000000000000004: 0, 0.5: eye[place["C(half)[T.0.5]"]], 2: eye[place["C(half)[T.2.0]"]]}
    assert np.allclose(weights[1:], [of_half[2] - of_half[0.5], -of_half[2]])
    for wrong in ("item[1e+06]", "half[0.3]"):
        with pytest.raises(ValueError, match=r"no window has level .* there are (1000001|0\.3\d+4), "):
            design.contrasts(built, {"wrong": wrong})


def test_names_and_levels_may_hold_any_sign(table):
    table["stim-type"] = np.repeat(["u", "v"], 45)
    table["what"] = np.resize(["new [x]", "new", "a:b", "b - c", "1, 2", "`"], 90)
    built = design.build("~ `stim-type` + what", table)
    place = {name: i for i, name in enumerate(built.coefficients)}
    names = ["a:b", "b - c", "new", "new [x]"]
    eye = np.eye(len(place))
    of = {name: eye[place[f"what[T.{name}]"]] for name in ["`", *names]} | {"1, 2": 0 * eye[0]}
    for text, expected in {
        "stim-type[u] - stim-type[v]": -eye[place["stim-type[T.v]"]],
        "`stim-type`[v] - `stim-type` [u]": eye[place["stim-type[T.v]"]],
        "`stim-type`[T.v]": eye[place["stim-type[T.v]"]],
        "what[new [x]] - what[new]": of["new [x]"] - of["new"],
        "what [a:b] - what[ 1, 2 ]": of["a:b"] - of["1, 2"],
        "what[b - c]-what[`]": of["b - c"] - of["`"],
        "what[new [x]]:stim-type[v] - `what`[b - c] : `stim-type`[v]": of["new [x]"] - of["b - c"],
        "what[T.new [x]] * 2": 2 * of["new [x]"],
    }.items():
        np.testing.assert_allclose(design.contrasts(built, {"c": text})[1][0], expected, atol=1e-12, err_msg=text)
    for term in ("stim-type", "`stim-type`"):
        assert design.tests(built, {"t": term})[1][0].tolist() == [eye[place["stim-type[T.v]"]].tolist()]
    for wrong, sentence in {
        "stim-type[w]": "no window has level 'w' of 'stim-type'",
        "`stim-type`[w]": "no window has level 'w' of 'stim-type'",
        "`stim`[w]": "'stim' no factor; did you mean 'stim-type'",
        "what[new]:what[a:b]": "two levels of one factor",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            design.contrasts(built, {"c": wrong})


def test_terms_and_lists_are_tested_together(table):
    built = design.build("~ C(kind, contr.sum) * intensity + sex", table)
    assert built.coefficients[1:5] == ["C(kind, contr.sum)[S.a]", "C(kind, contr.sum)[S.b]", "intensity", "sex[T.M]"]
    names, found = design.tests(
        built,
        {
            "by term": "C(kind, contr.sum):intensity",
            "by columns": "intensity:kind",
            "all of kind": "kind, kind:intensity",
            "equal": "kind[a] = kind[b] = kind[c]",
            "pairs": "kind[a] - kind[b], kind[a] - kind[c]",
            "zero": "intensity = sex[T.M] = 0",
        },
    )
    assert names[0] == "by term" and [each.shape for each in found] == [(2, 7), (2, 7), (4, 7), (2, 7), (2, 7), (2, 7)]
    eye = np.eye(7)
    assert np.array_equal(found[0], eye[5:]) and np.array_equal(found[1], eye[5:])
    assert np.array_equal(found[2], eye[[1, 2, 5, 6]])
    assert np.array_equal(found[5], [eye[3] - eye[4], eye[4]])
    assert np.linalg.matrix_rank(np.vstack([found[3], found[4]])) == 2  # the same hypothesis


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("kind[d] - kind[a]", "no window has level 'd' of 'kind'; there are a, b, c"),
        ("kindd[a] - kind[b]", "'kindd' no factor; did you mean 'kind'"),
        ("intensty", "no coefficient or level 'intensty'; did you mean 'intensity'"),
        ("`kind[T.z]`", "no coefficient 'kind.T.z.'"),
        ("kind[a] - kind[a]", "is zero whatever the coefficients"),
        ("kind[a] * kind[b]", "only sums, differences and multiples"),
        ("intensity[2]", "'intensity' no factor"),
        ("kind[a] = 1", "test against 0"),
        ("kind - intensity", "a term of several coefficients stands in a sum"),
        ("", "is not a combination"),
    ],
)
def test_refuses_expressions(table, expression, sentence):
    built = design.build("~ kind + intensity", table)
    for function, what in ((design.contrasts, "contrast"), (design.tests, "test")):
        with pytest.raises(ValueError, match=f"{what} 'wrong': .*{sentence}"):
            function(built, {"wrong": expression})


def test_levels_need_columns(table):
    built = design.build("~ kind + C(run > 1)", table)
    with pytest.raises(ValueError, match="'C\\(run > 1\\)' makes levels of more than a column"):
        design.contrasts(built, {"wrong": "kind[a]"})
    assert design.contrasts(built, {"right": "kind[T.b]"})[1].tolist() == [[0, 1, 0, 0]]


def test_a_family_is_what_its_members_are_over_shared_windows(table):
    table.loc[[1, 4], "age"], table.loc[[4, 8], "kind"] = np.nan, None
    formulas = ["~ kind * intensity", "~ kind", "~ 0 + kind + scale(age)", "~ bs(intensity, df=4)", "~ age + I(age**2)"]
    made = design.family(formulas[0], formulas[1:], table)
    stored = design.Family.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False)))
    assert stored == made
    assert (made.rows, made.dropped, made.missing) == (87, 3, {"kind": 2, "intensity": 0, "age": 2})
    whole, kept = design.apply(stored, table)
    assert whole.shape == (87, len(made.coefficients)) and np.flatnonzero(~kept).tolist() == [1, 4, 8]
    assert np.linalg.matrix_rank(whole / np.linalg.norm(whole, axis=0)) == whole.shape[1]
    np.testing.assert_allclose(np.array(made.basis).T @ made.basis, whole.T @ whole, rtol=1e-9, atol=1e-9)
    parts = [design.apply(stored, part)[0] for _, part in table.groupby("subject")]
    assert np.array_equal(np.vstack(parts), whole)
    assert next(iter(made.within)) == made.formula == formulas[0] and made.coefficients[:6] == made.main.coefficients
    used = table[kept]
    for formula, within in made.within.items():
        alone = design.build(formula, used)
        np.testing.assert_allclose(whole @ within, design.apply(alone, used)[0], rtol=1e-9, atol=1e-9)
        assert alone == made.others.get(formula, made.main)
    assert made.added == {f: list(a) for f, a in zip(made.others, [[], [3], [1, 2, 3], [2]], strict=True)}
    assert set(made.account()) >= {"rows", "dropped", "missing", "compare", "vif"} and "basis" not in made.account()


def test_a_family_of_one_is_its_design(table):
    made, built = design.family("~ kind * age", [], table), design.build("~ kind * age", table)
    assert made.main == built and made.basis == built.basis and made.within == {built.formula: np.eye(6).tolist()}
    assert np.array_equal(design.apply(made, table)[0], design.apply(built, table)[0])
    for function in (design.contrasts, design.tests):
        assert np.array_equal(
            function(made, {"x": "kind[a] - kind[b]"})[1], function(built, {"x": "kind[a] - kind[b]"})[1]
        )


def test_a_family_refuses_with_the_formula(table):
    table["flat"] = 3.0
    with pytest.raises(ValueError, match=r"compare 'kind \+ flat': .*'flat'.* is constant"):
        design.family("~ kind", ["kind + flat"], table)
    with pytest.raises(ValueError, match="'kind' stands twice"):
        design.family("~ kind", ["~kind"], table)
    with pytest.raises(ValueError, match="no column 'kin'"):
        design.family("~ kind", ["~ kin"], table)
    with pytest.raises(ValueError, match="none of 90 windows"):
        design.family("~ kind", ["~ age"], table.assign(age=np.nan))


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
        ("~ C(kind, contr.treatment('z'))", "'z'.* not among.*levels that windows have: kind: a, b, c"),
        ("~ C(kind, levels=['a', 'b', 'c', 'z'])", "T.z.*, is zero in all 90 windows"),
        ("~ C(kind, levels=['a', 'b'])", "'c'.*levels that windows have: kind: a, b, c"),
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
