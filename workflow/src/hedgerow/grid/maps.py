"""The maps of a model: estimates, errors, tests, intervals and comparisons at every cell, and a table of their peaks.

A map has the dimensions unit, coefficient, channel and time (or frequency). The unit is ``all`` where inference is over
people; over trials the units are the people. Coefficients are those of the model, then its contrasts.
"""

import numpy as np
import pandas as pd
import scipy.stats

from hedgerow import account
from hedgerow.grid import compare, replicates, units

#: Maps of each coefficient that are stored, and what each is.
MAPS = {
    "coef": "estimate, in the unit of the values per unit of the regressor",
    "se": "standard error",
    "t": "estimate over standard error",
    "p": "two-sided, from t and its degrees of freedom",
    "p_fdr": "p, adjusted for the false discovery rate over the cells of the coefficient (Benjamini & Hochberg 1995)",
    "ci_low": "lower limit of the interval",
    "ci_high": "upper limit of the interval",
}
#: Maps that some intervals come with.
FURTHER = {"p_bootstrap": "share of the replicates whose t is as large as that of the data (wild bootstraps)"}
#: Maps of the model as a whole.
WHOLE = {
    "sigma": "standard deviation of the residuals",
    "r2": "share of the variance that the model explains",
    "r2_adjusted": "the same, adjusted for the number of coefficients",
    "aic": "Akaike's information criterion",
    "bic": "Bayesian information criterion",
}


def make(frame, people, model, drawn, told):
    """Maps of a model.

    Parameters
    ----------
    frame : units.Frame
    people : iterable of units.Unit
    model : dict
        ``tests``, ``compare``, ``level`` and what the bootstrap needs.
    drawn : list of path
        Blocks of replicates; none without a bootstrap.
    told : list of dict
        Of each block, what `replicates.draw` gave.

    Returns
    -------
    arrays, attrs : dict
        What `hedgerow.store.write_arrays` takes.
    account : dict
        Over people ``fit`` and ``bootstrap``; over trials ``subjects`` (both of each) and ``left_out`` (with reasons);
        ``choice``, and ``comparison`` of the models.

    Raises
    ------
    ValueError
        Over people, a design that cannot be estimated; over trials, one that nobody's windows can estimate.
    """
    names, tests = units.tests(frame, model["tests"])
    left = {name: why for block in told for name, why in block["left_out"].items()}
    found, done = {}, {}
    for number, unit in enumerate(people):
        if unit.name in left:
            continue
        try:
            fit = unit.fit(frame, tests)
            compared = compare.compare(unit.whole, frame.family) if model["compare"] else None
        except ValueError as error:
            if frame.choice["over"] == "people":
                raise
            left[unit.name] = str(error)
            continue
        made, done[unit.name] = _fitted(frame, fit, compared), {"fit": fit["account"]}
        if drawn:
            redrawn = sum(block["redrawn"][unit.name] for block in told)
            limits, done[unit.name]["bootstrap"] = _drawn(frame, unit, model, replicates.read(drawn, number), redrawn)
        else:
            limits = _reached(made, model["level"])
        found[unit.name] = made | limits
    if not found:
        raise ValueError(f"no person's windows can estimate {frame.family.main.formula!r}: {left}")
    parts = done["all"] if frame.choice["over"] == "people" else {"subjects": done, "left_out": left}
    parts |= {"comparison": _totals(found)} if model["compare"] else {}
    return *_packed(frame, found, names), account.ok("grid", choice=frame.choice, **parts)


def summary(arrays, attrs):
    """The peak of each coefficient in each channel.

    Parameters
    ----------
    arrays, attrs : dict
        From `make`.

    Returns
    -------
    DataFrame
        A row per unit, coefficient and channel: ``time`` (s) or ``frequency`` (Hz) of the largest magnitude; ``coef``,
        ``ci_low``, ``ci_high``, ``t``, ``df``, ``p``, ``p_fdr`` there; ``share`` of the points whose interval excludes
        zero.
    """
    values = {name: arrays[name][0] for name in MAPS}
    shape, points = values["coef"].shape, np.asarray(arrays[attrs["axis"]][0])
    peak = np.abs(values["coef"]).argmax(axis=-1)[..., None]
    places = np.indices(shape[:3]).reshape(3, -1)
    labels = zip(("unit", "coefficient", "channel"), places)
    table = {name: np.asarray(arrays[name][0], dtype=object)[at] for name, at in labels}
    table |= {attrs["axis"]: points[peak].ravel()}
    df = arrays["df"][0]
    values["df"] = np.broadcast_to(df[:, :, None, :] if df.ndim == 3 else df[:, :, None, None], shape)
    for name in ("coef", "ci_low", "ci_high", "t", "df", "p", "p_fdr"):
        table[name] = np.take_along_axis(values[name], peak, axis=-1).ravel()
    beyond = (values["ci_low"] > 0) | (values["ci_high"] < 0)
    return pd.DataFrame(table | {"share": beyond.mean(axis=-1).ravel()})


