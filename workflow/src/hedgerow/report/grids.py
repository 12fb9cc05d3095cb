"""Maps of every model: pictures and rows of numbers for each coefficient and test, comparison of models, influence."""

from pathlib import Path

import numpy as np
from scipy.signal import find_peaks
from scipy.stats import false_discovery_control

from .. import account, plot_grid, store
from .._canvas import picture
from . import methods, signals
from .influence import influence

#: More people than this, where each has a map of their own, are not drawn.
MOST_UNITS = 4

#: Most peaks of a picture; least distance of two of them in ms and Hz; least prominence, as a share of the largest.
PEAKS, APART, PROMINENT = 3, {"time": 60.0, "frequency": 3.0}, 0.3

#: Most coefficients in one panel.
TOGETHER = 5

#: As many are enough for maps, at a third of the space.
PALETTE = 256


def grids(maps, accounts, influences, places):
    """What each model found.

    Parameters
    ----------
    maps, accounts : list of path
        ``grid/<model>/maps.zarr.zip`` and ``account.json``, in the same order.
    influences : list of path
        ``grid/<model>/influence_<dataset>_<part>.tsv`` of the models that have them.
    places : dict of str to (x, y, z)
        Positions of channels in m.

    Returns
    -------
    list of dict
        Per model ``name``, ``coefficients`` and ``tests`` (each with ``picture`` and ``rows``),
        ``courses`` and ``fit`` (pictures or None), ``comparison``, ``influence`` (or None), ``warnings``, ``left``, and
        what the text states.
    """
    found = []
    for path, said in zip(map(Path, maps), accounts):
        mine = [each for each in map(Path, influences) if each.parent == path.parent]
        found.append(_model(path.parent.name, path, account.read(said), mine, places))
    return found


def _model(name, path, said, influences, places):
    arrays, attrs = store.read_arrays(path)
    axis, unit, design = attrs["axis"], attrs["unit_of_values"], said["design"]
    names, units = list(arrays["channel"]), [_person(label) for label in arrays["unit"]]
    pooled = list(arrays["unit"]) == ["all"]
    points = np.round(1000 * arrays[axis], 6) if axis == "time" else arrays[axis]
    common = {
        "names": names,
        "positions": signals.positions(names, places),
        "units": [""] if pooled else units[:MOST_UNITS],
        "xlabel": "Time after the event (ms)" if axis == "time" else "Frequency (Hz)",
    }
    context = {"points": points, "axis": axis, "unit": unit, "design": design, "model": said["model"], "common": common}
    parts = {"": said} if "fit" in said else said["subjects"]
    return {
        "name": name,
        "model": said["model"],
        "design": design,
        "axis": axis,
        "point": "ms" if axis == "time" else "Hz",
        "unit": unit,
        "units": units,
        "pooled": pooled,
        "drawn_units": len(common["units"]),
        "lagged": attrs["lagged"],
        "cells": len(names) * len(points),
        "rows": design["rows"],
        "missing": {column: number for column, number in design["missing"].items() if number},
        "method": methods.sentences(said, arrays["df"]),
        "comparison": _comparison(arrays, context),
        "influence": influence(influences, pooled=pooled),
        "level_text": f"{100 * said['model']['level']:g}\u202f%",
        "alpha": 1 - said["model"]["level"],
        "warnings": _warnings(parts),
        "left": {_person(label): why for label, why in said.get("left_out", {}).items()},
        "r2": float(np.nanmax(arrays["r2"])),
        **_drawn({key: values[:MOST_UNITS] if key in _BY_UNIT else values for key, values in arrays.items()}, context),
    }


#: Arrays that are drawn, a row for each unit.
_BY_UNIT = set("coef t p p_fdr ci_low ci_high df F p_F df1 df2 sigma r2".split())


def _drawn(arrays, context):
    """Coefficients, tests and fit of the first units."""
    drawn = [_coefficient(k, str(label), arrays, context) for k, label in enumerate(arrays["coefficient"])]
    return {
        "coefficients": drawn,
        "courses": _courses(drawn, arrays, context),
        "tests": [_test(k, str(label), arrays, context) for k, label in enumerate(arrays.get("test", []))],
        "fit": _fit(arrays, context),
        "main": max((part for part in drawn if part["name"] != "Intercept"), key=_strength, default=None),
    }


def _person(label):
    """``sub-<label>`` of ``<dataset>/<label>``."""
    return f"sub-{label.split('/')[-1]}" if "/" in label else label


