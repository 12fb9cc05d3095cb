"""Bootstrap of the regression at every cell of the grid.

==============  ==================================================================================================
`clusters`      whole people are drawn with replacement, from their moments
`wild_clusters` every person's scores get one of six weights (Webb), from moments; t of the replicates
`pairs`         the trials of one person are drawn, with their rows of the design
`wild`          the residuals of one person's trials get a sign, the same for all cells of a trial
==============  ==================================================================================================

Each is made of a plan (`over_people`, `over_trials`) that knows how to draw any of its replicates: at once in memory
tile by tile of cells, or in blocks by several jobs, of which one that is killed goes on where it was. Weights come from
a generator keyed by seed and replicate, and the work is cut by the problem alone: no block or order changes a bit.

What is kept of a replicate is its deviation from the estimate (`percentile`, `bca`), or its t (`studentised`).
Replicates in single precision are of residuals on an orthonormal design: off by less than 1e-5 of their own size,
however alike two regressors are; estimates are always in double.

A resample whose design is singular (it lost a level) is drawn again from the next attempt's generator.

Sources: B. Efron & R. Tibshirani (1993), An Introduction to the Bootstrap; A. C. Cameron, J. B. Gelbach & D. L. Miller
(2008), Rev. Econ. Stat. 90:414-427; M. D. Webb (2023), Can. J. Econ. 56:839-858; R. Davidson & E. Flachaire (2008), J.
Econometrics 146:162-169.
"""

import array_api_compat
import numpy as np

from hedgerow import _array
from hedgerow.grid import _intervals
from hedgerow.grid._people import People
from hedgerow.grid._trials import Trials
from hedgerow.grid._weights import counts
from hedgerow.grid.choice import FEW_CLUSTERS, MIN_CLUSTERS, choose
from hedgerow.grid.scratch import Tiles

#: What is known of each cell of a tile.
PER_CELL = ("estimate", "exact", "se", "acceleration")

__all__ = ["FEW_CLUSTERS", "MIN_CLUSTERS", "Plan", "choose", "clusters", "counts", "over_people", "over_trials"]
__all__ += ["pairs", "wild", "wild_clusters"]


def over_people(
    moments,
    *,
    bootstrap,
    interval,
    seed,
    replicates=2000,
    weights=None,
    names=None,
    precision="float32",
    budget_mb=512,
):
    """Plan of the replicates over people.

    Parameters
    ----------
    moments : dict
        From `ols.moments` or `ols.combine`, over all S groups.
    bootstrap : {"clusters", "wild-clusters"}
    interval : {"percentile", "studentised", "bca"}
        ``wild-clusters`` has ``studentised`` alone.
    seed : int
        0 to 2**64 - 1.
    replicates : int
        Number of resamples B.
    weights : array_like, (k, p), optional
        Linear combinations of coefficients (`design.contrasts`); ``None``: each coefficient, k = p.
    names : list of str, (p,), optional
        Coefficients, for messages.
    precision : {"float32", "float64"}
        Of the replicates.
    budget_mb : float
        Working memory in MB (2**20 bytes) beside moments and results.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        Fewer than five groups, a design that cannot be estimated, or parameters that make no interval.
    """
    _check(bootstrap, interval, seed, replicates, precision, ("clusters", "wild-clusters"))
    units = len(moments["groups"])
    if units < MIN_CLUSTERS:
        raise ValueError(
            f"{units} groups are too few to resample; below {MIN_CLUSTERS}, resample the trials within each subject."
        )
    options = {"bootstrap": bootstrap, "interval": interval, "seed": seed, "weights": weights, "names": names}
    options |= {"replicates": replicates, "dtype": precision, "budget": _bytes(budget_mb)}
    return Plan(People(moments, **options), replicates)


