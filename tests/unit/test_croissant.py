"""The Croissant description: valid, and its records load from the folder as the tables say."""

import json
from pathlib import Path

import mlcroissant as mlc
import numpy as np
import pandas as pd
import pytest

from hedgerow import croissant, store, table

PEOPLE = """participant_id\tage\tsex\tmood\tnote\tsplit
sub-01\t48\tM\t0.5\tn/a\tfold-2
sub-02\tn/a\tF\t1\tn/a\tfold-1
sub-03\t44\tn/a\t2\tn/a\tn/a
"""
ABOUT = {
    "Name": "Tones: clean signals and windows",
    "License": "CC0",
    "Authors": ["Ada B.", "Cleo D."],
    "GeneratedBy": [{"Name": "Other", "Version": "9"}, {"Name": "Hedgerow", "Version": "1.2.3"}],
    "SourceDatasets": [{"DOI": "doi:10.18112/openneuro.ds000001.v1.0.0", "Version": "1.0.0"}],
}


def _tree(tree):
    """A derivative of three people with one or two selections, one of them in a session."""
    (tree / "code").mkdir(parents=True)
    (tree / "dataset_description.json").write_text(json.dumps(ABOUT))
    (tree / "participants.tsv").write_text(PEOPLE)
    (tree / "participants.json").write_text(json.dumps({"age": {"Description": "Age", "Units": "year"}}))
    paths = []
    for folder, stem, selection, windows in (
        ("sub-01/eeg", "sub-01_task-x", "eyes", 2),
        ("sub-02/ses-a/eeg", "sub-02_ses-a_task-x", "eyes", 3),
        ("sub-02/ses-a/eeg", "sub-02_ses-a_task-x", "tones", 1),
    ):
        paths.append(tree / folder / f"{stem}_desc-{selection}_windows.zarr.zip")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        rows = pd.DataFrame({"onset": np.arange(windows, dtype=float), "event": np.arange(windows), "label": "x"})
        attrs = {"dataset": "lab", "subject": stem[4:6], "selection": selection}
        signal = np.ones((windows, 2, 10))
        store.write(paths[-1], signal, rows, names=["Cz", "Pz"], sfreq=100.0, tmin=0.0, attrs=attrs)
    table.write(tree / "manifest.tsv", store.manifest(paths, root=tree))
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = _tree(tmp_path_factory.mktemp("croissant") / "a")
    croissant.write(tree, url="https://example.org/a", ended="2026-01-02T03:04:05+00:00")
    return tree


def _records(tree, name):
    """Records of a set, with fields by their own names and text as text."""
    records = mlc.Dataset(str(tree / "croissant.json")).records(name)
    text = [
        {key: value.decode() if isinstance(value, bytes) else value for key, value in row.items()} for row in records
    ]
    return [{key.removeprefix(f"{name}/"): value for key, value in row.items()} for row in text]


def test_it_is_valid_without_a_warning(tree):
    issues = mlc.Dataset(str(tree / "croissant.json")).metadata.ctx.issues
    assert not issues.errors and not issues.warnings


@pytest.mark.parametrize("lost", ["sha256", "contentUrl", "encodingFormat"])
def test_a_fault_is_found(tree, tmp_path, lost):
    content = json.loads((tree / "croissant.json").read_text())
    del content["distribution"][0][lost]
    (tmp_path / "croissant.json").write_text(json.dumps(content))
    with pytest.raises(mlc.ValidationError):
        mlc.Dataset(str(tmp_path / "croissant.json"))


def test_people_load_as_the_table_says(tree):
    found = _records(tree, "participants")
    assert found == [
        {"participant_id": "sub-01", "age": 48, "sex": "M", "mood": 0.5, "note": None, "split": "fold-2"},
        {"participant_id": "sub-02", "age": None, "sex": "F", "mood": 1.0, "note": None, "split": "fold-1"},
        {"participant_id": "sub-03", "age": 44, "sex": None, "mood": 2.0, "note": None, "split": None},
    ]
    assert isinstance(found[0]["age"], int)


def test_stores_load_as_the_manifest_says(tree):
    found, manifest = _records(tree, "stores"), table.read(tree / "manifest.tsv")
    assert list(found[0]) == list(manifest.columns)
    assert [row["subject"] for row in found] == ["01", "02", "02"]
    assert [row["windows"] for row in found] == [2, 3, 1]
    wanted = manifest.astype(object).where(manifest.notna(), None).to_dict("records")
    assert found == wanted


def test_every_store_is_in_the_set_of_its_selection(tree):
    content = json.loads((tree / "croissant.json").read_text())
    sets = {each["name"]: each["includes"] for each in content["distribution"] if each["@type"] == "cr:FileSet"}
    manifest = table.read(tree / "manifest.tsv")
    for selection in ("eyes", "tones"):
        found = {path.relative_to(tree).as_posix() for path in tree.glob(sets.pop(f"windows-{selection}"))}
        assert found == set(manifest["store"][manifest["selection"] == selection])
    assert not sets


def test_what_it_tells(tree):
    found = mlc.Dataset(str(tree / "croissant.json")).metadata
    assert found.name == ABOUT["Name"] and found.version == "1.2.3" and found.url == "https://example.org/a"
    assert found.license == ["https://spdx.org/licenses/CC0-1.0"]
    assert [each.name for each in found.creators] == ["Ada B.", "Cleo D."]
    assert found.date_published.isoformat().startswith("2026-01-02T03:04:05")
    assert "https://doi.org/10.18112/openneuro.ds000001.v1.0.0 1.0.0" in found.cite_as
    split = next(field for field in found.record_sets[0].fields if field.name == "split")
    assert mlc.DataType.SPLIT in split.data_types


def test_what_is_not_known_is_left_out(tmp_path):
    tree = _tree(tmp_path / "a")
    (tree / "dataset_description.json").write_text(json.dumps({"Name": "x", "Authors": "Ada B."}))
    (tree / "participants.json").unlink()
    found = mlc.Dataset(str(croissant.write(tree))).metadata
    assert found.license == ["not stated"] and [each.name for each in found.creators] == ["Ada B."]
    assert found.url is None and found.date_published is None and found.cite_as.startswith("Ada B. x.")


def test_the_same_tree_gives_the_same_bytes(tree, tmp_path):
    again = _tree(tmp_path / "b")
    croissant.write(again, url="https://example.org/a", ended="2026-01-02T03:04:05+00:00")
    assert Path(again, "croissant.json").read_bytes() == Path(tree, "croissant.json").read_bytes()
    assert not list(again.glob("*.tmp"))
