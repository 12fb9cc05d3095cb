"""Power spectral densities of windows or continuous signals, in batches, on whatever device the signal is.

In: signals in µV, traces along the last axis. Out: power spectral densities in µV²/Hz by Welch's method (averaged
tapered periodograms of half-overlapping segments), the same numbers as `scipy.signal.welch(detrend="constant")`.

Source: P. D. Welch (1967), IEEE Trans. Audio Electroacoust. 15:70-73.
"""

import math

import numpy as np
import scipy.signal

from hedgerow import _array

#: Working memory of one batch when none is asked for; a few MB stay in cache, and large first-touch buffers are slow.
BATCH_BYTES = 16 * 2**20


def psd(x, sfreq, *, seconds=None, overlap=0.5, taper="hann", fmin=0.0, fmax=None, batch=None):
    """Power spectral density by Welch's method.

    Parameters
    ----------
    x : array, (windows, channels, samples) or (channels, samples)
        Signal in µV, of any array library; float32 stays float32. NaN in a trace gives NaN in its spectrum.
    sfreq : float
        Sampling rate in Hz.
    seconds : float, optional
        Length of a Welch segment in s, 2 samples to the whole trace. ``None``: one segment, the whole trace. The
        frequency resolution is its inverse.
    overlap : float
        Share of a segment that the next one repeats, 0 to below 1.
    taper : str or tuple
        Any window of `scipy.signal.get_window`, periodic.
    fmin, fmax : float, optional
        Frequencies kept, both ends included, in Hz; `fmax` ``None`` is the Nyquist frequency.
    batch : int, optional
        Traces (one channel of one window) worked on at once; ``None``: as many as fit in about 16 MB. The result does
        not depend on it.

    Returns
    -------
    freqs : numpy.ndarray, (freqs,)
        Frequencies in Hz, on the host.
    psd : array, (windows, channels, freqs) or (channels, freqs)
        One-sided power spectral density in µV²/Hz, of the kind, device and precision of `x`.

    Raises
    ------
    ValueError
        A segment longer than the trace or of fewer than two samples, an overlap outside [0, 1), or no frequency
        between `fmin` and `fmax`.
    """
    xp = _array.namespace(x)
    if not xp.isdtype(x.dtype, "real floating"):
        x = xp.astype(x, xp.float64)
    samples = x.shape[-1]
    length = samples if seconds is None else round(seconds * sfreq)
    step = length - _overlapping(length, samples, overlap, seconds, sfreq)
    freqs = np.fft.rfftfreq(length, 1 / sfreq)
    first, last = _band(freqs, fmin, fmax)

    window = scipy.signal.get_window(taper, length)
    scale = np.full(freqs.size, 2 / (sfreq * np.sum(window**2)))
    scale[0] /= 2  # neither the zero nor the Nyquist frequency has a mirror image
    if length % 2 == 0:
        scale[-1] /= 2
    window, scale = _array.like(window, x), _array.like(scale[first:last], x)
    starts = np.arange(0, samples - length + 1, step)
    # (segments * length,): sample of each place in the laid-out segments; a gather, since views are not in the standard
    layout = None if starts.size == 1 else _array.like((starts[:, None] + np.arange(length)).ravel(), x)

    traces = xp.reshape(x, (-1, samples))
    if batch is None:
        batch = max(1, BATCH_BYTES // (8 * starts.size * length))
    spectra = []
    for start in range(0, traces.shape[0], batch):
        part = traces[start : min(start + batch, traces.shape[0]), :]
        part = part[:, :length] if layout is None else xp.take(part, layout, axis=1)
        part = xp.reshape(part, (-1, starts.size, length))
        part = (part - xp.mean(part, axis=-1, keepdims=True)) * window
        bins = xp.fft.rfft(part, axis=-1)[:, :, first:last]
        spectra.append(scale * xp.mean(xp.real(bins) ** 2 + xp.imag(bins) ** 2, axis=1))
    shape = (*x.shape[:-1], last - first)
    return freqs[first:last], xp.reshape(xp.concat(spectra, axis=0), shape) if spectra else xp.zeros(
        shape, dtype=x.dtype
    )


def prominence(freqs, psd, at, *, harmonics=2, beside=1.0, gap=0.5):
    """How far power stands out at given frequencies and their harmonics, e.g. of flicker.

    Parameters
    ----------
    freqs : numpy.ndarray, shape (frequencies,)
        In Hz, evenly spaced.
    psd : array, shape (..., channels, frequencies)
        Power, above 0.
    at : sequence of float
        Frequencies in Hz; the nearest bin counts.
    harmonics : int
        How many multiples of each, itself the first; those above the highest frequency are left out.
    beside : float
        Power is compared with the mean of the bins up to so many Hz away on either side ...
    gap : float
        ... and at least so many Hz away.

    Returns
    -------
    array, shape (..., len(at))
        log10 of power over that of the neighbourhood, mean over channels, sum over harmonics.

    Raises
    ------
    ValueError
        A frequency outside of `freqs`, or no bin in its neighbourhood.
    """
    xp = _array.namespace(psd)
    found = []
    for frequency in at:
        if not freqs[0] <= frequency <= freqs[-1]:
            raise ValueError(f"at: {frequency:g} Hz is not within {freqs[0]:g} to {freqs[-1]:g} Hz")
        total = 0.0
        for multiple in frequency * np.arange(1, harmonics + 1):
            away = np.abs(freqs - multiple)
            near = np.flatnonzero((away >= gap - 1e-9) & (away <= beside + 1e-9))
            if multiple > freqs[-1]:
                continue
            if not near.size:
                raise ValueError(f"beside, gap: no frequency lies {gap:g} to {beside:g} Hz from {multiple:g} Hz")
            around = xp.mean(xp.take(psd, _array.like(near, psd), axis=-1), axis=-1)
            total = total + xp.mean(xp.log10(psd[..., int(away.argmin())] / around), axis=-1)
        found.append(total)
    return xp.stack(found, axis=-1)


def _overlapping(length, samples, overlap, seconds, sfreq):
    """Samples that a segment shares with the next one, after checking the segment against the trace."""
    if length < 2:
        raise ValueError(f"seconds: {seconds} s is {length} samples at {sfreq} Hz; a segment needs at least two.")
    if length > samples:
        raise ValueError(
            f"seconds: a segment of {seconds} s is longer than the windows ({samples / sfreq:g} s); "
            "shorten it or lengthen the windows."
        )
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap: {overlap} is not a share from 0 to below 1, such as 0.5.")
    return math.floor(overlap * length)


def _band(freqs, fmin, fmax):
    """First index and one past the last index of the frequencies from `fmin` to `fmax`."""
    fmax = freqs[-1] if fmax is None else fmax
    tolerance = 1e-9 * freqs[-1]  # so that fmax=40 keeps the bin that floating point puts at 40.000000000000001
    kept = np.flatnonzero((freqs >= fmin - tolerance) & (freqs <= fmax + tolerance))
    if kept.size == 0:
        raise ValueError(
            f"fmin, fmax: no frequency lies from {fmin} to {fmax} Hz; they stand every {freqs[1]:g} Hz "
            f"up to {freqs[-1]:g} Hz, so widen the band or lengthen `seconds`."
        )
    return int(kept[0]), int(kept[-1]) + 1
