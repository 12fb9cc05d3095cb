"""Fixtures shared by all tests."""

import sys
from pathlib import Path

import numpy as np
import pytest

# fixtures of the cluster tests and of those that fetch
pytest_plugins = ["onenode", "annexed"]

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared():
    """The folder of reference outputs and real recordings beside the checkout; skips where it is missing."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder ../shared beside the checkout (reference outputs and real recordings)")
    return folder


@pytest.fixture
def rng():
    """A seeded random generator."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _seeded():
    """Seed torch's generator, where a test module has loaded torch: weights start the same in every run of a test."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture(params=["numpy", "array_api_strict", "torch"])
def xp(request):
    """Array namespaces on which numeric code must give the same answer; the strict one finds non-portable calls."""
    if request.param == "numpy":
        return pytest.importorskip("array_api_compat.numpy")
    if request.param == "torch":
        pytest.importorskip("torch")
        return pytest.importorskip("array_api_compat.torch")
    return pytest.importorskip(request.param)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folder in which the smallest study has been run once, for all tests and workers; read-only for them."""
    from filelock import FileLock

    import workflow

    base = tmp_path_factory.getbasetemp()
    base = base.parent if base.name.startswith("popen-") else base
    folder = base / "tiny-run"
    with FileLock(base / "tiny-run.lock"):
        if not (folder / "done").is_file():
            folder.mkdir()
            text = workflow.run(folder, ROOT / "tests/e2e/tiny.yaml", "all", "coverage")
            (folder / "done").write_text(text)
    return folder


def _cupy():
    """Host arrays to CuPy."""
    library = pytest.importorskip("cupy")
    if not library.is_available():
        pytest.skip("no CUDA device for CuPy")
    return library.asarray


def _torch(device):
    """Host arrays to torch on a device."""
    library = pytest.importorskip("torch")
    if device == "cuda" and not library.cuda.is_available():
        pytest.skip("no CUDA device for torch")
    return lambda x: library.asarray(x, device=device)


@pytest.fixture(
    params=[pytest.param("cupy", marks=pytest.mark.gpu), pytest.param("cuda", marks=pytest.mark.gpu), "cpu"],
    ids=["cupy", "torch-cuda", "torch-cpu"],
)
def move(request):
    """A function that moves host arrays to a device; where there is none, torch on the CPU stands in for it."""
    return _cupy() if request.param == "cupy" else _torch(request.param)
