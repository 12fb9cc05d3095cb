"""The eyes-closed windows of the Healthy Brain Network (ds005505), counted a second time without this package.

Reference: the column ``value`` of the published event tables, read with the csv module and exact decimal fractions. An
interval runs from a prompt to the next prompt of any kind; windows of 2 s follow each other from so long after the
prompt to so long before its end.
"""

import csv
from decimal import Decimal
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hedgerow import account, io, rows, store, table, windows

PROMPTS = {"instructed_toCloseEyes": "closed", "instructed_toOpenEyes": "open"}

SELECTION = {
    "classes": {"closed": "Label/now-close-your-eyes", "open": "Label/now-open-your-eyes"},
    "kind": "intervals",
    "until": {"closed": "Label/now-open-your-eyes", "open": "Label/now-close-your-eyes"},
    "length": 2.0,
}

SUBJECTS = 20


@pytest.fixture(scope="module")
def hbn(shared):
    """Stem of the resting-state files of every subject."""
    stems = sorted((shared / "data/events-only/ds005505").glob("sub-*/eeg/*_task-RestingState_events.tsv"))
    assert len(stems) == SUBJECTS
    return [str(path).removesuffix("_events.tsv") for path in stems]


@cache
def prompts(stem):
    """Onset (exact, in s), label and row of each prompt, in the order of time."""
    with open(f"{stem}_events.tsv", encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    found = [(Decimal(line["onset"]), PROMPTS.get(line["value"]), row) for row, line in enumerate(lines)]
    return sorted(prompt for prompt in found if prompt[1])


def counted(stem, after, before):
    """Start, label and row of each window of 2 s from `after` a prompt to `before` the next one; rows left open."""
    found, last = [], None
    for onset, label, row in prompts(stem):
        if last is not None:
            start = last[0] + after
            while start + 2 <= onset - before:
                found.append((float(start), last[1], last[2]))
                start += 2
        last = (onset, label, row)
    return found, [last[2]]


def selected(stem, **ask):
    """Windows and account of this package for one subject, as from the index."""
    sidecar = account.read(Path(stem).parents[2] / "task-RestingState_events.json")
    seconds = account.read(f"{stem}_eeg.json")["RecordingDuration"]
    events = table.read(f"{stem}_events.tsv", text=True)
    return windows.select(events, sidecar, seconds, hed_version="8.3.0", **SELECTION | ask)


@pytest.mark.parametrize(("after", "before"), [("0", "0"), ("1", "0"), ("3", "3"), ("0.5", "0.25")])
def test_every_subject_has_the_windows_that_its_events_imply(hbn, after, before):
    for stem in hbn:
        expected, left = counted(stem, Decimal(after), Decimal(before))
        found, said = selected(stem, tmin=float(after), tmax=-float(before))
        np.testing.assert_allclose(found["onset"], [start for start, _, _ in expected], atol=1e-9)
        assert found["label"].tolist() == [label for _, label, _ in expected]
        assert found["event"].tolist() == [row for _, _, row in expected]
        for label in ("closed", "open"):
            assert said["windows"][label] == sum(other == label for _, other, _ in expected)
        # the last prompt, open your eyes, is followed by the end of the recording or by another task
        assert said["unclosed"] == left and said["outside"] == said["short"] == said["beyond"] == []


def test_the_numbers_themselves(hbn):
    """Five times 40 s with eyes closed: 19 windows each from 1 s after the prompt on.

    Prompts are off by up to 10 ms, so that of 20 windows from the prompt itself the last may just fit or just not.
    """
    from_the_prompt = set()
    for stem in hbn:
        assert len(prompts(stem)) == 11
        assert selected(stem, tmin=1.0)[1]["windows"] == {"closed": 95, "open": 45}
        from_the_prompt.add(selected(stem)[1]["windows"]["closed"])
    assert from_the_prompt <= set(range(95, 101)) and len(from_the_prompt) > 1


def test_the_windows_of_truong_and_colleagues(hbn):
    """Their own cut, 3 to 37 s after each prompt, gives every subject the 85 windows that their code demands."""
    ask = {"kind": "events", "until": None, "classes": {"closed": SELECTION["classes"]["closed"]}}
    for stem in hbn:
        found, said = selected(stem, tmin=3.0, tmax=37.0, **ask)
        expected = [
            float(onset + 3 + 2 * tile) for onset, label, _ in prompts(stem) if label == "closed" for tile in range(17)
        ]
        np.testing.assert_allclose(found["onset"], expected, atol=1e-9)
        assert said["windows"] == {"closed": 85}


def test_events_of_another_task_in_the_file_change_nothing(hbn):
    """One subject's table goes on with a learning task; without its rows the windows are the same."""
    (stem,) = [stem for stem in hbn if "sub-NDARAC904DMU" in stem]
    with open(f"{stem}_events.tsv", encoding="utf-8") as file:
        assert "seqLearning_start" in file.read()
    found, _ = selected(stem, tmin=1.0)
    assert found["onset"].max() < 346 and len(found) == 140


def test_a_window_has_every_column_of_its_event_and_its_participant(hbn, shared, tmp_path):
    """All columns are at hand as regressors or targets: those of the row that starts the interval, and the person's."""
    stem = next(stem for stem in hbn if "sub-NDARAP359UM6" in stem)
    root = shared / "data/events-only/ds005505"
    events, sidecar = table.read(f"{stem}_events.tsv", text=True), account.read(root / "task-RestingState_events.json")
    x = np.zeros((2, round(377.56 * 100)))
    signal, index, marked, info, said = windows.windows(
        x, 100.0, ["E1", "E2"], events, sidecar, io.positions, hed_version="8.3.0", tmin=1.0, **SELECTION
    )
    rec = "sub-NDARAP359UM6/eeg/sub-NDARAP359UM6_task-RestingState"
    out = tmp_path / "d" / f"{rec}_desc-eyes"
    out.parent.mkdir(parents=True)
    table.write(f"{out}_events.tsv", marked)
    place = {"dataset": "d", "subject": "NDARAP359UM6", "rec": rec, "selection": "eyes", "account": said}
    store.write(f"{out}_windows.zarr.zip", signal, index, **info, attrs=place)
    people = tmp_path / "index" / "d" / "participants.tsv"
    people.parent.mkdir(parents=True)
    people.write_bytes((root / "participants.tsv").read_bytes())
    found = rows.collect([f"{out}_windows.zarr.zip"], [people])
    person = pd.read_csv(people, sep="\t", dtype=str).set_index("participant_id").loc["sub-NDARAP359UM6"]
    assert len(found) == 140 and len(person) == 23
    assert set(found) == {*rows.PLACE, *events, "window_class", *person.index}
    for column, value in person.items():
        assert set(found[column]) == {value}
    starts = pd.read_csv(f"{stem}_events.tsv", sep="\t", dtype=str, keep_default_na=False).iloc[found["event"]]
    for column in ("sample", "value", "event_code"):
        assert found[column].tolist() == starts[column].tolist()
    assert found["value"].map(PROMPTS).tolist() == found["label"].tolist() == found["window_class"].tolist()
