"""Published annotation: answers and errors equal those of hedtools, row by row.

The plain way of hedtools is EventManager, HedTagManager and QueryHandler on every row, and TabularInput.validate. It
takes minutes, so `make test` compares some tables of each data set and the slow tests all of them.
"""

import json
from io import StringIO

import numpy as np
import pandas as pd
import pytest

from hedgerow import hed, table
from hedgerow.account import Fault

#: hedtools' own, from splitting Delay groups off.
pytestmark = pytest.mark.filterwarnings("ignore:Setting an item of incompatible dtype")

#: What starts, what must not be there, what is ongoing, what must not be ongoing.
QUESTIONS = {
    "ds003645": [
        ("Sensory-event", None, None, None),
        ("Event", None, None, None),
        ('"Event"', None, None, None),
        ("Agent-action && Participant-response", None, None, None),
        ("Def/Face-image", None, None, None),
        ("Def/Famous-face-cond || Def/Unfamiliar-face-cond", None, None, None),
        ("Def/Press*", None, None, None),
        ("Face && Famous", None, None, None),
        ("Condition-variable/Repetition-type", None, None, None),
        ("[Index-finger && Left-side-of]", None, None, None),
        ("{Image && Pathname}", None, None, None),
        ("{Face && Item-interval/1}", None, None, None),
        ("Item-interval/1", None, None, None),
        ("Experimental-trial/5*", None, None, None),
        ("Pathname/circle.bmp || Pathname/u0*", None, None, None),
        (None, "Participant-response", None, None),
        ("Sensory-event", "Cue", None, None),
        (None, "Item-interval/1", None, None),
        ("Sensory-event", None, "Def/Fixation-task", None),
        ("Agent-action", None, None, "Def/Face-image"),
        (None, None, "Inhibit-blinks", None),
        ("Participant-response", None, "Face && Def/Left-sym-cond", None),
        ("Item-interval/1", None, "[Fixate && Cross]", "Def/Right-sym-cond"),
    ],
    "ds004362": [
        ("Event", None, None, None),
        ("Agent-action", None, None, None),
        ('"Agent-action"', None, None, None),
        ("{Agent-action && Rest}", None, None, None),
        ("Rest", None, None, None),
        ("Body-part", None, None, None),
        ("Imag*", None, None, None),
        ("Eyes-open || Eyes-closed", None, None, None),
        ("[Hand && To-left-of]", None, None, None),
        ("[Hand && To-left-of] && [Hand && To-right-of]", None, None, None),
        ("{Open && Toes}", None, None, None),
        ("{Close && Hand: ???}", None, None, None),
        ("Imagined-action && Toes", None, None, None),
        ("Agent-action && (Rest || Toes)", None, None, None),
        ("Toes && Open, Torso", None, None, None),
        (None, "Imagined-action", None, None),
        ("[Hand && To-left-of]", "To-right-of", None, None),
    ],
    "ds005505": [
        ("Sensory-event", None, None, None),
        ("Event", None, None, None),
        ("Def/play-video", None, None, None),
        ("Movie", None, None, None),
        ("Def/dot*", None, None, None),
        ("Label/Filled", None, None, None),
        ("[Circle && White]", None, None, None),
        ("{Press && [Mouse-button]}", None, None, None),
        ("Instructional && Cue", None, None, None),
        ("Label/now-open-your-eyes", None, None, None),
        ("Label/now*", None, None, None),
        ("Pattern && Item-count", None, None, None),
        (None, "Visual-presentation", None, None),
        ("Agent-action", "Participant-response", None, None),
        ("Visual-presentation", None, "Recording", None),
        ("Agent-action", None, "Def/new-page", None),
        (None, None, "Def/learningBlock", "Label/Filled"),
        ("Agent-action", None, None, "Background-view"),
    ],
}
#: Tables for `make test`: every task, few rows.
SOME = {
    "ds003645": ["sub-002/sub-002_task-FacePerception_run-1_events.tsv"],
    "ds004362": [f"sub-002/eeg/sub-002_task-motion_run-{run}_events.tsv" for run in range(1, 15)],
    "ds005505": ["sub-NDARAC904DMU/eeg/*_events.tsv"],
}
#: Delay of the group that ds005505 leaves empty in s: hedtools reports it where it falls.
LATER = 2.4


