"""Line noise: the hum of the mains and its harmonics.

Needs a signal (channels, samples) and the frequency of the mains; makes the same without the hum, and an account. Two
ways, of which neither changes anything farther than 1 Hz from the mains and its harmonics:

- ``notch`` takes the narrow band around each harmonic out of every channel. It leaves a hole in the spectrum, and no
  channel changes another.
- ``zapline`` takes out of that band only the topographies that are stronger at the harmonic than beside it, as many as
  stand out from chance: what the brain does in the band stays in all other directions, and there is no hole. It needs
  several channels with the same hum. After A. de Cheveigné, ZapLine, NeuroImage 207 (2020) 116356; unlike there,
  nothing but the band is touched, so that the rank of the signal stays.
"""

import math

import array_api_compat
import numpy as np
import scipy.fft
import scipy.signal

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import filters

#: Half widths in Hz around a harmonic: up to the first the hum is taken out whole (grids keep within 0.1 Hz), beyond
#: the second nothing is.
STOP, PASS = 0.25, 1.0

#: Where a harmonic's neighbours lie, in Hz from it.
BESIDE = (1.0, 4.0)

#: How many times stronger than beside it a topography must be at the harmonic to be hum.
LEAST = 2.0

METHODS = ("notch", "zapline")


def remove(x, sfreq, hz, *, method):
    """Take out the hum.

    Parameters
    ----------
    x : array (channels, samples)
        Floating, any unit, without bad channels; offsets and drifts do not matter.
    sfreq : float
        Sampling rate in Hz.
    hz : float
        Frequency of the mains, 50 or 60 Hz.
    method : {"notch", "zapline"}
        See above.

    Returns
    -------
    y : array (channels, samples)
        The kind and unit of x.
    account : dict
        JSON-able: ``method``, ``hz``, ``harmonics`` (Hz, those below Nyquist), ``components`` (topographies taken out
        at each harmonic; None for the notch), ``variance_removed`` (share, over all channels), ``note`` (None, or why
        there was nothing to do).

    Raises
    ------
    Fault
        ``too-short`` where x is shorter than two lengths of the filter (6 s).
    ValueError
        An unknown method, or a frequency that is none.
    """
    if method not in METHODS:
        raise ValueError(f"line_noise={method!r}: give one of {', '.join(METHODS)}, or null")
    if hz is None or not hz > 2 * PASS:
        raise ValueError(f"line_hz={hz}: give the frequency of the mains in Hz, 50 or 60")
    xp = _array.namespace(x)
    harmonics = [k * float(hz) for k in range(1, int(sfreq / 2 / hz) + 1) if k * hz < sfreq / 2]
    account = {"method": method, "hz": float(hz), "harmonics": harmonics, "variance_removed": 0.0, "note": None}
    account["components"] = None if method == "notch" else []
    if not harmonics:
        account["note"] = f"{hz:g} Hz is not below half the sampling rate of {sfreq:g} Hz: there is no hum to take out"
        return x, account
    y = x
    for harmonic in harmonics:
        band = _band(x, sfreq, harmonic)
        if method == "zapline":
            hum, count = _directions(x, sfreq, harmonic)
            account["components"].append(count)
            band = xp.matmul(hum, band)
        y = y - band
    account["variance_removed"] = _power(x - y) / max(_power(x), np.finfo(float).tiny)
    return y, account


def _power(x):
    xp = _array.namespace(x)
    return float(xp.mean((x - xp.mean(x, axis=1, keepdims=True)) ** 2))


def kernel(sfreq, harmonic):
    """Kernel of one pass of the notch at `harmonic` Hz: ndarray (taps,), symmetric, of odd length.

    -80 dB (both passes) within `STOP`; without effect beyond `PASS`.
    """
    width = (PASS - STOP) / sfreq
    taps = int(np.ceil((40 - 7.95) / (2.285 * 2 * np.pi * width))) // 2 * 2 + 1
    edges = [edge for edge in (harmonic - (STOP + PASS) / 2, harmonic + (STOP + PASS) / 2) if edge < sfreq / 2]
    return scipy.signal.firwin(taps, edges, window=("kaiser", scipy.signal.kaiser_beta(40)), fs=sfreq)


