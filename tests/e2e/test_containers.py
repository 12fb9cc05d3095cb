"""The images of `make images`: each holds what its family needs, and a study comes out the same as without them."""

import hashlib
import json
import os
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT
from environments import FAMILIES, FOREIGN, can_import, uses
from hedgerow import simulate
from workflow import differences, nothing_to_do, run

TINY = ROOT / "tests/e2e/tiny.yaml"
TABLE = ROOT / "containers/images.json"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("apptainer") is None, reason="apptainer is not installed"),
    pytest.mark.skipif(not TABLE.is_file(), reason="no containers/images.json: run `make images`"),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_image_holds_what_its_family_needs_and_no_more(family):
    image = TABLE.parent / json.loads(TABLE.read_text())[family]
    with open(image, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() in image.name
    python = ["apptainer", "exec", "--bind", f"{ROOT}/workflow/src:/mnt", image, "python"]
    can_import(python, uses(family), FOREIGN[family], ["/mnt"])


def test_an_image_takes_no_packages_from_the_environment_of_its_user():
    command = [
        "apptainer",
        "exec",
        TABLE.parent / json.loads(TABLE.read_text())["stats"],
        "python",
        "-c",
        "import sys; print(sys.path)",
    ]
    environment = {**os.environ, "PYTHONPATH": "/elsewhere", "PYTHONUSERBASE": "/elsewhere"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "/opt/env/lib/python3.11/site-packages" in done.stdout and "elsewhere" not in done.stdout


@pytest.mark.xdist_group("containers")
def test_a_study_in_containers_is_the_same_to_the_byte(tiny, tmp_path):
    text = run(tmp_path, TINY, "--sdm", "apptainer")
    assert text.count("Activating singularity image") >= 40
    assert differences(tmp_path, tiny) == []
    said = (tmp_path / "results/logs/clean/tiny/standard/sub-01/eeg/sub-01_task-sounds.log").read_text()
    assert "Python 3.11" in said and " at /opt/env\n" in said
    assert not any(f" {name} " in said for name in ("torch", "cupy"))
    # libraries keep their things out of sight
    assert {path.name for path in tmp_path.iterdir()} == {".snakemake", "results"}
    assert nothing_to_do(run(tmp_path, TINY, "--dry-run"))


def test_a_switch_to_containers_re_runs_nothing(tiny):
    assert nothing_to_do(run(tiny, TINY, "--dry-run", "--sdm", "apptainer"))


@pytest.mark.xdist_group("containers")
def test_a_dataset_outside_the_working_directory_is_seen(tmp_path):
    """Not under /tmp or the home folder, which Apptainer shows by itself: those are hidden here."""
    simulate.write(tmp_path / "data/raw", subjects=1, channels=8, seconds=20)
    (tmp_path / "work").mkdir()
    (tmp_path / "data/link").symlink_to("raw")
    study = yaml.safe_load(TINY.read_text(encoding="utf-8"))
    study |= {"datasets": {"own": {"source": "path", "path": "../data/link"}}, "models": {}, "networks": {}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
    arguments = ["all_windows", "--sdm", "apptainer", "--apptainer-args", "--no-mount tmp"]
    text = run(tmp_path / "work", tmp_path / "study.yaml", *arguments)
    assert "recordings: 1 ok, 0 quarantined" in text
