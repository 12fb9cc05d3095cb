"""The environments of the families of rules: fresh, pinned, and enough for their rules, but no more."""

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from conftest import ROOT
from environments import FAMILIES, FOREIGN, can_import, generate, uses
from hedgerow import config


@pytest.fixture
def packages(tmp_path):
    """A folder that holds links to exactly the installed packages of a family: ``packages(family)``."""

    def gather(family):
        for line in generate.requirements(family):
            name = line.partition("==")[0]
            for file in metadata.files(name) if not line.startswith("--") else []:
                top = Path(file).parts[0]
                if top not in ("..", "__pycache__") and not (tmp_path / top).exists():
                    (tmp_path / top).symlink_to(metadata.distribution(name).locate_file(top))
        return tmp_path

    return gather


@pytest.mark.parametrize("family", generate.FAMILIES)
def test_an_environment_is_fresh_and_pinned(family):
    text = (ROOT / f"envs/{family}.yaml").read_text(encoding="utf-8")
    cuda = re.search(r", CUDA (\d+)$", text.splitlines()[0])
    pins, found = generate.pins(), re.findall(r"- ([A-Za-z0-9._-]+)==(\S+)", text)
    assert len(found) > 5
    for name, version in found:
        assert pins[generate.normal(name)][1] == version
    if generate.installed():
        assert text == generate.environment(family, cuda.group(1) if cuda else ""), "run `make envs`"


@pytest.mark.parametrize("cuda", ["12", "13"])
def test_cuda_changes_the_families_that_have_a_gpu_and_no_other(cuda):
    changed = {name for name in generate.FAMILIES if generate.environment(name) != generate.environment(name, cuda)}
    assert changed == {"stats", "networks"}
    assert f"cupy-cuda{cuda}x[ctk]==" in generate.environment("stats", cuda)
    assert "/whl/cpu" in generate.environment("networks")
    assert f"/whl/cu{cuda}" in generate.environment("networks", cuda)
    # with the CUDA build of torch installed, the pins are those of the CPU build: what it asks for is its own affair
    assert not any(line.startswith(generate.OF_CUDA) for line in generate.requirements("networks", cuda))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_packages_of_a_family_are_enough_for_its_rules_and_no_more(family, packages):
    needed = uses(family)
    assert "hedgerow.account" in needed and "numpy" in needed
    can_import([sys.executable, "-S"], needed, FOREIGN[family], [packages(family), ROOT / "workflow/src"])


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_an_environment_built_from_the_pins_is_enough(family, tmp_path):
    """The same with nothing but pip: packages have no needs beyond the pins."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    listed = tmp_path / "requirements.txt"
    listed.write_text("\n".join(generate.requirements(family)))
    python = tmp_path / "env/bin/python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--retries", "1", "--no-deps", "-r", listed], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    can_import([python], uses(family), FOREIGN[family], [ROOT / "workflow/src"])
    shutil.rmtree(tmp_path / "env")


def test_every_family_has_an_image_that_is_built_on_the_same_base():
    for family in FAMILIES:
        text = (ROOT / f"containers/{family}.def").read_text(encoding="utf-8")
        assert "Bootstrap: localimage\nFrom: {{ BASE }}\n" in text
        assert "hedgerow" not in re.sub(r"^\s*(#.*|hedgerow\.recipe.*)$", "", text, flags=re.M)


def test_what_images_cannot_be_built_without_is_named(tmp_path):
    def build(*arguments):
        command = [sys.executable, ROOT / "containers/build", *arguments]
        done = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
        assert done.returncode
        return done.stderr

    assert build("signal").startswith("apptainer is missing: ")
    (tmp_path / "apptainer").touch(mode=0o755)
    assert build("signal", "--base", "debootstrap").startswith("debootstrap is missing: ")
    assert "signals is no family: signal, stats" in build("signals")


def test_images_are_those_that_were_built_unless_others_are_named(tmp_path):
    (tmp_path / "built.sif").touch()
    table = tmp_path / "images.json"
    table.write_text(f'{{"signal": "{tmp_path}/built.sif", "stats": "{tmp_path}/gone.sif"}}')
    assert config.images({"signal": None, "publish": None}, tmp_path / "none.json", False)["signal"] is None
    assert config.images({"signal": None}, table, True) == {"signal": f"{tmp_path}/built.sif"}
    table.write_text('{"signal": "built.sif"}')  # as built, wherever the folder is moved to
    assert config.images({"signal": None}, table, True) == {"signal": f"{tmp_path}/built.sif"}
    table.write_text(f'{{"stats": "{tmp_path}/gone.sif"}}')
    named = "docker://registry.example/hedgerow-stats@sha256:" + 64 * "0"
    assert config.images({"stats": named}, table, True) == {"stats": named}
    with pytest.raises(config.ConfigError, match=r"images\.publish is not set.*make images"):
        config.images({"publish": None}, table, True)
    with pytest.raises(config.ConfigError, match=r"images\.stats: there is no file .*gone\.sif"):
        config.images({"stats": None}, table, True)


def test_a_named_image_may_stand_beside_the_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.sif").touch()
    assert config.images({"signal": "own.sif"}, tmp_path / "none.json", True) == {"signal": f"{tmp_path}/own.sif"}


def test_containers_are_shown_the_datasets_outside_the_working_directory(tmp_path, monkeypatch):
    work, data, store = (tmp_path / name for name in ("data/derivatives/work", "data", "store"))
    work.mkdir(parents=True)
    store.mkdir()
    (work / "linked").symlink_to(store)
    monkeypatch.chdir(work)

    def binds(*paths, given=""):
        return config.binds({path: {"source": "path", "path": path} for path in paths}, given)

    assert config.binds({"made": {"source": "simulate", "path": None}}) == ""
    assert binds(str(work / "raw"), "raw", str(tmp_path / "gone")) == ""
    assert binds("linked") == binds("../../../store") == f"{store}:{store}:ro"
    (tmp_path / "a,b").mkdir()
    with pytest.raises(config.ConfigError, match="no comma"):
        binds(str(tmp_path / "a,b"))
    # results that stand inside the dataset can still be written
    assert binds("../..") == f"{data}:{data}"
    assert binds(str(store), given="/scratch") == f"/scratch,{store}:{store}:ro"
    assert binds(str(store), given=f"{store}:{store}:ro") == f"{store}:{store}:ro"
    for against in (store, store / "results/studies/x", store / "record.tsv"):
        assert config.binds({}, against=str(against)) == f"{store}:{store}:ro"
