"""Another sampling rate: planted tones against what they must be, and another library's filter of the same taps."""

import numpy as np
import pytest
import scipy.signal

from hedgerow import _array, montage, rate
from hedgerow.account import Fault

RATES = [(250.0, 128.0), (256.0, 128.0), (160.0, 128.0), (512.0, 100.0), (499.9, 128.0), (1000.0, 250.0)]
#: Two rates whose ratio is no fraction of small numbers.
ODD = (100 * np.pi, 101.3)


def tone(hz, sfreq, seconds=60.0, phase=0.3):
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * sfreq)) / sfreq + phase)[None]


def inner(y, to):
    """Without the two seconds at either end, where a tone is mirrored."""
    return y[:, int(2 * to) : -int(2 * to)]


@pytest.mark.parametrize(("sfreq", "to"), [*RATES, ODD])
@pytest.mark.parametrize("share", [0.02, 0.2, 0.4, 0.42])
def test_tones_of_the_pass_band_come_through_unchanged_and_at_their_times(sfreq, to, share):
    """1e-3 is the ripple of the filter; a shift by a thousandth of a sample would be 2.5e-3 at 0.4 of the rate."""
    y, hz = rate.resample(tone(share * to, sfreq), sfreq, to), share * to
    wanted, beside = (np.sin(2 * np.pi * hz * np.arange(y.shape[1]) / to + phase)[None] for phase in (0.3, 1.3))
    parts = np.concatenate([inner(wanted, to), inner(beside, to)])
    (along, across), *_ = np.linalg.lstsq(parts.T, inner(y, to)[0])
    assert abs(along - 1) < 1e-3
    assert abs(across) / (2 * np.pi * share) < 1e-3  # samples, as the phase is small
    np.testing.assert_allclose(inner(y, to), inner(wanted, to), atol=1e-3)


@pytest.mark.parametrize(("sfreq", "to"), [*RATES, ODD])
def test_nothing_is_folded_back(sfreq, to):
    for hz in np.linspace(0.505 * to, min(1.9 * to, 0.495 * sfreq), 7):
        assert np.abs(inner(rate.resample(tone(hz, sfreq), sfreq, to), to)).max() < 2e-4  # 74 dB


def test_numbers_are_those_of_polyphase_resampling_with_the_same_taps(rng):
    x = rng.standard_normal((3, 5000))
    taps = scipy.signal.firwin(2 * 32 * 4 + 1, 0.92 * 125, fs=1000.0, window=("kaiser", scipy.signal.kaiser_beta(80)))
    wanted = scipy.signal.resample_poly(x, 1, 4, axis=1, window=taps)
    # what lies above half the new rate, 80 dB down, is cut off here and folded back there
    np.testing.assert_allclose(rate.resample(x, 1000.0, 250.0)[:, 80:-80], wanted[:, 80:-80], atol=2e-4)


@pytest.mark.parametrize(("samples", "sfreq", "to", "count"), [(1001, 250.0, 125.0, 501), (999, 100.0, 64.0, 639)])
def test_the_length_is_rounded_with_halves_upwards(samples, sfreq, to, count):
    x = np.ones((2, samples))
    assert rate.resample(x, sfreq, to).shape == rate.nearest(x, sfreq, to).shape == (2, count)


def test_offsets_and_drifts_make_no_steps_at_the_ends(rng):
    """An amplifier's offset of 20 mV under an EEG of some µV, and a drift: the ends are as right as the rest."""
    t = np.arange(20000) / 1000.0
    slow = np.stack([scipy.signal.filtfilt(*scipy.signal.butter(4, 0.08), rng.standard_normal(20000))])
    x = slow + 2e4 + 30 * t
    y = rate.resample(x, 1000.0, 250.0)
    np.testing.assert_allclose(y[:, 5:-5], x[:, ::4][:, 5:-5], atol=1e-3)
    np.testing.assert_allclose(y, x[:, ::4], atol=0.1 * slow.std())
    np.testing.assert_allclose(rate.resample(7 + 0 * x, 1000.0, 128.0), 7.0, atol=1e-9)


@pytest.mark.parametrize("samples", [1, 2, 30, 400])
def test_short_signals_are_resampled_too(samples):
    t = np.arange(samples) / 500.0
    y = rate.resample(5 + 3 * t[None], 500.0, 100.0)
    np.testing.assert_allclose(y, 5 + 3 * np.arange(y.shape[1])[None] / 100.0, atol=1e-9)


def test_every_kind_of_array_gives_the_same(xp, rng):
    x = rng.standard_normal((3, 1500)).cumsum(axis=1)
    for to in (128.0, 77.7):
        y = rate.resample(xp.asarray(x), 250.0, to)
        assert type(y) is type(xp.asarray(x))
        np.testing.assert_allclose(_array.to_numpy(y), rate.resample(x, 250.0, to), atol=1e-10)
    np.testing.assert_array_equal(_array.to_numpy(rate.nearest(xp.asarray(x), 250.0, 77.7)), rate.nearest(x, 250, 77.7))


def test_channels_do_not_mix_and_groups_of_them_change_nothing(rng, monkeypatch):
    x = rng.standard_normal((7, 3000))
    wanted = rate.resample(x, 250.0, 100.0)
    monkeypatch.setattr(rate, "_GROUP", 8000)
    np.testing.assert_array_equal(rate.resample(x, 250.0, 100.0), wanted)
    np.testing.assert_allclose(rate.resample(x[3:4], 250.0, 100.0), wanted[3:4], atol=1e-14)


def test_triggers_keep_their_codes_and_times():
    codes = np.zeros((1, 5000), dtype=np.int64)
    codes[0, 1000:1020], codes[0, 3001:3021] = 7, 130
    found = rate.nearest(codes, 1000.0, 256.0)
    assert found.dtype == codes.dtype and set(found[0]) == {0, 7, 130}
    for code, start in ((7, 1.000), (130, 3.001)):
        assert abs(np.flatnonzero(found[0] == code)[0] / 256 - start) <= 1 / 256


def test_the_same_rate_changes_nothing_and_a_higher_one_is_a_fault():
    x = np.arange(20.0).reshape(2, 10)
    assert rate.resample(x, 250.0, 250.0) is x
    np.testing.assert_array_equal(rate.nearest(x, 250.0, 250.0), x)
    for function in (rate.resample, rate.nearest):
        with pytest.raises(Fault, match="has 250 Hz, 300 Hz are asked for: lower `resample`") as fault:
            function(x, 250.0, 300.0)
        assert fault.value.code == "rate-too-low"
        with pytest.raises(ValueError, match="sfreq"):
            function(x, 250.0, 0.0)


def test_rates_that_differ_by_rounding_are_one(rng):
    """A file holds 240 Hz as an interval in µs, which reads as a little less."""
    x = rng.standard_normal((2, 500))
    for read, meant in ((239.99999999999997, 240.0), (220.00000000000003, 220.0), (249.99999, 250.0)):
        assert rate.resample(x, read, meant) is x and rate.nearest(x, read, meant) is x
        y, sfreq = montage.resample(x, read, meant)
        assert y is x and sfreq == meant
    with pytest.raises(Fault, match="lower `resample` of the recipe or `sfreq` of the selection"):
        rate.resample(x, 249.9, 250.0)
