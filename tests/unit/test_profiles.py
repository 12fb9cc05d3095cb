"""Every profile is one that Snakemake takes, and asks for nothing that only some jobs may have."""

import os
import re
import subprocess
import sys

import pytest
import yaml

from conftest import ROOT

PROFILES = sorted(path.parent for path in (ROOT / "config/profiles").glob("*/config.yaml"))
ZERO = "docker://example.org/image@sha256:" + 64 * "0"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_snakemake_takes_the_profile(profile, tmp_path):
    images = tmp_path / "images.yaml"
    images.write_text(yaml.safe_dump({"images": dict.fromkeys(("signal", "stats", "networks", "publish"), ZERO)}))
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--profile", profile, "--dry-run"]
    command += ["--cores", "2", "--configfile", ROOT / "tests/cluster/study.yaml", images]
    # Snakemake asks for its version even where nothing is run; this machine need not have it
    program = tmp_path / "bin/apptainer"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho apptainer version 1.4.5\n")
    program.chmod(0o755)
    given = {"cwd": tmp_path, "env": os.environ | {"PATH": f"{program.parent}:{os.environ['PATH']}"}}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **given)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.name)
def test_no_default_gives_every_job_a_gpu(profile):
    content = yaml.safe_load((profile / "config.yaml").read_text(encoding="utf-8"))
    assert not any(re.match("gpu", text) for text in content.get("default-resources", []))
    if content["executor"] != "local":
        on_gpu = {name for name, block in content["set-resources"].items() if block.get("gpu")}
        assert on_gpu == {"spectra", "bootstrap", "train", "evaluate"}
        assert {"lane=local", "gpu=local"} <= set(content["set-resource-scopes"])
        assert {"lane=1", "gpu=1"} <= set(content["resources"])


def test_the_bare_name_finds_the_profile():
    assert (ROOT / "slurm").resolve() == ROOT / "config/profiles/slurm"
