"""Maps of every model: a picture and a row of numbers for each coefficient."""

from pathlib import Path

import numpy as np
from scipy.signal import find_peaks

from .. import account, plot, store
from .._canvas import picture
from . import signals


def grids(maps, accounts, places):
    """What each model found.

    Parameters
    ----------
    maps, accounts : list of path
        ``grid/<model>/maps.zarr.zip`` and ``account.json``, in the same order.
    places : dict of str to (x, y, z)
        Positions of channels in m.

    Returns
    -------
    list of dict
        Per model ``name``, ``account``, ``coefficients`` (each with ``picture`` and ``rows``), ``warnings``, ``left``.
    """
    return [_model(Path(path).parent.name, path, account.read(said), places) for path, said in zip(maps, accounts)]


def _model(name, path, said, places):
    arrays, attrs = store.read_arrays(path)
    axis, unit = attrs["axis"], attrs["unit_of_values"]
    points = np.round(1000 * arrays[axis]) if axis == "time" else arrays[axis]
    names, units = list(arrays["channel"]), list(arrays["unit"])
    common = {
        "names": names,
        "positions": signals.positions(names, places),
        "units": ["" if label == "all" else _person(label) for label in units],
        "xlabel": "Time after the event (ms)" if axis == "time" else "Frequency (Hz)",
    }
    drawn = []
    for k, coefficient in enumerate(arrays["coefficient"]):
        found = {key: arrays[key][:, k] for key in ("coef", "ci_low", "ci_high", "t")}
        drawn.append(_coefficient(coefficient, found, points, unit, said["design"], common, axis))
    parts = {"": said} if "fit" in said else said["subjects"]
    return {
        "name": name,
        "account": said,
        "model": said["model"],
        "design": said["design"],
        "axis": axis,
        "unit": unit,
        "units": [_person(label) for label in units],
        "pooled": units == ["all"],
        "cells": len(names) * len(points),
        "windows": said["design"]["rows"],
        "resampled": {
            _person(label): (part["bootstrap"]["resampled"], part["bootstrap"]["units"])
            for label, part in parts.items()
        },
        "coefficients": drawn,
        "main": max((part for part in drawn if part["name"] != "Intercept"), key=_strength, default=None),
        "level_text": f"{100 * said['model']['level']:g}\u202f%",
        "warnings": _warnings(parts),
        "left": said.get("left_out", {}),
        "r2": float(np.nanmax(arrays["r2"])),
    }


def _person(label):
    """``sub-<label>`` of ``<dataset>/<label>``."""
    return f"sub-{label.split('/')[-1]}" if "/" in label else label


def _warnings(parts):
    """Warnings of fits and bootstraps, those of several subjects put together."""
    by_text = {}
    for label, part in parts.items():
        for text in [*part["fit"].get("warnings", []), *part["bootstrap"].get("warnings", [])]:
            by_text.setdefault(text, []).append(_person(label))
    return [f"{', '.join(labels)}: {text}" if any(labels) else text for text, labels in by_text.items()]


def _strength(part):
    return abs(part["rows"][0]["t"])


def _coefficient(name, found, points, unit, design, common, axis):
    coef, low, high = found["coef"], found["ci_low"], found["ci_high"]
    signed = name != "Intercept" or axis == "time"
    peaks = _peaks(coef, points, signed)
    sure = (low > 0) | (high < 0)
    unit = f"{unit}{per(name, design)}"
    figure = plot.coefficient(points, coef, low, high, peaks=peaks, unit=unit, signed=signed, **common)
    rows = [
        {
            "unit": common["units"][k],
            "channel": common["names"][channel],
            "point": float(points[point]),
            "value": float(coef[k, channel, point]),
            "low": float(low[k, channel, point]),
            "high": float(high[k, channel, point]),
            "t": float(found["t"][k, channel, point]),
            "share": float(sure[k].mean()),
        }
        for k, (channel, point) in enumerate(peaks)
    ]
    return {
        "name": name,
        "meaning": meaning(name, design),
        "unit": unit,
        "signed": signed,
        "rows": rows,
        "picture": picture(figure),
    }


def _peaks(coef, points, signed):
    """Channel and point that a coefficient's picture shows for each unit: the largest magnitude, after the event.

    Where zero means nothing (a mean level) the largest value is the edge of a spectrum; then it is the most prominent
    bump of the mean over units and channels, if there is one.
    """
    within = np.flatnonzero(points >= 0) if (points >= 0).any() else np.arange(len(points))
    if not signed:
        bumps, found = find_peaks(coef.mean(axis=(0, 1)), prominence=1e-12)
        within = bumps[[found["prominences"].argmax()]] if len(bumps) else within
    peaks = []
    for values in np.abs(coef[:, :, within]) if signed else coef[:, :, within]:
        channel, place = np.unravel_index(values.argmax(), values.shape)
        peaks.append((int(channel), int(within[place])))
    return peaks


def per(name, design):
    """What the unit of a coefficient is divided by: its numeric regressors."""
    columns = design["columns"]
    factors = [part for part in name.split(":") if part in columns and columns[part]["type"] != "factor"]
    return f" per unit of {' × '.join(factors)}" if factors else ""


def meaning(name, design):
    """A coefficient of plain treatment coding in words; empty for what has none (contrasts, transformed regressors)."""
    if name == "Intercept" and "(" in design["formula"]:
        return "expected value where all other terms are 0"
    if name == "Intercept":
        base = [f"{column} = {known['levels'][0]}" for column, known in design["columns"].items() if "levels" in known]
        zero = [f"{column} = 0" for column, known in design["columns"].items() if "levels" not in known]
        return f"expected value at {', '.join(base + zero)}" if base + zero else "mean"
    words = []
    for part in name.split(":"):
        column, _, level = part.partition("[T.")
        known = design["columns"].get(column)
        if known is None:
            return ""
        words.append(f"{level[:-1]} − {known['levels'][0]}" if level else f"slope of {column}")
    return words[0] if len(words) == 1 else f"interaction: {' × '.join(f'({word})' for word in words)}"
