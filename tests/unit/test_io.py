"""Signals in and out: units, types, round trips, broken files."""

from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest

from hedgerow import io, simulate, table
from hedgerow.account import Fault, Stopped
from signals import write_edf, write_set


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


def test_masks_become_markers_whose_epochs_mne_drops(tmp_path, rng):
    """By MNE's own reading of a marker's type and name, and of what an epoch within a bad stretch means."""
    x = rng.normal(scale=20, size=(2, 2000))
    channels = pd.DataFrame({"name": ["Cz", "Pz"], "units": ["µV", "µV"]})
    rows = [(2.0, 1.5, "BAD_segment"), (5.0, 1.0, "asr_repaired"), (19.5, 0.5, "BAD_segment")]
    masks = pd.DataFrame(rows, columns=["onset", "duration", "trial_type"])
    io.write_signal(tmp_path / "a_eeg", x, 100.0, channels, masks)
    raw = mne.io.read_raw_brainvision(tmp_path / "a_eeg.vhdr", verbose="error")
    np.testing.assert_allclose(raw.annotations.onset, masks["onset"])
    np.testing.assert_allclose(raw.annotations.duration, masks["duration"])
    named = list(raw.annotations.description)
    assert [name.lower().startswith("bad") for name in named] == [True, False, True] and named[0].endswith(
        "BAD_segment"
    )
    events = mne.make_fixed_length_events(raw, duration=1.0)
    epochs = mne.Epochs(raw, events, tmin=0, tmax=0.9, baseline=None, preload=True, verbose="error")
    assert [k for k, why in enumerate(epochs.drop_log) if why] == [2, 3, 19]
    np.testing.assert_allclose(io.read_signal(tmp_path / "a_eeg.vhdr")[0], x, rtol=3e-7)


def test_a_mask_beyond_the_last_sample_is_cut(tmp_path, rng):
    channels = pd.DataFrame({"name": ["Cz"], "units": ["µV"]})
    masks = pd.DataFrame({"onset": [9.999, 9.0], "duration": [5.0, 1e-9], "trial_type": ["BAD_segment"] * 2})
    io.write_signal(tmp_path / "a_eeg", rng.normal(size=(1, 1000)), 100.0, channels, masks)
    raw = mne.io.read_raw_brainvision(tmp_path / "a_eeg.vhdr", verbose="error")
    np.testing.assert_allclose(
        sorted(zip(raw.annotations.onset, raw.annotations.duration)), [(9.0, 0.01), (9.99, 0.01)]
    )
    io.write_signal(tmp_path / "b_eeg", rng.normal(size=(1, 1000)), 100.0, channels, masks[:0])
    assert not len(mne.io.read_raw_brainvision(tmp_path / "b_eeg.vhdr", verbose="error").annotations)


def test_types_come_from_the_channel_table_in_any_case(recording):
    channels = table.read(f"{recording}_channels.tsv")
    channels["name"] = channels["name"].str.upper()
    channels["status"] = "good"
    channels.loc[2, "status"] = "bad"
    table.write(f"{recording}_channels.tsv", channels)
    x, sfreq, found, notes = io.read_raw(f"{recording}_eeg.vhdr", f"{recording}_channels.tsv")
    assert (sfreq, len(x)) == (250.0, 11)
    assert [note.partition(":")[0] for note in notes if "case" in note] == [
        "channels.tsv spells 4 names in another case than the signal"
    ]
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
        (_truncate, "truncated", "10.0 s, its sidecar .RecordingDuration. promises 20.0 s"),
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


NAMES = ["Fz", "Cz", "ECG"]
TYPES = "name\ttype\tunits\nFz\tEEG\tµV\nCz\tEEG\tµV\nECG\tECG\tµV\n"


@pytest.fixture
def x(rng):
    """Three channels, 10 s at 100 Hz, in µV."""
    return rng.normal(scale=40, size=(3, 1000))


@pytest.fixture
def channels_tsv(tmp_path):
    path = tmp_path / "a_channels.tsv"
    path.write_text(TYPES, encoding="utf-8")
    return path


