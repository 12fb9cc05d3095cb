"""Pictures of networks for the report: scores, confusion, calibration, people, learning; no statistics, no file."""

import numpy as np
from matplotlib.figure import Figure

from ._canvas import COLOURS, FAINT, INK, RULE, styled

#: Scores are shown from here on at the lowest: R² has no lower end, and a diverged network would leave no room.
LOWEST = -1.0


@styled
def curves(epochs, train, validation, score, *, chance, name="Accuracy", nothing="chance"):
    """Learning curves: losses and the score `name` of validation, each (folds, epochs) with NaN where there is none.

    Thick is the mean. `chance` is the score of who knows `nothing` (a word for the picture).
    """
    lines = [("training", train, COLOURS[0]), ("validation", validation, COLOURS[1])]
    panels = [("Loss", [line for line in lines if np.isfinite(line[1]).any()])]
    if np.isfinite(score).any():
        panels += [(f"{name} of validation", [("validation", score, COLOURS[1])])]
    figure = Figure(figsize=(5 * len(panels), 2.5), layout="constrained")
    for axes, (title, found) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for label, values, colour in found:
            there = np.isfinite(values).any(axis=0)
            axes.plot(epochs, values.T, color=colour, linewidth=0.7, alpha=0.35)
            axes.plot(epochs[there], np.nanmean(values[:, there], axis=0), color=colour, linewidth=2.2, label=label)
        axes.set(title=title, xlabel="Epoch (pass over the training windows)", ylabel=title.split()[0])
        axes.xaxis.get_major_locator().set_params(integer=True)
        if title == "Loss":
            axes.legend(fontsize=8)
            axes.set_ylim(0, None)
        else:
            _chance(axes, chance, nothing)
            axes.set_ylim(max(LOWEST, min(chance, np.nanmin(score))) - 0.05, 1.03)
    return figure


@styled
def confusion(matrices, titles, classes):
    """Confusion matrices side by side: `matrices` of counts (true, predicted), shares of the true class as colour."""
    side = max(1.9, 0.42 * len(classes) + 1.1)
    figure = Figure(figsize=(min(10.0, (side + 0.7) * len(matrices) + 0.9), side + 0.7), layout="constrained")
    grid = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, matrix, title in zip(grid, matrices, titles):
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        image = axes.imshow(share, cmap="viridis", vmin=0, vmax=1)
        for (true, named), part in np.ndenumerate(share):
            text = f"{matrix[true, named]:.0f}\n{100 * part:.0f} %" if len(classes) <= 8 else f"{100 * part:.0f}"
            ink = "white" if part < 0.6 else "black"
            axes.text(named, true, text, ha="center", va="center", color=ink, fontsize=9 if len(classes) <= 4 else 7)
        axes.set(title=title, xlabel="Predicted", xticks=range(len(classes)), yticks=range(len(classes)))
        axes.set(xticklabels=classes, yticklabels=classes)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    grid[0].set_ylabel("True")
    figure.colorbar(image, ax=list(grid), label="Share of the true class", shrink=0.85)
    return figure


