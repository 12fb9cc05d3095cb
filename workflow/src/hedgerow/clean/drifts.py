"""Slow drifts: a zero-phase high-pass filter.

Needs a signal (channels, samples); makes the same without what is slower than the transition band.
"""

import numpy as np

from hedgerow.account import Fault
from hedgerow.clean import filters


def highpass(x, sfreq, transition=(0.25, 0.75), *, attenuation=80.0):
    """Remove drifts with a Kaiser-window FIR applied forwards and backwards (zero phase).

    The same filter as the clean_drifts stage of EEGLAB's clean_rawdata plug-in.

    Parameters
    ----------
    x : array (channels, samples)
        Any unit; the signal is mirrored at both ends.
    sfreq : float
        Sampling rate in Hz.
    transition : (float, float)
        Edges of the transition band in Hz. As in the original, the response is soft: at 250 Hz and the default edges
        -36 dB at the lower, -11 dB in the middle, -2 dB at the upper edge.
    attenuation : float
        Stop-band attenuation in dB of one pass, above 50.

    Returns
    -------
    array (channels, samples)
        The kind and unit of x.

    Raises
    ------
    Fault
        ``too-short`` where x is shorter than the filter (about 2.5 s over the width of the band in Hz),
        ``rate-too-low`` where the band reaches Nyquist.
    """
    taps = kernel(sfreq, transition, attenuation=attenuation)
    if x.shape[1] <= len(taps):
        raise Fault(
            "too-short",
            f"the recording is {x.shape[1] / sfreq:.2f} s long, its high-pass filter {len(taps) / sfreq:.2f} s: "
            f"widen the transition band highpass={list(transition)} or leave the recording out",
        )
    return filters.zero_phase(x, taps)


def kernel(sfreq, transition=(0.25, 0.75), *, attenuation=80.0):
    """Kernel of one pass of `highpass`: ndarray (taps,), symmetric, of odd length."""
    low, high = (float(edge) for edge in transition)
    if not 0 < low < high:
        raise ValueError(f"highpass={list(transition)}: give two rising frequencies above 0 Hz")
    if high >= sfreq / 2:
        raise Fault("rate-too-low", f"the high-pass band ends at {high:g} Hz, but the sampling rate is {sfreq:g} Hz")
    band = 2 * np.array([low, high]) / sfreq
    window = filters.kaiser(band[1] - band[0], attenuation)
    return filters.fir(window, [0, *band, 1], [0, 0, 1, 1])
