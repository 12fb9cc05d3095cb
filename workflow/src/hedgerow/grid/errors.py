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

Sources: J. G. MacKinnon & H. White (1985), J. Econometrics 29:305-325 (HC1 to HC3). R. M. Bell & D. F. McCaffrey
(2002), Survey Methodology 28:169-181 (CR2 and its degrees of freedom, for independent errors). G. W. Imbens &
M. Kolesar (2016), Rev. Econ. Stat. 98:701-712 (how they behave with few groups). J. E. Pustejovsky & E. Tipton (2018),
J. Bus. Econ. Stat. 36:672-683 (groups that fit a direction alone, and the approximation HTZ of the F test).
"""

import dataclasses
import itertools

import array_api_compat
import numpy as np

from hedgerow import _array
from hedgerow.grid import _cr2

#: Errors from sums of groups.
CLUSTERED = ("cr1", "cr2")
#: Errors from windows: what the square of a residual with leverage h is multiplied by, with n windows, p coefficients.
WEIGHTS = {
    "hc0": lambda h, n, p: h * 0 + 1,
    "hc1": lambda h, n, p: h * 0 + n / (n - p),
    "hc2": lambda h, n, p: 1 / (1 - h),
    "hc3": lambda h, n, p: 1 / (1 - h) ** 2,
}
#: A direction whose share outside a group, or a window's leverage from 1, is less than this is the group's, the
#: window's, alone.
ALONE = 1e-10
#: A covariance whose smallest eigenvalue is below this share of its largest is singular.
SINGULAR = 1e-12
#: float64 numbers that are worked on at once: what the second cache of a core holds.
ROOM = 2**17


@dataclasses.dataclass(frozen=True)
class Solution:
    """Coefficients in the whitened basis (X'X = I), and what is asked for in it.

    Attributes
    ----------
    half : array, (p, p)
        Brings the basis of the moments to the whitened one.
    gamma : array, (p, m)
        Coefficients.
    constant : array, (p,)
        Sum of the whitened rows of X: coefficients of a constant, if the design spans one.
    combinations : array, (k, p)
        What is estimated.
    tests : list of array, (q, p)
        What is tested to be zero: orthonormal rows.
    coefficients : array, (p, p)
        Rows: the coefficients of X.
    names : list of str, (p,)
    windows : int
    """

    half: object
    gamma: object
    constant: object
    combinations: object
    tests: list
    coefficients: object
    names: list
    windows: int

    @property
    def asked(self):
        """Combinations and tests, one below the other."""
        return _array.namespace(self.gamma).concat([self.combinations, *self.tests], axis=0)

    def rows_of_tests(self):
        """Place of each test in `asked`."""
        stops = np.cumsum([self.combinations.shape[0], *(test.shape[0] for test in self.tests)])
        return [slice(int(start), int(stop)) for start, stop in itertools.pairwise(stops)]


def orthonormal(rows):
    """Orthonormal rows (rank, p) that span what `rows` (q, p) spans."""
    xp = _array.namespace(rows)
    norms = xp.sqrt(xp.sum(rows * rows, axis=1))
    if float(xp.max(norms)) == 0:
        raise ValueError("a test of nothing: all its weights are zero.")
    _, values, right = xp.linalg.svd(rows / xp.where(norms > 0, norms, 1 + 0 * norms)[:, None], full_matrices=False)
    rank = int(xp.sum(xp.astype(values > SINGULAR**0.5 * values[0], xp.int64)))
    return right[:rank, :]


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
        "F": _stacked(found, solution),
        "df": np.full(len(scale), float(left)),
        "df1": _counts(solution),
        "df2": np.full(len(solution.tests), float(left)),
        "warnings": [],
    }


def _stacked(found, solution):
    """Values of the tests (tests, m)."""
    xp, gamma = _array.namespace(solution.gamma), solution.gamma
    return xp.stack(found, axis=0) if found else gamma[:0, :]


def _counts(solution):
    """Numerator degrees of freedom of the tests (tests,)."""
    return np.asarray([test.shape[0] for test in solution.tests], dtype=float)


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
        NumPy arrays; ``warnings``, list of str. What cannot be told is NaN: everything with a single group, F where it
        tests as many combinations as there are groups or more, or where its covariance is singular.
    """
    xp, n = _array.namespace(solution.gamma), solution.windows
    groups, p, df1 = len(moments["groups"]), solution.gamma.shape[0], _counts(solution)
    gram = xp.matmul(xp.matmul(xp.matrix_transpose(solution.half), moments["XtX"]), solution.half)  # (S, p, p)
    if kind == "cr2":
        split = _cr2.split(gram)
        df, eta = _cr2.satterthwaite(split, solution.combinations), _cr2.htz(split, solution.tests)
        df2, warnings = eta - df1 + 1, _cr2.alone(split, solution, moments["groups"])
        to, share = xp.matmul(solution.asked, split.root()), df2 / eta
    else:
        df, df2 = np.full(solution.combinations.shape[0], groups - 1.0), np.full(len(df1), groups - 1.0)
        to, share, warnings = solution.asked[None, ...], np.ones(len(df1)), []
    singular = (df1 >= groups) | ~(df2 > 0)
    df2[singular], share[singular] = np.nan, np.nan
    if groups < 2:
        df[:] = np.nan
    variance, F = _group_by_group(solution, moments["XtY"], gram, to)
    scale = groups / (groups - 1) * (n - 1) / (n - p) if kind == "cr1" and groups > 1 else 1.0
    return {
        "se": xp.sqrt(variance * scale) if groups > 1 else variance * xp.nan,
        "F": F * _array.like(share / scale, F)[:, None],
        "df": df,
        "df1": df1,
        "df2": df2,
        "warnings": [*_few(groups, p, df1, singular), *warnings],
    }


def over_rows(solution, rows, Y, kind):
    """Residuals, and errors robust against unequal variances, from the windows.

    Parameters
    ----------
    solution : Solution
    rows : array, (n, p)
        Whitened rows of X.
    Y : array, (n, m)
        Windows.
    kind : {"classical", "hc0", "hc1", "hc2", "hc3"}

    Returns
    -------
    residual : array, (m,)
        Residual sum of squares.
    found : dict
        As from `over_groups`; of ``classical`` empty.
    """
    xp, (n, p) = _array.namespace(rows), rows.shape
    if kind == "classical":
        return _squared_residuals(solution.gamma, rows, Y, lambda z: z[:, :0])[0, :], {}
    exact = 0

    def regressors(z):
        nonlocal exact
        left = 1 - xp.sum(z * z, axis=1)
        free = left > ALONE
        exact += int(xp.sum(xp.astype(~free, xp.int64)))
        weight = xp.where(free, WEIGHTS[kind](1 - xp.where(free, left, xp.ones_like(left)), n, p), xp.zeros_like(left))
        products = [xp.matmul(z, xp.matrix_transpose(solution.combinations)) ** 2]
        for test in solution.tests:
            u = xp.matmul(z, xp.matrix_transpose(test))
            products.append(xp.reshape(u[:, :, None] * u[:, None, :], (z.shape[0], -1)))
        return xp.concat(products, axis=1) * weight[:, None]

    sums = _squared_residuals(solution.gamma, rows, Y, regressors)
    k = solution.combinations.shape[0]
    F, place = [], 1 + k
    for test in solution.tests:
        q = test.shape[0]
        covariance = xp.permute_dims(xp.reshape(sums[place : place + q * q, :], (q, q, -1)), (2, 0, 1))
        F.append(_wald(xp.matmul(test, solution.gamma), covariance))
        place += q * q
    found = {
        "se": xp.sqrt(sums[1 : 1 + k, :]),
        "F": _stacked(F, solution),
        "df": np.full(k, float(n - p)),
        "df1": _counts(solution),
        "df2": np.full(len(F), float(n - p)),
        "warnings": [],
    }
    if exact and kind in ("hc2", "hc3"):
        found["warnings"].append(
            f"{exact} of {n} windows are fitted exactly (leverage 1; a level in that window only): nothing tells their "
            f"error, and {kind} leaves them out."
        )
    return sums[0, :], found


def _group_by_group(solution, XtY, gram, to):
    """Squared scores (k, m) summed over groups, and F (tests, m); `to` (S or 1, K, p) takes scores to what is asked."""
    xp, gamma = _array.namespace(XtY), solution.gamma
    k, cells = solution.combinations.shape[0], gamma.shape[1]
    of_sums, of_gamma = xp.matmul(to, xp.matrix_transpose(solution.half)), xp.matmul(to, gram)
    device = array_api_compat.device(gamma)
    variance = xp.zeros((k, cells), dtype=xp.float64, device=device)
    F = xp.zeros((len(solution.tests), cells), dtype=xp.float64, device=device)
    width = max(16, _array.room(gamma, ROOM) // max(1, of_gamma.shape[0] * of_gamma.shape[1]))
    for start in range(0, cells, width):
        part = slice(start, min(start + width, cells))
        scores = xp.matmul(of_sums, XtY[:, :, part]) - xp.matmul(of_gamma, gamma[:, part])  # (S, K, width)
        variance[:, part] = xp.sum(scores[:, :k, :] ** 2, axis=0)
        place = k
        for i, test in enumerate(solution.tests):
            own = xp.permute_dims(scores[:, place : place + test.shape[0], :], (2, 1, 0))
            covariance = xp.matmul(own, xp.matrix_transpose(own))
            F[i, part] = _wald(xp.matmul(test, gamma[:, part]), covariance)
            place += test.shape[0]
    return variance, F


def _squared_residuals(gamma, rows, Y, regressors):
    """Sums over windows of [1, regressors]' times squared residuals, (1 + r, m), in blocks that a cache holds."""
    xp, (n, cells) = _array.namespace(rows), Y.shape
    room = _array.room(rows, ROOM)
    total, height = None, min(n, 1024)
    width = max(64, room // height)
    for first in range(0, n, height):
        z, y = rows[first : first + height, :], Y[first : first + height, :]
        left = xp.concat([xp.ones_like(z[:, :1]), regressors(z)], axis=1)
        left = xp.matrix_transpose(left)
        if total is None:
            total = xp.zeros((left.shape[0], cells), dtype=xp.float64, device=array_api_compat.device(rows))
        for start in range(0, cells, width):
            part = slice(start, min(start + width, cells))
            e = xp.astype(y[:, part], xp.float64) - xp.matmul(z, gamma[:, part])
            total[:, part] += xp.matmul(left, e * e)
    return total


def _wald(estimate, covariance):
    """Estimate' (covariance)⁻¹ estimate / q (m,), of (q, m) and (m, q, q); NaN where the covariance is singular."""
    xp, q = _array.namespace(estimate), estimate.shape[0]
    values, vectors = xp.linalg.eigh(covariance)
    turned = xp.matmul(xp.matrix_transpose(vectors), xp.matrix_transpose(estimate)[:, :, None])[:, :, 0]
    full = values[:, 0] > SINGULAR * values[:, -1]
    ratio = turned**2 / xp.where(full[:, None], values, xp.full_like(values, xp.nan))
    return xp.sum(ratio, axis=1) / q


def _few(groups, p, df1, singular):
    """Warnings of too few groups."""
    if groups < 2:
        return ["a single group: errors robust against dependence within groups are not to be had."]
    found = []
    if groups <= p:
        found.append(f"{groups} groups and {p} coefficients: cluster-robust errors are not to be trusted.")
    for i in np.flatnonzero(singular):
        found.append(
            f"test {i + 1} of {len(df1)}: {df1[i]:g} combinations cannot be tested together with {groups} groups "
            "(their covariance is singular); its F is NaN."
        )
    return found
