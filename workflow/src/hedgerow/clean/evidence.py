"""What the cleaning took out of a recording: of each band, channel and stretch of time; and the worst ten seconds.

Needs the signal before artefacts were taken out and the same after; makes scalars for the account and small arrays on
the host, from which the report draws. What went is the difference of the two signals: the variance removed is that of
the difference, as a share of the variance before, in the whole signal or (by Welch's method) in a band.
"""

import numpy as np
import scipy.signal

from hedgerow import _array, rate

#: Bands in Hz, the upper end not part of it; the last one ends at the Nyquist frequency.
BANDS = {
    "delta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, 45.0),
    "high": (45.0, np.inf),
}

#: Length in s of a Welch segment, and of the stretch that is shown.
SEGMENT, STRETCH = 2.0, 10.0

#: About the sampling rate in Hz of what is shown, and how many channels at most: those that lost most.
RATE, MOST = 100.0, 24

#: A sample counts as changed if it differs by more than this share of its channel's standard deviation: far above
#: rounding, by which a projection on all components changes every sample.
CHANGED = 1e-6

#: Least power of a spectrum in dB re 1 µV²/Hz, far below any amplifier's noise.
LEAST = -120.0

#: Values of one signal that are worked on together: a few MB, whose spectra stay in cache.
_GROUP = 2**19


def gather(before, after, sfreq, names, positions=None):
    """Compare a signal before and after cleaning.

    Parameters
    ----------
    before, after : array (channels, samples)
        In µV, finite; of one kind. Rows are the channels that were taken as good.
    sfreq : float
        In Hz.
    names : list of str
        Channels.
    positions : array_like (channels, 3), optional
        In m; NaN where unknown.

    Returns
    -------
    account : dict
        JSON-able. ``variance_removed`` (share), ``samples_changed`` and ``channels_changed`` (shares: changed in any
        channel, in any sample), ``bands`` (by name ``hz``, its ends; ``removed``, the share of the power of all
        channels; ``channel``, the one that lost most of its own, and that share, ``worst``) and ``worst_seconds``
        ([start, end] of the 10 s that lost most). A share above 1 means that something was put in instead.
    arrays : dict of str to ndarray
        On the host. ``names``, ``positions``, ``removed`` (share of each channel's variance); ``frequency`` in Hz,
        ``psd_before`` and ``psd_after`` (channels, frequencies) in dB re 1 µV²/Hz; of the worst seconds
        ``trace_rows`` (channels), ``trace_before`` and ``trace_after`` (channels, samples), integers that times
        ``trace_scale`` (channels, 1) are µV, and ``trace_sfreq`` in Hz.
    """
    names = [str(name) for name in names]
    found = _measured(before, after, sfreq)
    length = _segment(before.shape[1], sfreq)
    frequency = np.fft.rfftfreq(length, 1 / sfreq)
    start, stop = _worst(found["energy"], max(1, round(STRETCH * sfreq)))
    account = {
        "variance_removed": float(_share(found["gone"].sum(), found["variance"].sum())),
        "samples_changed": float(found["sample"].mean()),
        "channels_changed": float(found["channel"].mean()),
        "bands": _bands(frequency, found["power"], found["lost"], names),
        "worst_seconds": [start / sfreq, stop / sfreq],
    }
    places = np.full((len(names), 3), np.nan) if positions is None else np.asarray(positions)
    arrays = {
        "names": np.array(names),
        "positions": places.astype(np.float32),
        "removed": _share(found["gone"], found["variance"]).astype(np.float32),
        "frequency": frequency.astype(np.float32),
        "psd_before": _decibel(found["power"]),
        "psd_after": _decibel(found["left"]),
    }
    return account, arrays | _traces(before, after, sfreq, start, stop)


def write(path, arrays):
    """Write the arrays of `gather` to `path` (.npz, compressed); one version of Python writes the same bytes again."""
    np.savez_compressed(path, **arrays)


