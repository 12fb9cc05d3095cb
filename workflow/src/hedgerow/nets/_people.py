"""What all scores share: who the people of a table of predictions are, and intervals over them (numpy and pandas only).

A replicate of the bootstrap is a row of whole numbers: how often each person is drawn. Everything that is a sum over
windows is then summed per person once, and a replicate is a product with that row, however many windows there are.
"""

import numpy as np

#: Fewer people than this: percentile intervals are too narrow, and a note says so.
ENOUGH = 40

#: How far the sum of a window's probabilities may be from 1: rounding to four digits stays within.
TOLERANCE = 1e-3


def people(table):
    """Names of the people in `table`, in their order, and the number of each row's person (rows,)."""
    named = table[unit(table)]
    if named.isna().any():
        row = int(named.isna().to_numpy().argmax())
        raise ValueError(f"row {row} of the predictions has no {named.name}: say whose window it is")
    return np.unique(named.astype(str), return_inverse=True)


def unit(table):
    """Column that names the people: person where there is one (labels of subjects repeat between datasets)."""
    for column in ("person", "subject"):
        if column in table:
            return column
    raise ValueError(f"the predictions need a column person or subject, they have {list(table.columns)}")


def probabilities(table):
    """Columns p0, p1, ... of `table` as an array (windows, classes), after a look at them and at y."""
    columns = sorted((c for c in table if c[0] == "p" and c[1:].isdigit()), key=lambda c: int(c[1:]))
    if len(columns) < 2 or "y" not in table or not len(table):
        raise ValueError(f"predictions need rows and the columns y, p0, p1: {len(table)} rows of {list(table.columns)}")
    p = table[columns].to_numpy(dtype=np.float64)
    bad = ~((p >= 0) & (p <= 1 + TOLERANCE)).all(1)  # NaN is neither
    if bad.any():
        raise ValueError(
            f"{place(table, bad)}: {', '.join(columns)} are {p[bad.argmax()].tolist()}, no probabilities (0 ... 1); "
            "a training that diverged gives such: train it anew with a smaller lr"
        )
    bad = np.abs(p.sum(1) - 1) > TOLERANCE
    if bad.any():
        total = p[bad.argmax()].sum()
        raise ValueError(
            f"{place(table, bad)}: the probabilities sum to {total:.6g}, not 1; give the softmax of the logits"
        )
    if not table["y"].isin(range(len(columns))).all():
        raise ValueError(f"y holds classes that are not 0 ... {len(columns) - 1}: {sorted(set(table['y']))}")
    return p


def resample(subjects, replicates, seed):
    """How often each subject is drawn in each replicate (1 + replicates, subjects); row 0 is the sample itself.

    One subject alone has no replicates: nothing is known of others.
    """
    if subjects < 2:
        return np.ones((1, subjects))
    drawn = np.random.default_rng([seed, subjects]).integers(subjects, size=(replicates, subjects))
    weights = np.ones((replicates + 1, subjects))
    for row, who in zip(weights[1:], drawn):
        row[:] = np.bincount(who, minlength=subjects)
    return weights


def sums(person, values, subjects):
    """Sums of the `values` (rows, columns) over each person's rows: (subjects, columns)."""
    return np.stack([np.bincount(person, column, minlength=subjects) for column in values.T], axis=1)


def interval(values, level):
    """Value, and low and high end of its percentile interval, of the sample and its replicates (1 + replicates,).

    Replicates that are NaN do not count; where none is left, the interval is NaN.
    """
    drawn = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if len(drawn) else (np.nan, np.nan)
    return {"value": float(values[0]), "low": float(low), "high": float(high)}


def few(subjects, also=""):
    """Notes on what intervals over so many subjects (and something else) cannot say."""
    if subjects == 1:
        return ["1 subject: no interval over subjects can be told"]
    return [f"{subjects} subjects: percentile intervals over so few are too narrow{also}"] if subjects < ENOUGH else []


def place(table, bad):
    """Words for the first row of `table` at which `bad` (rows,) is true."""
    row = int(bad.argmax())
    return f"row {row} of the predictions ({unit(table)} {table[unit(table)].iloc[row]})"
