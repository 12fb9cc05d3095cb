"""Every fit, error and bootstrap of the grid on a device against numpy, within a stated tolerance.

On a GPU machine ``python -m pytest -m gpu tests/gpu`` needs numpy, scipy, torch, cupy, array-api-compat and pytest.
Everywhere else torch on the CPU stands in for the devices, so that these lines run wherever the tests do.
"""

import numpy as np
import pytest

from hedgerow import _array
from hedgerow.grid import bootstrap, influence, ols

#: Largest difference from numpy as a share of the largest value: of float64, and of replicates in float32.
DOUBLE, SINGLE = 1e-9, 2e-4
BOOTSTRAPS = [("clusters", interval) for interval in ("percentile", "studentised", "bca")]
BOOTSTRAPS += [("pairs", interval) for interval in ("percentile", "studentised", "bca")]
BOOTSTRAPS += [("wild_clusters", "studentised"), ("wild", "percentile"), ("wild", "studentised")]


@pytest.fixture(scope="module")
def given():
    """Design (600, 4), two of whose columns are equal to 1e-4, windows (600, 90) in µV on an offset, people."""
    rng = np.random.default_rng(4)
    who = np.sort(rng.integers(0, 14, 600))
    a = rng.normal(size=600)
    X = np.column_stack([np.ones(600), rng.integers(0, 2, 600), a, a + 1e-4 * rng.normal(size=600)])
    Y = 50 + X[:, :3] @ rng.normal(size=(3, 90)) + rng.normal(size=(14, 90))[who] + 3 * rng.normal(size=(600, 90))
    return X, Y, np.char.mod("%02d", who)


def results(X, Y, who, precision):
    """All arrays that the grid makes, all on the device of Y, by name."""
    basis = ols.basis_of(X)
    sums = ols.moments(X, Y, who, basis=basis)
    found = {}
    tests = [np.eye(4)[1:3]]
    for errors in ("classical", "cr1", "cr2"):
        found[errors] = ols.fit_moments(sums, errors=errors, tests=tests)
    for errors in ("hc0", "hc3"):
        found[errors] = ols.fit(X, Y, errors=errors, tests=tests)
    found["influence"] = influence.diagnostics(X, Y)
    for kind, interval in BOOTSTRAPS:
        data = (sums,) if "clusters" in kind else (X, Y)
        options = {"seed": 3, "replicates": 130, "interval": interval, "precision": precision}
        found[f"{kind} {interval}"] = getattr(bootstrap, kind)(*data, **options)
    return {
        f"{name} {key}": each for name, part in found.items() for key, each in part.items() if hasattr(each, "shape")
    }


@pytest.mark.parametrize("precision, tolerance", [("float64", DOUBLE), ("float32", SINGLE)])
def test_the_grid_on_a_device_is_that_of_numpy(move, given, precision, tolerance):
    X, Y, who = given
    wanted, y = results(X, Y, who, precision), move(Y)
    found = results(move(X), y, who, precision)
    assert set(found) == set(wanted)
    stayed = {type(found[name]) for name in found if not isinstance(found[name], np.ndarray)}
    assert stayed == {type(y)}
    for name, each in wanted.items():
        assert name.endswith(("df", "df1", "df2")) or not isinstance(found[name], np.ndarray), f"{name} left the device"
        got = _array.to_numpy(found[name])
        scale = np.abs(each).max(axis=-1, keepdims=True)
        # p counts replicates: rounding may move one or two across the value of the data
        allowed = 3 / 131 if name.endswith(" p") else tolerance
        np.testing.assert_allclose(got / scale, each / scale, rtol=0, atol=allowed, err_msg=name)


def test_many_cells_in_little_room_have_the_intervals_of_one_piece(move):
    rng = np.random.default_rng(0)
    X, Y = np.column_stack([np.ones(50), rng.normal(size=50)]), rng.normal(size=(50, 3000))
    options = {"seed": 1, "replicates": 100, "interval": "percentile", "precision": "float64"}
    whole = bootstrap.pairs(move(X), move(Y), **options)
    pieces = bootstrap.pairs(move(X), move(Y), budget_mb=1, **options)
    for name in ("ci_low", "ci_high"):
        np.testing.assert_allclose(_array.to_numpy(pieces[name]), _array.to_numpy(whole[name]), rtol=1e-9, atol=1e-12)
