"""One design for all recordings: a formula, fixed once on the table of every window, applied to any part of it.

`build` reads the table of all windows of a study and fixes what depends on all of them: levels of factors, centring,
scaling, knots, rank, variance inflation. `apply` turns any part of the table (one recording, one subject) into rows of
the same design matrix. In between the design is plain JSON.

The grid is the dependent side, so formulas are one-sided, in the language of R and formulaic: ``~ kind * intensity``,
``~ C(kind, contr.treatment("rest")) + center(age)``, ``~ bs(intensity, df=5)``.

Columns of text, booleans and categories are factors, whose first level is the reference (alphabetical, or the order of
a pandas categorical); columns of numbers are numbers, and ``C(run)`` makes a factor of one.
"""

import dataclasses
import json
import re

import numpy as np
import pandas as pd

from hedgerow.grid import _formula

#: A column whose part that no other column explains is smaller than this share of it is collinear (as in R's `lm`).
COLLINEAR = 1e-7


@dataclasses.dataclass(frozen=True)
class Design:
    """What is needed to make the design matrix of any part of the windows; see `build`.

    Attributes
    ----------
    formula : str
        Right-hand side, with its tilde.
    columns : dict
        Columns that the formula uses: ``{"type": "factor", "levels": [...]}``, ``{"type": "number"}`` or
        ``{"type": "integer"}``.
    coefficients : list of str, (p,)
        Names of the columns of the design matrix.
    terms : dict of str to list of str
        Coefficients of each term.
    state : dict
        formulaic's state: centres, scales, knots and categories.
    basis : list of list of float, (p, p)
        Upper triangular R of the QR decomposition of the whole design matrix. Moments are taken of X R⁻¹, so that two
        nearly equal columns cost no precision.
    vif : dict of str to float
        Variance inflation factor of each coefficient but the intercept, 1 or more.
    rank, rows, dropped : int
        Rank (always p), windows used, windows left out for a missing value.
    missing : dict of str to int
        Missing values per column used.
    """

    formula: str
    columns: dict
    coefficients: list
    terms: dict
    state: dict
    basis: list
    vif: dict
    rank: int
    rows: int
    dropped: int
    missing: dict

    @property
    def levels(self):
        """Levels of every factor, the reference first: dict of str to list of str."""
        return {name: column["levels"] for name, column in self.columns.items() if column["type"] == "factor"}

    def to_json(self):
        """The design as a dict that `json.dumps` takes; floats survive exactly."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, state):
        """The design from the dict that `to_json` gave."""
        return cls(**state)

    def account(self):
        """What was found: everything but the basis and formulaic's state."""
        return {key: value for key, value in self.to_json().items() if key not in ("basis", "state")}


def build(formula, table):
    """Fix the design of a study on the table of all its windows.

    Parameters
    ----------
    formula : str
        One-sided formula, with or without the tilde.
    table : pandas.DataFrame
        One row per window of every recording: columns of events and participants, with dataset, subject, recording,
        label and onset. Rows with a missing value in a column that the formula uses are left out and counted.

    Returns
    -------
    Design

    Raises
    ------
    ValueError
        An unreadable formula, an unknown column, a factor with a single level, a constant or collinear term, a term
        that is not finite or depends on other rows in a way that cannot be stored, fewer windows than coefficients.
    """
    right = _formula.right_side(formula)
    names = _formula.columns_used(right, table.columns)
    present = table[names].notna()
    kept = present.all(axis=1).to_numpy(dtype=bool)
    missing = {name: int((~present[name]).sum()) for name in names}
    if not kept.any():
        raise ValueError(f"formula {right!r}: none of {len(table)} windows has a value in every column ({missing}).")
    columns = {name: _column(name, table.loc[kept, name]) for name in names}
    data = _typed(table.loc[kept], columns)
    matrix, spec = _formula.materialise(right, data)
    coefficients = [str(name) for name in spec.column_names]
    terms = {str(term): [coefficients[i] for i in places] for term, places in spec.term_indices.items()}
    _check_finite(matrix, coefficients)
    basis = _triangle(matrix)
    _check_rank(basis, matrix, coefficients, terms)
    design = Design(
        formula=f"~ {right}",
        columns=columns,
        coefficients=coefficients,
        terms=terms,
        state=_formula.stored(spec),
        basis=basis.tolist(),
        vif=_inflation(basis, coefficients),
        rank=len(coefficients),
        rows=int(kept.sum()),
        dropped=int((~kept).sum()),
        missing=missing,
    )
    _check_restored(design, table.loc[kept], matrix)
    return design


