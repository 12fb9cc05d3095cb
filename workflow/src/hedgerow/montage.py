"""One montage, one band and one sampling rate for all recordings of a study."""

import math

import numpy as np
import scipy.signal

from hedgerow import _mirrored, rate, splines
from hedgerow.account import Fault

#: Farthest electrode (m) that stands in for a place: neighbours in the 10-10 system are 3 to 4 cm apart, so that an
#: electrode farther off belongs to another place.
NEAREST = 0.03

#: Farthest place (m) from any electrode at which a spline still interpolates: a step of the 10-20 system. Beyond it
#: the value is an extrapolation, whatever the number of electrodes.
SPLINE = 0.06


def place(x, names, montage=None, *, by="name", locate=None, unusable=()):
    """Channels of the study out of those of the recording.

    Parameters
    ----------
    x : numpy.ndarray, shape (channels, samples)
        Signal in µV.
    names : list of str
        Channels of `x`.
    montage : list of str or None
        Channels in the order of the study; upper and lower case are the same (``Fc5`` is found by ``FC5``). ``None``
        keeps all channels.
    by : {"name", "nearest", "spline"}
        How a channel of the montage is found: by its name; as the recorded electrode nearest to its place on the head;
        or as the potential there by spherical splines over all recorded electrodes (`hedgerow.splines`).
    locate : callable or None
        Template positions (n, 3) in m of a list of names, NaN where unknown, as `hedgerow.io.positions`. Channels of
        the recording and those of the montage are looked up apart. Without it only names can be matched.
    unusable : sequence of str
        Channels that are bad; the nearest electrode is sought, and the spline taken, among the others.

    Returns
    -------
    x : numpy.ndarray, shape (channels, samples)
    names : list of str
        As the montage spells them.
    positions : numpy.ndarray (channels, 3) or None
        In m: of the places of the montage, by name those of the recorded electrodes; ``None`` without `locate`.
    mapping : dict or None
        Each channel of the montage to its nearest usable ``electrode`` and the distance to it in ``mm`` (on template
        heads, whose sizes differ by about 1 cm); ``None`` where channels are found by name.

    Raises
    ------
    ValueError
        `by` without a montage or `locate`, or an unknown value of it.
    hedgerow.account.Fault
        ``missing-channel``: not in the recording, no electrode within `NEAREST` or `SPLINE`, or one electrode for two
        channels; ``bad-channels-table``: two channels with one name.
    """
    _check(montage, by, locate)
    where = None if locate is None else np.asarray(locate(names), dtype=float)
    if montage is None:
        return x, list(names), where, None
    if by == "name":
        picks = _picks(names, montage)
        return x[picks], list(montage), None if where is None else where[picks], None
    targets = np.asarray(locate(montage), dtype=float)
    unknown = [name for name, at in zip(montage, targets) if not np.isfinite(at).all()]
    if unknown:
        raise Fault(
            "missing-channel",
            f"no template of electrodes knows where {', '.join(unknown)} lie: name places of the 10-05 system in "
            "channels, or choose channels_by: name",
        )
    usable = np.isfinite(where).all(axis=1) & ~np.isin(names, list(unusable))
    rows = np.flatnonzero(usable)
    if len(rows) < splines.FEWEST:
        raise Fault(
            "missing-channel",
            f"{len(rows)} good electrodes of {len(names)} have a known place ({', '.join(names[:5])} ...): choose "
            "channels_by: name, or leave the recording out",
        )
    distances = np.linalg.norm(targets[:, None] - where[rows], axis=2)
    nearest = rows[distances.argmin(axis=1)]
    mapping = {
        name: {"electrode": names[row], "mm": round(1000 * float(far), 1)}
        for name, row, far in zip(montage, nearest, distances.min(axis=1))
    }
    _refuse_far(mapping, NEAREST if by == "nearest" else SPLINE)
    if by == "nearest":
        _refuse_shared(mapping)
        return x[nearest], list(montage), targets, mapping
    return splines.weights(where[rows], targets) @ x[rows], list(montage), targets, mapping


