"""The hum of the mains, planted with drifting amplitude and phase, goes; what is planted beside it stays."""

import numpy as np
import pytest
import scipy.signal

from hedgerow import _array, io, simulate
from hedgerow.account import Fault
from hedgerow.clean import drifts, line

SFREQ, SECONDS, CHANNELS = 250.0, 60.0, 16
TIMES = np.arange(int(SFREQ * SECONDS)) / SFREQ


def smooth(rng, hz, shape):
    """Gaussian noise of unit variance that changes no faster than about `hz`."""
    samples = shape[-1]
    shaped = np.fft.rfft(rng.standard_normal((*shape[:-1], 2 * samples)), axis=-1)
    shaped *= np.exp(-((np.fft.rfftfreq(2 * samples, 1 / SFREQ) / hz) ** 2))
    made = np.fft.irfft(shaped, axis=-1)[..., samples // 2 : samples // 2 + samples]
    return made / made.std(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def brain():
    """1/f noise (channels, samples) of 10 µV, alike in neighbouring channels."""
    rng = np.random.default_rng(1)
    hz = np.fft.rfftfreq(len(TIMES), 1 / SFREQ)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal((CHANNELS, len(TIMES)))) / np.maximum(hz, 0.5))
    near = np.exp(-0.5 * np.subtract.outer(np.arange(CHANNELS), np.arange(CHANNELS)) ** 2 / 2.0)
    mixed = near @ noise
    return 10 * mixed / mixed.std()


@pytest.fixture(scope="module")
def hum():
    """50 Hz and its double, by a topography each, whose amplitude and phase drift within seconds."""
    rng = np.random.default_rng(2)
    strength, phase = 10 * np.exp(0.4 * smooth(rng, 0.1, TIMES.shape)), smooth(rng, 0.1, TIMES.shape)
    first, second = rng.standard_normal((2, CHANNELS, 1))
    first = first * np.sin(2 * np.pi * 50 * TIMES + phase)
    return strength * (first + 0.3 * second * np.sin(2 * np.pi * 100 * TIMES + 2 * phase))


def removed(x, method, sfreq=SFREQ, hz=50):
    return line.remove(x, sfreq, hz, method=method)[0]


def excess(x, sfreq, hz, half=0.25):
    """Power within `half` Hz of `hz` over that beside it, in dB, of the channel in the middle."""
    f, power = scipy.signal.welch(x, sfreq, nperseg=int(8 * sfreq), axis=1)
    away = abs(f - hz)
    beside = power[:, (away > 1.2) & (away < 4)].mean(axis=1)
    return float(10 * np.log10(np.median(power[:, away <= half].mean(axis=1) / beside)))


@pytest.mark.parametrize("method", line.METHODS)
def test_hum_that_drifts_goes_by_thirty_decibel_and_the_ends_are_no_exception(brain, hum, method):
    y = removed(brain + hum, method)
    # the notch takes the brain's own part of the band too, whatever the hum
    wanted = removed(brain, method) if method == "notch" else brain
    left = ((y - wanted) ** 2).mean(axis=0)
    assert left.mean() < 1e-3 * (hum**2).mean()
    for end in (slice(0, 250), slice(-250, None)):
        assert left[end].mean() < 0.02 * (hum**2).mean()


@pytest.mark.parametrize("method", line.METHODS)
def test_more_goes_than_with_what_mne_offers(brain, hum, method):
    mne = pytest.importorskip("mne")

    def wrong(y):
        return ((y - brain) ** 2).mean()

    found = wrong(removed(brain + hum, method))
    for other in ("fir", "spectrum_fit"):
        length = "10s" if other == "spectrum_fit" else "auto"
        y = mne.filter.notch_filter(brain + hum, SFREQ, [50, 100], method=other, filter_length=length, verbose="error")
        assert found < wrong(y)


