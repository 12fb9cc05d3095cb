"""The high-pass filter against the original's output, tones, and what is too short for it."""

import numpy as np
import pytest

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import drifts


def test_highpass_takes_drifts_and_leaves_the_rest(xp):
    sfreq = 250.0
    t = np.arange(int(40 * sfreq)) / sfreq
    drift = 500 + 20 * t + 300 * np.sin(2 * np.pi * 0.1 * t)
    tone = 10 * np.sin(2 * np.pi * 4.0 * t)
    found = _array.to_numpy(drifts.highpass(xp.asarray(np.stack([drift, tone, drift + tone])), sfreq))
    inner = slice(int(6 * sfreq), -int(6 * sfreq))
    assert np.abs(found[0, inner]).max() < 1e-3 * np.ptp(drift)
    np.testing.assert_allclose(found[1, inner], tone[inner], atol=0.01)
    np.testing.assert_allclose(found[2], found[0] + found[1], atol=1e-9)


def test_highpass_refuses_what_it_cannot_do():
    with pytest.raises(Fault, match="widen the transition") as fault:
        drifts.highpass(np.zeros((2, 1000)), 250.0)
    assert fault.value.code == "too-short"
    with pytest.raises(Fault) as fault:
        drifts.highpass(np.zeros((2, 1000)), 1.2)
    assert fault.value.code == "rate-too-low"
    with pytest.raises(ValueError, match="highpass"):
        drifts.highpass(np.zeros((2, 1000)), 250.0, (0.75, 0.25))