def tables(shared, dataset, patterns):
    """Name, table as text, sidecar and HED version of each table."""
    root = shared / "data/events-only" / dataset
    version = json.loads((root / "dataset_description.json").read_text())["HEDVersion"]
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    assert paths
    for path in paths:
        task = path.name.split("_task-")[1].split("_")[0]
        sidecar = json.loads((root / f"task-{task}_events.json").read_text())
        yield path.name, table.read(path, text=True), sidecar, version


class Plain:
    """hedtools by itself on one table: a mask over rows for each question, and the rows it takes for one event."""

    def __init__(self, events, sidecar, version):
        from hed import Sidecar, TabularInput, load_schema_version
        from hed.tools.analysis.event_manager import EventManager
        from hed.tools.analysis.hed_tag_manager import HedTagManager

        given = TabularInput(events.copy(), sidecar=Sidecar(StringIO(json.dumps(sidecar))))
        manager = EventManager(given, load_schema_version(version))
        self.rows, self.count = manager.original_index.to_numpy(), len(events)
        times = manager.onsets.to_numpy()
        near = np.abs(np.diff(times)) <= 1e-9
        self.merged = np.zeros(len(events), dtype=bool)
        self.merged[self.rows[np.append(near, False) | np.append(False, near)]] = True
        tags = HedTagManager(manager)
        self._own = [tags.get_hed_objs(include_context=False, replace_defs=replace) for replace in (False, True)]
        tags.hed_strings = tags.base_strings = [""] * len(times)
        self._context = [tags.get_hed_objs(include_context=True, replace_defs=replace) for replace in (False, True)]

    def answer(self, here, absent, during, not_during):
        mask = self._any(self._own, here) & self._none(self._own, absent)
        if during is not None:
            mask &= self._any(self._context, during)
        if not_during is not None:
            mask &= ~self._any(self._context, not_during)
        found = np.zeros(self.count, dtype=bool)
        found[self.rows[mask]] = True
        return found

    def _any(self, forms, query):
        return np.any([self._mask(form, query) for form in forms], axis=0)

    def _none(self, forms, absent):
        if absent is None:
            return np.ones(len(self.rows), dtype=bool)
        return np.all([self._mask(form, f"@{absent}") for form in forms], axis=0)

    @staticmethod
    def _mask(objects, query):
        from hed import QueryHandler

        if query is None:
            return np.ones(len(objects), dtype=bool)
        handler = QueryHandler(query)
        return np.array([bool(one) and bool(handler.search(one)) for one in objects])


def compare(shared, dataset, patterns):
    """Answers compared, answers yes, questions that found some rows and left some, and rows left out.

    Left out are the rows that hedtools takes for one event because they stand at one time.
    """
    compared, found, telling, merged = 0, 0, set(), 0
    for name, events, sidecar, version in tables(shared, dataset, patterns):
        try:
            ours = hed.Events(events, sidecar, hed_version=version, on_error="skip_rows")
        except Fault as fault:
            assert "annotates the events" in fault.message, name
            continue
        valid = events[~ours.faulty].reset_index(drop=True)
        plain = Plain(valid, sidecar, version)
        merged += int(plain.merged.sum())
        for number, (here, absent, during, not_during) in enumerate(QUESTIONS[dataset]):
            query = " && ".join(term for term in (here, absent and f"@{absent}") if term) or None
            theirs = plain.answer(here, absent, during, not_during)
            mine = ours.find(query, during=during, not_during=not_during)
            assert not mine[ours.faulty].any()
            mine = mine[~ours.faulty]
            differ = np.flatnonzero((mine != theirs) & ~plain.merged)
            assert differ.size == 0, (name, query, during, not_during, differ[:5].tolist())
            compared, found = compared + int((~plain.merged).sum()), found + int(mine.sum())
            if mine.any() and not mine.all():
                telling.add(number)
    return compared, found, telling, merged


