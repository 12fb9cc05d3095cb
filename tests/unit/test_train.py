"""Training: a tiny problem is learnt, the same command gives the same bits, killed or not, and nothing leaks."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hedgerow.nets import inputs, models, train  # noqa: E402

TINY = dict(model="eegnet", f1=2, depth=1, kernel=16, batch=16, lr=0.02, seed=3)


class Killed(Exception):
    """Stands for the end of the process."""


def tiny(rng, n=90, channels=4, samples=64):
    """Windows of noise, in class 1 with a rhythm on channel 1; µV, with offsets that standardising must remove."""
    y = np.arange(n) % 2
    rhythm = 30 * np.sin(2 * np.pi * 0.1 * np.arange(samples) + rng.uniform(0, 6, (n, 1)))
    X = rng.normal(size=(n, channels, samples)) * np.array([1, 10, 5, 20])[:, None] + 100
    X[:, 1] += rhythm * y[:, None]
    return X.astype(np.float32), y


def same(one, other):
    """Whether two dicts of tensors are equal to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_tiny_problem_is_learnt_wholly(rng):
    X, y = tiny(rng, n=180)
    weights, curve, account = train.fit(X[:90], y[:90], validation=np.arange(70, 90), epochs=25, **TINY)
    p = train.predict(weights, X, model="eegnet", f1=2, depth=1, kernel=16)
    assert (p.argmax(1) == y).all()
    assert np.allclose(p.sum(1), 1)
    assert curve["epoch"].tolist() == list(range(1, 26))
    assert account["best_epoch"] == curve["epoch"][curve["val_loss"].idxmin()]
    assert account["windows"] == {"train": 70, "validation": 20}


def test_rscnn_learns_a_tiny_problem(rng):
    y = np.arange(48) % 2
    X = rng.normal(size=(48, 18, 110))
    X[:, :9] += 2 * y[:, None, None] * np.sin(np.arange(110))
    settings = dict(model="r-scnn", width=0.1)
    weights, _, _ = train.fit(X.astype(np.float32), y, epochs=12, batch=8, lr=0.005, seed=1, **settings)
    assert (train.predict(weights, X, **settings).argmax(1) == y).all()


def as_published(name, width):
    """A network of Truong et al. for 24 x 256, as one writes it down by their table."""
    nn = torch.nn
    if name == "r-vgg":
        table = [(16, 3, None), (16, 3, 2), (32, 3, None), (32, 3, 2), (64, 3, None), (64, 3, None), (64, 3, 2)]
        padding, cells, hidden = 1, 3 * 32, [1024, 1024]
    else:
        table = [(100, 3, 2), (100, 3, 2), (300, (2, 3), 2), (300, (1, 7), (1, 2)), (100, (1, 3), None)]
        table, padding, cells, hidden = [*table, table[-1]], 0, 19, [6144]
    layers, before = [], 1
    for filters, kernel, pool in table:
        filters = round(filters * width)
        layers += [nn.Conv2d(before, filters, kernel, padding=padding), nn.ReLU()]
        if pool:
            layers.append(nn.MaxPool2d(pool, stride=2 if pool == 2 else 1))
        before = filters
    layers.append(nn.Flatten())
    before *= cells
    for units in hidden:
        units = round(units * width)
        layers += [nn.Linear(before, units), nn.ReLU()]
        before = units
    return nn.Sequential(*layers, nn.Linear(before, 2))


