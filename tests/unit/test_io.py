"""Signals in and out: units, types, round trips, broken files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hedgerow import io, simulate, table
from hedgerow.account import Fault


@pytest.fixture
def recording(tmp_path):
    simulate.write(tmp_path, subjects=1, channels=8, seconds=20)
    return tmp_path / "sub-01/eeg/sub-01_task-sounds"


@pytest.mark.filterwarnings("ignore:Encountered unsupported non-voltage units")
def test_a_signal_comes_back_as_it_was_written(tmp_path, rng):
    x = rng.normal(scale=50, size=(3, 1000)).astype(np.float32).astype(float)
    x[1, 7] = np.nan
    channels = pd.DataFrame(
        {"name": ["Cz", "EOG", "TRIG"], "type": ["EEG", "EOG", "TRIG"], "units": ["µV", "µV", "n/a"]}
    )
    io.write_signal(tmp_path / "a_eeg", x, 160.5, channels)
    back, sfreq = io.read_signal(tmp_path / "a_eeg.vhdr")
    assert sfreq == pytest.approx(160.5)
    np.testing.assert_allclose(back, x, rtol=3e-7)


def test_types_come_from_the_channel_table_in_any_case(recording):
    channels = table.read(f"{recording}_channels.tsv")
    channels["name"] = channels["name"].str.upper()
    channels["status"] = "good"
    channels.loc[2, "status"] = "bad"
    table.write(f"{recording}_channels.tsv", channels)
    x, sfreq, found, notes = io.read_raw(f"{recording}_eeg.vhdr", f"{recording}_channels.tsv")
    assert (sfreq, len(x), notes) == (250.0, 11, [])
    assert found["type"].value_counts().to_dict() == {"EEG": 10, "EOG": 1}
    assert found["status"].tolist().index("bad") == 2
    assert 5 < np.median(x.std(axis=1)) < 500  # µV


def test_without_a_table_the_notes_say_so(recording):
    _, _, found, notes = io.read_raw(f"{recording}_eeg.vhdr")
    assert "no channels.tsv" in notes[0] and set(found["type"]) == {"EEG"}


def _truncate(stem):
    signal = Path(f"{stem}_eeg.eeg")
    signal.write_bytes(signal.read_bytes()[: signal.stat().st_size // 2])


def _forget(stem):
    channels = table.read(f"{stem}_channels.tsv")
    table.write(f"{stem}_channels.tsv", channels[1:])


def _spoil(stem):
    Path(f"{stem}_eeg.vhdr").write_text("nothing\n")


@pytest.mark.parametrize(
    ("harm", "code", "words"),
    [
        (_truncate, "truncated", "10.0 s, its sidecar promises 20.0 s"),
        (_forget, "bad-channels-table", "does not list Fp1|does not list"),
        (_spoil, "unreadable", "cannot be read"),
    ],
)
def test_a_broken_file_is_a_fault_that_names_it(recording, harm, code, words):
    harm(recording)
    with pytest.raises(Fault, match=words) as caught:
        io.read_raw(f"{recording}_eeg.vhdr", f"{recording}_channels.tsv", duration=20.0)
    assert caught.value.code == code and recording.name in caught.value.message


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(Fault, match=r"gone_eeg\.vhdr is missing"):
        io.read_raw(tmp_path / "gone_eeg.vhdr")


def test_positions_in_any_case_and_unknown_names():
    found = io.positions(["cz", "FP1", "nose-ring"])
    assert np.isnan(found[2]).all() and np.isfinite(found[:2]).all()
    assert abs(found[0, 0]) < 0.005 and found[1, 1] > 0.05  # Cz in the middle, Fp1 in front; m
