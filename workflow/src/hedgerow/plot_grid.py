"""Pictures of a grid of regressions, for the report: coefficients, tests, comparison of models, fit, influence.

Arrays in, matplotlib figures out; no statistics, no file. Style and heads stand in `hedgerow._canvas`. Channels of an
image run from the front of the head to its back; a row of a picture is a unit: all people, or one of a few.
"""

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from ._canvas import COLOURS, FAINT, INK, RULE, front_to_back, limit, placed, styled, topography, zero

#: Least height in inches that the name of a channel beside an image takes.
NAME = 0.1

#: Differences of AIC that are told apart (Burnham & Anderson 2004; the cutoffs of fitgrid), and the colours between.
CUTOFFS = (0, 2, 4, 7, 10)
SUPPORT = ("#003F66", "#0072B2", "#5BA7D1", "#B5D6E9", "#F1F4F5")

#: Most panels side by side, and letters of 8.5 points that fit above one that is as wide as the figure.
ABREAST, LETTERS = 4, 108


@styled
def coefficient(points, coef, low, high, *, names, positions, units, peaks, xlabel, unit, signed=True, firm=None):
    """One coefficient at every cell; at the channels of its peaks with interval; on the head at the peaks.

    Parameters
    ----------
    points : ndarray (points,)
        Times in ms or frequencies in Hz.
    coef, low, high : ndarray (units, channels, points)
        Estimate and interval.
    names : list of str
        Channels.
    positions : ndarray (channels, 3)
        In m; NaN where unknown.
    units : list of str
        Whose coefficient: a row each.
    peaks : list of list of (int, int)
        Channels and points of the peaks of each unit, the first one marked.
    xlabel, unit : str
        Of `points` and of `coef`.
    signed : bool
        Whether zero means something: a colour scale symmetrical about it, and cells whose interval holds it faded.
    firm : ndarray of bool (units, channels, points), optional
        Cells with a bold outline.
    """
    scale = {"vmin": -limit(coef), "vmax": limit(coef), "cmap": "RdBu_r"}
    if not signed:
        scale = {"vmin": np.nanmin(coef), "vmax": np.nanmax(coef), "cmap": "viridis"}

    def course(axes, row, channel, colour):
        axes.fill_between(points, low[row, channel], high[row, channel], color=colour, alpha=0.22, linewidth=0)
        axes.plot(points, coef[row, channel], color=colour, label=names[channel])

    sure = (low > 0) | (high < 0) if signed else None
    return _rows(coef, sure, firm, scale, course, points, names, positions, units, peaks, xlabel, unit, signed)


@styled
def test(points, statistic, firm, *, threshold, names, positions, units, peaks, xlabel):
    """An F test at every cell; at the channels of its peaks with the threshold; on the head at the peaks.

    Parameters
    ----------
    points : ndarray (points,)
        Times in ms or frequencies in Hz.
    statistic : ndarray (units, channels, points)
        F, 0 or more.
    firm : ndarray of bool (units, channels, points)
        Cells with an outline: those that are left after the control of false discoveries.
    threshold : list of float
        Least F among these for each unit; NaN where there is none.
    names, positions, units, peaks, xlabel
        As in `coefficient`.
    """
    scale = {"vmin": 0.0, "vmax": float(np.nanmax(statistic)) or 1.0, "cmap": "viridis"}

    def course(axes, row, channel, colour):
        axes.plot(points, statistic[row, channel], color=colour, label=names[channel])
        if np.isfinite(threshold[row]):
            axes.axhline(threshold[row], color=RULE, linestyle="--", linewidth=0.9)

    figure = _rows(statistic, None, firm, scale, course, points, names, positions, units, peaks, xlabel, "F", False)
    for least in threshold:
        figure.axes[-1].axhline(least, color="white", linewidth=1)
    return figure