@pytest.mark.parametrize("name", ["r-scnn", "r-vgg"])
def test_a_training_is_that_of_a_loop_as_one_writes_it(rng, name):
    """The table's layers, torch's optimiser and no more, on the same windows: the same losses, down to rounding."""
    n, seed, lr, decay, epochs, batch, width = 60, 5, 0.002, 0.001, 4, 12, 0.2
    y = np.arange(n) % 2
    X = 10 * rng.normal(size=(n, 24, 256)).astype(np.float32)
    X[:, :12] += 20 * y[:, None, None] * np.sin(np.arange(256), dtype=np.float32)
    how = dict(seed=seed, lr=lr, weight_decay=decay, epochs=epochs, batch=batch, standardise=False)
    weights, curve, _ = train.fit(X, y, model=name, width=width, dropout=0.0, **how)

    torch.manual_seed(train._key(seed, "weights"))
    net = as_published(name, width)
    optimiser = torch.optim.Adamax(net.parameters(), lr=lr, weight_decay=decay)
    X, y, losses = torch.from_numpy(X), torch.from_numpy(y), np.zeros(epochs)
    for epoch in range(epochs):
        for rows in torch.from_numpy(train.order(seed, epoch, n)).split(batch):
            optimiser.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(X[rows, None]), y[rows])
            loss.backward()
            optimiser.step()
            losses[epoch] += loss.item() * batch / n
    # rounding grows from step to step; R-SCNN differs by 2e-4 in the first epoch and by 4e-3 in the second
    np.testing.assert_allclose(curve["train_loss"], losses, rtol=0.01, atol=0.005)
    said = torch.softmax(net(X[:, None]), 1).detach()
    np.testing.assert_allclose(train.predict(weights, X, model=name, width=width), said, atol=0.01)
    assert losses[-1] < 0.9 * losses[0]


def test_alpha_power_of_new_people_is_told_apart(rng):
    """Two groups of people whose log alpha power differs by three standard deviations, on a 1/f background."""
    freqs = np.fft.rfftfreq(10 * 256, 1 / 128)
    group = np.arange(32) % 2
    power = 1.8 + 0.2 * (rng.normal(size=32) + 3 * (group - 0.5))  # log10 of µV²
    background = np.fft.rfft(rng.normal(size=(32, 6, 10 * 256))) * np.maximum(freqs, 0.5) ** -0.65
    alpha = np.fft.rfft(rng.normal(size=(32, 1, 10 * 256))) * np.exp(-((freqs - 10) ** 2) / 0.72)
    background, alpha = (x / x.std(axis=-1, keepdims=True) for x in map(np.fft.irfft, (background, alpha)))
    X = 7 * background + np.sqrt(10**power)[:, None, None] * alpha * np.linspace(0, 1, 6)[:, None]
    X = X.reshape(32, 6, 10, 256).swapaxes(1, 2).astype(np.float32)
    weights, _, _ = train.fit(X[:16].reshape(160, 6, 256), np.repeat(group[:16], 10), seed=1, epochs=30)
    vote = train.predict(weights, X[16:].reshape(160, 6, 256))[:, 1].reshape(16, 10).mean(1) > 0.5
    assert (vote == group[16:]).mean() >= 13 / 16


def test_same_command_twice_gives_the_same_bits(rng):
    X, y = tiny(rng)
    torch.manual_seed(1)
    one = train.fit(X, y, epochs=3, validation=np.arange(20), **TINY)
    torch.manual_seed(2)
    again = train.fit(X, y, epochs=3, validation=np.arange(90) < 20, **TINY)
    assert same(one[0], again[0])
    assert one[1].equals(again[1])
    assert one[2] == again[2]
    assert not same(one[0], train.fit(X, y, epochs=3, validation=np.arange(20), **TINY | {"seed": 4})[0])


@pytest.mark.parametrize("step", [1, 5, 7, 10, 14])
def test_killed_at_a_step_and_resumed_gives_the_same_bits(rng, tmp_path, step):
    """Five steps an epoch, a checkpoint every three: kills before, at and after checkpoints and ends of epochs."""
    X, y = tiny(rng)
    settings = dict(epochs=3, validation=np.arange(20), checkpoint_steps=3, checkpoint_seconds=0, **TINY)
    whole = train.fit(X, y, **settings)
    path, steps = tmp_path / "checkpoint.pt", []

    def kill(now, total, row):
        if now == step:
            raise Killed

    with pytest.raises(Killed):
        train.fit(X, y, checkpoint=path, progress=kill, **settings)
    resumed = train.fit(X, y, checkpoint=path, progress=lambda now, total, row: steps.append((now, total)), **settings)
    last_checkpoint = max(s for s in (0, 3, 5, 6, 9, 10, 12) if s <= step)
    assert steps == [(s, 15) for s in range(last_checkpoint + 1, 16)]
    assert same(whole[0], resumed[0])
    assert whole[1].equals(resumed[1])
    assert whole[2] == resumed[2]
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_a_checkpoint_of_another_training_is_not_resumed(rng, tmp_path):
    X, y = tiny(rng)
    path = tmp_path / "checkpoint.pt"
    train.fit(X, y, epochs=2, checkpoint=path, **TINY)
    for change in (dict(X=X + 1), dict(y=1 - y), dict(lr=0.01), dict(seed=5), dict(validation=[3])):
        call = dict(X=X, y=y, epochs=2) | TINY | change
        assert same(train.fit(**call, checkpoint=path)[0], train.fit(**call)[0])


