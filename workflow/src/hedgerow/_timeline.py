"""Annotated events in time: what starts at a row, what lasts, and what is ongoing (HED specification 3.2, chapter 5).

hedtools' `EventManager` gives the same answers; here each template (see `hedgerow._lexicon`) is taken apart once
instead of each row, and the walk through time visits only entries where something starts or ends. The conventions stand
in `hedgerow.hed`.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hedgerow import _query
from hedgerow.account import Fault

#: hedtools' code for whatever is wrong with Onset, Offset, Inset, Duration and Delay.
CODE = "TEMPORAL_TAG_ERROR"
#: Tags by which a group lasts; they are no part of what lasts.
_LASTING = ("Onset", "Duration")
#: Rows closer than this stand at one time, in s (as in hedtools).
_SAME = 1e-9


@dataclass
class Annotation:
    """One template taken apart: what is there for the moment, what starts, lasts, ends or comes later.

    Seconds are numbers, or the marker of the column that has them.
    """

    text: str  # everything but what comes later
    moment: str
    starts: list = field(default_factory=list)  # (definition and value, content) of Onset groups
    stops: list = field(default_factory=list)  # definition and value of Offset groups
    marks: list = field(default_factory=list)  # definition and value of Inset groups
    lasts: list = field(default_factory=list)  # (seconds, content) of Duration groups
    delayed: list = field(default_factory=list)  # (seconds, Annotation) of Delay groups

    own: str = ""  # what starts here: everything but the ends and what comes later
    anchors: list = field(default_factory=list)  # definition and value with Offset, Inset or Onset

    def close(self):
        """Settle `own` and `anchors`."""
        self.own = join(self.moment, *(content for _, content in self.starts + self.lasts))
        self.anchors = [(anchor, "Offset") for anchor in self.stops] + [(anchor, "Inset") for anchor in self.marks]
        self.anchors += [(anchor, "Onset") for anchor, _ in self.starts]
        return self

    @property
    def temporal(self):
        """Whether something starts, lasts, ends or goes on here."""
        return bool(self.anchors or self.lasts)


@dataclass
class Span:
    """Something that lasts: entry that starts it, its template, the template beside it, end in s (NaN: open)."""

    entry: int
    content: str
    beside: str
    end: float = np.nan


def take_apart(template, hed_schema, definitions):
    """`Annotation` of a template.

    Raises
    ------
    hedgerow.account.Fault
        ``bad-hed`` for a group that tells no definition or no time.
    """
    if not template.strip(" ,"):
        return Annotation("", "")
    parsed = _query.parse(template, hed_schema, definitions).shrink_defs()
    return _sort_out(parsed.children)


def _sort_out(children, delayed=False):
    """`Annotation` of top-level tags and groups, each group by its temporal tag."""
    text, moment, part = [], [], Annotation("", "")
    for child in children:
        tags = {tag.short_base_tag: tag for tag in child.tags()} if hasattr(child, "tags") else {}
        if "Delay" in tags and not delayed:
            part.delayed.append((_seconds(tags["Delay"]), _sort_out([child], delayed=True)))
            continue
        text.append(str(child))
        if "Onset" in tags:
            part.starts.append((_anchor(tags), _content(child)))
        elif "Offset" in tags:
            part.stops.append(_anchor(tags))
        elif "Duration" in tags:
            part.lasts.append((_seconds(tags["Duration"]), _content(child)))
        else:
            moment.append(str(child))
            if "Inset" in tags:
                part.marks.append(_anchor(tags))
    part.text, part.moment = join(*text), join(*moment)
    return part.close()


def _anchor(tags):
    """Definition name and value, by which an Offset finds its Onset."""
    if "Def" not in tags:
        raise Fault("bad-hed", "an Onset, Offset or Inset group has no Def: add its definition")
    return tags["Def"].extension.casefold()


def _seconds(tag):
    """Seconds of a Delay or Duration; a marker stays as it is."""
    marker = next((character for character in tag.extension if character > "\U0010efff"), None)
    seconds = marker or tag.value_as_default_unit()
    if seconds is None or (not marker and seconds < 0):
        raise Fault("bad-hed", f"{tag} is no span of time: write a number and a unit")
    return seconds


def _content(group):
    """Text of what lasts: its definition alone, or the group without its Onset or Duration (as hedtools has it)."""
    children = [child for child in group.children if getattr(child, "short_base_tag", "") not in _LASTING]
    if not group.groups():
        defined = [child for child in children if child.short_base_tag == "Def"]
        if defined:
            return str(defined[0])
    return f"({join(*map(str, children))})"


class Timeline:
    """Entries in the order of time: one per row with an onset, and one more per ``Delay`` group.

    Parameters
    ----------
    onsets : numpy.ndarray, shape (rows,)
        Time of each row in s; rows out of order are put in order, rows without a time are left out.
    parts : list of Annotation
    kinds : numpy.ndarray of int, shape (rows,)
        Which of `parts` each row has.
    slots : dict
        `hedgerow._assembly.Slot` of each marker.

    Attributes
    ----------
    rows, times : numpy.ndarray, shape (entries,)
        Row in which the entry is written, and its time in s after its delay.
    parts, which : list of Annotation, numpy.ndarray of int, shape (entries,)
        Which part each entry has.
    spans : list of Span
        In the order of their starts; see `follow`.
    """

    def __init__(self, onsets, parts, kinds, slots):
        self._slots, self.parts, self.spans = slots, list(parts), []
        rows = np.flatnonzero(np.isfinite(onsets))
        times, which = onsets[rows], kinds[rows]
        later = np.array([bool(part.delayed) for part in parts], dtype=bool)
        if later.any():
            first, numbers = len(parts), {}
            for kind in np.flatnonzero(later):
                numbers[kind] = first
                self.parts += [late for _, late in parts[kind].delayed]
                first = len(self.parts)
            extra = [
                (row, onsets[row] + self._time(seconds, row), numbers[kinds[row]] + place)
                for row in rows[later[which]]
                for place, (seconds, _) in enumerate(parts[kinds[row]].delayed)
            ]
            rows = np.concatenate([rows, np.array([row for row, _, _ in extra], dtype=int)])
            times = np.concatenate([times, [time for _, time, _ in extra]])
            which = np.concatenate([which, np.array([part for _, _, part in extra], dtype=int)])
        order = np.argsort(times, kind="stable")  # rows of one time keep their order, delayed ones follow
        self.rows, self.times, self.which = rows[order], times[order], which[order]
        temporal = np.array([part.temporal for part in self.parts], dtype=bool)
        self._temporal = np.flatnonzero(temporal[self.which]) if len(self.which) else np.array([], dtype=int)

    def together(self):
        """Entries that stand at one time: list of arrays of at least two entries."""
        same = np.diff(self.times) <= _SAME
        if not same.any():
            return []
        groups = np.split(np.arange(len(self.times)), np.flatnonzero(~same) + 1)
        return [group for group in groups if len(group) > 1]

    def check(self):
        """What is wrong with starts and ends over time.

        Returns
        -------
        list of (int, str, bool)
            Row, sentence, and whether the row is used all the same.
        """
        found, opened, used, last = [], set(), {}, -np.inf
        for part, row, now in self._visited(self._temporal):
            if now - last > _SAME:
                used = {}
            last, here = now, {}
            for anchor, kind in part.anchors:
                if anchor in here:
                    found.append((row, f"Def/{anchor} starts or ends twice in this row", False))
                elif anchor in used:
                    # an end and then a start are plain; every other pair of rows at one time is not
                    plain = (used[anchor], kind) == ("Offset", "Onset")
                    found.append((row, f"Def/{anchor} has an {used[anchor]} at the same time in another row", plain))
                elif kind != "Onset" and anchor not in opened:
                    found.append((row, f"an {kind} of Def/{anchor}, which no Onset has started", False))
                here[anchor] = kind
                if kind == "Onset":
                    opened.add(anchor)
                elif kind == "Offset":
                    opened.discard(anchor)
            used |= here
        return found

    def follow(self, used):
        """Find everything that lasts, over the rows of the mask `used`; an Offset of what is not open ends nothing."""
        self.spans, opened = [], {}
        entries = self._temporal[used[self.rows[self._temporal]]]
        for entry, (part, row, now) in zip(entries.tolist(), self._visited(entries)):
            for anchor in part.stops:
                if anchor in opened:
                    opened.pop(anchor).end = now
            for anchor, content in part.starts:
                if anchor in opened:
                    opened.pop(anchor).end = now
                opened[anchor] = Span(entry, content, part.moment)
                self.spans.append(opened[anchor])
            for seconds, content in part.lasts:
                self.spans.append(Span(entry, content, part.moment, now + self._time(seconds, row)))

    def _visited(self, entries):
        """Part, row and time of `entries`, as Python's own numbers."""
        parts = (self.parts[number] for number in self.which[entries].tolist())
        return zip(parts, self.rows[entries].tolist(), self.times[entries].tolist())

    def contexts(self, numbers):
        """What is ongoing at each entry: after the entry that starts it and before its end.

        Parameters
        ----------
        numbers : list of int
            One for each span; equal numbers are equal contents.

        Returns
        -------
        which : numpy.ndarray of int, shape (entries,)
        combinations : list of tuple of int
            Numbers of what is ongoing, in the order of its start; the first is empty.
        """
        changes = {}
        for index, span in enumerate(self.spans):
            stop = len(self.times) if np.isnan(span.end) else int(np.searchsorted(self.times, span.end - _SAME))
            if stop > span.entry + 1:
                changes.setdefault(span.entry + 1, []).append((index, True))
                changes.setdefault(stop, []).append((index, False))
        which, combinations = np.zeros(len(self.times), dtype=int), {(): 0}
        borders, active = [*sorted(changes), len(self.times)], {}
        for border, following in itertools.pairwise(borders):
            for index, starts in changes[border]:
                if starts:
                    active[index] = numbers[index]
                else:
                    active.pop(index, None)
            which[border:following] = combinations.setdefault(tuple(active.values()), len(combinations))
        return which, list(combinations)

    def _time(self, seconds, row):
        if not isinstance(seconds, str):
            return seconds
        slot = self._slots[seconds]
        return float(slot.seconds[slot.codes[row]])


def onsets(events):
    """Column ``onset`` of a table of events in s, NaN where there is no number.

    Raises
    ------
    hedgerow.account.Fault
        ``no-events`` or, without a column ``onset``, ``bad-events``.
    """
    if events is None or not len(events):
        raise Fault("no-events", "events.tsv is missing or has no rows: add it, or leave the recording out")
    if "onset" not in events:
        raise Fault("bad-events", "events.tsv has no column onset: add the time of each event in s")
    times = pd.to_numeric(events["onset"], errors="coerce").to_numpy(dtype=float)
    return np.where(np.isfinite(times), times, np.nan)


def join(*texts):
    """Annotations as one, empty ones left out."""
    return ",".join(text for text in texts if text.strip(" ,"))
