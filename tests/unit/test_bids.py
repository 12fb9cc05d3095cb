"""The index of a dataset: recordings, inheritance of sidecars, identity by content."""

import json
import os
import shutil

import pandas as pd
import pytest
from bids import BIDSLayout, BIDSLayoutIndexer

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
    assert (row["session"], row["run"]) == ("b", "2")


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
    digest = layout.hashlib.file_digest

    class Hashlib:
        sha256 = layout.hashlib.sha256

        @staticmethod
        def file_digest(file, method):
            read.append(os.path.basename(file.name))
            return digest(file, method)

    monkeypatch.setattr(layout, "hashlib", Hashlib)
    table.write(root / "sha256.txt", cache)
    again, _, _ = bids.index(root, cache=table.read(root / "sha256.txt", text=True))
    assert again.equals(first) and not read
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
    (root / "sub-01/eeg/sub-01_task-sounds_eeg.edf").write_bytes(b"0")
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


def _signals(found):
    """Status, or reason, and message of each recording."""
    return {
        row["rec"]: (row["reason"] or "ok", row["message"])
        for row in found.astype(object).fillna("").to_dict("records")
    }


def _annex(root, path, size=None):
    """Make a file one that git-annex keeps: a link to its object; returns the object."""
    path = root / path
    key = f"MD5E-s{path.stat().st_size if size is None else size}--0123abcd{path.suffix}"
    content = root / f".git/annex/objects/{path.name}/{key}"
    content.parent.mkdir(parents=True)
    shutil.move(path, content)
    path.symlink_to(os.path.relpath(content, path.parent))
    return content


SIGNAL = "sub-01/eeg/sub-01_task-sounds_eeg"


def test_an_annexed_signal_is_its_key_and_is_not_read(root):
    _annex(root, f"{SIGNAL}.eeg", size=123456).chmod(0)
    content = root / f"{SIGNAL}.vhdr"
    first, _, cache = bids.index(root)
    assert first["status"][0] == "ok" and first["size"][0] > 123456
    row = cache.set_index("path").loc[f"{SIGNAL}.eeg"]
    assert row["sha256"] == "" and row["key"] == "MD5E-s123456--0123abcd.eeg"
    # the same key elsewhere, with another time stamp, is the same signal
    target = os.readlink(root / f"{SIGNAL}.eeg")
    os.utime((root / f"{SIGNAL}.eeg").resolve(), (0, 0))
    assert bids.index(root)[0].equals(first)
    (root / f"{SIGNAL}.eeg").unlink()
    (root / f"{SIGNAL}.eeg").symlink_to(target.replace("0123abcd", "0123abce"))
    changed = bids.index(root, remote=True)[0]
    assert changed["signal_sha256"][0] != first["signal_sha256"][0] and content.is_file()


def test_dropped_content_is_awaited_and_absent_content_is_missing(root, tmp_path):
    """A key that was seen may go and come back; one that never was here is quarantined until it arrives."""
    digests = tmp_path / "sha256.tsv"
    content = _annex(root, f"{SIGNAL}.eeg")
    away = root / ".git/elsewhere"
    content.rename(away)
    absent, _, cache = bids.index(root)
    reason, message = _signals(absent)["sub-01/eeg/sub-01_task-sounds"]
    assert reason == "missing-file" and f"`datalad get {SIGNAL}.eeg`" in message
    assert bids.index(root, remote=True)[0]["status"].tolist() == ["ok", "ok"]
    # all else of the row is there, so that its events can be counted
    row = absent.iloc[0]
    assert row["files"].split(";") == [f"{SIGNAL}{extension}" for extension in (".vhdr", ".eeg", ".vmrk")]
    assert row["events"] and row["events_sha256"] and row["channels_sha256"] and row["eeg_json"] and row["size"]
    table.write(digests, cache)
    before = layout.tree(root, digests)
    assert bids.index(root, cache=cache)[0].equals(absent)

    away.rename(content)
    assert layout.tree(root, digests) != before, "a signal that arrives must make the index run again"
    known = table.read(digests, text=True)
    arrived, _, cache = bids.index(root, cache=known)
    assert arrived["status"].tolist() == ["ok", "ok"]
    assert absent["signal_sha256"][0] == arrived["signal_sha256"][0]
    after = layout.tree(root, digests)
    table.write(digests, cache)
    assert layout.tree(root, digests) == after, "the index must not run twice for one arrival"

    content.rename(away)
    assert layout.tree(root, digests) == after, "dropping re-runs nothing"
    dropped, _, cache = bids.index(root, cache=cache)
    assert dropped.equals(arrived)
    table.write(digests, cache)
    assert layout.tree(root, digests) == after


