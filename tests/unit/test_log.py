"""What a job's log begins with, and that no library slips in from outside the environment of a rule."""

import os
import subprocess
import sys

import pytest

from conftest import ROOT

SCRIPT = """
import sys
sys.path.extend({path!r})
{before}
from hedgerow import log
class Job:
    log, rule, wildcards, threads, resources = ["job.log"], "clean", {{}}, 1, {{"mem_mb": 500}}
log.start(Job)
{after}
"""


@pytest.fixture
def elsewhere(tmp_path):
    """Path entries that Snakemake would append in an environment: the library and packages of another Python."""
    library, packages = tmp_path / "other/lib/python3.11", tmp_path / "other/lib/python3.11/site-packages"
    (packages / "cupy").mkdir(parents=True)
    (packages / "cupy/__init__.py").write_text("")
    (packages / "numpy").mkdir()
    (packages / "numpy/__init__.py").write_text("__version__ = '0'")
    (library / "os.py").write_text("")
    return [str(library), str(packages)]


def job(folder, path=(), before="", after="", first="", fails=False):
    """Run a script as Snakemake runs it: `path` appended, `first` in PYTHONPATH; its log."""
    text = SCRIPT.format(path=[*path, str(ROOT / "workflow/src")], before=before, after=after)
    (folder / "script.py").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(first)}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, env=environment, check=False)
    assert (done.returncode != 0) == fails
    return (folder / "job.log").read_text()


def test_a_log_says_what_runs_with_which_libraries_from_where(tmp_path):
    text = job(tmp_path)
    assert "rule clean {}" in text
    assert "threads 1, resources {'mem_mb': 500}, CUDA_VISIBLE_DEVICES none\n" in text
    assert f" in {os.path.dirname(os.path.dirname(__import__('numpy').__file__))}\n" in text
    assert "numpy 2" in text


def test_versions_are_those_of_what_was_loaded(tmp_path):
    text = job(tmp_path, before="import numpy", after="print(list(log.versions()))")
    assert "['numpy']" in text


def test_where_snakemake_runs_itself_nothing_is_refused(tmp_path, elsewhere):
    text = job(tmp_path, first=elsewhere[1], before="import cupy, numpy", after="print(numpy.__version__, sys.path)")
    assert "\n0 [" in text and elsewhere[1] in text


def test_a_library_from_behind_the_environment_is_refused(tmp_path, elsewhere):
    text = job(tmp_path, elsewhere, before="import cupy", fails=True)
    assert f"\nrule clean: cupy came from {elsewhere[1]}/cupy/__init__.py, outside the environment" in text
    assert sys.prefix in text and "make images" in text and "PYTHONNOUSERSITE" in text


def test_a_library_from_before_the_environment_is_refused(tmp_path, elsewhere):
    text = job(tmp_path, elsewhere, before="import numpy", first=elsewhere[1], fails=True)
    assert f"rule clean: numpy came from {elsewhere[1]}" in text


def test_a_later_import_takes_the_environment_s_own_library(tmp_path, elsewhere):
    text = job(tmp_path, elsewhere, first=elsewhere[1], after="import numpy, hedgerow.table; print(numpy.__version__)")
    assert "\n2." in text


def test_a_later_import_of_what_the_environment_lacks_is_explained(tmp_path, elsewhere):
    text = job(tmp_path, elsewhere, after="import cupy", fails=True)
    assert f"rule clean: no cupy in the environment {sys.prefix}, there is one in {elsewhere[1]}" in text


def test_an_import_that_may_fail_may_fail(tmp_path, elsewhere):
    tried = "try:\n    import cupy\nexcept ImportError:\n    print('no cupy')"
    assert "\nno cupy\n" in job(tmp_path, elsewhere, after=tried)
