"""One design for all recordings: a formula, fixed once on the table of every window, applied to any part of it.

`family` (and `build`, of a single formula) reads the table of all windows of a study and fixes what depends on all of
them: levels of factors, centring, scaling, knots, rank, variance inflation. `apply` turns any part of the table (one
recording, one subject) into rows of the same design matrix. In between the design is plain JSON.

The grid is the dependent side, so formulas are one-sided, in the language of R and formulaic: ``~ kind * intensity``,
``~ C(kind, contr.treatment("rest")) + center(age)``, ``~ bs(intensity, df=5)``.

Columns of text, booleans and categories are factors, whose first level is the reference (alphabetical, or the order of
a pandas categorical); columns of numbers are numbers, and ``C(run)`` makes a factor of one.

Models that are to be compared share their windows and one matrix, U, of which the columns of each are combinations:
sums over the windows are then taken once, and `ols.restrict` finds those of each model in them.
"""

import dataclasses

import numpy as np

from hedgerow.grid import _contrasts, _design, _formula, _rank
from hedgerow.grid._design import Design, build

__all__ = ["Design", "Family", "apply", "build", "contrasts", "family", "tests"]


@dataclasses.dataclass(frozen=True)
class Family:
    """A design and those that it is compared with, over the same windows; see `family`.

    Attributes
    ----------
    main : Design
    others : dict of str to Design
        By formula.
    coefficients : list of str, (p_u,)
        Names of the columns of U: those of `main`, then what the others add.
    added : dict of str to list of int
        Columns that each other design adds to U.
    basis : list of list of float, (p_u, p_u)
        R of the QR decomposition of U, as `Design.basis`.
    within : dict of str to list of list of float, (p_u, p)
        Columns of each design, by formula and `main` first, in those of U.
    rows, dropped : int
        Windows used; windows left out since one of the formulas cannot use them.
    missing : dict of str to int
        Missing values per column used.
    """

    main: Design
    others: dict
    coefficients: list
    added: dict
    basis: list
    within: dict
    rows: int
    dropped: int
    missing: dict

    @property
    def formula(self):
        """Formula of the main design."""
        return self.main.formula

    @property
    def columns(self):
        """Columns that the formulas use: dict as `Design.columns`."""
        return {name: column for each in (*self.others.values(), self.main) for name, column in each.columns.items()}

    def to_json(self):
        """The family as a dict that `json.dumps` takes; floats survive exactly."""
        # a list, since the columns of U stand in this order and JSON may be written with sorted keys
        return dataclasses.asdict(self) | {"others": [each.to_json() for each in self.others.values()]}

    @classmethod
    def from_json(cls, state):
        """The family from the dict that `to_json` gave."""
        others = {each["formula"]: Design.from_json(each) for each in state["others"]}
        return cls(**{**state, "main": Design.from_json(state["main"]), "others": others})

    def account(self):
        """What was found: that of `main`, the windows of the family, and under ``compare`` those of the others."""
        found = {key: getattr(self, key) for key in ("rows", "dropped", "missing")}
        return self.main.account() | found | {"compare": {name: each.account() for name, each in self.others.items()}}


