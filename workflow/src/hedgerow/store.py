"""The windows store: one recording's labelled windows in one file, ready for statistics and deep learning.

A store is a Zarr v3 group in a zip archive (``.zarr.zip``) whose members are not compressed again: it is opened by path
or URL, by any reader of Zarr, xarray among them. The same windows always give the same bytes. The samples stand last:
the first bytes of a file tell everything else; `manifest` says how many these are.

``Windows``, a torch dataset over many stores, is in `hedgerow.nets.loader` and can be taken from here.

=============  =============================================================================================
member         content
=============  =============================================================================================
attributes     ``names``, ``positions`` (m, template, or null), ``sfreq`` (Hz), ``tmin`` (s, time of the
               first sample of a window), ``unit``, ``columns`` (of the index), ``account``, and what the caller adds
``signal``     (window, channel, time), int16 in steps of ``scale`` or float32 in µV; one shard of chunks of 16 windows
``scale``      (channel) µV per step
``<column>``   (window) a column of the index: numbers as they are; text as int32 codes (-1: missing) of the distinct
               texts in the array's attribute ``levels``, so that a HED annotation is written once
=============  =============================================================================================

As int16 a sample is off by at most half a step, ``scale / 2``, and the rounding of float32 (1e-7 of its value); a step
is the largest magnitude of the channel in this recording over 32767 (0.003 µV for 100 µV). No target is baked in: sex,
age or condition are joined when it is loaded.
"""

import contextlib
import hashlib
import importlib
import json
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from hedgerow import _packed, _remote, table
from hedgerow import account as accounts
from hedgerow._packed import Damaged as Damaged
from hedgerow._packed import Foreign as Foreign
from hedgerow._packed import Packed
from hedgerow._remote import Unavailable as Unavailable
from hedgerow.account import Fault

#: Windows per chunk of the shard: the least that a reader of single windows has to decode.
_CHUNK = 16
_STEPS = 32767
#: Level of zstd.
_LEVEL = 3
#: Columns of a manifest.
MANIFEST = ["store", "status", "reason", "dataset", "subject", "selection", "windows", "channels", "samples", "sfreq"]
MANIFEST += ["size", "head", "sha256"]


def __getattr__(name):
    # By its name: what makes results does not use it, and an edit of it must not make them anew (`provenance`).
    if name == "Windows":
        return importlib.import_module("hedgerow.nets.loader").Windows
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def write(path, signal, table, *, names, sfreq, tmin, positions=None, dtype="int16", attrs=None):
    """Write a store, whole or not at all, a few windows at a time.

    Parameters
    ----------
    path : path
        ``..._windows.zarr.zip``.
    signal : array_like, shape (windows, channels, samples)
        In µV; no windows are allowed. Anything with a ``shape`` whose slices along the first axis are arrays will do
        (`hedgerow.windows.Cut`): two passes are made over it, and no more than 16 windows are held at a time.
    table : pandas.DataFrame
        A row per window: ``onset``, ``event``, ``label``, ``zero``, ``hed``, or any columns of numbers or text.
    names : list of str
        Channels.
    sfreq : float
        Sampling rate in Hz.
    tmin : float
        Time of the first sample of a window in s.
    positions : array_like, shape (channels, 3), optional
        In m, in the frame of the 10-05 template (`hedgerow.io.positions`); NaN where unknown.
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
    OSError
        The file cannot be written, for instance since the disk is full; nothing is left behind.
    """
    import zarr

    signal = signal if hasattr(signal, "shape") else np.asarray(signal)
    _check(signal, table, names, dtype, attrs or {})
    peak = _peaks(signal, names)
    scale = np.where(peak > 0, peak / _STEPS, 1.0) if dtype == "int16" else np.ones(len(names))
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
    _shard(group, signal.shape, "<i2" if dtype == "int16" else "<f4")

    def steps(block):
        return np.rint(block / scale[:, None]).astype("<i2") if dtype == "int16" else block.astype("<f4")

    blocks = (steps(block) for block in _blocks(signal)) if all(signal.shape) else ()
    _zip(path, members, blocks, signal.shape)


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
    _zip(path, members)


