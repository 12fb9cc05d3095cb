"""Means of windows and spectra over people: read store by store, so that memory does not grow with the study.

A mean is that of the subjects' means, each subject counting once. Below five subjects nothing is averaged over people:
each is shown alone, as in the grids.
"""

import numpy as np
from scipy.signal import find_peaks

from .. import plot, rows, store
from .._canvas import picture
from ..grid.choice import MIN_CLUSTERS
from .recordings import PLACE

#: Most topographies of one class mean, and least time between two of them in s.
PEAKS, APART = 3, 0.06

#: More classes than this are not drawn; in a butterfly picture of more rows than this, classes are averaged.
MOST_CLASSES, MOST_ROWS = 6, 8
AVERAGED = "mean of all classes"


def attributes(path):
    """Attributes of a store, without reading an array."""
    group = store.open(path)
    attrs = dict(group.attrs)
    group.store.close()
    return attrs


def places(stores):
    """Position (m) of every channel that any store of a selection names, from its first store with windows."""
    found, seen = {}, set()
    for path in map(str, stores):
        name = PLACE.search(path)["name"]
        if name in seen:
            continue
        attrs = attributes(path)
        for channel, where in zip(attrs["names"], attrs["positions"] or []):
            found.setdefault(channel, where or [np.nan] * 3)
            seen.add(name)
    return found


def positions(names, found):
    """Array (channels, 3) of the positions of `names`, NaN where unknown."""
    return np.array([found.get(name, [np.nan] * 3) for name in names], dtype=float).reshape(-1, 3)


def responses(stores, selections):
    """Pictures of the class means of every selection whose windows begin before the event they are cut around.

    Parameters
    ----------
    stores : list of path
        Windows stores of all selections.
    selections : dict
        Blocks of the config.

    Returns
    -------
    list of dict
        ``name``, ``butterfly`` and ``overlay`` (pictures), and what their captions state.
    """
    found = []
    for name, block in selections.items():
        mine = [path for path in map(str, stores) if PLACE.search(path)["name"] == name]
        if block["kind"] == "events" and block["length"] is None and block["tmin"] < 0:
            drawn = _response(name, block, mine)
            found += [drawn] if drawn else []
    return found


def _response(name, block, paths):
    kind, chosen, left = _alike(paths)
    if not chosen:
        return None
    names, sfreq, samples, tmin = kind
    where = positions(names, places(chosen))
    times = tmin + np.arange(samples) / sfreq
    labels = list(block["classes"])[:MOST_CLASSES]
    units, subjects = _means(_window_moments(chosen), labels)
    peaks = {unit: _peaks(np.nanmean(mean.std(axis=1), axis=0), times) for unit, (mean, _, _) in units.items()}
    rows = _rows(units, labels)
    butterfly = plot.butterfly(
        times,
        np.array([mean for _, _, mean in rows]),
        rows=[" · ".join(part for part in (unit, label) if part) for unit, label, _ in rows],
        positions=where,
        peaks=[peaks[unit] for unit, _, _ in rows],
    )
    shown, mean, spread = _selected_channels(units, names, peaks.values())
    overlay = plot.classes(
        1000 * times,
        mean,
        spread,
        rows=list(units),
        columns=shown,
        labels=labels,
        xlabel="Time after the event (ms)",
        ylabel="Mean (µV)",
    )
    return {
        "name": name,
        "block": block,
        "butterfly": picture(butterfly),
        "averaged": rows[0][1] == AVERAGED,
        "overlay": picture(overlay),
        "subjects": subjects,
        "pooled": list(units) == [""],
        "windows": {label: int(sum(count[k] for *_, count in units.values())) for k, label in enumerate(labels)},
        "channels": len(names),
        "left": left,
        "undrawn": list(block["classes"])[MOST_CLASSES:],
    }


def _rows(units, labels):
    """What a butterfly picture shows: (unit, class, mean) of all that are there, or of each unit's classes together."""
    rows = [
        (unit, label, mean[k])
        for unit, (mean, _, count) in units.items()
        for k, label in enumerate(labels)
        if count[k] > 0
    ]
    if len(rows) <= MOST_ROWS:
        return rows
    return [(unit, AVERAGED, np.nanmean(mean, axis=0)) for unit, (mean, _, _) in units.items()]


