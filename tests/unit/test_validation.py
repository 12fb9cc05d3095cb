"""What the official validator cannot know of a derivative, on trees of a few files."""

import json

import pytest

from hedgerow import validation

SIGNALS = {"sub-01/eeg/sub-01_task-x": "sub-01/eeg/sub-01_task-x_eeg.edf", "sub-02/eeg/sub-02_task-x": "sub-02/s.set"}
STORE = "sub-01/eeg/sub-01_task-x_desc-tones_windows.zarr.zip"


@pytest.fixture
def tree(tmp_path):
    """Two recordings, one of which has a store; all is well."""
    _write(tmp_path / "dataset_description.json", {"DatasetLinks": {"raw": "https://a.b/"}})
    (tmp_path / "descriptions.tsv").write_text("desc_id\tdescription\ndesc-clean\tx\ndesc-tones\ty\n")
    (tmp_path / "manifest.tsv").write_text(f"store\twindows\n{STORE}\t3\n")
    for rec, signal in SIGNALS.items():
        _write(tmp_path / f"{rec}_desc-clean_eeg.json", {"Sources": [f"bids:raw:{signal}"]})
    (tmp_path / STORE).write_bytes(b"x")
    _write(tmp_path / "task-x_desc-tones_events.json", {"onset": {"Description": "x"}})
    _write(tmp_path / "code/recipe.json", {"Sources": "not one of BIDS"})
    return tmp_path


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def _codes(tree):
    return [(each["code"], each["location"]) for each in validation.check(tree, SIGNALS)]


def test_nothing_is_said_where_all_is_well(tree):
    assert _codes(tree) == []


SIDECAR = "/sub-01/eeg/sub-01_task-x_desc-clean_eeg.json"


@pytest.mark.parametrize(
    ("sources", "codes"),
    [
        (["bids:raw:sub-01/eeg/sub-01_task-x_eeg.bdf"], {"SOURCES_UNKNOWN", "SOURCES_OTHER"}),
        (["bids:row:sub-01/eeg/sub-01_task-x_eeg.edf"], {"SOURCES_UNKNOWN"}),
        (["bids::sub-01/eeg/sub-01_task-x_eeg.edf"], {"SOURCES_UNKNOWN"}),
        (["sub-01/eeg/sub-01_task-x_eeg.edf"], {"SOURCES_UNKNOWN", "SOURCES_OTHER"}),
        (["bids:raw:/sub-01/eeg/sub-01_task-x_eeg.edf"], {"SOURCES_UNKNOWN", "SOURCES_OTHER"}),
        (["bids:raw:sub-02/s.set"], {"SOURCES_OTHER"}),
        ("bids:raw:sub-01/eeg/sub-01_task-x_eeg.edf", set()),
        (["bids:raw:sub-01/eeg/sub-01_task-x_eeg.edf", "bids:raw:sub-02/s.set"], set()),
        (["bids:raw:sub-01/eeg/sub-01_task-x_eeg.edf", 4], {"SOURCES_UNKNOWN"}),
        ([], {"SOURCES_OTHER"}),
        (None, {"SOURCES_OTHER"}),
    ],
)
def test_sources_lead_to_the_signal_of_the_recording(tree, sources, codes):
    _write(tree / SIDECAR[1:], {"Sources": sources})
    found = _codes(tree)
    assert {code for code, _ in found} == codes and {place for _, place in found} <= {SIDECAR}


def test_a_sidecar_that_is_gone_names_no_source(tree):
    (tree / SIDECAR[1:]).unlink()
    assert _codes(tree) == [("SOURCES_OTHER", SIDECAR)]


def test_any_sidecar_may_have_wrong_sources(tree):
    _write(tree / "task-x_desc-tones_events.json", {"Sources": ["bids:raw:nowhere.tsv"]})
    assert _codes(tree) == [("SOURCES_UNKNOWN", "/task-x_desc-tones_events.json")]


def test_the_name_in_sources_must_be_among_the_links(tree):
    _write(tree / "dataset_description.json", {})
    assert [code for code, _ in _codes(tree)] == ["SOURCES_UNKNOWN"] * 2


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sub-01_desc-clean_task-x_eeg.vhdr", "DESC_NOT_LAST"),
        ("sub-01_task-x_desc-clean_run-1_channels.tsv", "DESC_NOT_LAST"),
        ("sub-01_task-x_desc-other_events.tsv", "DESC_UNEXPLAINED"),
        ("desc-masks_events.json", "DESC_UNEXPLAINED"),
        ("sub-01_task-x_desc-tone_account.json", "DESC_UNEXPLAINED"),
        ("sub-01_task-x_desc-clean_eeg.eeg", None),
        ("desc-clean_events.json", None),
    ],
)
def test_desc_is_last_and_explained(tree, name, code):
    _write(tree / name, {})
    assert _codes(tree) == ([(code, f"/{name}")] if code else [])


def test_without_descriptions_no_label_is_explained(tree):
    (tree / "descriptions.tsv").unlink()
    assert {code for code, _ in _codes(tree)} == {"DESC_UNEXPLAINED"}


def test_the_manifest_lists_what_is_there(tree):
    (tree / STORE).rename(tree / STORE.replace("task-x", "task-y"))
    messages = [each["issueMessage"] for each in validation.check(tree, SIGNALS)]
    assert messages == [
        f"manifest.tsv lists {STORE}, which is not there",
        f"{STORE.replace('task-x', 'task-y')} is not in manifest.tsv",
    ]


def test_every_finding_says_where_and_what(tree):
    _write(tree / SIDECAR[1:], {"Sources": ["bids:raw:x.edf"]})
    (tree / "manifest.tsv").unlink()
    for each in validation.check(tree, SIGNALS):
        assert each["severity"] == "error" and each["location"].startswith("/") and "{" not in each["issueMessage"]
    assert validation.check(tree, SIGNALS)[0]["issueMessage"].startswith("Sources names 'bids:raw:x.edf', which is no")


def test_findings_count_among_those_of_the_validator(tree, monkeypatch):
    issue = {"code": "X", "severity": "error"}
    said = {"errors": 12, "warnings": 1, "codes": {"error: X": 12, "warning: Y": 1}, "issues": [issue] * 10}
    monkeypatch.setattr(validation, "official", lambda tree: dict(said))
    (tree / STORE).unlink()
    found = validation.validate(tree, SIGNALS)
    assert found["errors"] == 13 and found["codes"] == {"error: X": 12, "warning: Y": 1, "error: STORE_MISSING": 1}
    assert len(found["issues"]) == 10 and found["issues"][0]["code"] == "STORE_MISSING"