def test_pointers_of_unlocked_files_are_no_signals(root):
    signal = root / f"{SIGNAL}.eeg"
    signal.write_text("/annex/objects/SHA256E-s99--abc.eeg\n")
    found = bids.index(root)[0]
    assert found["reason"][0] == "missing-file" and "is not here" in found["message"][0]
    assert bids.index(root, remote=True)[0]["status"][0] == "ok"
    events = root / "sub-02/eeg/sub-02_task-sounds_events.tsv"
    events.write_text("/annex/objects/SHA256E-s99--abc.tsv\n")
    assert "_events.tsv is not here" in bids.index(root, remote=True)[0]["message"][1]


def test_sizes_stand_in_keys():
    assert layout.size_of("MD5E-s1234--0cc1.edf") == 1234
    assert layout.size_of("SHA256E-m99-s55--0cc1.edf") == 55
    assert layout.size_of("MD5E-s10-S5-C1--0cc1.edf") == 10
    assert layout.size_of("URL--http&c%%host-s12-.edf") is None


def test_recordings_without_signal_have_every_other_entry(root):
    for name in ("", "_run-1", "_run-2"):
        (root / f"sub-03/eeg/sub-03_task-a{name}_channels.tsv").parent.mkdir(parents=True, exist_ok=True)
        (root / f"sub-03/eeg/sub-03_task-a{name}_channels.tsv").write_text("name\ttype\tunits\nCz\tEEG\tuV\n")
    (root / "sub-03/eeg/sub-03_task-b_eeg.cnt").write_bytes(b"x")
    (root / "sub-03/eeg/sub-03_task-c_desc-x_events.tsv").write_text("onset\tduration\n")
    (root / "sub-04").mkdir()
    (root / "sub-04/sub-04_task-d_run-1_events.tsv").write_text("onset\tduration\n")
    (root / "sub-05/func").mkdir(parents=True)
    (root / "sub-05/sub-05_task-e_events.tsv").write_text("onset\tduration\n")
    (root / "sub-05/func/sub-05_task-e_run-1_bold.nii.gz").write_bytes(b"")
    found = bids.index(root)[0]
    gone = found[found["status"] != "ok"].set_index("rec")
    # the table without a run is inherited, the scanner's events are no EEG, derivatives are no recordings
    assert list(gone.index) == [
        *(f"sub-03/eeg/sub-03_task-{name}" for name in ("a_run-1", "a_run-2", "b")),
        "sub-04/eeg/sub-04_task-d_run-1",
    ]
    assert set(gone["reason"]) == {"missing-file"}
    assert gone["channels"].iloc[0].endswith("_run-1_channels.tsv") and gone["signal"].isna().all()
    assert "only eeg.cnt" in gone["message"].iloc[2]
    assert gone["events"].iloc[3] == "sub-04/sub-04_task-d_run-1_events.tsv" and gone["events_sha256"].iloc[3]
    assert set(gone["hed_version"]) == {"8.3.0"}


def test_one_sidecar_of_a_folder_applies(root):
    events = root / "sub-01/eeg/sub-01_task-sounds_events.tsv"
    shared = root / "sub-01/eeg/sub-01_events.tsv"
    shutil.copy(events, shared)
    assert bids.index(root)[0]["events"][0].endswith("_task-sounds_events.tsv")
    events.unlink()
    assert bids.index(root)[0]["events"][0] == "sub-01/eeg/sub-01_events.tsv"
    (root / "eeg.json").write_text("{}")
    (root / "task-sounds_eeg.json").write_text("{}")
    found = bids.index(root)[0]
    assert set(found["reason"]) == {"bad-name"}
    assert "eeg.json and task-sounds_eeg.json both apply to sub-01/eeg/sub-01_task-sounds" in found["message"][0]
    assert found["events"].notna().all() and found["channels"].notna().all()