def _rows(values, sure, firm, scale, course, points, names, positions, units, peaks, xlabel, unit, signed):
    """A row for each unit: its image, `course` at the channels of its peaks, and the heads at these."""
    heads = max(map(len, peaks)) if placed(positions) else 0
    height, order = 3.5 if heads and len(units) == 1 else 3.0 if heads else 2.5, front_to_back(positions)
    figure = Figure(figsize=(10, height * len(units)), layout="constrained")
    grid, lefts = figure.add_gridspec(len(units), 2, width_ratios=[1.1, 1]), []
    for row, found in enumerate(peaks):
        left = figure.add_subplot(grid[row, 0])
        part = grid[row, 1].subgridspec(2 if heads else 1, max(heads, 1), height_ratios=[1, 0.95][: 1 + bool(heads)])
        middle = figure.add_subplot(part[0, :])
        outlined = None if firm is None else firm[row][order]
        shown = None if sure is None else sure[row][order]
        image = _image(left, points, values[row][order], shown, scale, [names[k] for k in order], height - 0.8)
        _outline(left, points, outlined, 1.3, INK if signed else "white")
        left.set(title=f"{units[row] or 'All channels'} · {unit}", xlabel=xlabel)
        for colour, channel in zip(COLOURS, dict.fromkeys(channel for channel, _ in found)):
            course(middle, row, channel, colour)
        channel, point = found[0]
        middle.plot(points[point], values[row, channel, point], "o", color=COLOURS[0], markersize=5)
        middle.set(ylabel=unit, xlim=points[[0, -1]], xlabel=xlabel)
        if signed:
            zero(middle, points)
        middle.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8.5, borderaxespad=0, handlelength=1.2)
        for place, (channel, point) in enumerate(sorted(found[:heads], key=lambda peak: peak[1])):
            axes = figure.add_subplot(part[1, place])
            limits = (scale["vmin"], scale["vmax"])
            topography(axes, values[row][:, point], positions, limits, cmap=scale["cmap"], mark=channel)
            title = f"{names[channel]}, {points[point]:.4g} {xlabel.split('(')[-1][:-1]}"
            weight = "bold" if (channel, point) == found[0] else "normal"
            axes.set_title(title, fontweight=weight, loc="center", fontsize=8.5)
        lefts.append(left)
    figure.colorbar(image, ax=lefts, aspect=28, pad=0.02, shrink=max(0.3, 0.95 / len(units)))
    return figure


