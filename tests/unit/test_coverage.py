"""What selections give by event tables alone: counts, absent signals, errors by file and line; the page."""

import json
import re

import pandas as pd
import pytest
import yaml

from conftest import ROOT
from hedgerow import bids, config, coverage, layout, table
from hedgerow.report import coverage as report

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
SIDECAR = {
    "kind": {
        "HED": {
            "tone": "Sensory-event, Tone",
            "press": "Agent-action, Press",
            "both": "Sensory-event, Agent-action, Tone, Press",
            "minute": "(Duration/60 s, (Red))",
            "open": "(Def/Eyes, Onset)",
            "close": "(Def/Eyes, Offset)",
            "wrong": "Sensory-event, NoSuchTagAtAll",
        }
    },
    "defs": {"HED": {"eyes": "(Definition/Eyes, (Blue))"}},
}
CLASSES = {"tone": "Tone", "press": "Press"}
ROW = dict.fromkeys(("reason", "message", "events_json", "eeg_json", "channels"), "") | {"hed_version": "8.3.0"}


def _config(**blocks):
    given = {"study": "s", "datasets": {"lab": {"source": "path", "path": "x"}}, "selections": blocks}
    return config.complete(given, SCHEMA)


@pytest.fixture
def lab(tmp_path):
    """A dataset of event tables: ``lab(number, *(onset, kind), ...)`` writes one and gives its row of the index."""

    def make(number, *events, duration=20.0, status="ok", **more):
        stem = f"sub-{number:02}_task-x"
        (tmp_path / "events.json").write_text(json.dumps(SIDECAR))
        (tmp_path / f"{stem}_eeg.json").write_text(json.dumps({"RecordingDuration": duration}))
        lines = "".join(f"{onset}\t0\t{kind}\n" for onset, kind in events)
        (tmp_path / f"{stem}_events.tsv").write_text("onset\tduration\tkind\n" + lines)
        row = ROW | {"rec": f"sub-{number:02}/eeg/{stem}", "subject": f"{number:02}", "status": status}
        return (
            row | {"events": f"{stem}_events.tsv", "events_json": "events.json", "eeg_json": f"{stem}_eeg.json"} | more
        )

    make.root = tmp_path
    return make


def _count(lab, rows, shifts=None, **blocks):
    selections = _config(**(blocks or {"a": {"classes": CLASSES, "tmin": 0, "tmax": 1}}))["selections"]
    return coverage.count("lab", lab.root, rows, selections, shifts or {})


def _of(found, label, selection="a"):
    return found[(found["label"] == label) & (found["selection"] == selection)].set_index("subject")


def test_events_and_windows_of_each_label(lab):
    rows = [lab(1, (1, "tone"), (2, "press"), (3, "tone"), (19.5, "tone")), lab(2, (1, "tone"), (5, "both"))]
    found, errors = _count(lab, rows)
    tone, press = _of(found, "tone"), _of(found, "press")
    assert list(found.columns) == list(coverage.COLUMNS) and not len(errors)
    assert tone["events"].tolist() == [3, 1] and tone["windows"].tolist() == [2, 1]
    assert tone["seconds"].tolist() == [2.0, 1.0] and tone["overlaps"].tolist() == [0, 1]
    assert press["windows"].tolist() == [1, 0] and press["overlaps"].tolist() == [0, 1]
    assert found["reason"].isna().all() and (found["duration"] == 20).all()


def test_an_absent_signal_counts_by_its_events(lab):
    gone = {"status": "quarantined", "reason": "missing-file", "message": "no signal file"}
    rows = [lab(1, (1, "tone"), **gone), lab(2, **gone | {"events": ""}), lab(3, **gone | {"reason": "bad-name"})]
    found, _ = _count(lab, rows)
    tone = _of(found, "tone")
    assert tone["status"].tolist() == ["absent", "quarantined", "quarantined"]
    assert tone["windows"].tolist() == [1, 0, 0]
    assert tone["reason"].tolist() == ["missing-file", "missing-file", "bad-name"]


def _annexed(path):
    path.unlink()
    path.symlink_to("../../.git/annex/objects/a/MD5E-s7--b.edf")


