"""Fast reading and writing of what a store keeps: members of an uncompressed zip archive, arrays of Zarr v3.

A store is plain Zarr v3, and any reader of it will do. This one knows just what `hedgerow.store` writes (arrays of one
chunk, and one shard of chunks along the first axis, each of little-endian bytes under zstd), and reads it forty times
as fast. The samples stand last in the archive, so that its first bytes tell all else.
"""

import errno
import json
import math
import struct
import zlib
from functools import cached_property

import numpy as np

#: Member of the archive that holds the samples, the last one.
SIGNAL = "signal/c/0/0/0"
#: What the system says where there is no room to write.
FULL = (errno.ENOSPC, errno.EDQUOT)
_HEADER = struct.Struct("<4s2x2H4x3L2H")
_MISSING = 2**64 - 1


class Foreign(ValueError):
    """A store that may be sound, but is not as `hedgerow.store` writes it."""


class Damaged(OSError):
    """Bytes that are no whole store: cut off, or not what was written."""


class Packed:
    """Members and arrays of a store, from its bytes.

    Parameters
    ----------
    data : bytes-like
        The archive, or its first bytes: a member that is cut off is not there.
    place : path or str
        Where they are from, for messages.

    Raises
    ------
    Foreign, Damaged
        These and all methods; the message names `place`.
    """

    def __init__(self, data, place):
        self.place = place
        self.members, self._read = {}, {}
        data, at = memoryview(data), 0
        while at + _HEADER.size <= len(data) and data[at : at + 4] == b"PK\x03\x04":
            label, begin, size, crc = self._member(data, at)
            at = begin + size
            if at <= len(data):
                content = self.members[label] = data[begin:at]
                if zlib.crc32(content) != crc:
                    raise self._damaged(f"the checksum of its member {label} does not agree")
        # behind the last member stands the directory
        self._cut = bytes(data[at : at + 4]) != b"PK\x01\x02"
        known = {name.removesuffix("/zarr.json") for name in self.members if name.endswith("zarr.json")}
        odd = [name for name in self.members if name.split("/")[0] not in known]
        if "zarr.json" not in self.members:
            raise self._damaged("it does not begin as a store does")
        if odd and not self._cut:
            raise self._damaged(f"its member {odd[0]} is of no array")

    def _member(self, data, at):
        """Name, first byte, length and checksum of the member whose header stands `at`."""
        _, flags, method, crc, size, whole, name, extra = _HEADER.unpack_from(data, at)
        begin = at + _HEADER.size + name
        if method or flags & 0x8:
            raise self._foreign("its members are compressed, or of a size that is told behind them")
        label = bytes(data[at + _HEADER.size : begin]).decode("utf-8", "replace")
        if size != whole:
            raise self._damaged(f"its member {label} has two lengths")
        if size == 0xFFFFFFFF:
            size = large(data[begin : begin + extra])
        return label, begin + extra, size, crc

    @cached_property
    def attributes(self):
        """Attributes of the group."""
        return self._json("zarr.json").get("attributes", {})

    @property
    def names(self):
        """Names of the arrays, sorted."""
        return sorted(name.removesuffix("/zarr.json") for name in self.members if name.endswith("/zarr.json"))

    def levels(self, name):
        """Distinct texts of a column, or None where it holds numbers."""
        return self._json(f"{name}/zarr.json").get("attributes", {}).get("levels")

    def shape(self, name):
        """Shape of an array."""
        return tuple(self._json(f"{name}/zarr.json")["shape"])

    def dtype(self, name):
        """Type of an array's values."""
        kind = self._json(f"{name}/zarr.json")["data_type"]
        if not isinstance(kind, str):
            raise self._foreign(f"its array {name} is of type {kind}")
        return np.dtype(kind).newbyteorder("<")

    def array(self, name):
        """Values of an array (ndarray), decoded."""
        header, shape, dtype = self._json(f"{name}/zarr.json"), self.shape(name), self.dtype(name)
        if 0 in shape:
            return np.zeros(shape, dtype)
        grid, codecs = header["chunk_grid"]["configuration"]["chunk_shape"], header["codecs"]
        if any(n > size for n, size in zip(shape, grid)):
            raise self._foreign(f"its array {name} is in several chunks or shards")
        key = f"{name}/" + "/".join(["c", *("0" for _ in shape)])
        content = self.members.get(key)
        if content is None and any(other.startswith(f"{name}/c") for other in self.members):
            raise self._foreign(f"the values of its array {name} are not in {key}")
        # what is of no sample stands before the description of the samples
        if content is None and self._cut and (name == "signal" or "signal/zarr.json" not in self.members):
            raise self._damaged(f"it ends before the values of its array {name}")
        if content is None:  # Zarr writes no chunk that holds the fill value alone
            return np.full(shape, header["fill_value"], dtype)
        if codecs[0]["name"] == "sharding_indexed":
            return self._shard(content, codecs[0]["configuration"], shape, dtype, name)
        out = np.empty(grid, dtype)
        self._decode(content, codecs, out, name)
        return out[tuple(slice(n) for n in shape)]

    def _shard(self, content, config, shape, dtype, name):
        """Array in one shard, whose chunks follow the first axis."""
        (size, *rest), (chunk, *whole) = shape, config["chunk_shape"]
        index = [codec["name"] for codec in config["index_codecs"]]
        if whole != rest or index != ["bytes", "crc32c"] or config.get("index_location", "end") != "end":
            raise self._foreign(f"the chunks of its array {name} do not follow the first axis")
        count = math.ceil(size / chunk)
        if len(content) < 16 * count + 4:
            raise self._damaged(f"the shard of its array {name} is too short")
        places = struct.unpack_from(f"<{2 * count}Q", content, len(content) - 16 * count - 4)
        # the last chunk may hold some windows too many
        out = np.empty((count * chunk, *rest), dtype)
        for number, (begin, length) in enumerate(zip(places[::2], places[1::2])):
            part = out[number * chunk : (number + 1) * chunk]
            if begin == _MISSING:
                part[...] = 0
            else:
                self._decode(content[begin : begin + length], config["codecs"], part, name)
        return out[:size]

    def _decode(self, content, codecs, out, name):
        from numcodecs import zstd

        kinds = [codec["name"] for codec in codecs]
        if kinds != ["bytes", "zstd"] or codecs[0].get("configuration", {}).get("endian", "little") != "little":
            raise self._foreign(f"its array {name} is coded as {', '.join(kinds)}")
        try:
            zstd.decompress(content, out)
        except (RuntimeError, ValueError) as error:
            raise self._damaged(f"a chunk of its array {name} cannot be decoded ({error})") from None

    def _json(self, name):
        if name in self._read:
            return self._read[name]
        try:
            return self._read.setdefault(name, json.loads(bytes(self.members[name])))
        except KeyError:
            raise self._damaged(f"its member {name} is missing") from None
        except ValueError as error:
            raise self._damaged(f"its member {name} is no JSON ({error})") from None

    def _damaged(self, why):
        return Damaged(f"{self.place} is damaged: {why}; make it or fetch it again")

    def _foreign(self, why):
        return Foreign(f"{self.place} is not as hedgerow writes a store: {why}; open it with zarr")