def compare_errors(shared, dataset, patterns):
    """Errors of hedtools' validator and ours, as sets of (table, line, code); tables that both accept count too."""
    from hed import Sidecar, TabularInput, load_schema_version
    from hed.errors import ErrorHandler

    theirs, ours, checked = set(), set(), 0
    for name, events, sidecar, version in tables(shared, dataset, patterns):
        given = TabularInput(events.copy(), sidecar=Sidecar(StringIO(json.dumps(sidecar))))
        issues = given.validate(load_schema_version(version), error_handler=ErrorHandler(check_for_warnings=False))
        theirs |= {(name, issue["ec_row"], issue["code"]) for issue in issues}
        try:
            found = hed.Events(events, sidecar, hed_version=version, on_error="skip_rows")
        except Fault as fault:
            assert "annotates the events" in fault.message, name
            continue
        checked += 1
        for error in found.errors:
            assert error["used"] or (error["column"], error["key"][-7:]) == ("value", "_target")
            for line in error["lines"]:
                before = found.onsets[line - 2] + LATER - found.onsets
                there = np.flatnonzero((before >= 0) & (before <= 1e-9) & (not error["used"]))
                # hedtools reports what comes later at the row that stands there, if there is one
                ours.add((name, int(there[0]) + 2 if len(there) else line, error["code"]))
    return theirs, ours, checked


@pytest.mark.parametrize("dataset", QUESTIONS)
def test_answers_are_those_of_hedtools(shared, dataset):
    compared, found, telling, _ = compare(shared, dataset, SOME[dataset])
    assert compared > 1000 and found > 100
    assert len(telling) >= 12


@pytest.mark.slow
@pytest.mark.parametrize("dataset", QUESTIONS)
def test_answers_are_those_of_hedtools_in_every_table(shared, dataset):
    compared, found, telling, merged = compare(shared, dataset, ["**/*_events.tsv"])
    print(f"{dataset}: {len(QUESTIONS[dataset])} questions, {compared} answers equal, {found} of them yes, {merged}")
    assert len(telling) >= 12
    assert merged == {"ds003645": 26, "ds004362": 0, "ds005505": 2}[dataset]


@pytest.mark.parametrize(
    ("dataset", "patterns", "errors"),
    [
        ("ds003645", ["sub-002/sub-002_task-FacePerception_run-1_events.tsv"], 1),
        ("ds004362", ["sub-002/eeg/*_events.tsv"], 0),
        ("ds005505", ["sub-NDARAC904DMU/eeg/*_events.tsv"], 72),
    ],
)
def test_errors_are_those_of_hedtools(shared, dataset, patterns, errors):
    theirs, ours, checked = compare_errors(shared, dataset, patterns)
    assert checked and theirs == ours
    assert len(ours) == errors


@pytest.mark.slow
@pytest.mark.parametrize(("dataset", "errors"), [("ds003645", 13), ("ds004362", 0), ("ds005505", 1696)])
def test_errors_are_those_of_hedtools_in_every_table(shared, dataset, errors):
    theirs, ours, checked = compare_errors(shared, dataset, ["**/*_events.tsv"])
    print(f"{dataset}: {checked} tables, {len(theirs)} faulty rows, the same {len(ours)}")
    assert theirs == ours
    assert len(ours) == errors


#: Values of all kinds: in templates, beside equal tags that the sidecar writes out, times, definitions with values.
MADE = {
    "kind": {
        "HED": {
            "go": "Sensory-event, (Item-count/3, Circle), {size}, (Label/a, Cue, {name})",
            "stop": "Agent-action, Item-count/2, Label/b",
            "hold": "({time}, (Task, {size}))",
            "run": "Experiment-structure, ({pace}, Onset, (Label/c, {other}))",
            "walk": "Experiment-structure, ({pace}, Onset)",
        }
    },
    "size": {"HED": "(Item-count/#, Red)"},
    "name": {"HED": "Label/#"},
    "other": {"HED": "Label/#"},
    "time": {"HED": "Duration/# s"},
    "pace": {"HED": "Def/Pace/#"},
    "rate": {"HED": "(Tone, Frequency/# Hz)"},
    "defs": {"HED": {"pace": "(Definition/Pace/#, (Speed/# m-per-s, Label/d))"}},
}
ASKED = [
    ("Item-count/3", None, None, None),
    ("[Item-count/3 && Red]", None, None, None),
    ("{Item-count/2 && Red}", None, None, None),
    ("Item-count && Item-count/2", None, None, None),
    (None, "Item-count/2", None, None),
    ("Label/a", None, None, None),
    ("Label/a && Label/b", None, None, None),
    ("{Label/a && Cue: ???}", None, None, None),
    ("Label/x*", "Label/b", None, None),
    ("Frequency", None, None, None),
    ("Def/Pace/3", None, None, None),
    ("Speed", "Label/c", None, None),
    (None, None, "Def/Pace/3", None),
    (None, None, "Label/a || Item-count/3", None),
    ("Sensory-event", None, "Speed", "Label/xy"),
    ("Tone", None, None, "[Task && Item-count/2]"),
]


