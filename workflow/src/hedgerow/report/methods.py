"""How the errors and intervals of a model were made, and what its coefficients are, in words."""

import numpy as np

from ..grid.choice import MIN_CLUSTERS

#: What each kind of error allows for.
ERRORS = {
    "classical": "classical: every window counts as independent, with errors of one size",
    "hc0": "HC0: robust against unequal errors, too small in small samples",
    "hc1": "HC1: robust against unequal errors",
    "hc2": "HC2: robust against unequal errors",
    "hc3": "HC3: robust against unequal errors, on the safe side in small samples",
    "cr1": "CR1: robust against any dependence within a person",
    "cr2": "CR2: robust against any dependence within a person, corrected for few and unequal ones; "
    "degrees of freedom after Satterthwaite",
}
#: What an interval takes from the replicates.
INTERVALS = {
    "percentile": "percentiles",
    "studentised": "bootstrap-t",
    "bca": "percentiles corrected for bias and acceleration (BCa)",
}
#: What is new in a replicate.
RESAMPLED = {
    "clusters": "people are drawn with replacement, each with all their {rows}",
    "wild-clusters": "the residuals of each person are multiplied by a random weight of their own (Webb’s six values)",
    "pairs": "the {rows} of a person are drawn with replacement, each with its regressors",
    "wild": "the residual of each of a person’s {rows} keeps or changes its sign at random",
}
#: Why `auto` takes a bootstrap.
REASONS = {
    "wild-clusters": f"there are {MIN_CLUSTERS} people or more",
    "pairs": f"there are fewer than {MIN_CLUSTERS} people",
}


def sentences(said, df):
    """What was done, and why.

    Parameters
    ----------
    said : dict
        Account of the model: ``choice``, ``model``, and ``fit`` or ``subjects``.
    df : ndarray
        Degrees of freedom of the coefficients.

    Returns
    -------
    list of str
    """
    choice, block = said["choice"], said["model"]
    return [_over(said), _errors(choice, df), _interval(choice, block)]


def _over(said):
    if said["choice"]["over"] == "people":
        once = "Each sample near an event" if said["model"]["lags"] else "Each window"
        return f"{once} counts once in the estimate; errors and intervals are over {said['fit']['clusters']} people."
    people = len(said["subjects"])
    few = "fewer than five people, so " if people + len(said.get("left_out", {})) < MIN_CLUSTERS else ""
    text = f"{few}inference is per person, over windows"
    return f"{text[0].upper()}{text[1:]}: how sure each one’s own response is, nothing about people in general."


def _errors(choice, df):
    df = df[np.isfinite(df)]
    low, high = (float(df.min()), float(df.max())) if df.size else (np.nan, np.nan)
    span = f"{low:.4g}" if high - low < 0.05 else f"{low:.3g} to {high:.3g}"
    return f"Standard errors are {ERRORS[choice['errors']]} (df of the coefficients: {span})."


def _interval(choice, block):
    level = f"{100 * block['level']:g}\u202f%"
    if choice["bootstrap"] == "none":
        return f"{level} intervals: estimate ± quantile of t × standard error; nothing was resampled."
    how = RESAMPLED[choice["bootstrap"]].format(rows="events" if block["lags"] else "windows")
    # an interval that is asked for decides, too
    reason = REASONS.get(choice["bootstrap"]) if block["bootstrap"] == block["interval"] == "auto" else None
    why = f", chosen since {reason}" if reason else ""
    replicates = f"{block['replicates']:,}".replace(",", "\u202f")
    kind = INTERVALS[choice["interval"]]
    return f"{level} intervals: {kind} over {replicates} replicates (seed {block['seed']}) in which {how}{why}."


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
