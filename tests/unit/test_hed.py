"""HED queries: the language, the two golden suites, hand-made timelines, and real tables against their own columns."""

import json

import numpy as np
import pandas as pd
import pytest

from hedgerow import hed
from hedgerow.account import Fault

VERSION = "8.3.0"
SIDECAR = {
    "kind": {
        "HED": {
            "open": "Experiment-structure, (Def/Eyes, Onset)",
            "close": "Experiment-structure, (Def/Eyes, Offset)",
            "beep": "Sensory-event, Auditory-presentation, (Tone, {pitch})",
            "cue": "Sensory-event, (Duration/2 s, (Visual-presentation, Circle))",
            "later": "Agent-action, (Delay/1500 ms, (Press, Red))",
            "13": "Sensory-event, (LED-display, Frequency/13 Hz)",
            "130": "Sensory-event, (LED-display, Frequency/130 Hz)",
        }
    },
    "pitch": {"HED": "Frequency/# Hz"},
    "note": {"Description": "bears no HED"},
    "defs": {"HED": {"eyes": "(Definition/Eyes, (Task, Label/Eyes-open))"}},
}


def table(*rows):
    """Events from (onset, kind) or (onset, kind, pitch)."""
    rows = [(*row, np.nan) if len(row) == 2 else row for row in rows]
    return pd.DataFrame(rows, columns=["onset", "kind", "pitch"]).assign(duration=np.nan)


BLOCKS = table((0, "open"), (1, "beep", 440.0), (2, "close"), (3, "beep"), (4, np.nan), (5, "open"), (6, "later"))


def rows(events, query, **kwargs):
    return np.flatnonzero(hed.find(events, SIDECAR, query, hed_version=VERSION, **kwargs)).tolist()


# --- the language


def test_every_golden_query_agrees(shared):
    cases = json.loads((shared / "golden/hed/queries.json").read_text())["cases"]
    wrong = [
        case["id"]
        for case in cases
        if hed.matches(case["hed_string"], case["query"], hed_version=VERSION) != case["expected"]
    ]
    assert len(cases) == 245
    assert wrong == []


@pytest.mark.parametrize(
    ("query", "annotation", "expected"),
    [
        ("Event", "Sensory-event", True),
        ('"Event"', "Sensory-event", False),
        ("@Red", "Blue, (Circle, Red)", False),
        ("@Red", "Blue, (Circle, Green)", True),
        ("{Circle && ~Red}", "Blue, (Circle, Green)", True),
        # what && joins must lie in different parts: each hand in a group of its own
        ("[Hand && To-left-of] && [Hand && To-right-of]", "(Hand, (To-left-of)), (Hand, (To-right-of))", True),
        ("[Hand && To-left-of] && @To-right-of", "(Hand, (To-left-of)), (Hand, (To-right-of))", False),
    ],
)
def test_matches(query, annotation, expected):
    assert hed.matches(annotation, query, hed_version=VERSION) is expected


@pytest.mark.parametrize("written", ["13 Hz", "13", "13.0 Hz", "0.013 kHz", "13 hertz"])
@pytest.mark.parametrize(
    "asked", ["Frequency/13 Hz", '"Frequency/13 Hz"', "Frequency/0.013 kHz", "LED-display && Frequency/13"]
)
def test_a_value_with_its_unit_is_one_number(written, asked):
    assert hed.matches(f"LED-display, Frequency/{written}", asked, hed_version=VERSION)
    assert not hed.matches("LED-display, Frequency/130 Hz", asked, hed_version=VERSION)
    assert not hed.matches("LED-display, Frequency/13 kHz", asked, hed_version=VERSION)
    assert hed.matches("LED-display, Frequency/130 Hz", f"@{asked.split(' && ')[-1]}", hed_version=VERSION)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Nosuchtag", "Nosuchtag"),
        ("Sensory-evnt", "did you mean 'Sensory-event'"),
        ("Red && ~Blue", "@Tag"),
        ("@[Red && Blue]", "negate each tag"),
        ("Frequency/13*", "13* is also 130"),
        ("Frequency/13 m", "Frequency takes"),
        ("!Red", "'!'"),
        ("Red & Blue", "'&'"),
        ("Red)", "does not parse"),
        ("(Red && Blue", "does not parse"),
        ("Nosuch*", "no tag of the HED schema begins so"),
        ("Re*d", "end of a tag"),
        (["Red"], "in quotes"),
        ("", "no HED query"),
    ],
)
def test_a_query_that_would_go_wrong_silently_is_refused(query, words):
    with pytest.raises(ValueError, match=r".") as error:
        hed.matches("Red", query, hed_version=VERSION)
    assert words in str(error.value)


def test_onset_is_no_query_for_events():
    with pytest.raises(ValueError, match="during"):
        hed.find(BLOCKS, SIDECAR, "Onset", hed_version=VERSION)


