"""Windows: where they lie, what they hold, and what happens to the ones that cannot be cut."""

import json

import numpy as np
import pandas as pd
import pytest

from hedgerow import montage, windows
from hedgerow.account import Fault

VERSION = "8.3.0"
SIDECAR = {
    "kind": {
        "HED": {
            "open": "(Def/Eyes, Onset)",
            "close": "(Def/Eyes, Offset)",
            "red": "Sensory-event, Red",
            "blue": "Sensory-event, Blue",
            "later": "Agent-action, (Delay/1500 ms, (Press, Green))",
        }
    },
    "defs": {"HED": {"eyes": "(Definition/Eyes, (Task))"}},
}
CLASSES = {"red": "Red", "blue": "Blue"}


def table(*rows):
    return pd.DataFrame(rows, columns=["onset", "kind"]).assign(trial=range(len(rows)))


def ramp(channels, samples):
    """Signal whose value tells channel and sample."""
    return 1000.0 * np.arange(channels)[:, None] + np.arange(samples)


def test_windows_around_events_hold_the_right_samples():
    events = table((1.0, "red"), (2.504, "blue"), (3.0, "open"), (4.0, "red"))
    signal, index, marked, info, account = windows.windows(
        ramp(2, 1000), 100.0, ["A", "B"], events, SIDECAR, hed_version=VERSION, classes=CLASSES, tmin=-0.2, tmax=0.5
    )
    assert signal.shape == (3, 2, 70) and signal.dtype == np.float64
    # the nearest sample of 2.304 s is 230
    np.testing.assert_array_equal(signal[:, 0, 0], [80, 230, 380])
    np.testing.assert_array_equal(signal[:, 1, -1], np.array([149, 299, 449]) + 1000)
    assert index["event"].tolist() == [0, 1, 3]
    assert index["label"].tolist() == ["red", "blue", "red"]
    np.testing.assert_allclose(index["onset"], [0.8, 2.304, 3.8])
    np.testing.assert_allclose(index["zero"], [1.0, 2.504, 4.0])
    assert index["hed"].tolist() == ["Sensory-event, Red", "Sensory-event, Blue", "Sensory-event, Red"]
    assert info == {"sfreq": 100.0, "names": ["A", "B"], "positions": None, "tmin": -0.2}
    assert marked["window_class"].fillna("n/a").tolist() == ["red", "blue", "n/a", "red"]
    pd.testing.assert_frame_equal(marked.drop(columns="window_class"), events)
    assert account["windows"] == {"red": 2, "blue": 1} and account["samples"] == 70
    json.dumps(account, allow_nan=False)


def test_a_delayed_event_is_cut_at_its_own_time():
    signal, index, *_ = windows.windows(
        ramp(1, 1000), 100.0, ["A"], table((2, "later")), SIDECAR, hed_version=VERSION, classes={"g": "Green"}, tmax=0.1
    )
    assert signal[0, 0, 0] == 350 and index["zero"].tolist() == [3.5]


def test_intervals_are_trimmed_and_tiled():
    events = table((1.0, "open"), (8.0, "close"), (10.0, "open"), (11.0, "close"), (14.0, "open"))
    index, account = windows.select(
        events,
        SIDECAR,
        20.0,
        hed_version=VERSION,
        classes={"eyes": "Def/Eyes"},
        kind="intervals",
        tmin=0.5,
        tmax=-0.5,
        length=2.0,
        step=1.5,
    )
    # 1.5 to 7.5 s; the second is shorter than a window; the third is open and lasts to the end, 20 s
    np.testing.assert_allclose(index["onset"], [1.5, 3.0, 4.5, 14.5, 16.0, 17.5])
    np.testing.assert_array_equal(index["zero"], index["onset"])
    assert index["event"].tolist() == [0, 0, 0, 4, 4, 4]
    assert account["short"] == [2] and account["outside"] == [] and account["windows"] == {"eyes": 6}