def test_events_json_describes_the_table_and_not_the_recording(root):
    (root / "sub-01/eeg/sub-01_task-sounds_events.tsv").rename(root / "sub-01/sub-01_events.tsv")
    (root / "sub-01/sub-01_task-sounds_events.json").write_text("{}")
    (root / "sub-01/sub-01_events.json").write_text("{}")
    assert bids.index(root)[0]["events_json"][0] == "sub-01/sub-01_events.json"


def test_a_header_that_names_other_files(root):
    vhdr = root / f"{SIGNAL}.vhdr"
    sound = vhdr.read_text()
    first = bids.index(root)[0]

    # stale, as after renaming: BIDS's own names are taken
    vhdr.write_text(sound.replace("DataFile=sub-01_task-sounds_eeg.eeg", "DataFile=S001.eeg"))
    assert bids.index(root)[0]["files"][0] == first["files"][0]
    # the one that is there
    (root / f"{SIGNAL}.eeg").rename(root / "sub-01/eeg/S001.eeg")
    assert bids.index(root)[0]["files"][0].split(";")[1] == "sub-01/eeg/S001.eeg"
    vhdr.write_text(sound.replace("sub-01_task-sounds_eeg.eeg", "$b.eeg"))
    assert bids.index(root)[0]["reason"][0] == "missing-file"
    # two that are there
    shutil.copy(root / "sub-01/eeg/S001.eeg", root / f"{SIGNAL}.eeg")
    assert bids.index(root)[0]["status"][0] == "ok"
    vhdr.write_text(sound.replace("DataFile=sub-01_task-sounds_eeg.eeg", "DataFile=S001.eeg"))
    found = bids.index(root)[0]
    assert found["reason"][0] == "bad-name" and "names S001.eeg as its data" in found["message"][0]


def test_companions_of_eeglab(root):
    (root / "sub-03/eeg").mkdir(parents=True)
    for extension in ("_eeg.set", "_eeg.json"):
        (root / f"sub-03/eeg/sub-03_task-sounds{extension}").write_bytes(b"{}")
    assert bids.index(root)[0]["files"][2] == "sub-03/eeg/sub-03_task-sounds_eeg.set"
    (root / "sub-03/eeg/sub-03_task-sounds_eeg.fdt").symlink_to("../../.git/annex/objects/a/MD5E-s7--b.fdt")
    found = bids.index(root)[0]
    assert found["files"][2].endswith("_eeg.set;sub-03/eeg/sub-03_task-sounds_eeg.fdt")
    assert (found["reason"][2], found["size"][2]) == ("missing-file", 9)


