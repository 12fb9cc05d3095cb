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

hedtools parses each distinct annotation once and each distinct text is searched once, however many rows bear it.
"""

import json
from io import StringIO

import numpy as np
import pandas as pd

from hedgerow import _query, _timeline
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
    """
    hed_schema = _query.schema(hed_version)
    return _query.Query(query, hed_schema, temporal=True).matches(_query.forms(hed_string, hed_schema))


def check(query, *, hed_version, name="query"):
    """Raise ValueError, naming it `name`, if `query` does not parse or names a tag that the schema does not have."""
    _query.Query(query, _query.schema(hed_version), name=name)


def strings(events, sidecar):
    """HED annotation of each row, as written: columns joined by commas, templates filled, n/a left out.

    Parameters
    ----------
    events : pandas.DataFrame
        Rows of ``events.tsv``; missing values are NaN or ``"n/a"``.
    sidecar : dict
        Content of ``events.json``, inheritance resolved.

    Returns
    -------
    numpy.ndarray of str, shape (rows,)
        ``""`` where a row has no annotation.

    Raises
    ------
    hedgerow.account.Fault
        ``bad-hed`` if neither the sidecar nor a column ``HED`` annotates this table.
    """
    from hed import HedFileError, TabularInput

    entries = _annotated(sidecar)
    columns = [name for name in events.columns if name in entries or name == "HED"]
    if not columns:
        raise Fault("bad-hed", "neither events.json nor a column HED of events.tsv annotates the events: add HED tags")
    text = pd.DataFrame({name: _text(events[name], entries.get(name, {}).get("HED")) for name in columns})
    # hedtools assembles row by row, so it gets each distinct row once
    codes = text.groupby(columns, sort=False).ngroup().to_numpy()
    try:
        assembled = TabularInput(text.drop_duplicates().reset_index(drop=True), sidecar=_sidecar(sidecar)).series_a
    except HedFileError as error:
        raise Fault("bad-hed", f"the HED annotation of events.tsv cannot be assembled: {error}") from error
    return assembled.to_numpy(dtype=object)[codes]


def find(events, sidecar, query, *, hed_version, during=None, not_during=None):
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
    search = _Search(events, sidecar, hed_version)
    mask = np.zeros(len(events), dtype=bool)
    mask[search.timeline.rows[search.here(query, "query") & search.inside(during, not_during)]] = True
    return mask


def select(events, sidecar, classes, *, hed_version, during=None, not_during=None):
    """Events of each class, in the order of their time.

    Parameters
    ----------
    events, sidecar, hed_version, during, not_during
        As in `find`.
    classes : dict of str to str
        Query of each label.

    Returns
    -------
    selected : pandas.DataFrame
        ``row`` (0-based row of `events`), ``label``, ``onset`` (s, after ``Delay``), ``hed`` (annotation of the row).
    account : dict
        ``hed_version``, ``queries``, ``counts`` per label, ``overlaps`` (labels joined by ``+`` to the rows that no
        class got), ``rows``, ``annotated`` rows, ``distinct`` annotations, ``unsorted`` onsets, and ``unknown`` tags
        and definitions to their rows.

    Raises
    ------
    ValueError, hedgerow.account.Fault
        As in `find`.
    """
    search = _Search(events, sidecar, hed_version)
    inside = search.inside(during, not_during)
    hits = {label: search.here(query, f"classes: {label}") & inside for label, query in _checked(classes)}
    rows = search.timeline.rows
    table = pd.DataFrame({"row": rows, "onset": search.timeline.times, "hed": search.texts[rows]})
    table, overlaps = _exclusive(table, hits)
    account = search.account(classes, during, not_during, table, overlaps)
    return table[["row", "label", "onset", "hed"]], account


