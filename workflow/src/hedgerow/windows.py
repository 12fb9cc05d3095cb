"""Labelled windows: HED queries to times, cut at the study's montage, band and rate, less a baseline.

Times are in s from the first sample of the recording. A window holds its first sample and not its end: 2 s at 128 Hz
are 256 samples. The sample of a time is the nearest one, halves upwards.
"""

import numpy as np
import pandas as pd

from hedgerow import _until, hed, montage
from hedgerow.account import Fault


def select(
    events,
    sidecar,
    duration,
    *,
    hed_version,
    classes,
    kind="events",
    until=None,
    tmin=0.0,
    tmax=None,
    length=None,
    step=None,
    during=None,
    not_during=None,
    on_error="quarantine",
):
    """Times of the windows that a selection gives in one recording, before a sample of signal is read.

    Parameters
    ----------
    events : pandas.DataFrame
        Rows of ``events.tsv`` with ``onset`` in s.
    sidecar : dict
        Content of ``events.json``, inheritance resolved.
    duration : float
        Length of the recording in s; infinity where it is unknown: nothing leaves the recording at its end.
    hed_version : str or list of str
        As in ``dataset_description.json``.
    classes : dict of str to str
        HED query of each label.
    kind : {"events", "intervals"}
        A window around each event that matches, or windows along each interval that matches (``Onset`` to ``Offset``,
        or a ``Duration`` tag; an ``Onset`` that is never closed lasts to the end of the recording, or where that is
        unknown to the last onset of the table).
    until : str, dict of str to str, or None
        What ends an interval that an event of `classes` starts: one HED query, or one for each label. The interval
        ends at the next later event that matches, or where an event of its label starts anew; one that nothing ends
        gives no windows. ``None``: intervals are those of the annotation. Only with intervals.
    tmin : float
        Start of the span in s after the event, or after the start of the interval; negative for before.
    tmax : float or None
        End of the span in s after the event (must be given), or after the end of the interval (``None``: 0; negative
        trims).
    length : float or None
        Length of the windows in s with which the span is tiled; ``None`` for one window, the whole span, around each
        event. Intervals need it.
    step : float or None
        From one tile to the next in s; ``None``: `length`, no overlap.
    during, not_during : str or None
        HED query for what must, or must not, be ongoing at the event or the start of the interval.
    on_error : {"quarantine", "skip_rows"}
        What an error in the annotation of a row does (`hedgerow.hed.select`).

    Returns
    -------
    table : pandas.DataFrame
        ``onset`` (start of the window, s), ``event`` (0-based row of `events`), ``label``, ``zero`` (time zero of the
        window, s: the event, or the start of the window where a span is tiled), ``hed`` (annotation of the row).
    account : dict
        That of `hedgerow.hed.select`, and ``kind``, ``windows`` per label, ``outside`` and ``short`` (event rows whose
        window left the recording, or whose span is shorter than `length`), ``left`` (event row, label and time zero of
        each window left out), ``unclosed`` (event rows of starts that nothing ends, with `until`) and ``beyond`` (event
        rows whose onset lies past the end of the recording).

    Raises
    ------
    ValueError
        A selection that makes no sense.
    hedgerow.account.Fault
        ``no-events``, ``bad-events``, ``bad-hed``, ``no-match`` or ``too-short``.
    """
    length, ends_by = _span_length(kind, tmin, tmax, length, step), _until.queries(until, classes, kind)
    rows = hed.Events(events, sidecar, hed_version=hed_version, on_error=on_error)
    context = {"during": during, "not_during": not_during}
    if kind == "events":
        found, account = rows.select(classes, **context)
        starts = found["onset"].to_numpy() + tmin
        ends = found["onset"].to_numpy() + tmax
    else:
        if ends_by is None:
            found, account = rows.intervals(classes, **context)
        else:
            found, account = _until.intervals(rows, classes, ends_by, hed_version=hed_version, **context)
        starts = found["start"].to_numpy() + tmin
        last = duration if np.isfinite(duration) else np.max(rows.onsets[np.isfinite(rows.onsets)], initial=0.0)
        ends = found["end"].fillna(last).to_numpy() + (tmax or 0.0)
    if not len(found):
        raise Fault("no-match", _unmatched(account))
    if duration + 1e-6 < length:
        raise Fault("too-short", f"the recording lasts {duration:g} s, a window {length:g} s: shorten length")
    tiled = kind == "intervals" or length < tmax - tmin - 1e-9
    counts = _tiles(ends - starts, length, step or length) if tiled else np.ones(len(found), dtype=int)
    table = found.loc[found.index.repeat(counts), ["row", "label", "hed"]].rename(columns={"row": "event"})
    number = np.concatenate([np.arange(count) for count in counts])
    table["onset"] = np.repeat(starts, counts) + number * (step or length)
    table["zero"] = table["onset"] if tiled else np.repeat(starts, counts) - tmin
    inside = (table["onset"] > -1e-6) & (table["onset"] + length < duration + 1e-6)
    account = {"unclosed": [], "kind": kind} | account
    account["beyond"] = np.flatnonzero(rows.onsets >= duration).tolist()
    account["short"] = found["row"][counts == 0].tolist()
    account |= {"outside": table["event"][~inside].tolist(), "left": _left(table[~inside])}
    table = table[inside].reset_index(drop=True)[["onset", "event", "label", "zero", "hed"]]
    return table, account | {"windows": _per_label(table, classes)}


