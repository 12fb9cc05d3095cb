"""Values of many windows that are larger than memory, written once in tiles of cells and read tile by tile.

The file is an .npy of float32, (tiles, rows, width): what a tile of cells needs stands together on disk, and the rows
of one recording in a tile stand together too. A `Journal` beside an output tells which pieces of it are finished.
"""

import os
from pathlib import Path

import numpy as np

#: Bytes of a tile: large enough for a disk to read in one go, small enough to hold several.
TILE = 2**25


def write(path, blocks, rows, cells, *, width=None):
    """Write values, whole or not at all.

    Parameters
    ----------
    path : path
        ``.npy``.
    blocks : iterable of (array_like of int (n,), ndarray (n, cells))
        Places in the rows, and values.
    rows, cells : int
        Of all values.
    width : int, optional
        Cells per tile; ``None``: as many as fill `TILE` bytes, 64 at least.

    Raises
    ------
    ValueError
        A block of another width, or a row that no block has.
    """
    path = Path(path)
    width = min(cells, width or max(64, TILE // (4 * max(1, rows))))
    growing = path.with_name(f".{path.name}")
    tiles = -(-cells // width)
    out = np.lib.format.open_memmap(growing, mode="w+", dtype=np.float32, shape=(tiles, rows, width))
    written = np.zeros(rows, dtype=bool)
    for places, values in blocks:
        if values.shape[1] != cells:
            raise ValueError(f"{path}: values of {values.shape[1]} cells where there are {cells}")
        for tile in range(tiles):
            part = values[:, tile * width : (tile + 1) * width]
            out[tile, places, : part.shape[1]] = part
        written[places] = True
    if not written.all():
        raise ValueError(f"{path}: {np.count_nonzero(~written)} of {rows} windows have no values")
    out.flush()
    del out
    os.replace(growing, path)


class Tiles:
    """Values of some rows, read tile by tile; stands for an array (n, cells).

    Parameters
    ----------
    path : path
        What `write` wrote.
    cells : int
    rows : array_like of int, optional
        Those that are read, in this order; ``None``: all.
    """

    def __init__(self, path, cells, rows=None):
        self._path, (tiles, every, width) = path, np.load(path, mmap_mode="r").shape
        self._rows = np.arange(every) if rows is None else np.asarray(rows)
        if not cells <= tiles * width < cells + width:
            raise ValueError(f"{path} holds other cells than the {cells} of this model; delete it and run again")
        self.shape = (len(self._rows), cells)

    def tile(self, start, stop):
        """Values (n, stop - start), ndarray of float32 of its own."""
        # opened anew: pages of a file that stays open count as memory of the job
        values = np.load(self._path, mmap_mode="r")
        width, out = values.shape[2], np.empty((len(self._rows), stop - start), dtype=np.float32)
        for tile in range(start // width, -(-stop // width)):
            low, high = max(start, tile * width), min(stop, (tile + 1) * width)
            part = values[tile, :, low - tile * width : high - tile * width]
            np.take(part, self._rows, axis=0, out=out[:, low - start : high - start], mode="clip")
        return out


class Journal:
    """Pieces of an output that are finished, a line each, for work that is killed and goes on.

    Parameters
    ----------
    path : path
    key : str
        Identity of what is computed; a journal of another key is begun anew.
    """

    def __init__(self, path, key):
        self._path = Path(path)
        found, *lines = (
            self._path.read_text(encoding="utf-8", errors="replace").split("\n") if self._path.is_file() else [None]
        )
        # the last line may have been cut off: what counts ends in a newline, and is a number
        self._done = {int(line) for line in lines[:-1] if line.isdecimal()} if found == key else set()
        self._path.write_text("".join(f"{line}\n" for line in [key, *sorted(self._done)]), encoding="utf-8")

    def __contains__(self, piece):
        return piece in self._done

    def mark(self, piece):
        """Note that a piece is on disk; to be called after its values were flushed."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{piece}\n")
            file.flush()
            os.fsync(file.fileno())
        self._done.add(piece)