def test_in_a_recording_of_unknown_length_nothing_is_cut_off_but_what_is_never_closed():
    ask = {"hed_version": VERSION, "classes": {"eyes": "Task", "red": "Red"}, "kind": "intervals", "length": 2.0}
    sidecar = {"kind": {"HED": SIDECAR["kind"]["HED"] | {"red": "(Duration/60 s, (Red))"}}, "defs": SIDECAR["defs"]}
    events = table((0, "open"), (3, "close"), (4, "red"), (5, "open"), (11, "blue"))
    index, account = windows.select(events, sidecar, np.inf, **ask)
    assert account["windows"] == {"eyes": 1 + 3, "red": 30}
    assert index[index["event"] == 3]["onset"].tolist() == [5, 7, 9]  # the last onset of the table is at 11 s
    assert account["outside"] == account["beyond"] == account["short"] == []
    json.dumps(account, allow_nan=False)
    around, _ = windows.select(
        events, sidecar, np.inf, hed_version=VERSION, classes={"blue": "Blue"}, tmin=0.0, tmax=9.0
    )
    assert around["onset"].tolist() == [11]
    # with a length, what is never closed lasts to the end
    assert windows.select(events, sidecar, 20.0, **ask)[1]["windows"] == {"eyes": 1 + 7, "red": 8}


def test_a_span_after_an_event_is_tiled_without_gap():
    index, _ = windows.select(
        table((1.0, "red")), SIDECAR, 9.0, hed_version=VERSION, classes=CLASSES, tmin=0.5, tmax=5.5, length=1.0
    )
    np.testing.assert_allclose(index["onset"], 1.5 + np.arange(5))


def test_tiles_survive_the_rounding_of_floats():
    for count in range(1, 60):
        index, _ = windows.select(
            table((0.1, "red")), SIDECAR, 60.0, hed_version=VERSION, classes=CLASSES, tmax=count * 0.3, length=0.3
        )
        assert len(index) == count


def test_windows_that_leave_the_recording_are_dropped_and_named():
    events = table((0.1, "red"), (5.0, "blue"), (9.8, "red"), (12.0, "red"))
    signal, index, marked, _, account = windows.windows(
        ramp(1, 1000), 100.0, ["A"], events, SIDECAR, hed_version=VERSION, classes=CLASSES, tmin=-0.2, tmax=0.5
    )
    assert index["event"].tolist() == [1] and len(signal) == 1
    assert account["outside"] == [0, 2, 3]
    assert account["counts"] == {"red": 3, "blue": 1} and account["windows"] == {"red": 0, "blue": 1}
    assert marked["window_class"].isna().tolist() == [True, False, True, True]


def test_the_last_window_may_end_with_the_recording():
    signal, *_ = windows.windows(
        ramp(1, 1000), 100.0, ["A"], table((9.5, "red")), SIDECAR, hed_version=VERSION, classes=CLASSES, tmax=0.5
    )
    assert signal[0, 0, -1] == 999


def test_baseline_is_the_mean_before_zero(rng):
    x = rng.standard_normal((3, 1000)) + 50
    events = table((2.0, "red"), (6.0, "blue"))
    ask = {"hed_version": VERSION, "classes": CLASSES, "tmin": -0.5, "tmax": 0.5}
    raw, *_ = windows.windows(x, 100.0, list("ABC"), events, SIDECAR, **ask)
    corrected, *_ = windows.windows(x, 100.0, list("ABC"), events, SIDECAR, **ask, baseline=[-0.2, 0.0])
    expected = raw - np.stack([x[:, 180:200].mean(axis=1), x[:, 580:600].mean(axis=1)])[:, :, None]
    np.testing.assert_allclose(corrected, expected, atol=1e-12)


def test_the_nearest_sample_is_taken_halves_upwards():
    x = ramp(1, 4000)
    # 14.36 s at 128 Hz is sample 1838.08; 14.38 s is 1840.64: the nearest is 1841, truncation would give 1840
    assert windows.cut(x, 128.0, [14.36, 14.38, 0.5 / 128, 1.5 / 128], 1)[:, 0, 0].tolist() == [1838, 1841, 1, 2]
    with pytest.raises(ValueError, match="leaves the signal"):
        windows.cut(x, 128.0, [31.0], 200)
    assert windows.cut(x, 128.0, [], 5).shape == (0, 1, 5)


# --- intervals from one event to another


#: A prompt starts what the next prompt of the other kind ends; trials of something else lie between.
UNTIL = {"red": "Blue", "blue": "Red"}


def spans(events, until=UNTIL, duration=100.0, **ask):
    """First and last window of 1 s of each interval: rows of (event, label, start, end), and the account."""
    ask = {"hed_version": VERSION, "classes": CLASSES, "kind": "intervals", "length": 1.0, **ask}
    index, account = windows.select(events, SIDECAR, duration, until=until, **ask)
    by_event = index.groupby("event")
    found = zip(by_event["label"].first(), by_event["onset"].min(), by_event["onset"].max() + 1.0)
    return [(event, *values) for event, values in zip(by_event.groups, found)], account


