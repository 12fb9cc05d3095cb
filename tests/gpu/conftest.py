"""Devices of a GPU machine, and torch on the CPU in their place everywhere else."""

import pytest


def cupy():
    """Host arrays to CuPy."""
    library = pytest.importorskip("cupy")
    if not library.is_available():
        pytest.skip("no CUDA device for CuPy")
    return library.asarray


def torch(device):
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
    """A function that moves host arrays to the device."""
    return cupy() if request.param == "cupy" else torch(request.param)