def large(extra):
    """Length of a member beyond 4 GB, from the extra field of its header."""
    while len(extra) >= 20:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == 1:
            return struct.unpack_from("<Q", extra, 12)[0]
        extra = extra[4 + length :]
    raise Damaged("the length of a member is not told")


def front(path):
    """Number of bytes of a store before those of its samples, or of all members where it has no sample."""
    at = 0
    with open(path, "rb") as file:
        while len(header := file.read(_HEADER.size)) == _HEADER.size and header.startswith(b"PK\x03\x04"):
            *_, size, _, name, extra = _HEADER.unpack(header)
            label, field = file.read(name), file.read(extra)
            at += _HEADER.size + name + extra
            if label == SIGNAL.encode():
                return at
            at += large(field) if size == 0xFFFFFFFF else size
            file.seek(at)
    return at


def encode(file, blocks, chunk, level):
    """Write the one shard of an array to a binary file, block by block.

    Parameters
    ----------
    file : binary file
    blocks : iterable of ndarray
        Each of `chunk` entries of the first axis, the last one perhaps of fewer.
    chunk : int
    level : int
        Of zstd.
    """
    import google_crc32c
    from numcodecs import zstd

    places, at = [], 0
    for block in blocks:
        if len(block) < chunk:
            block = np.concatenate([block, np.zeros((chunk - len(block), *block.shape[1:]), block.dtype)])
        coded = zstd.compress(np.ascontiguousarray(block), level)
        places += [at, len(coded)]
        at += file.write(coded)
    index = struct.pack(f"<{len(places)}Q", *places)
    file.write(index + struct.pack("<L", google_crc32c.value(index)))
