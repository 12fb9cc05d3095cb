"""HED queries over the events of a recording (hedtools, https://www.hedtags.org).

The query language is that of `hedgerow._query`; here it meets a table of events and its sidecar:

- *Starts here*: a query is held against the annotation of the row itself, assembled by hedtools from all columns with
  HED, ``{column}`` templates filled and n/a left out. What an ``Onset`` or ``Duration`` group starts belongs to the
  row, an ``Offset`` group does not. A ``Delay`` group is an event of its own at its later time; it counts for the row
  in which it is written. A row without annotation matches no query.
- *Ongoing*: `during` and `not_during` are held against what has started in an earlier row and has not ended. It ends at
  the ``Offset`` of the same definition and value, at its next ``Onset``, after its ``Duration``, or never; an event
  exactly at the end is no longer inside.
- An event that matches the queries of two labels belongs to neither; the account lists it.
- *Faulty rows*: an onset that is no number, annotation that hedtools does not accept, an ``Offset`` without ``Onset``.
  By ``on_error="quarantine"`` the first of them is a `Fault`; by ``on_error="skip_rows"`` they match nothing, start
  nothing and end nothing, and the account lists each with its line. A repeated tag leaves no doubt about what a row
  says: the row is listed and used. Rows out of order are put in order, and listed.

`Events` answers many queries about one table. hedtools parses, validates and searches each distinct annotation once,
however many rows and tables bear it (`hedgerow._lexicon`); ``config/queries.md`` tells all of this to users.
"""

import functools

import numpy as np
import pandas as pd

from hedgerow import _faults, _lexicon, _query, _timeline
from hedgerow._assembly import Assembly
from hedgerow.account import Fault


def matches(hed_string, query, *, hed_version):
    """Whether one HED annotation matches a query.

    Parameters
    ----------
    hed_string : str
        Annotation; definitions are not expanded.
    query : str
        HED query, see `hedgerow._query`.
    hed_version : str or list of str
        As in ``dataset_description.json``.

    Returns
    -------
    bool

    Raises
    ------
    ValueError
        A query that does not parse, names an unknown tag or would not mean what it says.
    hedgerow.account.Fault
        ``bad-hed``: a version that hedtools does not have, or parentheses that do not pair.
    """
    hed_schema = _query.schema(hed_version)
    return _query.Query(query, hed_schema, temporal=True).matches(_query.forms(hed_string, hed_schema))


def check(query, *, hed_version, name="query"):
    """Raise ValueError, naming it `name`, if `query` does not parse or names a tag that the schema does not have."""
    _query.Query(query, _query.schema(hed_version), name=name)


def strings(events, sidecar, *, hed_version="8.3.0"):
    """HED annotation of each row, as written: columns joined by commas, templates filled, n/a left out.

    Parameters
    ----------
    events : pandas.DataFrame
        Rows of ``events.tsv``; missing values are NaN, empty or ``"n/a"``.
    sidecar : dict
        Content of ``events.json``, inheritance resolved.
    hed_version : str or list of str
        The text does not depend on it.

    Returns
    -------
    numpy.ndarray of str, shape (rows,)
        ``""`` where a row has no annotation.

    Raises
    ------
    hedgerow.account.Fault
        ``bad-hed`` if neither the sidecar nor a column ``HED`` annotates this table.
    """
    _demand_annotation(events, sidecar, hed_version)
    return Assembly(events, _lexicon.of(sidecar, hed_version), _faults.Faults(events.iloc[:, 0])).texts()


def find(events, sidecar, query, *, hed_version, during=None, not_during=None, on_error="quarantine"):
    """Rows whose event matches.

    Parameters
    ----------
    events, sidecar
        As in `strings`; `events` has a column ``onset`` in s.
    query : str or None
        What starts at the row; ``None`` for any row.
    hed_version : str or list of str
        As in ``dataset_description.json``.
    during, not_during : str, optional
        What must, or must not, be ongoing.
    on_error : {"quarantine", "skip_rows"}
        Whether a faulty row is a fault of the recording, or matches nothing; `Events.errors` lists them.

    Returns
    -------
    numpy.ndarray of bool, shape (rows,)

    Raises
    ------
    ValueError
        A query that does not parse, names an unknown tag or would not mean what it says.
    hedgerow.account.Fault
        ``bad-hed``, ``bad-events`` or ``no-events``.
    """
    table = Events(events, sidecar, hed_version=hed_version, on_error=on_error)
    return table.find(query, during=during, not_during=not_during)


