"""Memory that a training frees and takes again."""

import ctypes
import resource

import pytest
import torch

from hedgerow.nets import _heap, models

PAGE = resource.getpagesize()
SIZE = 40 << 20
pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")


def faults(size=SIZE, rounds=4):
    """How often the kernel hands out a block's pages while it is filled and freed so many times."""
    for _ in range(20 if size == SIZE else 1):  # glibc needs some rounds until its holes fit
        torch.ones(size, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(size, dtype=torch.uint8)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * PAGE / size


def held():
    """Bytes of the process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


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


def test_freed_memory_is_taken_again_inside_and_only_there():
    before = faults()
    with _heap.kept():
        inside = faults()
    assert before > 3.5 and inside < 0.1
    # a larger block than any hole that is left
    assert faults(2 * SIZE) > 3.5


def test_memory_is_given_back_at_the_end_and_after_an_error():
    def train():
        with _heap.kept():
            blocks = [torch.ones(SIZE, dtype=torch.uint8) for _ in range(4)]
            del blocks
            assert held() - start > 3 * SIZE
            raise ValueError("diverged")

    start = held()
    with pytest.raises(ValueError, match="diverged"):
        train()
    assert held() - start < SIZE
    assert faults(5 * SIZE, rounds=2) > 1.5


def test_no_bit_depends_on_it():
    usual = weights()
    with _heap.kept():
        kept = weights()
    assert all(torch.equal(a, b) for a, b in zip(usual, kept, strict=True))


def test_nothing_happens_where_the_c_library_cannot_be_told(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with _heap.kept():
        assert faults() > 3.5