def cut(x, sfreq, onsets, n_samples):
    """Windows of a signal.

    Parameters
    ----------
    x : numpy.ndarray, shape (channels, samples)
    sfreq : float
        Sampling rate in Hz.
    onsets : array_like, shape (windows,)
        Start of each window in s; its first sample is the nearest one, halves upwards.
    n_samples : int

    Returns
    -------
    numpy.ndarray, shape (windows, channels, n_samples)
        A copy, of the kind and unit of `x`.

    Raises
    ------
    ValueError
        A window leaves the signal.
    """
    first = _samples(onsets, sfreq)
    if first.size and (first.min() < 0 or first.max() + n_samples > x.shape[-1]):
        raise ValueError(f"onsets: a window of {n_samples} samples leaves the signal of {x.shape[-1]}: drop it first")
    out = np.empty((first.size, x.shape[0], n_samples), dtype=x.dtype)
    for window, start in zip(out, first):
        window[:] = x[:, start : start + n_samples]
    return out


def subtract_baseline(signal, sfreq, tmin, baseline):
    """Windows less the mean of each channel over `baseline`.

    Parameters
    ----------
    signal : numpy.ndarray, shape (windows, channels, samples)
    sfreq : float
        Sampling rate in Hz.
    tmin : float
        Time of the first sample in s.
    baseline : (float, float)
        Start and end in s on the time axis of the window; the end is not part of it.

    Returns
    -------
    numpy.ndarray, shape (windows, channels, samples)

    Raises
    ------
    ValueError
        The baseline is no part of the window.
    """
    a, b = (int(i) for i in _samples(np.asarray(baseline, dtype=float) - tmin, sfreq))
    if not 0 <= a < b <= signal.shape[-1]:
        end = tmin + signal.shape[-1] / sfreq
        raise ValueError(f"baseline: {list(baseline)} s is not within the window, {tmin:g} to {end:g} s: move it")
    return signal - signal[..., a:b].mean(axis=-1, keepdims=True)


class Cut:
    """Windows of a signal that are cut when a slice of them is asked for: overlapping ones need no memory of their own.

    Parameters
    ----------
    x : numpy.ndarray, shape (channels, samples)
    sfreq, onsets, n_samples
        As in `cut`.
    tmin, baseline
        As in `subtract_baseline`; baseline None: nothing is subtracted.

    Raises
    ------
    ValueError
        The baseline is no part of the window.
    """

    def __init__(self, x, sfreq, onsets, n_samples, tmin, baseline=None):
        self.shape = (len(onsets), len(x), n_samples)
        self._x, self._sfreq, self._onsets, self._tmin, self._baseline = x, sfreq, onsets, tmin, baseline
        if baseline is not None:
            self[:1]  # a baseline that is no part of the window is told now

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, chosen):
        """Windows of a slice, as an array (windows, channels, samples)."""
        signal = cut(self._x, self._sfreq, self._onsets[chosen], self.shape[2])
        return signal if self._baseline is None else subtract_baseline(signal, self._sfreq, self._tmin, self._baseline)