def family(formula, compare, table):
    """Fix the designs of a study on the table of all its windows.

    Parameters
    ----------
    formula : str
        One-sided formula, with or without the tilde.
    compare : list of str
        Further formulas, which the first is compared with; may be empty.
    table : pandas.DataFrame
        As for `build`. Windows that one of the formulas cannot use are left out of all, and counted.

    Returns
    -------
    Family

    Raises
    ------
    ValueError
        As `build`, naming the formula; a formula that stands twice.
    """
    rights = [_formula.right_side(each) for each in (formula, *compare)]
    twice = sorted({right for right in rights if rights.count(right) > 1})
    if twice:
        raise ValueError(f"compare: the formula {twice[0]!r} stands twice; compare different ones.")
    names = list(dict.fromkeys(name for right in rights for name in _formula.columns_used(right, table.columns)))
    present = table[names].notna()
    kept = present.all(axis=1).to_numpy(dtype=bool)
    missing = {name: int((~present[name]).sum()) for name in names}
    if not kept.any():
        raise ValueError(
            f"formula {rights[0]!r}: none of {len(table)} windows has a value in every column ({missing})."
        )
    table = table.loc[kept]
    main, others = build(rights[0], table), {}
    for right in rights[1:]:
        try:
            other = build(right, table)
        except ValueError as error:
            raise ValueError(f"compare {right!r}: {error}") from error
        others[other.formula] = other
    counts = {"rows": int(kept.sum()), "dropped": int((~kept).sum()), "missing": missing}
    if not others:
        identity = {main.formula: np.eye(main.rank).tolist()}
        return Family(main, {}, main.coefficients, {}, main.basis, identity, **counts)
    designs = [main, *others.values()]
    chosen, within, basis = _rank.union([apply(each, table)[0] for each in designs], [d.coefficients for d in designs])
    return Family(
        main=main,
        others=others,
        coefficients=[each.coefficients[j] for each, places in zip(designs, chosen, strict=True) for j in places],
        added={formula: places for formula, places in zip(others, chosen[1:], strict=True)},
        basis=basis.tolist(),
        within={each.formula: columns.tolist() for each, columns in zip(designs, within, strict=True)},
        **counts,
    )


def apply(design, table):
    """Rows of the design matrix, of a family those of U, for a part of the windows.

    Parameters
    ----------
    design : Design or Family
    table : pandas.DataFrame
        Any rows of the table that `build` or `family` was given, in any order.

    Returns
    -------
    matrix : numpy.ndarray of float64, (rows kept, p)
    kept : numpy.ndarray of bool, (rows of table,)
        False where a column that the formulas use has no value; index the signal with it.

    Raises
    ------
    ValueError
        A missing column, or a level that `build` has not seen.
    """
    if isinstance(design, Design):
        return _design.apply(design, table)
    kept = _design.usable(design, table)
    table = table.loc[kept]
    parts = [_design.apply(design.main, table)[0]]
    parts += [_design.apply(each, table)[0][:, design.added[formula]] for formula, each in design.others.items()]
    return np.concatenate(parts, axis=1), kept


def contrasts(design, expressions):
    """Weights of linear combinations of coefficients.

    Parameters
    ----------
    design : Design or Family
        Of a family, its main design.
    expressions : dict of str to str
        Name of the contrast and what it is, in coefficients or in levels of factors whatever their coding (see
        `hedgerow.grid._contrasts`): ``{"faces": "kind[famous] - (kind[unfamiliar] + kind[scrambled]) / 2"}``.

    Returns
    -------
    names : list of str, (k,)
    weights : numpy.ndarray of float64, (k, p)

    Raises
    ------
    ValueError
        An expression that is not one linear combination of the coefficients.
    """
    design = getattr(design, "main", design)
    weights = np.zeros((len(expressions), len(design.coefficients)))
    for row, (name, expression) in zip(weights, expressions.items(), strict=True):
        found = _contrasts.constraints(design, expression, f"contrast {name!r}")
        if len(found) > 1:
            raise ValueError(f"contrast {name!r}: {expression!r} is more than one sum of coefficients; write one each.")
        row[:] = found[0]
    return list(expressions), weights


def tests(design, expressions):
    """Weights of combinations of coefficients that are tested to be zero together.

    Parameters
    ----------
    design : Design or Family
        Of a family, its main design.
    expressions : dict of str to str
        Name of the test and what it tests: a term (``kind:intensity``: all its coefficients), or contrasts with commas
        or ``=`` between. Under treatment coding a term that stands in an interaction, too, is tested at the reference
        level of its partner; sum or Helmert coding tests its mean.

    Returns
    -------
    names : list of str, (tests,)
    weights : list of numpy.ndarray of float64, (q, p)

    Raises
    ------
    ValueError
        An expression that is not a list of linear combinations of the coefficients.
    """
    design = getattr(design, "main", design)
    return list(expressions), [
        _contrasts.constraints(design, expression, f"test {name!r}") for name, expression in expressions.items()
    ]