@pytest.mark.parametrize("version", ["7.1.2", None, "nolibrary_1.0.0", []])
def test_a_version_that_hedtools_does_not_bring_is_a_fault(version):
    with pytest.raises(Fault, match="HEDVersion") as fault:
        hed.matches("Red", "Red", hed_version=version)
    assert fault.value.code == "bad-hed"


def test_library_schemas_are_known():
    both = ["8.3.0", "sc:score_2.0.0"]
    assert hed.matches("sc:Sleep-deprivation, Red", "Sleep-deprivation && Red", hed_version=both)


# --- events in time


def test_every_golden_context_agrees(shared):
    folder = shared / "golden/hed/context"
    cases = json.loads((folder / "cases.json").read_text())["cases"]
    wrong = []
    for case in cases:
        events = pd.read_csv(folder / case["scenario"] / "events.tsv", sep="\t", na_values="n/a", keep_default_na=False)
        sidecar = json.loads((folder / case["scenario"] / "events.json").read_text())
        ask = {"hed_version": VERSION, "during": case["during"], "not_during": case["not_during"]}
        found = hed.find(events, sidecar, case["any"] or case["here"], **ask)
        if case["any"]:
            found |= hed.find(events, sidecar, None, **ask | {"during": case["any"]})
        if np.flatnonzero(found).tolist() != case["expected_rows"]:
            wrong.append(case["id"])
        if case["expected_onsets"]:
            selected, _ = hed.select(events, sidecar, {"it": case["here"]}, hed_version=VERSION)
            assert selected["onset"].tolist() == case["expected_onsets"]
    assert len(cases) == 15
    assert wrong == []


def test_an_event_starts_here_or_is_ongoing():
    assert rows(BLOCKS, "Def/Eyes") == [0, 5]  # by name; the Offset row is not counted
    assert rows(BLOCKS, "Label/Eyes-open") == [0, 5]  # by content
    assert rows(BLOCKS, None, during="Def/Eyes") == [1, 6]  # the Offset row is outside, the last block stays open
    assert rows(BLOCKS, "Sensory-event", during="Task") == [1]
    assert rows(BLOCKS, "Sensory-event", not_during="Task") == [3]
    assert rows(BLOCKS, "@Label/Eyes-open") == [1, 2, 3, 6]  # neither by name nor by content; row 4 has no annotation
    assert rows(BLOCKS, "@Def/Eyes") == [1, 2, 3, 6]


def test_templates_are_filled_and_missing_values_left_out():
    assert hed.strings(BLOCKS, SIDECAR)[[1, 3, 4]].tolist() == [
        "Sensory-event, Auditory-presentation, (Tone, Frequency/440 Hz)",
        "Sensory-event, Auditory-presentation, (Tone)",
        "",
    ]
    assert rows(BLOCKS, "[Tone && Frequency/0.44 kHz]") == [1]


def test_numbers_meet_the_keys_of_the_sidecar():
    as_text = table((0, "13"), (1, "130"), (2, np.nan))
    assert rows(as_text, "Frequency/13 Hz") == [0]
    assert rows(as_text.assign(kind=[13.0, 130.0, np.nan]), "Frequency/130 Hz") == [1]
    assert rows(as_text.iloc[:2].assign(kind=[13, 130]), "Frequency/130 Hz") == [1]


def test_order_and_index_of_the_table_change_nothing(rng):
    order = rng.permutation(len(BLOCKS))
    shuffled = BLOCKS.iloc[order]
    for ask in ({"query": "Def/Eyes"}, {"query": None, "during": "Def/Eyes"}, {"query": "Red"}):
        here = hed.find(BLOCKS, SIDECAR, hed_version=VERSION, **ask)
        assert (hed.find(shuffled, SIDECAR, hed_version=VERSION, **ask) == here[order]).all()
    _, account = hed.select(shuffled, SIDECAR, {"eyes": "Def/Eyes"}, hed_version=VERSION)
    assert account["unsorted"] == int((np.diff(BLOCKS["onset"].to_numpy()[order]) < 0).sum()) > 0
    (repair,) = account["repairs"]
    assert repair["code"] == "ONSETS_UNORDERED"
    times = shuffled["onset"].to_numpy()
    assert repair["lines"] == [row + 2 for row in range(len(times)) if times[row] < times[: row + 1].max()]


def test_select_gives_times_and_an_account():
    selected, account = hed.select(BLOCKS, SIDECAR, {"tone": "Tone", "press": "Press"}, hed_version=VERSION)
    assert selected[["row", "label", "onset"]].values.tolist() == [
        [1, "tone", 1.0],
        [3, "tone", 3.0],
        [6, "press", 7.5],
    ]
    assert account["counts"] == {"tone": 2, "press": 1}
    assert (account["rows"], account["annotated"], account["distinct"]) == (7, 6, 6)
    assert account["overlaps"] == {} and account["errors"] == [] and account["repairs"] == []
    assert account["skipped"] == 0 and account["unannotated"] == {}
    json.dumps(account, allow_nan=False)