@pytest.mark.parametrize("method", line.METHODS)
def test_a_planted_response_and_an_oscillation_of_40_hz_stay(brain, hum, method):
    place = np.exp(-0.5 * (np.arange(CHANNELS)[:, None] - 5) ** 2 / 4.0)
    response = 6 * place * sum(simulate.course(TIMES - start, 0.3, 0.05) for start in np.arange(2, 58, 2.0))
    wave = 2 * place * np.sin(2 * np.pi * 40 * TIMES) * (np.sin(2 * np.pi * TIMES / 7) > 0)
    without = removed(brain + hum, method)
    for planted, tolerated in ((response, 0.005), (wave, 0.03)):
        found = removed(brain + hum + planted, method) - without
        assert np.sqrt(((found - planted) ** 2).mean() / (planted**2).mean()) < tolerated


def test_zapline_leaves_no_hole_in_the_spectrum_and_the_notch_does(brain, hum):
    before = excess(brain, SFREQ, 50)
    assert excess(brain + hum, SFREQ, 50) > 30
    assert abs(excess(removed(brain + hum, "zapline"), SFREQ, 50) - before) < 1
    assert excess(removed(brain + hum, "notch"), SFREQ, 50) < -20


@pytest.mark.parametrize("method", line.METHODS)
def test_what_lies_beside_the_line_and_the_rank_are_kept(brain, hum, method):
    y = removed(brain + hum, method)
    f, power = scipy.signal.welch(np.stack([brain, y]), SFREQ, nperseg=1000, axis=2)
    for low, high in ((1, 45), (45, 48.5), (51.5, 55), (55, 95)):
        band = power[:, :, (f >= low) & (f <= high)].mean(axis=(1, 2))
        assert abs(band[1] / band[0] - 1) < 0.01
    assert np.linalg.matrix_rank(y) == CHANNELS


def test_zapline_finds_as_many_topographies_as_were_planted_and_none_without_hum(brain, hum):
    assert line.remove(brain + hum, SFREQ, 50, method="zapline")[1]["components"] == [1, 1]
    y, account = line.remove(brain, SFREQ, 50, method="zapline")
    assert account["components"] == [0, 0] and account["variance_removed"] == 0
    np.testing.assert_allclose(y, brain, atol=1e-12)


def test_zapline_takes_next_to_nothing_out_by_chance(rng):
    """White noise, short and of many channels: the largest of many ratios is large, and is known to be."""
    found = []
    for channels, seconds in 5 * ((4, 20), (32, 30), (64, 60)):
        x = rng.standard_normal((channels, int(SFREQ * seconds)))
        found += line.remove(x, SFREQ, 50, method="zapline")[1]["components"]
    assert len(found) == 30 and sum(found) <= 2 and max(found) <= 1


def test_the_notch_has_the_response_that_it_says():
    taps = line.kernel(SFREQ, 50.0)
    f, response = scipy.signal.freqz(taps, worN=np.arange(0, 125, 0.01), fs=SFREQ)
    gain, away = np.abs(response) ** 2, abs(f - 50)
    assert gain[away <= line.STOP].max() < 2e-4  # -74 dB
    assert abs(gain[away >= line.PASS] - 1).max() < 0.03
    assert abs(gain[away >= 10] - 1).max() < 0.002


@pytest.mark.parametrize("method", line.METHODS)
def test_offsets_of_an_amplifier_pass_and_the_input_stays(brain, hum, method):
    x = brain + hum
    before = x.copy()
    np.testing.assert_allclose(removed(x + 2e4, method) - 2e4, removed(x, method), atol=2e-3)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("method", line.METHODS)
def test_channels_in_another_order_and_unit_give_the_same(brain, hum, method, rng):
    x, order = brain + hum, rng.permutation(CHANNELS)
    wanted = removed(x, method)
    np.testing.assert_allclose(removed(1e-6 * x[order], method), 1e-6 * wanted[order], atol=1e-12)


