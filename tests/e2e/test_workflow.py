"""The whole workflow on the smallest study: complete, idempotent, shared between studies, re-run by content."""

import json
import shutil

import pytest
import yaml

from conftest import ROOT
from hedgerow import publish, simulate, store, table
from workflow import nothing_to_do, planned, run

TINY = ROOT / "tests/e2e/tiny.yaml"


@pytest.fixture
def config(tmp_path):
    """Write a variant of the smallest study: ``config(key=value, ...)`` gives its path."""

    def write(**changes):
        content = {**yaml.safe_load(TINY.read_text(encoding="utf-8")), **changes}
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.fixture
def checkout(tmp_path):
    """A copy of the workflow that a test may edit."""
    target = tmp_path / "checkout"
    for name in ("workflow", "envs", "config"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "Snakefile", target)
    return target


def test_the_run_is_complete_and_counts_its_recordings(tiny):
    text = (tiny / "done").read_text()
    assert "recordings: 6 ok, 0 quarantined" in text
    results = tiny / "results/studies/tiny"
    page = (results / "report.html").read_text(encoding="utf-8")
    assert "sub-06" in page
    validation = json.loads((results / "published/tiny_validation.json").read_text())
    assert validation["errors"] == 0
    assert validation["seen"] == len(publish.seen(results / "published/tiny"))
    assert len(table.read(results / "networks/eyes/predictions.tsv")) == 6 * 18


def test_the_derivative_ignores_exactly_what_bids_has_no_name_for(tiny):
    tree = tiny / "results/studies/tiny/published/tiny"
    named = ["manifest.tsv", "croissant.json", "ro-crate-metadata.json"]
    patterns = ["*_account.json", "*_windows.zarr.zip", "features"]
    assert (tree / ".bidsignore").read_text().split() == patterns + named
    outside = set(publish.files(tree)) - set(publish.seen(tree)) - {".bidsignore"}
    assert set(named) <= outside
    outside = {path for path in outside if path not in named and not path.startswith("code/")}
    endings = ("_account.json", "_windows.zarr.zip")
    assert outside and all(path.endswith(endings) or path.startswith("features/") for path in outside)
    per_recording = [path for path in publish.files(tree) if path.startswith("sub-01/")]
    assert len(per_recording) <= 12


def test_hed_survives_to_the_derivative(tiny):
    raw, tree = tiny / "results/raw/tiny", tiny / "results/studies/tiny/published/tiny"
    before = table.read(raw / "sub-01/eeg/sub-01_task-sounds_events.tsv")
    after = table.read(tree / "sub-01/eeg/sub-01_task-sounds_desc-eyes_events.tsv")
    assert after[before.columns.tolist()].equals(before)
    sidecar = json.loads((tree / "task-sounds_desc-eyes_events.json").read_text())
    hed = json.loads((raw / "task-sounds_events.json").read_text())
    assert all(sidecar[name] == content for name, content in hed.items())
    assert "window_class" in sidecar


def test_a_second_run_does_nothing(tiny):
    assert nothing_to_do(run(tiny, TINY, "--dry-run"))


def test_a_second_study_shares_recordings_windows_and_spectra(tiny, config):
    text = run(tiny, config(study="other", models={}, networks={}), "--dry-run")
    assert not {"index", "clean", "windows", "spectra"} & set(planned(text))
    assert "publish" in planned(text)


def test_another_network_trains_and_evaluates_and_nothing_else(tiny, config):
    networks = yaml.safe_load(TINY.read_text())["networks"]
    networks["more"] = {**networks["eyes"], "further_seeds": 0}
    rules = planned(run(tiny, config(networks=networks), "--dry-run"))
    new = {"leakage": 1, "train": 2, "evaluate": 1, "compare": 1}
    assert rules == new | {"config": 1, "publish": 1, "report": 1, "record": 1}