def taken_up(X, y, path, **how):
    """The step at which a training of two epochs begins."""
    steps = []
    train.fit(X, y, epochs=2, checkpoint=path, progress=lambda now, total, row: steps.append(now), **TINY, **how)
    return steps[0] if steps else "ended"


def test_a_damaged_checkpoint_is_not_resumed(rng, tmp_path):
    """Cut, of something else, or with one bit flipped, which may pass for a weight."""
    X, y = tiny(rng)
    path = tmp_path / "checkpoint.pt"
    train.fit(X, y, epochs=2, checkpoint=path, **TINY)
    whole = path.read_bytes()
    assert taken_up(X, y, path) == "ended"
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (b"", b"hello", b"\x80\x02.", whole[:-1], whole + b"0", bytes(flipped), whole[train.CHECKSUM :]):
        path.write_bytes(content)
        assert taken_up(X, y, path) == 1
        assert taken_up(X, y, path) == "ended"


def test_a_checkpoint_of_other_code_is_not_resumed(rng, tmp_path, monkeypatch):
    X, y = tiny(rng)
    path = tmp_path / "checkpoint.pt"
    assert [taken_up(X, y, path, code=code) for code in ("a", "a", "b", None)] == [1, "ended", 1, 1]
    monkeypatch.setattr(train, "__version__", "0.0.1")
    assert taken_up(X, y, path) == 1


def test_a_checkpoint_of_another_build_is_refused_unless_allowed(rng, tmp_path, monkeypatch):
    X, y = tiny(rng)
    path = tmp_path / "checkpoint.pt"
    settings = dict(epochs=2, checkpoint=path, **TINY)
    whole = train.fit(X, y, **settings)[0]
    with pytest.raises(train.OtherBuild, match=r"threads 1 instead of 2.*other_build.*delete it"):
        train.fit(X, y, threads=2, **settings)
    monkeypatch.setattr(train, "_cpu", lambda: "another CPU")
    with pytest.raises(train.OtherBuild, match=r"cpu .* instead of another CPU"):
        train.fit(X, y, **settings)
    weights, _, account = train.fit(X, y, other_build=True, **settings)
    assert same(weights, whole)  # it had ended
    assert account["cpu"] == "another CPU" and account["earlier_builds"][0]["cpu"] != "another CPU"


def test_readers_change_no_bit(rng):
    """A thread or two processes read ahead; windows come from an array or from a dataset of pairs."""

    class Pairs:
        def __init__(self, X):
            self.X, self.shape = X, X.shape

        def __len__(self):
            return len(self.X)

        def __getitem__(self, rows):
            return torch.from_numpy(self.X[rows]), "targets"

    X, y = tiny(rng)
    settings = dict(epochs=2, validation=np.arange(20), **TINY)
    one = train.fit(X, y, **settings)
    for other in (train.fit(X, y, workers=2, **settings), train.fit(Pairs(X), y, **settings)):
        assert same(one[0], other[0]) and one[1].equals(other[1]) and one[2] == other[2]


#: As a rule's script is: without a guard against running again in processes that it starts.
SCRIPT = """
import sys
import torch
from hedgerow.nets import train
from watching import Steps

given, result, at = sys.argv[1:]
X, y, settings = torch.load(given, weights_only=False)
torch.save(train.fit(X, y, world=2, progress=Steps(int(at)), **settings), result)
"""

