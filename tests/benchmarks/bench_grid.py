"""Regression over the grid: coverage of its intervals, the null twin, and CPU seconds against loops over cells.

Core only, seeded, prints Markdown: ``python tests/benchmarks/bench_grid.py [--seeds 400]``.

The simulated study is the demo's in small: 24 subjects with 12 to 36 trials each, ``~ kind * intensity + sex``, every
coefficient of every subject scattered about the planted one, residuals of unlike size between subjects. The truth that
an interval has to hold is the planted coefficient of the population.
"""

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))

import numpy as np
import scipy.stats

from hedgerow.grid import bootstrap, ols

NAMES = ["Intercept", "kind[T.b]", "intensity", "kind[T.b]:intensity", "sex[T.M]"]
SUBJECTS, CELLS = 24, 8
METHODS = ["percentile bootstrap over subjects", "CR1 with t(subjects - 1)", "classical (ignores subjects)"]


def study(seed, effect):
    """Design rows (n, 5), windows (n, cells) in µV, subject (n,) and planted coefficients (5, cells)."""
    rng = np.random.default_rng([seed, 1])
    planted = effect * np.random.default_rng(0).normal(0, 2, (len(NAMES), CELLS))
    trials = rng.integers(12, 37, SUBJECTS)
    subject = np.repeat(np.arange(SUBJECTS), trials)
    kind, intensity = rng.integers(0, 2, subject.size), rng.uniform(-1, 1, subject.size)
    sex = (np.arange(SUBJECTS) % 2)[subject]
    X = np.column_stack([np.ones(subject.size), kind, intensity, kind * intensity, sex]).astype(float)
    scatter = rng.normal(0, [[[2.0]], [[1.0]], [[1.0]], [[1.0]], [[0.0]]], (len(NAMES), SUBJECTS, CELLS))
    noise = rng.uniform(3, 9, SUBJECTS)[subject, None] * rng.normal(size=(subject.size, CELLS))
    Y = X @ planted + np.einsum("np,pnm->nm", X, scatter[:, subject]) + noise
    return X, Y, subject, planted


def intervals(seed, effect, replicates):
    """Whether each method's 95 % interval holds the truth: (methods, 5, cells) of bool."""
    X, Y, subject, planted = study(seed, effect)
    sums = ols.moments(X, Y, subject, basis=ols.basis_of(X))
    found, drawn = ols.fit(sums), bootstrap.clusters(sums, seed=seed, replicates=replicates)
    held = [(drawn["ci_low"] <= planted) & (planted <= drawn["ci_high"])]
    for se, df in ((found["se_cluster"], found["df_cluster"]), (found["se"], found["df"])):
        held.append(np.abs(found["coef"] - planted) <= scipy.stats.t.ppf(0.975, df) * se)
    return np.array(held)


def coverage(seeds, replicates, *, effect, title):
    """Print how often the intervals hold the truth (with effects) or exclude it (null twin); errors are over seeds."""
    # the twin has seeds of its own: intervals shift with the truth, so the same seeds would only repeat the first table
    first = 0 if effect else 10**6
    held = np.array([intervals(first + seed, effect, replicates) for seed in range(seeds)]).mean(axis=-1)
    share = 100 * (held if effect else 1 - held)  # (seeds, methods, coefficients)
    print(f"\n**{title}**, in % (Monte Carlo standard error); {seeds} seeds, {SUBJECTS} subjects,")
    print(f"{CELLS} cells, {replicates} replicates\n")
    print("| coefficient | " + " | ".join(METHODS) + " |\n|" + "---|" * (len(METHODS) + 1))
    columns = [(name, share[:, :, j]) for j, name in enumerate(NAMES)]
    for name, values in [*columns, ("all", share.mean(axis=-1))]:
        mean, error = values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(seeds)
        print(f"| {name} | " + " | ".join(f"{m:.1f} ({e:.1f})" for m, e in zip(mean, error)) + " |")


def seconds(work, repeats=1):
    """CPU seconds of one call, after one call to warm up where it is repeated."""
    if repeats > 1:
        work()
    start = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - start) / repeats


def speed():
    """Print CPU seconds of the grid and the bootstrap against loops, all in this run."""
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    n, cells, subjects = 400, 4800, 40
    X = np.column_stack([np.ones(n), rng.integers(0, 2, n), rng.normal(size=n)])
    X = np.column_stack([X, X[:, 1] * X[:, 2]])
    Y, subject = rng.normal(size=(n, cells)), np.arange(n) % subjects
    basis = ols.basis_of(X)
    sums = ols.moments(X, Y, subject, basis=basis)

    def by_statsmodels():
        for j in range(480):
            model = sm.OLS(Y[:, j], X).fit()
            _ = model.params, model.bse, model.tvalues, model.rsquared

    def by_lstsq():
        for j in range(480):
            np.linalg.lstsq(X, Y[:, j])

    def replicates_by_lstsq():
        for _ in range(5):
            rows = np.concatenate([np.flatnonzero(subject == g) for g in rng.integers(0, subjects, subjects)])
            np.linalg.lstsq(X[rows], Y[rows])

    grid = seconds(lambda: ols.fit(ols.moments(X, Y, subject, basis=basis)), 5)
    whole = seconds(lambda: bootstrap.clusters(sums, seed=0, replicates=1000), 2)
    trials = seconds(lambda: bootstrap.trials(X, Y, seed=0, replicates=1000), 2)
    loop = 200 * seconds(replicates_by_lstsq)
    rows = [
        ("coefficients, classical and cluster errors, t, R²", "ours, from windows", grid, grid),
        ("coefficients, classical errors, t, R²", "statsmodels, cell by cell", 10 * seconds(by_statsmodels), grid),
        ("coefficients only", "numpy lstsq, cell by cell", 10 * seconds(by_lstsq), grid),
        ("1,000 replicates over subjects, intervals", "ours, from moments", whole, whole),
        ("1,000 replicates over subjects, no intervals", "numpy lstsq, all cells at once", loop, whole),
        ("1,000 replicates over trials, intervals", "ours, from windows", trials, trials),
        ("1,000 replicates over trials, no intervals", "numpy lstsq, all cells at once", loop, trials),
    ]
    print(f"\n**CPU seconds**, {n} windows of {subjects} subjects, {X.shape[1]} coefficients, {cells} cells, one run,")
    print("one thread (loops over 480 cells or 5 replicates, scaled)\n")
    print("| what | how | CPU s | times ours |\n|---|---|---|---|")
    for what, how, spent, ours in rows:
        print(f"| {what} | {how} | {spent:.3f} | {spent / ours:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--replicates", type=int, default=1000)
    arguments = parser.parse_args()
    began = time.process_time()
    coverage(arguments.seeds, arguments.replicates, effect=1.0, title="Coverage of 95 % intervals")
    coverage(arguments.seeds, arguments.replicates, effect=0.0, title="Null twin: effects found where there are none")
    speed()
    print(f"\n{time.process_time() - began:.0f} CPU seconds in all.")
