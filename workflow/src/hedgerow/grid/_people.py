"""Replicates over people, from their moments alone: whole people are drawn, or their scores are given a weight.

Everything is in the whitened basis, in which the design of all windows is the identity. With G_g the cross products of
group g, s_g its scores (design times residuals) and b_k the row of `back` that makes combination k of the whitened
coefficients, a replicate with weights c_g (counts) or v_g (Webb's) differs from the estimate by

    clusters        b_k' (sum c_g G_g)^-1 (sum c_g s_g)
    wild-clusters   b_k' (sum v_g (I - G_g)^-1 s_g)

(scores of the residuals that leaving out the group gives: with few groups those of the fit are too small), so that the
cost of a replicate does not depend on the number of windows. The square of its standard error is that of
CR1 without its factor, which cancels: squared combinations of the scores that are left after the replicate's own fit,
summed over groups. As a sum of squares it is safe in single precision.

Sources: A. C. Cameron, J. B. Gelbach & D. L. Miller (2008), Rev. Econ. Stat. 90:414-427; J. G. MacKinnon, M. Ø. Nielsen
& M. D. Webb (2023), J. Appl. Econometrics 38:671-694 (from sums alone; the variant that they call S).
"""

import functools

import numpy as np

from hedgerow import _array
from hedgerow.grid import _cr2, _definite, _intervals, errors, ols
from hedgerow.grid._weights import counts, webb

#: Draws of one replicate before the design is declared unfit for resampling.
ATTEMPTS = 100
#: Replicates that are worked on together.
CHUNK = 64
#: Degrees of freedom of CR2 below which a bootstrap over people holds its level no more (see the benchmarks).
FEW = 5
#: Bytes that are worked on together: what a core's cache holds.
NEAR = 2**22


