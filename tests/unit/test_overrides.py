"""Decisions by hand: the table, its faults by line, which line wins; filters and pilot, which decide with it."""

from pathlib import Path

import pandas as pd
import pytest

from hedgerow import filters, io, overrides, simulate, study, windows
from hedgerow.account import Fault
from hedgerow.clean.recording import recording as clean_recording
from hedgerow.config import ConfigError

HEADER = "dataset\trecording\twhat\tvalue\twho\twhy\n"
GOOD = "lab\tsub-01_task-x\tbad\tCz, Pz\tA. B.\tloose\n"
RECS = ["sub-01/eeg/sub-01_task-x", "sub-01/eeg/sub-01_task-y", "sub-02/eeg/sub-02_task-x"]


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Write a table of overrides: ``written(*lines)`` gives its path."""
    monkeypatch.chdir(tmp_path)

    def write(*lines, header=HEADER):
        (tmp_path / "o.tsv").write_text(header + "".join(lines), encoding="utf-8")
        return "o.tsv"

    return write


def settled(path, rec):
    return overrides.settle(overrides.of(overrides.by_name(overrides.read(path)), "lab", rec))


def test_only_the_default_table_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert overrides.read(overrides.DEFAULT) == []
    with pytest.raises(ConfigError, match=r"overrides: there is no file 'mine\.tsv'"):
        overrides.read("mine.tsv")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lab\tsub-01\tbda\tCz\tA\tw\n", ["line 3", "what is 'bda'", "'bad'"]),
        ("lab\tsub-01\tbad\tCz\t\tw\n", ["line 3", "who is empty"]),
        ("lab\tsub-01\tbad\tCz\tA\tn/a\n", ["line 3", "why is empty"]),
        ("lab\t\tbad\tCz\tA\tw\n", ["line 3", "recording is empty"]),
        ("lab\tsub-01\tbad\tCz,,Pz\tA\tw\n", ["line 3", "names of channels"]),
        ("lab\tsub-01\tgood\tn/a\tA\tw\n", ["line 3", "names of channels"]),
        ("lab\tsub-01\treject\tyes\tA\tw\n", ["line 3", "'yes'", "n/a"]),
        ("lab\tsub-01\tshift\t0,5\tA\tw\n", ["line 3", "'0,5'", "number of seconds"]),
        ("lab\tsub-01\tshift\tnan\tA\tw\n", ["line 3", "'nan'", "number of seconds"]),
        ("lab\tsub-01\treinstate\ttruncatd\tA\tw\n", ["line 3", "'truncatd'", "'truncated', 'rejected'"]),
        ("lab\tsub-01\treinstate\tunreadable\tA\tw\n", ["line 3", "can waive", "'truncated'"]),
        ("lab\tsub-01\tbad\tCz\tA\n", ["line 3", "5 fields"]),
    ],
)
def test_a_fault_names_file_line_and_remedy(written, line, words):
    with pytest.raises(ConfigError) as caught:
        overrides.read(written(GOOD, line))
    assert str(caught.value).startswith("o.tsv")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("header", ["dataset recording what value who why\n", HEADER.replace("who\t", ""), ""])
def test_other_columns_are_refused(written, header):
    with pytest.raises(ConfigError, match=r"o\.tsv, line 1: the columns must be dataset, recording"):
        overrides.read(written(header=header))


def test_text_that_is_no_utf8_is_refused(written, tmp_path):
    path = written()
    (tmp_path / path).write_bytes(HEADER.encode() + GOOD.replace("A. B.", "Ä").encode("latin-1"))
    with pytest.raises(ConfigError, match=r"o\.tsv is no text in UTF-8"):
        overrides.read(path)


def test_unknown_datasets_and_recordings_are_named_with_the_nearest(written):
    lines = overrides.read(written(GOOD, "\n", "lap\tsub-01\treject\tn/a\tA\tw\n", "lab\tsub-03\treject\t\tA\tw\n"))
    with pytest.raises(ConfigError, match=r"o\.tsv, line 4: 'lap' is no dataset .* there are 'lab', 'other'"):
        overrides.check_datasets(lines, "o.tsv", ["other", "lab"])
    overrides.check_datasets(lines, "o.tsv", ["lap", "lab"])
    with pytest.raises(ConfigError, match=r"o\.tsv, line 5: lab has no recording 'sub-03'; there are 'sub-0"):
        overrides.check_recordings(lines, "o.tsv", "lab", RECS)
    overrides.check_recordings(lines, "o.tsv", "lab", [*RECS, "sub-03/eeg/sub-03_task-x"])
    overrides.check_recordings(lines, "o.tsv", "lap", RECS)


def test_a_recording_is_called_by_path_stem_or_subject(written):
    lines = [f"lab\t{name}\tbad\tC{k}\tA\tw\n" for k, name in enumerate(("sub-01", RECS[0], "sub-01_task-x", "sub-02"))]
    path = written(*lines)
    assert [entry["value"] for entry in settled(path, RECS[0])["bad"]] == ["C0", "C1", "C2"]
    assert [entry["value"] for entry in settled(path, RECS[1])["bad"]] == ["C0"]
    assert settled(path, "sub-04/eeg/sub-04") == {}


def test_later_lines_win(written):
    path = written(
        GOOD,
        "lab\tsub-01\tgood\tcz\tC. D.\tit is fine\n",
        "lab\tsub-01\tshift\t0.5\tA\tclock\n",
        "lab\tsub-01_task-x\tshift\t-0.25\tA\tclock, read again\n",
        "lab\tsub-01\treject\tn/a\tA\tasleep\n",
        "lab\tsub-01_task-y\treinstate\trejected\tA\tawake here\n",
    )
    first, second = settled(path, RECS[0]), settled(path, RECS[1])
    assert first["bad"] == [{"value": "Pz", "who": "A. B.", "why": "loose"}]
    assert first["good"] == [{"value": "cz", "who": "C. D.", "why": "it is fine"}]
    assert [entry["value"] for entry in first["shift"]] == [-0.25]
    assert [entry["value"] for entry in second["shift"]] == [0.5]
    assert overrides.rejection(first, path).startswith("rejected by A: asleep")
    assert "reject" not in second and overrides.rejection(second, path) is None


def test_within_keeps_what_the_study_is_about():
    rows = [{"rec": rec, "status": "ok", "reason": "", "message": ""} for rec in RECS]
    found = overrides.within(rows, {RECS[0]: None, RECS[2]: "rejected by A: w"})
    assert [(row["rec"], row["status"], row["reason"]) for row in found] == [
        (RECS[0], "ok", ""),
        (RECS[2], "quarantined", "rejected"),
    ]
    assert rows[2]["status"] == "ok"


ROWS = [
    {"rec": rec, "subject": rec[4:6], "session": "", "task": rec[-1], "run": "01"}
    for rec in [*RECS, "sub-10/eeg/sub-10_task-x"]
]
PEOPLE = [
    {"participant_id": "sub-01", "sex": "F", "age": "12.0", "task": "none"},
    {"participant_id": "sub-02", "sex": "M", "age": "12", "task": "none"},
]


@pytest.mark.parametrize(
    ("only", "subjects"),
    [
        ({}, ["01", "01", "02", "10"]),
        ({"task": "x"}, ["01", "02", "10"]),
        ({"task": ["x", "y"], "subject": "sub-01"}, ["01", "01"]),
        ({"subject": ["01", 10]}, ["01", "01", "10"]),
        ({"sex": "M"}, ["02"]),
        ({"age": 12}, ["02"]),
        ({"age": 12.0}, ["01", "01"]),
        ({"sex": "n/a"}, ["10"]),
        ({"session": "n/a"}, ["01", "01", "02", "10"]),
    ],
)
def test_filters(only, subjects):
    assert [row["subject"] for row in filters.matching(ROWS, PEOPLE, only, "datasets.lab.only")] == subjects


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ({"sexe": "F"}, ["datasets.lab.only.sexe", "there are 'sex'"]),
        ({"task": "X2"}, ["datasets.lab.only.task", "'X2'", "there are 'x'"]),
        ({"subject": 1}, ["only.subject", "'1'", "'01'", "in quotes"]),
        ({"run": ["01", "1"]}, ["only.run", "'1'", "in quotes"]),
        ({"sex": "M", "task": "y"}, ["datasets.lab.only", "sex, task"]),
    ],
)
def test_a_filter_that_finds_nothing_says_what_there_is(only, words):
    with pytest.raises(ConfigError) as caught:
        filters.matching(ROWS, PEOPLE, only, "datasets.lab.only")
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def lab(written):
    """A study of six subjects, the second of whom has no ok recording, the third no signal: ``lab(*lines, ...)``."""

    def make(*lines, pilot=None, only=None):
        folder = Path("results/index/lab")
        folder.mkdir(parents=True, exist_ok=True)
        table = "rec\tstatus\treason\tmessage\tsubject\tsession\ttask\trun\tevents\tsize\n"
        for k in range(1, 7):
            state = {2: "quarantined\tno-events\tm", 3: "quarantined\tmissing-file\tm"}.get(k, "ok\tn/a\tn/a")
            table += f"sub-0{k}/eeg/sub-0{k}_task-x\t{state}\t0{k}\tn/a\tx\tn/a\tsub-0{k}_events.tsv\t2000000\n"
        (folder / "recordings.tsv").write_text(table)
        people = "".join(f"sub-0{k}\t{'MF'[k % 2]}\n" for k in range(1, 7))
        (folder / "participants.tsv").write_text("participant_id\tsex\n" + people)
        block = {"source": "path", "path": "x", "version": None, "only": only or {}}
        config = {"study": "s", "datasets": {"lab": block}, "pilot": pilot, "overrides": written(*lines)}
        config |= {"recipe": "standard", "selections": {}, "parts": 1}
        return study.Study(config, lambda dataset: f"results/index/{dataset}/recordings.tsv")

    return make


def subjects(rows):
    return [row["subject"] for row in rows]


def test_a_rejected_recording_is_not_used_but_told(lab):
    demo = lab("lab\tsub-04_task-x\treject\tn/a\tA. B.\tfell asleep\n")
    assert subjects(demo.recordings("lab")) == ["01", "05", "06"]
    assert subjects(demo.scope("lab")) == ["01", "02", "03", "04", "05", "06"]
    rec = "sub-04/eeg/sub-04_task-x"
    assert rec not in demo.chosen("lab") and "A. B.: fell asleep" in demo.about("lab")[rec]
    assert demo.summary().startswith("recordings: 0 ok, 3 quarantined, 1 missing-file, 1 no-events, 1 rejected; 3 fail")
    assert demo.size_mb("lab") == 6


def test_a_pilot_takes_the_first_subjects_that_can_be_used(lab):
    line = "lab\tsub-01\treject\tn/a\tA\tw\n"
    assert subjects(lab(pilot=2).recordings("lab")) == ["01", "04"]
    assert subjects(lab(pilot=2).scope("lab")) == ["01", "02", "03", "04"]
    assert subjects(lab(line, pilot=2).recordings("lab")) == ["04", "05"]
    assert subjects(lab(pilot=2, only={"sex": "M"}).recordings("lab")) == ["04", "06"]
    assert subjects(lab(pilot=9).recordings("lab")) == ["01", "04", "05", "06"]
    assert subjects(lab(pilot=2).scope("lab", absent=True)) == ["01", "02", "03"]
    assert "; 2 not in this study (pilot: 2)" in lab(pilot=2).summary()
    assert "; 3 not in this study (only)" in lab(only={"sex": "M"}).summary()


def test_overrides_of_a_job_are_those_of_its_recording_and_rule(lab):
    demo = lab(
        "lab\tsub-01\tbad\tCz\tA\tw\n",
        "lab\tsub-01\tshift\t1\tA\tw\n",
        "lab\tsub-01\treinstate\trejected, truncated\tA\tw\n",
        "lab\tsub-04\treinstate\trejected\tA\tw\n",
    )
    rec = "sub-01/eeg/sub-01_task-x"
    assert demo.override("lab", rec, "shift") == {"shift": [{"value": 1.0, "who": "A", "why": "w"}]}
    cleaning = demo.override("lab", rec, "bad", "good", "reinstate")
    assert {what: [e["value"] for e in entries] for what, entries in cleaning.items()} == {
        "bad": ["Cz"],
        "reinstate": ["truncated"],
    }
    assert demo.override("lab", "sub-04/eeg/sub-04_task-x", "bad", "good", "reinstate") == {}


def test_faults_are_told_while_the_table_of_recordings_is_not_outdated(lab):
    demo = lab("lab\tsub-1\treject\tn/a\tA\tw\n")
    demo.check()  # whose index is outdated or missing may know sub-1 after it
    Path("x").mkdir()
    Path("results/index/lab/tree.json").write_text(f'{{"tree": "{demo.tree("lab")}"}}')
    with pytest.raises(ConfigError, match=r"o\.tsv, line 2: lab has no recording 'sub-1'; there are 'sub-01_task-x'"):
        demo.check()
    assert "lab has no recording 'sub-1'" in demo.summary()
    with pytest.raises(ConfigError, match="no recording has 'K'"):
        lab(only={"sex": "K"}).check()


def test_a_line_on_another_study_that_was_indexed_here_is_passed_over(lab):
    with pytest.raises(ConfigError, match="'other' is no dataset of this study"):
        lab("other\tsub-1\treject\tn/a\tA\tw\n")
    Path("results/index/other").mkdir()
    Path("results/index/other/recordings.tsv").write_text("rec\n")
    assert len(lab("other\tsub-1\treject\tn/a\tA\tw\n").recordings("lab")) == 4


def _said(value, who="A. B.", why="looked at it"):
    return {"value": value, "who": who, "why": why}


@pytest.fixture(scope="module")
def raw():
    """A simulated recording, its channels and what was planted."""
    x, channels, _, planted = simulate.recording(1, channels=8, seconds=30)
    channels[["status", "status_description"]] = ["good", "n/a"]
    return x, channels, planted["recording"]


def test_channels_by_hand_overrule_table_and_cleaning(raw):
    x, channels, planted = raw
    channels = channels.copy()
    channels.loc[channels["name"] == "Pz", "status"] = "bad"
    said = {"bad": [_said("cz")], "good": [_said("Pz"), _said(planted["flat"])]}
    positions = io.positions(channels["name"])
    _, table, account, _ = clean_recording(x, 250.0, channels, positions=positions, overrides=said, asr_cutoff=None)
    assert account["marked"] == ["Cz"] and account["flat"] == [] and account["overrides"] == said
    assert set(account["interpolated"]) == {"Cz", planted["noisy"]}
    table = table.set_index("name")
    assert table.loc["Cz", "status_description"] == "taken as bad by A. B.: looked at it, interpolated"
    assert table.loc["Pz", ["status", "status_description"]].tolist() == [
        "good",
        "taken as good by A. B.: looked at it",
    ]
    _, _, account, _ = clean_recording(x, 250.0, channels, positions=positions, overrides={}, asr_cutoff=None)
    assert "overrides" not in account and account["marked"] == ["Pz"] and account["flat"] == [planted["flat"]]


@pytest.mark.parametrize("name", ["Czz", "EOG"])
def test_a_channel_that_is_not_there_is_a_fault_of_the_override(raw, name):
    x, channels, _ = raw
    with pytest.raises(Fault, match=rf"A\. B\. takes channel '{name}' as bad \(looked at it\).* there are '") as caught:
        clean_recording(x, 250.0, channels, positions=io.positions(channels["name"]), overrides={"bad": [_said(name)]})
    assert caught.value.code == "bad-override"


def test_onsets_are_shifted_as_they_are_written():
    text = pd.DataFrame({"onset": ["1.1", "n/a", "2", None], "kind": "x"})
    assert windows.shifted(text, 0.2)["onset"].tolist()[:3] == ["1.3", "n/a", "2.2"]
    assert windows.shifted(text, 0.2)["onset"].isna().tolist() == [False, False, False, True]
    assert windows.shifted(pd.DataFrame({"onset": [1.0, 2.0]}), -1)["onset"].tolist() == [0.0, 1.0]
    assert windows.shifted(text, 0) is text and list(windows.shifted(text[["kind"]], 1)) == ["kind"]
