"""Bad channels against the original's masks and planted ones."""

import numpy as np
import pytest

from hedgerow import _array
from hedgerow.clean import channels, drifts


@pytest.mark.parametrize("recording", ["synth_a", "synth_b"])
def test_masks_are_the_originals(shared, recording):
    folder = shared / "golden" / "clean_rawdata" / recording
    given, stages = np.load(folder / "input.npz"), np.load(folder / "stages.npz")
    sfreq = float(given["sfreq"])
    flat = channels.flat(given["data"], sfreq)
    np.testing.assert_array_equal(~flat, stages["flat_mask"].astype(bool).ravel())
    x = drifts.highpass(given["data"][~flat], sfreq)
    np.testing.assert_array_equal(~channels.uncorrelated(x, sfreq), stages["nolocs_mask"].astype(bool).ravel())


def mixed(rng, sfreq, seconds=30, n=12):
    """A dozen channels that see the same three slow sources, each with some noise of its own."""
    sources = rng.standard_normal((3, int(seconds * sfreq)))
    sources = np.stack([np.convolve(s, np.ones(5) / 5, "same") for s in sources])
    return 20 * rng.standard_normal((n, 3)) @ sources + rng.standard_normal((n, sources.shape[1]))


def test_flat_is_a_stretch_longer_than_allowed(xp, rng):
    sfreq = 100.0
    x = rng.standard_normal((5, 2000))
    x[1] = 7.0
    x[2, 300:902] = x[2, 300]  # 601 steps of zero: more than 5 s
    x[3, 300:801] = x[3, 300]  # 500 steps of zero: 5 s exactly
    x[4, ::2] = x[4, 1::2]  # stands still every other step only
    bad = channels.flat(xp.asarray(x), sfreq)
    assert _array.to_numpy(bad).tolist() == [False, True, True, False, False]


def test_flat_needs_a_long_enough_recording(rng):
    assert channels.flat(np.zeros((2, 100)), 100.0).tolist() == [False, False]


@pytest.mark.parametrize("sfreq", [90.0, 105.0, 128.0, 160.0, 250.0])
def test_a_channel_of_its_own_is_found_and_hum_hides_nothing(xp, rng, sfreq):
    x = mixed(rng, sfreq)
    x[4] = 30 * rng.standard_normal(x.shape[1])
    x[7, : int(0.4 * x.shape[1])] = 30 * rng.standard_normal(int(0.4 * x.shape[1]))  # less than half of the time
    if sfreq > 100:
        x += 200 * np.sin(2 * np.pi * 50 * np.arange(x.shape[1]) / sfreq)
    bad = channels.uncorrelated(xp.asarray(x), sfreq)
    assert np.flatnonzero(_array.to_numpy(bad)).tolist() == [4]
    if sfreq > 100:
        assert not channels.uncorrelated(x, sfreq, line_noise_aware=False).any()


def test_uncorrelated_ignores_scale_sign_and_order(rng):
    x = mixed(rng, 128.0)
    x[4] = rng.standard_normal(x.shape[1])
    order = rng.permutation(12)
    scale = rng.choice([-1000.0, 0.001, 1.0], 12)[:, None]
    wanted = channels.uncorrelated(x, 128.0)
    np.testing.assert_array_equal(channels.uncorrelated((x * scale)[order], 128.0), wanted[order])
    assert wanted.sum() == 1
