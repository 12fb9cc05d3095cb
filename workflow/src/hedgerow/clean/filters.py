"""Filters of the cleaning: zero-phase FIR (high-pass, notch) and the IIR that shapes the spectrum for ASR.

Needs arrays (channels, samples); makes arrays of the same kind. Kernels are designed on the host (a few thousand
numbers at most) and moved to the signal's device.
"""

import math

import array_api_compat
import numpy as np
import scipy.fft
import scipy.interpolate
import scipy.linalg
import scipy.signal

from hedgerow import _array, _mirrored
from hedgerow.account import Fault

#: Lowest sampling rate (Hz) at which the band edges of the shaping filter (up to 16 Hz and a top band) fit.
LOWEST_RATE = 40.0


def half_up(values):
    """Round half away from zero for values >= 0, as MATLAB does (numpy rounds half to even); int64."""
    return np.floor(np.asarray(values, dtype=float) + 0.5).astype(np.int64)


def kaiser(width, attenuation):
    """Kaiser window of odd length for a transition `width` (Nyquist = 1) and an `attenuation` in dB.

    Kaiser's formulas (Kaiser 1974; Oppenheim & Schafer, Discrete-Time Signal Processing, section 7.6), for
    attenuations above 50 dB, but of half the length they give: so does the program whose answers are matched, and the
    transition is softer than asked for.
    """
    length = int(half_up((attenuation - 7.95) / (2 * np.pi * 2.285 * width))) + 1
    return scipy.signal.windows.kaiser(length + (length % 2 == 0), 0.1102 * (attenuation - 8.7))


def fir(window, frequencies, gains):
    """Linear-phase FIR by frequency sampling: gains at `frequencies` (Nyquist = 1), monotone cubic in between.

    Parameters
    ----------
    window : ndarray (taps,)
        Window that multiplies the kernel; its odd length is the kernel's.
    frequencies, gains : sequence
        Break points from 0 to 1 and the amplitude wanted there.
    """
    order = len(window) - 1
    points = max(512, 2 ** math.ceil(math.log2(order)))
    grid = np.arange(points + 1)
    gain = scipy.interpolate.PchipInterpolator(half_up(np.asarray(frequencies) * points), gains)(grid)
    kernel = np.fft.irfft(gain * np.exp(-0.5j * np.pi * order * grid / points), 2 * points)
    return kernel[: order + 1] * window


def zero_phase(x, kernel):
    """Apply a FIR `kernel` forwards and backwards, with the signal mirrored (odd) at both ends.

    One multiplication by \\|H\\|² in the frequency domain: circular wrap-around reaches only the mirrored samples,
    because the kernel applied twice is shorter than the mirror on either side.

    Parameters
    ----------
    x : array (channels, samples)
    kernel : ndarray (taps,)

    Returns
    -------
    array (channels, samples)

    Raises
    ------
    Fault
        ``too-short`` where x has fewer samples than the kernel has taps.
    """
    taps, samples = len(kernel), x.shape[1]
    if samples <= taps:
        raise Fault("too-short", f"the recording has {samples} samples, the filter needs more than {taps}")
    return _mirrored.filtered(x, lambda length: np.abs(np.fft.rfft(kernel, length)) ** 2, taps)


def memory(a):
    """Samples after which the impulse response of 1/a has decayed below double precision."""
    radius = float(np.max(np.abs(np.roots(a))))
    return math.ceil(math.log(1e-18) / math.log(radius))


def iir(b, a, x):
    """Causal recursive filter of x (channels, samples) from zero state."""
    return recursive(b, a, x)[0]


def recursive(b, a, x, past=None):
    """Causal recursive filter of x (channels, samples), in pieces that follow one another.

    Host arrays of numpy go through `scipy.signal.lfilter`; any other kind through an FFT convolution with the impulse
    response, cut where it has decayed below double precision, so that a device array stays on its device.

    Parameters
    ----------
    past : object, optional
        What the call for the samples before returned; None: the filter starts from zero state.

    Returns
    -------
    array (channels, samples), object
        The filtered samples, and what to give for those that follow.
    """
    if array_api_compat.is_numpy_array(x):
        past = np.zeros((x.shape[0], max(len(a), len(b)) - 1), dtype=x.dtype) if past is None else past
        return scipy.signal.lfilter(b.astype(x.dtype), a.astype(x.dtype), x, axis=1, zi=past)
    xp = _array.namespace(x)
    known = memory(a)
    x = x if past is None else xp.concat([past, x], axis=1)
    samples = x.shape[1]
    response = scipy.signal.lfilter(b, a, np.eye(1, min(known, samples))[0])
    length = scipy.fft.next_fast_len(samples + len(response) - 1, real=True)
    gain = xp.fft.rfft(_array.like(np.pad(response, (0, length - len(response))), x))
    done = xp.fft.irfft(xp.fft.rfft(x, n=length, axis=1) * gain, n=length, axis=1)
    first = 0 if past is None else past.shape[1]
    return done[:, first:samples], x[:, max(samples - known, 0) :]


