"""The windows store: one recording's labelled windows in one file, ready for statistics and deep learning.

A store is a Zarr v3 group in a zip archive (``.zarr.zip``) whose members are not compressed again: it is opened by path
or URL, by any reader of Zarr, xarray among them. The same windows always give the same bytes.

=============  =============================================================================================
member         content
=============  =============================================================================================
attributes     ``names``, ``positions`` (m, head coordinates, or null), ``sfreq`` (Hz), ``tmin`` (s, time of the
               first sample of a window), ``unit``, ``columns`` (of the index), ``account``, and what the caller adds
``signal``     (window, channel, time), int16 in steps of ``scale`` or float32 in µV; one shard
``scale``      (channel) µV per step
``<column>``   (window) a column of the index: numbers as they are; text as int32 codes (-1: missing) of the distinct
               texts in the array's attribute ``levels``, so that a HED annotation is written once
=============  =============================================================================================

As int16 a sample is off by at most half a step, ``scale / 2``, and the rounding of float32 (1e-7 of its value); a step
is the largest magnitude of the channel in this recording over 32767 (0.003 µV for 100 µV). No target is baked in: sex,
age or condition are joined when it is loaded.
"""

import hashlib
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from hedgerow import account as accounts
from hedgerow import table
from hedgerow.account import Fault

#: Windows per chunk of the shard: the least that a reader of single windows has to decode.
_CHUNK = 16
_STEPS = 32767


def write(path, signal, table, *, names, sfreq, tmin, positions=None, dtype="int16", attrs=None):
    """Write a store, whole or not at all.

    Parameters
    ----------
    path : path
        ``..._windows.zarr.zip``.
    signal : array_like, shape (windows, channels, samples)
        In µV; no windows are allowed.
    table : pandas.DataFrame
        A row per window: ``onset``, ``event``, ``label``, ``zero``, ``hed``, or any columns of numbers or text.
    names : list of str
        Channels.
    sfreq : float
        Sampling rate in Hz.
    tmin : float
        Time of the first sample of a window in s.
    positions : array_like, shape (channels, 3), optional
        In m, head coordinates; NaN where unknown.
    dtype : {"int16", "float32"}
        How samples are kept; see the module for the error.
    attrs : dict, optional
        JSON-able; more attributes, ``account`` among them.

    Raises
    ------
    ValueError
        Shapes that do not fit together, an unknown `dtype`, or an attribute that is taken.
    hedgerow.account.Fault
        ``not-finite``: NaN or infinite samples.
    """
    import zarr

    signal = np.asarray(signal)
    _check(signal, table, names, dtype, attrs or {})
    bad = [name for name, channel in zip(names, np.isfinite(signal).all(axis=(0, 2))) if not channel]
    if bad:
        raise Fault(
            "not-finite", f"windows hold NaN or infinite samples in {', '.join(bad)}: mark these channels or times"
        )
    steps, scale = _quantise(signal) if dtype == "int16" else (signal.astype("<f4"), np.ones(len(names)))
    if positions is not None:
        positions = [row if np.isfinite(row).all() else None for row in np.asarray(positions, dtype=float).tolist()]
    header = {"names": list(names), "positions": positions, "sfreq": sfreq, "tmin": tmin, "unit": "µV"}
    header |= {"columns": [str(column) for column in table.columns], **(attrs or {})}
    json.dumps(header, allow_nan=False)  # refuses what is not JSON before anything is written

    members = {}
    group = zarr.create_group(zarr.storage.MemoryStore(members), zarr_format=3, attributes=header)
    _array(group, "scale", scale, ["channel"])
    for column in table.columns:
        _array(group, str(column), *_column(table[column]))
    _array(group, "signal", steps, ["window", "channel", "time"])
    _zip(path, {name: buffer.to_bytes() for name, buffer in members.items()})


def write_empty(path, account):
    """Write a store without windows for a recording that left the workflow; `account` tells why."""
    table = pd.DataFrame({"onset": [], "event": [], "label": [], "zero": [], "hed": []})
    write(path, np.empty((0, 0, 0)), table, names=[], sfreq=None, tmin=None, attrs={"account": account})


