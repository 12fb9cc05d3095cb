"""The design of one formula: fixed on the table of every window, applied to any part of it; see `grid.design`."""

import dataclasses
import json
import re

import numpy as np
import pandas as pd

from hedgerow.grid import _formula, _rank
from hedgerow.grid._sums import listed


@dataclasses.dataclass(frozen=True)
class Design:
    """What is needed to make the design matrix of any part of the windows; see `build`.

    Attributes
    ----------
    formula : str
        Right-hand side, with its tilde.
    columns : dict
        Columns that the formula uses: ``{"type": "factor", "levels": [...]}``, or ``{"type": "number" or "integer",
        "mean": ...}``, with ``"values": [...]`` where ``C()`` makes a factor of the numbers.
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
    try:
        matrix, spec = _formula.materialise(right, data)
    except ValueError as error:
        levels = "; ".join(f"{name}: {listed(each['levels'])}" for name, each in columns.items() if "levels" in each)
        known = (
            f" (levels that windows have: {levels})"
            if levels and re.search("level|category|categories", str(error))
            else ""
        )
        raise ValueError(f"{error}{known}") from error
    coefficients = [str(name) for name in spec.column_names]
    terms = {str(term): [coefficients[i] for i in places] for term, places in spec.term_indices.items()}
    _rank.check_finite(matrix, coefficients)
    if len(matrix) < len(coefficients):
        raise ValueError(f"formula: {len(coefficients)} coefficients but only {len(matrix)} windows; leave terms out.")
    basis = _rank.triangle(matrix)
    _rank.check(basis, matrix, coefficients, terms)
    state = _formula.stored(spec)
    for factor, values in state["categories"].items():
        name = _formula.made_factor(factor)
        if name in columns and columns[name]["type"] != "factor":
            columns[name]["values"] = values
    design = Design(
        formula=f"~ {right}",
        columns=columns,
        coefficients=coefficients,
        terms=terms,
        state=state,
        basis=basis.tolist(),
        vif=_rank.inflation(basis, coefficients),
        rank=len(coefficients),
        rows=int(kept.sum()),
        dropped=int((~kept).sum()),
        missing=missing,
    )
    _check_restored(design, table.loc[kept], matrix)
    return design


def apply(design, table):
    """Rows of the design matrix for a part of the windows, and which those are; see `grid.design.apply`."""
    kept = usable(design, table)
    if not kept.any():
        return np.zeros((0, len(design.coefficients))), kept
    matrix, spec = _formula.materialise(
        _formula.restored(design.formula, design.state), _typed(table.loc[kept], design.columns)
    )
    if list(spec.column_names) != design.coefficients:
        raise ValueError(f"formula {design.formula!r} gives other coefficients than the stored design; build it again.")
    _rank.check_finite(matrix, design.coefficients)
    return matrix, kept


def usable(design, table):
    """Windows with a value in every column that a design or family uses: bool (rows of table,)."""
    absent = [name for name in design.columns if name not in table.columns]
    if absent:
        raise ValueError(f"formula {design.formula!r}: the table of windows has no column {', '.join(absent)}.")
    return table[list(design.columns)].notna().all(axis=1).to_numpy(dtype=bool)


def text_of(value):
    """A level as text; 1.0 is "1", since a missing value elsewhere turns whole numbers into floats."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _column(name, values):
    """Type of one column without missing values, and its levels if it is a factor."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        used = set(values.unique())
        levels = [text_of(level) for level in values.cat.categories if level in used]
    elif pd.api.types.is_bool_dtype(values.dtype) or not pd.api.types.is_numeric_dtype(values.infer_objects().dtype):
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            raise ValueError(f"formula: column {name!r} holds dates; make a number of them first.")
        levels = sorted({text_of(value) for value in values})
    else:
        numbers = pd.to_numeric(values).to_numpy(dtype=float)
        whole = np.isfinite(numbers).all() and bool(np.all(numbers == np.round(numbers)))
        finite = numbers[np.isfinite(numbers)]
        return {"type": "integer" if whole else "number", "mean": float(finite.mean()) if finite.size else 0.0}
    if len(levels) < 2:
        raise ValueError(f"formula: factor {name!r} has a single level ({levels[0]!r}) in all windows; leave it out.")
    return {"type": "factor", "levels": levels}


def _typed(table, columns):
    """The columns used, in the types of the design, so that a part of the table is read as the whole was."""
    data = {}
    for name, column in columns.items():
        if column["type"] == "factor":
            values = [text_of(value) for value in table[name]]
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
