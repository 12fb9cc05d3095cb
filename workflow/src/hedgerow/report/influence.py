"""Which windows weigh most in a model: a table of the first ones, and all of them in a picture."""

from pathlib import Path

import pandas as pd

from .. import plot_grid, table
from .._canvas import picture

#: Windows in the table, marked in the picture.
MOST = 10


def influence(paths, *, pooled):
    """What the report shows of a model's influence tables.

    Parameters
    ----------
    paths : list of path
        ``influence_<dataset>_<part>.tsv`` of one model; a row per window, none is allowed.
    pooled : bool
        Whether there is one fit for all windows; otherwise each person has one.

    Returns
    -------
    dict or None
        ``picture``, ``rows`` (the windows that weigh most), ``windows``, ``beyond`` (number of windows above 4/n) and
        ``alone`` (of leverage 1, which have no Cook's distance); None where there is no window.
    """
    tables = [found for found in (table.read(path) for path in sorted(map(Path, paths))) if len(found)]
    if not tables:
        return None
    found = pd.concat(tables, ignore_index=True).sort_values(["dataset", "subject", "rec", "onset"], kind="stable")
    several = found["dataset"].nunique() > 1
    person = found["subject"].astype(str)
    found["person"] = found["dataset"].astype(str) + " " + person if several else "sub-" + person
    size = len(found) if pooled else found.groupby("person")["person"].transform("size")
    found = found.assign(usual=4 / size, mean=found["cooks_distance_mean"]).reset_index(drop=True)
    worst = found.nlargest(MOST, "mean")
    figure = plot_grid.influence(
        found["mean"].to_numpy(), found["person"].tolist(), found.index.isin(worst.index), found["usual"].to_numpy()
    )
    return {
        "picture": picture(figure, palette=256),
        "rows": [_row(row) for row in worst.to_dict("records")],
        "windows": len(found),
        "beyond": int((found["mean"] > found["usual"]).sum()),
        "alone": int(found["mean"].isna().sum()),
    }


def _row(row):
    point = f"{1000 * row['cooks_distance_time']:.0f} ms" if "cooks_distance_time" in row else None
    point = point or f"{row['cooks_distance_frequency']:.4g} Hz"
    return {
        "person": row["person"],
        "rec": row["rec"].rsplit("/", 1)[-1],
        "onset": row["onset"],
        "label": row["label"],
        "leverage": row["leverage"],
        "mean": row["mean"],
        "share": row["cooks_distance_beyond"],
        "where": f"{row['cooks_distance_channel']}, {point}",
        "residual": row["resid_studentized_max"],
    }
