"""Annotated events in time: what starts at a row, what lasts, and what is ongoing (HED specification 3.2, chapter 5).

hedtools' `EventManager` gives the same answers; here each distinct annotation is parsed once instead of each row. The
conventions stand in `hedgerow.hed`.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from hedgerow import _query
from hedgerow.account import Fault

#: Tags by which a group lasts; they are no part of what lasts.
_LASTING = ("Onset", "Duration")


@dataclass
class Annotation:
    """One distinct annotation, taken apart: what is there for the moment, what starts, lasts, ends or comes later."""

    moment: str
    starts: list = field(default_factory=list)  # (definition and value, content) of Onset groups
    stops: list = field(default_factory=list)  # definition and value of Offset groups
    lasts: list = field(default_factory=list)  # (seconds, content) of Duration groups
    delayed: list = field(default_factory=list)  # (seconds, Annotation) of Delay groups

    @property
    def own(self):
        """What starts here: everything but the ends and what comes later."""
        return join(self.moment, *(content for _, content in self.starts + self.lasts))


@dataclass
class Span:
    """Something that lasts: index of the entry that starts it, its text, the text beside it, end in s (NaN: open)."""

    entry: int
    content: str
    beside: str
    end: float = np.nan


class Timeline:
    """Entries in the order of time: one per row, and one more per ``Delay`` group.

    Parameters
    ----------
    onsets : numpy.ndarray, shape (rows,)
        Time of each row in s; rows out of order are put in order.
    texts : numpy.ndarray of str, shape (rows,)
        Assembled annotation of each row.
    hed_schema, definitions
        Schema and definition dictionary of hedtools.

    Attributes
    ----------
    rows, times : numpy.ndarray, shape (entries,)
        Row in which the entry is written, and its time in s after its delay.
    annotations : list of Annotation
    spans : list of Span
        In the order of their starts.
    unknown : dict
        Tags that the schema does not have and definitions without content, to their rows.

    Raises
    ------
    hedgerow.account.Fault
        ``bad-hed``, with the line of ``events.tsv``.
    """

    def __init__(self, onsets, texts, hed_schema, definitions):
        self._onsets, self.unknown = onsets, {}
        parts = {}
        for row, text in enumerate(texts):
            if text not in parts:
                parts[text] = self._take_apart(text, row, hed_schema, definitions, texts)
        entries = [(at, row, parts[texts[row]]) for row, at in enumerate(onsets)]
        entries += [(at + seconds, row, late) for at, row, part in entries for seconds, late in part.delayed]
        entries.sort(key=lambda entry: entry[0])  # stable: rows of one time keep their order, delayed ones follow
        self.times = np.array([at for at, _, _ in entries], dtype=float)
        self.rows = np.array([row for _, row, _ in entries], dtype=int)
        self.annotations = [annotation for _, _, annotation in entries]
        self.spans = self._follow()

    def contexts(self):
        """What is ongoing at each entry, as one annotation; ``""`` for nothing.

        An event is ongoing after the entry that starts it and before its end.
        """
        starting = {}
        for span in self.spans:
            starting.setdefault(span.entry, []).append(span)
        contexts, active = [], []
        for entry, now in enumerate(self.times):
            active = [span for span in active if not span.end <= now]  # an open end is NaN
            contexts.append(f"(Event-context,({join(*(span.content for span in active))}))" if active else "")
            active += starting.get(entry, [])
        return contexts

    def _place(self, row):
        return f"line {row + 2} of events.tsv (onset {self._onsets[row]:g} s)"

    def _take_apart(self, text, row, hed_schema, definitions, texts):
        """`Annotation` of one assembled text; a fault names the first row that bears it."""
        try:
            parsed = _query.parse(text, hed_schema, definitions).shrink_defs()
        except Fault as fault:
            raise Fault(fault.code, f"{self._place(row)}: {fault.message}") from fault
        for tag in parsed.get_all_tags():
            without_content = tag.short_base_tag == "Def" and tag.expandable is None
            if without_content or not tag.tag_exists_in_schema():
                rows = np.flatnonzero(texts == text).tolist()
                self.unknown[str(tag)] = sorted({*self.unknown.get(str(tag), []), *rows})
        return self._sort_out(parsed.children, row)

    def _sort_out(self, children, row, delayed=False):
        """`Annotation` of top-level tags and groups, each group by its temporal tag."""
        moment, part = [], Annotation("")
        for child in children:
            tags = {tag.short_base_tag: tag for tag in child.tags()} if hasattr(child, "tags") else {}
            if "Delay" in tags and not delayed:
                part.delayed.append((self._seconds(tags["Delay"], row), self._sort_out([child], row, delayed=True)))
            elif "Onset" in tags:
                part.starts.append((self._anchor(tags, row), _content(child)))
            elif "Offset" in tags:
                part.stops.append(self._anchor(tags, row))
            elif "Duration" in tags:
                part.lasts.append((self._seconds(tags["Duration"], row), _content(child)))
            else:
                moment.append(str(child))
        part.moment = join(*moment)
        return part

    def _anchor(self, tags, row):
        """Definition name and value, by which an Offset finds its Onset."""
        if "Def" not in tags:
            raise Fault("bad-hed", f"{self._place(row)}: an Onset or Offset group has no Def: add its definition")
        return tags["Def"].extension.casefold()

    def _seconds(self, tag, row):
        seconds = tag.value_as_default_unit()
        if seconds is None or seconds < 0:
            raise Fault("bad-hed", f"{self._place(row)}: {tag} is no span of time: write a number and a unit")
        return seconds

    def _follow(self):
        """Everything that lasts, in the order of its start."""
        spans, opened = [], {}
        for entry, (now, part) in enumerate(zip(self.times, self.annotations)):
            for anchor in part.stops:
                if anchor not in opened:
                    place = self._place(self.rows[entry])
                    raise Fault("bad-hed", f"{place}: an Offset of Def/{anchor}, which no Onset has started: add it")
                opened.pop(anchor).end = now
            for anchor, content in part.starts:
                if anchor in opened:
                    opened.pop(anchor).end = now
                opened[anchor] = Span(entry, content, part.moment)
                spans.append(opened[anchor])
            spans += [Span(entry, content, part.moment, now + seconds) for seconds, content in part.lasts]
        return spans


def onsets(events):
    """Column ``onset`` of a table of events in s.

    Raises
    ------
    hedgerow.account.Fault
        ``no-events`` or, with the line, ``bad-events``.
    """
    if events is None or not len(events):
        raise Fault("no-events", "events.tsv is missing or has no rows: add it, or leave the recording out")
    if "onset" not in events:
        raise Fault("bad-events", "events.tsv has no column onset: add the time of each event in s")
    times = pd.to_numeric(events["onset"], errors="coerce").to_numpy(dtype=float)
    bad = np.flatnonzero(~np.isfinite(times))
    if bad.size:
        value = events["onset"].iloc[bad[0]]
        raise Fault("bad-events", f"line {bad[0] + 2} of events.tsv has the onset {value}: write a number of s")
    return times


def join(*texts):
    """Annotations as one, empty ones left out."""
    return ",".join(text for text in texts if text.strip(" ,"))


def _content(group):
    """Text of what lasts: its definition alone, or the group without its Onset or Duration (as hedtools has it)."""
    children = [child for child in group.children if getattr(child, "short_base_tag", "") not in _LASTING]
    if len(children) == 1 and getattr(children[0], "short_base_tag", "") == "Def":
        return str(children[0])
    return f"({join(*map(str, children))})"
