"""The fast reader against zarr, and what it says of bytes that are no store."""

import io
import zipfile

import numpy as np
import pytest
import zarr

from hedgerow import _packed, store
from hedgerow._packed import Damaged, Foreign, Packed
from stores import index


def write(path, signal, dtype="int16"):
    names = [str(n) for n in range(signal.shape[1])]
    store.write(path, signal, index(len(signal)), names=names, sfreq=100.0, tmin=0.0, dtype=dtype)
    return path


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("windows", [1, 15, 16, 17, 32, 70])
def test_zarr_and_the_fast_reader_see_the_same(tmp_path, rng, windows, dtype):
    signal = rng.standard_normal((windows, 4, 30))
    signal[windows // 2 :] = 0
    path = write(tmp_path / "a.zarr.zip", signal, dtype)
    group, found = zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r"), Packed(path.read_bytes(), path)
    assert found.names == sorted(name for name, _ in group.arrays())
    assert found.attributes == dict(group.attrs)
    for name in found.names:
        np.testing.assert_array_equal(found.array(name), group[name][:])
        assert found.array(name).dtype == group[name].dtype and found.shape(name) == group[name].shape


def test_what_zarr_writes_is_read(tmp_path, rng):
    """Shards whose chunks are in another order, chunks of the fill value, which zarr leaves out, and arrays alike."""
    members = {}
    group = zarr.create_group(zarr.storage.MemoryStore(members), zarr_format=3)
    values = rng.integers(-5, 5, (40, 3, 8)).astype("<i2")
    values[16:32] = 0
    codec = zarr.codecs.ZstdCodec(level=3)
    kwargs = {"dtype": "<i2", "compressors": codec}
    group.create_array("signal", shape=values.shape, chunks=(16, 3, 8), shards=(48, 3, 8), **kwargs)[:] = values
    group.create_array("zeros", shape=(4,), chunks=(4,), **kwargs)[:] = 0
    content = _zipped({name: buffer.to_bytes() for name, buffer in members.items()})
    found = Packed(content, "made")
    np.testing.assert_array_equal(found.array("signal"), values)
    np.testing.assert_array_equal(found.array("zeros"), np.zeros(4))


def _zipped(members, **kwargs):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **kwargs) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_the_front_tells_all_but_the_samples(tmp_path, rng):
    path = write(tmp_path / "a.zarr.zip", rng.standard_normal((40, 4, 30)))
    content, front = path.read_bytes(), _packed.front(path)
    with zipfile.ZipFile(path) as archive:
        last = archive.infolist()[-1]
        # of the 30 bytes of a header and of the name
        assert last.filename == _packed.SIGNAL and front == last.header_offset + 30 + len(last.filename)
        assert content[front : front + last.file_size] == archive.read(last)
    head, whole = Packed(content[:front], path), Packed(content, path)
    assert set(whole.members) - set(head.members) == {_packed.SIGNAL}
    assert head.shape("signal") == (40, 4, 30) and head.dtype("signal") == np.int16
    np.testing.assert_array_equal(head.array("onset"), np.arange(40) * 2.0)


def test_a_store_without_windows_is_all_front(tmp_path):
    store.write_empty(tmp_path / "a.zarr.zip", {"status": "quarantined"})
    content = (tmp_path / "a.zarr.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zarr.zip") as archive:
        assert _packed.front(tmp_path / "a.zarr.zip") == archive.start_dir
    assert Packed(content, "a").array("signal").shape == (0, 0, 0)


def test_lengths_of_64_bits_are_read(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("zarr.json", "{}")
        archive.writestr("signal/zarr.json", "{}")
        with archive.open(zipfile.ZipInfo("large/zarr.json"), "w", force_zip64=True) as file:
            file.write(b"12345")
        with archive.open(zipfile.ZipInfo(_packed.SIGNAL), "w", force_zip64=True) as file:
            file.write(b"678")
    content = path.read_bytes()
    # what zipfile writes for a member of over 4 GB: sizes in the extra field alone
    for name, size in ((b"large/zarr.json", 5), (_packed.SIGNAL.encode(), 3)):
        at = content.index(name) - 30
        sizes = size.to_bytes(4, "little")
        assert content[at + 18 : at + 26] in (sizes * 2, b"\xff" * 8)
        content = content[: at + 18] + b"\xff" * 8 + content[at + 26 :]
        begin = at + 30 + len(name)
        content = content[: begin + 4] + size.to_bytes(8, "little") * 2 + content[begin + 20 :]
    path.write_bytes(content)
    assert bytes(Packed(content, "a").members["large/zarr.json"]) == b"12345"
    assert content[_packed.front(path) :].startswith(b"678")


def test_a_cut_or_changed_store_is_damaged_wherever_it_is(tmp_path, rng):
    path = write(tmp_path / "a.zarr.zip", rng.standard_normal((20, 2, 30)))
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
        names = [(member.header_offset, len(member.filename)) for member in archive.infolist()]

    def samples(changed):
        found = Packed(changed, "a")
        return [found.array(name) for name in ("onset", "event", "label", "zero", "hed", "scale", "signal")]

    samples(content[:directory])
    for end in range(0, directory, 97):
        with pytest.raises(Damaged, match=r"a is damaged: .*make it or fetch it again"):
            samples(content[:end])
    for at in range(0, directory, 41):
        if any(offset + 4 <= at < offset + 14 for offset, _ in names):
            continue  # versions, flags and dates, which say nothing about the content
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        with pytest.raises((Damaged, Foreign)):
            samples(changed)


@pytest.mark.parametrize("kind", ["compressed", "chunks", "codec"])
def test_a_store_of_another_make_is_foreign(tmp_path, kind):
    members = {}
    group = zarr.create_group(zarr.storage.MemoryStore(members), zarr_format=3)
    how = {"compressors": zarr.codecs.GzipCodec() if kind == "codec" else zarr.codecs.ZstdCodec(level=3)}
    how["chunks"] = (2,) if kind == "chunks" else (4,)
    group.create_array("x", shape=(4,), dtype="<i4", **how)[:] = 7
    contents = {name: buffer.to_bytes() for name, buffer in members.items()}
    content = _zipped(contents, compression=zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED)
    with pytest.raises(Foreign, match=r"b is not as hedgerow writes a store.*zarr"):
        Packed(content, "b").array("x")