def _fitted(frame, fit, compared):
    """Arrays of one unit, on the host, all but its limits."""
    out = {name: frame.shaped(fit[name]) for name in ("coef", "se", "t")}
    df = np.asarray(fit["df"], dtype=float)
    out["df"] = df.reshape(-1, frame.lags) if frame.lags else df
    out["p"] = 2 * scipy.stats.t.sf(np.abs(out["t"]), _spread(out["df"]))
    out["p_fdr"] = np.stack([_adjusted(p) for p in out["p"]])
    out |= {name: np.asarray(fit[name]) if frame.lags else frame.shaped(fit[name][None])[0] for name in WHOLE}
    out |= _tested(frame, fit) if len(fit["F"]) else {}
    return out if compared is None else out | _compared(frame, compared)


def _spread(df):
    """Degrees of freedom (coefficients,) or (coefficients, lags) along (coefficients, channels, points)."""
    return df[:, None, :] if df.ndim == 2 else df[:, None, None]


def _reached(made, level):
    """Limits from t; none where nothing is known of the error."""
    reach = scipy.stats.t.ppf((1 + level) / 2, _spread(made["df"])) * np.where(made["se"] > 0, made["se"], np.nan)
    return {"ci_low": made["coef"] - reach, "ci_high": made["coef"] + reach}


def _drawn(frame, unit, model, blocks, redrawn):
    """Limits from replicates, and what they stand on."""
    drawn = unit.plan(frame, model).summary(blocks, level=model["level"], redrawn=redrawn)
    out = {name: frame.shaped(drawn[name]) for name in ("ci_low", "ci_high")}
    return out | ({"p_bootstrap": frame.shaped(drawn["p"])} if "p" in drawn else {}), drawn["account"]


def _tested(frame, fit):
    """F, its p and its degrees of freedom, (tests, channels, points) and (tests,), those of lags at each."""
    df1, df2 = (np.asarray(fit[name], dtype=float)[:, None] for name in ("df1", "df2"))
    values = np.asarray(fit["F"]).reshape(len(df1), -1)
    p = scipy.stats.f.sf(values, df1, df2)
    if frame.lags:
        df1, df2 = (df.reshape(-1, frame.lags) for df in (df1, df2))
    else:
        df1, df2 = df1[:, 0], df2[:, 0]
    return {"F": frame.shaped(values), "p_F": frame.shaped(p), "df1": df1, "df2": df2}


def _compared(frame, found):
    """Criteria of each model, the main one first, and F of those that are nested with it."""
    out = {f"model_{name}": frame.shaped(found[name]) for name in ("aic", "bic")}
    df1, df2 = (np.asarray(found[name], dtype=float)[:, None] for name in ("df1", "df2"))
    values = np.asarray(found["F"])
    for name, rows in (("F", values), ("p_F", scipy.stats.f.sf(values, df1, df2))):
        out[f"model_{name}"] = frame.shaped(np.concatenate([np.full((1, frame.cells), np.nan), rows]))
    return out | {"model": found["models"]}


def _totals(found):
    """Of each model, its mean criteria over units and cells, and the share of cells that prefer it."""
    models = next(iter(found.values()))["model"]
    totals = {name: {} for name in models}
    for criterion in ("aic", "bic"):
        values = np.stack([unit[f"model_{criterion}"] for unit in found.values()], axis=1).reshape(len(models), -1)
        values = values[:, np.isfinite(values).all(axis=0)]
        best = values.argmin(axis=0)
        for place, name in enumerate(models):
            mean, share = values[place].mean() if values.size else None, (best == place).mean() if best.size else None
            totals[name] |= {criterion: _number(mean), f"best_{criterion}": _number(share)}
    return totals


def _number(value):
    """A number for JSON, None where there is none."""
    return None if value is None else float(value)


def _adjusted(p):
    """p adjusted for the false discovery rate over the cells of one coefficient; cells without p are none."""
    out, known = np.full(p.shape, np.nan), np.isfinite(p)
    if known.any():
        out[known] = scipy.stats.false_discovery_control(p[known])
    return out


def _packed(frame, found, tests):
    """Arrays of all units with named dimensions, and attributes."""
    axis, lags = frame.axes["axis"], frame.lags
    cells, df = ("channel", axis), (axis,) if lags else ()
    dimensions = dict.fromkeys((*MAPS, *FURTHER), ("coefficient", *cells))
    dimensions |= dict.fromkeys(WHOLE, ("channel",) if lags else cells)
    dimensions |= {"df": ("coefficient", *df), "df1": ("test", *df), "df2": ("test", *df)}
    dimensions |= dict.fromkeys(("F", "p_F"), ("test", *cells))
    dimensions |= dict.fromkeys([f"model_{name}" for name in ("aic", "bic", "F", "p_F")], ("model", *cells))
    first = next(iter(found.values()))
    arrays = {
        name: (np.stack([unit[name] for unit in found.values()]), ["unit", *dimensions[name]])
        for name in dimensions
        if name in first
    }
    arrays |= {"unit": (list(found), ["unit"]), "coefficient": (frame.names, ["coefficient"])}
    arrays |= {"test": (tests, ["test"])} if tests else {}
    arrays |= {"model": (first["model"], ["model"])} if "model" in first else {}
    arrays |= {"channel": (frame.axes["names"], ["channel"]), axis: (frame.axes["points"], [axis])}
    maps = {name: text for name, text in (MAPS | FURTHER | WHOLE).items() if name in first}
    return arrays, {"axis": axis, "unit_of_values": frame.axes["unit"], "lagged": bool(lags), "maps": maps}
