"""The windows of a study as rows of one table, and the values that stand behind them.

A row is a window: where it comes from, its class and time, the columns of its event and of its person. Statistics take
their regressors from it, networks their targets; nothing of this is baked into the stores.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from . import layout, store, table

#: Columns that say where a window comes from.
PLACE = ["dataset", "subject", "rec", "store", "window", "label", "onset", "event"]
#: People below which inference cannot be over them: `grid.choice.MIN_CLUSTERS`, which is not imported, so that spectra
#: and networks, which read rows too, do not follow an edit of the choices of the grid.
FEWEST_WITH_LAGS = 5


def collect(stores, participants, *, events=False, numbered=False):
    """One row per window of all `stores` that have any.

    Parameters
    ----------
    stores : list of path
        Windows stores; the events of each stand beside it (``_events.tsv``).
    participants : list of path
        ``results/index/<dataset>/participants.tsv`` of the datasets.
    events : bool
        One row per event that a class of the selection matches instead, also where its window was left out (for bad
        segments, or since it leaves the recording): ``onset`` is then the time of the event, ``window`` -1 where there
        is none. What overlaps in the continuous signal is told apart only if all of it is known.
    numbered : bool
        Add ``nth``, the number of the window among all that the selection has in its recording, those included that
        were left out, in the order of time (from 0).

    Returns
    -------
    DataFrame
        Columns `PLACE`, then those of the events, then those of the participants (without ``participant_id``), as
        text; a name that comes again is left out. Number of the window in its store: ``window``.

    Raises
    ------
    ValueError
        No store has a window; `events` of a selection whose windows are tiles.
    """
    people = {Path(path).parent.name: table.read(path, text=True) for path in participants}
    people = {dataset: found.set_index("participant_id") for dataset, found in people.items()}
    tables = []
    for path in map(str, stores):
        index, attrs = store.index(path)
        if not len(index):
            continue
        listed = table.read(path.removesuffix("_windows.zarr.zip") + "_events.tsv", text=True)
        place = {"dataset": attrs["dataset"], "subject": attrs["subject"], "rec": attrs["rec"], "store": path}
        index = index.assign(window=np.arange(len(index)))
        rows = (_matches(index, attrs) if events else index).assign(**place)
        rows = rows[PLACE].assign(nth=_numbers(index, attrs)) if numbered else rows[PLACE]
        added = listed.iloc[rows["event"]].reset_index(drop=True)
        rows = pd.concat([rows, added[[name for name in added if name not in rows]]], axis=1)
        known = people.get(attrs["dataset"])
        if known is not None and f"sub-{attrs['subject']}" in known.index:
            person = known.loc[f"sub-{attrs['subject']}"]
            rows = rows.assign(**{name: value for name, value in person.items() if name not in rows})
        tables.append(rows)
    if not tables:
        raise ValueError(f"none of {len(list(stores))} stores has a window: look at the accounts of the recordings")
    return pd.concat(tables, ignore_index=True)


def _numbers(index, attrs):
    """Number of each window among all of its recording's, in the order of time."""
    left = [zero for _, _, zero in attrs.get("account", {}).get("left", [])]
    every = np.unique(np.concatenate([index["zero"], left]).round(6))
    return np.searchsorted(every, index["zero"].to_numpy().round(6))


def _matches(index, attrs):
    """Every event that a store's selection matches, in the order of time, as rows of its index."""
    selection = attrs["parameters"]
    if selection["kind"] != "events" or selection["length"] is not None:
        raise ValueError(
            f"lags: the windows of selection {attrs['selection']!r} are tiles; choose a selection of `kind: events` "
            "without `length`, whose windows stand each for an event"
        )
    left = pd.DataFrame(attrs["account"]["left"], columns=["event", "label", "zero"]).assign(window=-1)
    both = pd.concat([index[["event", "label", "zero", "window"]], left]) if len(left) else index
    return both.assign(onset=both["zero"]).sort_values("onset", kind="stable", ignore_index=True)