def _warnings(parts):
    """Warnings of fits and bootstraps, those of several subjects put together."""
    by_text = {}
    for label, part in parts.items():
        for text in [*part["fit"].get("warnings", []), *(part.get("bootstrap") or {}).get("warnings", [])]:
            by_text.setdefault(text, []).append(_person(label))
    return [f"{', '.join(labels)}: {text}" if any(labels) else text for text, labels in by_text.items()]


def _strength(part):
    return abs(part["rows"][0]["t"] or 0.0)


def _number(value):
    """A number of the page, None for NaN."""
    return float(value) if np.isfinite(value) else None


def _coefficient(k, name, arrays, context):
    found = {key: arrays[key][:, k] for key in ("coef", "ci_low", "ci_high", "t", "p", "p_fdr", "df")}
    coef, low, high = found["coef"], found["ci_low"], found["ci_high"]
    common, points, design = context["common"], context["points"], context["design"]
    signed = name != "Intercept" or context["axis"] == "time"
    sure = (low > 0) | (high < 0)
    firm = found["p_fdr"] <= 1 - context["model"]["level"]
    peaks = _peaks(coef, firm, points, context["axis"], signed)
    unit = f"{context['unit']}{methods.per(name, design)}"
    figure = plot_grid.coefficient(
        points, coef, low, high, peaks=peaks, unit=unit, signed=signed, firm=firm if signed else None, **common
    )
    rows = []
    for row, ((channel, point), *_) in enumerate(peaks):
        at = (row, channel, point)
        cells = {"value": "coef", "low": "ci_low", "high": "ci_high", "t": "t", "p": "p", "p_fdr": "p_fdr"}
        here = {key: _number(found[array][at]) for key, array in cells.items()}
        here |= {"unit": common["units"][row], "channel": common["names"][channel], "point": float(points[point])}
        here |= {"df": _degrees(found["df"][row], point), "share": float(sure[row].mean())}
        rows.append(here | {"share_fdr": float(firm[row].mean())})
    return {
        "name": name,
        "place": k,
        "meaning": context["model"]["contrasts"].get(name) or methods.meaning(name, design),
        "unit": unit,
        "signed": signed,
        "rows": rows,
        "picture": picture(figure, palette=PALETTE),
    }


def _degrees(df, point):
    """Degrees of freedom at a point: one number for all points, or (lags) one for each."""
    return _number(df[point] if np.ndim(df) else df)


def _peaks(values, sure, points, axis, signed=True):
    """Channels and points that a picture shows for each unit: the largest magnitude after the event, then further ones.

    Further peaks are those of the largest magnitude over channels among the `sure` cells, the most prominent first.
    Where zero means nothing (a mean level) the largest value is the edge of a spectrum; then it is the most prominent
    bump of the mean over units and channels, if there is one.
    """
    within = np.flatnonzero(points >= 0) if (points >= 0).any() else np.arange(len(points))
    if not signed:
        bumps, found = find_peaks(values.mean(axis=(0, 1)), prominence=1e-12)
        within = bumps[[found["prominences"].argmax()]] if len(bumps) else within
    return [_peaks_of(each, seen, points, within, APART[axis], signed) for each, seen in zip(values, sure)]


def _peaks_of(values, sure, points, within, apart, signed):
    size = (np.abs(values) if signed else values)[:, within]
    channel, place = np.unravel_index(np.nanargmax(size), size.shape)
    chosen = [(int(channel), int(within[place]))]
    if not signed:
        return chosen
    shown = np.where(sure[:, within], size, 0.0)
    bumps, found = find_peaks(shown.max(axis=0), prominence=PROMINENT * size[channel, place])
    for place in bumps[np.argsort(-found["prominences"], kind="stable")]:
        far = all(abs(points[within[place]] - points[other]) >= apart for _, other in chosen)
        if far and len(chosen) < PEAKS:
            chosen.append((int(shown[:, place].argmax()), int(within[place])))
    return chosen


