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


@pytest.mark.parametrize(
    ("query", "words"),
    [("Onset", "during"), ("Event/Sensory-event", "write 'Sensory-event'"), ("Duration/2 s", "kind")],
)
def test_a_query_that_finds_no_event_is_refused(query, words):
    with pytest.raises(ValueError, match=words):
        hed.find(BLOCKS, SIDECAR, query, hed_version=VERSION)
    with pytest.raises(ValueError, match=words):
        hed.check(query, hed_version=VERSION)


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


# --- faulty rows


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


FAULTY = {
    "kind": {
        "HED": {
            "good": "Sensory-event, (Def/Eyes, Onset)",
            "bad": "Sensory-event, Nosuchtag, (Def/Eyes, Onset)",
            "twice": "Sensory-event, Red, Red",
            "close": "Experiment-structure, (Def/Eyes, Offset)",
            "mark": "Sensory-event, (Def/Eyes, Inset, (Circle))",
            "press": "Agent-action, Press",
            "undefined": "Agent-action, Def/Nosuch",
        }
    },
    "defs": {"HED": {"eyes": "(Definition/Eyes, (Task, Label/Eyes-open))"}},
}


def skipping(events, sidecar=FAULTY):
    return hed.Events(events, sidecar, hed_version=VERSION, on_error="skip_rows")


def test_faulty_rows_are_told_with_line_place_and_code():
    events = table((0, "press"), (1, "bad"), (2, "undefined"), (3, "bad"), (4, "press"))
    with pytest.raises(Fault) as fault:
        hed.find(events, FAULTY, "Press", hed_version=VERSION)
    assert fault.value.code == "bad-hed"
    for words in ("line 3 of events.tsv (onset 1 s), column kind, key bad", "Nosuchtag", "3 of 5", "skip_rows"):
        assert words in fault.value.message
    selected, account = hed.select(events, FAULTY, {"it": "Event"}, hed_version=VERSION, on_error="skip_rows")
    assert selected["row"].tolist() == [0, 4]
    assert account["skipped"] == 3
    first, second = account["errors"]
    assert (first["line"], first["lines"], first["code"]) == (3, [3, 5], "TAG_INVALID")
    assert (second["line"], second["key"], second["code"]) == (4, "undefined", "DEF_INVALID")
    assert not first["used"] and not second["used"]
    json.dumps(account, allow_nan=False)


def test_a_repeated_tag_is_told_and_the_row_is_used():
    events = table((0, "press"), (1, "twice"))
    selected, account = hed.select(events, FAULTY, {"red": "Red"}, hed_version=VERSION)
    assert selected["row"].tolist() == [1]
    assert [(error["line"], error["code"], error["used"]) for error in account["errors"]] == [
        (3, "TAG_EXPRESSION_REPEATED", True)
    ]


def test_a_faulty_row_starts_and_ends_nothing():
    events = table((0, "bad"), (1, "press"), (2, "close"), (3, "good"), (4, "press"), (5, "close"), (6, "press"))
    found = skipping(events)
    assert [error["lines"] for error in found.errors] == [[2]]  # line 4 ends what line 2 would have started
    assert np.flatnonzero(found.find(None, during="Def/Eyes")).tolist() == [4]
    spans, _ = found.intervals({"eyes": "Task"})
    assert spans[["row", "start", "end"]].values.tolist() == [[3, 3, 5]]


@pytest.mark.parametrize("kind", ["close", "mark"])
def test_an_end_without_a_start_is_a_faulty_row(kind):
    events = table((0, "press"), (1, kind), (2, "good"), (3, "press"))
    found = skipping(events)
    (error,) = found.errors
    assert (error["line"], error["code"]) == (3, "TEMPORAL_TAG_ERROR")
    assert "which no Onset has started" in error["message"]
    assert np.flatnonzero(found.find(None)).tolist() == [0, 2, 3]


def test_two_rows_at_one_time():
    plain = table((0, "good"), (1, "close"), (1, "good"), (2, "press"))
    found = skipping(plain)
    assert [(error["line"], error["used"]) for error in found.errors] == [(4, True)]
    assert np.flatnonzero(found.find(None, during="Task")).tolist() == [3]
    unclear = table((0, "good"), (0, "good"), (1, "press"))
    assert [(error["line"], error["used"]) for error in skipping(unclear).errors][-1] == (3, False)


@pytest.mark.parametrize("value", [np.nan, "n/a", "soon", "inf", "-"])
def test_an_onset_that_is_no_number_is_a_faulty_row(value):
    events = table((0, "good"), (value, "press"), (2, "press")).astype({"onset": object})
    found = skipping(events)
    (error,) = found.errors
    assert (error["line"], error["code"], error["column"]) == (3, "ONSET_INVALID", "onset")
    assert np.flatnonzero(found.find(None)).tolist() == [0, 2]
    with pytest.raises(Fault, match="line 3") as fault:
        hed.Events(events, FAULTY, hed_version=VERSION)
    assert fault.value.code == "bad-events"


def test_no_valid_row_is_a_fault():
    with pytest.raises(Fault, match=r"every row .* line 2"):
        skipping(table((0, "bad"), (1, "undefined")))


