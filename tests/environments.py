"""The families of rules and their environments, and what the tests ask of an environment."""

import ast
import importlib.util
import re
import subprocess
import sys

from conftest import ROOT
from hedgerow import provenance


def _module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _module(ROOT / "envs/generate.py")
FAMILIES = [family for family in generate.FAMILIES if family != "runner"]

OPTIONAL = {*sys.stdlib_module_names, "braindecode", "cupy", "fsspec", "hedgerow", "torchaudio"}

#: What a family must not be able to import: the work of the others.
FOREIGN = {
    "signal": {"torch", "safetensors", "snakemake"},
    "stats": {"torch", "mne", "hed", "bids", "pybv", "matplotlib", "jinja2", "snakemake"},
    "networks": {"mne", "hed", "bids", "pybv", "matplotlib", "formulaic", "snakemake"},
    "publish": {"torch", "hed", "bids", "pybv", "formulaic", "snakemake"},
}


def uses(family):
    """Modules of the package, and libraries, that the scripts of a family's rules import at any depth, lazily too."""
    files = {}
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^(?=rule |checkpoint )", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            if f"envs/{family}.yaml" in rule:
                name = re.match(r"\w+ (\w+):", rule).group(1)
                provenance._reach(ROOT / f"workflow/scripts/{name}.py", files)
    modules = {
        ".".join(file.relative_to(provenance.PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        for file in files
        if file.is_relative_to(provenance.PACKAGE)
    }
    libraries = {name for file in files for name in _imported(ast.parse(file.read_text(encoding="utf-8")))}
    return sorted(modules | libraries)


def _imported(tree):
    """Absolute imports of a file that are no part of Python; cupy and fsspec are everywhere optional."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        yield from (name for name in names if name.split(".")[0] not in OPTIONAL)


def can_import(python, names, foreign=(), path=()):
    """Import `names` in a Python that sees nothing but its own packages and `path`; `foreign` must be out of reach."""
    code = f"""
import importlib, importlib.util, sys
sys.path[:] = [*sys.path, *{list(map(str, path))!r}]
for name in {sorted(names)!r}:
    importlib.import_module(name)
found = [name for name in {sorted(foreign)!r} if importlib.util.find_spec(name)]
sys.exit(f"found {{found}}" if found else 0)
"""
    done = subprocess.run([*python, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
