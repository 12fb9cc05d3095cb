"""Intervals that one event starts and a later event ends, where the annotation itself has no Onset and Offset."""

import numpy as np

from hedgerow import hed
from hedgerow.account import Fault


def queries(until, classes, kind):
    """Query that ends the intervals of each label: a dict, or None where `until` is None.

    Raises
    ------
    ValueError
        Another `kind` than intervals, or labels that are not those of `classes`.
    """
    if until is None:
        return None
    if kind != "intervals":
        raise ValueError(f"until: it ends intervals, and kind is {kind!r}: set kind to intervals, or until to null")
    if isinstance(until, str):
        return dict.fromkeys(classes, until)
    if not isinstance(until, dict) or not all(isinstance(query, str) for query in until.values()):
        raise ValueError(f"until: {until!r} must be a HED query, or a query for each label of classes")
    if set(until) != set(classes):
        lacking, added = sorted(set(classes) - set(until)), sorted(set(until) - set(classes))
        what = [f"lacks {', '.join(lacking)}"] * bool(lacking) + [f"adds {', '.join(added)}"] * bool(added)
        raise ValueError(f"until: it {' and '.join(what)}: give one query for each label of classes")
    return dict(until)


def intervals(table, classes, until, *, hed_version, during=None, not_during=None):
    """Intervals from each event of a class to the next later event that matches the query `until` of its label.

    As with ``Onset``, a second start of a label before the end ends the first and starts anew. What ends an interval
    may start one of another label: the queries of `until` are searched apart from those of `classes`.

    Parameters
    ----------
    table : hedgerow.hed.Events
    classes, hed_version, during, not_during
        As in `hedgerow.hed.select`; `during` and `not_during` are held against the start.
    until : dict of str to str
        Query of each label (`queries`).

    Returns
    -------
    found : pandas.DataFrame
        ``row`` (0-based row of the event that starts), ``label``, ``start`` and ``end`` in s, ``hed`` of that row.
    account : dict
        That of `hedgerow.hed.select`, its ``queries`` with ``until``, and ``unclosed``: rows of the starts that nothing
        ends. They are no intervals.

    Raises
    ------
    ValueError, hedgerow.account.Fault
        As in `hedgerow.hed.select`; ``no-match`` if events start intervals and nothing ends any.
    """
    for label, query in until.items():
        hed.check(query, hed_version=hed_version, name=f"until: {label}")
    found, account = table.select(classes, during=during, not_during=not_during)
    found = found.rename(columns={"onset": "start"}).assign(end=np.nan)
    stops = {query: _times(table, query) for query in set(until.values())}
    for label, query in until.items():
        own = (found["label"] == label).to_numpy()
        starts = found["start"].to_numpy()[own]
        later = stops[query][np.searchsorted(stops[query], starts, side="right")]
        found.loc[own, "end"] = np.minimum(later, np.append(starts[1:], np.inf)[: len(starts)])
    closed = np.isfinite(found["end"])
    if len(found) and not closed.any():
        raise Fault(
            "no-match",
            f"{len(found)} events start an interval and no later one ends any "
            f"({'; '.join(f'{label}: {query}' for label, query in until.items())}): correct until",
        )
    account["queries"] = account["queries"] | {"until": until}
    return found[closed].reset_index(drop=True), account | {"unclosed": found["row"][~closed].tolist()}


def _times(table, query):
    """Onsets in s of the events that match `query`, in order, and infinity after them."""
    found, _ = table.select({"until": query})
    return np.append(found["onset"].to_numpy(dtype=float), np.inf)
