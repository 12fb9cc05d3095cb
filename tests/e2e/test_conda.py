"""Rules in environments of their own (`--sdm conda`), made from envs/*.yaml by a stand-in for conda (conda/bin)."""

import hashlib
import os
import shutil
import sys

import pytest

from conftest import ROOT
from workflow import nothing_to_do, run

TINY = ROOT / "tests/e2e/tiny.yaml"
CLEAN = "results/derivatives/tiny/standard/sub-01/eeg/sub-01_task-sounds_desc-clean_eeg.eeg"

pytestmark = pytest.mark.slow


def test_rules_run_in_environments_of_their_own_and_in_nothing_else(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{ROOT}/tests/e2e/conda/bin:{os.environ['PATH']}")
    monkeypatch.setenv("TEST_PYTHON", sys.executable)
    run(tmp_path, TINY, "all_windows", "--sdm", "conda")
    (environment,) = (tmp_path / ".snakemake/conda").glob("*_/")
    said = (tmp_path / "results/logs/clean/tiny/standard/sub-01/eeg/sub-01_task-sounds.log").read_text()
    assert f" at {environment}\n" in said and f" in {environment}/lib/" in said
    made, known = ((folder / "results/derivatives").rglob("*.zarr.zip") for folder in (tmp_path, tiny))
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in made}
    known = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in known}
    assert len(made) == 12 and made.items() <= known.items()
    assert nothing_to_do(run(tmp_path, TINY, "all_windows", "--dry-run"))

    shutil.rmtree(next(environment.glob("lib/python*/site-packages/scipy")))
    text = run(tmp_path, TINY, CLEAN, "--sdm", "conda", "--force", "--allowed-rules", "clean", fails=True)
    assert "rule clean: scipy came from " in text and f"outside the environment {environment}: build" in text
