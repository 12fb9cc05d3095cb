"""Coverage of the grid's 95 % intervals: how often each method's interval holds the value that was planted.

Core only, seeded, prints Markdown: ``python tests/benchmarks/bench_grid_coverage.py [--seeds 500] [--jobs 2]``.

Over people: S = 8, 18, 40, 100 with 8 to 60 trials each (skewed: a few people have most of them), ``~ kind * sex +
intensity``, the coefficients of every person scattered about the planted ones, skewed residuals whose size differs
between people (factor 4) and between conditions (factor 1.5). A third of the people are of one sex. The truth is the
coefficient of the population. Over trials: one person with 20 to 320 trials, ``~ kind + intensity``, skewed residuals
whose size grows with the regressors.

The cells of a study are independent; Monte Carlo errors are those of the mean over studies. What is planted changes no
share: intervals move with the truth (tests hold it), so that 100 less a share is also what is found where nothing is.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))

import numpy as np
import scipy.stats

from hedgerow.grid import bootstrap, ols

PEOPLE, TRIALS = (8, 18, 40, 100), (20, 40, 80, 320)
OVER_PEOPLE = ["Intercept", "kind[T.b]", "sex[T.M]", "intensity", "kind[T.b]:sex[T.M]"]
OVER_TRIALS = ["Intercept", "kind[T.b]", "intensity"]
CELLS, LEVEL = 8, 0.95


def skewed(rng, shape):
    """Residuals of mean 0 and variance 1 with a long right tail (skewness 1.4)."""
    return (rng.gamma(2.0, size=shape) - 2.0) / np.sqrt(2.0)


def study(people, seed):
    """Rows (n, 5), windows (n, cells) in µV, person of each (n,), planted coefficients (5, cells)."""
    rng = np.random.default_rng([seed, people, 1])
    planted = np.random.default_rng(0).normal(0, 2, (len(OVER_PEOPLE), CELLS))
    trials = np.clip(np.round(rng.lognormal(3.0, 0.6, people)), 8, 60).astype(int)
    who = np.repeat(np.arange(people), trials)
    # every person has trials of both kinds, unequally many
    kind = (rng.uniform(size=who.size) < rng.uniform(0.25, 0.75, people)[who]).astype(int)
    first = np.searchsorted(who, np.arange(people))
    kind[first], kind[first + 1] = 0, 1
    sex, intensity = (np.arange(people) % 3 == 0)[who], rng.uniform(-1, 1, who.size)
    X = np.column_stack([np.ones(who.size), kind, sex, intensity, kind * sex]).astype(float)
    scatter = np.array([2.0, 1.0, 0.0, 1.0, 0.0])[:, None, None] * skewed(rng, (len(OVER_PEOPLE), people, CELLS))
    size = rng.uniform(2, 8, people)[who] * np.where(kind, 1.5, 1.0)
    Y = X @ planted + np.einsum("np,pnm->nm", X, scatter[:, who]) + size[:, None] * skewed(rng, (who.size, CELLS))
    return X, Y, who.astype(str), planted


def person(trials, seed):
    """Rows (n, 3), windows (n, cells) in µV of one person, planted coefficients (3, cells)."""
    rng = np.random.default_rng([seed, trials, 2])
    planted = np.random.default_rng(0).normal(0, 2, (len(OVER_TRIALS), CELLS))
    kind, intensity = np.arange(trials) % 3 == 0, rng.uniform(-1, 1, trials)
    X = np.column_stack([np.ones(trials), kind, intensity]).astype(float)
    size = 3 * (1 + kind) * np.exp(0.7 * intensity)
    return X, X @ planted + size[:, None] * skewed(rng, (trials, CELLS)), planted


def by_t(found, planted):
    """Whether estimate ± t quantile x standard error holds the truth, (p, cells)."""
    reach = scipy.stats.t.ppf((1 + LEVEL) / 2, found["df"])[:, None] * found["se"]
    return np.abs(found["coef"] - planted) <= reach, 2 * reach


def by_bootstrap(found, planted):
    """Whether the interval holds the truth, and its length, (p, cells)."""
    return (found["ci_low"] <= planted) & (planted <= found["ci_high"]), found["ci_high"] - found["ci_low"]


def over_people(people, seed, replicates):
    """Method to (held, length), each (p, cells), of one simulated study."""
    X, Y, who, planted = study(people, seed)
    sums = ols.moments(X, Y, who, basis=ols.basis_of(X))
    drawn = {"seed": seed, "replicates": replicates, "level": LEVEL}
    return {
        "classical": by_t(ols.fit_moments(sums, errors="classical"), planted),
        "CR1, t(S - 1)": by_t(ols.fit_moments(sums, errors="cr1"), planted),
        "CR2, Satterthwaite": by_t(ols.fit_moments(sums, errors="cr2"), planted),
        "clusters, percentile": by_bootstrap(bootstrap.clusters(sums, interval="percentile", **drawn), planted),
        "clusters, studentised": by_bootstrap(bootstrap.clusters(sums, interval="studentised", **drawn), planted),
        "clusters, BCa": by_bootstrap(bootstrap.clusters(sums, interval="bca", **drawn), planted),
        "wild-clusters, studentised": by_bootstrap(bootstrap.wild_clusters(sums, **drawn), planted),
    }


def over_trials(trials, seed, replicates):
    """As `over_people`, of one simulated person."""
    X, Y, planted = person(trials, seed)
    drawn = {"seed": seed, "replicates": replicates, "level": LEVEL}
    return {
        "classical": by_t(ols.fit(X, Y, errors="classical"), planted),
        "HC0": by_t(ols.fit(X, Y, errors="hc0"), planted),
        "HC3": by_t(ols.fit(X, Y, errors="hc3"), planted),
        "pairs, percentile": by_bootstrap(bootstrap.pairs(X, Y, interval="percentile", **drawn), planted),
        "pairs, studentised": by_bootstrap(bootstrap.pairs(X, Y, interval="studentised", **drawn), planted),
        "pairs, BCa": by_bootstrap(bootstrap.pairs(X, Y, interval="bca", **drawn), planted),
        "wild, percentile": by_bootstrap(bootstrap.wild(X, Y, interval="percentile", **drawn), planted),
        "wild, studentised": by_bootstrap(bootstrap.wild(X, Y, interval="studentised", **drawn), planted),
    }


def one(job):
    """Means over the cells of one study: {method: (p, 2)}."""
    simulate, size, seed, replicates = job
    found = simulate(size, seed, replicates)
    return {name: np.stack([held.mean(axis=1), length.mean(axis=1)], axis=1) for name, (held, length) in found.items()}


def table(pool, simulate, sizes, names, unit, *, seeds, replicates):
    """Print coverage by method, size and coefficient, and the length of each method's intervals."""
    for size in sizes:
        jobs = [(simulate, size, seed, replicates) for seed in range(seeds)]
        found = list(pool.map(one, jobs, chunksize=8))
        print(f"\n**{size} {unit}**\n")
        print("| method | " + " | ".join(names) + " | all | length |\n|" + "---|" * (len(names) + 3))
        lengths = {}
        for method in found[0]:
            values = np.stack([each[method] for each in found])  # (seeds, p, 2)
            lengths[method] = values[:, :, 1].mean()
            share = 100 * np.column_stack([values[:, :, 0], values[:, :, 0].mean(axis=1)])
            mean, error = share.mean(axis=0), share.std(axis=0, ddof=1) / np.sqrt(seeds)
            cells = " | ".join(f"{m:.1f} ({e:.1f})" for m, e in zip(mean, error))
            print(f"| {method} | {cells} | {lengths[method] / lengths['classical']:.2f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--replicates", type=int, default=999)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    began = time.perf_counter()
    options = {"seeds": arguments.seeds, "replicates": arguments.replicates}
    print("Share of intervals that hold the truth, in % (Monte Carlo standard error); length: mean, times that of")
    print(f"classical intervals; {arguments.seeds} studies a row, {CELLS} cells, {arguments.replicates} replicates")
    with ProcessPoolExecutor(arguments.jobs) as pool:
        table(pool, over_people, PEOPLE, OVER_PEOPLE, "people", **options)
        table(pool, over_trials, TRIALS, OVER_TRIALS, "trials of one person", **options)
    print(f"\n{time.perf_counter() - began:.0f} s in all.")
