"""Errors of single rows: collected, told, and either the end of the recording or the end of the rows."""

import numpy as np

from hedgerow.account import Fault

#: Code of an onset that is no number; every other code is one of hedtools.
NO_ONSET = "ONSET_INVALID"
#: What `on_error` may be.
CHOICES = ("quarantine", "skip_rows")


class Faults:
    """Errors of the rows of one table.

    Parameters
    ----------
    raw : pandas.Series
        Column ``onset`` as it is written.

    Attributes
    ----------
    faulty : numpy.ndarray of bool, shape (rows,)
        Rows that cannot be used.
    """

    def __init__(self, raw):
        self._raw, self._found = raw, {}
        self.faulty = np.zeros(len(raw), dtype=bool)

    def add(self, rows, code, message, *, column=None, key=None, used=False):
        """One error of some `rows`; `used`: they can be used all the same."""
        rows = np.atleast_1d(rows)
        if rows.size:
            self._found.setdefault((code, message, column, key, used), set()).update(rows.tolist())
            if not used:
                self.faulty[rows] = True

    def listed(self):
        """Errors for an account, in the order of their first lines of ``events.tsv``."""
        errors = []
        for (code, message, column, key, used), rows in self._found.items():
            lines = [row + 2 for row in sorted(rows)]
            place = {name: value for name, value in (("column", column), ("key", key)) if value is not None}
            errors.append({"line": lines[0], "lines": lines, "code": code, "message": message, "used": used} | place)
        return sorted(errors, key=lambda error: (error["line"], error["used"]))

    def demand(self):
        """Raise the `Fault` of the first faulty row."""
        count = int(self.faulty.sum())
        if not count:
            return
        first = next(error for error in self.listed() if not error["used"])
        raise Fault(
            "bad-events" if first["code"] == NO_ONSET else "bad-hed",
            f"{self._where(first)}: {first['message']} ({first['code']}); {count} of {len(self.faulty)} rows are "
            "faulty: correct them, or let the selection say on_error: skip_rows, which uses the valid rows",
        )

    def demand_some(self):
        """Raise a `Fault` if no row is left."""
        if self.faulty.all():
            first = self.listed()[0]
            raise Fault(
                "bad-events" if first["code"] == NO_ONSET else "bad-hed",
                f"every row of events.tsv is faulty, {self._where(first)} first: {first['message']} "
                f"({first['code']}): correct them, or leave the recording out",
            )

    def _where(self, error):
        line = error["line"]
        place = f"line {line} of events.tsv (onset {self._raw.iloc[line - 2]} s)"
        if "column" in error:
            place += f", column {error['column']}"
        return place + (f", key {error['key']} of events.json" if "key" in error else "")
