"""Independent components: planted blinks go, the planted response stays, and nothing else changes."""

import json
import subprocess
import sys

import numpy as np
import pytest

from hedgerow import _array, io, simulate
from hedgerow.account import Fault, Stopped
from hedgerow.clean import drifts, ica

pytest.importorskip("mne_icalabel", reason="the optional extra ica is not installed")

SFREQ = 250.0
KNOWN = {"probability": 0.8, "seed": 1}
LAX = {"probability": 0.3, "seed": 2}


def simulated(seconds, **settings):
    """High-passed good channels of a simulated recording, with their names and positions."""
    x, table, _, truth = simulate.recording(3, seconds=seconds, **settings)
    names, truth = table["name"].tolist(), truth["recording"]
    good = [
        i for i, kind in enumerate(table["type"]) if kind == "EEG" and names[i] not in (truth["flat"], truth["noisy"])
    ]
    names = [names[i] for i in good]
    return drifts.highpass(x[good], SFREQ), names, io.positions(names), truth


@pytest.fixture(scope="module")
def planted():
    return simulated(60.0)


@pytest.fixture(scope="module")
def cleaned(planted):
    x, names, positions, _ = planted
    return ica.remove(x, SFREQ, names, positions, **KNOWN)


@pytest.fixture(scope="module")
def taken(planted, cleaned):
    return linear(planted[0], cleaned[0])


def linear(x, y):
    """What was taken out of x as a matrix (channels, channels): the removal is linear, and x has full rank."""
    centred = x - x.mean(axis=1, keepdims=True)
    return np.linalg.lstsq(centred.T, (x - y).T)[0].T


def blinks_of(names):
    """Topography of the blinks that were planted."""
    return simulate._kernel(names, [0, 0.1, -0.02], 0.05)[:, 0]


@pytest.fixture(scope="module")
def short():
    """Half a minute of few channels, for what must hold whatever is found."""
    x, names, positions, _ = simulated(30.0, channels=10)
    return x, names, positions


@pytest.fixture(scope="module")
def found(short):
    x, names, positions = short
    return ica.remove(x, SFREQ, names, positions, **LAX)


def test_blinks_go_by_more_than_ten_decibel(planted, cleaned, taken):
    _, names, _, truth = planted
    assert "eye" in [each["label"] for each in cleaned[1]["removed"]]
    front = [names.index(name) for name in ("Fp1", "Fp2")]
    blink = blinks_of(names)
    left = blink - taken @ blink
    assert (20 * np.log10(np.abs(blink[front]) / np.abs(left[front])) > 10).all()

    def peak(x):
        """Mean course around the blinks, from half a second before to the blink."""
        at = [round(time * SFREQ) for time in truth["blinks"] if time > 1]
        return np.mean([x[front][:, i] - x[front][:, i - 125] for i in at], axis=0)

    assert (20 * np.log10(peak(planted[0]) / np.abs(peak(cleaned[0]))) > 10).all()


def test_the_planted_response_stays_within_a_tenth(planted, taken):
    x, names, *_ = planted
    null, others, *_ = simulated(60.0, effect=0.0)
    assert others == names
    response = x - null
    assert np.abs(response).max() > 1
    left = response - taken @ (response - response.mean(axis=1, keepdims=True))
    assert 0.9 < (left * response).sum() / (response**2).sum() < 1.1


def test_the_account_says_what_was_taken_out(planted, cleaned):
    names, (y, account) = planted[1], cleaned
    assert json.loads(json.dumps(account, allow_nan=False)) == account
    centred = y - y.mean(axis=1, keepdims=True)
    assert account["components"] == len(names) - 1 == sum(account["labels"].values())
    assert account["rank"] == np.linalg.matrix_rank(centred) == len(names) - len(account["removed"])
    for each in account["removed"]:
        assert each["label"] in ica.ARTEFACTS and each["probability"] > 0.8
    assert 0 < sum(each["variance"] for each in account["removed"]) < 1
    assert account["notes"] == []


def test_numbers_are_those_of_mne_where_the_average_is_the_reference(short, found):
    mne = pytest.importorskip("mne")
    (x, names, _), (y, account) = short, found
    raw = mne.io.RawArray(x.copy(), mne.create_info(names, SFREQ, "eeg"), verbose="error")
    raw.set_eeg_reference("average", verbose="error")
    band = raw.copy().filter(1, 100, verbose="error")
    fitted = mne.preprocessing.ICA(
        len(names) - 1, method="infomax", fit_params={"extended": True}, random_state=2, verbose="error"
    ).fit(band, verbose="error")
    removed = [each["component"] for each in account["removed"]]
    wanted = fitted.apply(raw, exclude=removed, verbose="error").get_data()
    y = y - y.mean(axis=0)
    np.testing.assert_allclose(y - y.mean(axis=1)[:, None], wanted - wanted.mean(axis=1)[:, None], atol=1e-6)


def test_what_was_not_removed_is_as_it_was(planted, cleaned, taken):
    """As many directions as there are components are gone, and taking them out again changes nothing."""
    x, y = planted[0], cleaned[0]
    assert np.linalg.matrix_rank(taken, tol=1e-8) == len(cleaned[1]["removed"])
    np.testing.assert_allclose(taken @ (y - y.mean(axis=1, keepdims=True)), 0, atol=1e-6)
    np.testing.assert_allclose(y.mean(axis=1), x.mean(axis=1), atol=1e-9)