def read_arrays(path):
    """Read what `write_arrays` wrote: a dict of arrays by name, and the attributes."""
    found = Packed(_remote.get(path), path)
    return {name: column(found, name) for name in found.names}, found.attributes


def index(path):
    """Index of a windows store (DataFrame, a row per window) and its attributes, without its signal."""
    found = Packed(_remote.get(path, stop=_packed.front(path)), path)
    return _index(found), found.attributes


def account(path):
    """Account in a store, read without opening an array (standard library only)."""
    return accounts.of(path)


def manifest(paths, root=None):
    """What stores hold, a row each.

    Parameters
    ----------
    paths : list of path
        Windows stores.
    root : path, optional
        Folder that ``store`` is relative to; otherwise paths are kept as they are given.

    Returns
    -------
    DataFrame
        Columns `MANIFEST`: ``store`` (path), ``status`` and ``reason`` of its account, ``dataset``, ``subject``,
        ``selection`` where its attributes tell them, ``windows``, ``channels``, ``samples`` (numbers), ``sfreq`` (Hz),
        ``size`` (bytes), ``head`` (bytes before those of the samples, by which a ranged request has either) and
        ``sha256`` of the file.
    """
    rows = []
    for path in map(str, paths):
        head = _packed.front(path)
        found = Packed(_remote.get(path, stop=head), path)
        attrs = found.attributes
        told = attrs.get("account") or {"status": "ok"}
        place = [attrs.get(name) for name in ("dataset", "subject", "selection")]
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept = (*found.shape("signal"), attrs["sfreq"], os.path.getsize(path), head, digest)
        name = Path(path).relative_to(root).as_posix() if root is not None else path
        rows.append((name, told["status"], told.get("reason"), *place, *kept))
    return pd.DataFrame(rows, columns=MANIFEST)


def listed(path):
    """Paths of the stores with windows that a manifest (a file) lists."""
    found = table.read(path, text=True)
    return list(found["store"][found["status"] == "ok"])


def open(url_or_path):
    """Store as a Zarr group, read-only; a URL is fetched whole in one request.

    Parameters
    ----------
    url_or_path : path or str
        A path, a URL of http or https, or any that fsspec knows (``s3://``, ``hf://``) where that is installed.

    Returns
    -------
    zarr.Group
    """
    import zarr
    import zarr.buffer

    if not _remote.is_url(url_or_path):
        return zarr.open_group(zarr.storage.ZipStore(url_or_path, mode="r"), mode="r")
    members = Packed(_remote.get(url_or_path), url_or_path).members
    buffers = {name: zarr.buffer.cpu.Buffer.from_bytes(bytes(content)) for name, content in members.items()}
    return zarr.open_group(zarr.storage.MemoryStore(buffers, read_only=True), mode="r")


def read(url_or_path):
    """Windows of a store.

    Parameters
    ----------
    url_or_path : path or str
        As for `open`.

    Returns
    -------
    signal : numpy.ndarray of float32, shape (windows, channels, samples)
        In µV.
    table : pandas.DataFrame
        A row per window.
    attrs : dict
        Attributes of the store.

    Raises
    ------
    OSError
        The store is not there, cannot be had, or is damaged.
    """
    found = Packed(_remote.get(url_or_path), url_or_path)
    steps = found.array("signal")
    signal = steps if steps.dtype == np.float32 else steps * found.array("scale").astype(np.float32)[:, None]
    return signal, _index(found), found.attributes


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
    refuse_unlike(kinds)
    return np.concatenate(signals), pd.concat(tables, ignore_index=True)


def refuse_unlike(kinds):
    """Raise ValueError where `kinds`, a list of stores for each (names, sfreq, samples, tmin), has more than one."""
    if len(kinds) > 1:
        found = "; ".join(
            f"{', '.join(names)} at {sfreq:g} Hz, {samples} samples from {tmin:g} s in {', '.join(where[:5])}"
            + (f" and {len(where) - 5} more" if len(where) > 5 else "")
            for (names, sfreq, samples, tmin), where in kinds.items()
        )
        raise ValueError(f"unlike stores cannot be combined: set channels and sfreq of the selection. Found {found}")


