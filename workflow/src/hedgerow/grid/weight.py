"""How much each window of a dataset part weighs in the fit that it belongs to: that of everybody, or of its person."""

import numpy as np
import pandas as pd

from hedgerow import rows as table_of
from hedgerow.grid import choice, design, influence, moments

#: Columns that say which window a row is about.
PLACE = ["dataset", "subject", "rec", "window", "label", "onset", "event"]


def tables(family, total, rows, values, axes, bootstrap):
    """Influence of the windows of a part.

    Parameters
    ----------
    family : design.Family
    total : dict
        Moments of all people.
    rows : DataFrame
        A row per window of the part; none is allowed.
    values : ndarray (rows, channels, times or frequencies)
    axes : dict
        From `hedgerow.rows.values`.
    bootstrap : str
        As the model has it: with the number of people it decides whose fit a window belongs to.

    Returns
    -------
    DataFrame
        `PLACE`, then the columns of `influence.table`; windows that the model leaves out, and those of people whose
        windows cannot estimate it, are not in it.
    """
    over = choice.choose(bootstrap, "auto", "auto", len(total["groups"]))["over"]
    matrix, kept = design.apply(family.main, rows)
    # what another formula cannot use is left out of all, see `design.family`
    known = design.apply(family, rows)[1]
    matrix, rows, values = matrix[known[kept]], rows[known], values[known]
    labels, found = table_of.subject_labels(rows), []
    for name, _, own in moments.units(family, total, over):
        mine = labels == name if over == "trials" else labels == labels
        try:
            whole = influence.whole(own, names=family.main.coefficients)
            told = influence.table(matrix[mine], values[mine], whole, axes)
        except ValueError:
            continue
        found.append(pd.concat([rows.loc[mine, PLACE].reset_index(drop=True), told], axis=1))
    if not found:  # the columns alone, for which any design does
        whole = dict.fromkeys(("basis", "half"), np.eye(matrix.shape[1])) | {"windows": matrix.shape[1] + 2}
        found = [pd.concat([rows.iloc[:0][PLACE], influence.table(matrix[:0], values[:0], whole, axes)], axis=1)]
    everything = pd.concat(found, ignore_index=True)
    return everything.sort_values(["dataset", "subject", "rec", "window"], ignore_index=True)
