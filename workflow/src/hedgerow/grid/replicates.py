"""Replicates of a bootstrap on disk, in blocks that jobs draw apart and a job that was killed takes up again.

A block is an .npy file, (units, combinations, cells, replicates of the block). It grows in a folder of its
own beside a journal for each unit; the journals belong to one set of data and parameters, of which they hold the key.
"""

import hashlib
import io
import json
import math
import os
import shutil
from pathlib import Path

import numpy as np

from hedgerow.grid import scratch


def share(block, replicates):
    """First replicate, and that after the last, of a block such as ``2-of-8``; blocks are of about equal size."""
    number, blocks = map(int, block.split("-of-"))
    return replicates * (number - 1) // blocks, replicates * number // blocks


def key(*parts):
    """Identity of data and parameters, of what JSON can say of them."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def draw(path, units, shape, frame, model, *, first, last, folder, key):
    """Draw the replicates from `first` to before `last` of every unit.

    Parameters
    ----------
    path : path
        ``.npy``; appears when all is drawn.
    units : iterable of units.Unit
    shape : (int, int, int)
        Units, combinations, cells.
    frame : units.Frame
    model : dict
        ``seed``, ``replicates``, ``precision`` of the model.
    first, last : int
    folder : path
        Where unfinished work is kept, for this block alone; deleted when all is drawn.
    key : str
        Identity of data and parameters: work of another key is done anew.

    Returns
    -------
    dict
        ``redrawn``: by unit, how many of its resamples were singular and drawn again. ``left_out``: people whose
        windows cannot be resampled, and why; their replicates are 0.

    Raises
    ------
    ValueError
        Over people, a design that they cannot estimate.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    growing, redrawn, left = folder / "replicates.npy", {}, {}
    values = _opened(growing, (*shape, last - first), np.dtype(model["precision"]))
    journals = [folder / f"{number}.journal" for number in range(shape[0])]
    for unit, journal, out in zip(units, journals, values):
        try:
            # both tell from the design alone whether a unit can be resampled: what fails behind them is a fault
            plan = unit.plan(frame, model)
            redrawn[unit.name] = plan.redrawn(first, last)
        except ValueError as error:
            if frame.choice["over"] == "people":
                raise
            left[unit.name] = str(error)
            continue
        plan.fill(out, first, last, done=scratch.Journal(journal, key))
    values.flush()
    # a journal must not outlive the values that it speaks of
    for journal in journals:
        journal.unlink(missing_ok=True)
    os.replace(growing, path)
    shutil.rmtree(folder, ignore_errors=True)
    return {"redrawn": redrawn, "left_out": left}


def read(paths, unit):
    """Blocks of one unit (its number), in the order of their replicates, as arrays on disk."""
    ordered = sorted(map(str, paths), key=lambda path: int(Path(path).stem.split("_")[-1].split("-of-")[0]))
    return [np.load(path, mmap_mode="r")[unit] for path in ordered]


def sweep(folder):
    """Delete unfinished work of a model that is done: of blocks of another number, since its own left none."""
    for path in Path(folder).glob("unfinished_*"):
        shutil.rmtree(path)


def _opened(path, shape, dtype):
    """The growing file, taken up if it is whole and of the right shape and precision."""
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(written := io.BytesIO(), described)
    header = written.getvalue()
    # one that was killed in the making has no header or is short; numpy would fill up the rest with zeros
    known = None
    if path.is_file():
        with path.open("rb") as file:
            known = file.read(len(header)), path.stat().st_size
    if known != (header, len(header) + math.prod(shape) * dtype.itemsize):
        for journal in path.parent.glob("*.journal"):
            journal.unlink()
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    return np.load(path, mmap_mode="r+")