def write_arrays(path, arrays, attrs):
    """Write named arrays of any kind (features, maps) in one file, whole or not at all.

    Parameters
    ----------
    path : path
        ``.zarr.zip``.
    arrays : dict of str to (array_like, list of str)
        Values, of numbers or text, and the names of their dimensions.
    attrs : dict
        JSON-able attributes of the file.
    """
    import zarr

    members = {}
    group = zarr.create_group(zarr.storage.MemoryStore(members), zarr_format=3, attributes=attrs)
    for name, (values, dimensions) in arrays.items():
        values = np.asarray(values)
        if values.dtype.kind in "OUS":
            values, _, levels = _column(pd.Series(values.astype(object)))
            _array(group, name, values, dimensions, levels)
        else:
            _array(group, name, values, dimensions)
    _zip(path, {name: buffer.to_bytes() for name, buffer in members.items()})


def read_arrays(path):
    """Read what `write_arrays` wrote: a dict of arrays by name, and the attributes."""
    group = open(path)
    arrays = {name: _values(array) for name, array in group.arrays()}
    attrs = dict(group.attrs)
    group.store.close()
    return arrays, attrs


def index(path):
    """Index of a windows store (DataFrame, a row per window) and its attributes, without its signal."""
    group = open(path)
    attrs = dict(group.attrs)
    found = pd.DataFrame({column: _values(group[column]) for column in attrs["columns"]})
    group.store.close()
    return found, attrs


def account(path):
    """Account in a store, read without opening an array (standard library only)."""
    return accounts.of(path)


def manifest(paths):
    """What stores hold, a row each, read without opening an array.

    Parameters
    ----------
    paths : list of path
        Windows stores.

    Returns
    -------
    DataFrame
        ``store`` (path), ``status``, ``reason``, ``windows`` (number), ``size`` (bytes), ``digest`` (of its content).
    """
    rows = []
    for path in map(str, paths):
        told = account(path)
        number = sum(told.get("windows", {}).values())
        rows.append((path, told["status"], told.get("reason"), number, os.path.getsize(path), _digest(path)))
    return pd.DataFrame(rows, columns=["store", "status", "reason", "windows", "size", "digest"])


def _digest(path):
    """Digest of a store from the checksums that its directory holds of every member."""
    with zipfile.ZipFile(path) as archive:
        members = [(member.filename, member.CRC) for member in archive.infolist()]
    return hashlib.sha256(repr(members).encode()).hexdigest()[:16]


def listed(path):
    """Paths of the stores with windows that a manifest (a file) lists."""
    found = table.read(path, text=True)
    return list(found["store"][found["status"] == "ok"])


def open(url_or_path):
    """Store as a Zarr group, read-only; a URL (http, https, file) is fetched whole in one request.

    Parameters
    ----------
    url_or_path : path or str

    Returns
    -------
    zarr.Group
    """
    import zarr
    import zarr.buffer

    if "://" not in str(url_or_path):
        return zarr.open_group(zarr.storage.ZipStore(url_or_path, mode="r"), mode="r")
    from urllib.request import urlopen

    with urlopen(str(url_or_path)) as answer, zipfile.ZipFile(io.BytesIO(answer.read())) as archive:
        buffers = {name: zarr.buffer.cpu.Buffer.from_bytes(archive.read(name)) for name in archive.namelist()}
    return zarr.open_group(zarr.storage.MemoryStore(buffers, read_only=True), mode="r")


def read(url_or_path):
    """Windows of a store.

    Parameters
    ----------
    url_or_path : path or str

    Returns
    -------
    signal : numpy.ndarray of float32, shape (windows, channels, samples)
        In µV.
    table : pandas.DataFrame
        A row per window.
    attrs : dict
        Attributes of the store.
    """
    group = open(url_or_path)
    steps, attrs = group["signal"][:], dict(group.attrs)
    signal = steps if steps.dtype == np.float32 else steps * group["scale"][:].astype(np.float32)[:, None]
    table = pd.DataFrame({column: _values(group[column]) for column in attrs["columns"]})
    group.store.close()
    return signal, table, attrs