@pytest.mark.parametrize(
    ("without", "status"),
    [
        ("eeg.edf", "absent"),
        ("eeg.vhdr", "absent"),  # its .eeg and .vmrk are not there
        ("annexed", "absent"),
        ("eeg.json", "quarantined"),  # will never run, though the signal is here
        ("eeg.json annexed", "quarantined"),
        ("events.tsv annexed", "quarantined"),
        ("", "ok"),
    ],
)
def test_absent_is_what_lacks_its_signal_alone(tmp_path, without, status):
    stem = tmp_path / "sub-01/eeg/sub-01_task-x"
    stem.parent.mkdir(parents=True)
    files = {"eeg.edf": "no header is read", "eeg.json": '{"RecordingDuration": 20}', "channels.tsv": "name\ttype\n"}
    files |= {"events.tsv": "onset\tduration\tkind\n1\t0\ttone\n", "events.json": json.dumps(SIDECAR)}
    for name, text in files.items():
        stem.with_name(f"{stem.name}_{name}").write_text(text)
    (tmp_path / "dataset_description.json").write_text('{"HEDVersion": "8.3.0"}')
    signal = stem.with_name(f"{stem.name}_eeg.edf")
    if without == "eeg.vhdr":
        signal.rename(signal.with_suffix(".vhdr"))
    elif "annexed" in without:
        _annexed(stem.with_name(f"{stem.name}_{without.split()[0]}") if " " in without else signal)
    elif without:
        stem.with_name(f"{stem.name}_{without}").unlink()
    recordings, *_ = bids.index(tmp_path)
    table.write(tmp_path / "recordings.tsv", recordings)
    (row,) = layout.rows(tmp_path / "recordings.tsv")
    selections = _config(a={"classes": {"tone": "Tone"}, "tmin": 0, "tmax": 1})["selections"]
    found, _ = coverage.count("lab", tmp_path, [row], selections, {})
    assert found["status"].tolist() == [status] and found["windows"].tolist() == [int(status != "quarantined")]
    assert row["reason"] == ("missing-file" if without else "")


def test_what_gives_nothing_has_its_reason(lab):
    rows = [
        lab(1, (1, "other")),
        lab(2),
        lab(3, (19.9, "tone")),
        lab(4, (1, "tone"), hed_version=""),
        lab(5, (1, "tone"), (2, "wrong")),
        lab(6, (1, "tone"), duration=0.5),
        lab(7, (1, "tone"), reason="rejected", message="rejected by A: w", status="quarantined"),
    ]
    found, _ = _count(lab, rows)
    tone = _of(found, "tone")
    assert tone["windows"].sum() == 0
    assert tone["reason"].tolist() == [
        "no-match", "no-events", "outside", "bad-hed", "bad-hed", "too-short", "rejected",
    ]  # fmt: skip
    assert tone["message"].notna().all() and "HEDVersion" in tone.loc["04", "message"]


def test_every_hed_error_is_told_with_file_and_line(lab):
    rows = [lab(1, (1, "tone"), (2, "wrong"), (3, "tone"), (4, "wrong"), (5, "wrong")), lab(2, (1, "tone"))]
    a = {"classes": CLASSES, "tmin": 0, "tmax": 1}
    found, errors = _count(lab, rows, a=a, b=a | {"on_error": "skip_rows"})
    assert _of(found, "tone", "a")["windows"].tolist() == [0, 1]
    assert _of(found, "tone", "b")["windows"].tolist() == [2, 1]
    (error,) = errors.to_dict("records")
    assert error["file"] == "sub-01_task-x_events.tsv" and error["lines"] == "3, 5-6" and error["rows"] == 3
    assert error["line"] == 3 and error["used"] == "no" and "NoSuchTagAtAll" in error["message"]


def test_without_a_duration_nothing_leaves_the_recording_at_its_end(lab):
    rows = [lab(1, (1, "tone"), (1000, "tone"), duration="n/a")]
    found, _ = _count(lab, rows)
    assert _of(found, "tone")["windows"].tolist() == [2] and found["duration"].isna().all()


def test_without_a_duration_an_interval_lasts_as_its_annotation_says(lab):
    rows = [lab(1, (0, "minute"), duration="n/a"), lab(2, (3, "open"), (9, "close"), duration="n/a")]
    rows += [lab(3, (3, "open"), (9, "tone"), (10, "tone"), duration="n/a"), lab(4, (0, "minute"), duration=20)]
    both = {"classes": {"red": "Red", "blue": "Def/Eyes"}, "kind": "intervals", "length": 2}
    found, _ = _count(lab, rows, a=both, b=both | {"length": 6})
    assert _of(found, "red")["windows"].tolist() == [30, 0, 0, 10]
    assert _of(found, "blue")["windows"].tolist() == [0, 3, 3, 0]  # the third is never closed: to the last onset
    assert _of(found, "blue", "b")["windows"].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "value",
    [
        [1],
        {"s": 1},
        "an hour",
        True,
        None,
        0,
        -1,
        "0",
        float("inf"),
        "inf",
        float("nan"),
        pytest.param(10**400, id="vast"),
    ],
)
def test_a_duration_that_is_no_length_is_unknown(lab, value):
    found, _ = _count(lab, [lab(1, (1, "tone"), (1000, "tone"), duration=value)])
    assert _of(found, "tone")["windows"].tolist() == [2] and found["duration"].isna().all()