def apply(design, table):
    """Rows of the design matrix for a part of the windows.

    Parameters
    ----------
    design : Design
    table : pandas.DataFrame
        Any rows of the table that `build` was given, in any order.

    Returns
    -------
    matrix : numpy.ndarray of float64, (rows kept, p)
    kept : numpy.ndarray of bool, (rows of table,)
        False where a column that the formula uses has no value; index the signal with it.

    Raises
    ------
    ValueError
        A missing column, or a level that `build` has not seen.
    """
    absent = [name for name in design.columns if name not in table.columns]
    if absent:
        raise ValueError(f"formula {design.formula!r}: the table of windows has no column {', '.join(absent)}.")
    kept = table[list(design.columns)].notna().all(axis=1).to_numpy(dtype=bool)
    if not kept.any():
        return np.zeros((0, len(design.coefficients))), kept
    matrix, spec = _formula.materialise(
        _formula.restored(design.formula, design.state), _typed(table.loc[kept], design.columns)
    )
    if list(spec.column_names) != design.coefficients:
        raise ValueError(f"formula {design.formula!r} gives other coefficients than the stored design; build it again.")
    _check_finite(matrix, design.coefficients)
    return matrix, kept


def contrasts(design, expressions):
    """Weights of linear combinations of coefficients.

    Parameters
    ----------
    design : Design
    expressions : dict of str to str
        Name of the contrast and what it is: ``{"b against c": "kind[T.b] - kind[T.c]"}``.

    Returns
    -------
    names : list of str, (k,)
    weights : numpy.ndarray of float64, (k, p)

    Raises
    ------
    ValueError
        An expression that is not one linear combination of the coefficients.
    """
    from formulaic.utils.constraints import LinearConstraints

    # coefficients hold colons and brackets, which the language reads as operators unless quoted; the longest name wins
    quoted = "|".join(re.escape(name) for name in sorted(design.coefficients, key=len, reverse=True))
    pattern = re.compile(rf"`[^`]*`|(?<![\w.])(?:{quoted})(?!\w)")
    weights = []
    for name, expression in expressions.items():
        try:
            written = pattern.sub(lambda found: f"`{found.group().strip('`')}`", expression)
            found = LinearConstraints.from_spec(written, variable_names=design.coefficients)
        except Exception as error:
            raise ValueError(
                f"contrast {name!r}: {expression!r} is not a combination of the coefficients "
                f"{', '.join(design.coefficients)} ({_formula.first_line(error)})."
            ) from error
        if found.constraint_matrix.shape[0] != 1 or np.any(found.constraint_values):
            raise ValueError(f"contrast {name!r}: {expression!r} is more than one sum of coefficients; write one each.")
        weights.append(np.asarray(found.constraint_matrix, dtype=float)[0])
    return list(expressions), np.reshape(np.asarray(weights, dtype=float), (-1, len(design.coefficients)))


def _text(value):
    """A level as text; 1.0 is "1", since a missing value elsewhere turns whole numbers into floats."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _column(name, values):
    """Type of one column without missing values, and its levels if it is a factor."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        used = set(values.unique())
        levels = [_text(level) for level in values.cat.categories if level in used]
    elif pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.infer_objects().dtype):
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            raise ValueError(f"formula: column {name!r} holds dates; make a number of them first.")
        levels = sorted({_text(value) for value in values})
    else:
        numbers = pd.to_numeric(values).to_numpy(dtype=float)
        whole = np.isfinite(numbers).all() and bool(np.all(numbers == np.round(numbers)))
        return {"type": "integer" if whole else "number"}
    if len(levels) < 2:
        raise ValueError(f"formula: factor {name!r} has a single level ({levels[0]!r}) in all windows; leave it out.")
    return {"type": "factor", "levels": levels}


