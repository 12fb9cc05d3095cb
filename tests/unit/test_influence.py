"""Influence of windows in closed form: against statsmodels, refits, parts against the whole, bad input."""

import time

import numpy as np
import pytest
import statsmodels.api as sm

from hedgerow import _array
from hedgerow.grid import influence, ols

#: Names that are tuples in statsmodels, the values first.
PAIRED = ("cooks_distance", "dffits")
ALL = (*influence.DIAGNOSTICS, "dfbetas")


def example(rng, n=60, p=4, m=6):
    """X (n, p) with a constant and a skewed column, Y (n, m) with one odd window."""
    X = np.column_stack([np.ones(n), rng.normal(size=(n, p - 2)), rng.lognormal(size=n)])
    Y = 5 + X @ rng.normal(size=(p, m)) + rng.normal(size=(n, m))
    Y[n // 3] += 6
    return X, Y


def peer(name, y, X):
    """A diagnostic of one cell by statsmodels, with windows last."""
    found = getattr(sm.OLS(y, X).fit().get_influence(), name)
    return np.asarray(found[0] if name in PAIRED else found).T


def cell(found, name, j):
    """The same out of the diagnostics of all cells."""
    values = _array.to_numpy(found[name])
    return values if name == "hat_matrix_diag" else values[..., j]


@pytest.mark.parametrize("name", ALL)
def test_equals_statsmodels(xp, rng, name):
    X, Y = example(rng)
    found = influence.diagnostics(X, xp.asarray(Y), which=(name,))
    assert set(found) == {name, "account"} and type(found[name]) is type(xp.asarray(Y))
    for j in range(Y.shape[1]):
        expected = peer(name, Y[:, j], X)
        np.testing.assert_allclose(cell(found, name, j), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_equals_fits_without_each_window(rng):
    X, Y = example(rng, n=25)
    found = influence.diagnostics(X, Y, which=ALL)
    full = sm.OLS(Y[:, 2], X).fit()
    for i in range(len(X)):
        less = sm.OLS(np.delete(Y[:, 2], i), np.delete(X, i, axis=0)).fit()
        error = np.sqrt(less.scale * np.diag(full.normalized_cov_params))
        shift = X @ (full.params - less.params)
        expected = {
            "resid_press": Y[i, 2] - X[i] @ less.params,
            "cooks_distance": shift @ shift / (4 * full.scale),
            "dffits": shift[i] / np.sqrt(less.scale * found["hat_matrix_diag"][i]),
            "cov_ratio": np.linalg.det(less.cov_params()) / np.linalg.det(full.cov_params()),
        }
        for name, value in expected.items():
            assert found[name][i, 2] == pytest.approx(value, rel=1e-9), name
        np.testing.assert_allclose(found["dfbetas"][:, i, 2], (full.params - less.params) / error, rtol=1e-8)


def test_equals_statsmodels_with_a_hundred_coefficients(rng):
    X, Y = example(rng, n=300, p=100, m=2)
    found = influence.diagnostics(X, Y)
    for name in influence.DIAGNOSTICS:
        expected = peer(name, Y[:, 1], X)
        np.testing.assert_allclose(cell(found, name, 1), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


def test_two_columns_equal_to_1e_4_cost_no_digits(rng):
    """Only DFBETAS depend on how the space of the columns is spanned: the reference spans it well.

    Making the column rounds it by 1e-16, which is 1e-12 of the part that is its own: no method can do better.
    """
    X, Y = example(rng, n=200)
    apart = X.copy()
    X[:, 2] = X[:, 1] + 1e-4 * X[:, 2]
    found = influence.diagnostics(X, Y, which=ALL)
    for name in influence.DIAGNOSTICS:
        expected = peer(name, Y[:, 0], apart)
        np.testing.assert_allclose(cell(found, name, 0), expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
    expected = peer("dfbetas", Y[:, 0], X)
    np.testing.assert_allclose(found["dfbetas"][:, :, 0], expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_cells_and_windows_beyond_a_block_are_the_same(rng, monkeypatch):
    X, Y = example(rng, n=70, m=90)
    whole = influence.diagnostics(X, Y, which=ALL)
    monkeypatch.setattr(influence, "_BLOCK", 200)
    monkeypatch.setattr(influence, "_TILE", 70 * 17)
    pieces = influence.diagnostics(X, Y.reshape(70, 9, 10), which=ALL)
    for name in ALL:
        np.testing.assert_allclose(pieces[name], whole[name], rtol=1e-12, atol=1e-13, err_msg=name)


def parts(X, Y, cuts=((0, 20), (20, 21), (21, 60))):
    """What `influence.whole` gives of all windows, and the parts of them."""
    subject, basis = np.arange(len(X)) % 5, ols.basis_of(X)
    pieces = [slice(*cut) for cut in cuts]
    sums = [ols.moments(X[some], Y[some, ...], subject[some], basis=basis) for some in pieces]
    return influence.whole(ols.combine(sums)), pieces


def test_parts_are_the_whole(xp, rng):
    X, Y = example(rng)
    Y = xp.asarray(Y)
    whole, pieces = parts(X, Y)
    expected = influence.diagnostics(X, Y, which=ALL)
    found = [influence.part(X[s], Y[s, :], whole, which=ALL) for s in pieces]
    for name in ALL:
        axis = 1 if name == "dfbetas" else 0
        values = [_array.to_numpy(each[name]) for each in found]
        joined = sum(values) if name == "ess_press" else np.concatenate(values, axis=axis)
        reference = _array.to_numpy(expected[name])
        np.testing.assert_allclose(joined, reference, rtol=1e-10, atol=1e-10 * np.abs(reference).max(), err_msg=name)


def test_what_parts_need_survives_a_file(tmp_path, rng):
    X, Y = example(rng)
    whole, _ = parts(X, Y)
    np.savez(tmp_path / "whole.npz", **whole)
    with np.load(tmp_path / "whole.npz") as file:
        again = {name: file[name][()] for name in file.files}
    assert np.array_equal(influence.part(X[:9], Y[:9], again)["dffits"], influence.part(X[:9], Y[:9], whole)["dffits"])


def test_a_row_of_the_table_is_that_of_the_diagnostics(rng):
    X, Y = example(rng)
    whole, pieces = parts(X, Y)
    axes = {"names": ["A", "B"], "axis": "time", "points": [-0.1, 0.0, 0.1]}
    expected = influence.diagnostics(X, Y)
    found = influence.table(X[pieces[2]], Y[pieces[2]].reshape(-1, 2, 3), whole, axes)
    cook = expected["cooks_distance"][pieces[2]]
    student = np.abs(expected["resid_studentized_external"][pieces[2]])
    np.testing.assert_allclose(found["leverage"], expected["hat_matrix_diag"][pieces[2]], rtol=1e-10)
    np.testing.assert_allclose(found["cooks_distance_mean"], cook.mean(axis=1), rtol=1e-10)
    np.testing.assert_allclose(found["cooks_distance_max"], cook.max(axis=1), rtol=1e-10)
    np.testing.assert_allclose(found["resid_studentized_max"], student.max(axis=1), rtol=1e-10)
    np.testing.assert_allclose(found["cooks_distance_beyond"], (cook > 4 / 60).mean(axis=1), rtol=1e-12)
    for name, values in (("cooks_distance", cook), ("resid_studentized", student)):
        cell = values.argmax(axis=1)
        assert found[f"{name}_channel"].tolist() == ["AB"[c // 3] for c in cell]
        assert found[f"{name}_time"].tolist() == [axes["points"][c % 3] for c in cell]
    assert len(found) == 39 and found["cooks_distance_beyond"].max() > 0


def test_the_table_in_tiles_is_the_table_at_once(rng, monkeypatch):
    X, Y = example(rng, m=40)
    whole, _ = parts(X, Y)
    axes = {"names": list("abcd"), "axis": "frequency", "points": list(range(10))}
    at_once = influence.table(X, Y.reshape(60, 4, 10), whole, axes)
    monkeypatch.setattr(influence, "_BLOCK", 100)
    monkeypatch.setattr(influence, "_TILE", 60 * 7)
    in_tiles = influence.table(X, Y.reshape(60, 4, 10), whole, axes)
    for name in at_once:
        if at_once[name].dtype == float:
            np.testing.assert_allclose(in_tiles[name], at_once[name], rtol=1e-12, err_msg=name)
        else:
            assert in_tiles[name].tolist() == at_once[name].tolist()


def test_no_windows_have_no_rows(rng):
    X, Y = example(rng)
    whole, _ = parts(X, Y)
    found = influence.table(X[:0], np.empty((0, 0, 0)), whole, {"names": [], "axis": "time", "points": []})
    assert len(found) == 0 and "cooks_distance_time" in found


@pytest.mark.filterwarnings("ignore")  # statsmodels divides by zero there
def test_a_window_that_determines_a_coefficient_alone_is_told(xp, rng):
    X, Y = example(rng)
    X = np.column_stack([X, np.arange(60) == 7])
    found = influence.diagnostics(X, xp.asarray(Y), which=ALL)
    assert found["account"]["alone"] == [7]
    assert "leverage is 1 in 1 of the windows (rows 7)" in found["account"]["warnings"][0]
    assert float(found["hat_matrix_diag"][7]) == pytest.approx(1)
    others = np.arange(60) != 7
    for name in ("cooks_distance", "resid_press", "resid_studentized_external", "dffits", "cov_ratio"):
        values = _array.to_numpy(found[name])
        assert np.isnan(values[7]).all() and np.isfinite(values[others]).all(), name
        np.testing.assert_allclose(values[others, 0], peer(name, Y[:, 0], X)[others], rtol=1e-9, err_msg=name)
    assert np.isnan(_array.to_numpy(found["ess_press"])).all()
    whole = influence.whole(ols.moments(X, Y, np.arange(60) % 5, basis=ols.basis_of(X)))
    rows = influence.table(X, Y[:, :, None], whole, {"names": list("abcdef"), "axis": "time", "points": [0.0]})
    assert rows["leverage"][7] == pytest.approx(1) and rows.loc[7, rows.columns[1:]].isna().all()
    assert rows.loc[others].notna().all(axis=None)


def test_a_flat_cell_has_no_influence(rng):
    X, Y = example(rng)
    Y[:, 3] = 0
    found = influence.diagnostics(X, Y)
    for name in ("cooks_distance", "resid_studentized_external", "dffits", "cov_ratio"):
        assert np.isnan(found[name][:, 3]).all() and np.isfinite(np.delete(found[name], 3, axis=1)).all()


def test_float32_windows_are_worked_on_in_float64(rng):
    X, Y = example(rng)
    Y = Y.astype(np.float32)
    expected = influence.diagnostics(X, Y.astype(float))
    found = influence.diagnostics(X, Y)
    for name in influence.DIAGNOSTICS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-13, err_msg=name)


def test_bad_input_is_refused(rng):
    X, Y = example(rng)
    with pytest.raises(ValueError, match="which: cooks is none of hat_matrix_diag"):
        influence.diagnostics(X, Y, which=("cooks",))
    with pytest.raises(ValueError, match="4 coefficients and 5 windows: without a window, nothing is left"):
        influence.diagnostics(X[:5], Y[:5])
    with pytest.raises(ValueError, match="again"):
        influence.diagnostics(np.column_stack([X, X[:, 1]]), Y, names=["a", "b", "c", "d", "again"])
    Y[[3, 8], 1] = [np.nan, np.inf]
    with pytest.raises(ValueError, match="2 of 60 windows are not finite"):
        influence.diagnostics(X, Y)


def test_arrays_of_an_earlier_call_are_filled_again(rng):
    X, Y = example(rng)
    first = influence.diagnostics(X, Y, which=ALL)
    expected = influence.diagnostics(X, Y[::-1], which=ALL)
    again = influence.diagnostics(X, Y[::-1], which=ALL, out=first)
    for name in ALL:
        assert np.array_equal(again[name], expected[name])
        assert name == "hat_matrix_diag" or again[name] is first[name]
    with pytest.raises(ValueError, match=r"out: dffits is \(60, 6\), not \(60, 5\)"):
        influence.diagnostics(X, Y[:, :5], which=("dffits",), out=first)


@pytest.mark.slow
def test_all_diagnostics_cost_less_than_five_fits(rng):
    """400 windows, 4 coefficients, 4,800 cells: CPU seconds, the best of twenty of each, in one run."""
    X, Y = example(rng, n=400, m=4800)
    out = influence.diagnostics(X, Y)

    def seconds(work):
        took = []
        for _ in range(20):
            start = time.process_time()
            work()
            took.append(time.process_time() - start)
        return min(took)

    assert seconds(lambda: influence.diagnostics(X, Y, out=out)) < 5 * seconds(lambda: ols.fit(X, Y))
