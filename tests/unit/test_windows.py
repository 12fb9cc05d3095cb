"""Windows: where they lie, what they hold, and what happens to the ones that cannot be cut."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.signal

from hedgerow import windows
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
    assert info == {"sfreq": 100.0, "names": ["A", "B"], "tmin": -0.2}
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


# --- montage and rate


def test_montage_is_found_whatever_the_case_and_spelt_as_the_study_does():
    x, names, rate = windows.harmonise(ramp(3, 10), 100.0, ["Fc5", "CZ", "Oz"], montage=["Cz", "FC5"])
    assert names == ["Cz", "FC5"] and rate == 100.0
    np.testing.assert_array_equal(x, ramp(3, 10)[[1, 0]])


@pytest.mark.parametrize(
    ("rate", "sfreq"), [(250.0, 128.0), (256.0, 128.0), (160.0, 128.0), (512.0, 100.0), (499.9, 128.0)]
)
def test_resampling_keeps_the_passband_and_folds_nothing_back(rate, sfreq):
    t = np.arange(int(20 * rate)) / rate
    low, high = 0.3 * sfreq, min(0.51 * sfreq, 0.49 * rate)
    x = np.stack([np.sin(2 * np.pi * low * t), np.sin(2 * np.pi * high * t), np.full_like(t, 7.0)])
    y, _, new = windows.harmonise(x, rate, list("abc"), sfreq=sfreq)
    assert new == pytest.approx(sfreq, rel=1e-6)
    inner = slice(int(2 * sfreq), -int(2 * sfreq))
    wanted = np.sin(2 * np.pi * low * np.arange(y.shape[1]) / new)
    np.testing.assert_allclose(y[0, inner], wanted[inner], atol=1e-3)  # also no delay
    if high >= 0.5 * sfreq:
        assert np.abs(y[1, inner]).max() < 2e-4  # 74 dB
    np.testing.assert_allclose(y[2], 7.0, atol=2e-3)


def test_resampling_agrees_with_an_ideal_one_within_the_band(rng):
    taps = scipy.signal.firwin(401, 20, fs=250)
    x = scipy.signal.lfilter(taps, 1, rng.standard_normal((2, 5000)))
    y, *_ = windows.harmonise(x, 250.0, ["a", "b"], sfreq=125.0)
    np.testing.assert_allclose(y[:, 200:-200], x[:, ::2][:, 200:-200], atol=2e-3 * x.std())


def test_keeping_the_rate_keeps_the_samples():
    x = ramp(2, 100)
    assert windows.harmonise(x, 250.0, ["a", "b"], sfreq=250.0)[0] is x
    assert windows.harmonise(x, 250.0, ["a", "b"])[0] is x


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
