"""The windows store: what goes in comes out, in one file that is the same each time."""

import errno
import hashlib
import json
import threading
import tracemalloc
import zipfile
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler

import numpy as np
import pandas as pd
import pytest
import zarr

from hedgerow import store
from hedgerow.account import Fault

NAMES = ["Fz", "Cz", "Oz"]


@pytest.fixture
def signal(rng):
    """37 windows (more than two chunks) of channels with magnitudes of 0.1 µV to 1 mV."""
    return rng.standard_normal((37, 3, 50)) * np.array([0.03, 20.0, 300.0])[:, None]


@pytest.fixture
def table():
    n = 37
    return pd.DataFrame(
        {
            "onset": np.arange(n) * 2.004,
            "event": np.arange(n)[::-1],
            "label": ["left", "right", np.nan, "left"] * 9 + ["right"],
            "zero": np.arange(n) * 2.004 + 0.2,
            "hed": ["Sensory-event, (Red, Circle)", "Rest"] * 18 + ["Rest"],
        }
    )


def write(path, signal, table, **kwargs):
    store.write(path, signal, table, **{"names": NAMES, "sfreq": 128.0, "tmin": -0.2, **kwargs})
    return path


def test_what_goes_in_comes_out(tmp_path, signal, table):
    account = {"status": "ok", "windows": {"left": 18}}
    positions = np.array([[0, 0.08, 0.05], [0, 0, 0.1], [np.nan] * 3])
    path = write(tmp_path / "a.zarr.zip", signal, table, positions=positions, attrs={"account": account, "source": "é"})
    got, index, attrs = store.read(path)
    assert got.dtype == np.float32
    pd.testing.assert_frame_equal(index, table)
    assert attrs["names"] == NAMES and attrs["sfreq"] == 128.0 and attrs["tmin"] == -0.2 and attrs["unit"] == "µV"
    assert attrs["positions"] == [[0, 0.08, 0.05], [0, 0, 0.1], None]
    assert attrs["source"] == "é"
    assert store.account(path) == attrs["account"] == account


def test_quantisation_error_is_bounded_per_channel(tmp_path, signal, table):
    signal[:, 2] *= 100  # a channel with artefacts must not coarsen the others
    path = write(tmp_path / "a.zarr.zip", signal, table)
    got = store.read(path)[0]
    peak = np.abs(signal).max(axis=(0, 2))
    error = np.abs(got - signal).max(axis=(0, 2))
    assert (error <= peak / 32767 / 2 * (1 + 1e-3) + 2e-7 * peak).all()
    assert (error > peak / 32767 / 4).all()  # the bound is not idle
    np.testing.assert_allclose(store.open(path)["scale"][:], peak / 32767)


def test_float32_is_kept_exactly(tmp_path, signal, table):
    got = store.read(write(tmp_path / "a.zarr.zip", signal, table, dtype="float32"))[0]
    np.testing.assert_array_equal(got, signal.astype(np.float32))


def test_two_writes_give_the_same_file_and_leave_no_scratch(tmp_path, signal, table):
    digests = set()
    for name in ("a.zarr.zip", "b.zarr.zip"):
        path = write(tmp_path / name, signal, table, attrs={"account": {"b": 1, "a": 2}})
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr.zip", "b.zarr.zip"]
    signal[3, 1, 4] += 1
    assert hashlib.sha256(write(path, signal, table).read_bytes()).hexdigest() not in digests


def test_members_are_plain_zarr_v3_written_once(tmp_path, signal, table):
    path = write(tmp_path / "a.zarr.zip", signal, table)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        header = json.loads(archive.read("signal/zarr.json"))
    names = [member.filename for member in members]
    assert names[0] == "zarr.json" and names[-1] == "signal/c/0/0/0" and len(set(names)) == len(names)
    assert [name for name in names if name.startswith("signal/c")] == ["signal/c/0/0/0"]  # one shard
    assert all(member.compress_type == zipfile.ZIP_STORED for member in members)
    assert header["zarr_format"] == 3 and header["data_type"] == "int16"
    assert header["dimension_names"] == ["window", "channel", "time"]


def test_each_hed_string_is_written_once(tmp_path, signal, table):
    group = store.open(write(tmp_path / "a.zarr.zip", signal, table))
    assert group["hed"].attrs["levels"] == ["Rest", "Sensory-event, (Red, Circle)"]
    assert group["hed"][:3].tolist() == [1, 0, 1]
    assert group["label"][2] == -1


