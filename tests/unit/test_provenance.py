"""Digests of code: what changes them and what does not."""

import shutil

import pytest

from conftest import ROOT
from hedgerow import provenance


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the package and its scripts, which a test may edit; digests are computed on it."""
    workflow = tmp_path / "workflow"
    shutil.copytree(ROOT / "workflow/src", workflow / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copytree(ROOT / "workflow/scripts", workflow / "scripts")
    monkeypatch.setattr(provenance, "PACKAGE", workflow / "src/hedgerow")
    monkeypatch.setattr(provenance, "SCRIPTS", workflow / "scripts")

    def digests():
        provenance._digest_file.cache_clear()
        provenance._canonical.cache_clear()
        return {path.stem: provenance.digest(path.stem) for path in (workflow / "scripts").glob("*.py")}

    yield workflow, digests
    provenance._digest_file.cache_clear()
    provenance._canonical.cache_clear()


def changed(digests, before):
    after = digests()
    return {rule for rule in after if after[rule] != before[rule]}


def test_an_edit_re_runs_the_rules_that_use_the_module(copy):
    workflow, digests = copy
    before = digests()
    with open(workflow / "src/hedgerow/spectra.py", "a") as file:
        file.write("\nextra = 1\n")
    assert changed(digests, before) == {"spectra"}
    with open(workflow / "src/hedgerow/clean/asr.py", "a") as file:
        file.write("\nextra = 1\n")
    assert changed(digests, before) == {"spectra", "clean", "recovery"}


def test_an_edit_of_the_array_module_reaches_through_siblings(copy):
    workflow, digests = copy
    before = digests()
    with open(workflow / "src/hedgerow/_array.py", "a") as file:
        file.write("\nextra = 1\n")
    rules = changed(digests, before)
    assert {"clean", "spectra", "grid"} <= rules
    assert not {"freeze", "config", "index", "split"} & rules


def test_comments_docstrings_and_layout_change_nothing(copy):
    workflow, digests = copy
    before = digests()
    for path in (workflow / "src/hedgerow").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if text.startswith('"""'):
            text = '"""Another first line.' + text[text.index('"""', 3) :]
        path.write_text("# a comment\n" + text + "\n\n# another\n", encoding="utf-8")
    assert changed(digests, before) == set()


def test_an_edit_of_a_script_re_runs_its_rule_alone(copy):
    workflow, digests = copy
    before = digests()
    with open(workflow / "scripts/grid.py", "a") as file:
        file.write("\nextra = 1\n")
    assert changed(digests, before) == {"grid"}


def test_an_edit_of_a_template_changes_its_digest(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "TEMPLATES", tmp_path)
    (tmp_path / "page.j2").write_text("a")
    first = provenance.template("page.j2")
    (tmp_path / "page.j2").write_text("b")
    assert provenance.template("page.j2") != first