def test_other_modalities_are_listed_and_folders_are_one_recording(root):
    files = ["meg/sub-03_task-a_meg.fif", "meg/sub-03_task-b_meg.ds/sub-03_task-b_meg.meg4", "ieeg/sub-03_ieeg.vhdr"]
    files += ["meg/sub-03_task-c_meg/c,rfDC", "ieeg/sub-03_task-a_ieeg.mefd/x.timd/x.segd", "nirs/sub-03_nirs.snirf"]
    files += ["emg/sub-03_task-a_emg.edf", "beh/sub-03_task-a_beh.tsv", "motion/sub-03_tracksys-x_motion.tsv"]
    for name in files:
        (root / "sub-03" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sub-03" / name).write_bytes(b"")
    found = bids.index(root)[0].set_index("rec").iloc[2:]
    assert set(found["reason"]) == {"not-eeg"} and len(found) == 9
    assert found["signal"]["sub-03/meg/sub-03_task-b"] == "sub-03/meg/sub-03_task-b_meg.ds"
    assert found["signal"]["sub-03/meg/sub-03_task-c"] == "sub-03/meg/sub-03_task-c_meg"
    assert "is ieeg; only EEG" in found["message"]["sub-03/ieeg/sub-03_task-a"]


def test_names_that_are_not_those_of_bids(root):
    folder = root / "sub-03/eeg"
    folder.mkdir(parents=True)
    names = [
        "S001R01.edf",
        "sub-03_task-a_EEG.edf",
        "sub-03_task-b_eeg.EDF",
        "sub-04_task-a_eeg.edf",
        "sub-03_é_eeg.edf",
    ]
    names += ["sub-03_ses-1_task-a_eeg.edf", "sub-03_task-a\tb_eeg.edf"]
    for name in names:
        (folder / name).write_bytes(b"x")
    with open(os.fsencode(folder / "sub-03_task-") + b"\xe9_eeg.edf", "wb") as file:
        file.write(b"x")
    (folder / "sub-03_task-c_eeg.bdf").mkdir()
    (root / "sub-03_task-d_eeg.edf").write_bytes(b"x")
    (folder / "._sub-03_task-e_eeg.edf").write_bytes(b"left by a Mac")
    found, _, cache = bids.index(root)
    assert len(found) == 2 + len(names) + 3
    broken = found.iloc[2:]
    folders = broken["signal"] == "sub-03/eeg/sub-03_task-c_eeg.bdf"
    assert set(broken["reason"][~folders]) == {"bad-name"} and broken["reason"][folders].tolist() == ["unreadable"]
    assert "lies in the folders of sub-03" in broken.set_index("signal")["message"]["sub-03/eeg/sub-04_task-a_eeg.edf"]
    # all of it can be written and read
    for each in (found, cache):
        table.write(root / "x.txt", each)
        assert len(table.read(root / "x.txt")) == len(each)
    layout.tree(root)


def test_links_to_folders_are_followed_but_not_in_circles(root, tmp_path):
    shutil.move(root / "sub-02", tmp_path / "archive")
    (root / "sub-02").symlink_to(tmp_path / "archive")
    before = layout.tree(root)
    (tmp_path / "archive/loop").symlink_to(root)
    (root / "sub-01/self").symlink_to(".")
    assert list(bids.index(root)[0]["status"]) == ["ok", "ok"]
    assert layout.tree(root) == before
    (tmp_path / "archive/eeg/sub-02_task-sounds_events.tsv").write_text("onset\n")
    assert layout.tree(root) != before


def test_participants_as_they_should_not_be(root):
    path = root / "participants.tsv"

    def read(content):
        path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        recordings, people, _ = bids.index(root)
        assert people["participant_id"].tolist() == ["sub-01", "sub-02"]
        return people, " ".join(recordings.attrs["notes"])

    people, notes = read("participant_id\tage\nsub-01\t30\nsub-01\t30\nsub-02\t31\nsub-02\t32\n")
    assert people["age"].tolist()[0] == "30" and pd.isna(people["age"][1])
    assert "contradict each other for sub-02" in notes and "sub-01" not in notes
    people, notes = read("participant_id\tage\r\nsub-02\t31\r\n")
    assert people["age"].tolist()[1] == "31" and "no row for sub-01" in notes
    assert "no column participant_id" in read("subject\tage\nsub-01\t3\n")[1]
    assert "is passed over" in read(b"participant_id\tname\nsub-01\t\xe9\n")[1]
    assert read("\ufeffparticipant_id\tage\nsub-01\t30\nsub-02\t31\n")[1] == ""
    path.unlink()
    assert "is not there" in " ".join(bids.index(root)[0].attrs["notes"])


def test_entities_are_those_of_pybids(root, shared):
    (root / "sub-01/ses-a/eeg").mkdir(parents=True)
    (root / "sub-01/ses-a/eeg/sub-01_ses-a_task-x_acq-hi_run-02_eeg.edf").write_bytes(b"")
    trees = [root, shared / "data/eegmmidb", shared / "data/ssvep-exo", shared / "data/events-only/ds005505"]
    for tree in trees:
        found = bids.index(tree)[0].astype(object).fillna("").set_index("rec")
        indexer = BIDSLayoutIndexer(validate=False, index_metadata=False)
        files = BIDSLayout(tree, validate=False, indexer=indexer).get(suffix=["eeg", "events"])
        names = ("subject", "session", "task", "run")
        theirs = {}
        for file in files:
            if file.entities.get("datatype") == "eeg":
                rec = os.path.relpath(file.path, tree).rpartition("_")[0]
                theirs[rec] = [str(file.entities.get(name, "")) for name in names]
        ours = {rec: [row[name] for name in names] for rec, row in found.iterrows()}
        assert ours == theirs and len(ours) >= 3


def test_inheritance_is_that_of_pybids(shared):
    """pybids merges metadata by the same principle: ours must give the same values over a real tree."""
    tree = shared / "data/events-only/ds005505"
    found = bids.index(tree)[0].iloc[::40]
    theirs = BIDSLayout(tree, validate=False)
    for row in found.to_dict("records"):
        assert bids.sidecar(tree, row["events_json"]) == theirs.get_metadata(str(tree / row["events"]))
        own = bids.sidecar(tree, row["eeg_json"])
        assert own["TaskName"] and own["SamplingFrequency"]


def test_every_absent_signal_of_an_events_only_copy_is_reported(shared):
    found, _, cache = bids.index(shared / "data/events-only/ds005505")
    assert len(found) == 240 and set(found["reason"]) == {"missing-file"}
    assert found["message"].str.contains("has no signal file").all()
    filled = ["eeg_json", "channels", "events", "events_json", "hed_version", "channels_sha256", "events_sha256"]
    assert found[filled].map(bool).all(axis=None) and found["events_json"].str.fullmatch(r"task-\w+_events.json").all()
    assert len(cache) == 743
    subjects = bids.index(shared / "data/events-only/ds003645")[0]
    assert len(subjects) == 108 and subjects["events"].str.endswith("_events.tsv").all()


def test_the_fingerprint_follows_content(root, tmp_path):
    digests = tmp_path / "sha256.tsv"
    table.write(digests, bids.index(root)[2])
    before = layout.tree(root, digests)
    assert layout.tree(root, digests) == before == layout.tree(root)
    events = root / "sub-01/eeg/sub-01_task-sounds_events.tsv"
    os.utime(events, (0, 0))
    assert layout.tree(root, digests) == before
    text = events.read_text()
    events.write_text(text.replace("0", "1", 1))
    changed = layout.tree(root, digests)
    assert changed != before
    events.write_text(text)
    assert layout.tree(root, digests) == before
    os.utime(root / f"{SIGNAL}.eeg", (0, 0))
    assert layout.tree(root, digests) != before


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "no-events", "has no rows"),
        (b"onset\tduration\n", "no-events", "has no rows"),
        (b"onset\tduration\tvalue\n1\t0\tp\xe9\n", "bad-events", "no tab-separated table in UTF-8"),
        (b"onset\tduration\n1\t0\t7\n", "bad-events", "line 2 has 3 fields"),
    ],
)
def test_tables_of_events_that_are_none(root, content, code, words):
    row = bids.index(root)[0].iloc[0].to_dict()
    (root / row["events"]).write_bytes(content)
    with pytest.raises(Fault, match=words) as caught:
        bids.events(root, row)
    assert caught.value.code == code


