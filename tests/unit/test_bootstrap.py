"""Bootstrap: every method against an explicit loop with the same weights; blocks, tiles, libraries, what it refuses."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.stats

from conftest import ROOT
from hedgerow import _array
from hedgerow.grid import _definite, _weights, bootstrap, ols, scratch

EXACT = {"precision": "float64"}


@pytest.fixture
def data(rng):
    """Unequal subjects with random effects: X (120, 4), Y (120, 10), subject (120,)."""
    subject = np.repeat([f"s{i:02d}" for i in range(10)], [4, 20, 8, 16, 12, 9, 11, 15, 5, 20])
    X = np.column_stack([np.ones(120), rng.integers(0, 2, 120), rng.normal(3, 1, 120), np.zeros(120)])
    X[:, 3] = X[:, 1] * X[:, 2]
    effect = {name: rng.normal(size=(4, 10)) for name in np.unique(subject)}
    return X, np.stack([x @ effect[s] for x, s in zip(X, subject)]) + 3 * rng.normal(size=(120, 10)), subject


def alike(rng):
    """A design two of whose columns are equal to 1e-4 of their size."""
    a = rng.normal(size=120)
    return np.column_stack([np.ones(120), a, a + 1e-4 * rng.normal(size=120)])


def moments_of(X, Y, subject, xp=np):
    return ols.moments(X, xp.asarray(Y), subject, basis=ols.basis_of(X))


def drawn(plan):
    """What the plan keeps of its replicates, (k, m, B)."""
    out = np.empty(plan.shape)
    plan.fill(out, 0, plan.shape[2])
    return out


def solve(X, Y):
    """Least squares by QR with columns brought to one size."""
    scale = np.linalg.norm(X, axis=0)
    return np.linalg.lstsq(X / scale, Y, rcond=None)[0] / scale[:, None]


def by_rows(X, Y, weights, counts):
    """Deviations, and t of equal variances, (k, m) each, of the rows drawn."""
    rows = np.repeat(np.arange(len(X)), counts)
    made, fitted = solve(X[rows], Y[rows]), solve(X, Y)
    error = _classical(X[rows], Y[rows], made, weights)
    return weights @ (made - fitted), weights @ (made - fitted) / error


def _classical(X, Y, coef, weights):
    """Standard errors (k, m) of weights @ coef for equal variances, by QR."""
    spread = np.sqrt(((Y - X @ coef) ** 2).sum(axis=0) / (len(X) - X.shape[1]))
    reach = np.linalg.norm(np.linalg.solve(np.linalg.qr(X)[1].T, weights.T), axis=0)
    return reach[:, None] * spread[None, :]


def _grouped(X, Y, coef, weights, groups):
    """Standard errors (k, m) from squared scores of groups, without a factor; `groups`: rows of each."""
    q, r = np.linalg.qr(X)
    by_window = weights @ np.linalg.solve(r, q.T)
    left = Y - X @ coef
    return np.sqrt(sum((by_window[:, rows] @ left[rows]) ** 2 for rows in groups))


def loop_clusters(X, Y, subject, weights, replicates, seed):
    """Deviations and t (B, k, m) of resampled subjects, each drawn copy a group of its own."""
    names, places = np.unique(subject, return_inverse=True)
    fitted, found = solve(X, Y), []
    for b in range(replicates):
        counts = bootstrap.counts(len(names), seed, b)
        copies = [np.flatnonzero(places == g) for g in np.repeat(np.arange(len(names)), counts)]
        rows = np.concatenate(copies)
        groups = np.split(np.arange(len(rows)), np.cumsum([*map(len, copies)])[:-1])
        made = solve(X[rows], Y[rows])
        found.append((weights @ (made - fitted), _grouped(X[rows], Y[rows], made, weights, groups)))
    return [np.array(each) for each in ([d for d, _ in found], [d / e for d, e in found])]


def loop_wild_clusters(X, Y, subject, weights, replicates, seed):
    """t (B, k, m) of windows rebuilt from residuals, those of leaving out each subject, with one weight per subject."""
    names, places = np.unique(subject, return_inverse=True)
    groups, fitted, found = [np.flatnonzero(places == g) for g in range(len(names))], solve(X, Y), []
    left, q = Y - X @ fitted, np.linalg.qr(X)[0]
    for rows in groups:
        left[rows] = np.linalg.solve(np.eye(len(rows)) - q[rows] @ q[rows].T, left[rows])
    for b in range(replicates):
        made_up = X @ fitted + _weights.webb(len(names), seed, b)[places][:, None] * left
        made = solve(X, made_up)
        found.append(weights @ (made - fitted) / _grouped(X, made_up, made, weights, groups))
    return np.array(found)


def loop_wild(X, Y, weights, replicates, seed):
    """Deviations and t (B, k, m) of windows rebuilt from residuals / (1 - h) with one sign per window."""
    h = (np.linalg.qr(X)[0] ** 2).sum(axis=1)
    fitted, found = solve(X, Y), []
    left = (Y - X @ fitted) / (1 - h)[:, None]
    for b in range(replicates):
        made_up = X @ fitted + _weights.signs(len(X), seed, b)[:, None] * left
        made = solve(X, made_up)
        found.append((weights @ (made - fitted), _classical(X, made_up, made, weights)))
    return [np.array(each) for each in ([d for d, _ in found], [d / e for d, e in found])]


def close(found, expected, tolerance, name=""):
    """Equal to `tolerance` of the largest of each combination."""
    found, expected = np.moveaxis(found, -1, 0), np.asarray(expected)
    scale = np.abs(expected).max(axis=(0, 2), keepdims=True)
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("ill", [False, True], ids=["plain", "two columns equal to 1e-4"])
@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-9), ("float32", 1e-5)])
def test_replicates_equal_an_explicit_loop(xp, data, rng, precision, tolerance, ill):
    X, Y, subject = data
    X = alike(rng) if ill else X
    weights = np.vstack([np.eye(X.shape[1]), np.r_[0, 1.0, -1.0, np.zeros(X.shape[1] - 3)]])
    options = {"seed": 7, "replicates": 40, "weights": weights, "precision": precision}
    sums = moments_of(X, Y, subject, xp)
    deviations, t = loop_clusters(X, Y, subject, weights, 40, 7)
    plan = bootstrap.over_people(sums, bootstrap="clusters", interval="percentile", **options)
    close(drawn(plan), deviations, tolerance, "clusters")
    plan = bootstrap.over_people(sums, bootstrap="clusters", interval="studentised", **options)
    close(drawn(plan), t, tolerance, "t of clusters")
    plan = bootstrap.over_people(sums, bootstrap="wild-clusters", interval="studentised", **options)
    close(drawn(plan), loop_wild_clusters(X, Y, subject, weights, 40, 7), tolerance, "wild clusters")
    counts = [bootstrap.counts(120, 7, b) for b in range(40)]
    pairs = [np.array(each) for each in zip(*(by_rows(X, Y, weights, drawn) for drawn in counts))]
    wild = loop_wild(X, Y, weights, 40, 7)
    for kind, loops in (("pairs", pairs), ("wild", wild)):
        for interval, expected in zip(("percentile", "studentised"), loops):
            plan = bootstrap.over_trials(X, xp.asarray(Y), bootstrap=kind, interval=interval, **options)
            close(drawn(plan), expected, tolerance, f"{kind} {interval}")


@pytest.mark.parametrize("expanded", [False, True])
def test_both_ways_to_the_wild_t_are_one(data, xp, expanded):
    X, Y, subject = data
    sums = moments_of(X, Y, subject, xp)
    plan = bootstrap.over_people(
        sums, bootstrap="wild-clusters", interval="studentised", seed=3, replicates=20, precision="float64"
    )
    plan._work.expanded = expanded
    close(drawn(plan), loop_wild_clusters(X, Y, subject, np.eye(4), 20, 3), 1e-9)


@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-9), ("float32", 1e-5)])
@pytest.mark.parametrize("interval", ["percentile", "studentised"])
def test_designs_of_many_coefficients_equal_an_explicit_loop(rng, precision, tolerance, interval):
    X, Y = rng.normal(size=(300, 40)), rng.normal(size=(300, 6))
    assert X.shape[1] > _definite.SMALL
    options = {"seed": 2, "replicates": 12, "precision": precision, "interval": interval}
    counts = [bootstrap.counts(300, 2, b) for b in range(12)]
    expected = [by_rows(X, Y, np.eye(40), drawn)[interval == "studentised"] for drawn in counts]
    close(drawn(bootstrap.over_trials(X, Y, bootstrap="pairs", **options)), expected, tolerance)
    subject = np.array([f"s{i % 30:02d}" for i in range(300)])
    plan = bootstrap.over_people(moments_of(X, Y, subject), bootstrap="clusters", **options)
    close(drawn(plan), loop_clusters(X, Y, subject, np.eye(40), 12, 2)[interval == "studentised"], 20 * tolerance)


def intervals_of(kind, X, Y, subject, interval, xp=np, **options):
    """Intervals by one bootstrap, whatever it starts from."""
    options = {"seed": 5, "replicates": 99, "level": 0.9, **EXACT, **options}
    if kind in ("clusters", "wild_clusters"):
        return getattr(bootstrap, kind)(moments_of(X, Y, subject, xp), interval=interval, **options)
    return getattr(bootstrap, kind)(X, xp.asarray(Y), interval=interval, **options)


KINDS = [(kind, interval) for kind in ("clusters", "pairs") for interval in ("percentile", "studentised", "bca")]
KINDS += [("wild", "percentile"), ("wild", "studentised"), ("wild_clusters", "studentised")]


@pytest.mark.parametrize("kind, interval", KINDS)
def test_intervals_are_the_quantiles_of_the_replicates(xp, data, kind, interval):
    X, Y, subject = data
    found = intervals_of(kind, X, Y, subject, interval, xp)
    assert type(found["ci_low"]) is type(xp.asarray(Y))
    found = {name: _array.to_numpy(value) for name, value in found.items() if name != "account"}
    coef = solve(X, Y)
    np.testing.assert_allclose(found["coef"], coef, rtol=1e-9)
    groups = [np.flatnonzero(subject == name) for name in np.unique(subject)]
    if "clusters" in kind:
        deviations, t = loop_clusters(X, Y, subject, np.eye(4), 99, 5)
        error = _grouped(X, Y, coef, np.eye(4), groups)
        t = loop_wild_clusters(X, Y, subject, np.eye(4), 99, 5) if kind == "wild_clusters" else t
    else:
        rows = [by_rows(X, Y, np.eye(4), bootstrap.counts(120, 5, b)) for b in range(99)]
        deviations, t = loop_wild(X, Y, np.eye(4), 99, 5) if kind == "wild" else [np.array(each) for each in zip(*rows)]
        error, groups = _classical(X, Y, coef, np.eye(4)), [np.array([i]) for i in range(120)]
    # 99 replicates at 90 %: the 5th and the 95th, exactly
    if interval == "studentised" and "wild" in kind:
        reach = error * np.sort(np.abs(t), axis=0)[89]
        low, high = coef - reach, coef + reach
        share = (1 + (np.abs(t) >= np.abs(coef / error)).sum(axis=0)) / 100
        np.testing.assert_allclose(found["p"], share, rtol=1e-12)
    elif interval == "studentised":
        ordered = np.sort(t, axis=0)
        low, high = coef - error * ordered[94], coef - error * ordered[4]
    elif interval == "percentile":
        ordered = np.sort(deviations, axis=0)
        low, high = coef + ordered[4], coef + ordered[94]
        np.testing.assert_allclose(found["se_bootstrap"], deviations.std(axis=0, ddof=1), rtol=1e-9)
    else:
        low, high = by_jackknife(X, Y, coef, deviations, groups)
    np.testing.assert_allclose(found["ci_low"], low, rtol=1e-8)
    np.testing.assert_allclose(found["ci_high"], high, rtol=1e-8)


def by_jackknife(X, Y, coef, deviations, groups):
    """BCa limits with an acceleration from refits without each group, after Efron & Tibshirani (1993), ch. 14."""
    refits = np.array([solve(np.delete(X, rows, axis=0), np.delete(Y, rows, axis=0)) for rows in groups])
    away = refits.mean(axis=0) - refits
    a = (away**3).sum(axis=0) / (6 * (away**2).sum(axis=0) ** 1.5)
    z0 = scipy.stats.norm.ppf((deviations < 0).mean(axis=0))
    limits, ordered = [], np.concatenate([deviations.min(axis=0)[None], np.sort(deviations, axis=0)])
    for share in (0.05, 0.95):
        z = z0 + scipy.stats.norm.ppf(share)
        place = np.clip(scipy.stats.norm.cdf(z0 + z / (1 - a * z)) * (len(deviations) + 1), 1, len(deviations))
        below = np.minimum(place.astype(int), len(deviations) - 1)
        values = [np.take_along_axis(ordered, (below + more)[None], axis=0)[0] for more in (0, 1)]
        limits.append(coef + values[0] + (place - below) * (values[1] - values[0]))
    return limits


@pytest.mark.parametrize("kind, interval", KINDS)
def test_shifting_and_scaling_the_windows_shifts_and_scales_the_intervals(data, kind, interval):
    X, Y, subject = data
    one = intervals_of(kind, X, Y, subject, interval)
    other = intervals_of(kind, X, 1e-6 * Y + 5 * X[:, :1], subject, interval)
    shift = np.array([5.0, 0, 0, 0])[:, None]
    for name in ("ci_low", "ci_high"):
        np.testing.assert_allclose(other[name], 1e-6 * one[name] + shift, rtol=1e-6, atol=1e-11)


def test_blocks_make_the_bits_of_the_whole(data):
    X, Y, subject = data
    for kind, interval in KINDS:
        options = {"bootstrap": kind.replace("_", "-"), "interval": interval, "seed": 4, "replicates": 150}

        def make(options=options):
            if "clusters" in options["bootstrap"]:
                return bootstrap.over_people(moments_of(X, Y, subject), **options)
            return bootstrap.over_trials(X, Y, **options)

        whole, blocks = make().summary(level=0.9), []
        for first, last in ((0, 61), (61, 62), (62, 150)):
            blocks.append(np.empty((4, 10, last - first), dtype=np.float32))
            make().fill(blocks[-1], first, last)
        apart = make().summary(blocks, level=0.9)
        for name in set(whole) - {"account"}:
            assert np.array_equal(whole[name], apart[name]), (kind, interval, name)
        with pytest.raises(ValueError, match="blocks hold 62 replicates, of 150"):
            make().summary(blocks[:2])


def test_a_small_budget_makes_tiles_that_change_nothing_but_rounding(rng):
    X, subject = np.column_stack([np.ones(60), rng.normal(size=60)]), np.array([f"s{i % 12}" for i in range(60)])
    Y = rng.normal(size=(60, 300))
    for kind, interval in KINDS:
        wide = intervals_of(kind, X, Y, subject, interval)
        narrow = intervals_of(kind, X, Y, subject, interval, budget_mb=0.05)
        for name in ("ci_low", "ci_high"):
            np.testing.assert_allclose(narrow[name], wide[name], rtol=1e-9, atol=1e-12)
    plan = bootstrap.over_trials(X, Y, bootstrap="pairs", interval="bca", seed=1, replicates=100, budget_mb=0.05)
    assert len(plan.tiles) > 1


def test_values_in_a_file_are_those_in_memory(tmp_path, data):
    X, Y, _ = data
    Y = Y.astype(np.float32)
    scratch.write(tmp_path / "values.npy", [(np.arange(120), Y)], 120, 10, width=3)
    tiles = scratch.Tiles(tmp_path / "values.npy", 10)
    options = {"bootstrap": "pairs", "interval": "bca", "seed": 4, "replicates": 100}
    here, there = (bootstrap.over_trials(X, y, **options).summary() for y in (Y, tiles))
    for name in set(here) - {"account"}:
        assert np.array_equal(here[name], there[name])


KILLED = """
import sys, time
import numpy as np
sys.path.insert(0, {source!r})
from hedgerow.grid import bootstrap, scratch
out = np.lib.format.open_memmap("out.npy", mode="r+")
rng = np.random.default_rng(3)
X = np.column_stack([np.ones(80), rng.normal(size=80)])
Y = rng.normal(size=(80, 1600)).astype(np.float32)
plan = bootstrap.over_trials(X, Y, bootstrap="pairs", interval="percentile", seed=1, replicates=400, budget_mb=0.3)
real, seen = plan._work.replicates, []
def slow(tile, chunk):
    time.sleep(0.02)
    return real(tile, chunk)