def over_trials(
    X,
    Y,
    *,
    bootstrap,
    interval,
    seed,
    replicates=2000,
    weights=None,
    names=None,
    precision="float32",
    budget_mb=512,
):
    """Plan of the replicates over the trials of one person.

    Parameters
    ----------
    X : array, (n, p)
        Rows of the design matrix.
    Y : array, (n, ...), or `scratch.Tiles`
        Windows; all axes behind the first are cells. What stays in a file is read tile by tile, wherever X is.
    bootstrap : {"pairs", "wild"}
    interval : {"percentile", "studentised", "bca"}
        Not ``bca`` for ``wild``.
    seed, replicates, weights, names, precision, budget_mb
        As in `over_people`.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        A design that the windows cannot estimate, no more windows than coefficients, or parameters that make no
        interval; when a tile is worked on: windows that are not finite.
    """
    _check(bootstrap, interval, seed, replicates, precision, ("pairs", "wild"))
    if not isinstance(Y, Tiles):
        xp = _array.namespace(Y)
        Y, X = xp.reshape(Y, (Y.shape[0], -1)), _array.like(X, Y, dtype=xp.float64) if isinstance(X, np.ndarray) else X
    options = {"bootstrap": bootstrap, "interval": interval, "seed": seed, "weights": weights, "names": names}
    options |= {"replicates": replicates, "dtype": precision, "budget": _bytes(budget_mb)}
    return Plan(Trials(X, Y, **options), replicates)