def _band(x, sfreq, harmonic):
    """What the notch at `harmonic` takes out of x, the hum at both ends of the recording included.

    A mirrored hum jumps in phase, so that a filter alone leaves a second of it at either end. A sinusoid fitted there,
    faded out over the filter's length, is therefore taken off first.
    """
    xp, samples = _array.namespace(x), x.shape[1]
    taps = kernel(sfreq, harmonic)
    if samples <= 2 * len(taps):
        raise Fault(
            "too-short",
            f"the recording is {samples / sfreq:.2f} s long, its line-noise filter needs {2 * len(taps) / sfreq:.2f} "
            "s: set line_noise to null or leave the recording out",
        )
    t = np.arange(len(taps))
    hum = np.stack([np.cos(2 * np.pi * harmonic / sfreq * t), np.sin(2 * np.pi * harmonic / sfreq * t)])
    fade = 0.5 + 0.5 * np.cos(np.pi * t / len(taps))
    fitted = _array.like(np.linalg.pinv(np.concatenate([hum, t[None] ** np.arange(3)[:, None]]))[:, :2], x)
    hum = _array.like(hum * fade, x)
    head = xp.matmul(xp.matmul(x[:, : len(taps)], fitted), hum)
    tail = xp.flip(xp.matmul(xp.matmul(xp.flip(x[:, samples - len(taps) :], axis=1), fitted), hum), axis=1)
    gap = xp.zeros((x.shape[0], samples - 2 * len(taps)), dtype=x.dtype, device=array_api_compat.device(x))
    ends = xp.concat([head, gap, tail], axis=1)
    return x - filters.zero_phase(x - ends, taps)


def _directions(x, sfreq, harmonic):
    """Projection (channels, channels) onto the topographies of the hum at `harmonic`, and how many there are."""
    xp, samples = _array.namespace(x), x.shape[1]
    length = scipy.fft.next_fast_len(samples, real=True)
    away = np.abs(np.fft.rfftfreq(length, 1 / sfreq) - harmonic)
    window, bins = _array.like(scipy.signal.windows.hann(samples), x), np.flatnonzero(away <= BESIDE[1])
    rows = [xp.fft.rfft(x[i : i + 1, :] * window, n=length)[:, bins[0] : bins[-1] + 1] for i in range(x.shape[0])]
    spectrum, away = xp.concat(rows, axis=0), away[bins]
    at, beside = (_covariance(spectrum, mask) for mask in (away <= STOP, away >= BESIDE[0]))
    variance, axes = xp.linalg.eigh(beside)
    rank = int(xp.sum(xp.astype(variance > 1e-10 * variance[-1], xp.int64)))
    axes = axes[:, x.shape[0] - rank :] / xp.sqrt(variance[x.shape[0] - rank :])
    ratio, turn = xp.linalg.eigh(xp.matmul(axes.T, xp.matmul(at, axes)))
    # each bin has a real and an imaginary part, and the Hann window makes two neighbours as good as one
    freedom = [float(mask.sum()) * samples / length for mask in (away <= STOP, away >= BESIDE[0])]
    count = int(xp.sum(xp.astype(ratio > max(LEAST, _chance(rank, *freedom)), xp.int64)))
    chosen = xp.matmul(axes, turn[:, rank - count :])
    return xp.matmul(xp.matmul(beside, chosen), chosen.T), count


def _covariance(spectrum, mask):
    """Mean cross-power (channels, channels) of the bins in `mask`, real part."""
    xp = _array.namespace(spectrum)
    part = xp.take(spectrum, _array.like(np.flatnonzero(mask), spectrum), axis=1)
    real, imaginary = xp.real(part), xp.imag(part)
    return (xp.matmul(real, real.T) + xp.matmul(imaginary, imaginary.T)) / part.shape[1]


def _chance(channels, at, beside):
    """Largest ratio of powers in any direction that two samples of the same noise give, of `at` and `beside` degrees.

    Upper edge of the spectrum of an F matrix (K. W. Wachter, Annals of Statistics 8 (1980) 937-957), and a fifth more:
    in small samples the largest ratio scatters about the edge, in 1 of 20 by more than a tenth (simulated).
    """
    a, b = channels / at, channels / beside
    return 1.2 * ((1 + math.sqrt(a + b - a * b)) / (1 - b)) ** 2 if b < 1 else math.inf
