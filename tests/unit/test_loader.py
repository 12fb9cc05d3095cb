"""Windows of many stores as torch datasets: the right samples and targets, by path and URL, at random and streamed."""

import pickle
import shutil
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from hedgerow import _remote, store, table
from served import Served
from stores import index, publish

torch = pytest.importorskip("torch")
DataLoader = torch.utils.data.DataLoader


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    return folder, publish(folder)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, which is where datasets look unless told otherwise."""
    monkeypatch.setenv("HEDGEROW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(_remote, "WAIT", 0.001)
    return tmp_path / "cache"


@pytest.fixture
def served(made):
    with Served(made[0]) as server:
        yield server


def whole(held):
    return np.concatenate([held[subject] for subject in sorted(held)])


def test_samples_are_those_of_the_stores(made, cache, rng):
    folder, held = made
    windows = store.Windows(folder)
    assert windows.shape == (110, 3, 50) and len(windows) == 110 and windows.classes == ["closed", "open"]
    x, y = windows[:]
    np.testing.assert_array_equal(x.numpy(), whole(held))
    assert x.dtype == torch.float32 and y.dtype == torch.int64 and y.tolist()[:3] == [0, 1, 0]
    chosen = rng.permutation(110)[:40]
    np.testing.assert_array_equal(windows[chosen][0].numpy(), whole(held)[chosen])
    np.testing.assert_array_equal(windows[chosen.tolist()][1].numpy(), y.numpy()[chosen])
    np.testing.assert_array_equal(windows[-1][0].numpy(), whole(held)[-1])
    with pytest.raises(IndexError):
        windows[110]
    assert windows.names == ["E1", "E2", "E3"] and windows.sfreq == 25.0 and windows.tmin == 0.0
    assert repr(windows) == "<110 windows of 5 people, 3 channels x 50 samples at 25 Hz; label of closed, open>"


def test_float32_stores_are_read_to_the_bit(tmp_path, cache):
    held = publish(tmp_path / "a", dtype="float32")
    x = store.Windows(tmp_path / "a")[:][0]
    np.testing.assert_array_equal(x.numpy(), whole(held))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_every_window_once(made, cache, served, workers):
    windows = store.Windows(served.url)
    torch.manual_seed(3)
    batches = list(DataLoader(windows, batch_size=16, shuffle=True, num_workers=workers))
    got = torch.cat([x for x, _ in batches]).numpy()
    assert sorted(map(bytes, got)) == sorted(map(bytes, whole(made[1])))
    order = torch.cat([y for _, y in batches])
    assert order.tolist() != sorted(order.tolist()) and order.sum() == windows.y.sum()


def test_a_url_is_asked_once_for_each_store_and_never_again(made, cache, served):
    windows = store.Windows(served.url, target="sex")
    heads = served.sent
    x, _ = windows[:]
    np.testing.assert_array_equal(x.numpy(), whole(made[1]))
    places = [name for name in served.requests if name.endswith(".zip")]
    assert len(places) == 5 and all(served.requests[name] == 2 for name in places)  # its head, and the whole
    assert heads < 5 * 8000
    served.requests.clear()
    again = store.Windows(served.url, target="sex")
    np.testing.assert_array_equal(again[:][0].numpy(), x.numpy())
    assert set(served.requests) == {"manifest.tsv", "participants.tsv"}
    assert len(list(cache.rglob("*.npy"))) == 5 and not list(cache.rglob("*.tmp"))


def test_the_cache_is_that_of_equal_stores_wherever_they_are(made, cache, served, tmp_path):
    shutil.copytree(made[0], tmp_path / "copy")
    store.Windows(tmp_path / "copy")[:]
    windows = store.Windows(served.url)
    served.requests.clear()
    windows[:]
    assert not served.requests


def test_targets_come_from_index_participants_and_events(made, cache):
    folder, _ = made
    sex = store.Windows(folder, "eyes", target="sex")
    assert sex.classes == ["F", "M"] and sex.y.tolist() == [0] * 20 + [1] * 21 + [0] * 22 + [1] * 23 + [0] * 24
    with pytest.warns(UserWarning, match="20 windows of 1 people have no age"):
        age = store.Windows(folder, target="age")
    assert age.classes is None and age.y.dtype == torch.float32 and len(age) == 90
    assert sorted(set(age.y.tolist())) == [21, 22, 23, 24]
    loud = store.Windows(folder, target="loud", classes=["2", "0"])
    assert loud.classes == ["2", "0"] and set(loud.y.tolist()) == {0, 1}
    wanted = [number for number in range(110) if _event(number) % 3 != 1]
    assert len(loud) == len(wanted)
    np.testing.assert_array_equal(loud[:][0].numpy(), whole(made[1])[wanted])
    assert loud.y.tolist() == [{2: 0, 0: 1}[_event(number) % 3] for number in wanted]


def _event(number):
    """Number of a window in its store."""
    for windows in range(20, 25):
        if number < windows:
            return number
        number -= windows
    raise AssertionError


def test_where_chooses_windows(made, cache):
    folder, held = made
    some = store.Windows(
        folder, target="sex", where={"label": "open", "subject": ["02", "05"], "age": lambda age: age > 21}
    )
    assert set(some.table["subject"]) == {"05"} and set(some.table["label"]) == {"open"}
    np.testing.assert_array_equal(some[:][0].numpy(), held["05"][1::2])
    with pytest.raises(ValueError, match="no window has the label that is asked for; there are closed, open"):
        store.Windows(folder, where={"label": "shut"})


def test_folds_are_left_out_with_their_people(made, cache):
    windows = store.Windows(made[0], target="label")
    rest, out = windows.leave_out("fold-1")
    assert set(rest.table["subject"]) == {"02", "04"} and set(out.table["subject"]) == {"01", "03", "05"}
    np.testing.assert_array_equal(rest[:][0].numpy(), np.concatenate([made[1]["02"], made[1]["04"]]))
    assert len(rest) == len(rest.y) == len(rest.table) and rest.classes == windows.classes
    with pytest.raises(ValueError, match=r"no fold .*fold-9.*fold-1, fold-2"):
        windows.leave_out("fold-9")
    windows.table["person"] = ["twin"] * len(windows)
    with pytest.raises(Exception, match="twin"):
        windows.leave_out("fold-1")


def test_a_study_s_own_manifest_finds_its_tables(made, cache, tmp_path):
    """As a run leaves them: paths from its working folder, people in the index, folds beside the manifest."""
    root = tmp_path / "run"
    shutil.copytree(made[0], root / "results/derivatives/made/standard")
    (root / "results/index/made").mkdir(parents=True)
    shutil.copy(made[0] / "participants.tsv", root / "results/index/made")
    listed = table.read(made[0] / "manifest.tsv", text=True)
    listed["store"] = "results/derivatives/made/standard/" + listed["store"]
    study = root / "results/studies/x"
    study.mkdir(parents=True)
    table.write(study / "manifest_eyes.tsv", listed)
    folds = {"dataset": "made", "subject": ["01", "02", "03", "04", "05"], "fold": [3, 1, 2, 3, 1], "left_out": "n/a"}
    people = table.read(root / "results/index/made/participants.tsv", text=True).drop(columns="split")
    table.write(root / "results/index/made/participants.tsv", people)
    table.write(study / "split.tsv", pd.DataFrame(folds))
    windows = store.Windows(study / "manifest_eyes.tsv", target="sex")
    assert len(windows) == 110 and set(windows.leave_out("fold-3")[1].table["subject"]) == {"01", "04"}


def test_stores_may_be_named_one_by_one(made, cache):
    paths = sorted(made[0].rglob("*.zarr.zip"))[:2]
    windows = store.Windows(paths, participants=made[0] / "participants.tsv", target="sex")
    assert windows.y.tolist() == [0] * 20 + [1] * 21
    windows = store.Windows(paths)
    assert "sex" not in windows.table


def test_what_cannot_be_is_told(made, cache, tmp_path, served):
    folder, _ = made
    for kwargs, words in [
        ({"selection": "ears"}, "no windows of 'ears'; it has eyes"),
        ({"target": "shoe"}, "no column 'shoe'; there are .*label"),
        ({"classes": ["x"]}, r"no window has a label among \['x'\]"),
    ]:
        with pytest.raises(ValueError, match=words):
            store.Windows(folder, **kwargs)
    with pytest.raises(_remote.Unavailable, match=r"gone/manifest\.tsv is not there"):
        store.Windows(tmp_path / "gone")
    with pytest.raises(_remote.Unavailable, match=r"gone/manifest\.tsv is not there \(404\)"):
        store.Windows(f"{served.url}/gone")
    (tmp_path / "other.tsv").write_text("store\tsize\na\t1\n")
    with pytest.raises(ValueError, match=r"other\.tsv is no manifest of windows stores: it lacks status, windows"):
        store.Windows(tmp_path / "other.tsv")


def test_unlike_stores_are_refused_with_the_list(tmp_path, cache):
    publish(tmp_path / "a")
    publish(tmp_path / "b", sfreq=50.0)
    paths = [*sorted((tmp_path / "a").rglob("*.zarr.zip"))[:1], *sorted((tmp_path / "b").rglob("*.zarr.zip"))[:1]]
    with pytest.raises(ValueError, match=r"unlike stores cannot be combined.*at 25 Hz.*at 50 Hz"):
        store.Windows(paths)
    store.write(
        tmp_path / "c.zarr.zip",
        np.ones((2, 3, 50)),
        index(2),
        names=["E1", "E2", "E3"],
        sfreq=25.0,
        tmin=0.0,
        dtype="float32",
    )
    with pytest.raises(ValueError, match="unlike types"):
        store.Windows([paths[0], tmp_path / "c.zarr.zip"])


@pytest.mark.parametrize("fault", ["flip", "cut", 500, "stall"])
def test_what_a_bad_way_spoils_is_fetched_again(made, cache, served, fault, monkeypatch):
    monkeypatch.setattr(_remote, "TIMEOUT", 0.2)
    windows = store.Windows(served.url)
    name = next(name for name in served.requests if name.endswith(".zip"))
    served.faults[name] = [fault]
    np.testing.assert_array_equal(windows[:][0].numpy(), whole(made[1]))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("flip", "other content than its manifest says"),
        (404, "is not there"),
        (500, "after 5 tries"),
        ("cut", "after 5 tries"),
    ],
)
def test_what_stays_spoilt_is_told_and_never_cached(made, cache, served, fault, words):
    windows = store.Windows(served.url)
    name = next(name for name in served.requests if "sub-03" in name)
    served.faults[name] = [fault] * 20
    with pytest.raises(OSError, match=words) as error:
        windows[:]
    assert "sub-03" in str(error.value)
    assert len(list(cache.rglob("*.npy"))) <= 4 and not list(cache.rglob("*.tmp"))
    del served.faults[name]
    np.testing.assert_array_equal(windows[:][0].numpy(), whole(made[1]))


def test_a_store_that_was_published_anew_is_told(tmp_path, cache):
    publish(tmp_path / "a")
    windows = store.Windows(tmp_path / "a")
    path = next((tmp_path / "a").rglob("sub-02*.zip"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        store.Damaged, match=r"sub-02.* has \d+ bytes, not \d+ than its manifest says: open the manifest anew"
    ):
        windows[:]


def test_many_more_stores_than_files_may_be_open(tmp_path, cache, rng):
    held = publish(tmp_path / "a", people=40, windows=2)
    windows = store.Windows(tmp_path / "a")
    windows._cache.most = 7
    for _ in range(30):
        chosen = rng.integers(0, len(windows), 20)
        np.testing.assert_array_equal(windows[chosen][0].numpy(), whole(held)[chosen])
        assert len(windows._opened) <= 7 and len(windows._cache._mapped) <= 7


def test_several_threads_read_at_once(tmp_path, cache):
    """As a training does that reads ahead while it validates; what one lets go of, the other may need."""
    held = publish(tmp_path / "a", people=40, windows=2)
    windows, wanted = store.Windows(tmp_path / "a"), whole(held)
    windows._cache.most = 7

    def read(seed):
        rng = np.random.default_rng(seed)
        for _ in range(100):
            chosen = rng.integers(0, len(windows), 12)
            np.testing.assert_array_equal(windows[chosen][0].numpy(), wanted[chosen])

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(read, range(4)))
    finally:
        sys.setswitchinterval(interval)


def test_a_dataset_can_be_sent_to_another_process(made, cache):
    windows = store.Windows(made[0])
    windows[:3]
    again = pickle.loads(pickle.dumps(windows))
    np.testing.assert_array_equal(again[5:9][0].numpy(), windows[5:9][0].numpy())
    assert not again.__getstate__()["_opened"]


class TestStream:
    def test_every_window_comes_once_in_an_order_of_the_seed(self, made, cache, served):
        windows = store.Windows(served.url)
        streamed = windows.stream(16, seed=4, mix=2)
        once = [(x.numpy(), y.numpy()) for x, y in streamed]
        assert [len(y) for _, y in once] == [16] * 6 + [14]
        x = np.concatenate([x for x, _ in once])
        assert sorted(map(bytes, x)) == sorted(map(bytes, whole(made[1])))
        where = {bytes(window): number for number, window in enumerate(whole(made[1]))}
        order = [where[bytes(window)] for window in x]
        assert order != sorted(order)
        np.testing.assert_array_equal(np.concatenate([y for _, y in once]), windows.y.numpy()[order])
        again = np.concatenate([x.numpy() for x, _ in windows.stream(16, seed=4, mix=2, in_flight=1)])
        np.testing.assert_array_equal(again, x)
        for other in ({"seed": 5}, {"seed": 4, "epoch": 1}):
            changed = np.concatenate([x.numpy() for x, _ in windows.stream(16, mix=2, **other)])
            assert not np.array_equal(changed, x)
        assert not list(cache.rglob("*.npy"))

    def test_batches_mix_people(self, made, cache):
        windows = store.Windows(made[0], target="subject")
        x, y = next(iter(windows.stream(32, mix=4)))
        assert len(set(y.tolist())) == 4 and len(x) == 32

    def test_workers_and_ranks_share_the_recordings(self, made, cache, served):
        windows = store.Windows(served.url)
        got = []
        for rank in range(2):
            for x, _ in DataLoader(windows.stream(8, rank=rank, world=2), batch_size=None, num_workers=2):
                got += list(map(bytes, x.numpy()))
        assert sorted(got) == sorted(map(bytes, whole(made[1])))

    def test_a_subset_streams_its_own_windows(self, made, cache, served):
        windows = store.Windows(served.url, where={"label": "open"})
        rest, _ = windows.leave_out("fold-1")
        served.requests.clear()
        got = np.concatenate([x.numpy() for x, _ in rest.stream()])
        wanted = np.concatenate([made[1]["02"][1::2], made[1]["04"][1::2]])
        assert sorted(map(bytes, got)) == sorted(map(bytes, wanted))
        assert sum(served.requests.values()) == 2

    def test_no_more_requests_than_asked_for_are_under_way(self, made, cache):
        with Served(made[0], delay=0.02) as server:
            windows = store.Windows(server.url)
            server.most = 0
            assert sum(len(y) for _, y in windows.stream(in_flight=3)) == 110
            assert server.most == 3

    def test_a_fault_is_told_and_nothing_hangs(self, made, cache, served):
        windows = store.Windows(served.url)
        served.faults[next(name for name in served.requests if "sub-04" in name)] = [404] * 3
        with pytest.raises(_remote.Unavailable, match="sub-04"):
            list(windows.stream())
        with pytest.raises(ValueError, match="rank"):
            windows.stream(rank=2, world=2)


class Given:
    """A ``WindowsDataset`` that keeps what it is given."""

    def __init__(self, windows, description=None, transform=None):
        self.windows, self.description, self.transform = windows, description, transform


@pytest.fixture
def braindecode(monkeypatch):
    """What stands in for braindecode, which is not in the lock."""
    pytest.importorskip("mne")
    monkeypatch.setitem(sys.modules, "braindecode", types.ModuleType("braindecode"))
    names = types.SimpleNamespace(WindowsDataset=Given, BaseConcatDataset=list)
    monkeypatch.setitem(sys.modules, "braindecode.datasets", names)


class TestViews:
    def test_mne_has_events_metadata_and_volts(self, made, cache):
        mne = pytest.importorskip("mne")
        windows = store.Windows(made[0])
        epochs = windows.to_mne()
        assert isinstance(epochs, mne.BaseEpochs) and epochs.info["sfreq"] == 25.0
        np.testing.assert_allclose(epochs.get_data(), whole(made[1]) * 1e-6, rtol=1e-6)
        assert len(epochs["open"]) == int((windows.y == 1).sum())
        assert len(epochs["sex == 'M' and label == 'closed'"]) == 11 + 12
        assert epochs.times[0] == 0.0

    def test_electrodes_are_where_the_store_says(self, tmp_path, cache):
        mne = pytest.importorskip("mne")
        standard = mne.channels.make_standard_montage("colin27_1005")
        there = standard.get_positions()["ch_pos"]
        publish(tmp_path / "a", people=1, positions=[there["Fpz"], there["Cz"], [np.nan] * 3], names=["Fpz", "Cz", "X"])
        found = [channel["loc"][:3] for channel in store.Windows(tmp_path / "a").to_mne().info["chs"]]
        info = mne.create_info(["Fpz", "Cz"], 25.0, "eeg").set_montage(standard)
        np.testing.assert_allclose(found[:2], [channel["loc"][:3] for channel in info["chs"]], atol=1e-6)
        assert np.isnan(found[2]).all()

    def test_a_column_of_one_value_is_read_from_the_head(self, tmp_path, cache):
        """Of which Zarr writes nothing."""
        paths = [tmp_path / "a_windows.zarr.zip"]
        told = {"names": ["a"], "sfreq": 25.0, "tmin": 0.0, "attrs": {"selection": "x"}}
        store.write(paths[0], np.ones((4, 1, 5)), index(4, labels=("closed",)).assign(event=0, hed="Red"), **told)
        found = store.Windows(paths).table
        assert set(found["label"]) == {"closed"} and set(found["event"]) == {0} and set(found["hed"]) == {"Red"}

    def test_xarray_has_the_table_as_coordinates(self, made, cache):
        pytest.importorskip("xarray")
        data = store.Windows(made[0]).to_xarray()
        assert data.dims == ("window", "channel", "time") and data.attrs["units"] == "µV"
        closed = data[data["label"].to_numpy() == "closed"].sel(channel="E2", time=slice(0, 0.5))
        np.testing.assert_array_equal(closed.to_numpy()[0], made[1]["01"][0, 1, :13])

    def test_braindecode_gets_a_dataset_a_recording(self, made, cache, braindecode):
        windows = store.Windows(made[0]).subset(np.arange(109, 19, -1))
        found = windows.to_braindecode()
        assert [one.description["subject"] for one in found] == ["05", "04", "03", "02"]
        assert [one.description["split"] for one in found] == ["fold-1", "fold-2"] * 2
        assert set(found[0].description.index) >= {"sex", "age", "rec"} and "label" not in found[0].description
        x = np.concatenate([one.windows.get_data() for one in found])
        np.testing.assert_allclose(x, whole(made[1])[:19:-1] * 1e-6, rtol=1e-6)
        np.testing.assert_allclose(found[0].transform(x[3].astype("float32")), windows[3][0], rtol=1e-6)
        told = pd.concat([one.windows.metadata for one in found])
        assert told["target"].tolist() == windows.y.tolist() and set(told["i_window_in_trial"]) == {0}
        np.testing.assert_array_equal(told["i_start_in_trial"], windows.table["onset"] * 25)
        assert set(told["i_stop_in_trial"] - told["i_start_in_trial"]) == {50}

    def test_windows_of_one_event_are_a_trial_of_braindecode(self, made, cache, braindecode):
        windows = store.Windows(made[0], where={"subject": "01"})
        windows.table["event"] //= 3
        assert windows.to_braindecode()[0].windows.metadata["i_window_in_trial"].tolist()[:7] == [0, 1, 2, 0, 1, 2, 0]

    def test_a_want_of_braindecode_is_told(self, made, cache, monkeypatch):
        monkeypatch.setitem(sys.modules, "braindecode", None)
        with pytest.raises(ImportError, match=r"braindecode cannot be imported .* install it"):
            store.Windows(made[0]).to_braindecode()

    def test_braindecode_itself_takes_them(self, made, cache, tmp_path):
        braindecode = pytest.importorskip("braindecode")
        windows = store.Windows(made[0])
        found = windows.to_braindecode()
        x, y, where = found[3]
        np.testing.assert_allclose(x, windows[3][0], rtol=1e-6)
        assert x.dtype == np.float32 and y == windows[3][1] and where == [0, 150, 200]
        assert len(found) == 110 and len(found.datasets) == 5
        assert found.description["subject"].tolist() == ["01", "02", "03", "04", "05"]
        assert found.get_metadata()["target"].tolist() == windows.y.tolist()
        folds = found.split("split")
        assert {name: len(fold) for name, fold in folds.items()} == {"fold-1": 66, "fold-2": 44}
        net = braindecode.models.ShallowFBCSPNet(3, 2, n_times=50, filter_time_length=5, pool_time_length=10)
        net = braindecode.EEGClassifier(net, batch_size=16, max_epochs=1, classes=[0, 1], train_split=None, verbose=0)
        assert net.fit(folds["fold-1"], y=None).predict(folds["fold-2"]).shape == (44,)
        assert found.set_target("sex")[20][1] == "M"
        (tmp_path / "saved").mkdir()
        found.save(tmp_path / "saved")
        again = braindecode.datautil.load_concat_dataset(tmp_path / "saved", preload=True)
        np.testing.assert_allclose(again[3][0] * 1e6, x, rtol=1e-6)
