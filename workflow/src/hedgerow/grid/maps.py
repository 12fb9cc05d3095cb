"""From moments, or from the windows of a few subjects, to the maps of a model: estimates, errors, intervals.

A map has the dimensions unit, coefficient, channel and time (or frequency). The unit is ``all`` where subjects are
resampled; below five subjects inference is per subject, over its trials, and the units are the subjects.
"""

import numpy as np

from hedgerow import _array, account
from hedgerow.grid import bootstrap, design, ols
from hedgerow.grid.moments import subject_labels

#: Maps that are stored, and what each is.
MAPS = {
    "coef": "estimate, in the unit of the values per unit of the regressor",
    "se": "standard error: robust against dependence within a subject (CR1), or of independent trials",
    "t": "estimate over standard error",
    "ci_low": "lower limit of the percentile bootstrap interval",
    "ci_high": "upper limit of the percentile bootstrap interval",
}


def over_subjects(model, moments, axes, *, contrasts, replicates, level, seed, device="cpu"):
    """Maps of one model, intervals by resampling subjects.

    Parameters
    ----------
    model : design.Design
    moments : dict
        Of all subjects, from `ols.combine`.
    axes : dict
        ``names`` (channels), ``axis``, ``points``, ``unit`` of the values.
    contrasts : dict of str to str
        Name and expression of further combinations of coefficients.
    replicates, level, seed
        Of the bootstrap.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    arrays, attrs : dict
        What `hedgerow.store.write_arrays` takes.
    account : dict
    """
    names, weights = _weights(model, contrasts)
    here = {key: value if key in ("groups", "n") else _array.to_device(value, device) for key, value in moments.items()}
    options = {"weights": weights, "names": model.coefficients}
    fitted = ols.fit(here, **options)
    resampled = bootstrap.clusters(here, seed=seed, replicates=replicates, level=level, **options)
    found = {"coef": fitted["coef"], "se": fitted["se_cluster"], "t": fitted["t_cluster"]}
    found |= {name: resampled[name] for name in ("ci_low", "ci_high")}
    done = account.ok("grid", device=device, fit=fitted["account"], bootstrap=resampled["account"])
    return *_packed({"all": found}, names, axes, {"r2": {"all": fitted["r2"]}}), done


def over_trials(model, rows, values, axes, *, contrasts, replicates, level, seed, device="cpu"):
    """Maps of one model for each of a few subjects, intervals by resampling its trials.

    Parameters
    ----------
    model : design.Design
    rows : DataFrame
        A row per window, with ``dataset`` and ``subject``.
    values : ndarray (rows, channels, times or frequencies)
    axes, contrasts, replicates, level, seed, device
        As in `over_subjects`.

    Returns
    -------
    arrays, attrs, account
        As of `over_subjects`. A subject whose windows cannot estimate the design is left out; the account says why.

    Raises
    ------
    ValueError
        No subject is left.
    """
    names, weights = _weights(model, contrasts)
    options = {"weights": weights, "names": model.coefficients}
    found, fits, left, r2 = {}, {}, {}, {}
    for label in np.unique(subject_labels(rows)).tolist():
        mine = (subject_labels(rows) == label).nonzero()[0]
        matrix, kept = design.apply(model, rows.iloc[mine])
        y = _array.to_device(values[mine[kept]], device)
        try:
            fitted = ols.fit_rows(matrix, y, **options)
            resampled = bootstrap.trials(matrix, y, seed=seed, replicates=replicates, level=level, **options)
        except ValueError as error:
            left[label] = str(error)
            continue
        found[label] = {name: fitted[name] for name in ("coef", "se", "t")}
        found[label] |= {name: resampled[name] for name in ("ci_low", "ci_high")}
        fits[label], r2[label] = {"fit": fitted["account"], "bootstrap": resampled["account"]}, fitted["r2"]
    if not found:
        raise ValueError(f"no subject's windows can estimate {model.formula!r}: {left}")
    done = account.ok("grid", device=device, subjects=fits, left_out=left)
    return *_packed(found, names, axes, {"r2": r2}), done


def _weights(model, contrasts):
    """Names and weights of all coefficients, then of the contrasts."""
    names, weights = design.contrasts(model, contrasts)
    return [*model.coefficients, *names], np.vstack([np.eye(len(model.coefficients)), weights])


def _packed(found, names, axes, whole):
    """Arrays with named dimensions and attributes of the maps of all units."""
    shape = (len(axes["names"]), len(axes["points"]))
    units = list(found)
    arrays = {
        name: (
            np.stack([_array.to_numpy(found[unit][name]).reshape(-1, *shape) for unit in units]),
            ["unit", "coefficient", "channel", axes["axis"]],
        )
        for name in MAPS
    }
    for name, values in whole.items():
        stacked = np.stack([_array.to_numpy(values[unit]).reshape(shape) for unit in units])
        arrays[name] = (stacked, ["unit", "channel", axes["axis"]])
    arrays |= {"unit": (units, ["unit"]), "coefficient": (names, ["coefficient"])}
    arrays |= {"channel": (axes["names"], ["channel"]), axes["axis"]: (axes["points"], [axes["axis"]])}
    return arrays, {"axis": axes["axis"], "unit_of_values": axes["unit"], "maps": MAPS}