def _fault(path, *arguments, **keywords):
    with pytest.raises(Fault) as caught:
        io.read_raw(path, *arguments, **keywords)
    assert path.name.partition(".")[0] in caught.value.message
    return caught.value.code, caught.value.message


@pytest.mark.parametrize("ending", ["edf", "bdf", "set"])
def test_formats_give_microvolts(tmp_path, x, channels_tsv, ending):
    path = tmp_path / f"a.{ending}"
    write_set(path, x, 100, NAMES, fdt=True) if ending == "set" else write_edf(path, x, [100] * 3, NAMES)
    found, sfreq, channels, notes = io.read_raw(path, channels_tsv, duration=10)
    assert (sfreq, list(channels["type"]), list(channels["units"]), notes) == (
        100,
        ["EEG", "EEG", "ECG"],
        ["µV"] * 3,
        [],
    )
    np.testing.assert_allclose(found, x, atol=0.02)


@pytest.mark.parametrize(("unit", "table_unit", "factor"), [("mV", "mV", 1e3), ("V", "V", 1e6), ("nV", "nV", 1e-3)])
def test_units_of_the_file_are_followed(tmp_path, x, unit, table_unit, factor):
    path = tmp_path / "a.edf"
    write_edf(path, x, [100] * 3, NAMES, units=unit)
    found, _, channels, _ = io.read_raw(path)
    assert set(channels["units"]) == {"µV"}
    np.testing.assert_allclose(found / factor, x, atol=0.02)


def test_units_of_the_table_where_the_file_has_none(tmp_path, x, channels_tsv):
    path = tmp_path / "a.edf"
    write_edf(path, x, [100] * 3, NAMES, units="")
    channels_tsv.write_text(
        TYPES.replace("Cz\tEEG\tµV", "Cz\tEEG\tmV").replace("ECG\tµV", "ECG\tn/a"), encoding="utf-8"
    )
    found, _, channels, notes = io.read_raw(path, channels_tsv)
    assert list(channels["units"]) == ["µV", "µV", "n/a"]
    np.testing.assert_allclose(found / [[1], [1000], [1]], x, atol=0.02)
    assert any("that of channels.tsv is taken: Fz (µV), Cz (mV)" in note for note in notes)
    write_edf(path, x, [100] * 3, NAMES, units=["uV", "uV", "uS"])
    found, _, channels, notes = io.read_raw(path)
    assert channels["units"].tolist() == ["µV", "µV", "n/a"]
    np.testing.assert_allclose(found, x, atol=0.02)


@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_a_header_that_promises_more_than_the_file_holds(tmp_path, x, ending):
    """Without RecordingDuration too: mne takes the length from the file's size."""
    path = tmp_path / f"a.{ending}"
    write_edf(path, x, [100] * 3, NAMES, records=20)
    code, message = _fault(path)
    assert code == "truncated" and "holds 10.0 s, its header promises 20.0 s" in message
    taken, _, _, notes = io.read_raw(path, waived=["truncated"])
    assert taken.shape == (3, 1000) and any("by an override" in note for note in notes)
    path.write_bytes(path.read_bytes()[:300])
    assert _fault(path)[0] == "unreadable"
    write_edf(path, x, [100] * 3, NAMES, records=-1)
    assert io.read_raw(path)[0].shape == (3, 1000)


def test_channels_of_two_rates(tmp_path, x, channels_tsv):
    path = tmp_path / "a.edf"
    write_edf(path, [x[0], x[1], x[2, ::2]], [100, 100, 50], NAMES)
    _, sfreq, _, notes = io.read_raw(path, channels_tsv)
    assert sfreq == 100 and any("highest rate of 100 Hz: ECG (50 Hz)" in note for note in notes)
    write_edf(path, [x[0], x[1, ::2], x[2]], [100, 50, 100], NAMES)
    code, message = _fault(path, channels_tsv)
    assert code == "bad-channels" and "EEG channels at 50, 100 Hz" in message


@pytest.mark.parametrize("ending", ["edf", "set"])
def test_channels_of_one_name(tmp_path, x, ending):
    path = tmp_path / f"a.{ending}"
    names = ["Cz", "Cz", "ECG"]
    write_set(path, x, 100, names) if ending == "set" else write_edf(path, x, [100] * 3, names)
    code, message = _fault(path)
    assert code == "bad-channels" and "Cz" in message