plan._work.replicates = slow
journal = scratch.Journal("out.journal", "key")
print(len(plan.tiles), flush=True)
plan.fill(out, 20, 350, done=journal)
"""


def test_a_job_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path):
    def start():
        command = [sys.executable, "-c", KILLED.format(source=str(ROOT / "workflow/src"))]
        one = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, env=one)

    np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(2, 1600, 330))
    journal, sizes, deaths = tmp_path / "out.journal", [], 0
    for wanted in (3, 6, 9):
        job = start()
        while job.poll() is None and (not journal.is_file() or len(journal.read_text().splitlines()) < wanted):
            time.sleep(0.005)
        if job.poll() is None:
            job.send_signal(signal.SIGKILL)
            deaths += 1
        job.communicate()
        sizes.append(len(journal.read_text().splitlines()))
    assert deaths == 3 and sizes[0] < sizes[1] < sizes[2]
    job = start()
    tiles = int(job.communicate()[0])
    assert job.returncode == 0 and sizes[-1] - 1 < tiles == len(journal.read_text().splitlines()) - 1
    resumed = np.load(tmp_path / "out.npy")
    journal.unlink()
    np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(2, 1600, 330))
    assert start().wait() == 0
    assert np.array_equal(resumed, np.load(tmp_path / "out.npy")) and resumed.any(axis=(0, 2)).all()


def test_pieces_of_many_coefficients_resume_too(tmp_path, rng):
    X, Y = rng.normal(size=(200, 40)), rng.normal(size=(200, 5))
    plan = bootstrap.over_trials(X, Y, bootstrap="pairs", interval="percentile", seed=1, replicates=60, budget_mb=1)
    whole, out, real, calls = drawn(plan), np.zeros(plan.shape), plan._work.replicates, []

    def dies(tile, chunk):
        calls.append(chunk)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(tile, chunk)

    plan._work.replicates = dies
    with pytest.raises(KeyboardInterrupt):
        plan.fill(out, 0, 60, done=scratch.Journal(tmp_path / "j", "k"))
    plan.fill(out, 0, 60, done=scratch.Journal(tmp_path / "j", "k"))
    assert np.array_equal(out, whole) and len(set(calls)) == len(calls) - 1 > 3


def test_resamples_that_lose_a_level_are_drawn_again_and_counted(rng):
    subject = np.repeat([f"s{i}" for i in range(6)], 5)
    level = np.isin(subject, ["s0", "s1"]).astype(float)
    X, Y = np.column_stack([np.ones(30), level]), rng.normal(size=(30, 3))
    plan = bootstrap.over_people(
        moments_of(X, Y, subject), bootstrap="clusters", interval="percentile", seed=0, replicates=200
    )
    found = plan.summary()
    lost = sum(bootstrap.counts(6, 0, b)[:2].sum() in (0, 6) for b in range(200))
    assert lost > 10 and found["account"]["redrawn"] >= lost
    assert np.isfinite(found["ci_low"]).all()
    assert any("were drawn again" in text for text in found["account"]["warnings"])
    for b in range(10):
        counts = bootstrap.counts(6, 0, b)
        if counts[:2].sum() not in (0, 6):
            rows = np.concatenate([np.flatnonzero(subject == f"s{g}") for g in np.repeat(np.arange(6), counts)])
            expected = solve(X[rows], Y[rows]) - solve(X, Y)
            np.testing.assert_allclose(drawn(plan)[:, :, b], expected, rtol=1e-4, atol=1e-5)


def test_a_term_that_tells_the_people_apart_is_refused(rng):
    subject = np.repeat([f"s{i}" for i in range(6)], 5)
    X = (subject[:, None] == np.unique(subject)).astype(float)
    with pytest.raises(ValueError, match="stay singular after 100 draws: the design tells the 6 resampled units apart"):
        bootstrap.clusters(moments_of(X, rng.normal(size=(30, 2)), subject), seed=0, replicates=100)


def test_what_makes_no_interval_is_refused(data):
    X, Y, subject = data
    sums = moments_of(X, Y, subject)
    few = np.isin(subject, ["s01", "s03", "s04"])
    with pytest.raises(ValueError, match="3 groups are too few to resample; below 5"):
        bootstrap.clusters(moments_of(X[few], Y[few], subject[few]), seed=0)
    with pytest.raises(ValueError, match="level: 95 is not between 0 and 1"):
        bootstrap.clusters(sums, seed=0, level=95)
    with pytest.raises(ValueError, match="replicates: 1 is too few"):
        bootstrap.clusters(sums, seed=0, replicates=1)
    with pytest.raises(ValueError, match="seed: -1 is not a whole number"):
        bootstrap.pairs(X, Y, seed=-1)
    with pytest.raises(ValueError, match="interval: 'percentile' is not made by bootstrap 'wild-clusters'"):
        bootstrap.wild_clusters(sums, seed=0, interval="percentile")
    with pytest.raises(ValueError, match="interval: 'bca'"):
        bootstrap.wild(X, Y, seed=0, interval="bca")
    with pytest.raises(ValueError, match="interval: 'normal' is none of"):
        bootstrap.pairs(X, Y, seed=0, interval="normal")
    with pytest.raises(ValueError, match="precision: 'half'"):
        bootstrap.pairs(X, Y, seed=0, precision="half")
    with pytest.raises(ValueError, match="4 coefficients and 4 windows: too few windows to resample"):
        bootstrap.pairs(X[:4] + np.eye(4), Y[:4], seed=0)
    Y[7, 3] = np.nan
    with pytest.raises(ValueError, match="1 of 120 windows are not finite"):
        bootstrap.pairs(X, Y, seed=0)


def test_a_cell_without_residual_has_an_estimate_and_no_interval(data):
    X, Y, subject = data
    Y[:, 2], Y[:, 4] = X @ np.array([1.0, 2, 3, 4]), 7.3
    for kind, interval in KINDS:
        found = intervals_of(kind, X, Y, subject, interval)
        np.testing.assert_allclose(found["coef"][:, [2, 4]], [[1, 7.3], [2, 0], [3, 0], [4, 0]], rtol=1e-9, atol=1e-9)
        for name in set(found) - {"coef", "account"}:
            unknown = np.isnan(found[name]).all(axis=0)
            assert np.flatnonzero(unknown).tolist() == [2, 4] and np.isfinite(found[name][:, ~unknown]).all()


def test_what_one_unit_alone_determines_has_no_interval(data, xp):
    X, Y, subject = data
    weights = np.vstack([np.eye(5), [0, 1, 0, 0, 1], [0, 1, 1, 0, 0]])
    for own, kinds in ((subject == "s03", "clusters wild_clusters"), (np.arange(120) == 50, "pairs wild")):
        design = np.column_stack([X, own])
        for kind, interval in KINDS:
            if kind not in kinds.split():
                continue
            found = intervals_of(kind, design, Y, subject, interval, xp, weights=weights)
            gone = np.isnan(_array.to_numpy(found["ci_low"])).all(axis=1)
            assert gone.tolist() == [False] * 4 + [True, True, False], (kind, interval)
            assert any("2 of 7 combinations: one" in text for text in found["account"]["warnings"])
            # what others tell as well is as without that unit
            assert np.isfinite(_array.to_numpy(found["ci_high"])[~gone]).all()


def test_a_level_of_few_people_is_warned_of(rng):
    subject = np.repeat([f"s{i:02d}" for i in range(30)], 8)
    Y = rng.normal(size=(240, 2))
    for people, warned in ((["s00", "s01"], True), ([f"s{i:02d}" for i in range(15)], False)):
        X = np.column_stack([np.ones(240), np.isin(subject, people)])
        warnings = bootstrap.wild_clusters(moments_of(X, Y, subject), seed=1, replicates=100)["account"]["warnings"]
        assert any("1 of 2 combinations rest on few people" in text for text in warnings) == warned


def test_few_windows_are_warned_of(data):
    X, Y, _ = data
    warnings = bootstrap.pairs(X[:11], Y[:11], seed=1, replicates=100)["account"]["warnings"]
    assert "11 windows for 4 coefficients are too few to trust their intervals." in warnings


@pytest.mark.parametrize("columns", [2, 40], ids=["few", "many coefficients"])
def test_draws_thrown_away_are_counted_once_over_blocks_tiles_and_resumed_jobs(rng, columns, tmp_path):
    level = np.isin(np.arange(90), [4, 17, 60]).astype(float)
    X = np.column_stack([np.ones(90), level, rng.normal(size=(90, columns - 2))])
    Y, bits = rng.normal(size=(90, 300)), {"seed": 0, "replicates": 120, "bootstrap": "pairs", "interval": "percentile"}

    def make():
        return bootstrap.over_trials(X, Y, **bits, budget_mb=0.2 if columns == 2 else 4)

    lost = sum(not bootstrap.counts(90, 0, b)[level > 0].any() for b in range(120))
    whole = make().summary()
    assert whole["account"]["redrawn"] >= lost > 2
    blocks, redrawn = [], 0
    for number, (first, last) in enumerate(((0, 50), (50, 120))):
        blocks.append(np.empty((columns, 300, last - first), dtype=np.float32))
        for _ in range(2):  # the second finds all pieces finished
            plan = make()
            plan.fill(blocks[-1], first, last, done=scratch.Journal(tmp_path / str(number), "key"))
            again = plan.redrawn(first, last)
        redrawn += again
    assert redrawn == whole["account"]["redrawn"]
    apart = make().summary(blocks, redrawn=redrawn)
    assert apart["account"] == whole["account"] and np.array_equal(apart["ci_low"], whole["ci_low"])


def test_more_replicates_make_narrower_tiles(data):
    X, _, subject = data
    Y = np.zeros((120, 5000))
    for kind, data_ in (("wild-clusters", (moments_of(X, Y, subject),)), ("pairs", (X, Y))):
        make = bootstrap.over_people if len(data_) == 1 else bootstrap.over_trials
        widths = [
            make(*data_, bootstrap=kind, interval="studentised", seed=1, replicates=b, budget_mb=32)._work.width
            for b in (500, 20_000)
        ]
        assert 4 * 20_000 * widths[1] * 4 < 32 * 2**20 and widths[1] < widths[0]


def test_weights_have_mean_0_and_variance_1_and_depend_on_seed_and_replicate_alone():
    for draw in (_weights.webb, _weights.signs):
        values = np.array([draw(50, 3, b) for b in range(400)])
        assert abs(values.mean()) < 0.03 and abs(values.var() - 1) < 0.03
        assert np.array_equal(draw(50, 3, 7), values[7]) and not np.array_equal(draw(50, 4, 7), values[7])
    assert _weights.counts(30, 1, 2).sum() == 30


def test_few_people_are_warned_of_and_many_are_not(rng):
    for people, kind, warned in ((12, "clusters", True), (12, "wild_clusters", False), (60, "clusters", False)):
        subject = np.array([f"s{i % people:02d}" for i in range(240)])
        sums = moments_of(np.ones((240, 1)), rng.normal(size=(240, 2)), subject)
        warnings = getattr(bootstrap, kind)(sums, seed=0, replicates=100)["account"]["warnings"]
        assert bool(warnings) == warned
        assert not warned or "12 people: studentised intervals" in warnings[0]
