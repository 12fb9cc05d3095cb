"""Tables as BIDS writes them: tab-separated, one header line, ``n/a`` for a missing value."""

import io
import os
import warnings
from pathlib import Path

import pandas as pd

#: Columns that name something and are text even if every name is a number.
NAMES = ["dataset", "subject", "participant_id", "person", "session", "rec", "store", "label", "name"]
NAMES += ["fold", "left_out", "tested", "hed_version"]


def read(path, *, text=False):
    """Read a TSV file as a DataFrame; ``n/a`` becomes a missing value.

    Parameters
    ----------
    path : path
    text : bool
        Leave every column as it is written. Otherwise columns of numbers become numbers, but for `NAMES` and for those
        with a leading zero (``01`` is no number).

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        The file is no table in UTF-8.
    """
    return parse(Path(path).read_bytes(), path, text=text)


def parse(content, path, *, text=False):
    """As `read`, of the bytes of a file; `path` is for messages."""
    given = {"sep": "\t", "dtype": str, "encoding": "utf-8-sig", "quoting": 3, "index_col": False}
    given |= {"na_values": ["n/a", "N/A"], "keep_default_na": False}
    try:
        with warnings.catch_warnings():
            # pandas warns where rows are longer than the header: harmless if what is too much is empty
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            _check_fields(content, path)
            frame = pd.read_csv(io.BytesIO(content), **given)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        said = " ".join(str(error).split())  # of several lines
        raise ValueError(f"{path} is no tab-separated table in UTF-8 ({said})") from error
    return frame if text else typed(frame)


def _check_fields(content, path):
    """Refuse a first row with more fields than the header, unless they are empty (a tab at the end of each line)."""
    first = [line.rstrip(b"\r").decode("utf-8-sig").split("\t") for line in content.split(b"\n", 2)[:2]]
    header, row = [*first, []][:2]
    if any(row[len(header) :]):
        raise ValueError(f"{path}: line 2 has {len(row)} fields, the header {len(header)}: mend the table")


def typed(frame):
    """Copy of a table of text in which columns of numbers are numbers, as `read` gives it."""
    frame = frame.copy()
    for name in frame.columns:
        if name in NAMES or frame[name].str.match(r"0\d").any():
            continue
        try:
            frame[name] = pd.to_numeric(frame[name])
        except ValueError:
            continue
    return frame


def write(path, frame):
    """Write `frame` as TSV to `path`, whole or not at all; missing values become ``n/a``."""
    scratch = f"{path}.tmp"
    frame.to_csv(scratch, sep="\t", na_rep="n/a", index=False, encoding="utf-8", lineterminator="\n", quoting=3)
    os.replace(scratch, path)
