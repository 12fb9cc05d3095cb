"""Memory that a training frees and takes again."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hedgerow.nets import _heap, models

# What the kernel does depends on all that a process has done before, so it is looked at in a new one
PROGRAM = """
import ctypes, json, resource, sys
from hedgerow.nets import _heap

PAGE, SIZE = resource.getpagesize(), 64 << 20
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def faults(rounds=4):
    '''Share of the pages of blocks, filled and freed one after the other, that the kernel had to hand out.'''
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        block = libc.malloc(SIZE)
        ctypes.memset(block, 1, SIZE)
        libc.free(block)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * PAGE / SIZE / rounds

def held():
    return int(open("/proc/self/statm").read().split()[1]) * PAGE / SIZE

found = {"before": faults(), "start": held()}
try:
    with _heap.kept():
        faults(1)
        found |= {"inside": faults(), "freed": held()}
        raise ValueError("diverged")
except ValueError as error:
    found |= {"error": str(error), "end": held(), "after": faults()}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def seen():
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("the C library is not glibc")
    source = Path(_heap.__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], env={"PYTHONPATH": source}, capture_output=True, check=True)
    return json.loads(done.stdout)


def weights(steps=3):
    """A narrow R-SCNN after some steps."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = models.build("r-scnn", 24, 256, 2, width=0.1)
        optimiser = torch.optim.Adamax(net.parameters())
        for step in range(steps):
            torch.manual_seed(step)
            optimiser.zero_grad()
            net(torch.randn(8, 24, 256)).square().sum().backward()
            optimiser.step()
    return list(net.parameters())


def test_freed_memory_is_taken_again_inside_and_only_there(seen):
    assert seen["before"] > 0.95 and seen["inside"] < 0.05 and seen["after"] > 0.95


def test_memory_is_given_back_at_the_end_even_after_an_error(seen):
    assert seen["error"] == "diverged"
    assert seen["freed"] - seen["start"] > 0.95 and seen["end"] - seen["start"] < 0.05


def test_no_bit_depends_on_it():
    usual = weights()
    with _heap.kept():
        kept = weights()
    assert all(torch.equal(a, b) for a, b in zip(usual, kept, strict=True))


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with _heap.kept():
        pass
