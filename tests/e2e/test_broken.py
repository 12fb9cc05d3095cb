"""Broken recordings of many kinds, beside sound ones: each leaves with its reason and a sentence, the others go on."""

import json
import re
import shutil

import numpy as np
import pytest
import yaml

from conftest import ROOT
from hedgerow import account, io, simulate, store, table
from signals import write_edf, write_set
from workflow import run

pytestmark = pytest.mark.xdist_group("broken")

SFREQ, SECONDS = 250, 30


def _signal(stem):
    """Samples (channels, samples) in µV and names of a recording that is still as it was simulated."""
    x, _, channels, _ = io.read_raw(f"{stem}_eeg.vhdr")
    return x, list(channels["name"])


def _without(stem):
    for extension in (".vhdr", ".eeg", ".vmrk"):
        (stem.parent / f"{stem.name}_eeg{extension}").unlink()


def _as_edf(stem, ending="edf", *, change=None, rates=None):
    """Replace a BrainVision recording by EDF or BDF, with other names or rates of channels."""
    x, names = _signal(stem)
    _without(stem)
    rates = [SFREQ] * len(names) if rates is None else [*rates, *[SFREQ] * (len(names) - len(rates))]
    rows = [each[:: SFREQ // rate] for each, rate in zip(x, rates)]
    write_edf(f"{stem}_eeg.{ending}", rows, rates, [(change or {}).get(name, name) for name in names])


def _as_set(stem, **keywords):
    x, names = _signal(stem)
    _without(stem)
    write_set(f"{stem}_eeg.set", x, SFREQ, names, **keywords)


def _edit(path, change):
    """Rewrite a file by a function of its bytes."""
    path.write_bytes(change(path.read_bytes()))


def _samples(stem, change):
    """Rewrite the samples (samples, channels) of a BrainVision file in place."""
    names = list(table.read(f"{stem}_channels.tsv")["name"])
    x = np.fromfile(f"{stem}_eeg.eeg", dtype="<f4").reshape(-1, len(names))
    change(x)
    x.tofile(f"{stem}_eeg.eeg")


def _half(path):
    _edit(path, lambda data: data[: len(data) // 2])


def truncated_edf(stem):
    _as_edf(stem)
    _half(stem.parent / f"{stem.name}_eeg.edf")


def truncated_bdf(stem):
    _as_edf(stem, "bdf")
    _half(stem.parent / f"{stem.name}_eeg.bdf")


def two_rates(stem):
    _as_edf(stem, rates=[SFREQ, SFREQ // 2])


def double_names(stem):
    _as_edf(stem, change={"Cz": "Pz"})


def other_names(stem):
    _as_edf(stem, change={"Cz": "E1", "Pz": "E2"})


def flat(stem):
    _samples(stem, lambda x: x.fill(7.0))


def nan_samples(stem):
    def spoil(x):
        x[5000:5010, 3] = np.nan

    _samples(stem, spoil)


def no_header(stem):
    (stem.parent / f"{stem.name}_eeg.vhdr").write_text("no header\n")


def hdf5_set(stem):
    _without(stem)
    start = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (stem.parent / f"{stem.name}_eeg.set").write_bytes(start + bytes(384) + b"\x89HDF\r\n\x1a\n")


def epochs(stem):
    _as_set(stem, epochs=10)


def no_fdt(stem):
    _as_set(stem, fdt=True)
    (stem.parent / f"{stem.name}_eeg.fdt").unlink()


def zero_bytes(stem):
    (stem.parent / f"{stem.name}_eeg.eeg").write_bytes(b"")


def no_data_file(stem):
    (stem.parent / f"{stem.name}_eeg.eeg").unlink()


def folder_named_edf(stem):
    _without(stem)
    (stem.parent / f"{stem.name}_eeg.edf").mkdir()


def no_signal(stem):
    _without(stem)


def not_fetched(stem):
    (stem.parent / f"{stem.name}_eeg.eeg").unlink()
    (stem.parent / f"{stem.name}_eeg.eeg").symlink_to("../../.git/annex/objects/x/MD5E-s9--0.eeg/MD5E-s9--0.eeg")


def not_named_so(stem):
    for path in list(stem.parent.iterdir()):
        path.rename(path.with_name(path.name.replace("task-sounds", "task-eyes_open")))


def two_signals(stem):
    shutil.copy(f"{stem}_eeg.eeg", f"{stem}_eeg.set")


def two_sidecars(stem):
    for name in (f"{stem.parents[1].name}_eeg.json", "task-sounds_eeg.json"):
        (stem.parents[1] / name).write_text("{}")


def meg(stem):
    shutil.rmtree(stem.parent)
    (stem.parents[1] / "meg" / f"{stem.name}_meg.ds").mkdir(parents=True)


def no_sidecar(stem):
    (stem.parent / f"{stem.name}_eeg.json").unlink()


def sidecar_no_json(stem):
    _half(stem.parent / f"{stem.name}_eeg.json")


def latin_channels(stem):
    _edit(stem.parent / f"{stem.name}_channels.tsv", lambda data: data.decode().encode("latin-1"))


def fewer_rows(stem):
    channels = table.read(f"{stem}_channels.tsv", text=True)
    table.write(f"{stem}_channels.tsv", channels[:-3])


def _events(stem, change):
    events = table.read(f"{stem}_events.tsv", text=True)
    table.write(f"{stem}_events.tsv", change(events))


def nan_onset(stem):
    _events(stem, lambda events: events.assign(onset="n/a"))


def words_for_onsets(stem):
    _events(stem, lambda events: events.assign(onset="soon"))


def beyond_the_end(stem):
    _events(stem, lambda events: events.assign(onset=(events["onset"].astype(float) + 1000).astype(str)))


def no_events(stem):
    (stem.parent / f"{stem.name}_events.tsv").unlink()


def empty_events(stem):
    (stem.parent / f"{stem.name}_events.tsv").write_bytes(b"")


def latin_events(stem):
    _edit(stem.parent / f"{stem.name}_events.tsv", lambda data: data.replace(b"tone", b"t\xf6ne"))


def odd_but_readable(stem):
    """What is repaired: line ends and byte order marks, order of rows, case of names, a name in the header."""
    _events(stem, lambda events: events[::-1])
    _edit(stem.parent / f"{stem.name}_channels.tsv", lambda data: data.replace(b"Cz", b"CZ"))
    for ending in ("channels.tsv", "events.tsv", "eeg.json"):
        path = stem.parent / f"{stem.name}_{ending}"
        _edit(path, lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n"))
    _edit(stem.parent / f"{stem.name}_eeg.vhdr", lambda data: data.replace(b"File=sub", b"File=old"))


def no_channels(stem):
    (stem.parent / f"{stem.name}_channels.tsv").unlink()


#: What befalls a recording; reason code and words with which it must leave. The first ones leave at the index.
BROKEN = [
    (no_signal, "missing-file", "has no signal file"),
    (no_data_file, "missing-file", "_eeg.eeg is missing"),
    (not_fetched, "missing-file", "datalad get"),
    (no_sidecar, "missing-file", "has no *_eeg.json"),
    (zero_bytes, "unreadable", "is empty (0 bytes)"),
    (folder_named_edf, "unreadable", "is a folder, not a file"),
    (not_named_so, "bad-name", "is not named as BIDS has it"),
    (two_sidecars, "bad-name", "both apply to"),
    (meg, "not-eeg", "is meg; only EEG"),
    (truncated_edf, "truncated", "its header promises 30.0 s"),
    (double_names, "bad-channels", "several channels of one name"),
    (other_names, "bad-channels-table", "does not list E1, E2"),
    (flat, "no-channels", "good EEG channels"),
    (nan_onset, "bad-events", "onset"),
    (beyond_the_end, "outside", "no window fits"),
    (empty_events, "no-events", "has no rows"),
]
#: More of them. Each costs two jobs, and `test_io` and `test_bids` hold the same words.
MORE = [
    (nan_samples, "not-finite", "NaN"),
    (two_signals, "bad-name", "leave one of them"),
    (truncated_bdf, "truncated", "its header promises 30.0 s"),
    (two_rates, "bad-channels", "at 125, 250 Hz"),
    (fewer_rows, "bad-channels-table", "does not list"),
    (latin_channels, "bad-channels-table", "UTF-8"),
    (no_header, "unreadable", "cannot be read"),
    (hdf5_set, "unreadable", "MATLAB 7.3"),
    (epochs, "not-continuous", "holds 10 epochs"),
    (no_fdt, "missing-file", ".fdt"),
    (sidecar_no_json, "bad-sidecar", "is no JSON object"),
    (words_for_onsets, "bad-events", "onset"),
    (no_events, "no-events", "events.tsv"),
    (latin_events, "bad-events", "UTF-8"),
]
#: Recordings that are processed; what was odd about two of them is met.
SOUND = ("01", "02", "oddbutreadable")


def _copy(raw, label):
    """Copy the first recording for another subject; its stem."""
    folder = raw / f"sub-{label}/eeg"
    folder.mkdir(parents=True)
    for path in (raw / "sub-01/eeg").iterdir():
        content = path.read_bytes()
        if path.suffix in (".vhdr", ".vmrk"):
            content = content.replace(b"sub-01", f"sub-{label}".encode())
        (folder / path.name.replace("sub-01", f"sub-{label}")).write_bytes(content)
    return folder / f"sub-{label}_task-sounds"


def _label(harm):
    return harm.__name__.replace("_", "")


def _study(folder, cases, datasets):
    """Run the workflow up to its windows over a dataset with one recording for each case; what it printed."""
    raw = folder / "raw"
    simulate.write(raw, seed=3, subjects=2, channels=8, sfreq=SFREQ, seconds=SECONDS)
    for harm in cases:
        harm(_copy(raw, _label(harm)))
    (raw / "participants.tsv").write_text("participant_id\tage\nsub-01\t30\nsub-01\t31\nsub-02\t32\n")
    tiny = yaml.safe_load((ROOT / "tests/e2e/tiny.yaml").read_text(encoding="utf-8"))
    study = {"study": "broken", "datasets": {name: {"source": "path", "path": name} for name in datasets}}
    study |= {"selections": {"sounds": tiny["selections"]["sounds"]}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return run(folder, folder / "study.yaml", "all_windows")


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    return folder, _study(folder, [odd_but_readable, *(harm for harm, _, _ in BROKEN)], ["raw"])


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """The other kinds, a recording without channels.tsv, and a dataset that lacks HEDVersion and participants."""
    folder = tmp_path_factory.mktemp("more")
    simulate.write(folder / "bare", subjects=1, channels=8, sfreq=SFREQ, seconds=SECONDS)
    (folder / "bare/dataset_description.json").write_text('{"Name": "no HEDVersion", "BIDSVersion": "1.9.0"}')
    (folder / "bare/participants.tsv").write_text("subject\tage\nsub-01\t30\n")
    return folder, _study(folder, [no_channels, *(harm for harm, _, _ in MORE)], ["raw", "bare"])


def _left(folder, dataset, subject):
    """The account with which the recording of a subject left, or its last one."""
    found = table.read(folder / f"results/index/{dataset}/recordings.tsv", text=True)
    found = found[found["subject"] == subject].sort_values("status", ascending=False).iloc[0]
    if found["status"] != "ok":
        return found.to_dict()
    stem = folder / f"results/derivatives/{dataset}/standard" / found["rec"]
    clean = account.read(f"{stem}_desc-clean_account.json")
    return clean if clean["status"] != "ok" else store.account(f"{stem}_desc-sounds_windows.zarr.zip")


def _check(folder, dataset, subject, code, words):
    found = _left(folder, dataset, subject)
    assert (found["status"], found["reason"]) == ("quarantined", code), found
    assert words in found["message"] and re.search(r"sub-|event|channel|window|dataset", found["message"])


@pytest.mark.parametrize(("harm", "code", "words"), BROKEN, ids=[_label(harm) for harm, _, _ in BROKEN])
def test_a_broken_recording_leaves_with_its_reason(broken, harm, code, words):
    _check(broken[0], "raw", _label(harm), code, words)


@pytest.mark.slow
@pytest.mark.parametrize(("harm", "code", "words"), MORE, ids=[_label(harm) for harm, _, _ in MORE])
def test_more_broken_recordings_leave_with_their_reasons(more, harm, code, words):
    _check(more[0], "raw", _label(harm), code, words)


def test_the_sound_ones_are_processed(broken):
    folder, text = broken
    windows = {subject: _left(folder, "raw", subject)["windows"] for subject in SOUND}
    assert windows["01"] == windows["oddbutreadable"] and all(sum(each.values()) > 3 for each in windows.values())
    assert f"recordings: {len(SOUND)} ok, {len(BROKEN)} quarantined" in text and "Traceback" not in text
    notes = " ".join(json.loads((folder / "results/index/raw/tree.json").read_text())["notes"])
    assert "contradict each other for sub-01" in notes and "has no row for sub-" in notes


def test_what_can_be_read_is_repaired_and_noted(broken):
    stem = str(broken[0] / "results/derivatives/raw/standard/sub-{0}/eeg/sub-{0}_task-sounds")
    notes = {name: account.read(stem.format(name) + "_desc-clean_account.json")["notes"] for name in SOUND}
    odd = " ".join(notes["oddbutreadable"])
    assert "in another case than the signal: Cz" in odd and "the header names old-oddbutreadable" in odd
    assert notes["01"] == notes["02"] and set(notes["01"]) < set(notes["oddbutreadable"])
    # the same windows as of the recording it was copied from
    one, other = (store.read_arrays(stem.format(name) + "_desc-sounds_windows.zarr.zip")[0] for name in SOUND[::2])
    np.testing.assert_array_equal(one["signal"], other["signal"][np.argsort(other["onset"])])


@pytest.mark.slow
def test_a_dataset_without_hed_version_and_participants(more):
    folder, text = more
    _check(folder, "bare", "01", "bad-hed", "HEDVersion")
    notes = json.loads((folder / "results/index/bare/tree.json").read_text())["notes"]
    assert "participants.tsv is passed over: it has no column participant_id" in notes[0]
    assert _left(folder, "raw", "nochannels")["status"] == "ok"
    # of two signals of one name the other one went on, which was no signal either
    assert f"recordings: 3 ok, {len(MORE) + 2} quarantined" in text and "Traceback" not in text