def people(recordings, participants, chosen):
    """Every subject of the study that has a recording, one row each.

    Parameters
    ----------
    recordings, participants : list of path
        ``recordings.tsv`` and ``participants.tsv`` of the datasets, in the same order.
    chosen : dict of str to list of str
        Recordings that the study uses, by dataset.

    Returns
    -------
    DataFrame
        ``dataset``, ``subject``, ``label`` (``<dataset>-<subject>``) and the columns of the participants; ``person``
        among them says who is the same in several datasets.
    """
    tables = []
    for listed, described in zip(recordings, participants):
        dataset = Path(listed).parent.name
        rows = table.read(listed)
        subjects = sorted(rows["subject"][rows["rec"].isin(chosen[dataset])].astype(str).unique())
        found = pd.DataFrame({"dataset": dataset, "subject": subjects})
        found["participant_id"] = "sub-" + found["subject"]
        known = table.read(described)
        known = known[[name for name in known if name not in ("dataset", "subject", "label")]]
        tables.append(found.merge(known, on="participant_id", how="left").drop(columns="participant_id"))
    everybody = pd.concat(tables, ignore_index=True)
    return everybody.assign(label=everybody["dataset"] + "-" + everybody["subject"])


def subject_labels(rows):
    """Person of each row: the column ``person`` where participants.tsv has it, else ``<dataset>/<subject>``."""
    own = rows["dataset"].astype(str) + "/" + rows["subject"].astype(str)
    return (rows["person"].where(rows["person"].notna(), own) if "person" in rows else own).to_numpy(dtype=str)


def of_part(rows, dataset, part, parts):
    """Those of `rows` that are of one dataset and part (``0of4``), of so many `parts`."""
    own = rows["subject"].map(lambda subject: layout.part_of(subject, parts)) == part
    return rows[(rows["dataset"] == dataset) & own]


def refuse_few(rows):
    """Raise ValueError where `rows` are of fewer people than a model with lags needs."""
    found = len(set(subject_labels(rows)))
    if found < FEWEST_WITH_LAGS:
        raise ValueError(
            f"lags: {found} people have events, and a model with lags needs {FEWEST_WITH_LAGS}: samples of a signal "
            "are not independent, so that its errors are over people; fit the windows instead (`lags: null`)"
        )


def features(parts):
    """Spectra of the windows of many stores as one feature store.

    Parameters
    ----------
    parts : list of (path, ndarray (frequencies,), ndarray (windows, channels, frequencies), dict)
        Store, frequencies in Hz, power, and the attributes of the store; none is allowed.

    Returns
    -------
    arrays, attrs : dict
        What `hedgerow.store.write_arrays` takes: ``psd`` (window, channel, frequency) in µV²/Hz as float32, with
        ``store`` (path within the derivative) and ``window``, from which each row comes.

    Raises
    ------
    ValueError
        Stores of unlike channels or rate.
    """
    kinds = {(tuple(attrs["names"]), tuple(frequency)): path for path, frequency, _, attrs in parts}
    refuse_unlike(kinds)
    names, frequency = next(iter(kinds), ((), ()))
    power = [power for _, _, power, _ in parts] or [np.empty((0, 0, 0))]
    arrays = {
        "psd": (np.concatenate(power).astype(np.float32), ["window", "channel", "frequency"]),
        "store": ([_inside(attrs) for _, _, power, attrs in parts for _ in power], ["window"]),
        "window": (np.array([n for _, _, power, _ in parts for n in range(len(power))], dtype=int), ["window"]),
        "frequency": (np.array(frequency, dtype=float), ["frequency"]),
    }
    return arrays, {"names": list(names), "unit": "µV²/Hz"}


