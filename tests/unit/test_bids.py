"""The index of a dataset: recordings, inheritance of sidecars, identity by content."""

import json
import os

import pytest

from hedgerow import bids, layout, simulate, table
from hedgerow.account import Fault


@pytest.fixture
def root(tmp_path):
    simulate.write(tmp_path / "raw", subjects=2, channels=8, seconds=20)
    return tmp_path / "raw"


def test_every_recording_with_its_files(root):
    recordings, participants, _ = bids.index(root)
    assert list(recordings["rec"]) == [f"sub-0{n}/eeg/sub-0{n}_task-sounds" for n in (1, 2)]
    row = recordings.iloc[0]
    assert row["status"] == "ok" and row["subject"] == "01" and row["hed_version"] == "8.3.0"
    assert row["signal"].endswith("_eeg.vhdr") and row["events_json"] == "task-sounds_events.json"
    assert row["size"] == sum((root / row["signal"]).with_suffix(e).stat().st_size for e in (".vhdr", ".eeg", ".vmrk"))
    assert list(participants["participant_id"]) == ["sub-01", "sub-02"] and "sex" in participants


def test_sidecars_are_inherited_from_the_general_to_the_specific(root):
    (root / "eeg.json").write_text(json.dumps({"PowerLineFrequency": 60, "Manufacturer": "A"}))
    folder = root / "sub-01/ses-b/eeg"
    folder.mkdir(parents=True)
    for extension in (".vhdr", ".eeg", ".vmrk"):
        source = root / f"sub-01/eeg/sub-01_task-sounds_eeg{extension}"
        (folder / f"sub-01_ses-b_task-sounds_run-2_eeg{extension}").write_bytes(source.read_bytes())
    (root / "sub-01/ses-b/sub-01_ses-b_eeg.json").write_text(json.dumps({"Manufacturer": "B"}))
    (root / "sub-01/sub-01_run-1_eeg.json").write_text(json.dumps({"Manufacturer": "other run"}))
    recordings, _, _ = bids.index(root)
    row = recordings.set_index("rec").loc["sub-01/ses-b/eeg/sub-01_ses-b_task-sounds_run-2"]
    assert row["eeg_json"] == "eeg.json;sub-01/ses-b/sub-01_ses-b_eeg.json"
    assert bids.sidecar(root, row["eeg_json"]) == {"PowerLineFrequency": 60, "Manufacturer": "B"}
    assert (row["session"], row["run"]) == ("b", 2)


def test_faults_are_rows_with_a_reason(root):
    (root / "sub-01/eeg/sub-01_task-sounds_eeg.eeg").unlink()
    (root / "sub-02/eeg/sub-02_task-sounds_eeg.json").unlink()
    (root / "sub-03/meg").mkdir(parents=True)
    (root / "sub-03/meg/sub-03_task-sounds_meg.fif").write_bytes(b"")
    rows = bids.index(root)[0].set_index("subject")
    assert rows["reason"].to_dict() == {"01": "missing-file", "02": "missing-file", "03": "not-eeg"}
    assert "sub-01_task-sounds_eeg.eeg is missing" in rows["message"]["01"]
    assert "eeg.json" in rows["message"]["02"]


def test_the_digest_follows_content_and_the_cache_spares_reading(root, monkeypatch):
    first, _, cache = bids.index(root)
    signal = root / "sub-01/eeg/sub-01_task-sounds_eeg.eeg"
    read = []
    digest = bids._sha256
    monkeypatch.setattr(bids, "_sha256", lambda path: read.append(path.name) or digest(path))
    again, _, _ = bids.index(root, cache=cache)
    assert again.equals(first) and not any(name.endswith(".eeg") for name in read)
    os.utime(signal, (0, 0))
    touched, _, cache = bids.index(root, cache=cache)
    assert touched.equals(first) and signal.name in read
    with open(signal, "r+b") as file:
        file.write(b"\x01\x02\x03\x04")
    os.utime(signal, (1, 1))
    changed, _, _ = bids.index(root, cache=cache)
    assert changed["signal_sha256"][0] != first["signal_sha256"][0]
    assert changed["signal_sha256"][1] == first["signal_sha256"][1]


def test_events_of_a_recording(root):
    row = bids.index(root)[0].iloc[0].to_dict()
    events, sidecar = bids.events(root, row)
    assert len(events) and "HED" in sidecar["trial_type"]
    with pytest.raises(Fault, match="nothing can be selected"):
        bids.events(root, {**row, "events": ""})
    table.write(root / row["events"], events[:0])
    with pytest.raises(Fault, match="has no rows"):
        bids.events(root, row)


def test_a_folder_that_is_no_dataset_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"dataset_description\.json"):
        bids.index(tmp_path)
    (tmp_path / "dataset_description.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no EEG recording"):
        bids.index(tmp_path)


def test_odd_names_duplicates_and_links_without_content_are_quarantined(root):
    for extension in (".vhdr", ".eeg", ".vmrk"):
        source = root / f"sub-01/eeg/sub-01_task-sounds_eeg{extension}"
        (root / f"sub-01/eeg/sub-01_task-eyes-open_eeg{extension}").write_bytes(source.read_bytes())
    (root / "sub-01/eeg/sub-01_task-sounds_eeg.edf").write_bytes(b"")
    events = root / "sub-02/eeg/sub-02_task-sounds_events.tsv"
    events.unlink()
    events.symlink_to("../.git/annex/objects/KEY")
    layout.tree(root)
    rows = bids.index(root)[0]
    found = rows[rows["status"] != "ok"].set_index("signal")["reason"].to_dict()
    assert found == {
        "sub-01/eeg/sub-01_task-eyes-open_eeg.vhdr": "bad-name",
        "sub-01/eeg/sub-01_task-sounds_eeg.vhdr": "bad-name",
        "sub-02/eeg/sub-02_task-sounds_eeg.vhdr": "missing-file",
    }


def test_results_inside_the_dataset_are_no_recordings(root):
    inside = root / "results/studies/x/published/d/sub-01/eeg"
    inside.mkdir(parents=True)
    for extension in (".vhdr", ".eeg", ".vmrk", ".json"):
        source = root / f"sub-01/eeg/sub-01_task-sounds_eeg{extension}"
        (inside / f"sub-01_task-sounds_desc-clean_eeg{extension}").write_bytes(source.read_bytes())
    before = layout.tree(root)
    assert len(bids.index(root)[0]) == 2
    (inside / "more.json").write_text("{}")
    assert layout.tree(root) == before


def test_participants_without_the_prefix_and_broken_descriptions(root):
    people = table.read(root / "participants.tsv")
    people["participant_id"] = people["participant_id"].str.removeprefix("sub-")
    table.write(root / "participants.tsv", people)
    assert bids.index(root)[1]["sex"].notna().all()
    (root / "dataset_description.json").write_text('{"Name": "x",}')
    with pytest.raises(ValueError, match=r"dataset_description\.json is no JSON object"):
        bids.index(root)


def test_events_go_out_as_they_came_in(root, tmp_path):
    """A column of whole numbers with a gap must not become 1.0 and 2.0: HED is looked up by what is written."""
    row = bids.index(root)[0].iloc[0].to_dict()
    written = 'onset\tduration\tvalue\tnote\n0.50\t0\t1\t"a\n1.0\tn/a\tn/a\tNone\n2e0\t0\t02\tn/a\n'
    (root / row["events"]).write_text(written)
    events, _ = bids.events(root, row)
    table.write(tmp_path / "out.tsv", events)
    assert (tmp_path / "out.tsv").read_text() == written
