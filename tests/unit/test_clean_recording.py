"""One recording's way through the cleaning: what is touched, what the channel table and the sidecar say."""

import numpy as np
import pytest

from hedgerow import io, simulate
from hedgerow.account import Fault
from hedgerow.clean.recording import _of_steps, masks, recording, sidecar


@pytest.fixture
def raw():
    x, channels, _, planted = simulate.recording(1, channels=8, seconds=30)
    channels[["status", "status_description"]] = ["good", "n/a"]
    return x, channels, planted["recording"]


def test_other_channels_pass_untouched_and_bad_ones_say_what_was_done(raw):
    x, channels, planted = raw
    y, table, account, _ = recording(x, 250.0, channels, positions=io.positions(channels["name"]), notes=["odd"])
    other = (channels["type"] != "EEG").to_numpy()
    assert np.array_equal(y[other], x[other]) and not np.array_equal(y[~other], x[~other])
    assert account["untouched"] == ["EOG"] and account["notes"] == ["odd"]
    assert account["flat"] == [planted["flat"]] and account["uncorrelated"] == [planted["noisy"]]
    said = table.set_index("name")
    assert said.loc[planted["flat"], "status_description"] == "flat, interpolated"
    assert said.loc[planted["noisy"], "status"] == "good"


def test_bad_channels_that_stay_are_noted_and_stay_bad(raw):
    x, channels, planted = raw
    nowhere = np.full((len(channels), 3), np.nan)
    _, table, account, _ = recording(x, 250.0, channels, positions=nowhere)
    assert len(account["notes"]) == 1 and planted["flat"] in account["notes"][0]
    assert "no position known" in account["notes"][0]
    bad = table["name"][table["status"] == "bad"].tolist()
    assert sorted(bad) == sorted([planted["flat"], planted["noisy"]])


def test_a_channel_marked_in_the_raw_data_is_mended(raw):
    x, channels, _ = raw
    channels.loc[channels["name"] == "Cz", "status"] = "bad"
    _, table, account, _ = recording(x, 250.0, channels, positions=io.positions(channels["name"]))
    assert account["marked"] == ["Cz"] and "Cz" in account["interpolated"]
    assert table.set_index("name").loc["Cz", "status_description"] == "marked as bad in the raw data, interpolated"


def test_a_recording_without_eeg_is_a_fault(raw):
    x, channels, _ = raw
    channels["type"] = "MISC"
    with pytest.raises(Fault, match="no channel is of type EEG"):
        recording(x, 250.0, channels, positions=io.positions(channels["name"]))


def test_the_sidecar_tells_the_filters_and_keeps_the_session(raw):
    x, channels, _ = raw
    y, table, account, _ = recording(x, 250.0, channels, positions=io.positions(channels["name"]), asr_cutoff=None)
    given = {"TaskName": "sounds", "PowerLineFrequency": 60, "EEGReference": "nose", "RecordingDuration": 99}
    said = sidecar(given, "a", y, table, account, version="1")
    assert said["TaskName"] == "sounds" and said["PowerLineFrequency"] == 60 and said["EEGReference"] == "average"
    assert said["RecordingDuration"] == 30.0 and said["EEGChannelCount"] == 10 and said["EOGChannelCount"] == 1
    assert "high-pass" in said["SoftwareFilters"] and "artifact subspace reconstruction" not in said["SoftwareFilters"]
    assert said["Sources"] == ["bids:raw:a"]


def test_a_recording_too_short_to_tell_bad_segments_says_so(raw):
    x, channels, _ = raw
    short = {"highpass": None, "asr_cutoff": None, "correlation": None, "flat_seconds": None}
    where = io.positions(channels["name"])
    _, _, account, _ = recording(x[:, :1500], 250.0, channels, positions=where, **short)
    assert account["bad_segments"] is None and account["notes"] == [
        "bad segments are not told in 6.0 s: the recording is too short"
    ]
    _, _, account, _ = recording(x[:, :1500], 250.0, channels, positions=where, **short, bad_segments=None)
    assert account["notes"] == []


def test_the_account_tells_what_went_and_the_arrays_show_it(raw):
    x, channels, planted = raw
    _, _, account, arrays = recording(x, 250.0, channels, positions=io.positions(channels["name"]))
    good = list(channels["name"][channels["type"] == "EEG"])
    good = [name for name in good if name not in (planted["flat"], planted["noisy"])]
    assert account["good"] == good == arrays["names"].tolist()
    np.testing.assert_allclose(arrays["positions"], io.positions(good), rtol=1e-6)
    # the same signals, so the same sums as those of ASR, but for the mean
    assert account["variance_removed"] == pytest.approx(account["asr"]["variance_removed"], rel=1e-3)
    assert account["samples_changed"] == pytest.approx(account["asr"]["changed"], abs=0.01)
    assert set(account["bands"]) == {"delta", "theta", "alpha", "beta", "gamma", "high"}
    # muscle bursts are what the simulation plants
    assert account["bands"]["gamma"]["removed"] > 10 * account["bands"]["alpha"]["removed"] > 0


def test_masks_are_sorted_and_named_so_that_only_the_bad_ones_are_rejected():
    account = {"bad_segments": [[8.0, 9.5]], "asr": {"changed_seconds": [[1.25, 1.5], [9.0, 10.000000001]]}}
    found = masks(account)
    assert found.to_dict("list") == {
        "onset": [1.25, 8.0, 9.0],
        "duration": [0.25, 1.5, 1.0],
        "trial_type": ["asr_repaired", "BAD_segment", "asr_repaired"],
    }
    assert masks({"bad_segments": None, "asr": None}).empty
    account["asr"]["action"] = "mark"
    assert set(masks(account)["trial_type"]) == {"BAD_segment"}
    assert list(masks({"bad_segments": [], "asr": None})) == ["onset", "duration", "trial_type"]


