"""Combinations of coefficients, written as people write them: in coefficients, in levels of factors, in terms.

``kind[famous] - kind[scrambled]`` speaks of levels and means the same under every coding of the factor. A level stands
for its marginal mean: the prediction for it, with the other factors averaged over their levels and the numbers at their
mean over all windows. ``kind[T.famous]`` is a coefficient. Where a name is both (``kind[famous]`` without
an intercept), it is the level; between backticks it is the coefficient. A column may stand between backticks, too:
```stim-type`[new]``.

Source of the marginal means: S. R. Searle, F. M. Speed & G. A. Milliken (1980), Am. Stat. 34:216-221, as in R's
package emmeans.
"""

import ast
import difflib
import functools
import itertools
import re

import numpy as np
import pandas as pd

from hedgerow.grid import _design, _formula
from hedgerow.grid._sums import listed

#: More combinations of levels than this are not averaged over.
COMBINATIONS = 20_000


def constraints(design, expression, what):
    """Rows (q, p) of an expression, or of several with commas or ``=`` between.

    Parameters
    ----------
    design : hedgerow.grid.design.Design
    expression : str
    what : str
        Start of the message of an error, such as ``contrast 'a'``.

    Raises
    ------
    ValueError
        An unknown coefficient, level or term, something that is not linear, or that is zero for every design.
    """
    names, levels, places = _names(design), _levels(design), {}
    known, other = _known(levels), _unknown(levels)
    pattern = re.compile(
        rf"(?<![\w.)\]])(?:(?P<levels>(?:{known})(?:\s*:\s*(?:{known}))*)(?!\s*[:\[\w])|"
        rf"(?P<name>{_any_of(names)})(?!\s*[:\[]|\w)|(?P<other>{other}(?:\s*:\s*{other})*)(?!\s*[:\[\w]))|"
        r"`(?P<quoted>[^`]+)`"
    )
    reference = functools.cache(lambda: _reference(design))

    def place(found):
        variable = f"_{len(places)}"
        if found["quoted"] is not None:
            if found["quoted"] not in names:
                raise ValueError(f"{what}: no coefficient {found['quoted']!r}; {_near(found['quoted'], names)}")
            places[variable] = _unit(design, names[found["quoted"]])
        elif found["levels"] is not None:
            places[variable] = _marginal_mean(found["levels"], levels, reference, what)
        elif found["other"] is not None:
            places[variable] = _coefficient(design, found["other"], levels, what)
        else:
            places[variable] = _unit(design, names[found["name"]])
        return f" {variable} "

    written = pattern.sub(place, expression)
    rows = [row for part in written.split(",") for row in _parts(part, places, design, what, expression)]
    if not np.any(rows, axis=-1).all():
        raise ValueError(f"{what}: {expression!r} is zero whatever the coefficients; leave it out.")
    return np.asarray(rows, dtype=float)


def _parts(part, places, design, what, expression):
    """Rows of one part between commas: a term, a sum, or sums that are equal."""
    if part.strip() in places and len(places[part.strip()]) > 1:
        return list(places[part.strip()])
    sides = []
    for side in part.split("="):
        try:
            sides.append(_linear(ast.parse(side.strip(), mode="eval").body, places, len(design.coefficients)))
        except KeyError as error:
            name = error.args[0]
            raise ValueError(f"{what}: no coefficient or level {name!r}; {_near(name, _names(design))}") from None
        except (SyntaxError, TypeError) as error:
            raise ValueError(
                f"{what}: {expression!r} is not a combination of the coefficients {listed(design.coefficients)} "
                f"({error.args[0]})."
            ) from None
    rows = [left - right for left, right in itertools.pairwise(sides)] if len(sides) > 1 else sides
    if any(row[-1] for row in rows):
        raise ValueError(f"{what}: {expression!r} holds a number that no coefficient stands with; test against 0.")
    return [row[:-1] for row in rows]


