"""EDF, BDF and EEGLAB files of a few lines each: what the project itself never writes."""

from pathlib import Path

import numpy as np
import scipy.io


def write_edf(path, x, rates, names, *, units="uV", begins=None, records=None):
    """Write EDF, or BDF by the ending of `path`, in records of 1 s between -1000 and 1000.

    Parameters
    ----------
    path : path
    x : sequence of ndarray (samples,)
        A signal of each channel.
    rates : sequence of int
        In Hz.
    names : sequence of str
    units : str or sequence of str
    begins : sequence of float, optional
        When each record begins in s: makes the file EDF+D, with a channel that says so.
    records : int, optional
        Number of records that the header promises; by default as many as there are.
    """
    bdf = str(path).endswith(".bdf")
    width, count = (3, len(x[0]) // rates[0]) if bdf else (2, len(x[0]) // rates[0])
    top = 2 ** (8 * width - 1) - 1
    names, rates = list(names), list(rates)
    units = [units] * len(names) if isinstance(units, str) else list(units)
    body = [
        [_digital(each[k * rate : (k + 1) * rate], top, width) for each, rate in zip(x, rates)] for k in range(count)
    ]
    if begins is not None:
        names, rates, units = [*names, "EDF Annotations"], [*rates, 20], [*units, ""]
        for record, begin in zip(body, begins):
            record.append(f"+{begin:g}\x14\x14\0".encode().ljust(20 * width, b"\0"))
    kind = "EDF+D" if begins is not None else ""
    n = len(names)
    fixed = [("", 8), ("X X X X", 80), ("Startdate X X X X", 80), ("01.01.20", 8), ("00.00.00", 8)]
    fixed += [(256 * (n + 1), 8), (kind, 44), (count if records is None else records, 8), (1, 8), (n, 4)]
    columns = [
        (names, 16),
        ([""] * n, 80),
        (units, 8),
        ([-1000] * n, 8),
        ([1000] * n, 8),
        ([-top] * n, 8),
        ([top] * n, 8),
    ]
    columns += [([""] * n, 80), (rates, 8), ([""] * n, 32)]
    fields = [*fixed, *((value, size) for values, size in columns for value in values)]
    header = b"".join(str(value).encode("latin-1").ljust(size)[:size] for value, size in fields)
    header = (b"\xffBIOSEMI" if bdf else b"0       ") + header[8:]
    Path(path).write_bytes(header + b"".join(map(b"".join, body)))


def _digital(x, top, width):
    stored = np.round(np.asarray(x) / 1000 * top).astype("<i4")
    return stored.view("u1").reshape(-1, 4)[:, :width].tobytes()


def write_set(path, x, sfreq, names, *, epochs=1, fdt=False):
    """Write an EEGLAB file; `fdt` puts the samples into a second file, `epochs` cuts them into so many."""
    channels = np.zeros(len(names), dtype=[(field, object) for field in ("labels", "type", "X", "Y", "Z")])
    for row, name in enumerate(names):
        channels[row] = (name, "EEG", *[np.zeros((0, 0))] * 3)
    data = x.astype("f4")
    if epochs > 1:
        data = data.reshape(len(names), -1, epochs)
    if fdt:
        data.T.astype("<f4").tofile(Path(path).with_suffix(".fdt"))
    eeg = {"setname": "x", "nbchan": float(len(names)), "trials": float(epochs), "srate": float(sfreq), "xmin": 0.0}
    eeg |= {
        "pnts": float(x.shape[1] // epochs),
        "xmax": x.shape[1] / sfreq,
        "chanlocs": channels,
        "event": np.zeros((0, 0)),
    }
    eeg["data"] = Path(path).with_suffix(".fdt").name if fdt else data
    scipy.io.savemat(path, {"EEG": eeg}, appendmat=False)