@styled
def courses(points, coef, low, high, *, rows, columns, labels, xlabel, unit):
    """Several coefficients together, with their intervals, at a few channels.

    Parameters
    ----------
    points : ndarray (points,)
        Times in ms or frequencies in Hz.
    coef, low, high : ndarray (rows, columns, coefficients, points)
        Estimates and intervals of each unit (row) at each channel (column).
    rows, labels : list of str
        Units and coefficients; an empty unit is not named.
    columns : list of list of str
        Channels of each row.
    xlabel, unit : str
    """
    figure = Figure(figsize=(10, 2.1 * len(rows) + 0.5), layout="constrained")
    grid = figure.subplots(len(rows), len(columns[0]), squeeze=False, sharey="row")
    short = [_cut(label, LETTERS // 3) for label in labels]
    for row, panels in enumerate(grid):
        for column, axes in enumerate(panels):
            for colour, label, *lines in zip(COLOURS, short, *(each[row, column] for each in (coef, low, high))):
                axes.fill_between(points, lines[1], lines[2], color=colour, alpha=0.18, linewidth=0)
                axes.plot(points, lines[0], color=colour, label=label)
            zero(axes, points)
            axes.set(title=" · ".join(filter(None, (rows[row], columns[row][column]))), xlim=points[[0, -1]])
        panels[0].set_ylabel(unit)
    for axes in grid[-1]:
        axes.set_xlabel(xlabel)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3, fontsize=8.5)
    return figure


@styled
def comparison(points, deltas, *, labels, names, positions, units, xlabel):
    """How far each model's AIC lies above the least of all models, at every cell.

    Parameters
    ----------
    points : ndarray (points,)
        Times in ms or frequencies in Hz.
    deltas : ndarray (units, models, channels, points)
        0 or more; 0 for the best model of a cell.
    labels : list of str
        Models.
    names, positions, units, xlabel
        As in `coefficient`.
    """
    across = min(len(labels), ABREAST)
    down, order = -(-len(labels) // across), front_to_back(positions)
    figure = Figure(figsize=(10, 2.6 * down * len(units)), layout="constrained")
    grid = figure.subplots(down * len(units), across, squeeze=False, sharex=True)
    scale = {"cmap": ListedColormap(SUPPORT), "norm": BoundaryNorm(CUTOFFS, len(SUPPORT), extend="max")}
    for axes in grid.flat:
        axes.set_axis_off()
    for row, unit in enumerate(units):
        panels = grid[down * row : down * (row + 1)].ravel()
        for place, (axes, label, delta) in enumerate(zip(panels, labels, deltas[row])):
            axes.set_axis_on()
            image = _image(axes, points, delta[order], None, scale, [names[k] for k in order], 1.9)
            axes.set_title(_cut(" · ".join(filter(None, (unit, label))), LETTERS // across), fontsize=8.5)
            axes.set_xlabel(xlabel if place + across >= len(labels) and row == len(units) - 1 else "")
            axes.xaxis.set_tick_params(labelbottom=True)
            if place % across:
                axes.set_yticks([])
    bar = figure.colorbar(image, ax=list(grid.flat), aspect=24, pad=0.015, shrink=max(0.3, 0.9 / len(grid)))
    bar.set_ticks(CUTOFFS, labels=[f"{cut}" for cut in CUTOFFS])
    bar.ax.set_title("ΔAIC", fontweight="normal", loc="center", fontsize=8.5)
    return figure


@styled
def fit(points, parts, *, names, positions, units, xlabel):
    """Small images of how well the model fits at every cell.

    Parameters
    ----------
    points : ndarray (points,)
        Times in ms or frequencies in Hz.
    parts : dict of str to ndarray (units, channels, points)
        Title and values, 0 or more: R², residual standard deviation.
    names, positions, units, xlabel
        As in `coefficient`.
    """
    figure = Figure(figsize=(10, 2.2 * len(units)), layout="constrained")
    grid, order = figure.subplots(len(units), len(parts), squeeze=False), front_to_back(positions)
    for column, (title, values) in enumerate(parts.items()):
        scale = {"vmin": float(np.nanmin(values)), "vmax": float(np.nanmax(values)), "cmap": "viridis"}
        for axes, unit, each in zip(grid[:, column], units, values):
            image = _image(axes, points, each[order], None, scale, [names[k] for k in order], 1.5)
            axes.set_title(" · ".join(filter(None, (unit, title))))
        axes.set_xlabel(xlabel)
        figure.colorbar(image, ax=list(grid[:, column]), aspect=18, pad=0.02, shrink=max(0.3, 0.95 / len(units)))
    return figure


@styled
def influence(distance, people, marked, usual):
    """Cook's distance of each window, people side by side.

    Parameters
    ----------
    distance : ndarray (windows,)
        Mean Cook's distance over cells, 0 or more.
    people : list of str, (windows,)
        Whose window; those of a person stand together.
    marked : ndarray of bool (windows,)
        Windows in another colour.
    usual : ndarray (windows,)
        Value above which a window of this fit is usually looked at (4/n): dashed.
    """
    figure = Figure(figsize=(10, 2.2), layout="constrained")
    axes, x = figure.subplots(), np.arange(len(distance))
    labels, first = np.unique(np.asarray(people), return_index=True)
    labels, first = labels[np.argsort(first)], np.sort(first)
    stops = np.append(first[1:], len(x))
    for start, stop in list(zip(first, stops))[1::2]:
        axes.axvspan(start - 0.5, stop - 0.5, color=FAINT, alpha=0.25, linewidth=0)
    axes.plot(x[~marked], distance[~marked], ".", color=COLOURS[0], markersize=3.5, alpha=0.6, markeredgewidth=0)
    axes.plot(x[marked], distance[marked], "o", color=COLOURS[1], markersize=4.5)
    axes.plot(x, usual, color=RULE, linestyle="--", linewidth=0.9)
    # every so many people, as names of 7 points need 0.12 inches and the panel has nine
    every = -(-len(labels) // 70)
    axes.set_xticks(((first + stops - 1) / 2)[::every], labels[::every], rotation=90 if len(labels) > 10 else 0)
    axes.tick_params(axis="x", labelsize=7, length=0)
    axes.set(ylabel="Mean Cook’s distance", xlim=(-0.5, len(x) - 0.5), ylim=(0, None))
    return figure


def _cut(text, most):
    """Text of at most so many letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _image(axes, points, values, sure, scale, names, height):
    """Image of a map, so many inches high; cells that are not sure are pale, and those that are have an outline."""
    alpha = None if sure is None else np.where(sure, 1.0, 0.35)
    edges = _edges(points)
    extent = (edges[0], edges[-1], len(values) - 0.5, -0.5)
    image = axes.imshow(values, aspect="auto", extent=extent, alpha=alpha, **scale)
    _outline(axes, points, sure, 0.35)
    if points[0] < 0 < points[-1]:
        axes.axvline(0, color=RULE, linewidth=0.7)
    every = -(-round(len(names) * NAME * 100) // round(height * 100))
    axes.set_yticks(range(0, len(names), every), names[::every])
    axes.tick_params(axis="y", labelsize=6, length=0, pad=1)
    axes.spines[:].set_visible(False)
    return image


def _outline(axes, points, cells, width, colour=INK):
    """Line around the `cells` (channels, points) of an image; nothing where all or none are meant."""
    if cells is None or not cells.any() or cells.all():
        return
    # every edge twice, so that the line follows the edges of cells
    x, y = (np.repeat(at, 2)[1:-1] for at in (_edges(points), np.arange(len(cells) + 1) - 0.5))
    axes.contour(x, y, cells.repeat(2, axis=0).repeat(2, axis=1), levels=[0.5], colors=colour, linewidths=width)


def _edges(points):
    """Edges (points + 1,) of cells around `points`."""
    edges = np.interp(np.arange(len(points) + 1) - 0.5, np.arange(len(points)), points)
    step = points[1] - points[0] if len(points) > 1 else 1.0
    edges[0], edges[-1] = points[0] - step / 2, points[-1] + step / 2
    return edges