#: Beside it: says which steps were done, and kills the process that started those that train.
WATCHING = """
import os
import signal
import time
from hedgerow import log

class Steps(log.Steps):
    def __init__(self, at):
        super().__init__()
        self.at, self.first = at, None

    def __call__(self, step, steps, row):
        super().__call__(step, steps, row)
        self.first = self.first or step
        if step == self.at:
            print(f"from {self.first}, killed at {step}", flush=True)
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)  # if it comes to that, this process outlives its starter and goes on
        if step == steps:
            print(f"from {self.first} to the end", flush=True)
"""


@pytest.fixture
def two_processes(tmp_path):
    """Run a training in two processes of a script: what it returns (None if it was killed), and what was printed."""
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "watching.py").write_text(WATCHING)
    given, result = tmp_path / "given.pt", tmp_path / "result.pt"
    source = str(Path(train.__file__).parents[2])

    def run(X, y, at=0, **settings):
        torch.save((X, y, settings), given)
        result.unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, tmp_path / "script.py", given, result, str(at)], capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": source}, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) == (at == 0), done.stderr[-4000:]
        return torch.load(result, weights_only=False) if result.exists() else None, done.stdout

    return run


def test_two_processes_share_each_batch(rng, two_processes):
    """The last batch of an epoch is a single window, so that one process has none of its own."""
    X, y = tiny(rng)
    X, y = X[:69], y[:69]
    settings = dict(epochs=2, validation=np.arange(20), model="mlp", hidden=[8], dropout=0.0, batch=16, lr=0.01, seed=3)
    alone = train.fit(X, y, **settings)
    shared, said = two_processes(X, y, **settings)
    assert said.count("begins at step 1 of 8") == 1 and "step 8 of 8" in said
    assert np.allclose(alone[1], shared[1], rtol=1e-4)
    for name, value in alone[0].items():
        assert torch.allclose(value, shared[0][name], atol=1e-4), name
    assert shared[2]["world"] == 2


def test_two_processes_killed_and_resumed_give_the_same_bits(rng, two_processes, tmp_path):
    """The one that started them is killed: none is left over, and none counts a step twice."""
    X, y = tiny(rng)
    settings = dict(epochs=3, validation=np.arange(20), checkpoint_steps=3, checkpoint_seconds=0, **TINY)
    whole, _ = two_processes(X, y, checkpoint=tmp_path / "undisturbed.pt", **settings)
    settings["checkpoint"] = tmp_path / "checkpoint.pt"
    nothing, said = two_processes(X, y, 13, **settings)
    assert nothing is None and "from 1, killed at 13" in said
    resumed, said = two_processes(X, y, **settings)
    assert "from 13 to the end" in said
    assert same(whole[0], resumed[0])
    assert whole[1].equals(resumed[1])
    assert whole[2] == resumed[2]
    # the loss that chose the epoch is that of the weights which are returned, with the means of their normalisation
    model = {name: TINY[name] for name in ("model", "f1", "depth", "kernel")}
    p = train.predict(resumed[0], X[:20], **model)[np.arange(20), y[:20]]
    assert -np.log(p).mean() == pytest.approx(resumed[1]["val_loss"].min(), rel=1e-5)


def test_classes_of_unlike_size_weigh_the_same(rng):
    """Nine of ten windows are of class 0, and nothing tells them apart: what is said is the share of the classes."""
    y = (np.arange(200) % 10 == 0).astype(int)
    X = rng.normal(size=(200, 2, 32)).astype(np.float32)
    settings = dict(model="mlp", hidden=[4], epochs=12, batch=20, lr=0.01, weight_decay=0.3, seed=1)
    said = {}
    for balance in train.BALANCE:
        weights, _, account = train.fit(X, y, balance=balance, **settings)
        said[balance] = train.predict(weights, X, model="mlp", hidden=[4])[:, 1].mean()
        assert account["balance"] == balance
    assert said["none"] < 0.3 and 0.35 < said["weights"] < 0.65 and 0.35 < said["sampler"] < 0.65