def select(events, sidecar, classes, *, hed_version, during=None, not_during=None, on_error="quarantine"):
    """Events of each class, in the order of their time.

    Parameters
    ----------
    events, sidecar, hed_version, during, not_during, on_error
        As in `find`.
    classes : dict of str to str
        Query of each label.

    Returns
    -------
    selected : pandas.DataFrame
        ``row`` (0-based row of `events`), ``label``, ``onset`` (s, after ``Delay``), ``hed`` (annotation of the row).
    account : dict
        ``hed_version``, ``queries``, ``counts`` per label, ``overlaps`` (labels joined by ``+`` to the rows that no
        class got), ``rows``, ``annotated`` rows, ``distinct`` annotations (but for values), ``unannotated`` (values
        that the sidecar does not annotate, to the number of their rows), ``unsorted`` onsets, ``repairs`` and
        ``errors`` (see `Events`), ``skipped`` rows.

    Raises
    ------
    ValueError, hedgerow.account.Fault
        As in `find`.
    """
    table = Events(events, sidecar, hed_version=hed_version, on_error=on_error)
    return table.select(classes, during=during, not_during=not_during)


def intervals(events, sidecar, classes, *, hed_version, during=None, not_during=None, on_error="quarantine"):
    """Intervals of each class: from ``Onset`` to ``Offset``, or as long as a ``Duration`` tag says.

    A query is held against what lasts together with that part of its row's annotation that does not last; other
    intervals that start in the same row do not count.

    Parameters
    ----------
    events, sidecar, classes, hed_version, during, not_during, on_error
        As in `select`; `during` is what is ongoing when the interval starts.

    Returns
    -------
    selected : pandas.DataFrame
        ``row``, ``label``, ``start`` and ``end`` (s; NaN if an ``Onset`` is never closed), ``hed``.
    account : dict
        As in `select`.

    Raises
    ------
    ValueError, hedgerow.account.Fault
        As in `find`.
    """
    table = Events(events, sidecar, hed_version=hed_version, on_error=on_error)
    return table.intervals(classes, during=during, not_during=not_during)