def test_an_interval_lasts_until_the_next_event_that_matches():
    events = table((2, "red"), (3, "open"), (7, "blue"), (8, "close"), (12, "red"), (13, "later"), (17, "blue"))
    found, account = spans(events)
    assert found == [(0, "red", 2, 7), (2, "blue", 7, 12), (4, "red", 12, 17)]
    # nothing ends the last one: it is not taken to last to the end of the recording
    assert account["unclosed"] == [6] and account["counts"] == {"red": 2, "blue": 2}
    assert account["overlaps"] == {} and account["queries"]["until"] == UNTIL
    json.dumps(account, allow_nan=False)


def test_a_second_start_ends_the_first_and_starts_anew():
    found, account = spans(table((2, "red"), (5, "red"), (9, "blue"), (11, "blue"), (15, "red")))
    assert found == [(0, "red", 2, 5), (1, "red", 5, 9), (2, "blue", 9, 11), (3, "blue", 11, 15)]
    assert account["unclosed"] == [4]


def test_a_missing_start_or_end_makes_no_interval_up():
    # the blue at 9 is missing: red lasts to its own next start, not beyond
    found, account = spans(
        table((2, "red"), (5, "blue"), (7, "red"), (12, "red")), until={"red": "Blue", "blue": "Red"}
    )
    assert found == [(0, "red", 2, 5), (1, "blue", 5, 7), (2, "red", 7, 12)] and account["unclosed"] == [3]
    with pytest.raises(Fault, match="until") as fault:
        spans(table((2, "red")))
    assert fault.value.code == "no-match"


def test_only_a_later_event_ends_an_interval():
    found, account = spans(table((2, "red"), (2, "blue"), (5, "blue"), (5, "red")), until="Sensory-event")
    # each of the two at 2 s ends at 5 s, neither ends the other at once
    assert found == [(0, "red", 2, 5), (1, "blue", 2, 5)] and account["unclosed"] == [2, 3]


def test_two_starts_at_one_time_are_one_interval():
    found, account = spans(table((2, "red"), (2, "red"), (5, "blue")), classes={"red": "Red"}, until="Blue")
    assert found == [(1, "red", 2, 5)] and account["short"] == [0]


def test_one_query_ends_the_intervals_of_all_labels():
    found, account = spans(table((2, "red"), (4, "blue"), (9, "later"), (20, "blue")), until="Agent-action")
    assert found == [(0, "red", 2, 9), (1, "blue", 4, 9)] and account["unclosed"] == [3]


def test_a_delayed_event_ends_an_interval_at_its_own_time():
    found, _ = spans(table((2, "red"), (4, "later")), classes={"red": "Red"}, until="Green")
    assert found == [(0, "red", 2, 5)]  # 4 s and a delay of 1.5 s, in windows of 1 s


def test_rows_may_come_in_any_order():
    events = table((17, "blue"), (2, "red"), (12, "red"), (7, "blue"))
    found, account = spans(events)
    assert sorted(found, key=lambda span: span[2]) == [(1, "red", 2, 7), (3, "blue", 7, 12), (2, "red", 12, 17)]
    assert account["unclosed"] == [0]


def test_during_is_held_against_the_start_alone():
    events = table((1, "open"), (2, "red"), (5, "close"), (7, "blue"), (12, "red"), (17, "blue"))
    found, account = spans(events, classes={"red": "Red"}, until="Blue", during="Def/Eyes")
    assert found == [(1, "red", 2, 7)] and account["unclosed"] == []


def test_an_interval_is_trimmed_and_tiled():
    index, account = windows.select(
        table((1.0, "red"), (8.0, "blue"), (9.5, "red")),
        SIDECAR,
        20.0,
        hed_version=VERSION,
        classes=CLASSES,
        kind="intervals",
        until=UNTIL,
        tmin=0.5,
        tmax=-0.5,
        length=2.0,
        step=1.5,
    )
    np.testing.assert_allclose(index["onset"], [1.5, 3.0, 4.5])
    assert account["short"] == [1] and account["unclosed"] == [2] and account["windows"] == {"red": 3, "blue": 0}


def test_events_past_the_end_of_the_recording_are_told():
    found, account = spans(table((2, "red"), (7, "blue"), (12, "red"), (13, "open")), duration=10.0)
    assert account["beyond"] == [2, 3]
    assert found == [(0, "red", 2, 7), (1, "blue", 7, 10)] and account["outside"] == [1, 1]


