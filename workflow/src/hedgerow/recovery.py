"""Planted against recovered: compares results with the truth of a simulated dataset.

In: the truth that `simulate.write` returns (or its ``sourcedata/truth.json``) and what the workflow found. Out: small
JSON-able dicts for the report. Only `collect` reads files.
"""

from pathlib import Path

import numpy as np

from hedgerow import account, io, rate, simulate, store, table
from hedgerow.clean import drifts


def _power(x, sfreq, band):
    """Power of `x` (channels, samples) within `band` (Hz), summed over channels; Hann taper, mean taken out."""
    x = (x - x.mean(axis=1, keepdims=True)) * np.hanning(x.shape[1])
    freqs = np.fft.rfftfreq(x.shape[1], 1 / sfreq)
    inside = (freqs >= band[0]) & (freqs <= band[1])
    return float((np.abs(np.fft.rfft(x)[:, inside]) ** 2).sum())


def bursts(raw, clean, sfreq, bursts, names, *, band=(20.0, 70.0)):
    """How far the cleaning brought the power of each planted muscle burst down.

    Parameters
    ----------
    raw, clean : (channels, samples) arrays
        The same channels and samples before and after the cleaning, in the same unit and reference.
    sfreq : float
        Of the clean signal, in Hz.
    bursts : list of dict
        ``recordings[...]["bursts"]`` of the truth: start and end in s, and the affected channels.
    names : list of str
        Names of the rows of `raw` and `clean`; may leave out channels.
    band : (float, float)
        Hz.

    Returns
    -------
    dict
        ``db``: mean reduction in dB over bursts (None without any burst), ``each``: per burst, in order; a burst of
        which no affected channel is in `names` is left out.
    """
    place = {name: row for row, name in enumerate(names)}
    each = []
    for burst in bursts:
        rows = [place[name] for name in burst["channels"] if name in place]
        if not rows:
            continue
        cut = slice(round(burst["start"] * sfreq), round(burst["end"] * sfreq))
        before, after = (_power(np.asarray(x)[rows, cut], sfreq, band) for x in (raw, clean))
        each.append(float(10 * np.log10(before / max(after, np.finfo(float).tiny))))
    return {"db": float(np.mean(each)) if each else None, "each": each}


def planted(truth, term, names, times, *, reference=None, subjects=None):
    """Planted coefficient (channels, times) of one term of the response, in µV per unit of its regressor.

    Parameters
    ----------
    truth : dict
        Truth of a simulated dataset.
    term : str
        Name of the coefficient: ``Intercept``, ``kind[T.tone]`` or ``intensity``.
    names : list of str
        Channels of the result, of any case.
    times : (times,) array
        Seconds after the event.
    reference : "average", list of str or None
        Puts the map into the reference of the recovered one: the mean over all EEG channels of the recording, over the
        named ones, or as recorded.
    subjects : list of str, optional
        Over whose gains to average; all of the truth's by default.
    """
    how = truth["response"]["terms"].get(term)
    if how is None:
        raise ValueError(
            f"recovery: term {term!r} was not planted; the truth has {', '.join(truth['response']['terms'])}."
        )
    place = {name.lower(): row for row, name in enumerate(truth["names"])}
    where = np.array(how["topography"])
    if reference is not None:
        others = truth["names"] if isinstance(reference, str) else reference
        where = where - where[[place[name.lower()] for name in others]].mean()
    gain = np.mean([truth["subjects"][subject]["gains"][term] for subject in subjects or truth["subjects"]])
    course = simulate.course(times, how["latency"], how["width"])
    return gain * how["amplitude"] * np.outer(where[[place[name.lower()] for name in names]], course)


def response(truth, coef, names, times, reference, *, term="intensity", subjects=None):
    """Compare the recovered coefficient of one term of the response with the planted one.

    Parameters
    ----------
    truth, names, times, reference, term, subjects
        See `planted`; `names` and `times` are the rows and columns of `coef`.
    coef : (channels, times) array
        Recovered coefficient, µV per unit of the regressor.

    Returns
    -------
    dict
        ``planted`` and ``recovered``: ``channel``, ``time`` (s) and ``value`` (µV) of the largest absolute value;
        ``ratio``: <recovered, planted> / <planted, planted>, 1 if the amplitude is kept (None in the null twin).
    """
    coef = np.asarray(coef)
    expected = planted(truth, term, names, times, reference=reference, subjects=subjects)
    if coef.shape != expected.shape:
        raise ValueError(f"recovery: coef is {coef.shape}, but names and times ask for {expected.shape}.")
    power = float((expected**2).sum())

    def peak(values):
        row, column = np.unravel_index(np.abs(values).argmax(), values.shape)
        return {"channel": names[row], "time": float(times[column]), "value": float(values[row, column])}

    return {
        "term": term,
        "planted": peak(expected) if power else None,
        "recovered": peak(coef),
        "ratio": float((coef * expected).sum() / power) if power else None,
    }


