"""How many events and windows each selection gives, from event tables alone: before a byte of signal is fetched."""

import math

import pandas as pd

from . import bids, hed
from .account import Fault
from .study import coverable
from .windows import check, select, shifted

#: Columns of the table of coverage: a row per recording, selection and label.
COLUMNS = ("dataset rec subject status selection label events windows seconds overlaps duration reason message").split()

#: Columns of the table of HED errors: a row per distinct error of a recording.
ERRORS = "dataset rec file line lines rows code used column message".split()

#: Keywords of `hedgerow.windows.select`: what of a selection concerns times, and not the signal.
TIMES = ("kind", "until", "tmin", "tmax", "length", "step", "during", "not_during", "on_error")


def count(dataset, root, rows, selections, shifts):
    """Events and windows of every recording of a dataset.

    Parameters
    ----------
    dataset : str
        Its name.
    root : path
        Its folder.
    rows : iterable of dict
        Rows of ``recordings.tsv`` that the study is about. One whose signal, or a file of it, is not there counts by
        its events, its status is ``absent``; one that lacks anything else stays ``quarantined``.
    selections : dict
        Blocks of the config by name.
    shifts : dict of str to float
        Seconds that overrides add to the onsets of a recording.

    Returns
    -------
    coverage : DataFrame
        `COLUMNS`: ``events`` that match the query of the label alone, the ``windows`` that fit and their ``seconds``,
        ``overlaps`` (events that match this label and another, and are no one's); ``duration`` of the recording in s
        by its sidecar (missing: unknown, nothing leaves the recording at its end, and an ``Onset`` that is never closed
        lasts to the last onset), ``reason`` and ``message`` of what gives nothing or is not there.
    errors : DataFrame
        `ERRORS`: ``line`` the first and ``lines`` all lines of the ``file``, ``rows`` how many, ``used`` (yes or no)
        whether they are used all the same.

    Raises
    ------
    ValueError
        A selection that can give no window anywhere.
    """
    rows = list(rows)
    for name, block in selections.items():
        check(block, sorted({row["hed_version"] for row in rows} - {""}), name=f"selections.{name}")
    found, errors = [], []
    for row in rows:
        given = _Recording(root, row, shifts.get(row["rec"], 0.0))
        place = {"dataset": dataset, "rec": row["rec"], "subject": row["subject"], "status": given.status}
        for name, block in selections.items():
            for label, counted in given.selected(block).items():
                told = {"reason": row["reason"] or None, "message": row["message"] or None}
                told |= {"duration": given.duration, "selection": name, "label": label}
                found.append(place | told | {key: value for key, value in counted.items() if value is not None})
        errors += [{"dataset": dataset, "rec": row["rec"], "file": row["events"]} | error for error in given.errors()]
    return pd.DataFrame(found, columns=COLUMNS), pd.DataFrame(errors, columns=ERRORS)


class _Recording:
    """Events of one recording, and what is known of it."""

    def __init__(self, root, row, shift):
        self.status = "absent" if coverable(row) else row["status"]
        self.fault, self.duration = None, None
        if self.status == "quarantined":
            self.fault = Fault(row["reason"], row["message"])
            return
        try:
            self.duration = _positive(bids.sidecar(root, row["eeg_json"]).get("RecordingDuration"))
            self.events, self.sidecar = bids.events(root, row)
            self.version = row["hed_version"].split(",") if "," in row["hed_version"] else row["hed_version"]
            if not self.version:
                raise Fault("bad-hed", "dataset_description.json names no HEDVersion: add it, or drop the dataset")
            self.events = shifted(self.events, shift)
        except Fault as fault:
            self.fault = fault

    def selected(self, block):
        """By label of a selection what it gives; ``reason`` and ``message`` where that is nothing."""
        nothing = {"events": 0, "windows": 0, "seconds": 0.0, "overlaps": 0, "reason": None, "message": None}
        if self.fault is None:
            try:
                return self._counted(block, nothing)
            except Fault as fault:
                return self._nothing(block, nothing, fault)
        return self._nothing(block, nothing, self.fault)

    def _nothing(self, block, nothing, fault):
        return {label: nothing | {"reason": fault.code, "message": fault.message} for label in block["classes"]}

    def _counted(self, block, nothing):
        times, end = {key: block[key] for key in TIMES}, math.inf if self.duration is None else self.duration
        _, done = select(self.events, self.sidecar, end, hed_version=self.version, classes=block["classes"], **times)
        length = block["tmax"] - block["tmin"] if block["length"] is None else block["length"]
        shared = [(labels.split("+"), len(rows)) for labels, rows in done["overlaps"].items()]
        found = {}
        for label, windows in done["windows"].items():
            found[label] = nothing | {"events": done["counts"][label], "windows": windows}
            overlaps = sum(number for labels, number in shared if label in labels)
            found[label] |= {"seconds": round(windows * length, 6), "overlaps": overlaps}
        if not sum(done["windows"].values()):
            message = f"no window fits: {len(done['outside'])} leave the recording, {len(done['short'])} are too short"
            for each in found.values():
                each |= {"reason": "outside" if done["outside"] else "too-short", "message": message}
        return found

    def errors(self):
        """Every HED error of the table, whatever a selection makes of it."""
        if self.fault is not None:
            return []
        try:
            found = hed.Events(self.events, self.sidecar, hed_version=self.version, on_error="skip_rows").errors
        except Fault as fault:
            return [{"code": fault.code, "message": fault.message, "used": "no"}]
        return [
            {key: error.get(key) for key in ("line", "code", "column", "message")}
            | {"lines": _ranges(error["lines"]), "rows": len(error["lines"]), "used": "yes" if error["used"] else "no"}
            for error in found
        ]


def _positive(value):
    """A finite number above 0, or its text, as a float; None for all else that a sidecar may hold."""
    try:
        number = 0.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None


def _ranges(lines):
    """Numbers of lines as text: ``2-5, 9``."""
    spans = []
    for line in sorted(lines):
        if spans and line == spans[-1][1] + 1:
            spans[-1][1] = line
        else:
            spans.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
