"""How many unknowns lags are (standard library only): asked when the config is read, and again with the design."""

import math

#: Most unknowns (coefficients x lags): their cross products take 128 MB per person.
UNKNOWNS = 4096


def check(lags, sfreq, coefficients):
    """Refuse lags that make no sense or more unknowns than fit.

    Parameters
    ----------
    lags : (float, float)
        First lag in s after the event (negative: before), and where the last one ends.
    sfreq : float or None
        Sampling rate in Hz; None where it is not known yet.
    coefficients : int
        Of the formula; 1 where it is not known yet.

    Raises
    ------
    ValueError
        With the number of unknowns and what lowers it.
    """
    if not -math.inf < lags[0] < lags[1] < math.inf:
        raise ValueError(f"lags: {lags[1]:g} s is not after {lags[0]:g} s: give the first lag, then the last, in s.")
    unknowns = coefficients * number(lags, sfreq) if sfreq else 1
    if not 0 < unknowns <= UNKNOWNS:
        raise ValueError(
            f"lags: {lags[0]:g} to {lags[1]:g} s at {sfreq:g} Hz with {coefficients} "
            f"coefficient{'s' * (coefficients > 1)} are {unknowns} unknowns, of which 1 to {UNKNOWNS} fit: lower "
            "`sfreq` of the selection, shorten `lags` (in seconds), or simplify the formula."
        )


def number(lags, sfreq):
    """Number of lags, from the first to before the last."""
    return math.floor(round((lags[1] - lags[0]) * sfreq, 6) + 0.5)
