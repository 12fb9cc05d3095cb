"""What a dataset of windows is made from: stores by path or URL, their indices, and tables that say whose they are."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from hedgerow import _remote, store, table

#: Columns that a manifest must have.
NEEDED = ("store", "status", "windows", "size", "head", "sha256")


def listed(source, selection):
    """Stores that have windows.

    Parameters
    ----------
    source, selection
        As for `hedgerow.nets.loader.Windows`.

    Returns
    -------
    stores : pandas.DataFrame
        Rows of the manifest, with ``place`` (path or URL).
    base : str or None
        Folder or URL of the manifest.
    """
    if isinstance(source, list | tuple):
        return _of(store.manifest(source), selection, None, "the list of stores"), None
    source = str(source).rstrip("/")
    path = source if source.endswith(".tsv") else _remote.join(source, "manifest.tsv")
    base = path.rpartition("/")[0] or "."
    found = table.parse(_remote.get(path), path)
    lacking = [name for name in NEEDED if name not in found]
    if lacking:
        raise ValueError(f"{path} is no manifest of windows stores: it lacks {', '.join(lacking)}")
    return _of(found, selection, base, path), base


def _of(found, selection, base, path):
    found = found[(found["status"] == "ok") & (found["windows"] > 0)]
    known = sorted(found["selection"].dropna().astype(str).unique())
    if selection is None and len(known) > 1:
        raise ValueError(f"{path} has windows of {', '.join(known)}: name one of these selections")
    if selection is not None:
        found = found[found["selection"].astype(str) == selection]
    if not len(found):
        what = f"of {selection!r}; it has {', '.join(known) or 'none at all'}" if selection else "at all"
        raise ValueError(f"{path} has no windows {what}")
    places = [str(_place(base, name)) for name in found["store"]]
    return found.assign(place=places).reset_index(drop=True)


def _place(base, name):
    """Where a file is that a table in `base` names: beside it, or in the folder of the run that wrote both."""
    if base is None or _remote.is_url(name):
        return name
    if _remote.is_url(base):
        return _remote.join(base, name)
    for folder in (Path(base), *Path(base).resolve().parents):
        if (folder / name).is_file():
            return folder / name
    return Path(base) / name


def kind(heads, places):
    """Channels, rate, samples, first time and type of values, which all stores must share."""
    kinds = {}
    for head, place in zip(heads, places):
        attrs = head.attributes
        own = (tuple(attrs["names"]), attrs["sfreq"], head.shape("signal")[2], attrs["tmin"])
        kinds.setdefault((own, head.dtype("signal")), []).append(place)
    store.refuse_unlike({own: where for (own, _), where in kinds.items()})
    if len(kinds) > 1:
        raise ValueError(f"stores of unlike types cannot be combined: {' and '.join(str(key[1]) for key in kinds)}")
    (((names, sfreq, samples, tmin), dtype),) = kinds
    return list(names), sfreq, samples, tmin, dtype


def rows(heads, places):
    """A row per window of all stores: whose it is, ``store`` (place), ``window``, and the index of its store."""
    columns, lengths = {}, []
    for head, place in zip(heads, places):
        attrs, length = head.attributes, head.shape("signal")[0]
        own = {name: attrs.get(name, "n/a") for name in ("dataset", "subject", "rec", "selection")} | {"store": place}
        own = {name: np.full(length, value, dtype=object) for name, value in own.items()}
        own |= {"window": np.arange(length), **{name: store.column(head, name) for name in attrs["columns"]}}
        for name, values in own.items():
            columns.setdefault(name, []).append(values)
        lengths.append(length)
    # a column that not all stores have is of no use in all of them
    shared = {name: np.concatenate(parts) for name, parts in columns.items() if len(parts) == len(heads)}
    return pd.DataFrame(shared)


def with_people(found, base, given):
    """`found` with the columns of the participants, and the fold of each person as ``split``.

    Parameters
    ----------
    found : pandas.DataFrame
        From `rows`.
    base : str or None
        Folder or URL of the manifest, beside which the table stands; a study's own has those of its datasets
        elsewhere, and ``split.tsv``.
    given : path or str, optional
        The table of participants.
    """
    if given is not None:
        return _merge(found, _participants(given))
    if base is None:
        return found
    beside = _remote.join(base, "participants.tsv")
    if _remote.is_url(base) or Path(beside).is_file():
        return _merge(found, _participants(beside))
    people = []
    for name in found["dataset"].unique():
        path = Path(_place(base, f"results/index/{name}/participants.tsv"))
        people += [_participants(path).assign(dataset=name)] if path.is_file() else []
    found = _merge(found, pd.concat(people)) if people else found
    dealt = Path(base, "split.tsv")
    if dealt.is_file():
        folds = table.read(dealt)
        folds["split"] = "fold-" + folds["fold"].astype(str)
        found = _merge(found, folds[["dataset", "subject", "split"]])
    return found


def _participants(path):
    people = table.parse(_remote.get(path), path)
    if "participant_id" not in people:
        raise ValueError(f"{path} has no column participant_id: is it a table of participants?")
    return people.assign(subject=people["participant_id"].str.removeprefix("sub-")).drop(columns="participant_id")


def _merge(found, people):
    keys = [name for name in ("dataset", "subject") if name in people]
    new = [name for name in people if name not in found]
    return found.merge(people[[*keys, *new]], on=keys, how="left", validate="many_to_one")


def with_events(found, wanted, places):
    """`found` with those of the `wanted` columns that only the tables of events beside the stores have."""
    absent = sorted(wanted - set(found))
    if not absent:
        return found
    paths = [place.removesuffix("_windows.zarr.zip") + "_events.tsv" for place in places]
    with ThreadPoolExecutor(_remote.CONNECTIONS) as pool:
        tables = [table.parse(content, path) for content, path in zip(pool.map(_remote.get, paths), paths)]
    known = sorted({name for events in tables for name in events} | set(found))
    for name in absent:
        if name not in known:
            raise ValueError(f"the windows have no column {name!r}; there are {', '.join(known)}")
    added = {name: pd.Series(np.nan, found.index, dtype=object) for name in absent}
    for place, events in zip(places, tables):
        mine = found.index[found["store"] == place]
        for name in set(absent) & set(events):
            added[name][mine] = events[name].iloc[found["event"][mine]].to_numpy()
    return found.assign(**{name: values.infer_objects() for name, values in added.items()})


def chosen(found, where):
    """Rows of `found` whose columns have the values of `where`: one, several, or those of which a function is true."""
    for name, wanted in where.items():
        if callable(wanted):
            keep = found[name].map(wanted).astype(bool)
        else:
            wanted = wanted if isinstance(wanted, list | tuple | set) else [wanted]
            keep = found[name].isin(wanted)
        if not keep.any():
            raise ValueError(f"where: no window has the {name} that is asked for; there are {_few(found[name])}")
        found = found[keep]
    return found


def targets(found, target, classes):
    """Rows of `found` that have a target, the classes in their order (None for numbers), and the target of each row.

    A warning says how many windows have none.
    """
    values = found[target]
    if classes is None and not pd.api.types.is_numeric_dtype(values):
        classes = sorted(values.dropna().astype(str).unique())
    if classes is None:
        there, y = values.notna(), values.to_numpy(dtype=np.float32)
    else:
        there = values.notna() & values.astype(str).isin(list(map(str, classes)))
        y = values.astype(str).map({str(name): number for number, name in enumerate(classes)}).fillna(-1)
        y = y.to_numpy(dtype=np.int64)
    if not there.any():
        raise ValueError(f"target: no window has a {target}{f' among {classes}' if classes else ''}")
    lost = int(values.isna().sum())
    if lost:
        people = found.loc[values.isna(), ["dataset", "subject"]].drop_duplicates()
        warnings.warn(f"{lost} windows of {len(people)} people have no {target}: left out", stacklevel=3)
    return found[there], None if classes is None else list(map(str, classes)), y[there.to_numpy()]


def _few(values):
    found = sorted(map(str, values.dropna().unique()))
    return ", ".join(found[:8]) + (" ..." if len(found) > 8 else "")
