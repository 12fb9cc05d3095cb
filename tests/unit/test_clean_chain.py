"""The whole cleaning of a recording against planted bad channels, bursts, responses and faults."""

import json

import numpy as np
import pytest
import scipy.signal

from hedgerow import _array, clean, recovery, simulate
from hedgerow.account import Fault
from hedgerow.clean import segments


@pytest.fixture(scope="module")
def planted():
    """One simulated recording: signal, names, positions, truth."""
    mne = pytest.importorskip("mne")
    x, table, _, truth = simulate.recording(3, seconds=60.0)
    names = table["name"][table["type"] == "EEG"].tolist()
    places = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    return x[: len(names)], names, np.array([places[name] for name in names]), truth["recording"]


@pytest.fixture(scope="module")
def cleaned(planted):
    x, names, positions, _ = planted
    return clean.clean(x, 250.0, names=names, positions=positions)


def test_shape_and_account(planted, cleaned):
    x, names, _, truth = planted
    y, account = cleaned
    assert y.shape == x.shape and np.isfinite(y).all()
    assert json.loads(json.dumps(account, allow_nan=False)) == account
    assert account["flat"] == [truth["flat"]] and account["uncorrelated"] == [truth["noisy"]]
    assert sorted(account["interpolated"]) == sorted([truth["flat"], truth["noisy"]])
    assert account["reference"] == "average" and account["rank"] == len(names) - 3
    assert account["asr"]["rank"] == len(names) - 2
    assert set(account["asr"]["channel_variance_removed"]) == set(names) - {truth["flat"], truth["noisy"]}
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-9)


def test_bursts_go_by_more_than_ten_decibel(planted, cleaned):
    x, names, positions, truth = planted
    without, _ = clean.clean(x, 250.0, names=names, positions=positions, asr_cutoff=None)
    assert recovery.bursts(without, cleaned[0], 250.0, truth["bursts"], names)["db"] > 10


def test_planted_response_stays(planted, cleaned):
    """The same recording without its response tells what of the response is left: the cleaning is nearly linear."""
    x, names, positions, _ = planted
    null = simulate.recording(3, seconds=60.0, effect=0.0)[0][: len(names)]
    without, _ = clean.clean(null, 250.0, names=names, positions=positions)
    response = x - null
    response = response - response.mean(axis=0)
    assert np.abs(response).max() > 1
    assert 0.9 < ((cleaned[0] - without) * response).sum() / (response**2).sum() < 1.1


def test_a_bad_channel_is_interpolated_from_its_neighbours(planted):
    """A smooth field over the head comes back where a channel is dead."""
    _, names, positions, _ = planted
    t = np.arange(5000) / 250.0
    courses = np.stack([np.sin(2 * np.pi * hz * t) for hz in (3.0, 5.0, 8.0)])
    field = 200 * positions @ courses
    dead = field.copy()
    row = names.index("Cz")
    dead[row] = 12.0
    y, account = clean.clean(dead, 250.0, names=names, positions=positions, asr_cutoff=None, reference=None)
    assert account["interpolated"] == ["Cz"] and account["interpolation"] == "spherical splines"
    inner = slice(1300, -1300)
    assert np.abs(y[row] - field[row])[inner].max() < 0.2 * np.abs(field[row]).max()


def test_bad_channels_are_named_where_they_cannot_be_interpolated(planted):
    x, names, positions, truth = planted
    bad = [truth["flat"], truth["noisy"]]
    for settings, word in (({}, "no positions"), ({"positions": positions, "interpolate": False}, "off")):
        y, account = clean.clean(x, 250.0, names=names, asr_cutoff=None, **settings)
        assert account["interpolation"] == word and account["interpolated"] == []
        good = [i for i, name in enumerate(names) if name not in bad]
        # What stays bad is no part of the average.
        np.testing.assert_allclose(y[good].mean(axis=0), 0, atol=1e-9)
        assert account["rank"] == len(good) - 1
    unknown = positions.copy()
    unknown[names.index(truth["flat"])] = np.nan
    _, account = clean.clean(x, 250.0, names=names, positions=unknown, asr_cutoff=None)
    assert account["interpolated"] == [truth["noisy"]]