def _check(signal, table, names, dtype, attrs):
    if len(signal.shape) != 3 or tuple(signal.shape[:2]) != (len(table), len(names)):
        raise ValueError(f"signal: {signal.shape} is not ({len(table)} rows of the table, {len(names)} names, samples)")
    if dtype not in ("int16", "float32"):
        raise ValueError(f"dtype: {dtype!r} is neither 'int16' nor 'float32'")
    taken = {"signal", "scale"} & set(table.columns) | {"names", "positions", "sfreq", "tmin", "unit", "columns"} & set(
        attrs
    )
    if taken:
        raise ValueError(f"table, attrs: {', '.join(sorted(taken))} has a meaning in a store: choose another name")


def _blocks(signal):
    """The windows of `signal` as arrays, `_CHUNK` at a time."""
    for first in range(0, signal.shape[0], _CHUNK):
        yield np.asarray(signal[first : first + _CHUNK])


def _peaks(signal, names):
    """Largest magnitude of each channel; a fault where samples are not finite."""
    peak, bad = np.zeros(signal.shape[1]), np.zeros(signal.shape[1], dtype=bool)
    for block in _blocks(signal) if signal.shape[2] else ():
        largest = np.abs(block).max(axis=(0, 2))
        bad |= ~np.isfinite(largest)
        peak = np.maximum(peak, largest)
    if bad.any():
        told = ", ".join(name for name, one in zip(names, bad) if one)
        raise Fault("not-finite", f"windows hold NaN or infinite samples in {told}: mark these channels or times")
    return peak


def _column(column):
    """Array, dimension and attributes that keep a column of the index."""
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(), ["window"], {}
    codes, levels = pd.factorize(column, sort=True)
    return codes.astype("<i4"), ["window"], {"levels": [str(level) for level in levels]}


def column(found, name):
    """Column of an index, or any other array, of a `hedgerow._packed.Packed`; text as text, None where missing."""
    values, levels = found.array(name), found.levels(name)
    if levels is None:
        return values
    return np.array([*levels, None], dtype=object)[values]  # code -1 is the last: missing


def _index(found):
    return pd.DataFrame({name: column(found, name) for name in found.attributes["columns"]})


def _array(group, name, values, dimensions, attributes=None):
    """One array in one chunk."""
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=tuple(max(size, 1) for size in values.shape),
        compressors=_zstd(),
        dimension_names=dimensions,
        attributes=attributes or {},
    )
    if values.size:
        array[:] = values


def _shard(group, shape, dtype):
    """The array of the samples, without them: one shard of chunks of some windows."""
    windows, *rest = (max(size, 1) for size in shape)
    chunk = min(_CHUNK, windows)
    group.create_array(
        "signal",
        shape=shape,
        dtype=dtype,
        chunks=(chunk, *rest),
        shards=(-(-windows // chunk) * chunk, *rest),
        compressors=_zstd(),
        dimension_names=["window", "channel", "time"],
    )


def _zstd():
    from zarr.codecs import ZstdCodec

    return ZstdCodec(level=_LEVEL)


def _zip(path, members, blocks=(), shape=()):
    """Zip archive of `members` in a fixed order and without time stamps, so that equal stores are equal files.

    The samples come last, as `blocks` of a signal of a `shape` give them.
    """
    scratch = Path(f"{path}.tmp")
    try:
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(members, key=lambda name: (name != "zarr.json", name.startswith("signal/"), name)):
                archive.writestr(_member(name), members[name].to_bytes())
            if blocks:
                samples = _member(_packed.SIGNAL)
                samples.file_size = 4 * math.prod(shape)  # no less than it will be: may its length need 64 bits?
                with archive.open(samples, "w") as file:
                    _packed.encode(file, blocks, min(_CHUNK, shape[0]), _LEVEL)
        os.replace(scratch, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        if isinstance(error, OSError) and error.errno in _packed.FULL:
            raise OSError(error.errno, f"{path} cannot be written ({error.strerror}): make room there") from None
        raise


def _member(name):
    return zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
