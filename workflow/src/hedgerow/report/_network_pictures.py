"""Pictures of one network, from what its metrics hold."""

import numpy as np

from .. import plot_networks
from .._canvas import picture


def scores(rows):
    """Picture of rows of the table of scores; None without any value."""
    rows = [row for row in rows if row["value"] is not None]
    return picture(plot_networks.scores(rows)) if rows else None


def confusion(cells, classes):
    """Picture of what was taken for what, per person and per window."""
    levels = [level for level in ("subject", "window") if any(cell["level"] == level for cell in cells)]
    matrices = np.zeros((len(levels), len(classes), len(classes)))
    for cell in cells:
        matrices[levels.index(cell["level"]), cell["true"], cell["predicted"]] = cell["count"]
    words = {"subject": "People", "window": "Windows"}
    titles = [f"{words[level]} ({matrix.sum():.0f})" for level, matrix in zip(levels, matrices)]
    return picture(plot_networks.confusion(matrices, titles, classes))


def reliability(bins, classes):
    """Picture of confidence against the share of windows that are right."""
    names = ("confidence", "right", "low", "high", "windows")
    values = {name: np.array([row[name] for row in bins], dtype=float) for name in names}
    return picture(plot_networks.reliability(**values, least=1 / len(classes)))


def people(found, chance):
    """Picture of everybody's share of right windows; None where the windows of a person are of several classes."""
    everybody = found["subjects"]
    if any(person["y"] is None for person in everybody):
        return None
    return picture(
        plot_networks.people(
            np.array([person["accuracy"] for person in everybody]),
            np.array([person["y"] == person["predicted"] for person in everybody]),
            np.array([found["classes"][int(person["y"])] for person in everybody]),
            chance=chance,
        )
    )


def scattered(found):
    """Picture of predicted against true numbers of people, of the targets of which each person has one value."""
    panels = []
    for name in found["targets"]:
        columns = {kind: [person[f"{kind}_{name}"] for person in found["subjects"]] for kind in "yfb"}
        if None not in columns["y"]:
            true, said, mean = (np.array(columns[kind], dtype=float) for kind in "yfb")
            panels.append({"name": name, "true": true, "said": said, "mean": float(mean.mean())})
    return picture(plot_networks.predicted(panels)) if panels else None