def test_the_balanced_order_forgets_no_window(rng):
    y = np.repeat([0, 1, 2], [50, 9, 2])
    epochs = [train.balanced_order(1, epoch, y) for epoch in range(5)]
    for rows in epochs:
        assert np.bincount(y[rows]).tolist() == [21, 21, 21]
    shown = np.bincount(np.concatenate(epochs), minlength=61)
    assert set(shown[:50]) <= {2, 3} and set(shown[50:59]) <= {11, 12} and set(shown[59:]) <= {52, 53}
    assert np.array_equal(epochs[2], train.balanced_order(1, 2, y))
    assert not np.array_equal(epochs[2], train.balanced_order(2, 2, y))


def test_validation_loss_weighs_classes_alike_where_that_is_asked_for(rng):
    y = (np.arange(120) % 6 == 0).astype(int)
    X = rng.normal(size=(120, 2, 32)).astype(np.float32)
    settings = dict(validation=np.arange(60), model="mlp", hidden=[4], epochs=1, seed=1)
    weights, curve, _ = train.fit(X, y, balance="weights", **settings)
    p = train.predict(weights, X[:60], model="mlp", hidden=[4])
    losses = -np.log(p[np.arange(60), y[:60]])
    by_class = [losses[y[:60] == k].mean() for k in (0, 1)]
    assert np.isclose(curve["val_loss"][0], np.mean(by_class), rtol=1e-5)


def test_validation_loss_is_the_mean_over_its_own_classes(rng):
    """72 windows of one class and 8 of the other train, as many of both validate."""
    X, _ = tiny(rng, n=120)
    y = np.array([0] * 72 + [1] * 8 + [0, 1] * 20)
    for balance in ("weights", "sampler"):
        how = dict(epochs=1, validation=np.arange(80, 120), balance=balance)
        weights, curve, _ = train.fit(X, y, **how, **TINY)
        p = train.predict(weights, X[80:], model="eegnet", f1=2, depth=1, kernel=16)[np.arange(40), y[80:]]
        loss = np.mean([-np.log(p[y[80:] == k]).mean() for k in (0, 1)])
        assert curve["val_loss"].iloc[0] == pytest.approx(loss, rel=1e-5)


def test_numbers_are_predicted_in_their_unit(rng):
    """Two targets from the size of a rhythm, on scales far apart; the loss is of standardised targets."""
    size, n = rng.uniform(0.5, 2, 240), 240
    X = rng.normal(size=(n, 3, 64)) + 3 * size[:, None, None] * np.sin(2 * np.pi * 0.1 * np.arange(64))
    y = np.stack([10 * size + 30, -1000 * size], axis=1)
    settings = dict(task="regression", model="eegnet", f1=2, depth=1, kernel=16, seed=3)
    X, how = X.astype(np.float32), dict(epochs=30, batch=16, lr=0.02)
    weights, curve, account = train.fit(X[:160], y[:160], validation=np.arange(40), **how, **settings)
    assert account["n_outputs"] == 2 and account["task"] == "regression"
    settings.pop("seed")
    f = train.predict(weights, X[160:], **settings)
    assert f.shape == (80, 2)
    for k in (0, 1):
        assert 1 - ((f - y[160:])[:, k] ** 2).sum() / ((y[160:, k] - y[40:160, k].mean()) ** 2).sum() > 0.7
    z = (y[:40] - y[40:160].mean(0)) / y[40:160].std(0)
    said = (train.predict(weights, X[:40], **settings) - y[40:160].mean(0)) / y[40:160].std(0)
    best = curve["val_loss"].idxmin()
    assert np.isclose(curve["val_loss"][best], ((said - z) ** 2).mean(), rtol=1e-4)
    assert np.isclose(curve["val_r2"][best], (1 - ((said - z) ** 2).sum(0) / (z**2).sum(0)).mean(), rtol=1e-3)
    one = train.fit(X, y[:, 0], epochs=1, **settings)
    assert one[2]["n_outputs"] == 1 and train.predict(one[0], X, **settings).shape == (240, 1)


