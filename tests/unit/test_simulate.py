"""The simulated dataset: valid, reproducible, and with the truth that it says it has."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hedgerow import simulate

SMALL = {"channels": 8, "seconds": 30.0}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """The smallest dataset: its folder and its truth."""
    root = tmp_path_factory.mktemp("simulated")
    return root, simulate.write(root, subjects=2, **SMALL)


def digests(root):
    """Checksum of every file under `root` by its path."""
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def design(table):
    """Rows of the sounds, and the design matrix of the formula ``kind + intensity`` made by hand."""
    sounds = table[table["trial_type"] == "sound"]
    columns = np.ones(len(sounds)), sounds["kind"] == "tone", sounds["intensity"]
    return sounds, np.stack([np.asarray(column, float) for column in columns], 1)


def test_validators_find_no_error(dataset):
    root, _ = dataset
    pytest.importorskip("bids_validator_deno")
    validator = Path(sys.executable).with_name("bids-validator-deno")
    done = subprocess.run([validator, root, "--json"], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert [issue for issue in report["issues"]["issues"] if issue["severity"] == "error"] == []
    assert report["summary"]["totalFiles"] == len([name for name in digests(root) if not name.startswith("sourcedata")])
    warnings = {issue["code"] for issue in report["issues"]["issues"]}
    assert warnings <= {"SIDECAR_KEY_RECOMMENDED", "JSON_KEY_RECOMMENDED", "TOO_FEW_AUTHORS"}


def test_hed_is_valid_and_filled_in(dataset):
    hed = pytest.importorskip("hed")
    root, _ = dataset
    schema = hed.load_schema_version("8.3.0")
    sidecar = hed.Sidecar(str(root / "task-sounds_events.json"))
    assert sidecar.validate(schema) == []
    path = root / "sub-01/eeg/sub-01_task-sounds_events.tsv"
    table = hed.TabularInput(str(path), sidecar=sidecar)
    assert table.validate(schema) == []
    events = pd.read_csv(path, sep="\t")
    for text, kind, level, what in zip(table.series_a, events["kind"], events["intensity"], events["trial_type"]):
        if what == "sound":
            assert f"({kind.title()}, Sound-volume/{level:g} dB)" in text
        elif what != what:
            assert text in ("", "n/a")
        else:
            assert "Def/Eyes-" in text and ("Offset" in text) == what.endswith("_end")


def test_signal_comes_back_from_disk_with_nan(tmp_path):
    mne = pytest.importorskip("mne")
    signal, table, events, _ = simulate.recording(1, **SMALL)
    signal[3, 100:110] = np.nan
    simulate._write_recording(tmp_path / "eeg" / "sub-01_task-sounds", signal, table, events, 250.0, simulate.EEG)
    raw = mne.io.read_raw_brainvision(tmp_path / "eeg" / "sub-01_task-sounds_eeg.vhdr", verbose="error")
    assert raw.ch_names == list(table["name"])
    assert raw.info["sfreq"] == 250
    np.testing.assert_allclose(raw.get_data() * 1e6, signal, rtol=1e-6, atol=1e-6)


def test_same_seed_same_bits_and_more_subjects_change_none(dataset, tmp_path):
    root, truth = dataset
    again = simulate.write(tmp_path, subjects=3, **SMALL)
    first, second = digests(root), digests(tmp_path)
    common = {"participants.tsv", "sourcedata/truth.json"}
    assert {name: second[name] for name in first if name not in common} == {
        name: value for name, value in first.items() if name not in common
    }
    for part in ("subjects", "recordings"):
        assert truth[part] == {name: again[part][name] for name in truth[part]}
    other = simulate.recording(1, seed=2, **SMALL)[0]
    assert not np.array_equal(other, simulate.recording(1, **SMALL)[0])


def test_truth_is_what_was_written(dataset):
    root, truth = dataset
    assert json.loads((root / "sourcedata/truth.json").read_text()) == truth
    people = pd.read_csv(root / "participants.tsv", sep="\t").set_index("participant_id")
    assert people["sex"].to_dict() == {name: who["sex"] for name, who in truth["subjects"].items()}
    for stem, known in truth["recordings"].items():
        events = pd.read_csv(root / f"{stem}_events.tsv", sep="\t")
        assert (events["trial_type"] == "sound").sum() == known["sounds"] > 10
        starts = events.loc[events["trial_type"] == "eyes_closed", "onset"].tolist()
        assert starts == [start for start, _ in known["eyes_closed"]]
        assert events["trial_type"].isna().sum() == 2
        assert events["onset"].is_monotonic_increasing


def test_least_squares_gives_the_planted_response_back():
    truth = simulate.truth(channels=24)
    gains = {"Intercept": 0.9, "kind[T.tone]": 1.2, "intensity": 0.8}
    events = simulate.events(1)
    signal = simulate.responses(events, truth["names"], 25000, 250.0, gains=gains)
    sounds, x = design(events)
    first = np.round(sounds["onset"] * 250).astype(int)
    windows = np.stack([signal[:, i : i + 160] for i in first])  # up to 0.64 s: the next sound comes after 0.85 s
    coef = np.linalg.lstsq(x, windows.reshape(len(x), -1), rcond=None)[0].reshape(3, *windows.shape[1:])
    for values, (term, how) in zip(coef, truth["response"]["terms"].items()):
        course = simulate.course(np.arange(160) / 250, how["latency"], how["width"])
        expected = gains[term] * how["amplitude"] * np.outer(how["topography"], course)
        np.testing.assert_allclose(values, expected, atol=1e-9)
        channel, time = np.unravel_index(np.abs(values).argmax(), values.shape)
        assert truth["names"][channel] == how["channel"]
        assert time / 250 == pytest.approx(how["latency"], abs=1 / 250)


def test_null_twin_has_no_effect_and_the_same_artefacts():
    real, null = simulate.recording(1, **SMALL), simulate.recording(1, effect=0, **SMALL)
    pd.testing.assert_frame_equal(real[2], null[2])
    assert real[3]["recording"] == null[3]["recording"]
    assert {how["amplitude"] for how in simulate.truth(effect=0)["response"]["terms"].values()} == {0}
    who = null[3]["subject"]
    assert who["alpha_log10_power"]["open"] == who["alpha_log10_power"]["closed"]
    people = [simulate.person(subject, effect=0) for subject in range(1, 401)]
    assert abs(cohen_d(people)) < 0.3  # standard error 0.1
    # without the alpha, what the twins differ by is the response alone, which a smaller effect scales
    names = simulate.montage(8)
    args = real[2], names, 7500, 250.0
    gains = real[3]["subject"]["gains"]
    whole = simulate.responses(*args, gains=gains)
    np.testing.assert_allclose(simulate.responses(*args, gains=gains, effect=0.5), whole / 2, atol=1e-12)
    assert np.abs(whole).max() > 3 and not simulate.responses(*args, gains=gains, effect=0).any()


def cohen_d(people):
    """Cohen's d of log alpha power with closed eyes, women against men, worked out apart from the module."""
    power = np.array([who["alpha_log10_power"]["closed"] for who in people])
    women = np.array([who["sex"] == "F" for who in people])
    assert women.sum() * 2 == len(people)
    spread = np.sqrt((power[women].var(ddof=1) + power[~women].var(ddof=1)) / 2)
    return (power[women].mean() - power[~women].mean()) / spread