@pytest.mark.parametrize(
    ("ask", "key"),
    [
        ({"kind": "events", "tmax": 1.0, "until": "Blue"}, "until.*kind"),
        ({"until": {"red": "Blue"}}, "until.*lacks blue"),
        ({"until": {"red": "Blue", "blue": "Red", "rde": "Red"}}, "until.*adds rde"),
        ({"until": ["Blue"]}, "until"),
        ({"until": {"red": "Blue", "blue": "Nosuchtag"}}, "until: blue.*Nosuchtag"),
    ],
)
def test_an_end_that_makes_no_sense_names_its_key(ask, key):
    selection = dict.fromkeys(("tmax", "step", "during", "not_during", "baseline", "channels"))
    selection |= {"classes": CLASSES, "kind": "intervals", "length": 1.0, "tmin": 0.0, "channels_by": "name", **ask}
    given = {name: selection[name] for name in ("classes", "kind", "length", "tmin", "tmax", "until")}
    with pytest.raises(ValueError, match=key):
        windows.select(table((1, "red"), (4, "blue")), SIDECAR, 20.0, hed_version=VERSION, **given)
    with pytest.raises(ValueError, match=f"config: selections.a.{key}"):
        windows.check(selection, [VERSION], name="selections.a")


# --- the band of the study


def test_the_signal_is_filtered_before_it_is_cut(rng):
    """A window holds the samples of the filtered signal: nothing rings at its ends."""
    x, events = rng.standard_normal((2, 2000)), table((1.0, "red"), (9.0, "blue"))
    ask = {"hed_version": VERSION, "classes": CLASSES, "tmax": 1.0}
    whole, *_, account = windows.windows(x, 200.0, ["A", "B"], events, SIDECAR, **ask)
    assert "lowpass" not in account
    slow = montage.lowpass(x, 200.0, 30.0)
    cut, *_, account = windows.windows(x, 200.0, ["A", "B"], events, SIDECAR, **ask, lowpass=30.0)
    np.testing.assert_array_equal(cut, np.stack([slow[:, 200:400], slow[:, 1800:2000]]))
    assert account["lowpass"] == 30.0 and np.abs(cut - whole).max() > 0.5
    fewer, *_ = windows.windows(x, 200.0, ["A", "B"], events, SIDECAR, **ask, lowpass=30.0, sfreq=100.0, channels=["b"])
    again = montage.resample(slow[1:], 200.0, 100.0)[0]
    np.testing.assert_allclose(fewer, np.stack([again[:, 100:200], again[:, 900:1000]]), atol=1e-12)


# --- segments that the cleaning marked as bad


def cut_with(bad, reject=0.0, **ask):
    events = table((1.0, "red"), (4.0, "blue"), (7.0, "red"))
    ask = {"hed_version": VERSION, "classes": CLASSES, "tmax": 2.0, **ask}
    return windows.windows(ramp(1, 1000), 100.0, ["A"], events, SIDECAR, None, (), bad, **ask, reject=reject)


def test_windows_in_bad_segments_are_left_out_and_named():
    signal, index, marked, _, account = cut_with([[2.99, 4.0], [8.0, 8.01]])
    # 1 to 3 s and 7 to 9 s touch bad segments; 4 to 6 s starts where one ends
    assert index["event"].tolist() == [1] and signal[:, 0, 0].tolist() == [400]
    assert account["rejected"] == {"red": [0, 2], "blue": []} and account["windows"] == {"red": 0, "blue": 1}
    assert marked["window_class"].fillna("n/a").tolist() == ["n/a", "blue", "n/a"]
    assert account["counts"] == {"red": 2, "blue": 1}  # what the queries found


@pytest.mark.parametrize(
    ("reject", "kept"), [(0.0, [2]), (0.24, [2]), (0.25, [1, 2]), (0.5, [0, 1, 2]), (1.0, [0, 1, 2]), (None, [0, 1, 2])]
)
def test_the_share_that_may_be_bad_is_a_bound(reject, kept):
    # of the 2 s of each window, 1 s in two pieces, 0.5 s and none are bad
    _, index, *_, account = cut_with([[0.5, 1.5], [2.0, 2.5], [5.5, 6.5]], reject)
    assert index["event"].tolist() == kept
    assert sorted(account["rejected"]["red"] + account["rejected"]["blue"]) == sorted({0, 1, 2} - set(kept))