def test_an_event_of_two_classes_belongs_to_neither():
    selected, account = hed.select(
        BLOCKS, SIDECAR, {"any": "Sensory-event", "high": "Frequency/440"}, hed_version=VERSION
    )
    assert selected[["row", "label"]].values.tolist() == [[3, "any"]]
    assert account["overlaps"] == {"any+high": [1]}


def test_intervals():
    events = table((0, "open"), (1, "cue"), (4, "close"), (6, "open"), (7, "beep"))
    found, account = hed.intervals(
        events, SIDECAR, {"eyes": "Task", "cue": "Circle && Sensory-event"}, hed_version=VERSION
    )
    assert found[["row", "label", "start"]].values.tolist() == [[0, "eyes", 0], [1, "cue", 1], [3, "eyes", 6]]
    np.testing.assert_array_equal(found["end"], [4, 3, np.nan])
    assert account["counts"] == {"eyes": 2, "cue": 1}
    inside, _ = hed.intervals(events, SIDECAR, {"cue": "Circle"}, hed_version=VERSION, not_during="Def/Eyes")
    assert not len(inside)


@pytest.mark.parametrize(
    ("events", "sidecar", "code", "words"),
    [
        (None, SIDECAR, "no-events", "no rows"),
        (BLOCKS.iloc[:0], SIDECAR, "no-events", "no rows"),
        (BLOCKS.drop(columns="onset"), SIDECAR, "bad-events", "column onset"),
        (BLOCKS.assign(onset=[0, 1, np.nan, 3, 4, 5, 6]), SIDECAR, "bad-events", "line 4"),
        (table((0, "close")), SIDECAR, "bad-hed", "line 2 of events.tsv"),
        (BLOCKS, {"note": {"Description": "nothing"}}, "bad-hed", "add HED tags"),
        (BLOCKS, {"kind": {"HED": {"beep": "Red, (Blue"}}}, "bad-hed", "line 3"),
        (BLOCKS, {"kind": {"HED": {"beep": "(Onset, Red)"}}}, "bad-hed", "no def tag"),
        (BLOCKS, {"kind": {"HED": {"beep": "(Delay/3 m, (Red))"}}}, "bad-hed", "Delay/3 m"),
    ],
)
def test_bad_tables_are_faults_that_name_the_place(events, sidecar, code, words):
    with pytest.raises(Fault) as fault:
        hed.find(events, sidecar, "Red", hed_version=VERSION)
    assert fault.value.code == code
    assert words in fault.value.message


# --- real tables: the annotation must find what the columns say


def real(folder, pattern):
    for path in sorted(folder.glob(pattern)):
        yield path.name, pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def test_motor_queries_select_what_the_tables_say(shared):
    folder = shared / "data/eegmmidb"
    sidecar = json.loads((folder / "task-motion_events.json").read_text())
    expected = {
        "left": ("[Hand && To-left-of] && @To-right-of", ["TASK1T1", "TASK2T1"]),
        "right": ("[Hand && To-right-of] && @To-left-of", ["TASK1T2", "TASK2T2"]),
        "fists": ("[Hand && To-left-of] && [Hand && To-right-of]", ["TASK3T1", "TASK4T1"]),
        "feet": ("Toes", ["TASK3T2", "TASK4T2"]),
        "rest": ("Rest", ["TASK1T0", "TASK2T0", "TASK3T0", "TASK4T0"]),
    }
    queries = {label: query for label, (query, _) in expected.items()}
    total = dict.fromkeys(expected, 0)
    for name, events in real(folder, "sub-*/eeg/*_events.tsv"):
        selected, account = hed.select(events, sidecar, queries, hed_version="8.1.0")
        assert account["overlaps"] == {} and len(selected) == len(events)
        for label, (_, values) in expected.items():
            want = np.flatnonzero(events["value"].isin(values)).tolist()
            assert selected["row"][selected["label"] == label].tolist() == want, (name, label)
            total[label] += len(want)
        imagined = hed.find(events, sidecar, "Imagined-action", hed_version="8.1.0")
        assert (imagined == events["value"].str.match("TASK[24]T[12]").to_numpy()).all()
    assert total == {"left": 32, "right": 28, "fists": 10, "feet": 9, "rest": 79}


def test_flicker_queries_select_what_the_tables_say(shared):
    folder = shared / "data/ssvep-exo"
    sidecar = json.loads((folder / "task-ssvep_events.json").read_text())
    queries = {f"cue_{rate}Hz": f"Frequency/{rate} Hz" for rate in (13, 17, 21)} | {"cue_rest": "Fixate"}
    tables = dict(real(folder, "sub-*/eeg/*_events.tsv"))
    for name, events in tables.items():
        selected, account = hed.select(events, sidecar, queries, hed_version=VERSION)
        assert selected["label"].tolist() == events["trial_type"].tolist(), name
        assert set(account["counts"].values()) == {8}
    assert len(tables) == 8