#: What draws and summarises replicates, and what reads the maps.
FROM_REPLICATES = {"scratch", "bootstrap", "grid", "recovery", "report", "record"}
#: What follows, directly or not, from new windows.
FROM_WINDOWS = FROM_REPLICATES | {"manifest", "spectra", "design", "choice", "moments", "rerp", "influence"}
FROM_WINDOWS |= {"leakage", "train", "evaluate", "publish"}
#: What follows from any other word in the config.
FROM_CONFIG = {"config": 1, "publish": 1, "report": 1, "record": 1}


@pytest.mark.parametrize(
    ("module", "rules"),
    [
        ("spectra.py", FROM_REPLICATES | {"spectra", "moments", "publish"}),
        ("grid/bootstrap.py", FROM_REPLICATES | {"choice"}),
        ("grid/scratch.py", FROM_REPLICATES | {"choice"}),
        ("grid/maps.py", FROM_REPLICATES),
        ("grid/influence.py", {"influence", "report", "record"}),
        ("grid/rerp.py", FROM_REPLICATES | {"choice", "rerp"}),
        ("grid/ols.py", FROM_REPLICATES | {"choice", "moments", "rerp", "influence"}),
        ("nets/models.py", {"train", "evaluate", "report", "record"}),
        ("clean/asr.py", {"clean", "windows"} | FROM_WINDOWS),
        ("hed.py", {"selection", "windows"} | FROM_WINDOWS),
    ],
)
def test_an_edit_of_a_module_re_runs_its_rules_and_what_follows(tiny, checkout, module, rules):
    with open(checkout / "workflow/src/hedgerow" / module, "a") as file:
        file.write("\nEXTRA = 1\n")
    assert set(planned(run(tiny, TINY, "--dry-run", snakefile=checkout / "Snakefile"))) == rules


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"level": 0.9}, {"scratch": 1, "bootstrap": 2, "grid": 1, "recovery": 1}),
        ({"contrasts": {}}, {"choice": 1, "scratch": 1, "bootstrap": 2, "grid": 1, "recovery": 1}),
        ({"tests": {"kind": "kind"}}, {"choice": 1, "scratch": 1, "bootstrap": 2, "grid": 1, "recovery": 1}),
        ({"bootstrap": "none"}, {"choice": 1, "scratch": 1, "grid": 1, "influence": 2, "recovery": 1}),
        ({"errors": "cr1"}, {"choice": 1, "scratch": 1, "bootstrap": 2, "grid": 1, "recovery": 1}),
        ({"influence": False}, {}),
        ({"log": True}, {"moments": 2, "scratch": 1, "bootstrap": 2, "grid": 1, "influence": 2, "recovery": 1}),
    ],
    ids=lambda change: next(iter(change), None),
)
def test_another_word_in_a_model_re_runs_what_it_changes(tiny, config, change, rules):
    models = yaml.safe_load(TINY.read_text())["models"]
    models["response"] |= change
    assert planned(run(tiny, config(models=models), "--dry-run")) == FROM_CONFIG | rules


def test_another_formula_or_lags_begin_with_the_design(tiny, config):
    models = yaml.safe_load(TINY.read_text())["models"]
    models["response"]["compare"], models["overlap"]["lags"] = ["1"], [-0.1, 0.3]
    rules = {"design": 2, "choice": 2, "moments": 2, "rerp": 2, "scratch": 2, "bootstrap": 2, "grid": 2, "influence": 2}
    assert planned(run(tiny, config(models=models), "--dry-run")) == FROM_CONFIG | rules | {"recovery": 1}


def test_an_edit_of_comments_and_docstrings_re_runs_nothing(tiny, checkout):
    for path in [*(checkout / "workflow/src").rglob("*.py"), *(checkout / "workflow/scripts").glob("*.py")]:
        path.write_text(path.read_text(encoding="utf-8") + "\n# a remark\n", encoding="utf-8")
    assert nothing_to_do(run(tiny, TINY, "--dry-run", snakefile=checkout / "Snakefile"))


def test_a_mistyped_key_dies_at_parse_time(tiny, config):
    text = run(tiny, config(recipes={"standard": {"asr_cuttoff": 5}}), "--dry-run", fails=True)
    assert "unknown key 'asr_cuttoff' in recipes.standard; did you mean 'asr_cutoff'?" in text
    assert "Traceback" not in text