def test_a_network_is_shown_what_was_asked_for(rng):
    """Of the spectrum only 5 to 15 Hz: a rhythm at 30 Hz that tells the classes apart is not seen."""
    y = np.arange(120) % 2
    X = rng.normal(size=(120, 2, 128)).astype(np.float32)
    X[:, 0] += (2 * y[:, None] - 1) * np.sin(2 * np.pi * 30 * np.arange(128) / 128)
    how = dict(model="mlp", hidden=[], input="fft", sfreq=128.0)
    for band, seen in (((20, 40), True), ((5, 15), False)):
        params = {"fmin": band[0], "fmax": band[1]}
        weights, _, account = train.fit(X[:80], y[:80], epochs=30, lr=0.02, input_params=params, seed=1, **how)
        right = (train.predict(weights, X[80:], input_params=params, **how).argmax(1) == y[80:]).mean()
        assert right > 0.9 if seen else right < 0.75
        assert account["input"] == "fft" and account["input_params"] == params


def test_bfloat16_learns_too_and_says_so(rng):
    X, y = tiny(rng, n=180)
    how = dict(epochs=25, precision="bfloat16", **TINY)
    one, again = (train.fit(X[:90], y[:90], **how) for _ in range(2))
    assert same(one[0], again[0]) and one[2]["precision"] == "bfloat16"
    assert (train.predict(one[0], X, model="eegnet", f1=2, depth=1, kernel=16).argmax(1) == y).mean() > 0.95
    assert not same(one[0], train.fit(X[:90], y[:90], epochs=25, **TINY)[0])


def test_progress_tells_speed_and_how_long_windows_were_waited_for(rng):
    class Slow:
        shape = (32, 2, 32)

        def __len__(self):
            return 32

        def __getitem__(self, rows):
            import time

            time.sleep(0.03)
            return np.zeros((len(rows), 2, 32), np.float32) + np.arange(2)[:, None]

    rows = []
    train.fit(Slow(), np.arange(32) % 2, model="mlp", hidden=[2], epochs=2, batch=4, seed=1,
              progress=lambda step, steps, row: rows.append(row))  # fmt: skip
    assert 0.5 < rows[-1]["waiting"] <= 1 and 4 < rows[-1]["windows_per_s"] < 200
    assert "train_loss" in rows[-1] and "train_loss" not in rows[0]


def test_validation_windows_choose_the_epoch_and_nothing_else(rng):
    """Up to its choice of epoch, a training knows nothing of its validation windows."""
    X, y = tiny(rng)
    wild = X.copy()
    wild[:20] *= 1000
    one = train.fit(X, y, epochs=1, validation=np.arange(20), **TINY)
    other = train.fit(wild, y, epochs=1, validation=np.arange(20), **TINY)
    assert same(one[0], other[0])
    assert one[1]["train_loss"].equals(other[1]["train_loss"])
    assert not one[1]["val_loss"].equals(other[1]["val_loss"])


def test_weights_are_those_of_the_best_epoch(rng):
    """Validation labels turned around: the loss rises while the problem is learnt, so the first epoch is the best."""
    X, y = tiny(rng)
    turned = np.where(np.arange(90) < 20, 1 - y, y)
    settings = dict(validation=np.arange(20), **TINY)
    long, curve, account = train.fit(X, turned, epochs=12, **settings)
    assert account["best_epoch"] == curve["val_loss"].idxmin() + 1 < 12
    assert same(long, train.fit(X, turned, epochs=account["best_epoch"], **settings)[0])


def test_a_model_is_trained_by_its_recipe_unless_told_otherwise(rng):
    X, y = tiny(rng)
    how = dict(model="eegnet", f1=2, depth=1, kernel=16)
    account = train.fit(X, y, epochs=1, lr=0.5, **how)[2]
    assert {name: account[name] for name in ("epochs", "lr", "batch", "weight_decay")} == {
        **models.recipe("eegnet"), "epochs": 1, "lr": 0.5,
    }  # fmt: skip
    assert set(models.recipe("r-scnn")) == set(models.recipe("eegnet"))