def test_xarray_opens_it(tmp_path, signal, table):
    xarray = pytest.importorskip("xarray")
    path = write(tmp_path / "a.zarr.zip", signal, table)
    data = xarray.open_zarr(zarr.storage.ZipStore(path, mode="r"), consolidated=False)
    got = (data["signal"] * data["scale"]).transpose("window", "channel", "time")
    np.testing.assert_allclose(got, store.read(path)[0], rtol=1e-6)


def test_a_url_is_read_in_one_request(tmp_path, signal, table):
    path = write(tmp_path / "a.zarr.zip", signal, table)
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    server = HTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        got, index, _ = store.read(f"http://127.0.0.1:{server.server_port}/a.zarr.zip")
    finally:
        server.shutdown()
        server.server_close()
    np.testing.assert_array_equal(got, store.read(path)[0])
    assert len(index) == 37 and asked == ["/a.zarr.zip"]


def test_a_store_without_windows_carries_its_account(tmp_path, signal, table):
    path = tmp_path / "a.zarr.zip"
    store.write_empty(path, {"status": "quarantined", "reason": "no-match"})
    got, index, _ = store.read(path)
    assert got.shape == (0, 0, 0) and len(index) == 0
    assert list(index) == ["onset", "event", "label", "zero", "hed"]
    assert store.account(path) == {"status": "quarantined", "reason": "no-match"}
    write(path, signal[:0], table[:0])  # known channels, but no window
    assert store.read(path)[0].shape == (0, 3, 50)


def test_a_channel_of_zeros_and_a_full_scale_one(tmp_path, table):
    signal = np.zeros((37, 3, 4))
    signal[:, 1] = [-5.0, 5.0, 0.0, 2.5]
    got = store.read(write(tmp_path / "a.zarr.zip", signal, table))[0]
    assert (got[:, 0] == 0).all()
    np.testing.assert_allclose(got[:, 1], signal[:, 1], atol=5 / 32767)


def test_load_combines_alike_stores_and_passes_over_empty_ones(tmp_path, signal, table):
    paths = [
        write(tmp_path / "a.zarr.zip", signal[:20], table[:20]),
        tmp_path / "b.zarr.zip",
        write(tmp_path / "c.zarr.zip", signal[20:], table[20:]),
    ]
    store.write_empty(paths[1], {})
    got, index = store.load(paths)
    np.testing.assert_allclose(got, signal, atol=np.abs(signal).max() / 32767)
    assert index["store"].tolist() == [str(paths[0])] * 20 + [str(paths[2])] * 17
    assert index["event"].tolist() == table["event"].tolist()
    with pytest.raises(ValueError, match="none of 1 stores"):
        store.load(paths[1:2])


@pytest.mark.parametrize(
    ("other", "words"),
    [({"names": ["Fz", "Cz", "Pz"]}, "Pz"), ({"sfreq": 100.0}, "100 Hz"), ({"tmin": 0.0}, "from 0 s")],
)
def test_load_refuses_unlike_stores_with_the_list(tmp_path, signal, table, other, words):
    paths = [write(tmp_path / "a.zarr.zip", signal, table), write(tmp_path / "b.zarr.zip", signal, table, **other)]
    with pytest.raises(ValueError, match="cannot be combined") as error:
        store.load(paths)
    assert all(str(path) in str(error.value) for path in paths) and words in str(error.value)


def test_nothing_is_written_for_bad_input(tmp_path, signal, table):
    path = tmp_path / "a.zarr.zip"
    for kwargs, words in [
        ({"names": ["Fz", "Cz"]}, "names"),
        ({"dtype": "int8"}, "dtype"),
        ({"attrs": {"sfreq": 1}}, "sfreq"),
        ({"attrs": {"account": {"d": np.nan}}}, "JSON"),
    ]:
        with pytest.raises(ValueError, match=words):
            write(path, signal, table, **kwargs)
    signal[5, 1, 7] = np.nan
    with pytest.raises(Fault, match="Cz") as fault:
        write(path, signal, table)
    assert fault.value.code == "not-finite"
    assert list(tmp_path.iterdir()) == []


class Lazy:
    """Windows that are made when they are asked for."""

    def __init__(self, windows, made):
        self.shape, self._made = (windows, 8, 500), made

    def __getitem__(self, chosen):
        numbers = np.arange(self.shape[0])[chosen]
        self._made.append(len(numbers))
        return np.sin(numbers[:, None, None] + np.arange(8)[:, None] + np.arange(500) / 50.0) * 30