def windows(
    x,
    rate,
    names,
    events,
    sidecar,
    locate=None,
    unusable=(),
    bad_segments=(),
    lazy=False,
    *,
    hed_version,
    classes,
    kind="events",
    until=None,
    tmin=0.0,
    tmax=None,
    length=None,
    step=None,
    during=None,
    not_during=None,
    baseline=None,
    lowpass=None,
    sfreq=None,
    channels=None,
    channels_by="name",
    reject=0.0,
    on_error="quarantine",
):
    """Labelled windows of one recording.

    Parameters
    ----------
    x : numpy.ndarray, shape (channels, samples)
        Clean signal in µV.
    rate : float
        Its sampling rate in Hz.
    names : list of str
        Its channels.
    events, sidecar, hed_version, classes, kind, until, tmin, tmax, length, step, during, not_during, on_error
        As in `select`.
    locate : callable or None
        Positions of electrodes by name (`hedgerow.io.positions`).
    unusable : sequence of str
        Bad channels that were not interpolated.
    bad_segments : sequence of (float, float), or None
        Start and end in s of what the cleaning marked as bad (`hedgerow.clean.clean`); None: not looked for.
    lazy : bool
        Give the windows as a `Cut`, for a store that is written a few at a time.
    baseline : (float, float) or None
        Subtracted from each window, see `subtract_baseline`; time zero is the event, or the start of a tile.
    lowpass : float or None
        Upper edge in Hz of what passes (`hedgerow.montage.lowpass`), taken of the whole signal before it is cut;
        ``None``: all does.
    sfreq : float or None
        Sampling rate of the study in Hz; ``None`` keeps that of the recording.
    channels : list of str or None
        Montage of the study; ``None`` keeps all channels.
    channels_by : {"name", "nearest", "spline"}
        How a channel of the montage is found in the recording (`hedgerow.montage.place`).
    reject : float or None
        Largest share of a window, 0 to 1, that bad segments may cover; ``None``: such windows stay.

    Returns
    -------
    signal : numpy.ndarray or Cut, shape (windows, channels, samples)
        In µV, float64.
    table : pandas.DataFrame
        As that of `select`, a row per window.
    events : pandas.DataFrame
        All rows as they came, with a column ``window_class``: the label of the windows that the row gave, else NaN.
    info : dict
        ``sfreq`` (Hz), ``names``, ``positions`` (m, or None without `locate`), ``tmin`` (time of the first sample of a
        window in s).
    account : dict
        That of `select`, and ``rejected`` (per label the event row of each window left out for bad segments),
        ``montage`` (the mapping of `hedgerow.montage.place`), ``sfreq_in``, ``sfreq``, ``channels``, ``samples`` per
        window, and ``lowpass`` where there is one.

    Raises
    ------
    ValueError, hedgerow.account.Fault
        As in `select`, `hedgerow.montage` and `subtract_baseline`; ``outside`` if every window leaves the recording,
        ``bad-segments`` if bad segments leave none.
    """
    selection = {"tmin": tmin, "tmax": tmax, "length": length, "step": step, "during": during, "not_during": not_during}
    selection |= {"hed_version": hed_version, "classes": classes, "kind": kind, "until": until, "on_error": on_error}
    table, account = select(events, sidecar, x.shape[-1] / rate, **selection)
    x, names, positions, mapping = montage.place(x, names, channels, by=channels_by, locate=locate, unusable=unusable)
    x, new_rate = montage.resample(montage.lowpass(x, rate, lowpass), rate, sfreq)
    n_samples = int(_samples(_span_length(kind, tmin, tmax, length, step), new_rate))
    if n_samples < 1:
        raise ValueError(f"tmin, tmax, length: a window has no sample at {new_rate:g} Hz: lengthen it")
    first = _samples(table["onset"], new_rate)
    inside = (first >= 0) & (first + n_samples <= x.shape[-1])  # rounding may take a sample over the end
    account["outside"] += table["event"][~inside].tolist()
    account["left"] += _left(table[~inside])
    table, first = table[inside].reset_index(drop=True), first[inside]
    spoilt = _spoilt(first / new_rate, n_samples / new_rate, bad_segments, reject)
    account["rejected"] = {label: table["event"][spoilt & (table["label"] == label)].tolist() for label in classes}
    account["left"] += _left(table[spoilt])
    table = table[~spoilt].reset_index(drop=True)
    if not len(table):
        raise _none_left(account, x.shape[-1] / new_rate, reject)
    start = float((table["onset"] - table["zero"]).iloc[0])
    info = {"sfreq": new_rate, "names": names, "positions": positions, "tmin": round(start, 9)}
    signal = Cut(x, new_rate, table["onset"].to_numpy(), n_samples, info["tmin"], baseline)
    given = table.groupby("event")["label"].agg(lambda labels: "+".join(sorted(set(labels))))
    marked = events.assign(window_class=pd.Series(np.arange(len(events)), index=events.index).map(given))
    account |= {"windows": _per_label(table, classes), "montage": mapping, "sfreq_in": float(rate), "sfreq": new_rate}
    account |= {"channels": len(names), "samples": n_samples} | ({"lowpass": float(lowpass)} if lowpass else {})
    return signal if lazy else signal[:], table, marked, info, account


