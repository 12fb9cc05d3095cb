"""A dataset that stays where it is, under git-annex (DataLad): content that goes, comes back or moves runs nothing."""

import subprocess

import pytest
import yaml

from annexed import environment
from conftest import ROOT
from workflow import nothing_to_do, run


def _git(folder, *command):
    done = subprocess.run(["git", *map(str, command)], cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def study(source, tmp_path):
    """A folder with a full clone of the dataset, and a study of it; ``study(path)`` points it elsewhere."""

    def write(path):
        content = yaml.safe_load((ROOT / "tests/e2e/tiny.yaml").read_text(encoding="utf-8"))
        content["datasets"] = {"faces": {"source": "path", "path": str(path)}}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return tmp_path / "study.yaml"

    _clone(source.full, tmp_path / "raw")
    return write


def _clone(source, folder):
    # in version 1.0.0 all content is behind links; of an unlocked file (1.1.0 has one) `index` would have to look anew
    _git(folder.parent, "clone", "--quiet", "--branch", "1.0.0", source, folder)
    _git(folder, "annex", "get", "--quiet", ".")


def test_content_that_goes_comes_back_or_moves_runs_nothing(study, source, tmp_path):
    raw, idle = tmp_path / "raw", []
    run(tmp_path, study(raw), "all_windows")

    _git(raw, "annex", "drop", "--quiet", "--force", "sub-01")
    assert not (raw / "sub-01/eeg/sub-01_task-sounds_eeg.eeg").exists()
    idle.append(run(tmp_path, study(raw), "all_windows", "--dry-run"))

    _git(raw, "annex", "get", "--quiet", "sub-01")
    idle.append(run(tmp_path, study(raw), "all_windows", "--dry-run"))

    for path in raw.glob("sub-*/**/*"):
        path.touch()  # of a link, what it leads to
    idle.append(run(tmp_path, study(raw), "all_windows", "--dry-run"))

    _clone(source.full, tmp_path / "elsewhere")
    raw.rename(tmp_path / "gone")
    idle.append(run(tmp_path, study(tmp_path / "elsewhere"), "all_windows", "--dry-run"))
    assert [nothing_to_do(text) for text in idle] == [True] * 4, idle
