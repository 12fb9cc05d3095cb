"""Libraries of a job that runs in an environment of its own (`--sdm conda`, `--sdm apptainer`) come from there alone.

Snakemake appends the module path of the Python that submits to the path of every job, so that the job can read what it
is given. A library that the environment lacks would silently come from there, in another version; one of ``~/.local``
or ``PYTHONPATH`` would even come first. Standard library only, as all that `log` imports.
"""

import os
import sys
import sysconfig
from pathlib import Path

#: Import names of what computes, reads or writes here. Helpers that Snakemake loads for itself are no concern.
GUARDED = (
    "array_api_compat",
    "bids",
    "cupy",
    "formulaic",
    "hed",
    "matplotlib",
    "mne",
    "numcodecs",
    "numpy",
    "pandas",
    "pybv",
    "safetensors",
    "scipy",
    "torch",
    "zarr",
)
REMEDY = "build that environment anew (delete .snakemake/conda, or run `make images`) and set PYTHONNOUSERSITE=1"


def enforce(rule):
    """Stop a job of `rule` that loaded a library from outside its environment, and let no later import do so.

    Does nothing where the job runs in the Python that submitted it. A library that is missing later on ends the job
    with a like sentence; an import that the code itself expects to fail fails as it always does.

    Raises
    ------
    SystemExit
        Names the library, where it came from, the environment, the rule and the way out.
    """
    if not _elsewhere():
        return
    for name in GUARDED:
        place = getattr(sys.modules.get(name), "__file__", None)
        if place and not _inside(place):
            sys.exit(f"rule {rule}: {name} came from {place}, outside the environment {sys.prefix}: {REMEDY}")
    # sys.path[0] is the folder of the script; this package lies in no environment
    own = {sys.path[0], str(Path(__file__).parents[1])}
    outside = [entry for entry in sys.path if entry not in own and not _inside(entry)]
    sys.path[:] = [entry for entry in sys.path if entry not in outside]
    sys.excepthook = _hook(rule, outside, sys.excepthook)


def _elsewhere():
    """Whether the path holds the standard library of another Python: that of Snakemake, not that of this job."""
    here = os.path.realpath(os.__file__)
    found = (os.path.join(entry, "os.py") for entry in sys.path)
    return any(os.path.isfile(file) and os.path.realpath(file) != here for file in found)


def _inside(place):
    """Whether a file or folder belongs to this Python; as it is named or as it is, for conda links to its cache."""
    folders = (sys.prefix, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
    return any(
        Path(path).is_relative_to(folder)
        for path in (place, os.path.realpath(place))
        for each in folders
        for folder in (each, os.path.realpath(each))
    )


def _hook(rule, outside, before):
    """What says of a library that the environment lacks where it would have come from."""

    def hook(kind, error, traceback):
        before(kind, error, traceback)
        if isinstance(error, ModuleNotFoundError) and error.name:
            name = error.name.partition(".")[0]
            seen = [entry for entry in outside if Path(entry, name).is_dir() or Path(entry, f"{name}.py").is_file()]
            where = f"there is one in {seen[0]}, outside it" if seen else "there is none outside it either"
            print(f"rule {rule}: no {name} in the environment {sys.prefix}, {where}: {REMEDY}", file=sys.stderr)

    return hook