class Plan:
    """Replicates that can be drawn, and the intervals that they make.

    Attributes
    ----------
    shape : (int, int, int)
        Combinations k, cells m, replicates B.
    """

    def __init__(self, work, replicates):
        self._work = work
        self.shape = (work.k, work.cells, replicates)
        self.tiles = [(a, min(a + work.width, work.cells)) for a in range(0, work.cells, work.width)]

    def fill(self, out, first, last, *, done=None):
        """Draw the replicates from `first` to before `last`.

        Parameters
        ----------
        out : ndarray or numpy.memmap, (k, m, last - first)
            What is kept of the replicates, see the module.
        first, last : int
        done : scratch.Journal, optional
            Pieces of `out` that are there already, to which each is added when it is written.
        """
        work = self._work
        chunks = range(first // work.chunk, -(-last // work.chunk))
        # where the equations of a chunk are too large to be held for all chunks, they are made once
        by_tile = work.small
        whole = work.tile(*self.tiles[0]) if not by_tile and len(self.tiles) == 1 else None
        for piece in range(len(self.tiles)) if by_tile else chunks:
            if done is not None and piece in done:
                continue
            for start, stop in [self.tiles[piece]] if by_tile else self.tiles:
                tile = whole or work.tile(start, stop)
                for chunk in chunks if by_tile else [piece]:
                    self._place(out[:, start:stop, :], first, last, chunk, work.replicates(tile, chunk))
            if done is not None:
                if isinstance(out, np.memmap):
                    out.flush()
                done.mark(piece)

    def _place(self, out, first, last, chunk, values):
        """Put those replicates of a chunk (chunk, k, w) that are asked for to their places."""
        start = chunk * self._work.chunk
        low, high = max(first, start), min(last, start + self._work.chunk)
        xp = _array.namespace(values)
        part = xp.permute_dims(values[low - start : high - start, ...], (1, 2, 0))
        if isinstance(out, np.ndarray):
            part = _array.to_numpy(part)
        out[:, :, low - first : high - first] = part

    def redrawn(self, first, last):
        """How many draws of replicates `first` to before `last` were thrown away, since their design is singular."""
        work = self._work
        if work.bootstrap not in ("clusters", "pairs"):
            return 0
        for chunk in range(first // work.chunk, -(-last // work.chunk)):
            if chunk not in work.seen:  # all of its pieces were finished by a job that was killed
                work.prepared(chunk)
        return sum(draws for replicate, draws in work.redrawn.items() if first <= replicate < last)

    def summary(self, blocks=None, *, level=0.95, redrawn=None):
        """Intervals at every cell.

        Parameters
        ----------
        blocks : list of ndarray (k, m, B_i), optional
            From `fill`, in the order of their replicates; ``None``: drawn here, tile by tile.
        level : float
            Nominal coverage, between 0 and 1.
        redrawn : int, optional
            With `blocks`: the sum of what `Plan.redrawn` gave for them.

        Returns
        -------
        dict
            ``coef``, ``ci_low``, ``ci_high``, (k, m) arrays of the kind of the data; ``se_bootstrap`` where deviations
            are kept; for wild ones with t ``p``, the share of replicates whose t is as large; ``account``. All but
            ``coef`` are NaN in cells without residual, and for what one unit alone determines.
        """
        if not 0 < level < 1:
            raise ValueError(f"level: {level} is not between 0 and 1; 0.95 is usual.")
        if blocks is not None and sum(block.shape[2] for block in blocks) != self.shape[2]:
            raise ValueError(f"blocks hold {sum(b.shape[2] for b in blocks)} replicates, of {self.shape[2]}")
        work, found = self._work, []
        xp = work.xp
        if blocks is None:
            redrawn = self.redrawn(0, self.shape[2])
        if blocks is None and not work.small:
            whole = self._room(self.shape[1])
            self.fill(whole, 0, self.shape[2])
            blocks = [whole]
        room = None if blocks is not None else self._room(self.tiles[0][1])
        for start, stop in self.tiles:
            tile = work.tile(start, stop)
            if blocks is None:
                values = room[:, : stop - start, :]
                for chunk in range(-(-self.shape[2] // work.chunk)):
                    self._place(values, 0, self.shape[2], chunk, work.replicates(tile, chunk))
            # as many cells at once as have room for their replicates, and for what is counted of them
            step = max(1, work.budget // (20 * self.shape[0] * self.shape[2]))
            for first in range(0, stop - start, step):
                last = min(first + step, stop - start)
                own = {name: tile[name][..., first:last] for name in PER_CELL if name in tile}
                part = values[:, first:last, :] if blocks is None else self._read(blocks, start + first, start + last)
                found.append(self._cells(own, part, level))
        return {name: xp.concat([part[name] for part in found], axis=1) for name in found[0]} | {
            "account": self._account(level, redrawn)
        }

    def _read(self, blocks, start, stop):
        """Replicates (k, w, B) of some cells from blocks of them."""
        work, parts = self._work, [block[:, start:stop, :] for block in blocks]
        if isinstance(parts[0], np.ndarray):
            return _array.like(np.concatenate(parts, axis=2), work.back, dtype=work.dtype)
        return work.xp.concat(parts, axis=2)

    def _room(self, cells):
        """Array for the replicates (k, cells, B) of some cells."""
        work = self._work
        shape, device = (self.shape[0], cells, self.shape[2]), array_api_compat.device(work.back)
        return work.xp.empty(shape, dtype=work.dtype, device=device)

    def _cells(self, tile, values, level):
        """Results (k, w) of some cells from their replicates (k, w, B), which are put in order."""
        work, xp = self._work, self._work.xp
        coef, out = tile["estimate"], {"coef": tile["estimate"]}
        if work.interval == "studentised":
            se = tile["se"]
            if work.bootstrap in ("wild-clusters", "wild"):
                # weights and their negatives are as likely: t is symmetric, and its size tells all
                values = _intervals.ordered(xp.abs(values))
                out["p"] = self._beyond(values, coef, se)
                limits = _intervals.symmetric(coef, se, values, level)
            else:
                limits = _intervals.studentised(coef, se, _intervals.ordered(values), level)
        else:
            out["se_bootstrap"] = _spread(values)
            values = _intervals.ordered(values)
            if work.interval == "bca":
                limits = _intervals.bca(coef, values, tile["acceleration"], level)
            else:
                limits = _intervals.percentile(coef, values, level)
        out |= dict(zip(("ci_low", "ci_high"), limits))
        # a cell without residual, and what one unit alone determines, vary by rounding: nothing is known of them
        unknown = tile["exact"][None, :] | _array.like(work.alone, tile["exact"])[:, None]
        return {
            name: values if name == "coef" else xp.where(unknown, xp.full_like(values, xp.nan), values)
            for name, values in out.items()
        }

    def _beyond(self, sizes, coef, se):
        """p (k, w): (1 + replicates whose t is as large as that of the data) / (1 + replicates)."""
        xp = self._work.xp
        t = xp.where(se > 0, xp.abs(coef) / xp.where(se > 0, se, xp.ones_like(se)), xp.zeros_like(se))
        larger = _intervals.counted(sizes >= xp.astype(t, self._work.dtype)[:, :, None])
        return (1 + xp.astype(larger, xp.float64)) / (1 + self.shape[2])

    def _account(self, level, redrawn):
        """What was resampled, and what to mistrust."""
        work, over = self._work, "people" if isinstance(self._work, People) else "trials"
        warnings = []
        if over == "people" and work.bootstrap == "clusters" and work.units < FEW_CLUSTERS:
            warnings.append(
                f"{work.units} people: {work.interval} intervals from resampling fewer than {FEW_CLUSTERS} are too "
                f"short (they hold the true value less often than {level:.0%}); bootstrap: wild-clusters serves better."
            )
        if redrawn and redrawn > 0.05 * self.shape[2]:
            warnings.append(f"{redrawn} singular resamples were drawn again: a level stands in few {over} only.")
        warnings += work.warnings()
        return {
            "bootstrap": work.bootstrap,
            "interval": work.interval,
            "resampled": over,
            "units": work.units,
            "replicates": self.shape[2],
            "level": level,
            "seed": work.seed,
            "redrawn": redrawn,
            "precision": str(work.dtype).rsplit(".", 1)[-1].strip("'>"),
            "warnings": warnings,
        }


def clusters(moments, *, interval="studentised", level=0.95, **options):
    """Intervals by drawing whole people: `over_people` and `Plan.summary` in one."""
    return over_people(moments, bootstrap="clusters", interval=interval, **options).summary(level=level)


def wild_clusters(moments, *, interval="studentised", level=0.95, **options):
    """Intervals by the wild cluster bootstrap-t: `over_people` and `Plan.summary` in one."""
    return over_people(moments, bootstrap="wild-clusters", interval=interval, **options).summary(level=level)


def pairs(X, Y, *, interval="studentised", level=0.95, **options):
    """Intervals by drawing the trials of one person: `over_trials` and `Plan.summary` in one."""
    return over_trials(X, Y, bootstrap="pairs", interval=interval, **options).summary(level=level)


def wild(X, Y, *, interval="studentised", level=0.95, **options):
    """Intervals by signs of the residuals of one person: `over_trials` and `Plan.summary` in one."""
    return over_trials(X, Y, bootstrap="wild", interval=interval, **options).summary(level=level)


def _spread(values):
    """Standard deviation (k, w) of replicates (k, w, B), in double."""
    xp, many = _array.namespace(values), values.shape[-1]
    if isinstance(values, np.ndarray):
        mean = values.mean(axis=-1, dtype=np.float64)
        squares = np.einsum("kwb,kwb->kw", values, values, dtype=np.float64)
    else:
        mean = xp.astype(xp.mean(values, axis=-1), xp.float64)
        squares = xp.astype(xp.sum(values * values, axis=-1), xp.float64)
    left = squares - many * mean**2
    return xp.sqrt(xp.where(left > 0, left, xp.zeros_like(left)) / (many - 1))


def _bytes(budget_mb):
    return int(budget_mb * 2**20)


def _check(bootstrap, interval, seed, replicates, precision, known):
    """Refuse parameters that make no interval, before any work."""
    if bootstrap not in known:
        raise ValueError(f"bootstrap: {bootstrap!r} is none of {', '.join(known)}.")
    choose(bootstrap, interval, "auto", MIN_CLUSTERS)
    if interval not in ("percentile", "studentised", "bca"):
        raise ValueError(f"interval: {interval!r} is none of percentile, studentised, bca.")
    if precision not in ("float32", "float64"):
        raise ValueError(f"precision: {precision!r} is neither float32 nor float64.")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed: {seed} is not a whole number from 0 to 2**64 - 1.")
    if replicates < 2:
        raise ValueError(f"replicates: {replicates} is too few; 2000 is usual for percentile intervals.")