def test_tiles_are_rejected_one_by_one():
    _, index, *_, account = cut_with([[4.6, 4.7], [5.9, 6.0]], length=0.5)
    assert index["onset"].tolist() == [1.0, 1.5, 2.0, 2.5, 4.0, 5.0, 7.0, 7.5, 8.0, 8.5]
    assert account["rejected"] == {"red": [], "blue": [1, 1]}


def test_nothing_is_rejected_where_nothing_was_looked_for():
    for bad in ((), None, []):
        assert len(cut_with(bad)[1]) == 3


def test_rejection_survives_the_rounding_of_floats():
    """Windows and bad segments that meet at a sample do not overlap, whatever the sum of floats says."""
    for number in range(3, 90):
        edge = 0.1 * number
        bad = [[0.0, edge]]
        events = pd.DataFrame({"onset": [edge], "kind": ["red"]})
        ask = {"hed_version": VERSION, "classes": CLASSES, "tmax": 0.7}
        _, index, *_ = windows.windows(ramp(1, 1000), 100.0, ["A"], events, SIDECAR, None, (), bad, **ask)
        assert len(index) == 1


def test_a_recording_without_a_good_window_says_what_to_do():
    with pytest.raises(Fault, match="raise reject") as fault:
        cut_with([[0.0, 10.0]], 0.5)
    assert fault.value.code == "bad-segments"
    with pytest.raises(ValueError, match="reject"):
        cut_with([[0.0, 10.0]], 50)


def test_a_recording_takes_its_bad_channels_from_the_table():
    channels = pd.DataFrame({"name": ["A", "B", "E", "C", "D"], "type": ["EEG", "EEG", "EOG", "EEG", "EEG"]})
    channels["status"] = ["good", "bad", "good", "good", "good"]
    where = {"A": [0, 0, 0], "B": [0, 0, 0.05], "C": [0, 0, 0.06], "D": [0.1, 0, 0], "X": [0, 0, 0.052]}
    events = table((1.0, "red"), (4.0, "red"))
    selection = {"classes": CLASSES, "tmax": 1.0, "channels": ["X"], "channels_by": "nearest"}
    signal, index, _, sidecar, info, account = windows.recording(
        ramp(5, 1000),
        100.0,
        channels,
        events,
        SIDECAR,
        VERSION,
        lambda names: np.array([where[name] for name in names], dtype=float),
        {"bad_segments": [[4.5, 4.6]], "resampled": None},
        **selection,
    )
    # B is the nearest but bad, E no EEG; the second window lies in a bad segment
    assert account["montage"] == {"X": {"electrode": "C", "mm": 8.0}}
    np.testing.assert_array_equal(signal[:][0, 0], 3000.0 + np.arange(100, 200))
    assert index["event"].tolist() == [0] and info["names"] == ["X"]
    np.testing.assert_array_equal(info["positions"], [where["X"]])
    assert sidecar["window_class"]["Levels"]["red"].endswith("Red")


@pytest.mark.parametrize("resampled", [None, {"from": 250.0, "to": 100.0}])
def test_samples_of_the_raw_file_are_dropped_where_they_are_not_those_of_the_signal(resampled):
    channels = pd.DataFrame({"name": ["A"], "type": ["EEG"], "status": ["good"]})
    events = table((1.0, "red"), (4.0, "red")).assign(sample=[250, 1000])
    sidecar, cleaned = {**SIDECAR, "sample": {"Description": "in the raw file"}}, {"resampled": resampled}
    given = (ramp(1, 1000), 100.0, channels, events, sidecar, VERSION, None, cleaned)
    _, _, marked, about, *_ = windows.recording(*given, classes=CLASSES, tmax=1.0)
    assert ("sample" in marked) == ("sample" in about) == (resampled is None)
    _, _, marked, *_ = windows.recording(*given, {"shift": [{"value": 0.1}]}, classes=CLASSES, tmax=1.0)
    assert "sample" not in marked and marked["onset"].tolist() == [1.1, 4.1]


# --- montage and rate


def test_windows_after_resampling_hold_the_same_moment():
    rate, t = 250.0, np.arange(5000) / 250.0
    x = np.exp(-0.5 * ((t[None] - np.array([[4.0], [9.0]])) / 0.05) ** 2)
    signal, *_ = windows.windows(
        x,
        rate,
        ["a", "b"],
        table((4.0, "red"), (9.0, "blue")),
        SIDECAR,
        hed_version=VERSION,
        classes=CLASSES,
        tmin=-0.5,
        tmax=0.5,
        sfreq=128.0,
        channels=["B", "A"],
    )
    assert signal.shape == (2, 2, 128)
    assert signal[0, 1].argmax() == signal[1, 0].argmax() == 64


