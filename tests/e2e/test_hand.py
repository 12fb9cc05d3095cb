"""Identity and a hand on the wheel: what grows, moves or is decided by hand runs its own jobs and what follows.

What a run would do is read from a dry run, after the index of the dataset has been made anew where it must be.
"""

import shutil

import pytest
import yaml

from conftest import ROOT
from hedgerow import account, simulate, table
from workflow import nothing_to_do, planned, run

pytestmark = pytest.mark.xdist_group("hand")

HEADER = "dataset\trecording\twhat\tvalue\twho\twhy\n"
SIZE = {"seed": 3, "channels": 8, "seconds": 30}
REC = "sub-{0}/eeg/sub-{0}_task-sounds"
#: The study's rules that follow from its windows.
FOLLOWS = {"manifest": 1, "design": 1, "choice": 1, "moments": 1, "scratch": 1, "bootstrap": 2, "grid": 1}
TARGETS = ("all_windows", "all_grids")


def _config(folder, **changes):
    """Write the study with `changes` into `folder`; its path."""
    tiny = yaml.safe_load((ROOT / "tests/e2e/tiny.yaml").read_text(encoding="utf-8"))
    content = {
        "study": "hand",
        "datasets": {"a": {"source": "path", "path": str(folder / "a")}},
        "selections": {"sounds": {**tiny["selections"]["sounds"], "reject": None}},
        "models": {"m": {"selection": "sounds", "formula": "kind", "replicates": 100}},
        "parts": 1,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A study of three people that has been run; for copies only."""
    folder = tmp_path_factory.mktemp("hand") / "done"
    simulate.write(folder / "more", subjects=4, **SIZE)
    shutil.copytree(folder / "more", folder / "a")
    shutil.rmtree(folder / "a/sub-04")
    run(folder, _config(folder), *TARGETS)
    return folder


@pytest.fixture
def here(done, tmp_path):
    """A copy of the study that was run, in a place of its own."""
    folder = tmp_path / "here"
    shutil.copytree(done, folder, symlinks=True)
    shutil.rmtree(folder / ".snakemake/locks", ignore_errors=True)
    return folder


def _say(folder, *lines):
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config/overrides.tsv").write_text(HEADER + "".join(f"a\t{line}\tA. B.\tseen\n" for line in lines))


def _would(folder, config, *datasets):
    """Jobs by rule that the study would run once the index is up to date, and the text that names them."""
    if datasets:
        run(folder, config, *(f"results/index/{name}/recordings.tsv" for name in datasets))
    text = run(folder, config, *TARGETS, "--dry-run")
    return {rule: number for rule, number in planned(text).items() if rule not in TARGETS}, text


def test_a_study_that_stands_elsewhere_has_nothing_to_do(here):
    assert nothing_to_do(run(here, _config(here), *TARGETS, "--dry-run"))


def test_a_new_subject_runs_its_own_jobs(here):
    shutil.copytree(here / "more/sub-04", here / "a/sub-04")
    jobs, text = _would(here, _config(here), "a")
    assert jobs == {"clean": 1, "windows": 1, **FOLLOWS}
    assert "clean sub-04/" in text and "of sub-04/" in text


def test_a_new_dataset_runs_its_own_jobs(here):
    simulate.write(here / "b", subjects=2, **SIZE | {"seed": 8})
    datasets = {name: {"source": "path", "path": str(here / name)} for name in ("a", "b")}
    jobs, text = _would(here, _config(here, datasets=datasets), "b")
    assert jobs == {"freeze": 1, "selection": 1, "clean": 2, "windows": 2, **FOLLOWS, "moments": 2}
    assert "a: clean" not in text and text.count("b: clean sub-") == 2


def test_touched_and_moved_raw_data_run_nothing(here):
    for path in (here / "a").rglob("*"):
        path.touch()
    assert _would(here, _config(here), "a")[0] == {}
    (here / "a").rename(here / "moved")
    moved = _config(here, datasets={"a": {"source": "path", "path": str(here / "moved")}})
    assert _would(here, moved, "a")[0] == {}


@pytest.mark.parametrize(
    ("line", "jobs"),
    [
        ("sub-02_task-sounds\tbad\tCz", {"clean": 1, "windows": 1, **FOLLOWS}),
        ("sub-02\tgood\tCz", {"clean": 1, "windows": 1, **FOLLOWS}),
        ("sub-02_task-sounds\treinstate\ttruncated", {"clean": 1, "windows": 1, **FOLLOWS}),
        (f"{REC.format('02')}\tshift\t0.1", {"windows": 1, **FOLLOWS}),
        ("sub-02\treject\tn/a", FOLLOWS),
        ("sub-02\treinstate\trejected", {}),
    ],
)
def test_one_override_runs_that_recording(here, line, jobs):
    _say(here, line)
    would, text = _would(here, _config(here))
    assert would == jobs
    assert not any(f"{verb} sub-0{k}/" in text for verb in ("clean", "of") for k in (1, 3))


@pytest.mark.slow
def test_a_stage_at_a_time_misses_nothing(here):
    """Files of less than 1 MB count by their content: what stands for others must change with them."""
    plain = {"asr_cutoff": None, "correlation": None, "interpolate": False, "reference": None, "bad_segments": None}
    config = _config(here, recipe="plain", recipes={"plain": plain})
    run(here, config, *TARGETS)
    signal = here / f"results/derivatives/a/plain/{REC.format('02')}_desc-clean_eeg.eeg"
    before = signal.read_bytes()

    # a channel that is bad but not replaced: the same samples, another table of channels
    _say(here, "sub-02_task-sounds\tbad\tCz")
    run(here, config, "all_clean")
    assert signal.read_bytes() == before
    assert _would(here, config)[0] == {"windows": 1, **FOLLOWS}
    run(here, config, *TARGETS)

    # an event with another intensity: the same windows, other rows
    events = here / "a" / f"{REC.format('03')}_events.tsv"
    found = table.read(events, text=True)
    found.loc[found["intensity"].notna(), "intensity"] = "0.125"
    table.write(events, found)
    run(here, config, "all_windows")
    assert _would(here, config)[0] == FOLLOWS


@pytest.mark.parametrize(("key", "value"), [("pilot", 2), ("only", {"subject": ["01", "sub-02"]})])
def test_fewer_recordings_run_none(here, key, value):
    block = {"source": "path", "path": str(here / "a")}
    changes = {"pilot": value} if key == "pilot" else {"datasets": {"a": {**block, "only": value}}}
    would, _ = _would(here, _config(here, **changes))
    assert would == FOLLOWS


def test_decisions_by_hand_are_in_the_results(here):
    lines = ["sub-01\tbad\tCz", "sub-01\tshift\t0.1", "sub-02\treject\tn/a", "sub-03\tbad\tCzz"]
    _say(here, *lines)
    text = run(here, _config(here), *TARGETS)
    assert "recordings: 1 ok, 2 quarantined, 1 bad-override, 1 rejected" in text
    stem = f"{here}/results/derivatives/a/standard/{REC.format('01')}_desc-"
    said = account.read(f"{stem}clean_account.json")
    assert "Cz" in said["marked"] and said["overrides"]["bad"] == [{"value": "Cz", "who": "A. B.", "why": "seen"}]
    assert account.of(f"{stem}sounds_windows.zarr.zip")["overrides"]["shift"][0]["value"] == 0.1
    before = table.read(here / f"a/{REC.format('01')}_events.tsv")["onset"]
    after = table.read(f"{stem}sounds_events.tsv")["onset"]
    assert (after - before).round(9).eq(0.1).all()
    listed = table.read(here / "results/studies/hand/manifest_sounds.tsv")
    assert not listed.astype(str).apply(lambda column: column.str.contains("sub-02")).any(axis=None)
    text = run(here, _config(here), "why")
    assert "1 recording left: rejected" in text and "rejected by A. B.: seen" in text
    assert "takes channel 'Czz' as bad (seen)" in text and "'Cz'" in text
    (here / "config/overrides.tsv").unlink()
    run(here, _config(here), *TARGETS)
    assert "overrides" not in account.read(f"{stem}clean_account.json")


def test_a_fault_of_table_or_filter_stops_the_run_with_a_sentence(here):
    _say(here, "sub-20\treject\tn/a")
    text = run(here, _config(here), *TARGETS, "--dry-run", fails=True)
    assert "config/overrides.tsv, line 2: a has no recording 'sub-20'; there are 'sub-0" in text
    assert "Traceback" not in text
    _say(here)
    block = {"source": "path", "path": str(here / "a"), "only": {"task": "sound"}}
    text = run(here, _config(here, datasets={"a": block}), *TARGETS, "--dry-run", fails=True)
    assert "datasets.a.only.task: no recording has 'sound'; there are 'sounds'" in text and "Traceback" not in text


def test_a_subject_may_come_with_its_override(here):
    """The table of recordings is outdated: a line on what it does not list yet is no fault."""
    shutil.copytree(here / "more/sub-04", here / "a/sub-04")
    _say(here, "sub-04\treject\tn/a")
    text = run(here, _config(here), *TARGETS)
    assert "3 ok, 1 quarantined, 1 rejected" in text and "clean sub-04" not in text