def test_named_reference(planted):
    x, names, positions, _ = planted
    kept, _ = clean.clean(x, 250.0, names=names, positions=positions, reference=None)
    y, account = clean.clean(x, 250.0, names=names, positions=positions, reference=["M1", "M2"])
    mastoids = [names.index("M1"), names.index("M2")]
    np.testing.assert_allclose(y, kept - kept[mastoids].mean(axis=0), atol=1e-9)
    assert account["reference"] == ["M1", "M2"]
    with pytest.raises(Fault, match="TP9") as fault:
        clean.clean(x, 250.0, names=names, positions=positions, reference=["TP9"])
    assert fault.value.code == "missing-channel"


def test_every_kind_of_array_gives_the_same(planted, cleaned, xp):
    x, names, positions, _ = planted
    y, account = clean.clean(xp.asarray(x), 250.0, names=names, positions=positions)
    assert type(y) is type(xp.asarray(x))
    np.testing.assert_allclose(_array.to_numpy(y), cleaned[0], atol=1e-9 * np.abs(cleaned[0]).max())
    assert account["asr"]["changed_seconds"] == cleaned[1]["asr"]["changed_seconds"]


def test_already_average_referenced_data_stay_right(planted):
    """Cleaning an average-referenced copy gives the same brain: the last step brings that reference back anyway."""
    x, names, positions, truth = planted
    good = [i for i, name in enumerate(names) if name not in (truth["flat"], truth["noisy"])]
    x, settings = x[good], {"names": [names[i] for i in good], "positions": positions[good], "correlation": None}
    wanted, _ = clean.clean(x, 250.0, **settings)
    found, account = clean.clean(x - x.mean(axis=0), 250.0, **settings)
    assert account["asr"]["rank"] == account["rank"] == len(good) - 1
    assert ((found - wanted) ** 2).mean() < 0.05 * (wanted**2).mean()
    calm = np.ones(x.shape[1], dtype=bool)
    for start, stop in account["asr"]["changed_seconds"]:
        calm[round(start * 250) : round(stop * 250)] = False
    assert calm.mean() > 0.6
    without, _ = clean.clean(x, 250.0, asr_cutoff=None, **settings)
    np.testing.assert_allclose(found[:, calm], without[:, calm], atol=1e-9 * np.abs(without).max())


def test_short_calibration_falls_back_on_the_whole_recording_and_says_so(planted):
    x, names, positions, _ = planted
    _, account = clean.clean(x[:, :4000], 250.0, names=names, positions=positions)
    assert account["asr"]["calibration"] == "whole recording"
    assert account["asr"]["calibration_seconds"] == 16.0


@pytest.mark.parametrize(
    "change, code, words",
    [
        (lambda x: np.where(np.arange(x.shape[1]) == 500, np.nan, x)[:, :], "not-finite", "2.000 s"),
        (lambda x: x[:, :1000], "too-short", "high-pass"),
        (lambda x: np.zeros_like(x), "no-channels", "stand still"),
    ],
)
def test_faults_of_the_recording(planted, change, code, words):
    x, names, _, _ = planted
    with pytest.raises(Fault, match=words) as fault:
        clean.clean(change(x), 250.0, names=names)
    assert fault.value.code == code


def test_too_few_channels_and_too_low_a_rate_are_faults(planted):
    x, names, _, _ = planted
    with pytest.raises(Fault, match="1 good EEG channels") as fault:
        clean.clean(x[:1], 250.0, names=names[:1])
    assert fault.value.code == "no-channels"
    with pytest.raises(Fault, match="rate") as fault:
        clean.clean(x, 30.0, names=names)
    assert fault.value.code == "rate-too-low"