def test_without_validation_the_last_epoch_counts(rng):
    X, y = tiny(rng)
    _, curve, account = train.fit(X, y, epochs=4, **TINY)
    assert (account["best_epoch"], account["chosen_by"]) == (4, "last epoch")
    assert curve[["val_loss", "val_accuracy"]].isna().all(axis=None)


def test_normalisation_is_of_the_training_windows(rng):
    X, y = tiny(rng)
    X[:, 2] = 7.0  # a flat channel
    weights, _, _ = train.fit(X, y, epochs=1, validation=np.arange(20), **TINY)
    expected = X[20:].astype(np.float64)
    assert np.allclose(weights["normalisation.mean"][:, 0], expected.mean((0, 2)), rtol=1e-6)
    std = expected.std((0, 2))
    std[2] = 1
    assert np.allclose(weights["normalisation.std"][:, 0], std, rtol=1e-5)
    assert np.isfinite(train.predict(weights, X, model="eegnet", f1=2, depth=1, kernel=16)).all()


def test_channels_that_never_move_have_no_spread(rng):
    """At 0 or at 5.3 µV, as samples or as a spectrum: rounding is no spread; what moves a little has its own."""
    X = rng.normal(size=(2000, 4, 64)).astype(np.float32)
    X[:, 1], X[:, 2], X[:, 3] = 0, 5.3, 1000 + 0.1 * X[:, 3]
    mean, std = train.normalisation(X, np.arange(2000))
    assert std[:3, 0] == pytest.approx([1, 1, 1], abs=0.01) and std[3, 0] == pytest.approx(0.1, rel=0.01)
    assert std[1:3, 0].tolist() == [1, 1] and mean[2, 0] == pytest.approx(5.3)
    shown = inputs.make("fft", n_chans=4, n_times=64, sfreq=64.0)
    _, std = train.normalisation(X, np.arange(2000), shown)
    assert (std[1:3] == 1).all() and (std[[0, 3], :31] < 1).all()


def test_maps_are_those_of_the_training_after_a_file(rng, tmp_path):
    """Names of bands come back from a file in the order of the alphabet."""
    from hedgerow.nets import trained

    where = 0.1 * np.array([[0, 0.7, 0.7], [0.7, 0, 0.7], [-0.7, 0, 0.7], [0, -0.7, 0.7], [0, 0, 1]])
    X, y = rng.normal(size=(40, 5, 128)), np.arange(40) % 2
    X += 2 * y[:, None, None] * np.sin(2 * np.pi * 10 * np.arange(128) / 128)
    params = {"size": 6, "bands": {"theta": [4, 7], "beta": [14, 25], "alpha": [7, 13]}}
    how = dict(model="mlp", input="topographies", input_params=params, sfreq=128.0, positions=where.tolist())
    weights, _, account = train.fit(X, y, epochs=2, hidden=[], **how)
    info = {"params": {"hidden": []}, "shape": [5, 128], "positions": where.tolist(), "task": "classification"}
    trained.save(tmp_path / "net.safetensors", weights, {**account, **info})
    again = trained.load(tmp_path / "net.safetensors")
    assert list(again.info["input_params"]["bands"]) == ["alpha", "beta", "theta"]
    assert np.array_equal(again.predict(X), train.predict(weights, X, **how, hidden=[]))


def test_an_input_stays_in_its_unit_if_it_is_not_standardised(rng):
    X, y = tiny(rng)
    weights, _, account = train.fit(X, y, epochs=1, standardise=False, **TINY)
    assert account["standardise"] is False
    assert (weights["normalisation.mean"] == 0).all() and (weights["normalisation.std"] == 1).all()
    assert not same(weights, train.fit(X, y, epochs=1, **TINY)[0])


def test_order_is_a_permutation_that_depends_on_seed_and_epoch_alone():
    assert sorted(train.order(1, 0, 50)) == list(range(50))
    assert np.array_equal(train.order(1, 7, 50), train.order(1, 7, 50))
    assert not np.array_equal(train.order(1, 7, 50), train.order(1, 8, 50))
    assert not np.array_equal(train.order(1, 7, 50), train.order(2, 7, 50))


