"""Another sampling rate: anti-aliased and without delay for signals, the nearest sample for triggers.

Needs a signal (channels, samples); makes the same at a lower rate, as array of the same kind. Sample k lies at k / rate
in s, before and after.
"""

import math
from fractions import Fraction

import numpy as np
import scipy.fft
import scipy.signal

from hedgerow import _array
from hedgerow.account import Fault

#: Half length of the anti-aliasing filter, in samples of the new rate.
REACH = 32

#: Channels are resampled in groups of about this many values, which bounds the memory of the FFTs.
_GROUP = 2**21


def same(one, other):
    """Whether two sampling rates are one: files hold them to so many digits (within 4 ms an hour)."""
    return math.isclose(one, other, rel_tol=1e-6)


def resample(x, sfreq, to):
    """Signal at a lower sampling rate.

    A linear-phase FIR (Kaiser window, 80 dB) is applied and the rate changed in the frequency domain: the numbers are
    those of polyphase resampling with the same filter, for any ratio of rates and any kind of array. The filter is flat
    to 0.84 of the new Nyquist frequency and down by 80 dB at it. Offsets and the line through the first and the last
    sample pass untouched; both ends are mirrored (odd), so that they do not ring.

    Parameters
    ----------
    x : array (channels, samples)
        Floating; any unit.
    sfreq : float
        Sampling rate of x in Hz.
    to : float
        Rate to go to in Hz, at most `sfreq`.

    Returns
    -------
    array (channels, round(samples * to / sfreq))
        The kind and unit of x, halves rounded up; x itself where the rates are the same. Times are right to
        1 / samples of a sample.

    Raises
    ------
    Fault
        ``rate-too-low`` where `to` is above `sfreq`: no filter brings back what was never recorded.
    ValueError
        A rate that is not above 0.
    """
    samples, count = x.shape[1], _count(x.shape[1], sfreq, to)
    if same(to, sfreq):
        return x
    xp, ratio = _array.namespace(x), Fraction(to / sfreq).limit_denominator(max(samples, 1000))
    taps = scipy.signal.firwin(
        2 * math.ceil(REACH / ratio) + 1, 0.92 * to / 2, fs=sfreq, window=("kaiser", scipy.signal.kaiser_beta(80))
    )
    pad = min(len(taps), samples - 1)
    # both lengths are whole multiples of the ratio's parts, so that both grids begin at the same time
    blocks = scipy.fft.next_fast_len(-(-(samples + 2 * len(taps)) // ratio.denominator), real=True)
    long, short = blocks * ratio.denominator, blocks * ratio.numerator
    gain = np.fft.rfft(taps, long) * np.exp(2j * np.pi * np.arange(long // 2 + 1) * (len(taps) // 2) / long)
    gain = _array.like(gain.real[: short // 2 + 1] * short / long, x)
    fade = _array.like(0.5 + 0.5 * np.cos(np.pi * np.clip(2 * np.arange(1, pad + 1) / len(taps) - 1, 0, 1)), x)
    here, there = (_array.like(np.arange(n) / rate, x) for n, rate in ((samples, sfreq), (count, to)))
    done, group = [], max(1, _array.room(x, _GROUP) // long)
    for first in range(0, x.shape[0], group):
        part = x[first : min(first + group, x.shape[0]), :]
        start, slope = part[:, :1], (part[:, -1:] - part[:, :1]) * (sfreq / max(samples - 1, 1))
        part = part - start - slope * here
        # mirrored at 0, where both ends now lie; what comes before the beginning stands at the end of the circle
        head, tail = -part[:, 1 : pad + 1] * fade, -xp.flip(part[:, samples - 1 - pad : samples - 1], axis=1) * fade
        gap = xp.zeros_like(part[:, :1]) * _array.like(np.ones((1, long - samples - 2 * pad)), x)
        spectrum = xp.fft.rfft(xp.concat([part, tail, gap, xp.flip(head, axis=1)], axis=1), axis=1)
        y = xp.fft.irfft(spectrum[:, : short // 2 + 1] * gain, n=short, axis=1)[:, :count]
        done.append(y + start + slope * there)
    return xp.concat(done, axis=0)


def nearest(x, sfreq, to):
    """Channels that no filter may touch (triggers, codes) at a lower sampling rate: the nearest sample of each time.

    Parameters
    ----------
    x : array (channels, samples)
    sfreq, to : float
        As in `resample`.

    Returns
    -------
    array (channels, round(samples * to / sfreq))
        The kind and dtype of x; every value is one of x. A pulse shorter than a sample of the new rate may go.

    Raises
    ------
    Fault, ValueError
        As in `resample`.
    """
    if same(to, sfreq):
        return x
    xp, places = _array.namespace(x), np.arange(_count(x.shape[1], sfreq, to)) * (sfreq / to)
    # the inner rounding takes the noise of floats off a half
    index = np.minimum(np.floor(np.round(places, 6) + 0.5).astype(np.int64), x.shape[1] - 1)
    return xp.take(x, _array.like(index, x), axis=1)


def _count(samples, sfreq, to):
    """Samples at the new rate."""
    if not (sfreq > 0 and to > 0):
        raise ValueError(f"sfreq: {to:g} Hz from {sfreq:g} Hz: give rates above 0 Hz")
    if same(to, sfreq):
        return samples
    if to > sfreq:
        raise Fault(
            "rate-too-low",
            f"the recording has {sfreq:g} Hz, {to:g} Hz are asked for: lower `resample` of the recipe or `sfreq` of "
            "the selection",
        )
    return math.floor(round(samples * to / sfreq, 6) + 0.5)