# --- refusals


@pytest.mark.parametrize(
    ("ask", "key"),
    [
        ({"kind": "epochs", "tmax": 1.0}, "kind"),
        ({"kind": "intervals"}, "length"),
        ({}, "tmax"),
        ({"tmin": 1.0, "tmax": 0.5}, "tmax"),
        ({"tmax": 1.0, "length": 2.0}, "length"),
        ({"tmax": 1.0, "length": 0.5, "step": 0.0}, "step"),
        ({"tmax": 1.0, "classes": ["Red"]}, "classes"),
        ({"tmax": 1.0, "classes": {"red": "Red", "odd": "Nosuchtag"}}, "classes: odd"),
        ({"tmax": 1.0, "during": "Nosuchtag"}, "during"),
        ({"tmax": 1.0, "baseline": [-0.5, 0.0]}, "baseline"),
    ],
)
def test_a_selection_that_makes_no_sense_names_its_key(ask, key):
    with pytest.raises(ValueError, match=key):
        windows.windows(
            ramp(1, 1000),
            100.0,
            ["A"],
            table((1, "red")),
            SIDECAR,
            **{"hed_version": VERSION, "classes": CLASSES, **ask},
        )


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        ({"events": None}, "no-events"),
        ({"events": table((1, "open"))}, "no-match"),
        ({"classes": {"a": "Red", "b": "Sensory-event"}}, "no-match"),
        ({"events": table((9.9, "red"))}, "outside"),
        ({"tmax": 11.0}, "too-short"),
        (
            {
                "events": table((1, "open"), (2, "close")),
                "classes": {"e": "Task"},
                "kind": "intervals",
                "tmax": None,
                "length": 3.0,
            },
            "too-short",
        ),
        ({"channels": ["A", "Cz"]}, "missing-channel"),
        ({"names": ["a", "A"], "channels": ["A"]}, "bad-channels-table"),
        ({"sfreq": 200.0}, "rate-too-low"),
    ],
)
def test_faults_of_a_recording_have_their_code(ask, code):
    ask = {
        "events": table((1, "red")),
        "names": ["A", "B"],
        "classes": CLASSES,
        "tmax": 0.5,
        "hed_version": VERSION,
        **ask,
    }
    events, names = ask.pop("events"), ask.pop("names")
    with pytest.raises(Fault) as fault:
        windows.windows(ramp(2, 1000), 100.0, names, events, SIDECAR, **ask)
    assert fault.value.code == code
    assert ":" in fault.value.message  # a remedy follows


# --- a real recording, against MNE


def test_real_windows_equal_those_of_mne(shared):
    mne = pytest.importorskip("mne")
    folder = shared / "data/eegmmidb"
    stem = folder / "sub-001/eeg/sub-001_task-motion_run-3"
    raw = mne.io.read_raw_edf(f"{stem}_eeg.edf", preload=True, verbose="error")
    events = pd.read_csv(f"{stem}_events.tsv", sep="\t", na_values="n/a")
    sidecar = json.loads((folder / "task-motion_events.json").read_text())
    classes = {
        "left": "[Hand && To-left-of] && @To-right-of",
        "right": "[Hand && To-right-of] && @To-left-of",
        "rest": "Rest",
    }
    signal, index, marked, _, account = windows.windows(
        raw.get_data() * 1e6,
        raw.info["sfreq"],
        raw.ch_names,
        events,
        sidecar,
        hed_version="8.1.0",
        classes=classes,
        tmin=-1.0,
        tmax=4.0,
        baseline=[-1.0, 0.0],
    )
    code = {"TASK1T1": 1, "TASK1T2": 2, "TASK1T0": 3}
    stamps = np.column_stack([events["sample"], np.zeros(len(events)), events["value"].map(code)]).astype(int)
    # MNE keeps the last sample of window and baseline: one sample less gives the half-open ones
    last = 1 / raw.info["sfreq"]
    epochs = mne.Epochs(raw, stamps, tmin=-1.0, tmax=4.0 - last, baseline=(-1.0, -last), preload=True, verbose="error")
    np.testing.assert_allclose(signal, epochs.get_data() * 1e6, atol=1e-9)
    labels = dict(enumerate(classes, start=1))
    assert index["label"].tolist() == [labels[key] for key in epochs.events[:, 2]]
    assert account["outside"] == [0]  # the first event stands at 0 s
    assert marked["window_class"].isna().sum() == 1