def _alike(paths):
    """Most frequent (names, rate, samples, start) of stores with windows, those that have it, how many have not."""
    kinds = {}
    for path in paths:
        attrs = attributes(path)
        if attrs["account"]["status"] == "ok":
            kind = (tuple(attrs["names"]), attrs["sfreq"], attrs["account"]["samples"], attrs["tmin"])
            kinds.setdefault(kind, []).append(path)
    if not kinds:
        return None, [], 0
    kind = max(kinds, key=lambda kind: len(kinds[kind]))
    return kind, kinds[kind], sum(map(len, kinds.values())) - len(kinds[kind])


def _window_moments(paths):
    """For each subject in turn, all its stores together: number, sum and sum of squares of the windows by label."""
    by_subject = {}
    for path in paths:
        place = PLACE.search(path)
        by_subject.setdefault(f"{place['dataset']}/{place['rec'].split('/')[0]}", []).append(path)
    for subject, mine in by_subject.items():
        sums = {}
        for path in mine:
            signal, table, _ = store.read(path)
            _add(sums, signal, table["label"].to_numpy())
        yield subject, sums


def _add(sums, values, labels):
    for label in np.unique(labels.astype(str)):
        block = values[labels == label].astype(np.float64)
        before = sums.get(label, (0, 0.0, 0.0))
        sums[label] = (before[0] + len(block), before[1] + block.sum(axis=0), before[2] + (block**2).sum(axis=0))


def _means(moments, labels, transform=None):
    """Mean and standard error of each class, of all subjects together or, of fewer than five, of each alone.

    Parameters
    ----------
    moments : iterable of (subject, {label: (number, sum, sum of squares)})
    labels : list of str
    transform : callable, optional
        ``(mean, se) -> (mean, se)``, applied to each subject.

    Returns
    -------
    units : dict of str to (mean, se, counts)
        Arrays (classes, channels, points), NaN for a class that is not there; the unit of all together is ``""``.
    subjects : int
    """
    alone, total, subjects = {}, None, 0
    for subject, sums in moments:
        mean, error, count = _one(sums, labels)
        if transform:
            mean, error = transform(mean, error)
        subjects += 1
        if subjects < MIN_CLUSTERS:
            alone[subject.split("/sub-")[-1]] = (mean, error, count)
        there = np.isfinite(mean)
        value = np.where(there, mean, 0.0)
        added = (there.astype(float), value, value**2, count)
        total = added if total is None else tuple(a + b for a, b in zip(total, added))
    if subjects < MIN_CLUSTERS:
        return {f"sub-{label}": found for label, found in alone.items()}, subjects
    number, first, second, count = total
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = first / number
        error = np.sqrt(np.maximum(second / number - mean**2, 0) / (number - 1))
    return {"": (np.where(number > 0, mean, np.nan), np.where(number > 1, error, np.nan), count)}, subjects


def _one(sums, labels):
    """Mean, standard error (of independent windows) and number of each class of one subject."""
    shape = next(iter(sums.values()))[1].shape
    mean, error = np.full((2, len(labels), *shape), np.nan)
    count = np.zeros(len(labels), dtype=int)
    for k, label in enumerate(labels):
        if label in sums:
            count[k], first, second = sums[label]
            mean[k] = first / count[k]
            if count[k] > 1:
                error[k] = np.sqrt(np.maximum(second / count[k] - mean[k] ** 2, 0) / (count[k] - 1))
    return mean, error, count


def _peaks(power, times):
    """Samples of the largest peaks of `power` after the event, in order of time; its maximum where there is none."""
    after = np.flatnonzero(times >= 0) if (times >= 0).any() else np.arange(len(times))
    course = power[after]
    apart = max(1, round(APART / (times[1] - times[0])))
    found, _ = find_peaks(course, distance=apart, prominence=0.1 * np.ptp(course))
    if not len(found):
        found = np.array([course.argmax()])
    largest = found[np.argsort(-course[found], kind="stable")[:PEAKS]]
    return sorted(int(after[k]) for k in largest)


