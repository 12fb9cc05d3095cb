"""Standard errors, degrees of freedom and F tests of least squares, for every cell at once.

| name | is robust against | degrees of freedom of t | of F |
|---|---|---|---|
| ``classical`` | nothing | n - p | q, n - p |
| ``hc0`` ... ``hc3`` | unequal variances of the windows | n - p | q, n - p |
| ``cr1`` | any dependence within a group, as Stata and statsmodels | groups - 1 | q, groups - 1 |
| ``cr2`` | the same, without bias where the errors are alike and independent | Satterthwaite's | HTZ |

All of it happens in the whitened basis, where X'X = I. There the hat matrix of a group's own windows has the
eigenvalues of its cross products G = X_g'X_g (p, p), so that CR2's adjusted scores are (I - G)^(-1/2) X_g'e_g: the sums
of a group are enough, whatever its number of windows. The degrees of freedom follow from all G alone.

What one unit (a group, or with HC a window) alone determines has no error that is robust: the unit fits it exactly, so
that its residuals say nothing. Its errors, t, degrees of freedom and F are NaN but for ``classical``.

Sources: J. G. MacKinnon & H. White (1985), J. Econometrics 29:305-325 (HC1 to HC3). R. M. Bell & D. F. McCaffrey
(2002), Survey Methodology 28:169-181 (CR2 and its degrees of freedom, for independent errors). G. W. Imbens &
M. Kolesar (2016), Rev. Econ. Stat. 98:701-712 (how they behave with few groups). J. E. Pustejovsky & E. Tipton (2018),
J. Bus. Econ. Stat. 36:672-683 (groups that fit a direction alone, and the approximation HTZ of the F test).
"""

import array_api_compat
import numpy as np

from hedgerow import _array
from hedgerow.grid import _alone, _cr2, _hc
from hedgerow.grid._alone import alone, alone_windows
from hedgerow.grid._solution import Solution, orthonormal, wald
from hedgerow.grid._sums import listed, slices

__all__ = ["CLUSTERED", "WEIGHTS", "Solution", "alone", "alone_windows", "classical"]
__all__ += ["orthonormal", "over_groups", "over_rows"]

#: Errors from sums of groups.
CLUSTERED = ("cr1", "cr2")
#: Numbers of groups' scores that are worked on at once.
ROOM = 2**17

WEIGHTS, over_rows = _hc.WEIGHTS, _hc.over_rows


def classical(solution, residual):
    """Errors of independent windows of equal variance; see `over_groups` for what is returned.

    Parameters
    ----------
    solution : Solution
    residual : array, (m,)
        Residual sum of squares.
    """
    xp = _array.namespace(residual)
    left = solution.windows - solution.gamma.shape[0]
    variance = residual / left
    scale = xp.sqrt(xp.sum(solution.combinations**2, axis=1))
    below = xp.where(variance > 0, variance, xp.full_like(variance, xp.nan))
    found = [xp.sum(xp.matmul(test, solution.gamma) ** 2, axis=0) / (below * test.shape[0]) for test in solution.tests]
    return {
        "se": scale[:, None] * xp.sqrt(variance)[None, :],
        "F": solution.stacked(found),
        "df": np.full(scale.shape[0], float(left)),
        "df1": solution.constraints,
        "df2": np.full(len(solution.tests), float(left)),
        "warnings": [],
    }