def shaping(sfreq):
    """IIR filter (b, a) of order 8 that shapes the spectrum before ASR judges power.

    It plays down 3-13 Hz, where clean EEG is strong, and plays up drifts and everything above 40 Hz, where muscle is
    (Kothe & Jung, US patent application 14/895,440; break points as the clean_rawdata plug-in documents them).

    Parameters
    ----------
    sfreq : float
        Sampling rate in Hz, at least 40. Up to 82 Hz the break point at 40 Hz is left out. Above about 512 Hz a filter
        of order 8 no longer resolves the dip at 3-13 Hz, as in the original: resample first.
    """
    if sfreq < LOWEST_RATE:
        raise Fault("rate-too-low", f"ASR needs a sampling rate of at least {LOWEST_RATE:g} Hz, this is {sfreq:g} Hz")
    top = min(80.0, sfreq / 2 - 1)
    plateau = [(40, 1)] if top > 40 else []
    hz, gains = zip(*[(0, 3), (2, 0.75), (3, 0.33), (13, 0.33), (16, 1), *plateau, (top, 3), (sfreq / 2, 3)])
    return yulewalk(8, np.array(hz) * 2 / sfreq, np.array(gains, dtype=float))


def yulewalk(order, frequencies, gains, points=512):
    """Recursive filter (b, a) whose magnitude response follows `gains` at `frequencies`: modified Yule-Walker.

    B. Friedlander & B. Porat, The modified Yule-Walker method of ARMA spectral estimation, IEEE Transactions on
    Aerospace and Electronic Systems 20 (1984) 158-173. The autocorrelation of the wanted power spectrum gives the
    denominator from its lags beyond the order; its causal half over that denominator gives the numerator's spectrum,
    of which the minimum-phase factor is taken.

    Parameters
    ----------
    order : int
    frequencies : ndarray
        Break points from 0 to 1 (Nyquist), increasing.
    gains : ndarray
        Magnitude at each break point; linear in between.
    points : int
        Grid points up to Nyquist on which the response is sampled.

    Returns
    -------
    b, a : ndarray (order + 1,)
        a[0] is 1; all poles lie inside the unit circle.
    """
    magnitude = _magnitude(frequencies, gains, points + 1)
    spectrum = np.concatenate([magnitude, magnitude[-2:0:-1]])
    lags = 4 * order
    taper = 0.54 + 0.46 * np.cos(np.pi * np.arange(lags) / (lags - 1))
    r = np.fft.ifft(spectrum**2).real[:lags] * taper
    equations = scipy.linalg.toeplitz(r[order:-1], r[order:0:-1])
    a = _inside(np.concatenate([[1.0], _least_squares(equations, -r[order + 1 :])]))
    r[0] /= 2
    half = _numerator(r, a, order)
    power = 2 * scipy.signal.freqz(half, a, worN=len(spectrum), whole=True)[1].real
    # The complex logarithm: where the fitted power dips below zero it has no real one.
    cepstrum = np.fft.ifft(np.log(power.astype(complex)))
    cepstrum[0] /= 2
    cepstrum[len(spectrum) // 2 :] = 0
    return _numerator(np.fft.ifft(np.exp(np.fft.fft(cepstrum))).real[:lags], a, order), a


def _magnitude(frequencies, gains, points):
    """Piecewise linear response on `points`; each stretch is sampled from its own first point to its own last."""
    response = np.full(points, gains[0])
    ends = np.trunc(np.asarray(frequencies) * points).astype(int)
    start = 0
    for left, right, end in zip(gains[:-1], gains[1:], ends[1:]):
        if end > start:
            response[start:end] = np.linspace(left, right, end - start) if end - start > 1 else left
            start = end
    return response


def _least_squares(matrix, wanted):
    return scipy.linalg.lstsq(matrix, wanted, lapack_driver="gelsy")[0]


def _numerator(response, a, order):
    """Numerator whose impulse response through 1/a comes closest to `response`."""
    decay = scipy.signal.lfilter([1.0], a, np.eye(1, len(response))[0])
    return _least_squares(scipy.linalg.toeplitz(decay, np.zeros(order + 1)), response)


def _inside(a):
    """Mirror the poles outside the unit circle into it; the magnitude response keeps its shape."""
    poles = np.roots(a).astype(complex)
    outside = np.abs(poles) > 1
    poles[outside] = 1 / np.conj(poles[outside])
    return np.real(np.poly(poles))