class People:
    """Replicates of one study, tile of cells by tile and chunk of replicates by chunk; see `bootstrap.over_people`.

    A chunk is always computed whole, and tiles are cut by the problem alone: so the bits do not depend on who asks.
    """

    def __init__(self, moments, *, bootstrap, interval, seed, replicates, weights, names, dtype, budget):
        xp = _array.namespace(moments["XtY"])
        self.xp, self.dtype = xp, getattr(xp, dtype)
        self.bootstrap, self.interval, self.seed = bootstrap, interval, seed
        self.moments, self.half = moments, ols.whiten(moments, names=names)
        self.back = ols.combination(moments, self.half, weights)
        self.gram = xp.matmul(xp.matmul(xp.matrix_transpose(self.half), moments["XtX"]), self.half)
        self.units, self.p, self.k = len(moments["groups"]), self.half.shape[0], self.back.shape[0]
        self.cells, self.redrawn, self.seen = moments["XtY"].shape[2], {}, set()
        self._held, self._buffers = {}, _definite.Buffers()
        self.budget = budget
        self.alone = errors.alone(self.gram, self.back)
        self.small = self.p <= _definite.SMALL
        wide, size = max(self.k, self.p), 4 if dtype == "float32" else 8
        self.chunk = max(1, min(CHUNK, budget // (32 * wide * self.p)))
        # scores in double, and a chunk of replicates
        each = 32 * self.units * self.p + 3 * self.chunk * wide * size
        each += self.k * replicates * size if self.small else 0  # where tiles are drawn one by one
        most = budget // (2 * each)
        #: Whether the squares of t are expanded: cheaper where groups are many, exact enough where they are no few.
        self.expanded = bootstrap == "wild-clusters" and self.units >= 3 * self.p and self.k * self.p <= 1024
        # of a chunk the replicates, or their products with the scores; of one replicate the scores of all groups
        together = self.chunk * (self.k * self.p if self.expanded else wide)
        together = max(together, self.units * self.k) if interval == "studentised" else together
        near = _array.room(self.back, NEAR) // (together * size)
        self.width = max(1, min(self.cells, max(16, min(most, near))))

    def tile(self, start, stop):
        """What is needed of some cells: estimates, scores of every group, and what t or BCa take."""
        xp, part = self.xp, self.moments["XtY"][:, :, start:stop]
        whitening = xp.matrix_transpose(self.half)
        gamma = xp.matmul(whitening, xp.sum(part, axis=0))
        scores = xp.matmul(whitening, part - xp.matmul(self.moments["XtX"], xp.matmul(self.half, gamma)))
        squares = xp.sum(self.moments["YtY"][:, start:stop], axis=0)
        exact = ols.rounded(squares - xp.sum(gamma * gamma, axis=0), squares, "sums") == 0
        found = {"estimate": xp.matmul(self.back, gamma), "scores": xp.astype(scores, self.dtype), "exact": exact}
        if self.interval == "bca":
            found["acceleration"] = self._acceleration(scores)
        if self.interval == "studentised":
            found["se"] = xp.sqrt(xp.sum(xp.matmul(self.back, scores) ** 2, axis=0))
        if self.bootstrap == "wild-clusters":
            scores = xp.matmul(self._inverse, scores)
            found["scores"] = xp.astype(scores, self.dtype)
            found["combined"] = xp.astype(xp.matmul(self.back, scores), self.dtype)
        return found

    def replicates(self, tile, chunk):
        """Deviations from the estimate, or t, of the replicates of one chunk (chunk, k, w)."""
        return self._wild(tile, chunk) if self.bootstrap == "wild-clusters" else self._clusters(tile, chunk)

    def _summed(self, drawn, scores):
        """Weighted sums of scores (chunk, p, w) for weights (chunk, S)."""
        xp = self.xp
        summed = self._buffers.matmul("summed", drawn, xp.reshape(scores, (self.units, -1)))
        return xp.reshape(summed, (-1, *scores.shape[1:]))

    def _wild(self, tile, chunk):
        """t of replicates whose scores have weights."""
        xp, first = self.xp, chunk * self.chunk
        drawn = np.stack([webb(self.units, self.seed, first + r) for r in range(self.chunk)])
        drawn = _array.like(drawn, self.back, dtype=self.dtype)
        summed = self._summed(drawn, tile["scores"])
        moved = self._buffers.matmul("moved", xp.astype(self.back, self.dtype), summed)
        if self.expanded:
            return ratio(moved, xp.sqrt(self._expanded(tile, drawn, summed)))
        cross, shape = xp.astype(xp.reshape(self.cross, (-1, self.p)), self.dtype), tile["combined"].shape
        for r in range(self.chunk):
            own = xp.reshape(self._buffers.matmul("own", cross, summed[r, ...]), shape)
            own -= tile["combined"] * drawn[r, :][:, None, None]
            moved[r, ...] = ratio(moved[r, ...], xp.sqrt(_squares(own)))
        return moved

    def _expanded(self, tile, drawn, summed):
        """Sum over g of (v_g b_k's_g - b_k'G_g delta)², multiplied out (chunk, k, w): products of matrices alone.

        As a_gk = G_g b_k: sum v_g² (b_k's_g)² + delta' (sum a_gk a_gk' delta - 2 sum v_g a_gk b_k's_g).
        """
        xp, shape = self.xp, (self.chunk, self.k, self.p, -1)
        if "products" not in tile:
            combined = tile["combined"]
            tile["products"] = combined[:, :, None, :] * xp.astype(self.cross, self.dtype)[:, :, :, None]
            tile["squares"] = combined * combined
        by_k = xp.permute_dims(self.cross, (1, 0, 2))
        inner = xp.astype(xp.reshape(xp.matmul(xp.matrix_transpose(by_k), by_k), (-1, self.p)), self.dtype)
        both = xp.reshape(self._buffers.matmul("inner", inner, summed), shape)
        mixed = xp.reshape(tile["products"], (self.units, -1))
        both -= xp.reshape(self._buffers.matmul("mixed", 2 * drawn, mixed), shape)
        squares = self._buffers.matmul("squares", drawn * drawn, xp.reshape(tile["squares"], (self.units, -1)))
        squares = xp.reshape(squares, (self.chunk, self.k, -1))
        if isinstance(both, np.ndarray):
            squares += np.einsum("rkpw,rpw->rkw", both, summed)
        else:
            squares += xp.sum(both * summed[:, None, :, :], axis=2)
        return xp.where(squares > 0, squares, xp.zeros_like(squares))

    def _clusters(self, tile, chunk):
        """Deviations, or t, of replicates of whole groups."""
        xp = self.xp
        drawn, grams, solver = self.prepared(chunk)
        drawn = _array.like(drawn, self.back, dtype=self.dtype)
        summed = self._summed(drawn, tile["scores"])
        if self.interval != "studentised" and solver is not None:
            return self._buffers.matmul("moved", xp.astype(solver, self.dtype), summed)
        moved = _definite.solved(grams, xp.astype(summed, xp.float64))  # (chunk, p, w)
        deviations = xp.astype(xp.matmul(self.back, moved), self.dtype)
        if self.interval != "studentised":
            return deviations
        solver = inverted(grams, self.back) if solver is None else solver
        solver, moved = xp.astype(solver, self.dtype), xp.astype(moved, self.dtype)
        flat = xp.astype(xp.reshape(self.gram, (-1, self.p)), self.dtype)
        for r in range(self.chunk):
            left = tile["scores"] - xp.reshape(xp.matmul(flat, moved[r, ...]), tile["scores"].shape)
            # a group that was drawn c times counts c times
            own = xp.matmul(solver[r, ...], left) * xp.sqrt(drawn[r, :])[:, None, None]
            deviations[r, ...] = ratio(deviations[r, ...], xp.sqrt(_squares(own)))
        return deviations

    def prepared(self, chunk):
        """Counts (chunk, S) on the host, cross products (chunk, p, p), none singular, and back G^-1 or None."""
        if chunk not in self._held:
            xp, first = self.xp, chunk * self.chunk
            flat = xp.reshape(self.gram, (self.units, -1))

            def grams_of(some):
                return xp.reshape(xp.matmul(_array.like(some.astype(float), flat), flat), (-1, self.p, self.p))

            drawn = np.stack([counts(self.units, self.seed, first + r) for r in range(self.chunk)])
            grams, redrawn = redraw(drawn, grams_of, self.seed, first)
            self.redrawn |= redrawn
            self.seen.add(chunk)
            if not self.small:
                self._held.clear()  # one chunk at a time
            self._held[chunk] = drawn, grams, inverted(grams, self.back) if self.small else None
        return self._held[chunk]

    def _acceleration(self, scores):
        """BCa's acceleration from leaving out each group, in closed form: the estimate moves by b'(I - G_g)^-1 s_g."""
        xp = self.xp
        out = xp.matmul(xp.matmul(self.back, self._inverse), scores)
        return _intervals.skewness(*(xp.sum(out**power, axis=0) for power in (1, 2, 3)), self.units)

    @functools.cached_property
    def cross(self):
        """Rows b_k'G_g (S, k, p)."""
        return self.xp.matmul(self.back, self.gram)

    @functools.cached_property
    def _split(self):
        return _cr2.split(self.gram)

    @functools.cached_property
    def _inverse(self):
        """(I - G_g)^-1 (S, p, p): the inverse of the design without each group."""
        vectors = self._split.vectors
        return self.xp.matmul(vectors * self._split.inverse[:, None, :], self.xp.matrix_transpose(vectors))

    def warnings(self):
        """What to mistrust: few people who tell a combination."""
        found, known = [], np.flatnonzero(~self.alone)
        if self.alone.any():
            found.append(f"{self.alone.sum()} of {self.k} combinations: one person alone determines them, no interval.")
        if self.small and known.size:
            df = _cr2.satterthwaite(self._split, self.xp.take(self.back, _array.like(known, self.back), axis=0))
            few = np.count_nonzero(df < FEW)
            if few:
                found.append(
                    f"{few} of {self.k} combinations rest on few people (fewer than {FEW} degrees of freedom): their "
                    "intervals by bootstrap are too short; bootstrap: none with errors: cr2 holds the level."
                )
        return found


def redraw(drawn, grams_of, seed, first):
    """Draw the singular ones of some replicates again, in place.

    Parameters
    ----------
    drawn : ndarray of int (B, units)
        Counts.
    grams_of : callable
        Cross products (B, p, p) of counts.
    seed, first : int
        Seed, and number of the first replicate.

    Returns
    -------
    grams : array (B, p, p)
        Of what was drawn, none singular.
    redrawn : dict of int to int
        Replicates that were drawn again, and how often.

    Raises
    ------
    ValueError
        A replicate stays singular.
    """
    grams, redrawn = grams_of(drawn), {}
    again = np.flatnonzero(_definite.singular(grams))
    for attempt in range(1, ATTEMPTS + 1):
        if again.size == 0:
            return grams_of(drawn) if redrawn else grams, redrawn
        redrawn |= {first + int(place): attempt for place in again}
        drawn[again] = [counts(drawn.shape[1], seed, first + int(place), attempt) for place in again]
        again = again[_definite.singular(grams_of(drawn[again]))]
    raise ValueError(
        f"{again.size} of {len(drawn)} replicates stay singular after {ATTEMPTS} draws: the design tells the "
        f"{drawn.shape[1]} resampled units apart (a term with a level in one or few of them); leave that term out."
    )


def inverted(grams, back):
    """back G^-1 (B, k, p) for each of `grams` (B, p, p) and `back` (k, p)."""
    xp = _array.namespace(grams)
    right = xp.broadcast_to(xp.matrix_transpose(back), (grams.shape[0], *reversed(back.shape)))
    return xp.matrix_transpose(_definite.solved(grams, right))


def ratio(above, below):
    """above / below; 0 / 0 is 0 (cells without residual), and anything else over 0 is infinite."""
    xp = _array.namespace(above)
    some = below > 0
    whole = xp.where(above == 0, xp.zeros_like(above), xp.copysign(xp.full_like(above, xp.inf), above))
    return xp.where(some, above / xp.where(some, below, xp.ones_like(below)), whole)


def _squares(values):
    """Sums over groups (k, w) of the squares of values (S, k, w)."""
    if isinstance(values, np.ndarray):
        return np.einsum("gkw,gkw->kw", values, values)
    return _array.namespace(values).sum(values * values, axis=0)