def _selected_channels(units, names, peaks, *, most=3):
    """Per unit the channels where the class means are largest and, with two or more classes, where they differ most."""
    titles, mean, spread = [], [], []
    for (average, error, _), at in zip(units.values(), peaks):
        size = np.abs(np.nanmean(average, axis=0))  # (channels, times)
        differ = np.nanmax(average, axis=0) - np.nanmin(average, axis=0)
        first = [int(size[:, k].argmax()) for k in sorted(at, key=lambda k: -size[:, k].max())]
        wanted = list(
            dict.fromkeys([int(differ.max(axis=1).argmax()), *first, *np.argsort(-size.max(axis=1)).tolist()])
        )
        chosen = sorted(wanted[: min(most, len(names))])
        titles.append([names[k] for k in chosen])
        mean.append(average[:, chosen].swapaxes(0, 1))
        spread.append(error[:, chosen].swapaxes(0, 1))
    return titles, np.array(mean), np.nan_to_num(np.array(spread))


def spectra(features, stores, blocks, selections):
    """Pictures of the mean spectra of every class, one for each block of features.

    Parameters
    ----------
    features : list of path
        Feature stores.
    stores : list of path
        Windows stores.
    blocks, selections : dict
        Blocks of the config.

    Returns
    -------
    list of dict
        ``name``, ``picture`` and what its caption states.
    """
    found = []
    for name, block in blocks.items():
        mine = [path for path in map(str, features) if path.split("/")[-1].startswith(f"{block['selection']}_{name}_")]
        labels = list(selections[block["selection"]]["classes"])[:MOST_CLASSES]
        drawn = _spectrum(mine, {str(path) for path in stores}, labels)
        if drawn:
            found.append({"name": name, "block": block, **drawn})
    return found


def _spectrum(paths, stores, labels):
    opened = [(arrays, attrs) for arrays, attrs in map(rows.read_features, paths) if len(arrays["window"])]
    if not opened:
        return None
    arrays, attrs = opened[0]
    names, frequency = attrs["names"], arrays["frequency"]
    alike = [one for one, its in opened if its["names"] == names and np.array_equal(one["frequency"], frequency)]
    moments = (subject for one in alike for subject in _spectral_moments(one, stores))
    units, subjects = _means(moments, labels, _decibel)
    where = positions(names, places(sorted(path for path in stores if path in set(arrays["store"]))))
    columns, mean, spread, maps, titles = [], [], [], [], []
    for average, error, _ in units.values():
        channel, point = _most_different(average, error)
        columns.append(["mean over channels", names[channel]])
        mean.append([average.mean(axis=1), average[:, channel]])
        spread.append([error.mean(axis=1), error[:, channel]])
        maps.append(average[-1, :, point] - average[0, :, point])
        titles.append(f"{labels[-1]} − {labels[0]}, {frequency[point]:g} Hz")
    two = len(labels) == 2
    figure = plot.classes(
        frequency,
        np.array(mean),
        np.nan_to_num(np.array(spread)),
        rows=list(units),
        columns=columns,
        labels=labels,
        xlabel="Frequency (Hz)",
        ylabel="Power (dB re 1 µV²/Hz)",
        maps=np.array(maps) if two else None,
        positions=where,
        map_titles=titles,
    )
    return {
        "picture": picture(figure),
        "subjects": subjects,
        "pooled": list(units) == [""],
        "two": two,
        "windows": {label: int(sum(count[k] for *_, count in units.values())) for k, label in enumerate(labels)},
        "resolution": float(frequency[1] - frequency[0]) if len(frequency) > 1 else None,
    }


def _most_different(average, error):
    """Channel and point where the range of the class means (classes, channels, points) is most standard errors."""
    differ = np.nanmax(average, axis=0) - np.nanmin(average, axis=0)
    scale = np.sqrt(np.nanmean(error**2, axis=0))
    differ = np.where(scale > 0, differ / np.where(scale > 0, scale, 1), 0.0)
    return tuple(int(k) for k in np.unravel_index(differ.argmax(), differ.shape))


def _spectral_moments(arrays, stores):
    """As `_window_moments`, of the power of one feature store."""
    origins = sorted(set(arrays["store"]) & stores)
    by_subject = {}
    for path in origins:
        place = PLACE.search(path)
        by_subject.setdefault(f"{place['dataset']}/{place['rec'].split('/')[0]}", []).append(path)
    for subject, mine in by_subject.items():
        sums = {}
        for path in mine:
            here = arrays["store"] == path
            table, _ = store.index(path)
            _add(sums, arrays["psd"][here], table["label"].to_numpy()[arrays["window"][here]])
        yield subject, sums


def _decibel(mean, error):
    """Power and its standard error in dB (to first order)."""
    return 10 * np.log10(mean), 10 / np.log(10) * error / mean
