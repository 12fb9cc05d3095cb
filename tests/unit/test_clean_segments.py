"""Bad stretches against the original's masks and planted ones; the robust fit against its own distribution."""

import numpy as np
import pytest

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import robust, segments


def test_planted_bursts_are_left_out(xp, rng):
    sfreq, n = 100.0, 24000
    x = rng.standard_normal((10, n))
    x[:, 2000:2300] *= 20
    x[:1, 4000:4300] *= 20  # one channel of ten: within what is allowed (0.075 of 10 rounds to 1)
    kept = _array.to_numpy(segments.keep(xp.asarray(x), sfreq))
    assert not kept[2000:2300].any()
    assert kept[4000:4300].mean() > 0.9
    assert kept[:1900].mean() > 0.9 and kept[2400:].mean() > 0.9


def test_stretches_are_half_open():
    assert segments.stretches([0, 1, 1, 0, 0, 1]) == [(1, 3), (5, 6)]
    assert segments.stretches([1, 1]) == [(0, 2)] and segments.stretches([0, 0]) == [] == segments.stretches([])


def test_too_short_a_recording_is_a_fault():
    with pytest.raises(Fault, match="too short"):
        segments.keep(np.ones((3, 500)), 100.0)


def test_a_channel_without_variation_gives_no_verdict(rng):
    x = rng.standard_normal((8, 6000))
    x[3] = 0.0
    assert segments.keep(x, 100.0).mean() > 0.9


def test_clean_amplitude_sees_through_contamination(xp, rng):
    clean = 10 + rng.standard_normal((4, 4000))
    dirty = clean.copy()
    dirty[:, :1600] += 5 + 40 * rng.random((4, 1600))  # 40 % artefacts
    for amplitudes in (clean, dirty):
        mean, sd = (_array.to_numpy(each) for each in robust.clean_amplitude(xp.asarray(amplitudes)))
        np.testing.assert_allclose(mean, 10, atol=0.4)
        np.testing.assert_allclose(sd, 1, atol=0.35)
    assert np.abs(dirty.mean(axis=1) - 10).min() > 5


def test_clean_amplitude_keeps_its_scale(rng):
    amplitudes = rng.gamma(9, size=(3, 300))
    mean, sd = robust.clean_amplitude(amplitudes)
    scaled = robust.clean_amplitude(amplitudes * 2.0**-20)
    np.testing.assert_array_equal(scaled, [mean * 2.0**-20, sd * 2.0**-20])


def test_median_covariance_is_robust_and_minimal(xp, rng):
    mixing = rng.standard_normal((4, 4))
    x = mixing @ rng.standard_normal((4, 5000))
    x[:, 1000:2000] *= 100
    found = _array.to_numpy(robust.median_covariance(xp.asarray(x), 10))
    assert np.abs(found - mixing @ mixing.T).max() < 0.3 * np.abs(mixing @ mixing.T).max()
    parts = x.reshape(4, 500, 10)
    parts = np.einsum("ibk,jbk->bij", parts, parts) / 10

    def total(centre):
        return np.sqrt(((parts - centre) ** 2).sum(axis=(1, 2))).sum()

    for _ in range(20):
        step = rng.standard_normal((4, 4)) * 0.01 * np.abs(found).max()
        assert total(found + step + step.T) > total(found) * (1 - 1e-9)