def lowpass(x, sfreq, hz=None):
    """Signal without what is faster than `hz`.

    A linear-phase FIR (Hamming window) without its delay: the filter that EEGLAB (pop_eegfiltnew) and MNE-Python
    design for such a pass band. It is flat up to `hz`; its transition band is a quarter of `hz` wide, at least 2 Hz and
    at most what is left below half the sampling rate, with -6 dB in the middle. Both ends are mirrored (odd).

    Parameters
    ----------
    x : array (channels, samples)
        Floating; any unit.
    sfreq : float
        Sampling rate of `x` in Hz.
    hz : float or None
        Upper edge of the pass band in Hz; ``None``, or half the sampling rate and more: the signal as it is, in which
        nothing is faster.

    Returns
    -------
    array (channels, samples)
        The kind and unit of x.

    Raises
    ------
    ValueError
        `hz` is not above 0.
    hedgerow.account.Fault
        ``too-short`` where x is shorter than the filter (3.3 s over the width of the transition band in Hz).
    """
    if hz is not None and not hz > 0:
        raise ValueError(f"lowpass: {hz:g} Hz: give a frequency above 0, or null")
    if hz is None or hz >= sfreq / 2:
        return x
    taps, samples = _kernel(sfreq, hz), x.shape[1]
    if samples <= len(taps):
        raise Fault(
            "too-short",
            f"the recording is {samples / sfreq:.2f} s long, its low-pass filter {len(taps) / sfreq:.2f} s: take the "
            "key lowpass off the selection, or leave the recording out",
        )
    half = len(taps) // 2

    def response(length):
        # the turn takes the delay off, after which the spectrum of a symmetric filter is real
        turn = np.exp(2j * np.pi * np.arange(length // 2 + 1) * half / length)
        return (np.fft.rfft(taps, length) * turn).real

    return _mirrored.filtered(x, response, half)


def _kernel(sfreq, hz):
    """Kernel of `lowpass`: ndarray (taps,), symmetric, of odd length, with sum 1."""
    width = min(max(hz / 4, 2.0), sfreq / 2 - hz)
    taps = math.ceil(3.3 * sfreq / width)
    return scipy.signal.firwin(taps + (taps % 2 == 0), hz + width / 2, window="hamming", fs=sfreq)


def resample(x, sfreq_in, sfreq=None):
    """Signal at the rate of the study.

    Parameters
    ----------
    x : numpy.ndarray, shape (channels, samples)
    sfreq_in : float
        Sampling rate of `x` in Hz.
    sfreq : float or None
        Rate to go to in Hz; ``None`` keeps that of `x`.

    Returns
    -------
    x : numpy.ndarray, shape (channels, samples)
        By `hedgerow.rate.resample`.
    sfreq : float
        Rate of the new signal in Hz.

    Raises
    ------
    hedgerow.account.Fault
        ``rate-too-low``.
    """
    if sfreq is None:
        return x, float(sfreq_in)
    return rate.resample(x, sfreq_in, sfreq), float(sfreq)


def check(montage, by):
    """Raise ValueError, naming the key, if `by` is no way to find channels or `montage` names none to find."""
    if by not in ("name", "nearest", "spline"):
        raise ValueError(f"channels_by: {by!r} is none of 'name', 'nearest' and 'spline'")
    if by != "name" and montage is None:
        raise ValueError(f"channels_by: {by!r} needs a montage: name its places in channels")
    lower = [name.casefold() for name in montage or ()]
    twice = sorted({name for name in montage or () if lower.count(name.casefold()) > 1})
    if twice:
        raise ValueError(f"channels: {', '.join(twice)} stand there twice: name each channel once")


def _check(montage, by, locate):
    check(montage, by)
    if by != "name" and locate is None:
        raise ValueError(f"locate: channels_by {by!r} needs the positions of electrodes")


def _refuse_far(mapping, limit):
    far = [name for name, found in mapping.items() if found["mm"] > 1000 * limit]
    if far:
        raise Fault(
            "missing-channel",
            f"no electrode lies within {1000 * limit:g} mm of {_said(mapping, far)}: take these off channels, or "
            "leave the recording out",
        )


def _refuse_shared(mapping):
    """Raise where one electrode is the nearest to several places: two channels of the study would be copies."""
    taken = [found["electrode"] for found in mapping.values()]
    shared = [name for name, found in mapping.items() if taken.count(found["electrode"]) > 1]
    if shared:
        raise Fault(
            "missing-channel",
            f"one electrode is the nearest to several channels: {_said(mapping, shared)}: take all but one off "
            "channels, or choose channels_by: spline",
        )


def _said(mapping, names):
    return ", ".join(f"{name} (nearest: {mapping[name]['electrode']}, {mapping[name]['mm']:g} mm)" for name in names)


def _picks(names, montage):
    """Index of each channel of the montage among `names`."""
    index = {name.casefold(): i for i, name in enumerate(names)}
    if len(index) < len(names):
        twice = sorted({name for name in names if [n.casefold() for n in names].count(name.casefold()) > 1})
        raise Fault("bad-channels-table", f"channels {', '.join(twice)} have one name: rename them in channels.tsv")
    missing = [name for name in montage if name.casefold() not in index]
    if missing:
        raise Fault("missing-channel", f"the recording lacks channels {', '.join(missing)}: take them off channels")
    return [index[name.casefold()] for name in montage]
