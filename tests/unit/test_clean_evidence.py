"""What the cleaning took out, against signals of which it is known; and files of the same bytes."""

import io
import time

import numpy as np
import pytest
import scipy.signal

from hedgerow import _array
from hedgerow.clean import evidence

SFREQ = 250.0
NAMES = [f"E{k}" for k in range(6)]


def _sines(rng, seconds=60.0, sfreq=SFREQ):
    """Six channels of noise with 6, 10, 20 and 60 Hz, and the parts of each frequency, in µV."""
    t = np.arange(round(seconds * sfreq)) / sfreq
    parts = {f: 10 * np.sin(2 * np.pi * (f * t + rng.random((6, 1)))) for f in (6.0, 10.0, 20.0, 60.0)}
    return rng.normal(scale=0.01, size=(6, t.size)) + sum(parts.values()), parts


def test_each_band_has_its_own_share_removed(rng):
    x, parts = _sines(rng)
    y = x - 0.5 * parts[10.0]  # a quarter of alpha's power, in all channels
    y[2] -= parts[20.0][2]  # all of beta, in one channel
    account, arrays = evidence.gather(x, y, SFREQ, NAMES)
    bands = account["bands"]
    assert bands["alpha"]["removed"] == pytest.approx(0.25, abs=1e-3)
    assert bands["beta"]["removed"] == pytest.approx(1 / 6, abs=1e-3)
    assert (bands["beta"]["channel"], bands["beta"]["worst"]) == ("E2", pytest.approx(1, abs=1e-3))
    # what the taper of a segment lets through at 4 Hz from 10 Hz is all that the others may have
    assert bands["theta"]["removed"] < 1e-4 and bands["high"]["removed"] < 1e-4 and bands["high"]["hz"] == [45, 125]
    # 50 µV² of each of four frequencies
    assert account["variance_removed"] == pytest.approx((6 * 12.5 + 50) / (6 * 200), rel=1e-3)
    np.testing.assert_allclose(arrays["removed"][[0, 2]], [1 / 16, 62.5 / 200], rtol=2e-3)


def test_the_spectra_are_those_of_scipy(rng):
    x, parts = _sines(rng)
    _, arrays = evidence.gather(x, x - parts[10.0], SFREQ, NAMES)
    for name, signal in (("psd_before", x), ("psd_after", x - parts[10.0])):
        frequency, expected = scipy.signal.welch(signal, SFREQ, nperseg=500)
        np.testing.assert_array_equal(arrays["frequency"], frequency)
        # half precision: 2**-11 of at most 128 dB
        np.testing.assert_allclose(arrays[name].astype(float), 10 * np.log10(expected), atol=0.0626)


def test_every_kind_of_array_gives_the_same(rng, xp):
    x, parts = _sines(rng, seconds=20)
    y = x.copy()
    y[1, 1000:3000] -= parts[6.0][1, 1000:3000]
    account, arrays = evidence.gather(x, y, SFREQ, NAMES)
    there, others = evidence.gather(xp.asarray(x), xp.asarray(y), SFREQ, NAMES)
    assert there["worst_seconds"] == account["worst_seconds"]
    assert there["bands"]["theta"]["removed"] == pytest.approx(account["bands"]["theta"]["removed"], rel=1e-12)
    for name, values in arrays.items():
        assert type(others[name]) is type(values)
        if values.dtype.kind in "fi":
            # rounding may fall to either side
            np.testing.assert_allclose(others[name].astype(float), values.astype(float), rtol=1e-3, atol=1)


def test_the_worst_seconds_are_where_most_went_and_channels_those_that_lost_most(rng):
    x = rng.normal(size=(40, 60 * 250))
    y = x.copy()
    burst = np.hanning(500) * 300
    y[3, 10000:10500] -= burst  # at 40 to 42 s
    y[5, 2000:2500] -= burst / 2
    names = [f"E{k}" for k in range(40)]
    account, arrays = evidence.gather(x, y, SFREQ, names)
    start, stop = account["worst_seconds"]
    assert start < 40 and stop > 42 and stop - start == pytest.approx(10)
    assert arrays["trace_rows"].size == evidence.MOST and 3 in arrays["trace_rows"]
    assert account["samples_changed"] == pytest.approx(2 * 498 / 15000, abs=1e-12)  # hanning ends in zeros
    assert account["channels_changed"] == 2 / 40
    shown = dict(zip(arrays["trace_rows"], (arrays["trace_before"] - arrays["trace_after"]) * arrays["trace_scale"]))
    rate = float(arrays["trace_sfreq"])
    assert rate == 125 and shown[3].size == 1250
    peak = np.argmax(shown[3]) / rate + start
    assert peak == pytest.approx(41, abs=0.02) and shown[3].max() == pytest.approx(300, rel=0.01)


