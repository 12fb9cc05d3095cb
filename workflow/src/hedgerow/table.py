"""Tables as BIDS writes them: tab-separated, one header line, ``n/a`` for a missing value."""

import os

import pandas as pd


def read(path):
    """Read a TSV file as a DataFrame; ``n/a`` becomes NaN, and columns of text stay text (``01`` is no number)."""
    frame = pd.read_csv(
        path, sep="\t", na_values=["n/a", "N/A"], keep_default_na=False, dtype=str, encoding="utf-8-sig"
    )
    for name in frame.columns:
        if frame[name].str.match(r"0\d").any():
            continue
        try:
            frame[name] = pd.to_numeric(frame[name])
        except ValueError:
            continue
    return frame


def write(path, frame):
    """Write `frame` as TSV to `path`, whole or not at all; missing values become ``n/a``."""
    scratch = f"{path}.tmp"
    frame.to_csv(scratch, sep="\t", na_rep="n/a", index=False, encoding="utf-8", lineterminator="\n")
    os.replace(scratch, path)