def _courses(drawn, arrays, context):
    """Contrasts, or coefficients of one unit, together at the channels of their peaks; None where there is one."""
    alike = [part for part in drawn if part["signed"] and part["name"] != "Intercept"]
    asked = [part for part in alike if part["name"] in context["model"]["contrasts"]]
    alike = asked if len(asked) > 1 else alike
    alike = [part for part in alike if part["unit"] == alike[0]["unit"]][:TOGETHER]
    if len(alike) < 2:
        return None
    common, names = context["common"], context["common"]["names"]
    channels = [[names.index(part["rows"][row]["channel"]) for part in alike] for row in range(len(common["units"]))]
    channels = [list(dict.fromkeys(each)) for each in channels]
    across = min(3, *map(len, channels)) if len(channels) > 1 else min(3, len(channels[0]))
    channels, places = [each[:across] for each in channels], [part["place"] for part in alike]
    # (units, coefficients, channels, points) to (units, channels, coefficients, points)
    chosen = (
        np.stack([values[row][places][:, at].swapaxes(0, 1) for row, at in enumerate(channels)])
        for values in (arrays["coef"], arrays["ci_low"], arrays["ci_high"])
    )
    figure = plot_grid.courses(
        context["points"],
        *chosen,
        rows=common["units"],
        columns=[[names[channel] for channel in each] for each in channels],
        labels=[part["name"] for part in alike],
        xlabel=common["xlabel"],
        unit=alike[0]["unit"],
    )
    return {"picture": picture(figure, palette=PALETTE), "names": [part["name"] for part in alike]}


def _test(k, name, arrays, context):
    values, p = arrays["F"][:, k], arrays["p_F"][:, k]
    common, points = context["common"], context["points"]
    statistic, fdr = np.nan_to_num(values), _fdr(p)  # NaN where people are too few for the test
    firm = fdr <= 1 - context["model"]["level"]
    peaks = _peaks(statistic, firm, points, context["axis"])
    threshold = [float(f[seen].min()) if seen.any() else np.nan for f, seen in zip(statistic, firm)]
    figure = plot_grid.test(points, statistic, firm, threshold=threshold, peaks=peaks, **common)
    rows = []
    for row, ((channel, point), *_) in enumerate(peaks):
        at = (row, channel, point)
        here = {"unit": common["units"][row], "channel": common["names"][channel], "point": float(points[point])}
        here |= {key: _degrees(arrays[key][row, k], point) for key in ("df1", "df2")}
        here |= {"value": _number(values[at]), "p": _number(p[at]), "p_fdr": _number(fdr[at])}
        rows.append(here | {"share_fdr": float(firm[row].mean())})
    return {
        "name": name,
        "what": context["model"]["tests"].get(name, name),
        "rows": rows,
        "picture": picture(figure, palette=PALETTE) if np.isfinite(values).any() else None,
    }


def _fdr(p):
    """p (units, channels, points) after Benjamini & Hochberg (1995) over the cells of each unit; NaN stays."""
    out = np.full(p.shape, np.nan)
    for adjusted, each in zip(out, p):
        known = np.isfinite(each)
        if known.any():
            adjusted[known] = false_discovery_control(each[known])
    return out


def _comparison(arrays, context):
    """AIC and BIC of the models beside each other; None where none are compared."""
    if "model_aic" not in arrays:
        return None
    labels, aic, bic = [str(label) for label in arrays["model"]], arrays["model_aic"], arrays["model_bic"]
    deltas = aic - aic.min(axis=1, keepdims=True)
    drawn = deltas[: len(context["common"]["units"])]
    figure = plot_grid.comparison(context["points"], drawn, labels=labels, **context["common"])
    p = arrays.get("model_p_F", np.full_like(aic, np.nan))
    rows = [
        {
            "name": label,
            "nested": None
            if np.isnan(p[:, k]).all()
            else float((_fdr(p[:, k]) <= 1 - context["model"]["level"]).mean()),
            "best": float((deltas[:, k] == 0).mean()),
            "close": float((deltas[:, k] <= 2).mean()),
            "far": float((deltas[:, k] > 10).mean()),
            "best_bic": float((bic[:, k] == bic.min(axis=1)).mean()),
            "median": float(np.nanmedian(deltas[:, k])),
        }
        for k, label in enumerate(labels)
    ]
    tested = any(row["nested"] is not None for row in rows)
    return {"picture": picture(figure, palette=PALETTE), "rows": rows, "tested": tested}


def _fit(arrays, context):
    """Small images of R² and of the residual standard deviation; None where they have no course (lags)."""
    if arrays["r2"].ndim < 3:
        return None
    parts = {"R²": arrays["r2"], f"Residual standard deviation ({context['unit']})": arrays["sigma"]}
    return picture(plot_grid.fit(context["points"], parts, **context["common"]), palette=PALETTE)
