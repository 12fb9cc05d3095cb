"""Decisions by hand: a table of what a person says of single recordings, with name and reason (standard library only).

A tab-separated file with the columns `COLUMNS`. Later lines win over earlier ones. What is said of a recording enters
as parameters of its own jobs, so that nothing else runs again.
"""

import csv
import math
from pathlib import Path

from ._words import ConfigError, nearest
from .account import WAIVABLE

#: Columns of the table.
COLUMNS = ("dataset", "recording", "what", "value", "who", "why")

#: What a line may say, and what its value is.
WHAT = {
    "bad": "names of channels, separated by commas, that are taken as bad",
    "good": "names of channels, separated by commas, that are never taken as bad",
    "reject": "n/a: the recording is not used",
    "reinstate": "the reason for which it left and which is waived",
    "shift": "seconds that are added to every onset",
}

#: The table that is read where the config names no other: it may be missing.
DEFAULT = "config/overrides.tsv"


def read(path):
    """Lines of the table at `path`.

    Returns
    -------
    list of dict
        `COLUMNS`, ``line`` (number in the file) and ``values``: names of channels, reasons or seconds.

    Raises
    ------
    hedgerow.config.ConfigError
        The file is missing (and not the default), or a line has a fault: names file, line and remedy.
    """
    if not Path(path).is_file():
        if path == DEFAULT:
            return []
        raise ConfigError(f"config: overrides: there is no file {path!r} (seen from {Path.cwd()}); mend the path")
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *found = [*csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)] or [[]]
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8 ({error}): save it as such") from None
    if header != list(COLUMNS):
        raise ConfigError(
            f"{path}, line 1: the columns must be {', '.join(COLUMNS)}, separated by tabs, not {', '.join(header)}"
        )
    return [_line(path, number, fields) for number, fields in enumerate(found, start=2) if any(fields)]


def _line(path, number, fields):
    if len(fields) != len(COLUMNS):
        raise ConfigError(f"{path}, line {number} has {len(fields)} fields, not {len(COLUMNS)}: separate them by tabs")
    line = {name: field.strip() for name, field in zip(COLUMNS, fields)}
    for name in ("dataset", "recording", "who", "why"):
        if line[name] in ("", "n/a"):
            raise ConfigError(f"{path}, line {number}: {name} is empty; every line says of what it speaks, who and why")
    if line["what"] not in WHAT:
        raise ConfigError(f"{path}, line {number}: what is {line['what']!r}; it can be {nearest(line['what'], WHAT)}")
    try:
        values = _values(line["what"], line["value"])
    except ValueError as error:
        raise ConfigError(f"{path}, line {number}: value is {line['value']!r}; {error}") from None
    return {**line, "line": number, "values": values}


def _values(what, text):
    """Values of a line as a list; ValueError says what they should be."""
    if what == "reject":
        if text not in ("", "n/a"):
            raise ValueError("`reject` takes none: write n/a")
        return []
    if what == "shift":
        try:
            seconds = float(text)
        except ValueError:
            seconds = math.nan
        if not math.isfinite(seconds):
            raise ValueError("`shift` takes a number of seconds, such as 0.25 or -0.25")
        return [seconds]
    values = [value.strip() for value in text.split(",")]
    if text == "n/a" or not all(values):
        raise ValueError(f"`{what}` takes {WHAT[what]}")
    if what == "reinstate":
        for value in values:
            if value not in WAIVABLE:
                raise ValueError(f"`reinstate` can waive {nearest(value, WAIVABLE)}; other faults leave nothing to use")
    return values


def check_datasets(lines, path, datasets):
    """Refuse a line on a dataset that is none of `datasets`."""
    for line in lines:
        if line["dataset"] not in datasets:
            raise ConfigError(
                f"{path}, line {line['line']}: {line['dataset']!r} is no dataset of this study, nor indexed here; "
                f"there are {nearest(line['dataset'], datasets)} (a study may have a table of its own: key `overrides`)"
            )


def check_recordings(lines, path, dataset, recs):
    """Refuse a line on `dataset` whose recording is none of `recs`."""
    known = {name for rec in recs for name in names(rec)}
    for line in lines:
        if line["dataset"] == dataset and line["recording"] not in known:
            near = nearest(line["recording"], sorted({rec.rsplit("/", 1)[-1] for rec in recs}))
            raise ConfigError(
                f"{path}, line {line['line']}: {dataset} has no recording {line['recording']!r}; there are {near}"
            )


def names(rec):
    """How a line may call the recording `rec`: with its folders, without, or all of its subject."""
    return rec, rec.rsplit("/", 1)[-1], rec.split("/", 1)[0]


def by_name(lines):
    """`lines` by dataset and recording, as they are written, so that those of one recording are found at once."""
    found = {}
    for line in lines:
        found.setdefault((line["dataset"], line["recording"]), []).append(line)
    return found


def of(lines, dataset, rec):
    """Lines (from `by_name`) on one recording, in the order of the table."""
    return sorted((line for name in {*names(rec)} for line in lines.get((dataset, name), ())), key=_number)


def _number(line):
    return line["line"]


def settle(lines):
    """What is left of the `lines` on one recording once later ones have overruled earlier ones.

    Returns
    -------
    dict
        By what: a list of ``value``, ``who`` and ``why`` for each channel (``bad``, ``good``), reason (``reinstate``),
        number of seconds (``shift``) or the rejection (``reject``). What nothing is said of has no entry.
    """
    said = {}
    for line in lines:
        entry = {"who": line["who"], "why": line["why"]}
        for value in line["values"] or [None]:
            # what two lines can contradict each other in: a channel, whether it is rejected, the shift
            about = {"reject": "rejected", "shift": "shift"}.get(line["what"], value)
            about = ("channel", value.lower()) if line["what"] in ("bad", "good") else about
            said[about] = (line["what"], {"value": value, **entry})
    found = {}
    for what, entry in said.values():
        found.setdefault(what, []).append(entry)
    return {what: sorted(found[what], key=lambda entry: str(entry["value"])) for what in WHAT if what in found}


def rejection(settled, path):
    """Sentence on why a recording is rejected; None where it is not."""
    for entry in settled.get("reject", ()):
        return f"rejected by {entry['who']}: {entry['why']}; to use it, delete its line from {path}"
    return None


def within(rows, scope):
    """Those `rows` of ``recordings.tsv`` that a study is about, the rejected ones quarantined as such.

    Parameters
    ----------
    rows : iterable of dict
    scope : dict of str to (str or None)
        By recording why it is rejected (None: it is not), as `hedgerow.study.Study.scope` gives it.

    Returns
    -------
    list of dict
    """
    found = [(row, scope[row["rec"]]) for row in rows if row["rec"] in scope]
    return [row if why is None else {**row, **rejected(why)} for row, why in found]


def rejected(why):
    """Entries of the row of a recording that is rejected for the reason `why`."""
    return {"status": "quarantined", "reason": "rejected", "message": why}