def _measured(before, after, sfreq):
    """What both signals are compared by, on the host: per channel, per sample and per channel and frequency."""
    xp = _array.namespace(before)
    columns, energy, sample, channels = [], 0.0, False, before.shape[0]
    group = max(1, _array.room(before, _GROUP) // before.shape[1])
    for first in range(0, channels, group):
        x, y = (each[first : min(first + group, channels), :] for each in (before, after))
        lost = x - y
        variance = xp.var(x, axis=1)
        # a channel that stands still differs by rounding alone
        spread = xp.sqrt(xp.maximum(variance, CHANGED**2 * xp.max(variance)))
        changed = xp.abs(lost) > CHANGED * spread[:, None]
        energy, sample = energy + xp.sum(lost**2, axis=0), xp.any(changed, axis=0) | sample
        columns.append([variance, xp.var(lost, axis=1), xp.any(changed, axis=1), *_psds(x, y, sfreq)])
    keys = ("variance", "gone", "channel", "power", "left", "lost")
    found = {key: _array.to_numpy(xp.concat(list(each), axis=0)) for key, each in zip(keys, zip(*columns))}
    return found | {"energy": _array.to_numpy(energy), "sample": _array.to_numpy(sample)}


def _segment(samples, sfreq):
    return min(samples, max(2, round(SEGMENT * sfreq)))


def _psds(x, y, sfreq):
    """Power spectral densities (channels, frequencies) of x, of y and of x - y, in µV²/Hz.

    Welch's method with half-overlapping Hann windows, as `hedgerow.spectra.psd`, on which the cleaning does not depend
    (an edit there would clean every recording anew); of linear transforms the third is the difference of two.
    """
    xp, length = _array.namespace(x), _segment(x.shape[1], sfreq)
    window = scipy.signal.get_window("hann", length)
    scale = np.full(length // 2 + 1, 2 / (sfreq * np.sum(window**2)))
    scale[0] /= 2  # neither the zero nor the Nyquist frequency has a mirror image
    if length % 2 == 0:
        scale[-1] /= 2
    starts = np.arange(0, x.shape[1] - length + 1, length - length // 2)
    window, scale, layout = (
        _array.like(each, x) for each in (window, scale, (starts[:, None] + np.arange(length)).ravel())
    )
    bins = []
    for each in (x, y):
        parts = xp.reshape(xp.take(each, layout, axis=1), (x.shape[0], starts.size, length))
        bins.append(xp.fft.rfft((parts - xp.mean(parts, axis=-1, keepdims=True)) * window, axis=-1))
    bins.append(bins[0] - bins[1])
    return [scale * xp.mean(xp.real(each) ** 2 + xp.imag(each) ** 2, axis=1) for each in bins]


def _share(part, whole):
    """Part of the whole; 0 where there is nothing to take from."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), 0.0)


def _bands(frequency, power, lost, names):
    found = {}
    for name, (low, high) in BANDS.items():
        within = (frequency >= low) & (frequency < high)
        if within.any():
            all_power, gone = power[:, within].sum(axis=1), lost[:, within].sum(axis=1)
            shares = _share(gone, all_power)
            found[name] = {
                "hz": [low, float(min(high, frequency[-1]))],
                "removed": float(_share(gone.sum(), all_power.sum())),
                "channel": names[int(shares.argmax())],
                "worst": float(shares.max()),
            }
    return found


def _worst(energy, length):
    """First sample of the stretch of `length` with most energy, and the one after its last; of equals the middle."""
    if len(energy) <= length:
        return 0, len(energy)
    sums = np.concatenate([[0.0], np.cumsum(energy)])
    sums = sums[length:] - sums[:-length]
    equal = np.flatnonzero(sums >= sums.max() * (1 - 1e-9))
    start = int(equal[len(equal) // 2])
    return start, start + length


def _decibel(power):
    """In half precision, which is 0.03 dB at worst above -64 dB: small files, and finer than a line is wide."""
    return (10 * np.log10(np.maximum(power, 10 ** (LEAST / 10)))).astype(np.float16)


def _traces(before, after, sfreq, start, stop):
    """The stretch of both signals at about `RATE`, of the channels that lost most there; 16-bit integers and scale."""
    factor = max(1, round(sfreq / RATE))
    margin = rate.REACH * factor
    first = start - min(margin, start // factor * factor)
    last = min(stop + margin, before.shape[1])
    x, y = (_array.to_numpy(each[:, first:last]) for each in (before, after))
    inside = slice(start - first, stop - first)
    rows = np.sort(np.argsort(-((x - y)[:, inside] ** 2).sum(axis=1), kind="stable")[:MOST])
    traces = []
    for each in (x[rows], y[rows]):
        slow = rate.resample(each, sfreq, sfreq / factor)
        traces.append(slow[:, (start - first) // factor :][:, : -(-(stop - start) // factor)])
    largest = np.abs(traces).max(axis=(0, 2))[:, None]
    scale = np.where(largest > 0, largest / 32767, 1.0)
    whole = {name: np.round(each / scale).astype(np.int16) for name, each in zip(("before", "after"), traces)}
    return {
        "trace_rows": rows.astype(np.int16),
        "trace_before": whole["before"],
        "trace_after": whole["after"],
        "trace_scale": scale.astype(np.float32),
        "trace_sfreq": np.float64(sfreq / factor),
    }