class Events:
    """Events of one recording, assembled, checked and put in time once for many queries.

    Parameters
    ----------
    events, sidecar, hed_version, on_error
        As in `find`.

    Attributes
    ----------
    onsets : numpy.ndarray, shape (rows,)
        In s, NaN where there is no number.
    faulty : numpy.ndarray of bool, shape (rows,)
        Rows that match nothing.
    errors : list of dict
        One per distinct error: ``line`` (the first) and ``lines`` of ``events.tsv``, ``code`` (of hedtools),
        ``message``, ``used`` (whether these rows are used all the same), and ``column`` and ``key`` of the sidecar
        where they are known.
    repairs : list of dict
        What was put right: ``line``, ``lines``, ``code``, ``message``.

    Raises
    ------
    ValueError
        `on_error` is neither of the two.
    hedgerow.account.Fault
        ``no-events``; ``bad-events`` or ``bad-hed`` if the table is no table of annotated events or, by
        `on_error`, if a row or every row is faulty.
    """

    def __init__(self, events, sidecar, *, hed_version, on_error="quarantine"):
        if on_error not in _faults.CHOICES:
            raise ValueError(f"on_error: {on_error!r} is neither 'quarantine' nor 'skip_rows'")
        self.onsets, self._version = _timeline.onsets(events), hed_version
        _demand_annotation(events, sidecar, hed_version)
        self._lexicon = _lexicon.of(sidecar, hed_version)
        faults = _faults.Faults(events["onset"])
        self._table = Assembly(events, self._lexicon, faults)
        self._timeline = _timeline.Timeline(self.onsets, self._judge(faults), self._table.kinds, self._table.slots)
        self._check_onsets(events["onset"], faults)
        self._check_in_time(faults)
        self.repairs = self._sorted()
        self.faulty, self.errors = faults.faulty, faults.listed()
        if on_error == "quarantine":
            faults.demand()
        faults.demand_some()
        self._timeline.follow(~self.faulty)
        self._plain_contexts = None

    def __len__(self):
        return len(self.onsets)

    @property
    def strings(self):
        """HED annotation of each row, as `hedgerow.hed.strings` gives it."""
        return self._table.texts()

    def find(self, query, *, during=None, not_during=None):
        """Rows whose event matches; see `hedgerow.hed.find`."""
        mask = np.zeros(len(self), dtype=bool)
        mask[self._timeline.rows[self._here(query, "query") & self._inside(during, not_during)]] = True
        return mask & ~self.faulty

    def select(self, classes, *, during=None, not_during=None):
        """Events of each class; see `hedgerow.hed.select`."""
        inside = self._inside(during, not_during) & ~self.faulty[self._timeline.rows]
        hits = {label: self._here(query, f"classes: {label}") & inside for label, query in _checked(classes)}
        table, overlaps = _exclusive({"row": self._timeline.rows, "onset": self._timeline.times}, hits)
        table["hed"] = [self._table.text(row) for row in table["row"]]
        return table[["row", "label", "onset", "hed"]], self._account(classes, during, not_during, table, overlaps)

    def intervals(self, classes, *, during=None, not_during=None):
        """Intervals of each class; see `hedgerow.hed.intervals`."""
        spans, timeline = self._timeline.spans, self._timeline
        start = np.array([span.entry for span in spans], dtype=int)
        inside = self._inside(during, not_during)[start]
        rows = timeline.rows[start]
        templates, which = _numbered([_timeline.join(span.beside, span.content) for span in spans])
        hits = {
            label: self._search(query, f"classes: {label}", templates, which, rows) & inside
            for label, query in _checked(classes)
        }
        ends = np.array([span.end for span in spans], dtype=float)
        table, overlaps = _exclusive({"row": rows, "start": timeline.times[start], "end": ends}, hits)
        table["hed"] = [self._table.text(row) for row in table["row"]]
        account = self._account(classes, during, not_during, table, overlaps)
        return table[["row", "label", "start", "end", "hed"]], account

    def _judge(self, faults):
        """Part of each kind of row; what is wrong with one goes to `faults`."""
        table, parts = self._table, []
        for kind, template in enumerate(table.templates):
            part, errors = self._lexicon.judge(template, table.fill(template, table.firsts[kind]))
            parts.append(part)
            rows = np.flatnonzero((table.kinds == kind) & ~faults.faulty)  # a value that is wrong has been told
            for code, message in errors if rows.size else ():
                column, key = self._lexicon.blame(table.columns, table.cells(kind), code)
                used = code in _lexicon.HARMLESS
                faults.add(rows, code, table.without_values(message, kind), column=column, key=key, used=used)
        return parts

    def _check_onsets(self, column, faults):
        bad = np.flatnonzero(np.isnan(self.onsets))
        written = column.iloc[bad].astype(object).fillna("n/a").astype(str).to_numpy()
        for value in dict.fromkeys(written):
            message = f"the onset {value} is no number of seconds"
            faults.add(bad[written == value], _faults.NO_ONSET, message, column="onset")

    def _check_in_time(self, faults):
        """Errors between rows: ends without a start, and tags repeated at one time."""
        timeline = self._timeline
        for row, message, used in timeline.check():
            if not faults.faulty[row]:
                faults.add(row, _timeline.CODE, message, used=used)
        for group in timeline.together():
            group = [entry for entry in group.tolist() if not faults.faulty[timeline.rows[entry]]]
            texts = [self._table.fill(timeline.parts[timeline.which[i]].text, timeline.rows[i]) for i in group]
            if sum(map(bool, texts)) > 1:
                rows = [int(timeline.rows[entry]) for entry in group]
                others = ", ".join(str(row + 2) for row in rows[1:])
                for code, message in self._lexicon.check_together(texts):
                    message += f" This and line {others} stand at one time, which hedtools takes for one event."
                    faults.add(rows[0], code, message, used=True)

    def _sorted(self):
        """What to say about rows that come before an earlier one."""
        times = self.onsets[np.isfinite(self.onsets)]
        late = np.flatnonzero(np.isfinite(self.onsets))[times < np.maximum.accumulate(times)]
        if not late.size:
            return []
        lines = (late + 2).tolist()
        message = "the onset is before that of an earlier line: rows were put in the order of time"
        return [{"line": lines[0], "lines": lines, "code": "ONSETS_UNORDERED", "message": message}]

    def _here(self, query, name):
        """Mask over entries: the event that starts matches `query`."""
        timeline = self._timeline
        if query is None:
            return np.ones(len(timeline.rows), dtype=bool)
        return self._search(query, name, [part.own for part in timeline.parts], timeline.which, timeline.rows)

    def _inside(self, during, not_during):
        """Mask over entries: `during` is ongoing and `not_during` is not."""
        mask = np.ones(len(self._timeline.rows), dtype=bool)
        if during is not None:
            mask &= self._ongoing(during, "during")
        if not_during is not None:
            mask &= ~self._ongoing(not_during, "not_during")
        return mask

    def _search(self, query, name, templates, which, rows):
        """Mask over entries: which of the `templates`, filled with the values of their `rows`, match `query`."""
        compiled = self._lexicon.query(query, name)
        if not len(which):
            return np.zeros(0, dtype=bool)
        classes = self._classes(compiled)
        groups = which
        for _, codes, found in classes:
            groups = groups * (len(found) + 1) + codes[rows] + 1
        _, firsts, groups = np.unique(groups, return_index=True, return_inverse=True)
        answers = [self._answer(compiled, templates[which[first]], rows[first], classes) for first in firsts]
        return np.array(answers, dtype=bool)[groups]

    def _ongoing(self, query, name):
        """Mask over entries: what is ongoing matches `query`."""
        compiled = self._lexicon.query(query, name)
        which, combinations = self._contexts(self._classes(compiled))
        answers = [bool(keys) and self._lexicon.answer(compiled, keys, write) for keys, write in combinations]
        return np.array(answers, dtype=bool)[which]

    def _contexts(self, classes):
        """What is ongoing at each entry: index into combinations, each its keys and a function that writes it out."""
        if not classes and self._plain_contexts is not None:
            return self._plain_contexts
        timeline, numbers, keys, texts = self._timeline, [], {}, []
        for span in timeline.spans:
            row = timeline.rows[span.entry]
            key = self._key(span.content, row, classes)
            if key not in keys:
                keys[key] = len(keys)
                texts.append(self._table.fill(span.content, row))
            numbers.append(keys[key])
        which, found = timeline.contexts(numbers)
        keys, combinations = list(keys), []
        for combination in found:
            write = functools.partial(_context, [texts[number] for number in combination])
            combinations.append((tuple(keys[number] for number in combination), write))
        if not classes:
            self._plain_contexts = which, combinations
        return which, combinations

    def _answer(self, compiled, template, row, classes):
        key = self._key(template, row, classes)
        return self._lexicon.answer(compiled, key, lambda: self._table.fill(template, row))

    def _key(self, template, row, classes):
        """Texts of one key have the same answer: the template, and what the query has to do with its values."""
        told = tuple((slot.marker, found[codes[row]]) for slot, codes, found in classes if slot.marker in template)
        return (template, *told)

    def _classes(self, compiled):
        """Value columns of which the query writes out a value: slot, class of each row (-1: no value), outcomes."""
        classes = []
        for slot in self._table.slots.values():
            if compiled.touches(slot.column.prefix) and slot.texts:
                outcomes = [self._lexicon.outcome(compiled, slot.column.tag(text)) for text in slot.texts]
                found = list(dict.fromkeys(outcomes))
                codes = np.array([found.index(outcome) for outcome in outcomes] + [-1])[slot.codes]
                classes.append((slot, codes, found))
        return classes

    def _account(self, classes, during, not_during, table, overlaps):
        """Account of a selection; `table` has a column ``label``."""
        counts = table["label"].value_counts()
        bare = np.array([not template.strip(" ,") for template in self._table.templates], dtype=bool)
        return {
            "hed_version": self._version,
            "queries": {"classes": dict(classes), "during": during, "not_during": not_during},
            "rows": len(self),
            "annotated": int(np.sum(~bare[self._table.kinds])),
            "distinct": len(set(self._table.templates)),
            "counts": {label: int(counts.get(label, 0)) for label in classes},
            "overlaps": overlaps,
            "unannotated": self._table.unannotated,
            "unsorted": int(np.sum(np.diff(self.onsets[np.isfinite(self.onsets)]) < 0)),
            "repairs": self.repairs,
            "errors": self.errors,
            "skipped": int(self.faulty.sum()),
        }


