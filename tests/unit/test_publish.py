"""A derivative made by hand: what the official validator and readers of other projects make of it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hedgerow import account, hed, io, publish, simulate, table
from hedgerow.clean import recording

mne_bids = pytest.importorskip("mne_bids")

REC = "sub-{:02}/eeg/sub-{:02}_task-sounds"
MASKED = {"bad_segments": [[3.0, 4.5], [12.0, 13.0]], "asr": {"cutoff": 20, "changed_seconds": [[8.0, 9.0]]}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Raw dataset of three people and results of the cleaning: with masks, with none, and quarantined."""
    folder = tmp_path_factory.mktemp("publish")
    simulate.write(folder / "raw", subjects=3, channels=8, seconds=20)
    stems = []
    for subject, found in ((1, MASKED), (2, {"bad_segments": [], "asr": None}), (3, None)):
        rec = REC.format(subject, subject)
        stem = Path(folder, "results", rec)
        stem.parent.mkdir(parents=True)
        stems.append(stem)
        if found is None:
            gone = account.quarantined("clean", account.Fault("not-finite", "NaN"))
            account.write(f"{stem}_desc-clean_account.json", gone)
            continue
        x, sfreq, channels, _ = io.read_raw(folder / f"raw/{rec}_eeg.vhdr", folder / f"raw/{rec}_channels.tsv")
        found |= {"sfreq": sfreq, "reference": "average"}
        found |= dict.fromkeys(("resampled", "highpass", "line_noise", "ica"))
        io.write_signal(f"{stem}_desc-clean_eeg", x, sfreq, channels, recording.masks(found))
        table.write(f"{stem}_desc-clean_channels.tsv", channels)
        table.write(f"{stem}_desc-clean_events.tsv", recording.masks(found))
        Path(f"{stem}_desc-clean_evidence.npz").write_bytes(b"x")
        raw = json.loads(Path(folder, f"raw/{rec}_eeg.json").read_text())
        sidecar = recording.sidecar(raw, f"{rec}_eeg.vhdr", x, channels, found, version="1")
        account.write(f"{stem}_desc-clean_eeg.json", sidecar)
        account.write(f"{stem}_desc-clean_account.json", account.ok("clean"))
    (folder / "config.yaml").write_text("study: x\n")
    return folder, stems


def _gather(folder, stems, tree):
    people = table.read(folder / "raw/participants.tsv", text=True)
    about = {"recordings": [], "participants": people, "split": None, "selections": {}, "features": []}
    return publish.gather(tree, dataset="a", raw=folder / "raw", stems=stems, config=folder / "config.yaml", **about)


@pytest.fixture(scope="module")
def tree(made, tmp_path_factory):
    tree = tmp_path_factory.mktemp("published") / "a"
    done = _gather(*made, tree)
    assert len(done["published"]) == 2 and len(done["left_out"]) == 1
    return tree


def test_the_validator_finds_no_error_with_masks_and_without(tree):
    found = publish.validate(tree)
    assert found["errors"] == 0, found["issues"]
    assert set(found["codes"]) <= {"warning: SIDECAR_KEY_RECOMMENDED", "warning: TOO_FEW_AUTHORS"}
    assert found["files"] == len(publish.seen(tree))


def test_the_validator_reads_the_hed_of_the_masks(made, tmp_path, monkeypatch):
    monkeypatch.setitem(publish.MASKS_HED, "trial_type", {"BAD_segment": "({duration}, (No-such-tag))"})
    _gather(*made, tmp_path / "a")
    assert publish.validate(tmp_path / "a")["errors"] > 0


def test_masks_have_one_sidecar_and_evidence_stays_at_home(tree):
    names = publish.files(tree)
    assert [name for name in names if name.endswith("clean_events.json")] == ["desc-clean_events.json"]
    assert not any("evidence" in name for name in names)
    assert len([name for name in names if name.startswith("sub-01/")]) == 7


@pytest.mark.parametrize(("subject", "bad"), [("01", 2), ("02", 0)])
def test_other_readers_drop_the_epochs_in_bad_segments(tree, subject, bad):
    import mne

    path = mne_bids.BIDSPath(
        subject=subject, task="sounds", description="clean", datatype="eeg", suffix="eeg", root=tree
    )
    raw = mne_bids.read_raw_bids(path.update(extension=".vhdr"), verbose="error")
    found = [name for name in raw.annotations.description if name.startswith("BAD")]
    assert len(found) == bad
    events = mne.make_fixed_length_events(raw, duration=1.0)
    epochs = mne.Epochs(raw, events, tmin=0, tmax=0.99, baseline=None, preload=True, verbose="error")
    assert [k for k, why in enumerate(epochs.drop_log) if why] == ([3, 4, 12] if bad else [])


def test_a_hed_query_finds_what_lies_within_a_mask(tree):
    """By the sidecar alone, whose templates give every stretch its own length."""
    path = tree / f"{REC.format(1, 1)}_desc-clean_events.tsv"
    rows, sidecar = table.read(path, text=True), json.loads((tree / "desc-clean_events.json").read_text())
    within = pd.concat([rows, pd.DataFrame({"onset": ["3.5", "6.0"], "duration": "0", "trial_type": "probe"})])
    within = within.sort_values("onset", key=lambda column: column.astype(float), ignore_index=True)
    sidecar["trial_type"]["HED"]["probe"] = "Sensory-event"
    events = hed.Events(within, sidecar, hed_version="8.3.0")
    assert not events.errors and events.strings[0] == "(Duration/1.5 s, (Data-artifact, Label/Beyond-repair))"
    found = events.find("Sensory-event", during="Data-artifact && Label/Beyond-repair")
    assert within["onset"][np.asarray(found)].tolist() == ["3.5"]


@pytest.mark.parametrize(
    ("version", "has"),
    [("8.3.0", True), ("8.4.0", True), (["8.3.0", "sc:score_1.1.0"], True), ("8.2.0", False), (None, False)],
)
def test_masks_have_hed_only_where_the_schema_knows_the_tags(version, has):
    found = publish._masks(version)
    assert ("HED" in found["trial_type"]) == has and ("HED" in found["duration"]) == has
    assert set(found["trial_type"]["Levels"]) == {"BAD_segment", "asr_repaired"}


def test_sidecars_of_a_task_that_are_alike_stand_at_the_top(tmp_path):
    texts = {"sub-01/a_": "x", "sub-02/a_": "x", "sub-01/b_": "y", "sub-02/b_": "z"}
    for name, text in texts.items():
        folder, task = name.split("/")
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{folder}_task-{task}desc-s_events.json").write_text(text)
    publish._inherit(tmp_path, "desc-s_events.json")
    assert publish.files(tmp_path) == [
        "sub-01/sub-01_task-b_desc-s_events.json",
        "sub-02/sub-02_task-b_desc-s_events.json",
        "task-a_desc-s_events.json",
    ]


def test_what_was_published_before_is_replaced(made, tree, tmp_path):
    again = tmp_path / "a"
    _gather(*made, again)
    first = {name: (again / name).read_bytes() for name in publish.files(again)}
    (again / "sub-09").mkdir()
    _gather(*made, again)
    assert {name: (again / name).read_bytes() for name in publish.files(again)} == first
