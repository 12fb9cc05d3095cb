"""Bytes by path or URL: ranges, faults of servers, and how often they are asked."""

import pytest

from hedgerow import _remote, store
from hedgerow._remote import Unavailable
from served import Served

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a b.bin").write_bytes(CONTENT)
    return tmp_path


@pytest.fixture
def served(folder, monkeypatch):
    monkeypatch.setattr(_remote, "WAIT", 0.001)
    with Served(folder) as server:
        yield server


def url(served):
    return _remote.join(served.url, "a b.bin")


@pytest.mark.parametrize(("start", "stop"), [(0, None), (0, 10), (100, 5000), (10_000, None)])
def test_a_part_is_the_same_by_path_and_by_url(folder, served, start, stop):
    wanted = CONTENT[start:stop]
    assert _remote.get(folder / "a b.bin", start=start, stop=stop) == wanted
    assert _remote.get(url(served), start=start, stop=stop) == wanted
    assert _remote.get(f"file://{folder}/a%20b.bin", start=start, stop=stop) == wanted
    assert served.sent == len(wanted)


def test_a_server_without_ranges_is_read_all_the_same(folder):
    with Served(folder, ranges=False) as server:
        assert _remote.get(url(server), start=7, stop=20) == CONTENT[7:20]


@pytest.mark.parametrize("faults", [[500], [503, 502, 429, 504], ["cut"], ["cut", 500, "stall"]])
def test_what_may_pass_is_asked_for_again(served, faults):
    served.faults["a b.bin"] = list(faults)
    assert _remote.get(url(served), timeout=0.2) == CONTENT
    assert served.requests["a b.bin"] == len(faults) + 1


@pytest.mark.parametrize("fault", [500, "cut", "stall"])
def test_what_does_not_pass_is_given_up(served, fault):
    served.faults["a b.bin"] = [fault] * 100
    with pytest.raises(Unavailable, match=r"a%20b\.bin cannot be had, after 5 tries .*try later"):
        _remote.get(url(served), timeout=0.1)
    assert served.requests["a b.bin"] == _remote.TRIES


@pytest.mark.parametrize(
    ("status", "words"), [(404, "not there"), (410, "not there"), (403, "may not be read"), (418, "418")]
)
def test_what_is_refused_for_good_is_told_at_once(served, status, words):
    served.faults["a b.bin"] = [status]
    with pytest.raises(Unavailable, match=words):
        _remote.get(url(served))
    assert served.requests["a b.bin"] == 1


def test_a_server_is_left_alone_as_long_as_it_asks(served, monkeypatch):
    waits = []
    monkeypatch.setattr(_remote.time, "sleep", waits.append)
    monkeypatch.setattr(_remote, "_after", lambda text: 7.0)
    served.delay = 0
    served.faults["a b.bin"] = [503]
    assert _remote.get(url(served)) == CONTENT
    assert 7.0 in waits
    monkeypatch.undo()
    assert _remote._after("12") == 12 and _remote._after("soon") == 0 and _remote._after(None) == 0
    assert _remote._after("Wed, 21 Oct 2037 07:28:00 GMT") > 1e8


def test_a_trickle_counts_as_a_stall(served, monkeypatch):
    monkeypatch.setattr(_remote, "SLOWEST", 1e9)
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(_remote.time, "monotonic", lambda: next(clock))
    with pytest.raises(Unavailable, match=r"no more than \d+ bytes came in"):
        _remote.get(url(served))


def test_nobody_there(served):
    served.close()
    with pytest.raises(Unavailable, match="after 5 tries"):
        _remote.get(url(served))


def test_paths_and_urls_that_lead_nowhere(tmp_path):
    with pytest.raises(Unavailable, match="gone is not there"):
        _remote.get(tmp_path / "gone")
    with pytest.raises(Unavailable, match="http://:x"):
        _remote.get("http://:x")
    with pytest.raises(Unavailable, match=r"nosuch:// needs fsspec|nosuch"):
        store.read("nosuch://place/a.zarr.zip")


def test_other_schemes_go_through_fsspec():
    fsspec = pytest.importorskip("fsspec")
    fsspec.filesystem("memory").pipe("/a.bin", CONTENT)
    assert _remote.get("memory://a.bin", start=3, stop=9) == CONTENT[3:9]
    with pytest.raises(Unavailable, match="not there"):
        _remote.get("memory://b.bin")
