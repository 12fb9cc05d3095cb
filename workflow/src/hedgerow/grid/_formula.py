"""Formulas: what they name, the matrix that they make, and formulaic's state as plain JSON.

formulaic remembers centres, knots and categories in Python objects. They are taken out as numbers, text, lists and
tagged dicts, so that a design file can be read by eye and needs no pickle; `design.build` proves on each design that
nothing was lost.
"""

import ast
import builtins
import difflib
import re
import warnings

import numpy as np


def right_side(formula):
    """Formula without its tilde, after refusing what is not a one-sided fixed-effects formula."""
    left, _, right = formula.rpartition("~")
    if left.strip():
        raise ValueError(f"formula {formula!r}: the grid is the left side already; write '~ {right.strip()}'.")
    right = right.strip()
    if not right:
        raise ValueError(f"formula {formula!r} is empty; write '~ 1' for the mean alone.")
    if "|" in re.sub(r"'[^']*'|\"[^\"]*\"", "", right):
        raise ValueError(
            f"formula {formula!r}: '|' (random effects) has no place in a least-squares design; leave it out."
        )
    return right


def columns_used(right, available):
    """Columns of the table that the formula names, in the order of the table."""
    from formulaic import Formula
    from formulaic.transforms import TRANSFORMS

    try:
        factors = {factor for term in Formula(right) for factor in term.factors}
    except Exception as error:
        raise ValueError(f"formula {right!r} cannot be read: {first_line(error)}.") from error
    names = set()
    for factor in factors:
        if factor.eval_method.value == "lookup":
            names.add(factor.expr)
        elif factor.eval_method.value == "python":
            names |= columns_of(factor.expr)
    available = [str(name) for name in available]
    for name in sorted(names - set(available) - set(TRANSFORMS) - set(dir(builtins))):
        near = difflib.get_close_matches(name, available, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(available)}."
        raise ValueError(f"formula {right!r}: no column {name!r} in the table of windows; {hint}")
    return [name for name in available if name in names]


def columns_of(expression):
    """Names that a factor of a term reads: as they are, between backticks, or in ``Q("column")``."""
    names = set(re.findall(r"`([^`]+)`", expression))
    try:
        nodes = list(ast.walk(ast.parse(re.sub(r"`[^`]+`", "0", expression).strip(), mode="eval")))
    except SyntaxError as error:
        raise ValueError(f"formula: {expression!r} cannot be read ({error.msg}).") from error
    names |= {node.id for node in nodes if isinstance(node, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Q" and node.args:
            names.add(getattr(node.args[0], "value", ""))
    return names


def made_factor(factor):
    """Column of which a factor such as ``C(run)`` or ``C(run, contr.sum)`` makes levels, or None."""
    found = re.match(r"C\(\s*`?([^,`()]+?)`?\s*[,)]", factor)
    return found[1] if found else None


def materialise(formula, data):
    """Design matrix (rows, p) of a formula or a restored specification, and the specification with its state."""
    from formulaic import Formula, ModelSpec
    from formulaic.errors import DataMismatchWarning

    spec = formula if isinstance(formula, ModelSpec) else ModelSpec.from_spec(Formula(formula))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", DataMismatchWarning)
            made = spec.get_model_matrix(data, output="numpy", na_action="ignore")
    except Exception as error:
        raise ValueError(f"formula {spec.formula!s}: {first_line(error)}") from error
    if made.shape[1] == 0:
        raise ValueError(f"formula {spec.formula!s} has no coefficient; write '~ 1' for the mean alone.")
    return np.asarray(made, dtype=np.float64), made.model_spec


def first_line(error):
    """First line of an error's text, without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().split("\n")[0].rstrip(".")


def stored(spec):
    """formulaic's state as plain JSON."""
    categories = {
        factor: _plain(state["categories"], factor)
        for factor, (_, state) in spec.encoder_state.items()
        if "categories" in state
    }
    return {"transforms": _plain(spec.transform_state, "transforms"), "categories": categories}


def restored(formula, state):
    """formulaic's specification from the stored state."""
    from formulaic import Formula, ModelSpec
    from formulaic.parser.types import Factor

    kind = Factor.Kind.CATEGORICAL
    return ModelSpec.from_spec(
        Formula(formula),
        transform_state=_unplain(state["transforms"]),
        encoder_state={factor: (kind, {"categories": list(levels)}) for factor, levels in state["categories"].items()},
    )


def _plain(value, where):
    """`value` in types that JSON has; arrays and dicts (their keys may be numbers) are tagged."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value.item() if isinstance(value, np.generic) else value
    if isinstance(value, np.generic):
        return _plain(value.item(), where)
    if isinstance(value, np.ndarray):
        return {"array": _plain(value.tolist(), where)}
    if isinstance(value, dict):
        return {"dict": [[_plain(key, where), _plain(item, f"{where}, {key}")] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    raise ValueError(f"formula: the state of {where} is a {type(value).__name__}, which a design file cannot hold.")


def _unplain(value):
    """Undo `_plain`."""
    if isinstance(value, list):
        return [_unplain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.asarray(value["array"])
    return {key: _unplain(item) for key, item in value["dict"]}