def check(selection, versions, *, name):
    """Refuse a selection that can give no window anywhere, before a signal is read.

    Parameters
    ----------
    selection : dict
        Block of the config.
    versions : sequence of str
        HED versions of the dataset's recordings; one that is not at hand is passed over, as a fault of the data.
    name : str
        Where the block stands in the config, for the message.

    Raises
    ------
    ValueError
        Times that make no window, a montage that cannot be found so, a query that does not parse or names an unknown
        tag.
    """
    queries = {f"classes: {label}": query for label, query in selection["classes"].items()}
    queries |= {key: selection[key] for key in ("during", "not_during") if selection[key] is not None}
    try:
        until = _until.queries(selection["until"], selection["classes"], selection["kind"]) or {}
        queries |= {f"until: {label}": query for label, query in until.items()}
        montage.check(selection["channels"], selection["channels_by"])
        length = _span_length(*(selection[key] for key in ("kind", "tmin", "tmax", "length", "step")))
        if selection["baseline"] is not None:
            tiled = selection["length"] is not None
            start = 0.0 if tiled else selection["tmin"]
            low, high = selection["baseline"]
            if low < start - 1e-9 or high > start + length + 1e-9:
                end = start + length
                raise ValueError(f"baseline: {[low, high]} s is not within the window, {start:g} to {end:g} s: move it")
        for version in versions:
            for place, query in queries.items():
                hed.check(query, hed_version=_version(version), name=place)
    except Fault:
        return
    except ValueError as error:
        raise ValueError(f"config: {name}.{error}") from None


def _version(text):
    """HED version as hedtools wants it: a list where several schemas are combined."""
    return text.split(",") if "," in text else text


def shifted(events, seconds):
    """Events with `seconds` added to every onset that is a number; a column of text stays one."""
    if not seconds or "onset" not in events:
        return events
    onsets = pd.to_numeric(events["onset"], errors="coerce") + seconds
    if not pd.api.types.is_numeric_dtype(events["onset"]):
        onsets = onsets.round(9).map(repr, na_action="ignore").where(onsets.notna(), events["onset"])
    return events.assign(onset=onsets)


def recording(
    x, rate, channels, events, sidecar, hed_version, locate=None, cleaned=None, overrides=None, /, **selection
):
    """Windows of the EEG channels of one clean recording, its marked events and their sidecar.

    Parameters
    ----------
    x : numpy.ndarray, shape (channels, samples)
        Clean signal in µV, all channels.
    rate : float
        In Hz.
    channels : pandas.DataFrame
        ``name``, ``type`` and ``status`` of each channel after cleaning.
    events, sidecar
        Of the raw recording.
    hed_version : str
        As in ``recordings.tsv``: versions separated by commas.
    locate
        As in `windows`.
    cleaned : dict, optional
        Account of the cleaning: its ``bad_segments``, and whether it ``resampled``.
    overrides : dict of str to list of dict, optional
        Decisions by hand (`hedgerow.overrides.settle`): ``shift``, whose ``value`` in s is added to every onset. They
        go to the account.
    **selection
        Keywords of `windows`.

    Returns
    -------
    signal, table, events, sidecar, info, account
        As of `windows`, the signal as a `Cut`; the sidecar describes the added column. A column ``sample``, which
        counts in the raw file, is dropped where samples or onsets are others now.
    """
    if not hed_version:
        raise Fault("bad-hed", "dataset_description.json names no HEDVersion: add it, or drop the dataset")
    eeg = (channels["type"] == "EEG").to_numpy()
    x, channels, selection["hed_version"] = x[eeg], channels[eeg], _version(hed_version)
    unusable = list(channels["name"][channels["status"] == "bad"])
    cleaned, shift = cleaned or {}, sum(entry["value"] for entry in (overrides or {}).get("shift", ()))
    if cleaned.get("resampled") or shift:
        events = events.drop(columns="sample", errors="ignore")
        sidecar = {name: about for name, about in sidecar.items() if name != "sample"}
    known = (locate, unusable, cleaned.get("bad_segments") or (), True)
    signal, table, marked, info, account = windows(
        x, rate, list(channels["name"]), shifted(events, shift), sidecar, *known, **selection
    )
    levels = {label: f"matches the HED query: {query}" for label, query in selection["classes"].items()}
    account |= {"overrides": overrides} if overrides else {}
    about = {"Description": "Class of the windows that the event gave; n/a: none", "Levels": levels}
    return signal, table, marked, {**sidecar, "window_class": about}, info, account