def test_wrong_parameters_name_their_key(planted):
    x, names, positions, _ = planted
    for settings, key in (
        ({"reference": "nose"}, "reference"),
        ({"asr_action": "cut"}, "asr_action"),
        ({"asr_covariance": "cartesian"}, "asr_covariance"),
        ({"line_noise": "comb", "line_hz": 50.0}, "line_noise"),
        ({"asr_cutoff": -1.0}, "asr_cutoff"),
        ({"highpass": (1.0, 0.5)}, "highpass"),
        ({"bad_segments": 25.0}, "bad_segments"),
        ({"names": names[:-1]}, "names"),
        ({"positions": positions[:, :2]}, "positions"),
    ):
        with pytest.raises(ValueError, match=key):
            clean.clean(x, 250.0, **({"names": names} | settings))


def test_slow_waves_make_no_channel_bad_that_is_judged_without_them(planted, rng):
    x, names, positions, truth = planted
    b, a = scipy.signal.butter(2, [0.25, 0.4], "bandpass", fs=250.0)
    slow = scipy.signal.sosfiltfilt(scipy.signal.tf2sos(b, a), rng.standard_normal(x.shape), axis=1)
    slow *= 60 / slow.std(axis=1, keepdims=True)
    settings = {"names": names, "positions": positions, "highpass": (0.05, 0.15), "asr_cutoff": None}
    bad = {truth["flat"], truth["noisy"]}
    _, hidden = clean.clean(x + slow, 250.0, **settings)
    y, account = clean.clean(x + slow, 250.0, judge_highpass=(0.5, 1.0), **settings)
    assert {*account["flat"], *account["noisy"], *account["uncorrelated"]} == bad
    assert {*hidden["flat"], *hidden["noisy"], *hidden["uncorrelated"]} > bad
    # and they stay
    good = [i for i, name in enumerate(names) if name not in bad]
    kept = slow[good] - slow[good].mean(axis=0)
    assert (y[good] * kept).sum() / (kept**2).sum() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_marking_finds_as_much_in_average_referenced_data(rng, kind):
    """Where the rank is low, rounding changes every sample a little: that is no burst."""
    x = 10 * rng.standard_normal((16, 16)) @ rng.standard_normal((16, 15000))
    x[:, 7000:7250] += 2000 * rng.standard_normal((16, 1)) * rng.standard_normal(250)
    x = (x - x.mean(axis=0)).astype(kind)
    settings = {"names": [f"c{i}" for i in range(16)], "correlation": None, "noise_sd": None, "reference": None}
    y, account = clean.clean(x, 250.0, asr_action="mark", **settings)
    assert account["asr"]["rank"] == 15
    assert 0.015 < account["bad_share"] < 0.06
    assert any(start <= 28.1 and stop >= 28.9 for start, stop in account["bad_segments"])
    without, _ = clean.clean(x, 250.0, asr_cutoff=None, **settings)
    np.testing.assert_array_equal(y, without)


def test_a_recording_too_large_for_the_emulated_memory_is_a_fault(planted):
    x, names, positions, _ = planted
    with pytest.raises(Fault, match="asr_memory_mb") as fault:
        clean.clean(x, 250.0, names=names, positions=positions, asr_memory_mb=0.5)
    assert fault.value.code == "memory-too-small"


def test_ica_without_positions_is_a_fault(planted):
    x, names, _, _ = planted
    with pytest.raises(Fault, match="position") as fault:
        clean.clean(x, 250.0, names=names, ica_probability=0.8)
    assert fault.value.code == "no-positions"


