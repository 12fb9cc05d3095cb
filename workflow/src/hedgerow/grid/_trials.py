"""Replicates over the trials of one person: rows of the design with their windows, or residuals with a sign.

The columns of the design are made orthonormal (Q), and residuals e stand in place of the windows: a replicate with
weights w_i differs from the estimate by back (Q'WQ)^-1 Q'We (pairs), or by back Q'We~ (wild, e~ = e / (1 - h)). Single
precision then costs a share of the deviation, not of the windows, however ill-conditioned the design is.
"""

import numpy as np

from hedgerow import _array
from hedgerow.grid import _definite, _intervals, errors, ols
from hedgerow.grid._people import inverted, ratio, redraw
from hedgerow.grid._weights import counts, signs
from hedgerow.grid.scratch import Tiles

#: Replicates, and cells, that are worked on together at most.
CHUNK, WIDTH = 128, 2048


class Trials:
    """Replicates of one person, tile of cells by tile and chunk of replicates by chunk; see `bootstrap.over_trials`.

    As many coefficients as are not `small` make a replicate's products of matrices dearer than to gather its distinct
    rows, 63 % of all, on which it is then worked.
    """

    def __init__(self, X, Y, *, bootstrap, interval, seed, replicates, weights, names, dtype, budget):
        basis = ols.basis_of(X, names=names)
        xp = _array.namespace(basis)
        self.xp, self.dtype = xp, getattr(xp, dtype)
        self.bootstrap, self.interval, self.seed = bootstrap, interval, seed
        self.Y, (self.units, self.cells) = Y, Y.shape
        rows = ols.rebased(X, basis, basis)
        sums = {"XtX": xp.matmul(xp.matrix_transpose(rows), rows)[None, ...], "basis": basis, "n": [self.units]}
        half = ols.whiten(sums, names=names)
        self.back, self.rows = ols.combination(sums, half, weights), xp.matmul(rows, half)
        self.k, self.p = self.back.shape
        if self.units <= self.p:
            raise ValueError(f"{self.p} coefficients and {self.units} windows: too few windows to resample.")
        rest = 1 - xp.sum(self.rows**2, axis=1)
        # a window that alone determines a direction has no residual
        self.rest = xp.where(rest > _definite.SINGULAR, rest, xp.ones_like(rest))
        self.alone = errors.alone_windows(self.rows, self.back)
        self.narrow = xp.astype(self.rows, self.dtype)
        self.small = self.p <= _definite.SMALL or not isinstance(self.rows, np.ndarray)
        size = 4 if dtype == "float32" else 8
        stacked = self.small or bootstrap == "wild"
        self.chunk = max(1, min(CHUNK, budget // (4 * size * self.p * (self.units if stacked else 8 * self.p))))
        each = (24 + 2 * size) * self.units + 3 * self.chunk * max(self.k, self.p) * size
        each += self.k * replicates * size if self.small else 0  # where tiles are drawn one by one
        self.width = max(1, min(self.cells, max(16, budget // (2 * each)), _array.room(basis, WIDTH)))
        self._hold = self.small and replicates * self.units <= budget // 4
        self._held, self._products, self._buffers = {}, None, _definite.Buffers()
        self.redrawn, self.seen, self.budget = {}, set(), budget

    def tile(self, start, stop):
        """What is needed of some cells: estimates, residuals, and what t or BCa take."""
        xp = self.xp
        y = self.Y.tile(start, stop) if isinstance(self.Y, Tiles) else self.Y[:, start:stop]
        y = _array.like(y, self.rows, dtype=xp.float64) if isinstance(y, np.ndarray) else xp.astype(y, xp.float64)
        gamma = xp.matmul(xp.matrix_transpose(self.rows), y)
        if not bool(xp.all(xp.isfinite(gamma))):
            bad = int(xp.sum(xp.astype(~xp.all(xp.isfinite(y), axis=1), xp.int64)))
            raise ValueError(f"{bad} of {self.units} windows are not finite; leave them out.")
        left = y - xp.matmul(self.rows, gamma)
        exact = ols.rounded(xp.sum(left**2, axis=0), xp.sum(y**2, axis=0), "windows") == 0
        found = {"estimate": xp.matmul(self.back, gamma), "exact": exact}
        if self.interval == "bca":
            found["acceleration"] = self._acceleration(left)
        if self.interval == "studentised":
            spread = xp.sqrt(xp.sum(left**2, axis=0) / (self.units - self.p))
            found["se"] = xp.sqrt(xp.sum(self.back**2, axis=1))[:, None] * spread[None, :]
        found["left"] = xp.astype(left / self.rest[:, None] if self.bootstrap == "wild" else left, self.dtype)
        if self.interval == "studentised":
            found["squares"] = found["left"] ** 2
        return found

    def replicates(self, tile, chunk):
        """Deviations from the estimate, or t, of the replicates of one chunk (chunk, k, w)."""
        return self._wild(tile, chunk) if self.bootstrap == "wild" else self._pairs(tile, chunk)

    def _wild(self, tile, chunk):
        """Residuals with signs, refitted; t from the residual variance of the replicate."""
        xp, first = self.xp, chunk * self.chunk
        drawn = np.stack([signs(self.units, self.seed, first + r) for r in range(self.chunk)])
        summed = self._stacked(_array.like(drawn, self.rows, dtype=self.dtype), tile["left"])
        moved = self._buffers.matmul("moved", xp.astype(self.back, self.dtype), summed)
        if self.interval != "studentised":
            return moved
        left = xp.sum(tile["squares"], axis=0) - xp.sum(summed**2, axis=1)  # (chunk, w): the square of a sign is 1
        return self._t(moved, left, xp.sqrt(xp.sum(self.back**2, axis=1))[None, :])

    def _pairs(self, tile, chunk):
        """Rows of the design with their windows, refitted; t as in `_wild`."""
        xp = self.xp
        drawn, grams, solver = self.prepared(chunk)
        weights = _array.like(drawn, self.rows, dtype=self.dtype)
        summed = self._stacked(weights, tile["left"]) if self.small else self._distinct(drawn, tile["left"])
        if self.interval != "studentised" and solver is not None:
            return self._buffers.matmul("moved", xp.astype(solver, self.dtype), summed)
        moved = _definite.solved(grams, xp.astype(summed, xp.float64))
        deviations = xp.astype(xp.matmul(self.back, moved), self.dtype)
        if self.interval != "studentised":
            return deviations
        left = xp.matmul(weights, tile["squares"]) - xp.sum(xp.astype(moved, self.dtype) * summed, axis=1)
        solver = inverted(grams, self.back) if solver is None else solver
        return self._t(deviations, left, xp.sqrt(xp.sum(solver * self.back, axis=2)))

    def _t(self, deviations, left, scale):
        """t of deviations (chunk, k, w) from residual sums of squares (chunk, w) and the scale (chunk, k) of errors."""
        xp = self.xp
        spread = xp.sqrt(xp.where(left > 0, left, xp.zeros_like(left)) / (self.units - self.p))
        return ratio(deviations, xp.astype(scale, self.dtype)[:, :, None] * spread[:, None, :])

    def prepared(self, chunk):
        """Counts (chunk, n) on the host, cross products (chunk, p, p), none singular, and back G^-1 or None."""
        if chunk not in self._held:
            first = chunk * self.chunk
            drawn = np.stack([counts(self.units, self.seed, first + r) for r in range(self.chunk)])
            grams, redrawn = redraw(drawn, self._grams, self.seed, first)
            self.redrawn |= redrawn
            self.seen.add(chunk)
            if not self._hold:
                self._held.clear()  # one chunk at a time
            # a count fits a byte
            self._held[chunk] = drawn.astype(np.uint8), grams, inverted(grams, self.back) if self.small else None
        return self._held[chunk]

    def _grams(self, drawn):
        """Cross products (B, p, p) of the rows, in double, for counts (B, n) on the host."""
        xp = self.xp
        if not isinstance(self.rows, np.ndarray) or not self.small:
            return xp.stack([self._gram(each) for each in drawn], axis=0)
        upper = np.triu_indices(self.p)
        if self._products is None:
            self._products = self.rows[:, upper[0]] * self.rows[:, upper[1]]
        flat = np.matmul(drawn.astype(float), self._products)
        grams = np.empty((len(drawn), self.p, self.p))
        grams[:, upper[0], upper[1]] = grams[:, upper[1], upper[0]] = flat
        return grams

    def _gram(self, drawn):
        """Cross products (p, p) of one replicate."""
        xp = self.xp
        if isinstance(self.rows, np.ndarray):
            rows = self._distinct_rows(drawn)[2]
            return (rows.T @ rows).astype(np.float64)  # of one array with itself: half the work
        weighted = self.rows * _array.like(drawn.astype(float), self.rows)[:, None]
        return xp.matmul(xp.matrix_transpose(weighted), self.rows)

    def _distinct_rows(self, drawn):
        """Places of the distinct rows of one replicate, roots of their counts, and the rows times these roots.

        They are valid until the next call.
        """
        places = np.flatnonzero(drawn)
        roots = np.sqrt(drawn[places, None].astype(self.dtype))
        rows = self._buffers.of("rows", (len(places), self.p), self.dtype)
        np.take(self.narrow, places, axis=0, out=rows, mode="clip")
        rows *= roots
        return places, roots, rows

    def _distinct(self, drawn, left):
        """Weighted sums (chunk, p, w) of residuals over the distinct rows of each replicate, on the host."""
        summed = self._buffers.of("summed", (len(drawn), self.p, left.shape[1]), self.dtype)
        for r, each in enumerate(drawn):
            places, roots, rows = self._distinct_rows(each)
            own = self._buffers.of("left", (len(places), left.shape[1]), self.dtype)
            np.take(left, places, axis=0, out=own, mode="clip")
            own *= roots
            np.matmul(rows.T, own, out=summed[r])
        return summed

    def _stacked(self, weights, left):
        """Weighted sums (chunk, p, w) of residuals, as one product of matrices for all replicates of a chunk."""
        xp = self.xp
        if isinstance(left, np.ndarray):
            stack = self._buffers.of("stack", (self.chunk, self.p, self.units), self.dtype)
            np.multiply(weights[:, None, :], self.narrow.T[None], out=stack)
        else:
            stack = weights[:, None, :] * xp.matrix_transpose(self.narrow)[None, :, :]
        summed = self._buffers.matmul("summed", xp.reshape(stack, (-1, self.units)), left)
        return xp.reshape(summed, (self.chunk, self.p, -1))

    def _acceleration(self, left):
        """BCa's acceleration from leaving out each window, in closed form: the estimate moves by back q_i e_i/(1-h_i).

        Sums over windows of its powers are products of the powers of either factor: no loop over windows.
        """
        xp = self.xp
        moves = xp.matmul(self.back, xp.matrix_transpose(self.rows / self.rest[:, None]))  # (k, n)
        return _intervals.skewness(*(xp.matmul(moves**power, left**power) for power in (1, 2, 3)), self.units)

    def warnings(self):
        """What to mistrust: windows that alone tell a combination, and too few of them."""
        found = []
        if self.alone.any():
            found.append(f"{self.alone.sum()} of {self.k} combinations: one window alone determines them, no interval.")
        if self.units < 3 * self.p:
            found.append(f"{self.units} windows for {self.p} coefficients are too few to trust their intervals.")
        return found