@pytest.mark.parametrize("sfreq", [100.0, 160.0, 250.0, 512.0, 5000.0])
def test_traces_are_slow_without_aliases(sfreq):
    t = np.arange(round(12 * sfreq)) / sfreq
    slow = 20 * np.sin(2 * np.pi * 5 * t)
    x = np.stack([slow, slow + (50 * np.sin(2 * np.pi * 0.45 * sfreq * t) if sfreq >= 500 else 0)])
    _, arrays = evidence.gather(x, 0 * x, sfreq, ["a", "b"])
    rate = float(arrays["trace_sfreq"])
    assert 75 <= rate <= 160
    traces = arrays["trace_before"] * arrays["trace_scale"]
    inner = slice(25, -25)
    at = evidence._worst((x**2).sum(axis=0), round(10 * sfreq))[0] / sfreq + np.arange(traces.shape[1]) / rate
    np.testing.assert_allclose(traces[:, inner], np.tile(20 * np.sin(2 * np.pi * 5 * at), (2, 1))[:, inner], atol=0.25)


@pytest.mark.parametrize("samples", [1, 2, 100, 2499, 2500, 2501])
def test_recordings_of_any_length(rng, samples):
    x = rng.normal(size=(4, samples))
    account, arrays = evidence.gather(x, 0.5 * x, SFREQ, NAMES[:4])
    start, stop = account["worst_seconds"]
    assert 0 <= start < stop <= samples / SFREQ and stop - start <= 10
    assert account["variance_removed"] == pytest.approx(0.25 if samples > 1 else 0)
    assert all(np.isfinite(values).all() for name, values in arrays.items() if name not in ("names", "positions"))


def test_nothing_changed_and_one_changed_sample(rng):
    x = rng.normal(size=(6, 30 * 250))
    x[4] = 0.0
    account, arrays = evidence.gather(x, x.copy(), SFREQ, NAMES)
    assert account["variance_removed"] == account["samples_changed"] == account["channels_changed"] == 0
    assert all(band["removed"] == band["worst"] == 0 for band in account["bands"].values())
    assert all(np.isfinite(values).all() for name, values in arrays.items() if name not in ("names", "positions"))
    y = x.copy()
    y[1, 5000] += 5
    account, _ = evidence.gather(x, y, SFREQ, NAMES)
    assert account["samples_changed"] == 1 / 7500 and account["channels_changed"] == 1 / 6
    start, stop = account["worst_seconds"]
    assert (start, stop) == (pytest.approx(15, abs=0.01), pytest.approx(25, abs=0.01))  # the sample in the middle
    # rounding, as a projection on all components leaves it, is no change
    account, _ = evidence.gather(x, x * (1 + 1e-14), SFREQ, NAMES)
    assert account["samples_changed"] == 0


def test_bands_above_the_nyquist_frequency_are_left_out(rng):
    x = rng.normal(size=(3, 2000))
    bands = evidence.gather(x, 0 * x, 50.0, NAMES[:3])[0]["bands"]
    assert list(bands) == ["delta", "theta", "alpha", "beta"] and bands["beta"]["hz"] == [13, 25]


def test_scale_and_sign_of_the_signal_change_no_share(rng):
    x, parts = _sines(rng, seconds=20)
    y = x - 0.3 * parts[10.0]
    one, other = (evidence.gather(a * x, a * y, SFREQ, NAMES)[0] for a in (1.0, -1e3))
    for name, band in one["bands"].items():
        assert other["bands"][name]["removed"] == pytest.approx(band["removed"], rel=1e-9)
    assert other["worst_seconds"] == one["worst_seconds"] and other["samples_changed"] == one["samples_changed"]


def test_the_file_has_the_same_bytes_at_any_time_and_is_small(rng, monkeypatch):
    x = rng.normal(size=(64, 5000))
    _, arrays = evidence.gather(x, 0.9 * x, SFREQ, [f"E{k}" for k in range(64)], rng.normal(size=(64, 3)))
    files = []
    for now in (1e9, 1.7e9):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        file = io.BytesIO()
        evidence.write(file, arrays)
        files.append(file.getvalue())
    assert files[0] == files[1] and len(files[0]) < 200e3


def test_nothing_is_written_into_what_is_given(rng, xp):
    x = xp.asarray(rng.normal(size=(3, 1000)))
    y = 0.5 * x
    kept = [_array.to_numpy(each).copy() for each in (x, y)]
    evidence.gather(x, y, SFREQ, NAMES[:3])
    for each, before in zip((x, y), kept):
        np.testing.assert_array_equal(_array.to_numpy(each), before)