def values(paths, rows, *, log10=False):
    """The values behind `rows`: windows, or a feature of them.

    Parameters
    ----------
    paths : list of path
        Windows stores or feature stores that hold them, in any order.
    rows : DataFrame
        With ``store`` and ``window``.
    log10 : bool
        Give the logarithm to base 10 (of power).

    Returns
    -------
    values : ndarray float32 (rows, channels, times or frequencies)
        In the order of `rows`.
    axes : dict
        ``names`` (channels), ``axis`` (``time`` or ``frequency``), ``points`` (s or Hz), ``unit``.

    Raises
    ------
    ValueError
        A row whose window none of the files holds, or files of unlike channels, rate or length.
    """
    if not len(rows):
        return np.empty((0, 0, 0), dtype=np.float32), {"names": [], "axis": "time", "points": [], "unit": "µV"}
    out, axes = None, None
    for at, block, own in pieces(paths, rows, log10=log10):
        if out is None:
            out, axes = np.empty((len(rows), *block.shape[1:]), dtype=np.float32), own
        out[at] = block
    return out, axes


def pieces(paths, rows, *, log10=False):
    """The values of `values`, file by file, for what is too large to be held at once.

    Yields
    ------
    at : ndarray of int (n,)
        Places in `rows`.
    values : ndarray float32 (n, channels, times or frequencies)
    axes : dict

    Raises
    ------
    ValueError
        As `values`; of a row whose window none of the files holds at the end.
    """
    wanted = {key: number for number, key in enumerate(zip(rows["store"], rows["window"]))}
    found, kinds = np.zeros(len(rows), dtype=bool), {}
    for path in map(str, paths):
        block, keys, axes = _read(path)
        at = np.array([wanted.get(key, -1) for key in keys], dtype=int)
        block, at = block[at >= 0], at[at >= 0]
        if not len(at):
            continue
        kinds.setdefault((tuple(axes["names"]), axes["axis"], tuple(axes["points"])), path)
        refuse_unlike(kinds)
        found[at] = True
        yield (at, *(_logarithm(block, axes) if log10 else (block, axes)))
    if not found.all():
        if not len(paths):
            raise ValueError(
                f"a few people alone have windows ({rows['subject'].nunique()}), of many that were expected: "
                "`snakemake why` tells what left; choose those that stay with `only` or `pilot`"
            )
        missing = rows["store"][~found].unique()[:3]
        raise ValueError(f"windows are missing: {', '.join(map(str, missing))}; run the study again")


def _logarithm(block, axes):
    """Logarithm to base 10 of power."""
    if not (block > 0).all():
        raise ValueError("log: values are not all above 0; take the logarithm of power only")
    return np.log10(block), axes | {"unit": f"log10 {axes['unit']}"}


def refuse_unlike(kinds):
    """Raise ValueError where `kinds`, a file for each kind of channels, rate and length met, has more than one."""
    if len(kinds) > 1:
        one, other = list(kinds.values())[:2]
        raise ValueError(f"{one} and {other} differ in channels, rate or length: set both in the selection")


def _inside(attrs):
    """Path of a windows store within its derivative, the same after publication."""
    return f"{attrs['rec']}_desc-{attrs['selection']}_windows.zarr.zip"


def read_features(path):
    """Arrays and attributes of a feature store, ``store`` as the path of the windows store in the same derivative."""
    arrays, attrs = store.read_arrays(path)
    root = Path(path).parents[1]
    arrays["store"] = np.array([f"{root}/{place}" for place in arrays["store"]], dtype=object)
    return arrays, attrs


def _read(path):
    """Values of one file, (store, window) of each, and its axes."""
    if Path(path).parent.name == "features":
        arrays, attrs = read_features(path)
        keys = list(zip(arrays["store"], arrays["window"]))
        axes = {"names": attrs["names"], "axis": "frequency", "points": arrays["frequency"].tolist()}
        return arrays["psd"], keys, axes | {"unit": attrs["unit"]}
    signal, _, attrs = store.read(path)
    points = [] if not len(signal) else (attrs["tmin"] + np.arange(signal.shape[2]) / attrs["sfreq"]).tolist()
    keys = [(path, number) for number in range(len(signal))]
    return signal, keys, {"names": attrs["names"], "axis": "time", "points": points, "unit": attrs["unit"]}