def test_on_error_is_one_of_two():
    with pytest.raises(ValueError, match=r"'skip'.*skip_rows"):
        hed.find(BLOCKS, SIDECAR, "Red", hed_version=VERSION, on_error="skip")


def test_a_key_with_a_blank_is_a_faulty_row_and_an_unknown_key_is_counted():
    events = table((0, "press"), (1, "press "), (2, "pause"), (3, "pause"))
    selected, account = hed.select(events, FAULTY, {"it": "Press"}, hed_version=VERSION, on_error="skip_rows")
    assert selected["row"].tolist() == [0]
    assert [(error["line"], error["code"]) for error in account["errors"]] == [(3, "TABULAR_INVALID")]
    assert account["unannotated"]["kind: pause"] == 2


def test_a_column_with_blanks_around_its_name_is_a_fault():
    with pytest.raises(Fault, match="'kind '") as fault:
        skipping(BLOCKS.rename(columns={"kind": "kind "}).assign(HED="Red"))
    assert fault.value.code == "bad-events"


@pytest.mark.parametrize("annotation", ["Sensory-event", {"press": ["Red"]}, 5])
def test_malformed_annotation_is_told_for_every_row_that_has_it(annotation):
    sidecar = FAULTY | {"pitch": {"HED": annotation}}
    found = skipping(table((0, "press"), (1, "press", 5), (2, "press")), sidecar)
    assert [(error["lines"], error["code"], error["column"]) for error in found.errors] == [
        ([3], "SIDECAR_INVALID", "pitch")
    ]


def test_what_lasts_ends_at_its_end_whatever_the_last_digit():
    sidecar = {"kind": {"HED": {"cue": "Sensory-event, (Duration/0.2 s, (Circle))", "press": "Agent-action"}}}
    events = table((0.1, "cue"), (0.2, "press"), (0.3, "press"))  # 0.1 + 0.2 > 0.3 in binary numbers
    assert np.flatnonzero(hed.find(events, sidecar, None, hed_version=VERSION, during="Circle")).tolist() == [1]


def test_one_table_answers_as_the_functions_do():
    found = hed.Events(BLOCKS, SIDECAR, hed_version=VERSION)
    for query, during in (("Tone", None), ("Sensory-event", "Task"), (None, "Def/Eyes"), ("@Tone", None)):
        assert found.find(query, during=during).tolist() == (
            hed.find(BLOCKS, SIDECAR, query, hed_version=VERSION, during=during).tolist()
        )
    assert found.select({"tone": "Tone"})[1] == hed.select(BLOCKS, SIDECAR, {"tone": "Tone"}, hed_version=VERSION)[1]
    assert len(found) == len(BLOCKS)


def test_a_dataset_without_hed_is_refused_in_one_sentence(shared):
    folder = shared / "data/events-only/ds002718"
    sidecar = json.loads((folder / "task-FaceRecognition_events.json").read_text())
    ((_, events),) = real(folder, "sub-002/eeg/*_events.tsv")
    with pytest.raises(Fault) as fault:
        hed.find(events, sidecar, "Event", hed_version="7.1.2")
    assert fault.value.code == "bad-hed"
    assert "add HED tags" in fault.value.message and "7.1.2" in fault.value.message


# --- each distinct text once


def test_rows_and_tables_cost_no_parsing(monkeypatch):
    from hedgerow import _lexicon, _query

    parsed, parse = [], _query.parse_leniently
    monkeypatch.setattr(_query, "parse_leniently", lambda text, *rest: parsed.append(text) or parse(text, *rest))
    _lexicon._lexicon.cache_clear()

    def events(count, first):
        pitch = 100.0 + first + np.arange(count) % 20
        return pd.DataFrame({"onset": np.arange(count), "kind": "beep", "pitch": pitch})

    def ask(given):
        before = len(parsed)
        found = hed.Events(given, SIDECAR, hed_version=VERSION)
        assert found.find("Tone").sum() == len(given)
        assert found.find("Frequency/105 Hz").sum() == (given["pitch"] == 105).sum()
        return len(parsed) - before

    few, many, other = ask(events(40, 0)), ask(events(4000, 0)), ask(events(40, 20))
    assert few > 0
    assert many == 0
    assert 0 < other <= 3 * 20  # new values are looked at, and no row


def test_a_full_memory_starts_anew():
    from hedgerow._lexicon import Memory

    memory = Memory(2)
    memory["a"], memory["b"], memory["c"] = 1, 2, 3
    assert memory == {"c": 3}


def test_rows_known_before_outlive_a_memory_that_fills():
    """What a memory forgets while new rows are stored is still asked for."""
    from hedgerow import _lexicon

    lexicon = _lexicon.Lexicon(json.dumps(_lexicon.annotated(SIDECAR)), ("8.3.0",))
    lexicon._templates = _lexicon.Memory(2)
    keys = list(SIDECAR["kind"]["HED"])[:3]
    first, second, third = (lexicon.assemble(("kind",), [(key,)])[0] for key in keys)
    lexicon._templates.clear()
    assert lexicon.assemble(("kind",), [(keys[0],)]) == [first]
    assert lexicon.assemble(("kind",), [(key,) for key in keys]) == [first, second, third]


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