def load(paths):
    """Windows of many stores, as one array.

    Parameters
    ----------
    paths : list of path or str
        Stores without windows are passed over.

    Returns
    -------
    signal : numpy.ndarray of float32, shape (windows, channels, samples)
        In µV.
    table : pandas.DataFrame
        A row per window, with a column ``store``: the path as given.

    Raises
    ------
    ValueError
        No window at all, or stores of unlike channels, rate, samples or start; the message lists them.
    """
    signals, tables, kinds = [], [], {}
    for path in paths:
        signal, table, attrs = read(path)
        if len(signal):
            kind = (tuple(attrs["names"]), attrs["sfreq"], signal.shape[2], attrs["tmin"])
            kinds.setdefault(kind, []).append(str(path))
            signals.append(signal)
            tables.append(table.assign(store=str(path)))
    if not signals:
        raise ValueError(f"none of {len(paths)} stores has a window: look at their accounts")
    if len(kinds) > 1:
        found = "; ".join(
            f"{', '.join(names)} at {sfreq:g} Hz, {samples} samples from {tmin:g} s in {', '.join(where)}"
            for (names, sfreq, samples, tmin), where in kinds.items()
        )
        raise ValueError(f"unlike stores cannot be combined: set channels and sfreq of the selection. Found {found}")
    return np.concatenate(signals), pd.concat(tables, ignore_index=True)


def _check(signal, table, names, dtype, attrs):
    if signal.ndim != 3 or signal.shape[:2] != (len(table), len(names)):
        raise ValueError(f"signal: {signal.shape} is not ({len(table)} rows of the table, {len(names)} names, samples)")
    if dtype not in ("int16", "float32"):
        raise ValueError(f"dtype: {dtype!r} is neither 'int16' nor 'float32'")
    taken = {"signal", "scale"} & set(table.columns) | {"names", "positions", "sfreq", "tmin", "unit", "columns"} & set(
        attrs
    )
    if taken:
        raise ValueError(f"table, attrs: {', '.join(sorted(taken))} has a meaning in a store: choose another name")


def _quantise(signal):
    """Signal in steps of a scale per channel; a channel of zeros has the scale 1."""
    peak = np.abs(signal).max(axis=(0, 2), initial=0.0)
    scale = np.where(peak > 0, peak / _STEPS, 1.0)
    return np.rint(signal / scale[:, None]).astype("<i2"), scale


def _column(column):
    """Array, dimension and attributes that keep a column of the index."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(), ["window"], {}
    codes, levels = pd.factorize(column, sort=True)
    return codes.astype("<i4"), ["window"], {"levels": [str(level) for level in levels]}


def _values(array):
    """Column of the index that `_column` wrote."""
    values = array[:]
    if "levels" not in array.attrs:
        return values
    levels = np.array([*array.attrs["levels"], None], dtype=object)  # code -1 is the last: missing
    return levels[values]


def _array(group, name, values, dimensions, attributes=None):
    """One array; the signal in one shard of chunks of some windows, everything else in one chunk."""
    from zarr.codecs import ZstdCodec

    shape = [max(size, 1) for size in values.shape]
    chunks, shards = tuple(shape), None
    if name == "signal":
        windows = min(_CHUNK, shape[0])
        chunks, shards = (windows, *shape[1:]), (-(-shape[0] // windows) * windows, *shape[1:])
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=chunks,
        shards=shards,
        compressors=ZstdCodec(level=3),
        dimension_names=dimensions,
        attributes=attributes or {},
    )
    if values.size:
        array[:] = values


def _zip(path, members):
    """Zip archive of `members` in a fixed order and without time stamps, so that equal stores are equal files."""
    scratch = Path(f"{path}.tmp")
    with zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members, key=lambda name: (name != "zarr.json", name.startswith("signal/"), name)):
            archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), members[name])
    os.replace(scratch, path)