def test_a_resampled_recording_is_cleaned_at_its_new_rate(planted):
    x, names, positions, _ = planted
    y, account = clean.clean(x, 250.0, names=names, positions=positions, resample=125.0)
    assert y.shape == (len(names), x.shape[1] // 2)
    assert account["sfreq"] == 125.0 and account["resampled"] == {"from": 250.0, "to": 125.0}
    same, account = clean.clean(x, 249.99999999, names=names, positions=positions, resample=250.0)
    assert account["sfreq"] == 250.0 and account["resampled"] is None and same.shape == x.shape


def test_the_hum_goes_where_its_frequency_is_known_and_stays_with_a_note_otherwise(planted):
    x, names, positions, _ = planted
    hum = 5 * np.sin(2 * np.pi * 50 * np.arange(x.shape[1]) / 250.0)
    settings = {"names": names, "positions": positions, "line_noise": "notch", "asr_cutoff": None, "reference": None}

    def power(y):
        spectrum = np.abs(np.fft.rfft(y[names.index("Cz")]))
        at = round(50 * x.shape[1] / 250)
        return spectrum[at] / np.median(spectrum[at - 60 : at + 60])

    scale = np.linspace(0.5, 1.5, len(names))[:, None]
    stays, account = clean.clean(x + scale * hum, 250.0, **settings)
    assert account["line_noise"]["hz"] is None and "line_hz" in account["line_noise"]["note"]
    gone, account = clean.clean(x + scale * hum, 250.0, line_hz=50.0, **settings)
    assert account["line_noise"]["harmonics"] == [50.0, 100.0]
    assert power(stays) > 50 and power(gone) < 3


# --- segments beyond repair


@pytest.mark.parametrize("recording", ["synth_a", "synth_b"])
def test_bad_segments_without_asr_are_the_originals(shared, recording):
    folder = shared / "golden" / "clean_rawdata" / recording
    given, stages = np.load(folder / "input.npz"), np.load(folder / "stages.npz")
    x = given["data"][stages["flat_mask"].astype(bool).ravel()]
    sfreq, names = float(given["sfreq"]), [f"c{i}" for i in range(len(x))]
    bad = [name for name, good in zip(names, stages["channels_mask"].ravel()) if not good]
    settings = {"flat_seconds": None, "correlation": None, "asr_cutoff": None, "interpolate": False, "reference": None}
    _, account = clean.clean(x, sfreq, names=names, marked=bad, **settings)
    mask = stages["window_mask_final_without_asr"].astype(bool).ravel()
    assert account["bad_segments"] == [[a / sfreq, b / sfreq] for a, b in segments.stretches(~mask)]


#: Nothing but the search for bad segments.
ALONE = {"highpass": None, "flat_seconds": None, "correlation": None, "asr_cutoff": None, "reference": None}


def test_noise_in_every_channel_is_marked_and_stays(rng):
    x = rng.standard_normal((10, 15000))
    x[:, 8000:8500] *= 30
    names = list("abcdefghij")
    y, account = clean.clean(x, 250.0, names=names, **ALONE)
    np.testing.assert_array_equal(y, x)
    ((start, stop),) = account["bad_segments"]
    # 32 to 34 s, and of the windows of 1 s at most what overlaps one of those that touch them
    assert 31.0 <= start <= 32.0 and 34.0 <= stop <= 35.0
    assert account["bad_share"] == pytest.approx((stop - start) / 60.0)
    assert clean.clean(x, 250.0, names=names, **ALONE, bad_segments=1.0)[1]["bad_segments"] == [[start, stop]]


def test_the_share_of_channels_decides(rng):
    x = rng.standard_normal((10, 15000))
    x[:4, 8000:8500] *= 30
    for share, found in ((0.1, 1), (0.25, 1), (0.34, 1), (0.4, 0), (1.0, 0)):
        _, account = clean.clean(x, 250.0, names=list("abcdefghij"), **ALONE, bad_segments=share)
        assert len(account["bad_segments"]) == found, share


def test_bad_segments_are_told_by_the_good_channels_alone(rng):
    x = rng.standard_normal((10, 15000))
    x[:4, 8000:8500] *= 30
    _, account = clean.clean(x, 250.0, names=list("abcdefghij"), marked=list("abcd"), **ALONE)
    assert account["bad_segments"] == []


def test_bad_segments_may_be_off_and_are_not_told_in_short_recordings(planted):
    x, names, positions, _ = planted
    _, account = clean.clean(x, 250.0, names=names, positions=positions, asr_cutoff=None, bad_segments=None)
    assert account["bad_segments"] is None and account["bad_share"] is None
    # 20 windows need 1 + 19 * 0.34 s
    short, least = {"names": names, "asr_cutoff": None, "highpass": None, "correlation": None}, round(250 * 7.47)
    assert clean.clean(x[:, :least], 250.0, **short)[1]["bad_segments"] is not None
    assert clean.clean(x[:, : least - 5], 250.0, **short)[1]["bad_segments"] is None