def test_a_store_is_written_in_memory_for_a_few_windows(tmp_path):
    """800 windows are 26 MB as they are cut; a store of them is written in a tenth of that."""
    made, table = [], pd.DataFrame({"onset": np.arange(800) / 10.0})
    kwargs = {"names": list("ABCDEFGH"), "sfreq": 250.0, "tmin": 0.0}
    store.write(tmp_path / "warm.zarr.zip", Lazy(2, []), table[:2], **kwargs)
    tracemalloc.start()
    store.write(tmp_path / "a.zarr.zip", Lazy(800, made), table, **kwargs)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 800 * 8 * 500 * 8 / 10
    assert max(made) == 16 and sum(made) == 2 * 800
    whole = Lazy(800, [])[:]
    np.testing.assert_allclose(store.read(tmp_path / "a.zarr.zip")[0], whole, atol=30 / 32767)
    store.write(tmp_path / "b.zarr.zip", whole, table, **kwargs)
    assert (tmp_path / "a.zarr.zip").read_bytes() == (tmp_path / "b.zarr.zip").read_bytes()


def test_overlapping_windows_are_cut_as_they_are_written(tmp_path, rng):
    from hedgerow import windows

    x, onsets = rng.standard_normal((3, 4000)), np.arange(300) * 0.1
    cut = windows.Cut(x, 100.0, onsets, 200, -0.5, (-0.5, 0.0))
    whole = windows.subtract_baseline(windows.cut(x, 100.0, onsets, 200), 100.0, -0.5, (-0.5, 0.0))
    assert cut.shape == whole.shape and len(cut) == 300
    np.testing.assert_array_equal(cut[17:40], whole[17:40])
    table = pd.DataFrame({"onset": onsets})
    write(tmp_path / "a.zarr.zip", cut, table, dtype="float32")
    np.testing.assert_array_equal(store.read(tmp_path / "a.zarr.zip")[0], whole.astype(np.float32))
    with pytest.raises(ValueError, match="baseline"):
        windows.Cut(x, 100.0, onsets, 200, -0.5, (-1.0, 0.0))


def test_a_full_disk_leaves_nothing_and_is_told(tmp_path, signal, table, monkeypatch):
    path = write(tmp_path / "a.zarr.zip", signal, table)
    before = path.read_bytes()

    def full(file, *args):
        file.write(b"some of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store._packed, "encode", full)
    with pytest.raises(OSError, match=r"a\.zarr\.zip cannot be written \(No space left on device\): make room there"):
        write(path, signal[:3], table[:3])
    assert path.read_bytes() == before and [each.name for each in tmp_path.iterdir()] == ["a.zarr.zip"]


def test_a_manifest_tells_bounds_and_digests(tmp_path, signal, table):
    paths = [tmp_path / "a" / "x.zarr.zip", tmp_path / "a" / "y.zarr.zip"]
    paths[0].parent.mkdir()
    attrs = {"dataset": "d", "subject": "01", "selection": "eyes", "account": {"status": "ok"}}
    write(paths[0], signal, table, attrs=attrs)
    store.write_empty(paths[1], {"status": "quarantined", "reason": "no-match"})
    found = store.manifest(paths, tmp_path)
    assert list(found) == store.MANIFEST and found["store"].tolist() == ["a/x.zarr.zip", "a/y.zarr.zip"]
    first, second = found.to_dict("records")
    assert (first["windows"], first["channels"], first["samples"], first["sfreq"]) == (37, 3, 50, 128.0)
    assert (first["dataset"], first["subject"], first["selection"], first["status"]) == ("d", "01", "eyes", "ok")
    content = paths[0].read_bytes()
    assert first["size"] == len(content) and first["sha256"] == hashlib.sha256(content).hexdigest()
    # the samples alone: one range, in which each chunk can be found
    with zipfile.ZipFile(paths[0]) as archive:
        assert content[first["head"] :].startswith(archive.read("signal/c/0/0/0"))
    assert (second["status"], second["reason"], second["windows"]) == ("quarantined", "no-match", 0)
    assert store.manifest(paths)["store"].tolist() == list(map(str, paths))


def test_a_damaged_store_is_named(tmp_path, signal, table):
    path = write(tmp_path / "a.zarr.zip", signal, table)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(store.Damaged, match=r"a\.zarr\.zip is damaged: .*make it or fetch it again"):
        store.read(path)
    with pytest.raises(store.Unavailable, match=r"b\.zarr\.zip is not there"):
        store.read(tmp_path / "b.zarr.zip")
