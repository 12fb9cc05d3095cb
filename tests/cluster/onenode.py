"""A Slurm cluster of one node, and a site that is set up as README.md says: a clone and three edits of its profile."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from workflow import ROOT, run

SLURM = Path(__file__).with_name("slurm")
STUDY = Path(__file__).with_name("study.yaml")
#: What the site edits in config/profiles/slurm/config.yaml.
EDITS = {
    "# - slurm_account=myproject": "- slurm_account=hedge",
    "# - slurm_partition=cpu": "- slurm_partition=cpu",
    "# slurm_partition: gpu": "slurm_partition: gpu",
    "# gpu_model: a100": "gpu_model: h200",
}
#: A test asks for the state of its jobs when the shorter ones are done (9 s: a look too early costs 10 s more).
HASTE = ["--slurm-init-seconds-before-status-checks", "9", "--seconds-between-status-checks", "9"]


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """The cluster, up while the tests run; skips with the reason where it cannot be had."""
    if not all(shutil.which(name) for name in ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd")):
        pytest.skip("no Slurm here: `tests/cluster/slurm install` as root on Debian or Ubuntu")
    if os.geteuid() != 0:
        pytest.skip("a cluster of one node needs root")
    configuration = Path("/etc/slurm/slurm.conf")
    if configuration.exists() and not configuration.is_symlink():
        pytest.skip(f"this machine has a Slurm of its own ({configuration})")
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        del os.environ[name]  # of another cluster
    folder = tmp_path_factory.mktemp("slurm")
    try:
        subprocess.run([SLURM, "start", folder], check=True)
        yield folder
    finally:
        subprocess.run(["scancel", "--me"], check=False)
        subprocess.run([SLURM, "stop", folder], check=True)


class Site:
    """A clone with its profile fitted to the cluster, in which studies are run."""

    def __init__(self, folder):
        self.folder = folder
        # whatever of it is published with the results
        left = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.sif", "images.json")
        for name in ("workflow", "envs", "config", "containers"):
            shutil.copytree(ROOT / name, folder / name, ignore=left)
        for name in (
            "Snakefile",
            "Makefile",
            "pyproject.toml",
            "constraints.txt",
            "LICENSE",
            "README.md",
            "CITATION.cff",
        ):
            shutil.copy(ROOT / name, folder)
        shutil.copy(ROOT / "slurm", folder, follow_symlinks=False)
        self.edit(EDITS)

    def edit(self, changes):
        """Replace words of the profile, each of which must be there."""
        path = self.folder / "config/profiles/slurm/config.yaml"
        text = path.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert old in text, f"the profile has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")

    def command(self, *arguments, config=STUDY):
        """What a user types, in this clone."""
        command = [sys.executable, "-m", "snakemake", "--profile", "slurm", "--configfile", config, *HASTE, *arguments]
        return list(map(str, command))

    def run(self, *arguments, config=STUDY, fails=False):
        """Run a study to its end; the output as text."""
        done = subprocess.run(
            self.command(*arguments, config=config), cwd=self.folder, capture_output=True, text=True, check=False
        )
        text = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, text[-8000:]
        return text

    def start(self, *arguments, config=STUDY):
        """Start a run that the test will disturb; its output goes to the file ``out``."""
        with open(self.folder / "out", "w") as out:
            return subprocess.Popen(
                self.command(*arguments, config=config), cwd=self.folder, stdout=out, stderr=out, process_group=0
            )


@pytest.fixture
def site(slurm, tmp_path):
    """A new site."""
    return Site(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """Folder in which the study has been run on this machine alone, without a scheduler and without a fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(folder, STUDY)
    return folder


@pytest.fixture(scope="module")
def done(slurm, tmp_path_factory):
    """A site on which the study has been run through Slurm, and what Snakemake said; read-only for the tests."""
    site = Site(tmp_path_factory.mktemp("site"))
    return site, site.run()


def kill(process):
    """End Snakemake as a crash of the login node would: at once, without a word to the scheduler."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
