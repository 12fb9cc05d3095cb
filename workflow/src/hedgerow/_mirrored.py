"""Filters of zero phase by FFT, on signals that are mirrored at both ends: what high-pass and low-pass share."""

import numpy as np
import scipy.fft

from hedgerow import _array

#: Channels are filtered in groups of about this many values, which bounds the memory of the FFTs.
_GROUP = 2**21


def filtered(x, response, margin):
    """Multiply the spectrum of a signal, mirrored (odd) by `margin` samples at both ends, by a real gain.

    Parameters
    ----------
    x : array (channels, samples)
        Of more than `margin` samples.
    response : callable
        ``response(length)`` gives the gain, ndarray float64 (length // 2 + 1,), for an FFT of that length.
    margin : int
        Samples that the filter reaches to either side.

    Returns
    -------
    array (channels, samples)
    """
    xp, (channels, samples) = _array.namespace(x), x.shape
    length = scipy.fft.next_fast_len(samples + 2 * margin, real=True)
    gain = _array.like(np.asarray(response(length)), x)
    y, group = xp.empty_like(x), max(1, _array.room(x, _GROUP) // length)
    for first in range(0, channels, group):
        part = x[first : min(first + group, channels), :]
        head = 2 * part[:, :1] - xp.flip(part[:, 1 : margin + 1], axis=1)
        tail = 2 * part[:, -1:] - xp.flip(part[:, samples - 1 - margin : samples - 1], axis=1)
        spectrum = xp.fft.rfft(xp.concat([head, part, tail], axis=1), n=length, axis=1)
        y[first : first + part.shape[0], :] = xp.fft.irfft(spectrum * gain, n=length, axis=1)[
            :, margin : margin + samples
        ]
    return y
