"""A derivative made by hand: what the official validator and readers of other projects make of it."""

import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROOT
from hedgerow import (
    _card,
    _description,
    _tables,
    account,
    bids,
    config,
    hed,
    io,
    log,
    publish,
    simulate,
    store,
    table,
    validation,
)
from hedgerow.clean import recording
from hedgerow.windows import recording as cut
from readback import read_back

mne_bids = pytest.importorskip("mne_bids")

REC = "sub-{:02}/eeg/sub-{:02}_task-sounds"
MASKED = {"bad_segments": [[3.0, 4.5], [12.0, 13.0]], "asr": {"cutoff": 20, "changed_seconds": [[8.0, 9.0]]}}
MASKED |= {"asr": {**MASKED["asr"], "changed": 0.05}, "flat": ["C3"], "interpolated": ["C3"], "bad_share": 0.125}
SOUND = {"bad_segments": [], "asr": None, "flat": [], "interpolated": [], "bad_share": 0.0}
SELECTION = {"classes": {"tone": "Tone", "click": "Click"}, "tmin": -0.1, "tmax": 0.4, "sfreq": 125}
STUDY = {
    "study": "x",
    "datasets": {"a": {"source": "path", "path": "/lab/of/ours/raw"}, "b": {"source": "simulate"}},
    "selections": {"sounds": SELECTION, "never": {**SELECTION, "classes": {"no": "Tone || Car"}}},
}
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
METHOD = {"method": "blocks", "folds": 2, "seed": 7, "stratify": ["sex"]}
SPLIT = pd.DataFrame({"dataset": ["a", "a", "a", "b"], "subject": ["01", "02", "03", "01"], "fold": [2, 1, 1, 2]})
SPLIT["person"] = SPLIT["dataset"] + "/" + SPLIT["subject"]
USED = {"rules": {"clean": {"jobs": 3, "CPU-hours": 0.5, "wall-hours": 0.25, "GPU-hours": 0.0}}}
USED |= {"began": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T01:00:00+00:00"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Raw dataset of three people and results of the cleaning: with masks, with none, and quarantined.

    Of the second the events table itself has a column of HED; the selection `never` gives no window.
    """
    folder = tmp_path_factory.mktemp("publish")
    simulate.write(folder / "raw", subjects=3, channels=8, seconds=20)
    events = folder / f"raw/{REC.format(2, 2)}_events.tsv"
    rows = table.read(events, text=True)
    rows["HED"] = np.where(rows["trial_type"] == "sound", "Label/Own-annotation", None)
    table.write(events, rows)
    stems = []
    for subject, found in ((1, MASKED), (2, SOUND), (3, None)):
        rec = REC.format(subject, subject)
        stem = Path(folder, "results", rec)
        stem.parent.mkdir(parents=True)
        stems.append(stem)
        if found is None:
            gone = account.Fault("not-finite", f"{folder}/raw/{rec}_eeg.vhdr: 3 samples are NaN: repair the file")
            account.write(f"{stem}_desc-clean_account.json", account.quarantined("clean", gone))
            continue
        _clean(folder / "raw", rec, stem, dict(found))
    study = config.complete(STUDY, SCHEMA)
    (folder / "config.yaml").write_text(yaml.safe_dump(study))
    return folder, stems


def _clean(raw, rec, stem, found):
    x, sfreq, channels, _ = io.read_raw(raw / f"{rec}_eeg.vhdr", raw / f"{rec}_channels.tsv")
    found |= {"sfreq": sfreq, "reference": "average", "channels": 8, "seconds": x.shape[1] / sfreq, "rank": 7}
    found |= {"versions": {"mne": "1.0"}, "variance_removed": 0.2, "judged_by": "positions"}
    found |= dict.fromkeys(("resampled", "highpass", "line_noise", "ica"))
    io.write_signal(f"{stem}_desc-clean_eeg", x, sfreq, channels, recording.masks(found))
    table.write(f"{stem}_desc-clean_channels.tsv", channels)
    table.write(f"{stem}_desc-clean_events.tsv", recording.masks(found))
    Path(f"{stem}_desc-clean_evidence.npz").write_bytes(b"x")
    sidecar = json.loads((raw / f"{rec}_eeg.json").read_text())
    sidecar = recording.sidecar(sidecar, f"{rec}_eeg.vhdr", x, channels, found, version="1")
    account.write(f"{stem}_desc-clean_eeg.json", sidecar)
    account.write(f"{stem}_desc-clean_account.json", account.ok("clean", **found))
    row = {"events": f"{rec}_events.tsv", "events_json": "task-sounds_events.json"}
    block = {
        key: each["default"] for key, each in SCHEMA["$defs"]["selection"]["properties"].items() if key != "classes"
    }
    place = {"dataset": "a", "subject": rec[4:6], "rec": rec}
    gone = account.quarantined("windows", account.Fault("no-match", "no event matches"))
    store.write_empty(f"{stem}_desc-never_windows.zarr.zip", gone)
    given = (*bids.events(raw, row), "8.3.0", io.positions, found, {})
    signal, index, events, about, info, done = cut(x, sfreq, channels, *given, **block | SELECTION)
    table.write(f"{stem}_desc-sounds_events.tsv", events)
    account.write(f"{stem}_desc-sounds_events.json", about)
    attrs = {**place, "selection": "sounds", "account": account.ok("windows", **done)}
    store.write(f"{stem}_desc-sounds_windows.zarr.zip", signal, index, **info, attrs=attrs)


def _gather(folder, stems, tree, **changes):
    people = table.read(folder / "raw/participants.tsv", text=True)
    given = {"recordings": [], "participants": people, "split": SPLIT, "method": METHOD, "features": []}
    given |= {"raw": folder / "raw", "config": folder / "config.yaml"}
    return publish.gather(tree, dataset="a", stems=iter(stems), **given | changes)


def _signals(done):
    return {rec: f"{rec}_eeg.vhdr" for rec in done["published"]}


@pytest.fixture(scope="module")
def whole(made, tmp_path_factory):
    tree = tmp_path_factory.mktemp("published") / "a"
    done = _gather(*made, tree)
    assert len(done["published"]) == 2 and len(done["left_out"]) == 1
    return tree, done | publish.seal(tree, study="x", usage=USED, versions=done["versions"])


@pytest.fixture(scope="module")
def tree(whole):
    return whole[0]


@pytest.fixture
def copy(tree, tmp_path):
    return Path(shutil.copytree(tree, tmp_path / "a"))


def test_the_validator_finds_no_error_with_masks_and_without(whole):
    tree, done = whole
    found = validation.validate(tree, _signals(done))
    assert found["errors"] == 0, found["issues"]
    assert set(found["codes"]) <= {"warning: SIDECAR_KEY_RECOMMENDED", "warning: TOO_FEW_AUTHORS"}
    assert found["seen"] == len(publish.seen(tree))


def test_a_planted_tag_and_a_wrong_source_are_caught(whole, copy):
    path = copy / "task-sounds_desc-sounds_events.json"
    path.write_text(path.read_text().replace('"Tone"', '"No-such-tag"'))
    path = copy / f"{REC.format(1, 1)}_desc-clean_eeg.json"
    path.write_text(path.read_text().replace("bids:raw:sub-01/", "bids:raw:sub-09/"))
    found = validation.validate(copy, _signals(whole[1]))
    errors = {code: count for code, count in found["codes"].items() if code.startswith("error")}
    assert set(errors) == {"error: HED_ERROR", "error: SOURCES_UNKNOWN", "error: SOURCES_OTHER"}
    assert found["errors"] == sum(errors.values()) and {f"error: {each['code']}" for each in found["issues"]} == {
        *errors
    }


def test_the_validator_reads_the_hed_of_the_masks(made, tmp_path, monkeypatch):
    monkeypatch.setitem(_tables.MASKS_HED, "trial_type", {"BAD_segment": "({duration}, (No-such-tag))"})
    _gather(*made, tmp_path / "a")
    assert validation.official(tmp_path / "a")["errors"] > 0


def test_bidsignore_holds_exactly_what_bids_has_no_name_for(copy, monkeypatch):
    (copy / "features").mkdir()
    (copy / "features/x.zarr.zip").write_bytes(b"x")
    assert tuple((copy / ".bidsignore").read_text().split()) == publish.IGNORED
    monkeypatch.setattr(validation, "SHOWN", 1000)
    (copy / ".bidsignore").unlink()
    refused = {issue["location"].lstrip("/") for issue in validation.official(copy)["issues"]}
    names = [name for name in publish.files(copy) if not name.startswith("code/")]
    assert refused == {name for name in names if publish.ignored(name)} | {"features/"}
    for line in publish.IGNORED:
        assert any(fnmatch(part, line) for name in refused for part in name.split("/")), line


def test_what_the_validator_sees_is_all_but_what_is_ignored(copy):
    (copy / "features").mkdir()
    (copy / "features/x.zarr.zip").write_bytes(b"x")
    found = validation.official(copy)
    assert found["errors"] == 0 and found["seen"] == len(publish.seen(copy))


def test_masks_have_one_sidecar_and_evidence_stays_at_home(tree):
    names = publish.files(tree)
    assert [name for name in names if name.endswith("clean_events.json")] == ["desc-clean_events.json"]
    assert not any("evidence" in name or "never" in name for name in names)
    # 7 of the signal, and of each selection at most 3 (its sidecar, where it is not that of all)
    assert len([name for name in names if name.startswith("sub-01/")]) == 7 + 2


def test_clean_signals_read_back_through_mne_bids_as_they_were_written(tree):
    assert read_back(tree) == 2


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


def test_hed_survives_in_columns_and_sidecars(made, tree):
    raw = made[0] / "raw"
    for subject, own in ((1, False), (2, True)):
        before = table.read(f"{raw}/{REC.format(subject, subject)}_events.tsv", text=True)
        after = table.read(tree / f"{REC.format(subject, subject)}_desc-sounds_events.tsv", text=True)
        assert ("HED" in before) == own and set(after.columns) - set(before.columns) == {"window_class"}
        pd.testing.assert_frame_equal(table.typed(after)[before.columns], table.typed(before))
        assert (after["window_class"].notna() == after["kind"].isin(["tone", "click"])).sum() >= len(after) - 3
    given = json.loads((raw / "task-sounds_events.json").read_text())
    kept = json.loads((tree / "task-sounds_desc-sounds_events.json").read_text())
    assert all(kept[name] == entry for name, entry in given.items()) and "HED" in json.dumps(given)
    # what is in both is what a reader of HED sees
    rows = table.read(tree / f"{REC.format(2, 2)}_desc-sounds_events.tsv", text=True)
    strings = hed.Events(rows, kept, hed_version="8.3.0").strings
    assert sum("Label/Own-annotation" in text and "Sensory-event" in text for text in strings) == rows["HED"].count()


@pytest.mark.parametrize(
    ("version", "has"),
    [("8.3.0", True), ("8.4.0", True), (["8.3.0", "sc:score_1.1.0"], True), ("8.2.0", False), (None, False)],
)
def test_masks_have_hed_only_where_the_schema_knows_the_tags(version, has):
    found = _tables.masks(version)
    assert ("HED" in found["trial_type"]) == has and ("HED" in found["duration"]) == has
    assert set(found["trial_type"]["Levels"]) == {"BAD_segment", "asr_repaired"}


def test_sidecars_of_a_task_that_are_alike_stand_at_the_top(tmp_path):
    texts = {"sub-01/a_": "x", "sub-02/a_": "x", "sub-01/b_": "y", "sub-02/b_": "z"}
    for name, text in texts.items():
        folder, task = name.split("/")
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{folder}_task-{task}desc-s_events.json").write_text(text)
    _tables.inherit(tmp_path, "desc-s_events.json")
    assert publish.files(tmp_path) == [
        "sub-01/sub-01_task-b_desc-s_events.json",
        "sub-02/sub-02_task-b_desc-s_events.json",
        "task-a_desc-s_events.json",
    ]


def test_the_config_tells_no_place_on_this_machine(tree):
    text = (tree / "code/config.yaml").read_text()
    kept, study = yaml.safe_load(text), config.complete(STUDY, SCHEMA)
    assert kept["datasets"]["a"].pop("path") == "raw" and "/lab" not in text
    study["datasets"]["a"].pop("path")
    assert kept == study


def test_what_was_published_before_is_replaced(made, tree, tmp_path):
    again = tmp_path / "a"
    _gather(*made, again)
    (again / "sub-09").mkdir()
    done = _gather(*made, again)
    publish.seal(again, study="x", usage=USED, versions=done["versions"])
    assert publish.files(again) == publish.files(tree)
    # an edit of the workflow, while the tests run, is in its archive
    code = ("code/hedgerow.zip", "ro-crate-metadata.json", publish.SUMS)
    same = [name for name in publish.files(tree) if name not in code]
    assert all((again / name).read_bytes() == (tree / name).read_bytes() for name in same)


def test_the_sums_are_those_that_sha256sum_finds(whole, tmp_path):
    tree, done = whole
    command = ["sha256sum", "--check", "--strict", "--quiet", publish.SUMS]
    assert subprocess.run(command, cwd=tree, check=False).returncode == 0
    listed = [line.split("  ", 1)[1] for line in (tree / publish.SUMS).read_text().splitlines()]
    assert sorted([*listed, publish.SUMS]) == publish.files(tree)
    told = subprocess.run(["sha256sum", tree / publish.SUMS], capture_output=True, text=True, check=True).stdout
    assert told.split()[0] == done["sums"]
    sizes = [path.stat().st_size for path in tree.rglob("*") if path.is_file()]
    assert (len(sizes), sum(sizes)) == (done["files"], done["bytes"])
    changed = Path(shutil.copytree(tree, tmp_path / "a")) / "features.tsv"
    changed.write_text("x")
    changed = changed.with_name("participants.tsv")
    content = bytearray(changed.read_bytes())
    content[-3] ^= 1
    changed.write_bytes(content)
    found = subprocess.run(command, cwd=tmp_path / "a", capture_output=True, text=True, check=False)
    assert found.returncode == 1 and found.stdout.split() == ["participants.tsv:", "FAILED"]


def test_participants_tell_how_the_split_was_drawn(tree):
    people = table.read(tree / "participants.tsv", text=True)
    about = json.loads((tree / "participants.json").read_text())
    assert people["split"].tolist() == ["fold-2", "fold-1"]
    split = about["split"]
    assert set(split["Levels"]) == {"fold-1", "fold-2"} and "Levels" in about["sex"]
    assert (split["Method"], split["Folds"], split["Seed"], split["Stratifiers"]) == ("blocks", 2, 7, ["sex"])
    digest = subprocess.run(["sha256sum"], input=b"a/01\na/02\na/03\nb/01\n", capture_output=True, check=True).stdout
    assert split["PeopleSHA256"] == digest.decode().split()[0]


def test_without_networks_there_is_no_split(made, tmp_path):
    _gather(*made, tmp_path / "a", split=None)
    assert "split" not in table.read(tmp_path / "a/participants.tsv")
    text = (tmp_path / "a/README.md").read_text(encoding="utf-8")
    assert "fold-" not in text and "`split`" not in text and "## Split" not in text


def test_the_card_is_one_that_the_hub_reads(tree):
    text = (tree / "README.md").read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    front = yaml.safe_load(front)
    assert front["license"] == "cc0-1.0" and front["size_categories"] == ["n<1K"] and "license_name" not in front
    assert {"eeg", "bids", "hed", "hedgerow"} <= set(front["tags"]) and front["task_categories"] == ["other"]
    assert not re.search(r"\{\{|\}\}|\{%|None|\bnan\b|Undefined", body.replace("None.", "")) and "\n\n\n" not in body
    # every table has as many cells in each of its rows
    for block in re.findall(r"(?:^\|.*\n)+", body, flags=re.M):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1, block


def test_the_readme_says_what_the_accounts_say(made, tree):
    text = (tree / "README.md").read_text(encoding="utf-8")
    rows = [table.read(tree / f"{REC.format(n, n)}_desc-sounds_events.tsv")["window_class"] for n in (1, 2)]
    for label in ("tone", "click"):
        counts = [int((each == label).sum()) for each in rows]
        assert f"| {label} | `{label.capitalize()}` | {sum(counts)} | {sum(map(bool, counts))} |" in text
    task = json.loads((made[0] / f"raw/{REC.format(1, 1)}_eeg.json").read_text())["TaskDescription"]
    assert f"- Task `sounds`: {task}\n" in text
    assert "2 recordings of 2 people" in text and "0.7 minutes of EEG" in text
    assert "| samples repaired | 5.0 % | in all |" in text  # of the one where it was looked for
    assert "| time beyond repair, marked and kept | 6.2 % | 0 % to 12 % |" in text
    assert "| no | `Tone \\|\\| Car` | 0 | 0 |" in text and "No window in 2 recordings (no-match:" in text
    assert "fold-1 has 1 person, fold-2 has 1 person" in text and "with seed 7, evened out by sex" in text
    gone = REC.format(3, 3)
    assert f"- `{gone[7 + 4 :]}` (not-finite): {gone}_eeg.vhdr: 3 samples are NaN: repair the file" in text
    assert str(made[0]) not in text and "More than half" not in text


def test_the_readme_names_recordings_that_are_mostly_repair(made, tmp_path):
    folder, stems = made
    again = [Path(shutil.copytree(stem.parents[1], tmp_path / stem.parts[-3])) / "eeg" / stem.name for stem in stems]
    path = f"{again[1]}_desc-clean_account.json"
    asr = {"action": "repair", "cutoff": 20, "changed": 0.45}
    account.write(path, account.read(path) | {"asr": asr, "bad_share": 0.06})
    _gather(folder, again, tmp_path / "a")
    text = (tmp_path / "a/README.md").read_text(encoding="utf-8")
    assert f"- More than half of {stems[1].name} was repaired or is beyond repair: look at it" in text


def test_what_the_readme_shows_can_be_run(tree, monkeypatch, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("xarray")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("HEDGEROW_CACHE", str(tmp_path))
    blocks = re.findall(r"^```python\n(.*?)^```", Path("README.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    assert len(blocks) == 3
    windows, plain, signal = [{}, {}, {}]
    for block, names in zip(blocks, (windows, plain, signal)):
        exec(block, names)
    x, index, _ = store.read(plain["path"])
    assert np.allclose(plain["x"], x, atol=1e-4) and plain["label"] == index["label"].tolist()
    assert np.allclose(windows["x"], x[0], atol=1e-4)
    assert windows["windows"].classes[int(windows["y"])] == index["label"][0]
    assert signal["raw"].n_times == 20 * 250


@pytest.mark.parametrize(
    ("text", "banner", "hub"),
    [
        ("CC BY-SA 4.0", None, "cc-by-sa-4.0"),
        ("CC BY-NC-ND 4.0", "> **Not to be passed on.** CC BY-NC-ND 4.0 lets nobody share", "cc-by-nc-nd-4.0"),
        ("Data Use Agreement", "> **Not to be passed on.** The source says “Data Use Agreement”", "other"),
        (None, "> **Ask before you pass this on.** The source states no licence", "unknown"),
    ],
)
def test_a_licence_is_kept_and_said(made, tmp_path, text, banner, hub):
    raw = Path(shutil.copytree(made[0] / "raw", tmp_path / "raw"))
    about = json.loads((raw / "dataset_description.json").read_text())
    del about["License"]
    account.write(raw / "dataset_description.json", about | ({"License": text} if text else {}))
    (raw / "LICENSE").write_text("the whole text\n")
    done = _gather(*made, tmp_path / "a", raw=raw)
    readme = (tmp_path / "a/README.md").read_text(encoding="utf-8")
    assert ("passed on.**" in readme or "pass this on.**" in readme) == (banner is not None)
    assert (banner or "so must whatever is made from it") in readme
    assert yaml.safe_load(readme.split("---\n")[1])["license"] == hub
    assert done["licence"]["text"] == text
    assert json.loads((tmp_path / "a/dataset_description.json").read_text()).get("License") == text
    assert (tmp_path / "a/LICENSE").read_text() == "the whole text\n"
    assert text or validation.official(tmp_path / "a")["errors"] == 0


ORIGIN = {"Name": "Sounds", "BIDSVersion": "1.6.0", "License": "CC0", "Authors": ["A", "B", "C"], "HEDVersion": "8.2.0"}
OPENNEURO = {"source": "openneuro", "accession": "ds003645", "version": "2.0.2"}
FOLDER = {"source": "path", "accession": None, "version": None}


@pytest.mark.parametrize(
    ("more", "block", "clone", "known", "raw"),
    [
        (
            {"DatasetDOI": "10.18112/openneuro.ds003645.v2.0.0"},
            OPENNEURO,
            {"url": "https://github.com/OpenNeuroDatasets/ds003645", "version": "2.0.2", "commit": "abc"},
            {
                "URL": "https://openneuro.org/datasets/ds003645/versions/2.0.2",
                "DOI": "doi:10.18112/openneuro.ds003645.v2.0.2",
                "Version": "2.0.2",
            },
            None,
        ),
        (
            {"DatasetDOI": "doi:10.18112/openneuro.ds003645.v2.0.0"},
            FOLDER,
            None,
            {
                "URL": "https://doi.org/10.18112/openneuro.ds003645.v2.0.0",
                "DOI": "doi:10.18112/openneuro.ds003645.v2.0.0",
                "Version": "2.0.0",
            },
            None,
        ),
        (
            {"DatasetDOI": "https://doi.org/10.82901/nemar.nm000104"},
            {"source": "nemar", "accession": None, "version": "v1"},
            {"url": "https://github.com/nemarDatasets/a", "version": "v1", "commit": "abc"},
            {"URL": "https://github.com/nemarDatasets/a", "DOI": "doi:10.82901/nemar.nm000104", "Version": "v1"},
            None,
        ),
        ({"SourceDatasets": [{"URL": "https://a.b/", "Version": "1"}]}, FOLDER, None, None, "file:a"),
        ({"SourceDatesets": [{"URL": "https://a.b/"}], "DatasetDOI": ""}, FOLDER, None, {"URL": "file:a"}, "file:a"),
    ],
    ids=["openneuro", "doi", "nemar", "from others", "no address"],
)
def test_sources_have_their_address_doi_and_version(more, block, clone, known, raw):
    found = _description.describe(ORIGIN | more, dataset="a", block=block, clone=clone)
    known = known or more["SourceDatasets"][0]
    assert found["SourceDatasets"] == [known]
    assert found["DatasetLinks"] == {"raw": raw or known["URL"]}
    assert "DatasetDOI" not in found and "SourceDatesets" not in found


def test_a_description_carries_over_what_stays_true(copy):
    """What is no list is made one, as the validator wants it; what is no text is dropped."""
    more = {"Funding": "a grant", "EthicsApprovals": [""], "ReferencesAndLinks": ["x", 4], "HowToAcknowledge": "Cite."}
    more |= {"Acknowledgements": ["not", "a", "text"], "Keywords": ["eeg"], "HEDVersion": ["8.3.0"]}
    images = {"signal": f"/work/signal.{'a' * 64}.sif", "stats": "docker://r.org/h/stats:1.2", "publish": None}
    found = _description.describe(ORIGIN | more, dataset="a", block=FOLDER, images=images)
    assert found["Funding"] == ["a grant"] and found["ReferencesAndLinks"] == ["x"] and found["Keywords"] == ["eeg"]
    assert found["HowToAcknowledge"] == "Cite." and not {"EthicsApprovals", "Acknowledgements"} & set(found)
    assert [each["Container"] for each in found["GeneratedBy"]] == [
        {"Type": "apptainer", "URI": f"file:signal.{'a' * 64}.sif", "Tag": f"sha256:{'a' * 64}"},
        {"Type": "apptainer", "URI": "docker://r.org/h/stats:1.2", "Tag": "1.2"},
    ]
    account.write(copy / "dataset_description.json", found)
    assert validation.official(copy)["errors"] == 0


def test_images_come_by_the_environment(monkeypatch):
    monkeypatch.delenv("HEDGEROW_IMAGES", raising=False)
    assert log.images() == {}
    images = {"signal": "/work/it's: here/signal.sif", "publish": None}
    monkeypatch.setenv("HEDGEROW_IMAGES", yaml.safe_dump(images))  # as workflow/rules/common.smk does
    assert log.images() == images


def test_a_derivative_without_any_recording_is_still_one(made, tmp_path):
    folder, stems = made
    done = _gather(folder, stems[2:], tmp_path / "a")
    publish.seal(tmp_path / "a", study="x", usage=USED, versions={})
    assert done["published"] == [] and len(done["left_out"]) == 1
    text = (tmp_path / "a/README.md").read_text(encoding="utf-8")
    assert "0 recordings of 0 people, 0.0 minutes" in text and "## Load it" not in text
    assert table.read(tmp_path / "a/manifest.tsv").empty


def test_the_version_of_bids_is_that_of_the_validator(tree):
    import bids_validator_deno

    program = Path(bids_validator_deno.__file__).with_name("bids-validator.js").read_text(encoding="utf-8")
    found = re.findall(r'bids_version: "([\d.]+)", schema_version: "([\d.]+)', program)
    assert (_description.BIDS_VERSION, validation.official(tree)["schema"]) in found


def test_many_recordings_that_left_are_counted_by_reason(made, tmp_path):
    gone = [{"rec": f"sub-{n}", "status": "quarantined", "reason": "no-events", "message": "m"} for n in range(100)]
    done = _gather(*made, tmp_path / "a", recordings=gone)
    text = (tmp_path / "a/README.md").read_text(encoding="utf-8")
    assert len(done["left_out"]) == 101 and text.count(": m\n") == _card.NAMED
    assert f"- {100 - _card.NAMED} more (no-events): there is no events.tsv" in text
