"""Welch spectra: against scipy, a planted sine, batches, libraries."""

import numpy as np
import pytest
import scipy.signal

from hedgerow import _array, spectra


@pytest.mark.parametrize(
    ("seconds", "overlap", "taper"), [(None, 0.5, "hann"), (0.5, 0.5, "hann"), (0.41, 0.3, "hamming")]
)
@pytest.mark.parametrize("samples", [250, 251])
def test_equals_scipy(xp, rng, seconds, overlap, taper, samples):
    x = 20 * rng.normal(size=(6, 4, samples)) + 100
    length = samples if seconds is None else round(seconds * 250)
    freqs, expected = scipy.signal.welch(
        x, 250.0, window=taper, nperseg=length, noverlap=int(overlap * length), detrend="constant"
    )
    ours, power = spectra.psd(xp.asarray(x), 250.0, seconds=seconds, overlap=overlap, taper=taper)
    np.testing.assert_allclose(ours, freqs, rtol=1e-14)
    np.testing.assert_allclose(_array.to_numpy(power), expected, rtol=1e-11, atol=1e-12 * expected.max())


def test_float32_and_kind(xp, rng):
    x = rng.normal(size=(3, 2, 500)).astype(np.float32)
    _, power = spectra.psd(xp.asarray(x), 250.0, seconds=1.0)
    assert power.dtype == xp.float32 and type(power) is type(xp.asarray(x))
    expected = scipy.signal.welch(x.astype(float), 250.0, nperseg=250)[1]
    np.testing.assert_allclose(_array.to_numpy(power), expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_whole_numbers_and_continuous_signal(rng):
    x = rng.integers(-50, 50, size=(3, 2000))
    freqs, power = spectra.psd(x, 200.0, seconds=2.0)
    expected = scipy.signal.welch(x.astype(float), 200.0, nperseg=400)
    np.testing.assert_allclose(power, expected[1], rtol=1e-11, atol=1e-12)
    assert power.shape == (3, freqs.size)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_batches_change_no_bit(rng, batch):
    x = rng.normal(size=(7, 3, 300))
    assert np.array_equal(spectra.psd(x, 250.0, seconds=0.4, batch=batch)[1], spectra.psd(x, 250.0, seconds=0.4)[1])


def test_power_of_a_planted_sine(rng):
    """A sine of 10 µV has 50 µV², at its own frequency."""
    time = np.arange(1000) / 250
    freqs, power = spectra.psd((10 * np.sin(2 * np.pi * 10 * time) + 300)[None, None], 250.0, seconds=2.0)
    assert freqs[np.argmax(power[0, 0])] == 10
    assert np.sum(power[0, 0]) * (freqs[1] - freqs[0]) == pytest.approx(50, rel=1e-6)


def test_band_is_inclusive(rng):
    x = rng.normal(size=(2, 2, 1000))
    freqs, power = spectra.psd(x, 250.0, seconds=2.0, fmin=8, fmax=13)
    assert (freqs[0], freqs[-1], freqs.size) == (8, 13, 11)
    every, whole = spectra.psd(x, 250.0, seconds=2.0)
    assert np.array_equal(power, whole[..., (every >= 8) & (every <= 13)])
    odd, _ = spectra.psd(x, 160.1, seconds=1.0, fmax=0.1 * 160.1)
    assert odd.size == np.flatnonzero(np.fft.rfftfreq(160, 1 / 160.1) <= 0.1 * 160.1 + 1e-9).size


def test_no_window_gives_an_empty_spectrum():
    freqs, power = spectra.psd(np.zeros((0, 4, 250), dtype=np.float32), 250.0)
    assert power.shape == (0, 4, freqs.size) and power.dtype == np.float32


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"seconds": 3.0}, "longer than the windows"),
        ({"seconds": 0.004}, "at least two"),
        ({"overlap": 1.0}, "overlap: 1.0"),
        ({"fmin": 200}, "no frequency lies"),
        ({"fmin": 10.2, "fmax": 10.4, "seconds": 1.0}, "no frequency lies"),
    ],
)
def test_refuses(keys, sentence):
    with pytest.raises(ValueError, match=sentence):
        spectra.psd(np.zeros((1, 1, 500)), 250.0, **keys)


def test_prominence_finds_the_planted_rhythm(xp):
    rng = np.random.default_rng(3)
    t = np.arange(1024) / 128
    power = {13.0: 0, 17.0: 1, 21.0: 2}
    x = np.stack([rng.normal(size=(2, t.size)) + np.sin(2 * np.pi * f * t) for f in power])
    freqs, psd = spectra.psd(xp.asarray(x), 128.0)
    found = _array.to_numpy(spectra.prominence(freqs, psd, list(power)))
    assert found.shape == (3, 3)
    assert (found.argmax(axis=1) == [0, 1, 2]).all()
    at = int(np.argmin(np.abs(freqs - 13)))
    near = [k for k, f in enumerate(freqs) if 0.5 <= abs(f - 13) <= 1.0]
    host = _array.to_numpy(psd)[0]
    expected = np.log10(host[:, at] / host[:, near].mean(axis=1)).mean()
    single = _array.to_numpy(spectra.prominence(freqs, psd, [13.0], harmonics=1))
    assert single[0, 0] == pytest.approx(expected, rel=1e-12)


def test_prominence_refuses_what_it_cannot_see():
    freqs, psd = np.arange(5.0, 30.0), np.ones((1, 25))
    with pytest.raises(ValueError, match="40 Hz is not within 5 to 29 Hz"):
        spectra.prominence(freqs, psd, [40.0])
    with pytest.raises(ValueError, match="no frequency lies"):
        spectra.prominence(freqs, psd, [10.0], beside=0.4, gap=0.2)