def test_a_noisy_channel_is_told_as_such(raw):
    x, channels, planted = raw
    _, _, account, _ = recording(x, 250.0, channels, positions=io.positions(channels["name"]), interpolate=False)
    account |= {"noisy": [planted["noisy"]], "uncorrelated": []}
    from hedgerow.clean import recording as module

    table = module._statuses(channels, account, {}).set_index("name")
    assert table.loc[planted["noisy"], ["status", "status_description"]].tolist() == ["bad", "noisy"]
    assert planted["noisy"] in module._left(account)[0]


def test_the_sidecar_tells_every_filter_in_its_order(raw):
    x, channels, _ = raw
    y, table, account, _ = recording(x, 250.0, channels, positions=io.positions(channels["name"]))
    account |= {"resampled": {"from": 500.0, "to": 250.0}, "line_noise": {"method": "notch", "hz": 50.0}}
    account |= {"ica": {"components": 12, "removed": [0, 3], "threshold": 0.9}}
    filters = sidecar({}, "a", y, table, account, version="1")["SoftwareFilters"]
    assert list(filters)[1:] == [
        "resampling", "high-pass", "line noise removal", "artifact subspace reconstruction",
        "independent component analysis",
    ]  # fmt: skip
    assert filters["resampling"] == {"from (Hz)": 500.0, "to (Hz)": 250.0}
    assert filters["line noise removal"] == {"method": "notch", "frequencies (Hz)": [50.0]}
    account["line_noise"]["note"], account["asr"]["action"] = "nothing to do", "mark"
    left = {"line noise removal", "artifact subspace reconstruction"}
    assert not left & set(sidecar({}, "a", y, table, account, version="1")["SoftwareFilters"])


@pytest.mark.parametrize(("said", "hz"), [(50, 50.0), (60.0, 60.0), ("n/a", None), (None, None), (0, None)])
def test_the_sidecar_of_the_raw_data_tells_the_mains(raw, said, hz):
    x, channels, _ = raw
    x = x + 5 * np.sin(2 * np.pi * (hz or 50) * np.arange(x.shape[1]) / 250)
    given = {"positions": io.positions(channels["name"]), "asr_cutoff": None, "line_noise": "notch"}
    _, _, account, _ = recording(x, 250.0, channels, raw={"PowerLineFrequency": said}, **given)
    assert account["line_noise"]["hz"] == hz
    # no note where it went, and one that names the key where nobody knows it
    assert [note for note in account["notes"] if "line_hz" in note] == ([] if hz else account["notes"])
    assert bool(hz) == bool(account["notes"] == [])
    _, _, account, _ = recording(x, 250.0, channels, raw={"PowerLineFrequency": said}, **given, line_hz=40.0)
    assert account["line_noise"]["hz"] == 40.0  # the recipe has the last word


def test_other_channels_follow_to_the_rate_of_the_clean_signal(raw, monkeypatch):
    """As where the recipe resamples: triggers keep their codes, and what is not a number stays where it is."""
    from hedgerow.clean import recording as module

    def halved(x, sfreq, *, names, witness, **_):
        witness(x[:, ::2], x[:, ::2])
        return x[:, ::2], account | {"sfreq": sfreq / 2, "good": names, "interpolated": []}

    x, channels, _ = raw
    _, _, account, _ = recording(x, 250.0, channels, positions=io.positions(channels["name"]), asr_cutoff=None)
    t = np.arange(x.shape[1]) / 250
    x = np.vstack([x, np.repeat([0, 7, 0, 255], [2000, 2, 3000, 2498]), np.sin(2 * np.pi * t)])
    x[-1, 400] = np.nan
    channels = channels.reindex(range(len(x)))
    channels.loc[len(x) - 2 :, "name"], channels.loc[len(x) - 2 :, "type"] = ["STI", "GSR"], ["TRIG", "MISC"]
    x[channels["type"] == "EOG"] = 100 * np.sin(2 * np.pi * 3 * t)
    monkeypatch.setattr(module, "clean", halved)
    y, _, _, _ = recording(x, 250.0, channels, positions=io.positions(channels["name"]))
    assert y.shape == (len(x), x.shape[1] // 2)
    eog = y[channels["type"] == "EOG"][0]
    np.testing.assert_allclose(eog[100:-100], 100 * np.sin(2 * np.pi * 3 * t[::2])[100:-100], atol=0.05)
    assert np.array_equal(y[-2], x[-2, ::2]) and set(y[-2]) == {0, 7, 255}
    assert np.isnan(y[-1]).sum() == 1 and np.isnan(y[-1, 200])


def test_notes_of_steps_go_to_the_account():
    account = {"line_noise": {"note": "no mains"}, "ica": {"notes": ["short", "slow"]}}
    assert _of_steps(account) == ["no mains", "short", "slow"]
    assert _of_steps({"line_noise": {"note": None}, "ica": None}) == []


def test_what_a_low_rate_cannot_tell_is_noted(raw):
    x, channels, _ = raw
    known = {"positions": io.positions(channels["name"]), "asr_cutoff": None, "resample": 100.0}
    assert any("100 Hz or less" in note for note in recording(x, 250.0, channels, **known)[2]["notes"])
    _, _, account, _ = recording(x, 250.0, channels, noise_sd=None, **known)
    assert not any("100 Hz or less" in note for note in account["notes"])
