"""Errors robust against unequal variances (HC), from the windows themselves, in blocks that bound the memory."""

import array_api_compat
import numpy as np

from hedgerow import _array
from hedgerow.grid import _alone
from hedgerow.grid._alone import ALONE
from hedgerow.grid._solution import wald
from hedgerow.grid._sums import HEIGHT, listed, slices, tiles

#: What the square of a residual with leverage h is multiplied by, with n windows and p coefficients.
WEIGHTS = {
    "hc0": lambda h, n, p: h * 0 + 1,
    "hc1": lambda h, n, p: h * 0 + n / (n - p),
    "hc2": lambda h, n, p: 1 / (1 - h),
    "hc3": lambda h, n, p: 1 / (1 - h) ** 2,
}
#: float64 numbers of a block of products, and of sums that are held at once.
BLOCK, SUMS = 2**20, 2**23


def over_rows(solution, rows, Y, kind):
    """Residuals, and errors robust against unequal variances, from the windows.

    Parameters
    ----------
    solution : Solution
    rows : array, (n, p)
        X R⁻¹, as in the moments that were solved.
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
    xp, (n, p), cells = _array.namespace(rows), rows.shape, Y.shape[1]
    coefficients = xp.matmul(solution.half, solution.gamma)
    if kind == "classical":
        return _weighted_squares(coefficients, rows, Y, lambda z, block: z[:, :0], 1)[0, :], {}
    k, df1 = solution.combinations.shape[0], solution.constraints
    weights, lone, owners = _weights(rows, solution.half, kind)
    asked = xp.matmul(solution.half, xp.matrix_transpose(solution.asked))

    def products(z, block):
        parts = xp.matmul(z, asked)
        pairs = [xp.reshape(parts[:, of, None] * parts[:, None, of], (z.shape[0], -1)) for of in places]
        return xp.concat([parts[:, :k] ** 2, *pairs], axis=1) * weights[block, None]

    places = solution.rows_of_tests()
    columns = 1 + k + int(np.sum(df1**2))
    width = max(64, _array.room(Y, SUMS) // columns)
    residual, variance, F = [], [], []
    for part in slices(cells, width):
        sums = _weighted_squares(coefficients[:, part], rows, Y[:, part], products, columns)
        residual.append(sums[0, :])
        variance.append(sums[1 : 1 + k, :])
        F.append(_tests(solution, sums[1 + k :, :], part))
    found = {
        "se": xp.sqrt(xp.concat(variance, axis=1)),
        "F": xp.concat(F, axis=1),
        "df": np.full(k, float(n - p)),
        "df1": df1,
        "df2": np.full(len(df1), float(n - p)),
        "warnings": _alone.warnings(solution, lone, _those(owners.tolist(), n)),
    }
    return xp.concat(residual, axis=0), _alone.without(found, solution, lone)


def _weights(rows, half, kind):
    """Factors (n,) of the squared residuals, 0 for windows fitted exactly; directions (r, p) and places of these."""
    xp, (n, p) = _array.namespace(rows), rows.shape
    squares = (xp.matmul(rows[part, :], half) ** 2 for part in slices(n, _array.room(rows, HEIGHT)))
    leverage = xp.concat([xp.sum(each, axis=1) for each in squares], axis=0)
    lone, owners = _alone.of_windows(rows, leverage)
    free = leverage <= 1 - ALONE
    weights = WEIGHTS[kind](xp.where(free, leverage, xp.zeros_like(leverage)), n, p)
    return xp.where(free, weights, xp.zeros_like(weights)), lone @ _array.to_numpy(half), owners


def _those(windows, n):
    """Start of a sentence on windows, given by their rows, that alone determine something."""
    if len(windows) == 1:
        return f"1 of {n} windows (row {windows[0]}, leverage 1) alone determines"
    return f"{len(windows)} of {n} windows (rows {listed([*map(str, windows)])}, leverage 1) each alone determine"


def _weighted_squares(coefficients, rows, Y, products, columns):
    """Sums over windows of [1, products]' times squared residuals, (columns, m)."""
    xp, device = _array.namespace(rows), array_api_compat.device(rows)
    total = xp.zeros((columns, Y.shape[1]), dtype=xp.float64, device=device)
    height = min(_array.room(rows, HEIGHT), max(16, _array.room(rows, BLOCK) // columns))
    for block in slices(Y.shape[0], height):
        z, y = rows[block, :], Y[block, :]
        left = xp.matrix_transpose(xp.concat([xp.ones_like(z[:, :1]), products(z, block)], axis=1))
        for part in tiles(z, Y.shape[1]):
            e = xp.astype(y[:, part], xp.float64) - xp.matmul(z, coefficients[:, part])
            total[:, part] += xp.matmul(left, e * e)
    return total


def _tests(solution, sums, part):
    """F (tests, w) of some cells from their sums of products (sum of q², w)."""
    xp, found, place = _array.namespace(sums), [], 0
    for test in solution.tests:
        q = test.shape[0]
        covariance = xp.reshape(sums[place : place + q * q, :], (q, q, sums.shape[1]))
        found.append(wald(xp.matmul(test, solution.gamma[:, part]), xp.permute_dims(covariance, (2, 0, 1))))
        place += q * q
    return xp.stack(found, axis=0) if found else sums[:0, :]
