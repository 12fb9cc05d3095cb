"""The units of a model's inference: everybody together, or each of a few people alone, over its trials.

Over people, moments are all that is needed. Over trials, a unit has its rows of the design matrix and its windows too,
which stay in a file of tiles (`scratch`). In a model with lags the coefficients of the fit are those of the design at
every lag, and its cells the channels.
"""

import dataclasses

import numpy as np

from hedgerow import _array
from hedgerow.grid import _lags, bootstrap, design, moments, ols, rerp, scratch
from hedgerow.rows import subject_labels

#: Bytes of windows, as float64, that are fitted at a time.
ROOM = 2**26


@dataclasses.dataclass(frozen=True)
class Frame:
    """What all units of a model have in common.

    Attributes
    ----------
    family : design.Family
    names : list of str (k,)
        Coefficients of the model, then its contrasts.
    coefficients : list of str (p,)
        Of the fit, for messages.
    weights : ndarray (k, p)
        Of the coefficients of the fit; of a model with lags (k x lags, p).
    axes : dict
        ``names`` (channels), ``axis``, ``points``, ``unit`` of the values, ``lagged``.
    choice : dict
        From `bootstrap.choose`.
    """

    family: design.Family
    names: list
    coefficients: list
    weights: np.ndarray
    axes: dict
    choice: dict

    @property
    def lags(self):
        """Number of lags; 0 where the cells are channels and points."""
        return len(self.axes["points"]) if self.axes.get("lagged") else 0

    @property
    def cells(self):
        """Number of cells of the fit."""
        return len(self.axes["names"]) * (1 if self.lags else len(self.axes["points"]))

    def shaped(self, values):
        """Values (rows, cells) of the fit as an ndarray (names, channels, points)."""
        values = _array.to_numpy(values)
        return rerp.folded(values, self.lags) if self.lags else values.reshape(len(values), len(self.axes["names"]), -1)