def test_interrupted_recordings(tmp_path, x):
    path = tmp_path / "a.edf"
    write_edf(path, x, [100] * 3, NAMES, begins=range(10))
    assert io.read_raw(path)[0].shape == (3, 1000)
    write_edf(path, x, [100] * 3, NAMES, begins=[0, 1, 2, 3, 14, 15, 16, 17, 18, 19])
    code, message = _fault(path)
    assert code == "not-continuous" and "interrupted after 4 s" in message


def test_eeglab_files_that_are_no_continuous_signal(tmp_path, x):
    path = tmp_path / "a.set"
    write_set(path, x, 100, NAMES, epochs=4)
    code, message = _fault(path)
    assert code == "not-continuous" and "holds 4 epochs" in message
    write_set(path, x, 100, NAMES, fdt=True)
    samples = path.with_suffix(".fdt").read_bytes()
    path.with_suffix(".fdt").write_bytes(samples[: len(samples) // 2])
    assert _fault(path)[0] == "truncated"
    path.with_suffix(".fdt").unlink()
    assert _fault(path)[0] == "missing-file"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(384) + b"\x89HDF\r\n\x1a\n")
    code, message = _fault(path)
    assert code == "unreadable" and "save it in EEGLAB as version 7" in message
    path.write_bytes(b"")
    assert _fault(path)[0] == "unreadable"


def test_a_header_with_an_old_name_of_its_data(recording):
    vhdr = Path(f"{recording}_eeg.vhdr")
    sound = io.read_raw(vhdr)[0]
    vhdr.write_text(vhdr.read_text().replace(f"File={recording.name}", "File=S001"))
    found, _, _, notes = io.read_raw(vhdr)
    np.testing.assert_array_equal(found, sound)
    assert any("names S001_eeg.eeg as its data" in note for note in notes)
    Path(f"{recording}_eeg.eeg").unlink()
    assert _fault(vhdr)[0] == "missing-file"


def test_a_pointer_is_no_signal(recording):
    signal = Path(f"{recording}_eeg.eeg")
    signal.write_text("/annex/objects/MD5E-s99--abc.eeg\n")
    # what was dropped after it was indexed is no fault of the data: nobody would clean it again when it is back
    with pytest.raises(Stopped, match="git annex get"):
        io.read_raw(Path(f"{recording}_eeg.vhdr"))
    signal.unlink()
    signal.symlink_to("../../.git/annex/objects/MD5E-s99--abc.eeg")
    with pytest.raises(Stopped, match="git annex get"):
        io.read_raw(Path(f"{recording}_eeg.vhdr"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TYPES.replace("Cz\t", "Pz\t"), "does not list Cz"),
        (TYPES + "cz\tEEG\tµV\n", r"lists a channel twice (cz)"),
        (TYPES.replace("type", "kind"), "lacks the columns name and type"),
        ("", "cannot be read"),
        (TYPES.encode("latin-1"), "no tab-separated table in UTF-8"),
    ],
)
def test_tables_that_do_not_describe_the_signal(tmp_path, x, channels_tsv, content, words):
    write_edf(tmp_path / "a.edf", x, [100] * 3, NAMES)
    channels_tsv.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, message = _fault(tmp_path / "a.edf", channels_tsv)
    assert code == "bad-channels-table" and words in message


def test_what_can_be_read_in_spite_of_its_form_is_noted(tmp_path, x, channels_tsv):
    write_edf(tmp_path / "a.edf", x, [100] * 3, NAMES)
    text = TYPES.replace("Cz\tEEG", "CZ \teeg").replace("ECG\tECG", "ECG\tn/a") + "REF\tREF\tµV\n"
    channels_tsv.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    _, _, channels, notes = io.read_raw(tmp_path / "a.edf", channels_tsv)
    assert list(channels["type"]) == ["EEG", "EEG", "MISC"]
    assert [note.partition(":")[0] for note in notes] == [
        "channels.tsv lists 1 channels that the signal lacks",
        "channels.tsv spells 1 names in another case than the signal",
        "channels.tsv gives no type, MISC is taken",
    ]