def _typed(table, columns):
    """The columns used, in the types of the design, so that a part of the table is read as the whole was."""
    data = {}
    for name, column in columns.items():
        if column["type"] == "factor":
            values = [_text(value) for value in table[name]]
            unknown = sorted(set(values) - set(column["levels"]))
            if unknown:
                raise ValueError(
                    f"column {name!r} has a level {unknown[0]!r} that the design was not built with "
                    f"({', '.join(column['levels'])}); build the design on all recordings."
                )
            data[name] = pd.Categorical(values, categories=column["levels"])
        else:
            data[name] = pd.to_numeric(table[name]).to_numpy(dtype=np.int64 if column["type"] == "integer" else float)
    return pd.DataFrame(data, index=range(len(table)))


def _triangle(matrix, rows=65536):
    """R of the QR decomposition (p, p), positive diagonal, block by block so that no second matrix is held."""
    p = matrix.shape[1]
    if matrix.shape[0] < p:
        raise ValueError(f"formula: {p} coefficients but only {matrix.shape[0]} windows; leave terms out.")
    triangle = np.zeros((0, p))
    for start in range(0, matrix.shape[0], rows):
        triangle = np.linalg.qr(np.vstack([triangle, matrix[start : start + rows]]), mode="r")
    return triangle * np.where(np.diag(triangle) < 0, -1.0, 1.0)[:, None]


def _check_finite(matrix, coefficients):
    """Refuse a design matrix with NaN or infinity, naming the coefficient."""
    bad = np.count_nonzero(~np.isfinite(matrix), axis=0)
    if bad.any():
        worst = int(np.argmax(bad))
        raise ValueError(
            f"formula: {coefficients[worst]!r} is not finite in {bad[worst]} of {len(matrix)} windows "
            "(an infinite value, the logarithm of zero?); change the term or mark those values n/a."
        )


def _check_rank(basis, matrix, coefficients, terms):
    """Refuse empty, constant and collinear columns, naming coefficient, term and what it repeats (after R's `lm`)."""
    term_of = {name: term for term, names in terms.items() for name in names}
    norms = np.linalg.norm(basis, axis=0)
    for j, name in enumerate(coefficients):
        where = f"formula: term {term_of[name]!r}, coefficient {name!r},"
        if norms[j] == 0:
            raise ValueError(f"{where} is zero in all {len(matrix)} windows: no window has that combination.")
        earlier = basis[:, :j] / norms[:j]
        weights = np.linalg.lstsq(earlier, basis[:, j] / norms[j], rcond=None)[0] if j else np.zeros(0)
        if np.linalg.norm(basis[:, j] / norms[j] - earlier @ weights) > COLLINEAR:
            continue
        if np.ptp(matrix[:, j]) == 0:
            raise ValueError(f"{where} is constant ({matrix[0, j]:g}) in all {len(matrix)} windows; leave it out.")
        others = [coefficients[i] for i in np.flatnonzero(np.abs(weights) > 1e-6)]
        raise ValueError(
            f"{where} is a combination of {', '.join(others)} in all {len(matrix)} windows; leave one out."
        )


def _inflation(basis, coefficients):
    """Variance inflation factors from R: spread of a column times its diagonal element of (X'X)⁻¹."""
    first = 1 if coefficients[0] == "Intercept" else 0
    inverse = np.linalg.inv(basis)
    spread = np.sum(basis[first:] ** 2, axis=0)
    factors = spread * np.sum(inverse**2, axis=1)
    return {name: float(factors[j]) for j, name in enumerate(coefficients) if j >= first}


def _check_restored(design, table, matrix):
    """Refuse a term whose value in a row changes when other rows are not there or the state has been through JSON."""
    restored = Design.from_json(json.loads(json.dumps(design.to_json(), allow_nan=False)))
    part = slice(len(table) // 4, len(table) // 4 + max(1, len(table) // 3))
    again, kept = apply(restored, table.iloc[part])
    wrong = ~np.isclose(again, matrix[part], rtol=1e-9, atol=1e-12 * np.abs(matrix).max()).all(axis=0)
    if not kept.all() or wrong.any():
        raise ValueError(
            f"formula: {design.coefficients[int(np.argmax(wrong))]!r} depends on the other rows of the table in a way "
            "that cannot be applied to one recording at a time; use center(), scale(), poly() or bs()."
        )