def _linear(node, places, p):
    """Weights of the coefficients, then the constant (p + 1,), of a Python expression that is linear in them."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return np.append(np.zeros(p), float(node.value))
    if isinstance(node, ast.Name):
        rows = places[node.id]
        if len(rows) > 1:
            raise TypeError("a term of several coefficients stands in a sum")
        return np.append(rows[0], 0.0)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return _linear(node.operand, places, p) * (-1.0 if isinstance(node.op, ast.USub) else 1.0)
    if isinstance(node, ast.BinOp):
        left, right = _linear(node.left, places, p), _linear(node.right, places, p)
        if isinstance(node.op, (ast.Add, ast.Sub)):
            return left + right if isinstance(node.op, ast.Add) else left - right
        if isinstance(node.op, ast.Mult) and not (left[:-1].any() and right[:-1].any()):
            return left * right[-1] if left[:-1].any() else left[-1] * right
        if isinstance(node.op, ast.Div) and not right[:-1].any() and right[-1]:
            return left / right[-1]
    raise TypeError("only sums, differences and multiples by numbers are understood")


def _unit(design, names):
    """Rows (q, p) of single coefficients."""
    return np.eye(len(design.coefficients))[[design.coefficients.index(name) for name in names]]


def _names(design):
    """Coefficients of every coefficient and term by their names; terms also in other orders, and by their columns."""
    found = {}
    terms = {term: names for term, names in design.terms.items() if not term.isdigit()}
    for term, coefficients in terms.items():
        factors = re.split(r":(?![^(\[]*[)\]])", term)
        plain = [_only_column(factor, design.columns) or factor for factor in factors]
        for order in itertools.permutations(range(len(factors))) if len(factors) < 5 else [range(len(factors))]:
            for alias in (":".join(plain[i] for i in order), ":".join(factors[i] for i in order)):
                found.setdefault(alias, {})[term] = coefficients
    named = {alias: next(iter(of.values())) for alias, of in found.items() if len(of) == 1}
    return named | terms | {name: [name] for name in design.coefficients}


def _only_column(factor, columns):
    """The column that a factor of a term, such as ``C(kind, contr.sum)``, is made of, if it is one."""
    used = {factor} if factor in columns else _formula.columns_of(factor) & set(columns)
    return used.pop() if len(used) == 1 else None


def _any_of(texts):
    """Pattern of one of some texts, the longest first."""
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def _known(levels):
    """Pattern of a level of a factor, such as ``kind[famous]``, with a group for each factor, the longest first."""
    pieces = []
    for name in sorted(levels, key=len, reverse=True):
        factor = re.escape(name)
        pieces.append(rf"(?:`{factor}`|{factor})\s*\[\s*({_any_of(levels[name])})\s*\]")
    return "|".join(pieces) or "(?!)"


def _unknown(levels):
    """Pattern of what looks like a level of a factor; groups: factor between backticks, or factor, and level."""
    name = f"{_any_of(levels)}|[\\w.]+" if levels else r"[\w.]+"
    return rf"(?:`({name})`|({name}))\s*\[([^\]]+)\]"


def _marginal_mean(text, levels, reference, what):
    """Rows (1, p) of a marginal mean, such as ``kind[famous]:sex[F]``."""
    factors = sorted(levels, key=len, reverse=True)
    pairs = [(factors[each.lastindex - 1], each[each.lastindex]) for each in re.finditer(_known(levels), text)]
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"{what}: {text!r} names two levels of one factor, and no window has both.")
    table, matrix = reference()
    chosen = np.logical_and.reduce([table[name] == level for name, level in pairs])
    return matrix[chosen].mean(axis=0)[None, :]


def _coefficient(design, text, levels, what):
    """Rows (1, p) of a coefficient that is written as ``kind[T.famous] : sex[T.F]``, with other blanks or backticks."""
    pairs = [(each[1] or each[2], each[3]) for each in re.finditer(_unknown(levels), text)]
    text = ":".join(f"{name}[{level}]" for name, level in pairs)
    if text in design.coefficients:
        return _unit(design, [text])
    name, level = next(pair for pair in pairs if pair[1] not in levels.get(pair[0], []))
    if name not in levels:
        raise ValueError(f"{what}: {text!r} is no coefficient, and {name!r} no factor; {_near(name, levels)}")
    # of numbers none is meant by another
    hint = f"there are {listed(levels[name])}." if "values" in design.columns[name] else _near(level, levels[name])
    raise ValueError(f"{what}: {text!r} is no coefficient, and no window has level {level!r} of {name!r}; {hint}")


def _levels(design):
    """Levels, as text, of the columns that stand as factors."""
    return {
        name: column.get("levels") or [_design.text_of(value) for value in column["values"]]
        for name, column in design.columns.items()
        if "levels" in column or "values" in column
    }


def _reference(design):
    """Levels of all factors in every combination, and the rows of the design there, numbers at their mean."""
    levels = _levels(design)
    for factor in design.state["categories"]:
        if factor not in levels and _formula.made_factor(factor) not in levels:
            raise ValueError(
                f"formula {design.formula!r}: {factor!r} makes levels of more than a column; make a column of it to "
                "speak of levels, or write the contrast in coefficients."
            )
    number = int(np.prod([len(each) for each in levels.values()], dtype=float))
    if number > COMBINATIONS:
        raise ValueError(
            f"formula {design.formula!r}: its factors have {number} combinations of levels, too many to average over; "
            "write the contrast in coefficients."
        )
    places = list(itertools.product(*(range(len(each)) for each in levels.values())))
    chosen = dict(zip(levels, np.asarray(places, dtype=int).T, strict=True))
    data = {}
    for name, column in design.columns.items():
        if column["type"] == "factor":
            data[name] = pd.Categorical.from_codes(chosen[name], categories=column["levels"])
        elif "values" in column:
            data[name] = np.asarray(column["values"])[chosen[name]]
        else:
            data[name] = np.full(len(places), column["mean"])
    matrix, _ = _formula.materialise(_formula.restored(design.formula, design.state), pd.DataFrame(data))
    if not np.isfinite(matrix).all():
        raise ValueError(f"formula {design.formula!r} is not finite at the mean of its numbers; write coefficients.")
    return {name: np.asarray(each)[chosen[name]] for name, each in levels.items()}, matrix


def _near(name, known):
    """Half a sentence with the nearest of the known names, or with all."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {listed(list(known))}."
