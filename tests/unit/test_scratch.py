"""Values larger than memory in tiles of cells, and journals of what is finished."""

import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT
from hedgerow.grid import scratch


@pytest.fixture
def values(rng):
    return rng.normal(size=(11, 23)).astype(np.float32)


def blocks(values):
    """Values in unordered pieces, as recordings give them."""
    order = np.array([7, 2, 9, 0, 1, 10, 3, 4, 8, 5, 6])
    return [(part, values[part]) for part in np.split(order, [3, 4, 9])]


@pytest.mark.parametrize("width", [None, 1, 5, 23, 40])
def test_any_tile_of_any_rows_is_read_as_written(tmp_path, values, width):
    scratch.write(tmp_path / "values.npy", blocks(values), 11, 23, width=width)
    whole = scratch.Tiles(tmp_path / "values.npy", 23)
    assert whole.shape == (11, 23)
    mine = scratch.Tiles(tmp_path / "values.npy", 23, rows=[4, 0, 10])
    for start, stop in ((0, 23), (0, 1), (3, 12), (20, 23), (4, 6)):
        assert np.array_equal(whole.tile(start, stop), values[:, start:stop])
        assert np.array_equal(mine.tile(start, stop), values[[4, 0, 10], start:stop])
    assert [path.name for path in tmp_path.iterdir()] == ["values.npy"]


def test_windows_without_values_and_unlike_cells_are_refused(tmp_path, values):
    path = tmp_path / "values.npy"
    with pytest.raises(ValueError, match="3 of 11 windows have no values"):
        scratch.write(path, blocks(values)[1:], 11, 23)
    with pytest.raises(ValueError, match="values of 22 cells where there are 23"):
        scratch.write(path, [(np.arange(11), values[:, 1:])], 11, 23)
    assert not path.is_file()
    scratch.write(path, blocks(values), 11, 23, width=10)
    for cells in (20, 31):
        with pytest.raises(ValueError, match=f"other cells than the {cells} of this model"):
            scratch.Tiles(path, cells)


def test_a_journal_keeps_whole_lines_of_its_own_key(tmp_path):
    path = tmp_path / "out.journal"
    journal = scratch.Journal(path, "one")
    journal.mark(3), journal.mark(12)
    assert 3 in journal and 12 in journal and 1 not in journal
    path.write_text(path.read_text()[:-1])  # cut off before the newline of the last
    again = scratch.Journal(path, "one")
    assert 3 in again and 12 not in again
    again.mark(125)
    assert all(piece in scratch.Journal(path, "one") for piece in (3, 125))
    path.write_bytes(b"one\n3\n\0\0\0\n\xff\n5\n")  # as a crash of the machine may leave it
    assert [piece for piece in range(9) if piece in scratch.Journal(path, "one")] == [3, 5]
    assert 3 not in scratch.Journal(path, "other") and 3 not in scratch.Journal(path, "one")


STREAMED = """
import resource, sys
import numpy as np
sys.path.insert(0, {source!r})
from hedgerow.grid import bootstrap, scratch
rows, cells = 500, 100_000
def pieces():
    for start in range(0, rows, 50):
        yield np.arange(start, start + 50), np.random.default_rng(start).standard_normal((50, cells), dtype=np.float32)
scratch.write("values.npy", pieces(), rows, cells)
X = np.column_stack([np.ones(rows), np.arange(rows) % 2])
tiles = scratch.Tiles("values.npy", cells)
plan = bootstrap.over_trials(X, tiles, bootstrap="pairs", interval="percentile", seed=1, replicates=8, budget_mb=20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
plan.summary()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(plan.tiles))
"""


def test_replicates_are_drawn_from_a_file_without_holding_it(tmp_path):
    command = [sys.executable, "-c", STREAMED.format(source=str(ROOT / "workflow/src"))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    size, (more, tiles) = (tmp_path / "values.npy").stat().st_size, map(int, done.stdout.split())
    # ru_maxrss is in KB, and counts the pages of mapped files that were read
    assert tiles > 20 and 1024 * more < size / 3, f"{more / 1024:.0f} MB more, of a file of {size / 1e6:.0f}"
