"""The grid on a GPU: wall seconds of fits and bootstraps, on the device and with transfer, beside its own ceilings.

Prints Markdown: ``python tests/benchmarks/bench_grid_gpu.py [--quick]``. Needs numpy, scipy, array-api-compat, and
CuPy or torch with a CUDA device; without one it says so, and with `--quick` torch on the CPU stands in for it at small
shapes.

Shapes are those of bench_grid.py: B 25,000 windows, 250 coefficients, 256 cells; C 10,000, 8, 19,200; L is B at 1,000
time points. The last table tries what counts of a bootstrap allow: they are small whole numbers, exact in bfloat16, so
that the product with values split into a sum of bfloat16 terms may run on the units for bfloat16.
"""

import argparse
import math
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")
sys.path.insert(0, str(Path(__file__).resolve().parent))

import numpy as np
from bench_clean_gpu import best, devices
from bench_grid import SHAPES, data

from hedgerow import _array
from hedgerow.grid import bootstrap, ols


def waited(found):
    """`found`, of which one number has come to the host: all work before it is done."""
    for value in found.values():
        if hasattr(value, "shape") and not isinstance(value, np.ndarray) and math.prod(value.shape):
            float(value[(0,) * value.ndim])
    return found


def fetched(found):
    """Arrays of `found` on the host."""
    return {name: _array.to_numpy(value) for name, value in found.items() if hasattr(value, "shape")}


def works(replicates):
    """Name of each job, and what does it on arrays X, Y where they are."""
    drawn = {"seed": 1, "replicates": replicates, "level": 0.95, "precision": "float32", "interval": "percentile"}

    def clusters(X, Y, who):
        return bootstrap.clusters(ols.moments(X, Y, who, basis=ols.basis_of(X)), **drawn)

    return {
        "fit, classical": lambda X, Y, who: ols.fit(X, Y, errors="classical"),
        "fit, HC3": lambda X, Y, who: ols.fit(X, Y, errors="hc3"),
        f"clusters, {replicates:,} replicates": clusters,
        f"pairs, {replicates:,} replicates": lambda X, Y, who: bootstrap.pairs(X, Y, **drawn),
    }


def shape_rows(name, shape, replicates, there):
    """Lines of the table for one shape: each job on each device, without and with transfer."""
    X, Y, who = data(shape)
    for what, work in works(replicates).items():
        for device, move in there.items():
            x, y = move(X), move(Y)
            alone, found = best(lambda x=x, y=y, work=work: waited(work(x, y, who)))
            whole, _ = best(lambda move=move, work=work: fetched(work(move(X), move(Y), who)))
            size = tuple(found.get("ci_low", found["coef"]).shape)
            print(f"| {name} | {what} | {device} | {alone:.4f} | {whole:.4f} | {size} |", flush=True)


def large(points, shape, there):
    """Lines for L: one time point after the other, its values on the device and from the host."""
    X, Y, _ = data(shape)
    for device, move in there.items():
        x, y = move(X), move(Y)
        alone, _ = best(lambda x=x, y=y: [waited(ols.fit(x, y, errors="classical")) for _ in range(points)])
        whole, _ = best(lambda x=x, move=move: [waited(ols.fit(x, move(Y), errors="classical")) for _ in range(points)])
        alone, whole = 1000 / points * alone, 1000 / points * whole
        print(f"| L | fit, 1,000 time points (from {points}) | {device} | {alone:.3f} | {whole:.3f} | |")


def splitting(shape, replicates):
    """Try the product of counts and values in float32 and as one to three terms of bfloat16 (torch alone has it)."""
    import torch

    n, _, m = shape
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rng = np.random.default_rng(0)
    counts = torch.asarray(rng.multinomial(n, np.full(n, 1 / n), replicates).astype(np.float32), device=device)
    values = torch.asarray(rng.standard_normal((n, m), dtype=np.float32), device=device)
    exact = (counts[:8].double() @ values.double()).cpu().numpy()
    terms, rest = [], values
    for _ in range(3):
        terms.append(rest.to(torch.bfloat16))
        rest = rest - terms[-1].float()
    whole = counts.to(torch.bfloat16)

    def product(term):
        """Counts times a term, summed in float32; the CPU has no such product, and tells of its error alone."""
        if device == "cuda":
            return torch.mm(whole, term, out_dtype=torch.float32)
        return whole.float() @ term.float()

    print(f"\nCounts ({replicates} x {n:,}, at most {int(counts.max())}) times values ({n:,} x {m:,}) on {device}\n")
    print("| how | s | TFLOP/s | largest error, of the largest value |\n|---|---|---|---|")
    kinds = {"float32": lambda: counts @ values}
    for used in (1, 2, 3):
        kinds[f"bfloat16, {used} terms"] = lambda used=used: sum(product(term) for term in terms[:used])
    for name, work in kinds.items():
        spent, found = best(lambda work=work: (lambda y: (float(y[0, 0]), y)[1])(work()))
        unlike = np.abs(found[:8].cpu().numpy() - exact).max() / np.abs(exact).max()
        print(f"| {name} | {spent:.4f} | {2 * replicates * n * m / spent / 1e12:.2f} | {unlike:.1e} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small shapes, and torch on the CPU where no GPU is")
    quick = parser.parse_args().quick
    found = devices(quick)
    if not found:
        sys.exit(print("The grid was not run on a GPU: neither CuPy nor torch finds a CUDA device here."))
    sizes = {"B": (2000, 50, 64), "C": (1000, 8, 1000)} if quick else {name: SHAPES[name] for name in "BC"}
    print("| shape | what | how | s, on the device | s, with transfer | result |\n|---|---|---|---|---|---|")
    for name, shape in sizes.items():
        shape_rows(name, shape, 100 if quick else 1000, found)
    large(2 if quick else 50, sizes["B"], found)
    splitting(sizes["C"], 100 if quick else 1000)