def over_groups(solution, moments, kind):
    """Errors robust against dependence within groups, from sums of groups.

    Parameters
    ----------
    solution : Solution
    moments : dict
        From `hedgerow.grid.ols.moments`, S groups.
    kind : {"cr1", "cr2"}

    Returns
    -------
    dict
        ``se`` (k, m) and ``F`` (tests, m), arrays of the kind of the moments; ``df`` (k,), ``df1`` and ``df2`` (tests,)
        NumPy arrays; ``warnings``, list of str. What cannot be told is NaN: everything with a single group, all of what
        one group alone determines, F where it tests as many combinations as there are groups or more, or where its
        covariance is singular.
    """
    xp, n = _array.namespace(solution.gamma), solution.windows
    groups, p, df1 = len(moments["groups"]), solution.gamma.shape[0], solution.constraints
    gram = xp.matmul(xp.matmul(xp.matrix_transpose(solution.half), moments["XtX"]), solution.half)  # (S, p, p)
    if kind == "cr2":
        split = _cr2.split(gram)
        df, eta = _cr2.satterthwaite(split, solution.combinations), _cr2.htz(split, solution.tests)
        df2 = eta - df1 + 1
        to, share = xp.matmul(solution.asked, split.root()), df2 / eta
    else:
        df, df2 = np.full(solution.combinations.shape[0], groups - 1.0), np.full(len(df1), groups - 1.0)
        to, share = solution.asked[None, ...], np.ones(len(df1))
    lone, owners = _alone.of_groups(gram)
    singular = ~_alone.tests_within(solution.tests, lone) & ((df1 >= groups) | ~(df2 > 0))
    df2[singular], share[singular] = np.nan, np.nan
    variance, F = _group_by_group(solution, moments["XtY"], gram, to)
    scale = groups / (groups - 1) * (n - 1) / (n - p) if kind == "cr1" and groups > 1 else 1.0
    found = {
        "se": xp.sqrt(variance * scale),
        "F": F * _array.like(share / scale, F)[:, None],
        "df": df,
        "df1": df1,
        "df2": df2,
        "warnings": _few(kind, groups, p, df1, singular),
    }
    if groups > 1:
        found["warnings"] += _alone.warnings(solution, lone, _those(moments["groups"][np.unique(owners)].tolist()))
    return _alone.without(found, solution, lone)


def _group_by_group(solution, XtY, gram, to):
    """Squared scores (k, m) summed over groups, and F (tests, m); `to` (S or 1, K, p) takes scores to what is asked."""
    xp, gamma = _array.namespace(XtY), solution.gamma
    k, cells = solution.combinations.shape[0], gamma.shape[1]
    of_sums, of_gamma = xp.matmul(to, xp.matrix_transpose(solution.half)), xp.matmul(to, gram)
    device = array_api_compat.device(gamma)
    variance = xp.zeros((k, cells), dtype=xp.float64, device=device)
    F = xp.zeros((len(solution.tests), cells), dtype=xp.float64, device=device)
    width = max(16, _array.room(gamma, ROOM) // max(1, of_gamma.shape[0] * of_gamma.shape[1]))
    for part in slices(cells, width):
        scores = xp.matmul(of_sums, XtY[:, :, part]) - xp.matmul(of_gamma, gamma[:, part])  # (S, K, width)
        variance[:, part] = xp.sum(scores[:, :k, :] ** 2, axis=0)
        place = k
        for i, test in enumerate(solution.tests):
            own = xp.permute_dims(scores[:, place : place + test.shape[0], :], (2, 1, 0))
            covariance = xp.matmul(own, xp.matrix_transpose(own))
            F[i, part] = wald(xp.matmul(test, gamma[:, part]), covariance)
            place += test.shape[0]
    return variance, F


def _those(groups):
    """Start of a sentence on groups that alone determine something."""
    return (
        f"group {groups[0]} alone determines" if len(groups) == 1 else f"groups {listed(groups)} each alone determine"
    )


def _few(kind, groups, p, df1, singular):
    """Warnings of too few groups."""
    if groups < 2:
        return ["a single group: errors robust against dependence within groups are not to be had."]
    found = []
    if groups <= p:
        held = "hold for each combination with its own degrees of freedom, not for many together"
        held = held if kind == "cr2" else "are not to be trusted"
        found.append(f"{groups} groups and {p} coefficients: cluster-robust errors {held}.")
    for i in np.flatnonzero(singular):
        found.append(
            f"test {i + 1} of {len(df1)}: {df1[i]:g} combinations cannot be tested together with {groups} groups "
            "(their covariance is singular); its F is NaN."
        )
    return found