def _span_length(kind, tmin, tmax, length, step):
    """Length of a window in s, or an error that names the key of the selection at fault."""
    if kind not in ("events", "intervals"):
        raise ValueError(f"kind: {kind!r} is neither 'events' nor 'intervals'")
    if kind == "intervals" and length is None:
        raise ValueError("length: intervals are tiled with windows: give their length in s")
    if kind == "events" and (tmax is None or tmax <= tmin):
        raise ValueError(f"tmax: {tmax} is not after tmin ({tmin:g}): give the end of the window in s after the event")
    if any(value is not None and value <= 0 for value in (length, step)):
        raise ValueError(f"length, step: {length} and {step} must be above 0 s")
    if kind == "events" and length is not None and length > tmax - tmin + 1e-9:
        raise ValueError(f"length: {length:g} s do not fit between tmin ({tmin:g}) and tmax ({tmax:g}): shorten it")
    return float(tmax - tmin if length is None else length)


def _tiles(spans, length, step):
    """How many windows fit into each of the `spans` (s); a billionth of a window may be missing."""
    return np.maximum(np.floor((spans - length) / step + 1e-9).astype(int) + 1, 0)


def _samples(times, sfreq):
    """Nearest sample of each time, halves upwards; the inner rounding takes the noise of floats off a half."""
    return np.floor(np.round(np.asarray(times, dtype=float) * sfreq, 6) + 0.5).astype(int)


def _per_label(table, classes):
    counts = table["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in classes}


def _left(table):
    """Windows left out, as an account holds them: their responses still are in the continuous signal."""
    return [
        [int(event), label, float(zero)] for event, label, zero in zip(table["event"], table["label"], table["zero"])
    ]


def _unmatched(account):
    queries = account["queries"]
    text = "; ".join(f"{label}: {query}" for label, query in queries["classes"].items())
    shared = sum(len(rows) for rows in account["overlaps"].values())
    return (
        f"no event of {account['rows']} matches one class alone ({text}; during: {queries['during']}; not_during: "
        f"{queries['not_during']}; {shared} match several): correct the queries or leave the recording out"
    )


def _spoilt(starts, length, bad_segments, reject):
    """Mask of the windows that bad segments cover by more than the share `reject`; all times in s."""
    if reject is None or not bad_segments:
        return np.zeros(len(starts), dtype=bool)
    if not 0 <= reject <= 1:
        raise ValueError(f"reject={reject}: give the share of a window, 0 to 1, or null")
    low, high = np.asarray(bad_segments, dtype=float).T
    covered = np.minimum(starts[:, None] + length, high) - np.maximum(starts[:, None], low)
    # a billionth of a window is the noise of floats, not an overlap
    return np.maximum(covered, 0).sum(axis=1) > (reject + 1e-9) * length


def _none_left(account, duration, reject):
    """Fault of a recording whose last window has gone."""
    rejected = sum(map(len, account["rejected"].values()))
    if rejected:
        return Fault(
            "bad-segments",
            f"the cleaning marked more than {reject:g} of each of {rejected} windows as bad and no other is left: "
            "raise reject, set it to null, or leave the recording out",
        )
    return Fault(
        "outside" if account["outside"] else "too-short",
        f"no window fits into the recording of {duration:g} s: {len(account['outside'])} leave it, "
        f"{len(account['short'])} spans are shorter than length: change tmin, tmax or length",
    )
