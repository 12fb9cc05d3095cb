"""A study of a dataset that is fetched: what is published is a git-annex repository, its content on a web server."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from annexed import PAIR, environment
from conftest import ROOT
from workflow import digests, nothing_to_do, run

TINY = ROOT / "tests/e2e/tiny.yaml"
TABLE = ROOT / "containers/images.json"
CLEAN = "results/derivatives/faces/standard/sub-0{}/eeg/sub-0{}_task-sounds_desc-clean_"


@pytest.fixture
def study(source, tmp_path):
    """Write a study of the dataset: ``study(key=value, ...)`` changes its block; the path of the config."""

    def write(**changes):
        block = {
            "source": "openneuro",
            "version": "1.0.0",
            "url": str(source.url),
            "only": {"subject": ["01", "02"]},
        }
        block |= changes
        content = yaml.safe_load(TINY.read_text(encoding="utf-8")) | {"datasets": {"faces": block}}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return write


def annex(folder, *command):
    """Run git-annex in the clone, as a person would."""
    command = ["git", "annex", *command]
    subprocess.run(command, cwd=folder / "results/raw/faces", check=True, env=environment(), capture_output=True)


def raw(folder):
    """Bytes of signals that are in the clone."""
    objects = (folder / "results/raw/faces/.git/annex/objects").rglob("*.eeg")
    return sum(path.stat().st_size for path in objects if path.is_file())


def results(folder):
    """Digests of the clean recordings."""
    return {name: value for name, value in digests(folder).items() if "_desc-clean_" in name}


def test_a_study_fetches_what_it_needs_once(study, source, tmp_path):
    config = study()
    text = run(tmp_path, config, "all_clean")
    assert "2 ok, 0 quarantined" in text
    receipt = json.loads((tmp_path / "results/raw/faces_clone.json").read_text())
    assert receipt["commit"] == source.commit("1.0.0")
    fetched = json.loads((tmp_path / "results/fetch/faces/sub-01/eeg/sub-01_task-sounds.json").read_text())
    assert [entry["checksum"] for entry in fetched["files"]] == ["SHA256"] * 3
    # the third recording is not asked for
    assert raw(tmp_path) == receipt["annexed"][".eeg"]["bytes"] * 2 / 3

    # each rule alone gives the same again
    for rule, name in (("clone", "raw/faces_clone"), ("fetch", "fetch/faces/sub-01/eeg/sub-01_task-sounds")):
        path = tmp_path / f"results/{name}.json"
        before = path.read_bytes()
        run(tmp_path, config, f"results/{name}.json", "--force", "--allowed-rules", rule, "--rerun-triggers", "mtime")
        assert path.read_bytes() == before

    # identity is the key: whether content is here, and since when, is of no account
    annex(tmp_path, "drop", "--force", "sub-01", "sub-02")
    annex(tmp_path, "get", "sub-01")
    assert nothing_to_do(run(tmp_path, config, "all_clean", "--dry-run"))
    # nor where the dataset is published, nor whether signals are kept from now on
    mirror = shutil.copytree(source.url, tmp_path / "mirror")
    text = run(tmp_path, study(url=str(mirror), keep_raw=False), "all_clean")
    assert "faces: clone version 1.0.0" in text and "faces: fetch" not in text and "faces: clean" not in text

    # a version with one recording more (whose signal is none) and a study with all: those that were there stay
    before = results(tmp_path)
    text = run(tmp_path, study(version="1.1.0", only={}), "all_clean")
    assert "3 ok, 1 quarantined" in text
    assert text.count("faces: fetch") == 2 and text.count("faces: clean") == 2
    after = results(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {name for name in after if "sub-01" not in name and "sub-02" not in name}
    assert len(after) == 2 * len(changed) == 32
    assert all((tmp_path / "results/raw/faces" / name).is_file() for name in PAIR)


def test_signals_that_are_not_kept_are_fetched_when_they_are_cleaned_and_freed(study, tmp_path):
    """Two cores and two recordings, but room for the raw signal of one at a time."""
    text = run(tmp_path, study(keep_raw=False), "all_clean", "--resources", "raw_mb=1", "gpu=0")
    assert "2 ok, 0 quarantined" in text and text.count("faces: clean") == 2 and "faces: fetch" not in text
    assert not list((tmp_path / "results/fetch").glob("faces/**/*.json")) and raw(tmp_path) == 0
    log = (tmp_path / "results/logs/clean/faces/standard/sub-01/eeg/sub-01_task-sounds.log").read_text()
    assert "'raw_mb': 1" in log
    begun = re.findall(r"^(?:.*faces: (clean) |Finished jobid: \d+ \(Rule: (clean)\))", text, flags=re.M)
    assert ["".join(pair) for pair in begun] == ["clean"] * 4 and begun[0::2] == [("clean", "")] * 2
    assert nothing_to_do(run(tmp_path, study(keep_raw=False), "all_clean", "--dry-run"))


def test_a_signal_that_cannot_be_had_leaves_until_it_is_mended(study, source, tmp_path):
    source.server.gone.add("sub-02_task-sounds_eeg.eeg")
    config = study(only={"subject": "02"})
    text = run(tmp_path, config, "all_clean")
    assert "0 ok, 1 quarantined, 1 missing-file" in text
    account = json.loads((tmp_path / (CLEAN.format(2, 2) + "account.json")).read_text())
    assert account["reason"] == "missing-file" and "no remote of the dataset has its content" in account["message"]
    # once it is mended, the way that the sentence names brings it
    source.repair()
    assert "run with `--forcerun FILE`, FILE being the recording's file in results/fetch" in account["message"]
    receipt = "results/fetch/faces/sub-02/eeg/sub-02_task-sounds.json"
    assert "1 ok, 0 quarantined" in run(tmp_path, config, "all_clean", "--forcerun", receipt)


def test_an_unknown_version_ends_in_a_sentence(study, tmp_path):
    text = run(tmp_path, study(version="2.0.0"), "all_clean", "--retries", "0", fails=True)
    assert "has no version '2.0.0'; there are 1." in text and "mend version of the dataset in the config" in text
    assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.xdist_group("containers")
@pytest.mark.skipif(shutil.which("apptainer") is None, reason="apptainer is not installed")
@pytest.mark.skipif(not TABLE.is_file(), reason="no containers/images.json: run `make images`")
def test_an_image_holds_what_fetches(study, tmp_path):
    """Both ways in a container, in which neither the user nor the environment of this machine is known."""
    for block in ({"keep_raw": False}, {}):
        text = run(tmp_path, study(**block), "all_clean", "--sdm", "apptainer", "--forcerun", "clean")
        assert "2 ok, 0 quarantined" in text
        assert (raw(tmp_path) > 0) == block.get("keep_raw", True)
    said = (tmp_path / "results/logs/fetch/faces/sub-01/eeg/sub-01_task-sounds.log").read_text()
    assert " at /opt/env\n" in said
