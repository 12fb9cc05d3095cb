"""Pictures of arrays for the report: functions that return matplotlib figures; no statistics, no file.

What they share (style, colours, topographies, the way into a page) stands in `hedgerow._canvas`; those of the cleaning
in `hedgerow.plot_cleaning`, those of regressions in `hedgerow.plot_grid`, those of networks in
`hedgerow.plot_networks`.
"""

import numpy as np
from matplotlib.figure import Figure

from ._canvas import FAINT, INK, colours, limit, placed, styled, topography, zero


@styled
def counts(numbers, labels):
    """Windows of each subject as stacked bars: `numbers` (classes, subjects), subjects in the order given."""
    figure = Figure(figsize=(10, 1.7), layout="constrained")
    axes = figure.subplots()
    floor, x = np.zeros(numbers.shape[1]), np.arange(1, numbers.shape[1] + 1)
    for colour, label, row in zip(colours(len(labels)), labels, numbers):
        axes.bar(x, row, bottom=floor, color=colour, label=label, width=0.8 if len(x) < 100 else 1.0)
        floor += row
    axes.set(xlabel="Person, sorted by number of windows", ylabel="Windows", xlim=(0.3, len(x) + 0.7))
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


@styled
def butterfly(times, means, *, rows, positions, peaks):
    """Mean of each class at all channels, its global field power, and topographies at the peaks.

    Parameters
    ----------
    times : ndarray (times,)
        In s.
    means : ndarray (rows, channels, times)
        In µV.
    rows : list of str
        Titles.
    positions : ndarray (channels, 3)
        In m; NaN where unknown.
    peaks : list of list of int
        For each row, the samples whose topographies are shown.
    """
    heads = max(map(len, peaks)) if placed(positions) else 0
    figure = Figure(figsize=(10, 2.2 * len(rows) + 0.2), layout="constrained")
    grid = figure.subplots(len(rows), 1 + heads, squeeze=False, width_ratios=[3.0] + [1] * heads)
    top, shades, ms = limit(means), _shades(positions), 1000 * times
    for axes, title, mean, at in zip(grid, rows, means, peaks):
        for shade, course in zip(shades, mean):
            axes[0].plot(ms, course, color=shade, linewidth=0.8, alpha=0.85)
        axes[0].fill_between(ms, -1.1 * top, mean.std(axis=0) - 1.1 * top, color=FAINT, alpha=0.6, linewidth=0)
        zero(axes[0], ms)
        axes[0].set(title=title, ylabel="Mean (µV)", ylim=(-1.1 * top, 1.1 * top), xlim=ms[[0, -1]])
        for place, head in enumerate(axes[1:]):
            head.set_axis_off()
            if place < len(at):
                axes[0].axvline(ms[at[place]], color=INK, linewidth=0.7, linestyle=":")
                image = topography(head, mean[:, at[place]], positions, (-top, top))
                head.set_title(f"{ms[at[place]]:.0f} ms", fontweight="normal", loc="center")
    grid[-1, 0].set_xlabel("Time after the event (ms)")
    if heads:
        bar = figure.colorbar(image, ax=list(grid[:, 1:].ravel()), shrink=max(0.3, 0.8 / len(rows)), aspect=18)
        bar.ax.set_title("µV", fontweight="normal", loc="center")
    return figure


@styled
def classes(x, mean, spread, *, rows, columns, labels, xlabel, ylabel, maps=None, positions=None, map_titles=None):
    """Lines of all classes with bands, one panel for each row and column; on request a topography ends each row.

    Parameters
    ----------
    x : ndarray (points,)
    mean, spread : ndarray (rows, columns, classes, points)
        Line and half the height of its band.
    rows : list of str
        Titles of the rows; an empty one is not shown.
    columns : list of list of str
        Titles of the panels of each row.
    labels : list of str
        Classes.
    xlabel, ylabel : str
    maps : ndarray (rows, channels), optional
        Signed values for topographies, whose titles say what they are.
    positions : ndarray (channels, 3), optional
        In m; NaN where unknown.
    map_titles : list of str, optional
    """
    heads = int(maps is not None and placed(positions) and np.isfinite(maps).any())
    figure = Figure(figsize=(10, 2.3 * len(rows) + 0.5), layout="constrained")
    grid = figure.subplots(
        len(rows), mean.shape[1] + heads, squeeze=False, width_ratios=[1.6] * mean.shape[1] + [1] * heads
    )
    for row, axes in enumerate(grid):
        for column, panel in enumerate(axes[: mean.shape[1]]):
            for colour, label, line, band in zip(colours(len(labels)), labels, mean[row, column], spread[row, column]):
                panel.plot(x, line, color=colour, label=label)
                panel.fill_between(x, line - band, line + band, color=colour, alpha=0.2, linewidth=0)
            parts = (rows[row] if column == 0 else "", columns[row][column])
            panel.set(title=" · ".join(part for part in parts if part), xlim=x[[0, -1]])
            if x[0] < 0 < x[-1]:
                zero(panel, x)
        axes[0].set_ylabel(ylabel)
        if heads and np.isfinite(maps[row]).any():
            image = topography(axes[-1], maps[row], positions, (-limit(maps), limit(maps)))
            axes[-1].set_title(map_titles[row], fontweight="normal", loc="center")
        elif heads:
            axes[-1].set_axis_off()
    for panel in grid[-1, : mean.shape[1]]:
        panel.set_xlabel(xlabel)
    if heads:
        figure.colorbar(image, ax=list(grid[:, -1]), shrink=max(0.3, 0.8 / len(rows)), aspect=18)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper right", ncols=len(labels), fontsize=8)
    return figure


def _shades(positions):
    """Colour of each channel by its place on the head: neighbours are alike; a channel without a place is grey."""
    known = np.isfinite(positions).all(axis=1)
    shades = np.full(positions.shape, 0.5)
    if known.any():
        spread = positions[known] - positions[known].min(axis=0)
        span = spread.max(axis=0)
        shades[known] = 0.1 + 0.75 * spread / np.where(span > 0, span, 1)
    return shades
