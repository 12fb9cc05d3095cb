"""One montage and one sampling rate for all recordings of a study."""

from fractions import Fraction

import scipy.signal

from hedgerow.account import Fault


def harmonise(x, rate, names, *, sfreq=None, montage=None):
    """Channels and rate of the study.

    Parameters
    ----------
    x : numpy.ndarray, shape (channels, samples)
        Signal in µV.
    rate : float
        Sampling rate of `x` in Hz.
    names : list of str
        Channels of `x`.
    sfreq : float or None
        Rate to go to in Hz; ``None`` keeps `rate`.
    montage : list of str or None
        Channels in the order of the study; upper and lower case are the same (``Fc5`` is found by ``FC5``). ``None``
        keeps all channels.

    Returns
    -------
    x : numpy.ndarray, shape (channels, samples)
        Polyphase resampling without delay. The filter is flat to 0.84 of the lower Nyquist frequency and down by 80 dB
        at it, so nothing is folded back.
    names : list of str
        As the montage spells them.
    rate : float
        Rate of the new signal in Hz: `sfreq`, or the nearest rate to it that is a ratio of whole numbers below 10,000
        times the old one.

    Raises
    ------
    hedgerow.account.Fault
        ``missing-channel``, ``bad-channels-table`` or ``rate-too-low``.
    """
    if montage is not None:
        x, names = x[_picks(names, montage)], list(montage)
    ratio = Fraction(1 if sfreq is None else sfreq / rate).limit_denominator(10_000)
    if ratio == 1:
        return x, list(names), float(rate)
    if ratio > 1:
        raise Fault("rate-too-low", f"the recording has {rate:g} Hz, the study {sfreq:g} Hz: lower sfreq")
    kaiser = ("kaiser", scipy.signal.kaiser_beta(80))
    taps = scipy.signal.firwin(64 * ratio.denominator + 1, 0.92 / ratio.denominator, window=kaiser)
    # a line through the first and the last sample is taken off first: without it the ends would ring
    y = scipy.signal.resample_poly(x, ratio.numerator, ratio.denominator, axis=-1, window=taps, padtype="line")
    return y, list(names), float(rate * ratio)


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