def channels(truth, accounts):
    """Which of the planted flat and noisy channels the cleaning found.

    Parameters
    ----------
    truth : dict
        Truth of a simulated dataset.
    accounts : dict of str to dict
        Account of the cleaning by recording (``sub-01/eeg/sub-01_task-sounds``), with the lists ``flat``,
        ``noisy`` and ``uncorrelated``. Recordings of the truth without an account are counted as missed.

    Returns
    -------
    dict
        ``recordings``: how many; for ``flat`` and ``noisy`` each: ``found`` (a count), ``missed`` and ``false`` (lists
        of ``[recording, channel]``; false is a channel reported as such that is sound or has the other fault).
    """
    result = {"recordings": len(truth["recordings"])}
    for fault, fields in (("flat", ["flat"]), ("noisy", ["noisy", "uncorrelated"])):
        found, missed, false = 0, [], []
        for name, known in truth["recordings"].items():
            reported = sorted({channel for field in fields for channel in accounts.get(name, {}).get(field, [])})
            found += known[fault] in reported
            missed += [] if known[fault] in reported else [[name, known[fault]]]
            false += [[name, channel] for channel in reported if channel != known[fault]]
        result[fault] = {"found": found, "missed": missed, "false": false}
    return result


def recording(raw, clean, sfreq, names, account, truth):
    """`bursts` of one recording, the raw signal brought to the filter and reference of the clean one first.

    Parameters
    ----------
    raw, clean : (channels, samples) arrays
        EEG channels in µV.
    sfreq : float
        Of the clean signal, in Hz.
    names : list of str
        Rows of both.
    account : dict
        Of the cleaning: ``resampled``, ``highpass``, ``reference``, and ``good`` channels; others are left out.
    truth : dict
        ``recordings[...]`` of the truth.
    """
    raw = np.asarray(raw)
    if account["resampled"] is not None:
        raw = rate.resample(raw, account["resampled"]["from"], sfreq)
    if account["highpass"] is not None:
        raw = drifts.highpass(raw, sfreq, account["highpass"])
    good = [row for row, name in enumerate(names) if name in account["good"]]
    if account["reference"] is not None:
        wanted = names if account["reference"] == "average" else account["reference"]
        raw = raw - raw[[row for row in good if names[row] in wanted]].mean(axis=0)
    return bursts(raw[good], np.asarray(clean)[good], sfreq, truth["bursts"], [names[row] for row in good])


def responses(truth, arrays, reference, *, subjects):
    """`response` of every planted term among the coefficients of a model's maps over time.

    Parameters
    ----------
    truth : dict
    arrays : dict
        Maps of a model: ``coef`` (unit, coefficient, channel, time) and its coordinates.
    reference
        Of the recipe.
    subjects : list of str
        People in the model (``sub-01``).

    Returns
    -------
    list of dict
    """
    terms = [term for term in truth["response"]["terms"] if term in set(arrays["coefficient"])]
    return [
        response(
            truth,
            arrays["coef"][0, list(arrays["coefficient"]).index(term)],
            list(arrays["channel"]),
            arrays["time"],
            reference,
            term=term,
            subjects=subjects,
        )
        for term in terms
    ]


def collect(root, accounts, maps, reference):
    """Everything that the report says of planted against recovered in one dataset.

    Parameters
    ----------
    root : path
        The simulated dataset, with ``sourcedata/truth.json``.
    accounts : list of path
        Accounts of the cleaning; signal and channel table of each stand beside it.
    maps : dict of str to path
        Maps of the models by name; of this dataset alone.
    reference
        Of the recipe.

    Returns
    -------
    dict
        ``effect`` and ``sex`` of the truth; ``channels`` as from `channels`; ``bursts``: mean reduction in dB, of each
        burst and by recording; ``responses``: by model as from `responses`.
    """
    truth = account.read(Path(root) / "sourcedata" / "truth.json")
    cleaned, by_recording, each = {}, {}, []
    for path in map(str, accounts):
        stem = path.removesuffix("_desc-clean_account.json")
        found, rec = account.read(path), stem[stem.index("/sub-") + 1 :]
        if found["status"] != "ok":
            continue
        listed = table.read(f"{stem}_desc-clean_channels.tsv")
        eeg = (listed["type"] == "EEG").to_numpy()
        (raw, _), (mended, sfreq) = (
            io.read_signal(path) for path in (Path(root) / f"{rec}_eeg.vhdr", f"{stem}_desc-clean_eeg.vhdr")
        )
        names, planted_here = list(listed["name"][eeg]), truth["recordings"][rec]
        compared = recording(raw[eeg], mended[eeg], sfreq, names, found, planted_here)
        cleaned[rec], by_recording[rec], each = found, compared["db"], each + compared["each"]
    people = sorted({rec.split("/")[0] for rec in cleaned})
    fitted = {name: store.read_arrays(path) for name, path in maps.items()}
    # maps of single people cannot be held against the mean gain of all
    over_time = {
        name: arrays
        for name, (arrays, attrs) in fitted.items()
        if attrs["axis"] == "time" and list(arrays["unit"]) == ["all"]
    }
    return {
        "effect": truth["effect"],
        "sex": truth["sex"],
        "channels": channels(truth, cleaned),
        "bursts": {"db": float(np.mean(each)) if each else None, "each": each, "recordings": by_recording},
        "responses": {name: responses(truth, found, reference, subjects=people) for name, found in over_time.items()},
    }