def _exclusive(columns, hits):
    """What exactly one label hits, as a table of `columns` with a column ``label``; and the rows that several hit."""
    hit, labels = np.column_stack(list(hits.values())), np.array(list(hits), dtype=object)
    number, overlaps = hit.sum(axis=1), {}
    for index in np.flatnonzero(number > 1):
        overlaps.setdefault("+".join(labels[hit[index]]), []).append(int(columns["row"][index]))
    one = number == 1
    table = pd.DataFrame({name: values[one] for name, values in columns.items()})
    return table.assign(label=labels[hit[one].argmax(axis=1)]), overlaps


def _context(texts):
    """What is ongoing, as one annotation."""
    return f"(Event-context,({_timeline.join(*texts)}))"


def _numbered(texts):
    """Distinct texts, and which of them each one is."""
    numbers = {}
    which = np.array([numbers.setdefault(text, len(numbers)) for text in texts], dtype=int)
    return list(numbers), which


def _checked(classes):
    """Labels and queries, in the order of the config."""
    if not isinstance(classes, dict) or not classes or not all(isinstance(label, str) for label in classes):
        raise ValueError(f"classes: {classes!r} must map labels (text) to HED queries, for example 'rest: Rest'")
    return classes.items()


def _demand_annotation(events, sidecar, hed_version):
    """Refuse a table without HED before asking for its schema: the one sentence then says what helps."""
    entries = _lexicon.annotated(sidecar)
    if any(name in entries or name.strip() == "HED" for name in events.columns):
        return
    reason = "neither events.json nor a column HED of events.tsv annotates the events: add HED tags"
    try:
        _query.schema(hed_version)
    except Fault:
        reason += f", and a HEDVersion that hedtools has (dataset_description.json declares {hed_version!r})"
    raise Fault("bad-hed", reason)