def test_windows_line_ends_and_byte_order_marks_are_read(root):
    row = bids.index(root)[0].iloc[0].to_dict()
    plain = bids.events(root, row)
    for name in (row["events"], row["events_json"]):
        text = (root / name).read_text(encoding="utf-8")
        (root / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    again = bids.events(root, row)
    assert again[0].equals(plain[0]) and again[1] == plain[1]


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"text"', b'{"a": "\xe9"}', b""])
def test_a_sidecar_that_is_no_json_object_is_named(root, content):
    (root / "eeg.json").write_bytes(content)
    with pytest.raises(Fault, match=r"eeg\.json is no JSON object in UTF-8") as caught:
        bids.sidecar(root, "eeg.json")
    assert caught.value.code == "bad-sidecar"


def test_odd_hed_versions_are_no_crash(root):
    path = root / "dataset_description.json"
    for given, text in ((["8.3.0", "sc:1.0.0"], "8.3.0,sc:1.0.0"), (None, ""), (8.3, "8.3"), ({"a": 1}, "{'a': 1}")):
        path.write_text(json.dumps({"Name": "x", "BIDSVersion": "1.9.0"} | ({"HEDVersion": given} if given else {})))
        assert bids.index(root)[0]["hed_version"].fillna("").tolist() == [text] * 2