def intervals(events, sidecar, classes, *, hed_version, during=None, not_during=None):
    """Intervals of each class: from ``Onset`` to ``Offset``, or as long as a ``Duration`` tag says.

    A query is held against what lasts together with that part of its row's annotation that does not last; other
    intervals that start in the same row do not count.

    Parameters
    ----------
    events, sidecar, classes, hed_version, during, not_during
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
    search = _Search(events, sidecar, hed_version)
    spans, timeline = search.timeline.spans, search.timeline
    start = np.array([span.entry for span in spans], dtype=int)
    inside = search.inside(during, not_during)[start]
    texts = [_timeline.join(span.beside, span.content) for span in spans]
    hits = {label: search.search(texts, query, f"classes: {label}") & inside for label, query in _checked(classes)}
    rows = timeline.rows[start]
    table = pd.DataFrame({"row": rows, "start": timeline.times[start], "hed": search.texts[rows]})
    table["end"] = np.array([span.end for span in spans], dtype=float)
    table, overlaps = _exclusive(table, hits)
    account = search.account(classes, during, not_during, table, overlaps)
    return table[["row", "label", "start", "end", "hed"]], account


class _Search:
    """Events of one recording, ready to be searched; see `find` for the parameters."""

    def __init__(self, events, sidecar, hed_version):
        self.onsets, self.version = _timeline.onsets(events), hed_version
        self.schema = _query.schema(hed_version)
        self.definitions = _sidecar(sidecar).get_def_dict(self.schema)
        self.texts = strings(events, sidecar)
        self.timeline = _timeline.Timeline(self.onsets, self.texts, self.schema, self.definitions)
        self._forms = {}

    def here(self, query, name):
        """Mask over entries: the event that starts matches `query`."""
        if query is None:
            return np.ones(len(self.timeline.rows), dtype=bool)
        return self.search([annotation.own for annotation in self.timeline.annotations], query, name)

    def inside(self, during, not_during):
        """Mask over entries: `during` is ongoing and `not_during` is not."""
        mask = np.ones(len(self.timeline.rows), dtype=bool)
        if during is None and not_during is None:
            return mask
        contexts = self.timeline.contexts()
        if during is not None:
            mask &= self.search(contexts, during, "during")
        if not_during is not None:
            mask &= ~self.search(contexts, not_during, "not_during")
        return mask

    def search(self, texts, query, name):
        """Mask over `texts`: which annotation matches `query`."""
        compiled = _query.Query(query, self.schema, name=name)
        answers = {}
        for text in set(texts):
            if text not in self._forms:
                self._forms[text] = _query.forms(text, self.schema, self.definitions)
            answers[text] = compiled.matches(self._forms[text])
        return np.array([answers[text] for text in texts], dtype=bool)

    def account(self, classes, during, not_during, table, overlaps):
        """Account of a selection; `table` has a column ``label``."""
        counts = table["label"].value_counts()
        return {
            "hed_version": self.version,
            "queries": {"classes": dict(classes), "during": during, "not_during": not_during},
            "rows": len(self.texts),
            "annotated": sum(bool(text.strip(" ,")) for text in self.texts),
            "distinct": len(set(self.texts)),
            "counts": {label: int(counts.get(label, 0)) for label in classes},
            "overlaps": overlaps,
            "unsorted": int(np.sum(np.diff(self.onsets) < 0)),
            "unknown": self.timeline.unknown,
        }


def _exclusive(table, hits):
    """Rows of `table` that exactly one label hits, with a column ``label``; and the event rows that several hit."""
    hit, labels = np.column_stack(list(hits.values())), np.array(list(hits), dtype=object)
    overlaps = {}
    for index in np.flatnonzero(hit.sum(axis=1) > 1):
        overlaps.setdefault("+".join(labels[hit[index]]), []).append(int(table["row"].iloc[index]))
    one = hit.sum(axis=1) == 1
    return table[one].assign(label=labels[hit[one].argmax(axis=1)]).reset_index(drop=True), overlaps


def _checked(classes):
    """Labels and queries, in the order of the config."""
    if not isinstance(classes, dict) or not classes or not all(isinstance(label, str) for label in classes):
        raise ValueError(f"classes: {classes!r} must map labels (text) to HED queries, for example 'rest: Rest'")
    return classes.items()


def _annotated(sidecar):
    """Entries of a sidecar that bear HED, definitions included."""
    return {name: entry for name, entry in (sidecar or {}).items() if isinstance(entry, dict) and "HED" in entry}


def _sidecar(sidecar):
    from hed import Sidecar

    return Sidecar(StringIO(json.dumps(_annotated(sidecar))))


def _text(column, annotation):
    """Column as the text that it had in ``events.tsv``; a table read as numbers has lost it (``1``, ``1.0``, ``01``).

    Numbers are matched to the keys of a categorical `annotation` by value; elsewhere they get their shortest form.
    """
    missing = column.isna()
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column.astype(object).where(~missing, "n/a").astype(str)
    keys = {}
    for key in annotation if isinstance(annotation, dict) else ():
        try:
            keys[float(key)] = str(key)
        except ValueError:
            continue
    texts = {}
    for value in column[~missing].unique():
        texts[value] = keys.get(float(value), str(int(value)) if float(value).is_integer() else f"{value:.15g}")
    return column.map(texts).astype(object).where(~missing, "n/a").astype(str)