def test_torch_is_left_as_it_was(rng):
    X, y = tiny(rng)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train.fit(X, y, epochs=1, threads=threads + 1, **TINY)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()


def test_numbers_of_numpy_are_numbers(rng):
    X, y = tiny(rng)
    given = {"seed": np.int64(3), "lr": np.float64(0.02), "batch": np.int32(16)}
    assert same(train.fit(X, y, epochs=1, **TINY | given)[0], train.fit(X, y, epochs=1, **TINY)[0])


def test_predictions_do_not_depend_on_the_batch(rng):
    X, y = tiny(rng)
    weights, _, _ = train.fit(X, y, epochs=2, **TINY)
    how = dict(model="eegnet", f1=2, depth=1, kernel=16)
    assert np.allclose(train.predict(weights, X, batch=7, **how), train.predict(weights, X, **how), atol=1e-6)
    with pytest.raises(ValueError, match="trained on 4"):
        train.predict(weights, X[:, :3], **how)
    with pytest.raises(ValueError, match="32 samples"):
        train.predict(weights, X[:, :, :32], **how)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(y=np.zeros(90, int)), "1 of 1 classes"),
        (dict(validation=np.arange(90) % 2 == 1), "1 of 2 classes"),
        (dict(validation=np.arange(90)), "0 of 2 classes"),
        (dict(y=np.arange(89)), "89 targets"),
        (dict(n_outputs=1), "must be 0"),
        (dict(epochs=0), "epochs"),
        (dict(lr=0), "lr"),
        (dict(seed=-1), "seed"),
        (dict(optimiser="sgdd"), "adamax"),
        (dict(lr=1e30, epochs=3), "try a tenth"),
        (dict(task="ranking"), "classification, regression"),
        (dict(task="regression", y=np.full(90, np.nan)), "90 windows"),
        (dict(task="regression", balance="sampler"), "balance"),
        (dict(task="regression", n_outputs=3), "n_outputs is 3"),
        (dict(y=np.zeros((90, 2), int)), "several targets"),
        (dict(balance="some"), "none, weights, sampler"),
        (dict(precision="float16"), "bfloat16"),
        (dict(workers=-1), "workers"),
        (dict(world=17), "17 processes"),
        (dict(X=np.zeros((90, 64), np.float32)), "windows, channels, samples"),
        (dict(validation=np.arange(-20, 0)), "indices from -20 to -1 for 90 windows: they count from 0"),
        (dict(validation=[95]), "indices from 95 to 95 for 90 windows"),
        (dict(validation=np.ones(50, bool)), "mask of .50,. for 90 windows"),
        (dict(y=np.arange(90) % 2 + 0.5), "whole numbers from 0"),
        (dict(y=np.where(np.arange(90) < 45, 0.0, np.nan)), "whole numbers from 0"),
    ],
)
def test_a_training_that_cannot_work_is_refused(rng, change, message):
    X, y = tiny(rng)
    with pytest.raises(ValueError, match=message):
        train.fit(**dict(X=X, y=y, epochs=1) | TINY | change)


def test_windows_with_nan_are_refused(rng):
    X, y = tiny(rng)
    X[50, 2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        train.fit(X, y, epochs=1, **TINY)
    weights, _, _ = train.fit(X[:50], y[:50], epochs=1, **TINY)
    with pytest.raises(ValueError, match="NaN"):
        train.predict(weights, X, f1=2, depth=1, kernel=16)


@pytest.mark.gpu
def test_on_a_gpu_twice_the_same_bits_and_near_the_cpu(rng):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    X, y = tiny(rng)
    one, again = (train.fit(X, y, epochs=2, device="cuda", **TINY)[0] for _ in range(2))
    assert same(one, again)
    how = dict(model="eegnet", f1=2, depth=1, kernel=16)
    on_cpu = train.predict(one, X, **how)
    assert np.allclose(train.predict(one, X, device="cuda", **how), on_cpu, atol=1e-4)
