"""Regression over the grid: CPU seconds of fits, diagnostics and bootstraps against what one would use instead.

Core only, seeded, prints Markdown: ``python tests/benchmarks/bench_grid.py [--peers PYTHON] [--quick]``, two threads.
PYTHON belongs to an environment of tests/benchmarks/peers-grid.txt, which holds fitgrid. Every case runs in a process
of its own, so that its peak of memory is its own; what is scaled from a part says so.

Shapes: A 400 windows, 4 coefficients, 4,800 cells; B 25,000, 250, 256; C 10,000, 8, 19,200; L is B at 1,000 time
points.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHAPES = {"A": (400, 4, 4800), "B": (25_000, 250, 256), "C": (10_000, 8, 19_200)}
SUBJECTS, REPLICATES = 40, 1000


def data(shape, dtype=np.float32):
    """Design (n, p), windows (n, m) and subject of each window."""
    n, p, m = SHAPES[shape] if isinstance(shape, str) else shape
    rng = np.random.default_rng(1)
    X = np.column_stack([np.ones(n), rng.integers(0, 2, n), rng.normal(size=(n, p - 2))])
    if p == 4:
        X[:, 3] = X[:, 1] * X[:, 2]
    Y = np.empty((n, m), dtype=dtype)
    for start in range(0, n, 1000):
        Y[start : start + 1000] = rng.standard_normal(Y[start : start + 1000].shape, dtype=np.float32)
    return X, Y, np.char.mod("%03d", np.sort(rng.integers(0, SUBJECTS, n)))


# A case is prepared, then run: ``case(arguments) -> (work, how much of the whole one call does, FLOP of the whole)``.


def gemm(dtype):
    a, b, c = (np.ones((3000, 3000), dtype=dtype) for _ in range(3))
    return lambda: np.matmul(a, b, out=c), 1, 2 * 3000**3


def ols_fit(shape, errors, dtype="float64"):
    from hedgerow.grid import ols

    (n, p, m), (X, Y, who) = SHAPES[shape], data(shape, dtype)
    if errors in ("cr1", "cr2"):
        basis = ols.basis_of(X)
        return lambda: ols.fit_moments(ols.moments(X, Y, who, basis=basis), errors=errors), 1, 2 * n * p * m
    return lambda: ols.fit(X, Y, errors=errors), 1, 2 * n * p * m * (2 if errors.startswith("hc") else 1)


def lstsq_cells(shape):
    X, Y, _ = data(shape, "float64")
    cells = Y.shape[1] // 20

    def work():
        for j in range(cells):
            np.linalg.lstsq(X, Y[:, j])

    return work, cells / Y.shape[1], None


def statsmodels_ols(shape):
    import statsmodels.api as sm

    X, Y, _ = data(shape, "float64")
    cells = Y.shape[1] // 20

    def work():
        for j in range(cells):
            model = sm.OLS(Y[:, j], X).fit()
            _ = model.params, model.bse, model.tvalues, model.rsquared

    return work, cells / Y.shape[1], None


def statsmodels_formula(shape):
    import pandas as pd
    import statsmodels.formula.api as smf

    X, Y, _ = data(shape, "float64")
    table = pd.DataFrame(X[:, 1:3], columns=["a", "b"])
    cells = Y.shape[1] // 100

    def work():
        for j in range(cells):
            model = smf.ols("y ~ a * b", table.assign(y=Y[:, j])).fit()
            _ = model.params, model.bse, model.tvalues

    return work, cells / Y.shape[1], None


def statsmodels_influence(shape):
    import statsmodels.api as sm

    X, Y, _ = data(shape, "float64")
    cells = Y.shape[1] // 20

    def work():
        for j in range(cells):
            found = sm.OLS(Y[:, j], X).fit().get_influence()
            _ = found.cooks_distance, found.ess_press, found.resid_studentized_internal

    return work, cells / Y.shape[1], None


def statsmodels_refits(shape):
    import statsmodels.api as sm

    X, Y, _ = data(shape, "float64")

    def work():
        for j in range(3):
            found = sm.OLS(Y[:, j], X).fit().get_influence()
            _ = found.resid_studentized_external, found.dffits, found.cov_ratio

    return work, 3 / Y.shape[1], None


def mne_regression(shape):
    import mne

    n, _, m = SHAPES[shape]
    X, Y, _ = data(shape, "float64")
    info = mne.create_info(32, 250.0, "eeg", verbose="error")
    epochs = mne.EpochsArray(Y.reshape(n, 32, m // 32), info, verbose="error")
    names = [f"x{j}" for j in range(X.shape[1])]
    return lambda: mne.stats.linear_regression(epochs, X, names), 1, None


def fitgrid_lm(shape, diagnostic=None):
    """fitgrid cannot be imported without pymer4, which needs R; its linear models do not use it."""
    import types

    import pandas as pd

    for name in ("pymer4", "pymer4.models"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].Lmer = object
    import fitgrid
    from fitgrid.utils import lm as tools

    n, _, m = SHAPES[shape]
    X, Y, _ = data(shape, "float64")
    channels, times = 32, m // 32 // 10
    names = [f"ch{k}" for k in range(channels)]
    index = pd.MultiIndex.from_product([range(n), range(times)], names=["epoch_id", "time"])
    table = pd.DataFrame(Y[:, : channels * times].reshape(n * times, channels), columns=names, index=index)
    table["a"], table["b"] = np.repeat(X[:, 1], times), np.repeat(X[:, 2], times)
    epochs = fitgrid.epochs_from_dataframe(table, time="time", epoch_id="epoch_id", channels=names)

    def work():
        grid = fitgrid.lm(epochs, RHS="1 + a * b", quiet=True)
        if diagnostic:
            tools.get_diagnostic(grid, diagnostic, do_nobs_loop=True)
        else:
            _ = grid.params, grid.bse, grid.tvalues

    return work, channels * times / m, None


def diagnostics(shape):
    from hedgerow.grid import influence

    X, Y, _ = data(shape, "float64")
    return lambda: influence.diagnostics(X, Y), 1, None


def pairs(shape, precision, kind="pairs", interval="percentile", replicates=REPLICATES):
    from hedgerow.grid import bootstrap

    (n, p, m), (X, Y, _) = SHAPES[shape], data(shape)
    options = {"seed": 1, "replicates": replicates, "level": 0.95, "interval": interval, "precision": precision}
    flop = 2 * n * p * m * replicates + (n * p * (p + 1) * replicates if kind == "pairs" else 0)
    return lambda: getattr(bootstrap, kind)(X, Y, **options), 1, flop


def clusters(shape, precision, kind="clusters", interval="percentile", whole=True):
    from hedgerow.grid import bootstrap, ols

    (n, p, m), (X, Y, who) = SHAPES[shape], data(shape)
    options = {"seed": 1, "replicates": REPLICATES, "level": 0.95, "interval": interval, "precision": precision}
    basis, resample = ols.basis_of(X), getattr(bootstrap, kind)
    flop = REPLICATES * (2 * SUBJECTS * (p * p + p * m) + 2 * p * p * m)
    if whole:
        return lambda: resample(ols.moments(X, Y, who, basis=basis), **options), 1, flop + 2 * n * p * m
    sums = ols.moments(X, Y, who, basis=basis)
    return lambda: resample(sums, **options), 1, flop


def naive(shape, how, times):
    (n, p, m), (X, Y, _) = SHAPES[shape], data(shape)
    rng = np.random.default_rng(2)

    def work():
        for _ in range(times):
            rows = rng.integers(0, n, n)
            x, y = X[rows].astype(np.float32), Y[rows]
            if how == "lstsq":
                np.linalg.lstsq(x, y)
            else:
                np.linalg.solve(x.T @ x, x.T @ y)

    return work, times / REPLICATES, 2 * n * p * (p + m) * REPLICATES


def naive_clusters(shape, times):
    (n, p, m), (X, Y, who) = SHAPES[shape], data(shape)
    rng, rows_of = np.random.default_rng(2), [np.flatnonzero(who == label) for label in np.unique(who)]

    def work():
        for _ in range(times):
            rows = np.concatenate([rows_of[g] for g in rng.integers(0, len(rows_of), len(rows_of))])
            np.linalg.lstsq(X[rows].astype(np.float32), Y[rows])

    return work, times / REPLICATES, 2 * n * p * (p + m) * REPLICATES


def large(points):
    """Coefficients and errors of B at as many time points as are read at a time, as from a scratch file."""
    from hedgerow.grid import ols

    n, p, m = SHAPES["B"]
    X, Y, _ = data((n, p, m * points))
    return lambda: ols.fit(X, Y, errors="classical"), points / 1000, 2 * n * p * m * 1000


def measure(case, arguments):
    """Prepare a case, run it once to warm up where it is short, and print what the second run took."""
    work, share, flop = globals()[case](*arguments)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    if wall < 3:
        repeats = max(1, int(1 / max(wall, 1e-3)))
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(repeats):
            work()
        cpu, wall = (time.process_time() - cpu) / repeats, (time.perf_counter() - wall) / repeats
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rate = flop * share / wall / 1e9 if flop else None
    print(json.dumps({"cpu": cpu / share, "wall": wall / share, "peak": peak, "rate": rate, "share": share}))


def run(python, case, *arguments):
    """What `measure` printed in a process of its own, or None with a note on stderr where it failed."""
    command = [str(python), __file__, "--case", json.dumps([case, arguments])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{case} {arguments}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def table(title, rows):
    """Print rows of (what, how, measured) with ratios to the first of each `what`."""
    print(f"\n**{title}**\n")
    print("| what | how | CPU s | wall s | GFLOP/s | more memory, MB | times ours |\n|---|---|---|---|---|---|---|")
    first = {}
    for what, how, found in rows:
        if found is None:
            print(f"| {what} | {how} | failed | | | | |")
            continue
        ratio = found["cpu"] / first.setdefault(what, found)["cpu"]
        scaled = "" if found["share"] == 1 else f" (from {found['share']:.2%})"
        rate = f"{found['rate']:.0f}" if found["rate"] else ""
        spent = f"{found['cpu']:.3g} | {found['wall']:.3g}"
        print(f"| {what} | {how}{scaled} | {spent} | {rate} | {found['peak']:.0f} | {ratio:.1f} |")


def growth():
    """Print how CPU seconds grow with windows, cells and replicates."""
    print("\n**Growth**: CPU seconds of clusters and pairs (float32, percentile) and of the fit with HC3\n")
    print("| windows | cells | replicates | fit, HC3 | clusters, with sums | pairs |\n|---|---|---|---|---|---|")
    for n, m, b in [(500, 2000, 500), (2000, 2000, 500), (8000, 2000, 500), (2000, 8000, 500), (2000, 2000, 2000)]:
        found = run(sys.executable, "grown", n, m, b)
        print(f"| {n:,} | {m:,} | {b:,} | " + " | ".join(f"{value:.2f}" for value in found.values()) + " |")


def grown(n, m, replicates):
    """CPU seconds of three jobs at one size, printed; not a case of `measure`."""
    from hedgerow.grid import bootstrap, ols

    X, Y, who = data((n, 6, m))
    options = {"seed": 1, "replicates": replicates, "level": 0.95, "interval": "percentile"}
    jobs = {
        "fit": lambda: ols.fit(X, Y, errors="hc3"),
        "clusters": lambda: bootstrap.clusters(ols.moments(X, Y, who, basis=ols.basis_of(X)), **options),
        "pairs": lambda: bootstrap.pairs(X, Y, **options),
    }
    found = {}
    for name, job in jobs.items():
        began = time.process_time()
        job()
        found[name] = time.process_time() - began
    print(json.dumps(found))


def main(peers, quick):
    """Print all tables."""
    ours = sys.executable
    peaks = [f"{run(ours, 'gemm', kind)['rate']:.0f} in {kind}" for kind in ("float64", "float32")]
    threads = os.environ["OMP_NUM_THREADS"]
    print(f"GFLOP/s of a matrix product here: {', '.join(peaks)} (numpy, {threads} threads at most)")
    fit, look = "coefficients, errors, t", "influence"
    table("A, fits and diagnostics: 400 windows, 4 coefficients, 4,800 cells", [
        (fit, "ours, classical", run(ours, "ols_fit", "A", "classical")),
        (fit, "ours, HC3", run(ours, "ols_fit", "A", "hc3")),
        (fit, "ours, CR2 with sums over 40 people", run(ours, "ols_fit", "A", "cr2")),
        (fit, "numpy lstsq by cell, coefficients only", run(ours, "lstsq_cells", "A")),
        (fit, "mne.stats.linear_regression", run(ours, "mne_regression", "A")),
        (fit, "statsmodels OLS by cell", run(ours, "statsmodels_ols", "A")),
        (fit, "statsmodels formula by cell", run(ours, "statsmodels_formula", "A")),
        (fit, "fitgrid 0.5.0", peers and run(peers, "fitgrid_lm", "A")),
        (look, "ours, all but DFBETAS", run(ours, "diagnostics", "A")),
        (look, "statsmodels: Cook, PRESS, internal", run(ours, "statsmodels_influence", "A")),
        (look, "statsmodels: external, DFFITS, COVRATIO", run(ours, "statsmodels_refits", "A")),
        (look, "fitgrid 0.5.0: Cook alone", peers and run(peers, "fitgrid_lm", "A", "cooks_distance")),
    ])  # fmt: skip
    one, two = "trials", "people"
    plain, weighted = ("clusters", "percentile", False), ("wild_clusters", "studentised", False)
    table("A, 1,000 replicates with intervals (theirs without)", [
        (one, "ours, pairs float32", run(ours, "pairs", "A", "float32")),
        (one, "ours, pairs float64", run(ours, "pairs", "A", "float64")),
        (one, "ours, pairs float32, BCa", run(ours, "pairs", "A", "float32", "pairs", "bca")),
        (one, "ours, wild float32, studentised", run(ours, "pairs", "A", "float32", "wild", "studentised")),
        (one, "numpy, gathered lstsq", run(ours, "naive", "A", "lstsq", 10)),
        (one, "numpy, gathered normal equations", run(ours, "naive", "A", "normal", 20)),
        (two, "ours, clusters float32", run(ours, "clusters", "A", "float32")),
        (two, "ours, clusters float32, studentised", run(ours, "clusters", "A", "float32", "clusters", "studentised")),
        (two, "ours, wild-clusters float32, studentised", run(ours, "clusters", "A", "float32", *weighted[:2])),
        (two, "numpy, gathered lstsq", run(ours, "naive_clusters", "A", 10)),
    ])  # fmt: skip
    table("B, 25,000 windows, 250 coefficients, 256 cells; 1,000 replicates", [
        (fit, "ours, classical", run(ours, "ols_fit", "B", "classical", "float32")),
        (fit, "ours, HC3", run(ours, "ols_fit", "B", "hc3", "float32")),
        (fit, "statsmodels OLS by cell", run(ours, "statsmodels_ols", "B")),
        (one, "ours, pairs float32", run(ours, "pairs", "B", "float32")),
        (one, "ours, wild float32", run(ours, "pairs", "B", "float32", "wild", "studentised")),
        (one, "numpy, gathered normal equations", run(ours, "naive", "B", "normal", 10)),
        (one, "numpy, gathered lstsq", run(ours, "naive", "B", "lstsq", 5)),
        (two, "ours, clusters float32", run(ours, "clusters", "B", "float32")),
        (two, "numpy, gathered lstsq", run(ours, "naive_clusters", "B", 5)),
    ])  # fmt: skip
    table("C, 10,000 windows, 8 coefficients, 19,200 cells; 1,000 replicates", [
        (fit, "ours, classical", run(ours, "ols_fit", "C", "classical", "float32")),
        (fit, "ours, HC3", run(ours, "ols_fit", "C", "hc3", "float32")),
        (fit, "ours, CR2 with sums over 40 people", run(ours, "ols_fit", "C", "cr2", "float32")),
        (two, "ours, clusters float32, with sums", run(ours, "clusters", "C", "float32")),
        (two, "ours, clusters float32, from sums", run(ours, "clusters", "C", "float32", *plain)),
        (two, "ours, wild-clusters float32, from sums", run(ours, "clusters", "C", "float32", *weighted)),
        (two, "numpy, gathered lstsq", run(ours, "naive_clusters", "C", 3)),
        (one, "ours, pairs float32", run(ours, "pairs", "C", "float32") if not quick else None),
        (one, "numpy, gathered normal equations", run(ours, "naive", "C", "normal", 3)),
        (one, "numpy, gathered lstsq", run(ours, "naive", "C", "lstsq", 2)),
    ])  # fmt: skip
    table("L, Y (25,000 x 256) = X (25,000 x 250) B + E at 1,000 time points", [
        (fit, "ours, classical, 20 time points at a time", run(ours, "large", 20)),
    ])  # fmt: skip
    growth()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers", type=Path, default=ROOT / "build/peers-grid/bin/python", help="Python of fitgrid")
    parser.add_argument("--quick", action="store_true", help="without the longest case")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        name, values = json.loads(given.case)
        (grown if name == "grown" else lambda *rest: measure(name, rest))(*values)
    else:
        main(given.peers if given.peers.is_file() else None, given.quick)