@styled
def scores(rows):
    """Scores as points with intervals.

    Parameters
    ----------
    rows : list of dict
        ``label``, ``value``, ``low`` and ``high`` (None where there is no interval), ``chance``, ``further`` (values of
        further seeds) and ``control`` (whether the row is one, drawn in another colour). What lies below `LOWEST` is
        drawn at the edge, the value as an arrow.
    """
    figure = Figure(figsize=(10, 0.42 * len(rows) + 0.6), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        colour = COLOURS[4] if row["control"] else COLOURS[0]
        axes.plot([row["chance"]] * 2, [place - 0.36, place + 0.36], color=RULE, linestyle="--", linewidth=1)
        if row["low"] is not None:
            ends = np.maximum([row["low"], row["high"]], LOWEST)
            axes.plot(ends, [place, place], color=colour, linewidth=5, alpha=0.35)
        marker = "o" if row["value"] >= LOWEST else "<"
        axes.plot(max(row["value"], LOWEST), place, marker, color=colour, markersize=7)
        further = np.maximum(row["further"], LOWEST)
        axes.plot(further, [place - 0.27] * len(further), "o", color=INK, markersize=3, alpha=0.6)
    axes.set_yticks(range(len(rows)), [row["label"] for row in reversed(rows)])
    ends = [[row["value"], row["chance"], *row["further"], *({row["low"]} - {None})] for row in rows]
    axes.set(xlim=(max(LOWEST, min(0.0, *map(min, ends))) - 0.02, 1.02), xlabel="Score", ylim=(-0.6, len(rows) - 0.4))
    axes.grid(axis="x", color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure


@styled
def people(share, right, groups, *, chance):
    """Share of each person's windows that are right: `share` 0 ... 1, whether the vote is `right`, class `groups`."""
    figure = Figure(figsize=(10, 2.1), layout="constrained")
    axes = figure.subplots()
    order = np.lexsort((share, groups))
    x = np.arange(1, len(share) + 1)
    for won, colour, marker, label in ((True, COLOURS[0], "o", "vote right"), (False, COLOURS[1], "X", "vote wrong")):
        here = right[order] == won
        axes.plot(x[here], share[order][here], marker, color=colour, markersize=5.5, linestyle="none", label=label)
    _chance(axes, chance)
    names, starts = np.unique(groups[order], return_index=True)
    for name, start in zip(names, starts):
        axes.axvline(start + 0.5, color=FAINT, linewidth=0.7)
        axes.text(start + 0.7, 1.08, name, fontweight="bold")
    axes.set(xlabel="Person, sorted within the true class", ylabel="Share of windows right", ylim=(-0.03, 1.04))
    axes.set_xlim(0.5, len(share) + 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside right upper", fontsize=8)
    return figure


@styled
def reliability(confidence, right, low, high, windows, *, least):
    """Confidence against the share of right windows of each bin, and below it how many windows a bin has.

    Parameters
    ----------
    confidence, right : ndarray (bins,)
        Mean probability of the class that a window names, and share of the windows that are right, 0 ... 1.
    low, high : ndarray (bins,)
        Interval of the share; NaN where there is none.
    windows : ndarray (bins,)
    least : float
        Least confidence that is possible: one over the number of classes.
    """
    figure = Figure(figsize=(4.3, 3.1), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1])
    # to the next tenth: what names its class with 0.52 throughout would be a stroke in the whole range
    left, end = max(least, np.floor(10 * confidence.min()) / 10), min(1.0, np.ceil(10 * confidence.max()) / 10)
    axes.plot([least, 1], [least, 1], color=RULE, linestyle="--", linewidth=0.9)
    axes.vlines(confidence, low, high, color=COLOURS[0], linewidth=3, alpha=0.35)
    axes.plot(confidence, right, "o-", color=COLOURS[0], markersize=4.5, linewidth=0.9)
    margin = 0.02 * (end - left)
    axes.set(ylabel="Share of windows right", ylim=(-0.03, 1.03), xlim=(left - margin, end + margin))
    below.vlines(confidence, 0, windows, color=INK, linewidth=2)
    below.set(xlabel="Confidence (probability of the class named)", ylabel="Windows", ylim=(0, 1.15 * windows.max()))
    below.yaxis.get_major_locator().set_params(integer=True, nbins=2)
    return figure


@styled
def predicted(panels):
    """Predicted against true numbers of people, a panel for each target.

    Parameters
    ----------
    panels : list of dict
        ``name``; ``true`` and ``said``, ndarray (people,); ``mean``: what the mean of the training people says.
    """
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(3.3 * columns + 0.3, 3.2 * lines + 0.2), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels):
        values = np.concatenate([panel["true"], panel["said"]])
        ends = np.array([values.min(), values.max()])
        margin = 0.05 * (np.ptp(ends) or 1.0)
        ends += [-margin, margin]
        axes.plot(ends, ends, color=RULE, linestyle="--", linewidth=0.9)
        axes.axhline(panel["mean"], color=COLOURS[1], linewidth=0.9)
        size = 4.5 if len(values) < 400 else 2.5
        axes.plot(panel["true"], panel["said"], "o", color=COLOURS[0], markersize=size, alpha=0.7, linestyle="none")
        axes.set(title=panel["name"], xlabel="True", ylabel="Predicted", xlim=ends, ylim=ends, aspect="equal")
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _chance(axes, chance, word="chance"):
    axes.axhline(chance, color=RULE, linestyle="--", linewidth=0.9)
    axes.annotate(word, (1, chance), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