def test_a_folder_that_is_not_there_is_named(tmp_path, config):
    path = config(datasets={"gone": {"source": "path", "path": "nowhere"}})
    text = run(tmp_path, path, "--dry-run", fails=True)
    assert "datasets.gone.path: there is no folder 'nowhere'" in text and "Traceback" not in text


def test_a_query_with_an_unknown_tag_stops_the_run_before_a_signal_is_read(tmp_path, config):
    simulate.write(tmp_path / "raw", subjects=1, channels=8, seconds=20)
    selections = yaml.safe_load(TINY.read_text())["selections"]
    selections["sounds"]["classes"]["tone"] = "Toene"
    datasets = {"raw": {"source": "path", "path": "raw"}}
    path = config(datasets=datasets, selections=selections, networks={}, features={}, models={})
    text = run(tmp_path, path, "all_windows", fails=True)
    assert "config: selections.sounds.classes: tone: the HED query 'Toene'" in text
    assert "cut windows 'sounds'" not in text


def test_other_parameters_under_a_used_name_are_refused(tiny, config):
    text = run(tiny, config(recipes={"standard": {"asr_cutoff": 5}}), "--dry-run", fails=True)
    assert "recipes.standard.asr_cutoff is 5" in text and "20.0" in text and "another name" in text


def test_a_new_subject_runs_alone(tmp_path, config):
    """The tree grows by a subject: its own jobs run, and of the study's those whose inputs grew."""
    size = {"seed": 3, "channels": 8, "seconds": 30}
    simulate.write(tmp_path / "raw", subjects=2, **size)
    eyes = {"eyes": yaml.safe_load(TINY.read_text())["selections"]["eyes"]}
    datasets = {"grown": {"source": "path", "path": str(tmp_path / "raw")}}
    path = config(datasets=datasets, selections=eyes, features={}, models={})
    target = "results/studies/tiny/published/grown_validation.json"
    changes = config(**yaml.safe_load(path.read_text()) | {"networks": {}})
    run(tmp_path, changes, target)
    simulate.write(tmp_path / "more", subjects=3, **size)
    shutil.copytree(tmp_path / "more/sub-03", tmp_path / "raw/sub-03")
    shutil.copy(tmp_path / "more/participants.tsv", tmp_path / "raw/participants.tsv")
    text = run(tmp_path, changes, target)
    assert text.count("Finished jobid") == 4  # index, clean, windows, publish
    assert "recordings: 3 ok, 0 quarantined" in text
    for file in (tmp_path / "raw").rglob("*"):
        file.touch()
    assert run(tmp_path, changes, target).count("Finished jobid") == 1  # index reads the digests again, and that is all
    assert nothing_to_do(run(tmp_path, changes, target, "--dry-run"))
    (tmp_path / "raw").rename(tmp_path / "moved")
    assert nothing_to_do(run(tmp_path, changes, target, "--dry-run"))
    study = yaml.safe_load(changes.read_text())
    study["datasets"]["grown"]["path"] = str(tmp_path / "moved")
    text = run(tmp_path, config(**study), target)
    assert "clean sub-" not in text and "cut windows" not in text


def test_stores_are_the_same_bytes_when_made_again(tiny, tmp_path):
    rec = "results/derivatives/tiny/standard/sub-01/eeg/sub-01_task-sounds_desc-eyes_windows.zarr.zip"
    signal, index, attrs = store.read(tiny / rec)
    assert len(signal) == len(index) == 18
    assert attrs["subject"] == "01" and attrs["account"]["status"] == "ok"
    shutil.copytree(tiny / "results", tmp_path / "results")
    (tmp_path / rec).unlink()
    run(tmp_path, TINY, rec, "--force", "--allowed-rules", "windows", "--rerun-triggers", "mtime")
    assert (tmp_path / rec).read_bytes() == (tiny / rec).read_bytes()
