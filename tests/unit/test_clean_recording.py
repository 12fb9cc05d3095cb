"""One recording's way through the cleaning: what is touched, what the channel table and the sidecar say."""

import numpy as np
import pytest

from hedgerow import io, simulate
from hedgerow.account import Fault
from hedgerow.clean.recording import recording, sidecar


@pytest.fixture
def raw():
    x, channels, _, planted = simulate.recording(1, channels=8, seconds=30)
    channels[["status", "status_description"]] = ["good", "n/a"]
    return x, channels, planted["recording"]


def test_other_channels_pass_untouched_and_bad_ones_say_what_was_done(raw):
    x, channels, planted = raw
    y, table, account = recording(x, 250.0, channels, positions=io.positions(channels["name"]), notes=["odd"])
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
    _, table, account = recording(x, 250.0, channels, positions=nowhere)
    assert len(account["notes"]) == 1 and planted["flat"] in account["notes"][0]
    assert "no position known" in account["notes"][0]
    bad = table["name"][table["status"] == "bad"].tolist()
    assert sorted(bad) == sorted([planted["flat"], planted["noisy"]])


def test_a_channel_marked_in_the_raw_data_is_mended(raw):
    x, channels, _ = raw
    channels.loc[channels["name"] == "Cz", "status"] = "bad"
    _, table, account = recording(x, 250.0, channels, positions=io.positions(channels["name"]))
    assert account["marked"] == ["Cz"] and "Cz" in account["interpolated"]
    assert table.set_index("name").loc["Cz", "status_description"] == "marked as bad in the raw data, interpolated"


def test_a_recording_without_eeg_is_a_fault(raw):
    x, channels, _ = raw
    channels["type"] = "MISC"
    with pytest.raises(Fault, match="no channel is of type EEG"):
        recording(x, 250.0, channels, positions=io.positions(channels["name"]))


def test_the_sidecar_tells_the_filters_and_keeps_the_session(raw):
    x, channels, _ = raw
    y, table, account = recording(x, 250.0, channels, positions=io.positions(channels["name"]), asr_cutoff=None)
    given = {"TaskName": "sounds", "PowerLineFrequency": 60, "EEGReference": "nose", "RecordingDuration": 99}
    said = sidecar(given, ["bids:raw:a"], y, 250.0, table, account, version="1")
    assert said["TaskName"] == "sounds" and said["PowerLineFrequency"] == 60 and said["EEGReference"] == "average"
    assert said["RecordingDuration"] == 30.0 and said["EEGChannelCount"] == 10 and said["EOGChannelCount"] == 1
    assert "high-pass" in said["SoftwareFilters"] and "artifact subspace reconstruction" not in said["SoftwareFilters"]
    assert said["Sources"] == ["bids:raw:a"]


def test_a_recording_too_short_to_tell_bad_segments_says_so(raw):
    x, channels, _ = raw
    short = {"highpass": None, "asr_cutoff": None, "correlation": None, "flat_seconds": None}
    where = io.positions(channels["name"])
    _, _, account = recording(x[:, :1500], 250.0, channels, positions=where, **short)
    assert account["bad_segments"] is None and account["notes"] == [
        "bad segments are not told in 6.0 s: the recording is too short"
    ]
    _, _, account = recording(x[:, :1500], 250.0, channels, positions=where, **short, bad_segments=None)
    assert account["notes"] == []