def test_sex_effect_has_the_planted_size():
    people = [simulate.person(subject) for subject in range(1, 401)]
    assert cohen_d(people) == pytest.approx(3, abs=0.45)  # three standard errors
    assert simulate.sex_difference(people) == pytest.approx(cohen_d(people))
    assert simulate.sex_difference(people[:2]) is None


def test_alpha_in_the_signal_is_that_of_the_subject():
    names, samples = simulate.montage(24), 25000
    power = {"open": 1.0, "closed": 2.0}
    closed = simulate.blocks(100)["closed"]
    alpha = simulate.alpha(1, names, samples, 250.0, seed=1, hz=10.0, log10_power=power, closed=closed)
    shut = np.zeros(samples, bool)
    for start, end in closed:
        shut[round((start + 0.5) * 250) : round((end - 0.5) * 250)] = True
    rms = np.sqrt((alpha[names.index("Oz"), shut] ** 2).mean())
    assert rms == pytest.approx(10, rel=0.25)
    away = np.sqrt((alpha[names.index("Oz"), ~shut] ** 2).mean())
    assert away < 0.5 * rms


def test_bad_channels_and_artefacts_are_where_the_truth_says():
    signal, table, _, truth = simulate.recording(3)
    names, known = list(table["name"]), truth["recording"]
    assert np.ptp(signal[names.index(known["flat"])]) == 0
    assert (np.ptp(signal, axis=1) == 0).sum() == 1
    within = np.abs(np.corrcoef(np.delete(signal[:-1], names.index(known["flat"]), 0)))
    strongest = np.sort(within, axis=1)[:, -2]
    assert [n for n in names[:-1] if n != known["flat"]][strongest.argmin()] == known["noisy"]
    peaks = {how["channel"] for how in simulate.RESPONSE.values()}
    bad = {(subject, part["flat"], part["noisy"]) for subject, part in artefact_truths(12)}
    assert not peaks & {channel for _, *channels in bad for channel in channels}
    assert len({flat for _, flat, _ in bad}) > 3
    muscle = np.abs(np.diff(signal, n=3, axis=1))
    for burst in known["bursts"]:
        cut = slice(round(burst["start"] * 250), round(burst["end"] * 250))
        for name in burst["channels"]:
            row = muscle[names.index(name)]
            assert row[cut].mean() > 5 * np.median(row)
        assert not any(burst["start"] < end and burst["end"] > start for start, end in known["eyes_closed"])
    assert 4 <= sum(burst["end"] - burst["start"] for burst in known["bursts"]) <= 10
    eog = signal[-1] - np.median(signal[-1])
    assert all(eog[round(time * 250)] > 80 for time in known["blinks"])


def artefact_truths(count):
    """Truth about the artefacts of the first `count` recordings."""
    names = simulate.montage(24)
    return [(subject, simulate.artefacts(subject, names, 7500, 250.0, seed=1)[1]) for subject in range(1, count + 1)]


def test_positions_are_those_of_the_standard_montage():
    mne = pytest.importorskip("mne")
    known = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    for name, position in simulate.POSITIONS.items():
        np.testing.assert_allclose(np.array(position) / 1000, known[name], atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"channels": 7}, "channels"),
        ({"channels": 25}, "channels"),
        ({"seconds": 10}, "seconds"),
        ({"sfreq": 100}, "sfreq"),
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong, word):
    with pytest.raises(ValueError, match=word):
        simulate.recording(1, **wrong)
