"""Each rule alone, in a folder of its own: it runs on its inputs and gives the same result again."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from hedgerow import account, record, table
from workflow import nothing_to_do, planned, run

TINY = ROOT / "tests/e2e/tiny.yaml"
D, S = "results/derivatives/tiny/standard", "results/studies/tiny"
REC = f"{D}/sub-02/eeg/sub-02_task-sounds"

#: Rule, what it is asked for, and which of its outputs must be the same bytes.
RULES = {
    "simulate": ("results/raw/tiny_receipt.json", ["results/raw/tiny/sub-02/eeg/sub-02_task-sounds_eeg.eeg"]),
    "index": ("results/index/tiny/recordings.tsv", ["results/index/tiny/recordings.tsv"]),
    "freeze": (f"{D}/code/recipe.json", [f"{D}/code/recipe.json"]),
    "selection": (f"{D}/code/selection-eyes.json", [f"{D}/code/selection-eyes.json"]),
    "clean": (
        f"{REC}_desc-clean_eeg.vhdr",
        [
            *(f"{REC}_desc-clean_eeg.{end}" for end in ("vhdr", "eeg", "vmrk", "json")),
            *(f"{REC}_desc-clean_{end}" for end in ("channels.tsv", "events.tsv", "evidence.npz", "account.json")),
        ],
    ),
    "windows": (
        f"{REC}_desc-sounds_windows.zarr.zip",
        [f"{REC}_desc-sounds_{end}" for end in ("windows.zarr.zip", "events.tsv", "events.json")],
    ),
    "manifest": (f"{S}/manifest_eyes.tsv", [f"{S}/manifest_eyes.tsv"]),
    "count": (f"{S}/coverage/tiny.tsv", [f"{S}/coverage/tiny.tsv", f"{S}/coverage/tiny_hed.tsv"]),
    "coverage": (f"{S}/coverage.html", [f"{S}/coverage.html", f"{S}/coverage.tsv"]),
    "spectra": (f"{D}/features/eyes_psd_0of2.zarr.zip", [f"{D}/features/eyes_psd_0of2.zarr.zip"]),
    "design": (f"{S}/grid/response/design.json", [f"{S}/grid/response/design.json", f"{S}/grid/response/rows.tsv"]),
    "choice": (f"{S}/grid/overlap/choice.json", [f"{S}/grid/overlap/choice.json"]),
    "moments": (f"{S}/grid/alpha/moments_tiny_0of2.npz", [f"{S}/grid/alpha/moments_tiny_0of2.npz"]),
    "rerp": (f"{S}/grid/overlap/rerp_tiny_0of2.npz", [f"{S}/grid/overlap/rerp_tiny_0of2.npz"]),
    "influence": (
        f"{S}/grid/response/influence_tiny_0of2.tsv",
        [f"{S}/grid/response/influence_tiny_0of2.tsv"],
    ),
    "split": (f"{S}/split.tsv", [f"{S}/split.tsv"]),
    "leakage": (f"{S}/networks/eyes/leakage.json", [f"{S}/networks/eyes/leakage.json"]),
    "train": (
        f"{S}/networks/eyes/seed-1_fold-1.safetensors",
        [f"{S}/networks/eyes/seed-1_fold-1{end}" for end in (".safetensors", "_curve.tsv", "_account.json")],
    ),
    "evaluate": (
        f"{S}/networks/eyes/metrics.json",
        [f"{S}/networks/eyes/{n}" for n in ("metrics.json", "predictions.tsv", "README.md")],
    ),
    "recovery": (f"{S}/recovery_tiny.json", [f"{S}/recovery_tiny.json"]),
    "config": (f"{S}/config.yaml", [f"{S}/config.yaml"]),
    "publish": (
        f"{S}/published/tiny_validation.json",
        [f"{S}/published/tiny_validation.json", f"{S}/published/tiny/README.md"],
    ),
    "report": (f"{S}/report.html", [f"{S}/report.html"]),
    "record": (f"{S}/record.tsv", [f"{S}/record.tsv"]),
}

#: What is drawn for a grid is deleted once its maps are made.
FOR_A_GRID = [
    f"{S}/grid/response/{name}" for name in ("scratch.npy", "replicates_1-of-2.npy", "replicates_1-of-2.json")
]
GRID = [f"{S}/grid/response/{name}" for name in ("maps.zarr.zip", "summary.tsv", "account.json")]
#: Rules that the smallest study has not: of datasets that are fetched (tests/e2e/test_fetch_workflow.py), and of
#: several networks (tests/e2e/test_hbn.py).
ELSEWHERE = {"clone", "fetch", "compare"}


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _copy(source, target):
    """Copy of a results tree that takes no space; files are replaced, never written into, by the rules."""
    shutil.copytree(source, target, copy_function=os.link)


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_runs_alone_and_repeats_itself(tiny, tmp_path, rule):
    target, outputs = RULES[rule]
    _copy(tiny / "results", tmp_path / "results")
    before = {name: _sha256(tiny / name) for name in outputs}
    for name in outputs:
        (tmp_path / name).unlink()
    log = tmp_path / "results/logs" / rule
    shutil.rmtree(log)
    text = run(tmp_path, TINY, target, "--force", "--allowed-rules", rule, "--rerun-triggers", "mtime")
    assert text.count("Finished jobid") == 1, text
    assert {name: _sha256(tmp_path / name) for name in outputs} == before
    assert any("numpy" in file.read_text() for file in log.rglob("*.log"))


def test_a_grid_is_drawn_and_summarised_again_alike(tiny, tmp_path):
    """Its rules at once, since each needs what the one before it leaves for a while."""
    _copy(tiny / "results", tmp_path / "results")
    rules = ("scratch", "bootstrap", "grid")
    for name in GRID:
        (tmp_path / name).unlink()
    for rule in rules:
        shutil.rmtree(tmp_path / "results/logs" / rule)
    assert not any((tiny / name).exists() for name in FOR_A_GRID)
    place = ["--allowed-rules", *rules, "--rerun-triggers", "mtime", "--notemp"]
    run(tmp_path, TINY, *GRID, *place)
    assert {name: _sha256(tmp_path / name) for name in GRID} == {name: _sha256(tiny / name) for name in GRID}
    before = {name: _sha256(tmp_path / name) for name in FOR_A_GRID}
    for rule, name in (("scratch", FOR_A_GRID[0]), ("bootstrap", FOR_A_GRID[1])):
        assert f"({rule}" in run(tmp_path, TINY, name, "--force", *place).replace("Rule: ", "(")
    assert {name: _sha256(tmp_path / name) for name in FOR_A_GRID} == before
    assert all(
        "numpy" in file.read_text() for rule in rules for file in (tmp_path / "results/logs" / rule).rglob("*.log")
    )


def test_why_prints_and_runs_nothing_else(tiny, tmp_path):
    """With all results, with a failed job, and before anything has run."""
    _copy(tiny / "results", tmp_path / "results")
    rec = "results/derivatives/tiny/standard/sub-05/eeg/sub-05_task-sounds"
    text = run(tmp_path, TINY, "why")
    assert "recordings: 6 ok, 0 quarantined" in text and "Nothing left and nothing failed." in text
    (tmp_path / f"{rec}_desc-eyes_windows.zarr.zip").unlink()
    log = tmp_path / "results/logs/windows/tiny/standard/sub-05/eeg/sub-05_task-sounds_desc-eyes.log"
    log.unlink()  # it is linked, not copied
    log.write_text('Traceback (most recent call last):\n  File "x", line 1\n    f()\nOSError: disk full\n')
    text = run(tmp_path, TINY, "why", "--config", "recording=sub-05")
    assert "tiny: sub-05/eeg/sub-05_task-sounds" in text and "OSError: disk full" in text and "sub-04" not in text
    assert planned(text) == {"why": 1}
    (tmp_path / "new").mkdir()
    text = run(tmp_path / "new", TINY, "why")
    assert "not indexed yet: tiny" in text and planned(text) == {"why": 1}
    text = run(tmp_path, TINY, "why", "--config", "recordingx=sub-05", fails=True)
    assert "unknown key 'recordingx'" in text and "'recording'" in text


def test_which_recording_why_tells_of_re_runs_nothing(tiny):
    assert nothing_to_do(run(tiny, TINY, "--dry-run", "--config", "recording=sub-05"))


def test_verify_tells_of_a_byte_and_of_another_run_and_runs_nothing_else(tiny, tmp_path):
    """Of the study as it is, against the run that it was copied from, and with another byte in one file."""
    _copy(tiny / "results", tmp_path / "results")
    text = run(tmp_path, TINY, "verify", "--config", f"against={tiny}")
    assert "study tiny is as it was recorded" in text and "the two runs are alike" in text
    assert planned(text) == {"verify": 1} and "recordings:" not in text
    names = set(record.read(tmp_path / S / "record.tsv")[1])
    every = {path.relative_to(tiny).as_posix() for path in (tiny / "results").rglob("*") if path.is_file()}
    every = {path for path in every if not re.match("results/(raw|logs|benchmarks|index)/", path)}
    # whatever a rule makes is known by its name, and recorded
    assert {path for path in every - names if not record.ASIDE.fullmatch(path)} == set()
    path = tmp_path / f"{REC}_desc-clean_eeg.eeg"
    content = bytearray(path.read_bytes())
    path.unlink()  # it is linked, not copied
    content[1000] ^= 1
    path.write_bytes(content)
    text = run(tmp_path, TINY, "verify", fails=True)
    assert re.findall("^(?:changed|missing|added)  (.*) [(]", text, re.M) == [f"{REC}_desc-clean_eeg.eeg"]
    assert f"to do: snakemake --forcerun {REC}_desc-clean_eeg.eeg" in text
    assert "study tiny is NOT as it was recorded: 1 changed" in text and "recordings:" not in text
    assert nothing_to_do(run(tiny, TINY, "--dry-run", "--config", "against=elsewhere"))


def test_coverage_counts_the_windows_that_are_cut(tiny):
    """And those that the cleaning, which coverage does not wait for, leaves out."""
    counted = table.read(tiny / f"{S}/coverage.tsv")
    assert set(counted["selection"]) == {"sounds", "eyes"} and (counted["status"] == "ok").all()
    for (rec, name), rows in counted.groupby(["rec", "selection"]):
        done = account.of(tiny / f"{D}/{rec}_desc-{name}_windows.zarr.zip")
        cut = {label: number + len(done["rejected"][label]) for label, number in done["windows"].items()}
        assert dict(zip(rows["label"], rows["windows"])) == cut


def test_every_rule_is_tested():
    names = {
        line.split()[1].rstrip(":")
        for file in (ROOT / "workflow/rules").glob("*.smk")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith(("rule ", "checkpoint "))
    }
    told = {"why", "verify", "preview"}
    assert names == set(RULES) | ELSEWHERE | told | {"scratch", "bootstrap", "grid"} | {"upload", "all_uploads"}


def test_accounts_say_what_was_done(tiny):
    found = json.loads((tiny / f"{REC}_desc-clean_account.json").read_text())
    assert found["status"] == "ok" and found["versions"]["numpy"]
    assert len(found["flat"]) == 1 and found["asr"]["cutoff"] == 20
    assert found["seed"] == 5489 and found["device"] == "cpu" and 0 < found["samples_changed"] < 1
    assert 0 < found["bands"]["gamma"]["removed"] < 1
    masks = table.read(tiny / f"{REC}_desc-clean_events.tsv")
    assert (masks["trial_type"] == "BAD_segment").sum() == len(found["bad_segments"])
    assert (masks["trial_type"] == "asr_repaired").sum() == len(found["asr"]["changed_seconds"])
    markers = (tiny / f"{REC}_desc-clean_eeg.vmrk").read_text().splitlines()
    assert sum(line.startswith("Mk") for line in markers) == len(masks)
    # that the report shows them, and that the account stands for them
    written = [f"{REC}_desc-clean_{end}" for end in ("eeg.eeg", "eeg.vmrk", "eeg.json", "channels.tsv", "events.tsv")]
    written = [f"{REC}_desc-clean_eeg.vhdr", *written]
    assert found["written"] == account.digest(*(tiny / name for name in written))


def test_the_files_of_a_recording_stay_within_their_budget(tiny):
    """Two selections; folders count, too, and what is published is linked, not copied."""
    every = [path for path in Path(tiny, "results").rglob("*") if "sub-02" in str(path) and "/raw/" not in str(path)]
    assert len({path.stat().st_ino for path in every}) <= 30
    published = [path for path in every if "/published/" in str(path) and path.is_file()]
    assert len(published) <= 12
    others = {path.stat().st_ino for path in every if "/published/" not in str(path)}
    assert {path.stat().st_ino for path in published} <= others


def test_an_upload_is_told_sent_and_not_sent_again(tiny, tmp_path):
    _copy(tiny / "results", tmp_path / "results")
    study, place = yaml.safe_load(TINY.read_text(encoding="utf-8")), tmp_path / "shared"
    study["uploads"] = {"disk": {"kind": "folder", "path": f"{place}/{{dataset}}"}}
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(study, sort_keys=False))
    tree = tiny / S / "published/tiny"
    assert nothing_to_do(run(tmp_path, config, "--dry-run"))  # where it goes is no part of what is made
    text = run(tmp_path, config, "preview")
    names = [path.relative_to(tree) for path in tree.rglob("*") if path.is_file()]
    assert f"new: {len(names)} files" in text and "README.md" in text and planned(text) == {"preview": 1}
    assert not place.exists()
    assert run(tmp_path, config, "all_uploads").count("Finished jobid") == 2  # and all_uploads itself
    assert {name: _sha256(tree / name) for name in names} == {name: _sha256(place / "tiny" / name) for name in names}
    assert len([path for path in place.rglob("*") if path.is_file()]) == len(names)
    done = account.read(tmp_path / S / "uploads/disk/tiny.json")
    assert done["put"] == done["files"] == len(names) and done["licence"] == "allowed"
    assert nothing_to_do(run(tmp_path, config, "all_uploads", "--dry-run"))
    assert "in all: nothing to do" in run(tmp_path, config, "preview")