def test_one_seed_gives_the_same_bytes_and_the_input_stays(short, found):
    x, names, positions = short
    before = x.copy()
    y, account = ica.remove(x, SFREQ, names, positions, **LAX)
    assert y.tobytes() == found[0].tobytes() and account == found[1] and account["removed"]
    np.testing.assert_array_equal(x, before)


def test_every_kind_of_array_gives_the_same(short, found, xp):
    (x, names, positions), (wanted, said) = short, found
    y, account = ica.remove(xp.asarray(x), SFREQ, names, positions, **LAX)
    assert type(y) is type(xp.asarray(x)) and account == said and said["removed"]
    np.testing.assert_allclose(_array.to_numpy(y), wanted, atol=1e-10 * np.abs(x).max())


def test_the_reference_does_not_matter(short, found):
    (x, names, positions), (y, account) = short, found
    averaged, again = ica.remove(x - x.mean(axis=0), SFREQ, names, positions, **LAX)
    np.testing.assert_allclose(averaged, y - y.mean(axis=0), atol=1e-6 * np.abs(x).max())
    assert again["components"] == account["components"] and again["rank"] == account["rank"] - 1


def test_there_are_as_many_components_as_independent_channels(short):
    x, names, positions = short
    x = x.copy()
    x[4] = 0.5 * x[3] + 0.5 * x[5]
    y, account = ica.remove(x, SFREQ, names, positions, **LAX)
    assert account["components"] == len(names) - 2
    np.testing.assert_allclose(y[4], 0.5 * y[3] + 0.5 * y[5], atol=1e-6 * np.abs(x).max())


@pytest.mark.slow
def test_a_channel_without_a_position_is_cleaned_too(planted):
    x, names, positions, _ = planted
    row = names.index("Fp1")
    unknown = np.where(np.arange(len(names))[:, None] == row, np.nan, positions)
    y, account = ica.remove(x, SFREQ, names, unknown, **KNOWN)
    assert account["components"] == len(names) - 2
    blink = blinks_of(names)
    left = blink - linear(x, y) @ blink
    assert 20 * np.log10(np.abs(blink[row]) / np.abs(left[row])) > 10


def test_only_what_is_likely_enough_and_no_brain_goes(short):
    x, names, positions = short
    y, account = ica.remove(x, SFREQ, names, positions, probability=1.0, seed=2)
    assert account["removed"] == [] and y is x
    _, account = ica.remove(x, SFREQ, names, positions, probability=0.0, seed=2)
    counts = {label: [each["label"] for each in account["removed"]].count(label) for label in ica.LABELS}
    assert counts == account["labels"] | {"brain": 0, "other": 0}


def test_what_makes_labels_less_sure_is_noted(short):
    x, names, positions = short
    _, account = ica.remove(x[:, :3000:2], SFREQ / 2, names, positions, **KNOWN)
    assert [note.split(",")[0] for note in account["notes"]] == [
        "ICLabel knows signals up to 100 Hz",
        f"{1500 / (len(names) - 1) ** 2:.0f} samples for each of {len(names) - 1}² weights",
    ]


def test_faults_of_the_recording(short):
    x, names, positions = short
    unknown = np.where(np.arange(len(names))[:, None] < 3, positions, np.nan)
    with pytest.raises(Fault, match=f"3 of {len(names)} EEG channels have a known position") as fault:
        ica.remove(x, SFREQ, names, unknown, **KNOWN)
    assert fault.value.code == "no-positions"
    with pytest.raises(Fault, match="set ica_probability to null") as fault:
        ica.remove(x[:, :1000], SFREQ, names, positions, **KNOWN)
    assert fault.value.code == "too-short"


def test_a_probability_beyond_one_names_its_key(short):
    with pytest.raises(ValueError, match=r"ica_probability=80"):
        ica.remove(short[0], SFREQ, *short[1:], probability=80, seed=1)


@pytest.mark.parametrize("module", ["mne_icalabel.iclabel", "onnxruntime"])
def test_a_missing_package_ends_the_job_with_the_remedy(short, module, monkeypatch):
    for name in [each for each in sys.modules if each.startswith("mne_icalabel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Stopped, match=rf"{module.split('.')[0]}.* is missing.*make setup.*pip install mne-icalabel"):
        ica.remove(short[0], SFREQ, *short[1:], **KNOWN)


def test_what_runs_the_network_keeps_no_number_of_this_machine(tmp_path):
    """Later versions of onnxruntime write one as soon as they are imported, and report to their maker under it."""
    subprocess.run([sys.executable, "-c", "import onnxruntime"], env={"HOME": str(tmp_path)}, check=True)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.slow
def test_eye_movements_of_a_real_recording_go_from_the_front(shared):
    stem = shared / "data/eegmmidb/sub-001/eeg/sub-001_task-motion_run-3"
    x, sfreq, channels, _ = io.read_raw(f"{stem}_eeg.edf", f"{stem}_channels.tsv")
    names = channels["name"].tolist()
    x = drifts.highpass(x, sfreq)
    y, account = ica.remove(x, sfreq, names, io.positions(names), **KNOWN)
    assert "eye" in [each["label"] for each in account["removed"]] and len(account["notes"]) == 2
    kept = dict(zip([name.lower() for name in names], y.var(axis=1) / x.var(axis=1)))
    assert kept["fp1"] < 0.4 and kept["fp2"] < 0.4 and kept["cz"] > 0.7