@pytest.mark.parametrize("method", line.METHODS)
def test_every_kind_of_array_gives_the_same(brain, hum, method, xp):
    x = (brain + hum)[:, :5000]
    wanted, said = line.remove(x, SFREQ, 50, method=method)
    y, account = line.remove(xp.asarray(x), SFREQ, 50, method=method)
    assert type(y) is type(xp.asarray(x))
    np.testing.assert_allclose(_array.to_numpy(y), wanted, atol=1e-9 * np.abs(x).max())
    assert account == said | {"variance_removed": pytest.approx(said["variance_removed"])}


@pytest.mark.parametrize("method", line.METHODS)
def test_average_referenced_data_are_cleaned_as_well(brain, hum, method):
    x = brain + hum
    found = removed(x - x.mean(axis=0), method)
    assert np.linalg.matrix_rank(found, tol=1e-8 * np.linalg.norm(found)) == CHANNELS - 1
    wanted = removed(x, method)
    np.testing.assert_allclose(found, wanted - wanted.mean(axis=0), atol=0.05 * brain.std())


def test_the_account_names_harmonics_and_why_there_was_nothing_to_do(brain, hum):
    x = (brain + hum)[:, ::2]
    _, account = line.remove(brain + hum, SFREQ, 50, method="notch")
    assert account["harmonics"] == [50.0, 100.0] and account["note"] is None and account["components"] is None
    assert account["variance_removed"] == pytest.approx((hum**2).mean() / ((brain + hum) ** 2).mean(), rel=0.05)
    y, account = line.remove(x, 100.0, 50, method="zapline")
    assert y is x and account["harmonics"] == [] and "50 Hz is not below half" in account["note"]
    # a harmonic so near to Nyquist that its band reaches over it
    y, account = line.remove(x, 100.6, 50, method="notch")
    assert account["harmonics"] == [50.0] and np.isfinite(y).all()


@pytest.mark.parametrize("method", line.METHODS)
def test_still_channels_and_a_single_one_are_no_fault(brain, hum, method):
    x = (brain + hum)[:3].copy()
    x[1] = 12.0
    y = removed(x, method)
    np.testing.assert_allclose(y[1], 12.0, atol=1e-9)
    np.testing.assert_array_equal(removed(np.zeros((2, 5000)), method), 0)
    assert excess(removed(x[:1], method), SFREQ, 50) < 1


@pytest.mark.parametrize(
    ("hz", "method", "key"),
    [(None, "notch", "line_hz=None"), (0, "notch", "line_hz=0"), (50, "comb", "line_noise='comb'")],
)
def test_parameters_that_make_no_sense_name_their_key(brain, hz, method, key):
    with pytest.raises(ValueError, match=key):
        line.remove(brain, SFREQ, hz, method=method)


@pytest.mark.parametrize("method", line.METHODS)
def test_a_recording_shorter_than_the_filter_needs_is_a_fault(brain, method):
    with pytest.raises(Fault, match="line_noise") as fault:
        line.remove(brain[:, :1400], SFREQ, 50, method=method)
    assert fault.value.code == "too-short"


@pytest.mark.parametrize(
    ("file", "hz", "notched"),
    [
        ("eegmmidb/sub-088/eeg/sub-088_task-motion_run-10", 60, -20),
        ("eegmmidb/sub-001/eeg/sub-001_task-motion_run-3", 60, -20),
        ("ssvep-exo/sub-01/eeg/sub-01_task-ssvep_run-1", 50, -20),
    ],
)
def test_the_hum_of_real_recordings_goes_down_to_its_surroundings(shared, file, hz, notched):
    """64 and 8 channels: with zapline nothing is left above the spectrum's own course, and there is no deep hole."""
    x, sfreq, channels, _ = io.read_raw(shared / f"data/{file}_eeg.edf", shared / f"data/{file}_channels.tsv")
    x = drifts.highpass(x[(channels["type"] == "EEG").to_numpy()], sfreq)
    assert excess(x, sfreq, hz) > 4
    assert -4 < excess(removed(x, "zapline", sfreq, hz), sfreq, hz) < 1
    assert excess(removed(x, "notch", sfreq, hz), sfreq, hz) < notched