@dataclasses.dataclass(frozen=True)
class Unit:
    """Everybody (``all``), or one person: its moments, and over trials its part of the design matrix and its windows.

    `whole` are moments of the columns of all formulas, `sums` those of the model itself.
    """

    name: str
    whole: dict
    sums: dict
    X: np.ndarray | None = None
    Y: object = None

    def fit(self, frame, tests):
        """As from `ols.fit_moments`, whatever the unit is."""
        options = {"weights": frame.weights, "tests": tests, "names": frame.coefficients}
        if self.X is None:
            return ols.fit_moments(self.sums, errors=frame.choice["errors"], **options)
        step, options["errors"] = max(1, ROOM // (8 * len(self.X))), frame.choice["errors"]
        tiles = [(start, min(start + step, frame.cells)) for start in range(0, frame.cells, step)]
        return _joined([ols.fit(self.X, self.Y.tile(*tile), **options) for tile in tiles])

    def plan(self, frame, block):
        """The replicates to be drawn, a `bootstrap.Plan`."""
        options = {key: block[key] for key in ("seed", "replicates", "precision")}
        options |= {"weights": frame.weights, "names": frame.coefficients}
        options |= {key: frame.choice[key] for key in ("bootstrap", "interval")}
        if self.X is None:
            return bootstrap.over_people(self.sums, **options)
        return bootstrap.over_trials(self.X, self.Y, **options)


def frame(family, block, axes, people, *, errors="auto"):
    """The common part of a model's units.

    Parameters
    ----------
    family : design.Family
    block : dict
        ``contrasts``, ``bootstrap`` and ``interval`` of the model.
    axes : dict
        From `moments.load`.
    people : int
        Who have a window in the model.
    errors : str
        As the model has it, where errors are asked for.

    Raises
    ------
    ValueError
        A contrast, or a choice for so many people, that means nothing.
    """
    main = family.main
    contrasts, weights = design.contrasts(main, block["contrasts"])
    weights, fitted = np.vstack([np.eye(len(main.coefficients)), weights]), main.coefficients
    if axes.get("lagged"):
        fitted = rerp.names(main.coefficients, axes["points"])
        weights = rerp.spread(weights, len(axes["points"]))
    choice = bootstrap.choose(block["bootstrap"], block["interval"], errors, people)
    return Frame(family, [*main.coefficients, *contrasts], fitted, weights, axes, choice)


def check(family, block, rows, sfreq):
    """Refuse what a model asks of its design and of so many people in vain, by the design alone.

    Parameters
    ----------
    family : design.Family
    block : dict
        ``contrasts``, ``tests``, ``lags``, ``bootstrap``, ``interval`` and ``errors`` of the model.
    rows : DataFrame
        A row per window (with lags: per event) of the study.
    sfreq : float or None
        Sampling rate of the selection in Hz; None where it is that of the recordings.

    Returns
    -------
    dict
        From `bootstrap.choose`.

    Raises
    ------
    ValueError
        A contrast, a test, a choice for so many people, or lags, that mean nothing.
    """
    if block["lags"]:
        _lags.check(block["lags"], sfreq, len(family.main.coefficients))
    people = len(set(subject_labels(rows[design.apply(family, rows)[1]])))
    made = frame(family, block, {}, people, errors=block["errors"])
    tests(made, block["tests"])
    return made.choice


def tests(frame, expressions):
    """Names of the F tests of a model, and what each tests (q, p): of a model with lags one after another at each."""
    names, matrices = design.tests(frame.family.main, expressions)
    return names, rerp.spread_tests(matrices, frame.lags) if frame.lags else matrices


def units(frame, total, rows=None, tiles=None, *, device="cpu"):
    """The units of a model, one by one.

    Parameters
    ----------
    frame : Frame
    total : dict
        Moments of all people.
    rows : DataFrame
        Rows of all windows, over trials.
    tiles : path
        What `write` wrote of them, over trials.
    device : str
        ``cpu`` or ``cuda``.

    Yields
    ------
    Unit
    """
    parts = moments.units(frame.family, total, frame.choice["over"], lagged=bool(frame.lags))
    over_people = frame.choice["over"] == "people"
    rows = None if over_people else rows[design.apply(frame.family, rows)[1]]
    labels = None if over_people else subject_labels(rows)
    for name, whole, sums in parts:
        X, Y = None, None
        if not over_people:
            mine = np.flatnonzero(labels == name)
            X = _array.to_device(design.apply(frame.family.main, rows.iloc[mine])[0], device)
            Y = scratch.Tiles(tiles, frame.cells, rows=mine)
        yield Unit(name, _on(whole, device), _on(sums, device), X, Y)


def write(path, frame, rows, pieces):
    """Keep the values of all windows of a model for `units`: an empty file where inference is over people.

    Parameters
    ----------
    path : path
    frame : Frame
    rows : DataFrame
    pieces : callable
        ``pieces(rows)`` yields places in rows, values and axes (`hedgerow.rows.pieces`).
    """
    if frame.choice["over"] == "people":
        open(path, "wb").close()
        return
    rows = rows[design.apply(frame.family, rows)[1]].reset_index(drop=True)
    blocks = ((at, values.reshape(len(at), -1)) for at, values, _ in pieces(rows))
    scratch.write(path, blocks, len(rows), frame.cells)


def shape(frame, total):
    """Units, combinations of coefficients and cells of a model's replicates."""
    number = 1 if frame.choice["over"] == "people" else len(total["groups"])
    return number, len(frame.weights), frame.cells


def _joined(parts):
    """Results of `ols.fit` for tiles of cells as those of all; degrees of freedom are of the design alone."""
    first, told = parts[0], [part["account"] for part in parts]
    done = {name: [part[name] for part in parts] for name in first if name not in ("df", "df1", "df2", "account")}
    done = {name: _array.namespace(values[0]).concat(values, axis=-1) for name, values in done.items()}
    warnings = list(dict.fromkeys(warning for each in told for warning in each["warnings"]))
    account = told[0] | {"cells": sum(each["cells"] for each in told), "warnings": warnings}
    return first | done | {"account": account}


def _on(found, device):
    """Moments on a device; what tells people apart stays on the host."""
    return {key: value if key in ("groups", "n") else _array.to_device(value, device) for key, value in found.items()}