@pytest.mark.parametrize("value", [20, 20.0, "20", " 20.0 "])
def test_a_duration_may_be_a_number_or_its_text(lab, value):
    found, _ = _count(lab, [lab(1, (1, "tone"), (1000, "tone"), duration=value)])
    assert _of(found, "tone")["windows"].tolist() == [1] and (found["duration"] == 20).all()


def test_a_shift_by_hand_counts(lab):
    rows = [lab(1, (1, "tone"), (18.5, "tone"))]
    assert _of(_count(lab, rows)[0], "tone")["windows"].tolist() == [2]
    assert _of(_count(lab, rows, {rows[0]["rec"]: 1.0})[0], "tone")["windows"].tolist() == [1]


def test_a_query_that_means_nothing_stops_the_count(lab):
    with pytest.raises(ValueError, match=r"selections\.a\.classes: tone: the HED query 'Toene'"):
        _count(lab, [lab(1, (1, "tone"))], a={"classes": {"tone": "Toene"}, "tmin": 0, "tmax": 1})


def test_ranges_of_lines():
    assert coverage._ranges([9, 2, 3, 4]) == "2-4, 9" and coverage._ranges([]) == ""


@pytest.fixture
def page(lab, tmp_path):
    """Text of the page over three recordings, after a way through files."""
    gone = {"status": "quarantined", "reason": "missing-file", "message": "no signal file"}
    rows = [lab(1, (1, "tone"), (2, "wrong")), lab(2, (1, "tone"), **gone), lab(3, (1, "other")), lab(4, (1, "other"))]
    settings = _config(a={"classes": CLASSES, "tmin": 0, "tmax": 1})
    for frame, name in zip(coverage.count("lab", tmp_path, rows, settings["selections"], {}), ("c", "e")):
        table.write(tmp_path / f"{name}.tsv", frame)
    found, errors = report.gather([tmp_path / "c.tsv"], [tmp_path / "e.tsv"])
    return lambda: report.page(found, errors, config=settings, outside="pilot: 4"), found, settings


def test_the_page_tells_all_of_it(page):
    make, found, settings = page
    text = re.sub(r"<style>.*?</style>", "", make(), flags=re.S)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))
    assert "4 recordings, of 1 the signal is not here" in text and "pilot: 4" in text
    assert "1 signal absent in lab sub-02_task-x" in text
    assert "sub-03_task-x, sub-04_task-x" in text  # one sentence for both
    assert "bad-hed" in text and "NoSuchTagAtAll" in text
    assert "sub-01_task-x_events.tsv 3 1 no TAG_INVALID" in text
    (a,) = report.totals(found, settings["selections"])
    tone = a["rows"][0]
    assert (tone["given"], tone["without"], tone["subjects"], tone["windows"]) == (1, 3, 1, 1)


def test_the_page_repeats_and_asks_for_nothing_outside(page):
    make, *_ = page
    assert make() == make()
    assert not re.search(r"@import|url\(|<script|<link|<iframe|(?:src|href)=", make())


def test_a_study_without_selections_has_a_page(lab, tmp_path):
    found, errors = coverage.count("lab", tmp_path, [lab(1, (1, "tone"))], {}, {})
    assert "The study has no selections" in report.page(found, errors, config=_config(), outside="")


def _published(shared, tmp_path, name, **block):
    root = shared / "data/events-only" / name
    recordings, *_ = bids.index(root)
    table.write(tmp_path / "recordings.tsv", recordings)
    rows = layout.rows(tmp_path / "recordings.tsv")
    return coverage.count(name, root, rows, _config(a=block)["selections"], {})


def test_a_published_dataset_without_any_signal_is_covered(shared, tmp_path):
    classes = {"sensory": "Sensory-event", "agent": "Agent-action"}
    found, errors = _published(shared, tmp_path, "ds005505", classes=classes, tmax=0.8, on_error="skip_rows")
    assert found["rec"].nunique() == 240 and len(found) == 480
    assert (found["status"] == "absent").all() and found["reason"].notna().all()
    assert found["subject"].nunique() == 20 and found["windows"].sum() > 2000
    assert errors["file"].nunique() == 60 and errors["lines"].notna().all()
    assert (errors["code"] == "TEMPORAL_TAG_ERROR").all()


def test_a_dataset_that_declares_hed_and_has_none_is_refused_with_a_sentence(shared, tmp_path):
    found, errors = _published(shared, tmp_path, "ds002718", classes={"a": "Event"}, tmax=0.8)
    assert (found["reason"] == "bad-hed").all() and found["windows"].sum() == 0
    assert found["message"].str.contains("neither events.json nor a column HED").all()
    assert errors["file"].nunique() == 18 and errors["message"].notna().all()
    assert isinstance(found, pd.DataFrame) and found["rec"].nunique() == 18