def made(rng, rows):
    """A table for `MADE`, as text."""
    kinds = rng.choice(["go", "stop", "hold", "run", "walk", "none", "n/a"], rows)
    columns = {"onset": np.cumsum(rng.integers(1, 9, rows) / 4), "kind": kinds}
    for name, values in {
        "size": ["1", "2", "3", "n/a"],
        "name": ["a", "b", "xy", "xz", "n/a"],
        "other": ["a", "b", "xy", "A", "n/a"],
        "pace": ["3", "5"],
        "rate": ["440", "13", "n/a"],
    }.items():
        columns[name] = rng.choice(values, rows)
    columns["pace"] = np.where(np.isin(kinds, ["run", "walk"]), columns["pace"], "n/a")
    columns["time"] = np.where(kinds == "hold", rng.choice(["1", "2.5", "3"], rows), "n/a")
    return pd.DataFrame(columns).astype(str).replace("n/a", np.nan)


@pytest.mark.parametrize("seed", range(4))
def test_values_change_no_answer(seed):
    events = made(np.random.default_rng(seed), 150)
    ours = hed.Events(events, MADE, hed_version="8.3.0", on_error="skip_rows")
    valid = events[~ours.faulty].reset_index(drop=True)
    plain = Plain(valid, MADE, "8.3.0")
    assert not plain.merged.any()
    for here, absent, during, not_during in ASKED:
        query = " && ".join(term for term in (here, absent and f"@{absent}") if term) or None
        mine = ours.find(query, during=during, not_during=not_during)[~ours.faulty]
        theirs = plain.answer(here, absent, during, not_during)
        assert 0 < theirs.sum() < len(theirs), query
        assert np.flatnonzero(mine != theirs).tolist() == [], (query, during, not_during)


@pytest.mark.parametrize("seed", range(4))
def test_values_change_no_text_and_no_error(seed):
    from hed import Sidecar, TabularInput, load_schema_version
    from hed.errors import ErrorHandler

    events = made(np.random.default_rng(seed), 150)
    given = TabularInput(events.copy(), sidecar=Sidecar(StringIO(json.dumps(MADE))))
    assert hed.strings(events, MADE).tolist() == given.series_a.tolist()
    issues = given.validate(load_schema_version("8.3.0"), error_handler=ErrorHandler(check_for_warnings=False))
    found = hed.Events(events, MADE, hed_version="8.3.0", on_error="skip_rows").errors
    ours = {(line, error["code"]) for error in found for line in error["lines"]}
    assert ours == {(issue["ec_row"], issue["code"]) for issue in issues}
    assert len(ours) > 3


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("size", "many", "VALUE_INVALID"),
        ("size", "1 m", "VALUE_INVALID"),
        ("name", "a,b", "CHARACTER_INVALID"),
        ("name", "a(b", "CHARACTER_INVALID"),
        ("name", "a{b}", "SIDECAR_BRACES_INVALID"),
        ("rate", " 440", "TABULAR_INVALID"),
        ("pace", "slow", "VALUE_INVALID"),
        ("time", "long", "VALUE_INVALID"),
    ],
)
def test_bad_values_are_told_as_hedtools_does(column, value, code):
    from hed import Sidecar, TabularInput, load_schema_version
    from hed.errors import ErrorHandler

    events = made(np.random.default_rng(9), 60)
    row = int(np.flatnonzero(events[column].notna() & events["kind"].isin(["go", "hold", "run", "walk"]))[2])
    events.loc[row, column] = value
    given = TabularInput(events.copy(), sidecar=Sidecar(StringIO(json.dumps(MADE))))
    issues = given.validate(load_schema_version("8.3.0"), error_handler=ErrorHandler(check_for_warnings=False))
    table = hed.Events(events, MADE, hed_version="8.3.0", on_error="skip_rows")
    assert (row + 2, code) in {(issue["ec_row"], issue["code"]) for issue in issues}
    told = [error for error in table.errors if error["lines"] == [row + 2] and error["code"] == code]
    assert told[0]["column"] == column
    assert table.faulty[row]
    assert not table.find(None)[row]
    assert table.strings.tolist() == given.series_a.tolist()
