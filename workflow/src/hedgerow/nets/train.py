"""Training that repeats to the bit: the same command twice, or killed at any step and resumed, gives the same weights.

Nothing random is carried from one step to the next. The order of the windows is a function of (seed, epoch), torch's
generator is seeded from (seed, step) at the top of each step, and the model is made after the seed; a checkpoint
therefore needs model, optimiser and step, and no generator state (saving that one fails: merely making a DataLoader
iterator draws from it). What does change the bits is recorded in the account: threads, device, torch build and
instruction set. On CUDA the process must have CUBLAS_WORKSPACE_CONFIG=:4096:8 in its environment before it starts.
"""

import contextlib
import hashlib
import json
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from hedgerow.nets import models

#: Optimisers by name; all with torch's defaults but for learning rate and weight decay.
OPTIMISERS = {"adamax": torch.optim.Adamax, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def fit(
    X,
    y,
    *,
    validation=None,
    n_outputs=None,
    model="eegnet",
    seed=1,
    epochs=None,
    batch=None,
    optimiser="adamax",
    lr=None,
    weight_decay=None,
    threads=1,
    device="cpu",
    checkpoint=None,
    checkpoint_steps=200,
    progress=None,
    **params,
):
    """Train a network and return the weights of the epoch with the lowest validation loss.

    Parameters
    ----------
    X : ndarray, shape (windows, channels, samples)
        float32, µV, any array that numpy can index (a memmap too); finite. Training and validation windows, no others.
    y : ndarray of int, shape (windows,)
        Class of each window, 0 ... n_outputs - 1.
    validation : array of int or of bool, optional
        Indices or mask of the validation windows: they choose the epoch and enter nothing else, not even the
        normalisation. None or empty: the last epoch's weights are returned.
    n_outputs : int, optional
        Classes; by default the largest of `y` plus one.
    model : str
        Name of the network, see `models.build`; `params` are its own parameters.
    seed : int
        At least 0; decides initial weights, order of the windows and dropout.
    epochs, batch : int
        Passes over the training windows and windows per step; None: as the model's recipe has it.
    optimiser : str
        A key of `OPTIMISERS`.
    lr, weight_decay : float
        Learning rate > 0 and L2 penalty >= 0; None: as the model's recipe has it.
    threads : int
        CPU threads; part of what the result depends on (sums are split by threads).
    device : str
        ``"cpu"`` or ``"cuda"``.
    checkpoint : path, optional
        Written every `checkpoint_steps` steps (and at the end of each epoch), whole or not at all. One left by the
        same training (same data, settings and build) is resumed, any other is ignored and overwritten.
    checkpoint_steps : int
        Steps between checkpoints, >= 1.
    progress : callable, optional
        Called after each step as ``progress(step, steps, row)``, `row` being the last finished epoch's row of the
        curve or None. An exception that it raises stops the training; the next call resumes at the last checkpoint.

    Returns
    -------
    weights : dict of str to torch.Tensor
        State of the model on the CPU, and ``normalisation.mean`` and ``normalisation.std`` (channels,) in µV.
    curve : pandas.DataFrame
        One row per epoch: epoch (from 1), train_loss, val_loss, val_accuracy (NaN without validation windows).
    account : dict
        Chosen epoch, counts, settings, digests, and what else the bits depend on.

    Raises
    ------
    ValueError
        Unusable data or settings, or a loss that is no longer finite.
    """
    settings = dict(
        model=model, seed=seed, epochs=epochs, batch=batch, optimiser=optimiser, lr=lr, weight_decay=weight_decay,
        threads=threads, device=device, checkpoint_steps=checkpoint_steps, params=params,
    )  # fmt: skip
    settings |= {name: value for name, value in models.recipe(model).items() if settings[name] is None}
    train, val = _sets(X, y, validation)
    settings["n_outputs"] = _outputs(y, train, n_outputs)
    _check(settings)
    with _reproducible(threads, device):
        run = _Run(X, np.asarray(y), train, val, settings, checkpoint)
        run.resume()
        while run.epoch < settings["epochs"]:
            run.train_epoch(progress)
    return run.weights(), pd.DataFrame(run.curve), run.account()


def predict(weights, X, *, model="eegnet", batch=256, threads=1, device="cpu", **params):
    """Class probabilities of windows.

    Parameters
    ----------
    weights : dict of str to torch.Tensor
        As `fit` returns them, normalisation included.
    X : ndarray, shape (windows, channels, samples)
        float32, µV, channels and samples as in training.
    model, threads, device, **params
        As in `fit`.
    batch : int
        Windows at a time; bounds the memory.

    Returns
    -------
    ndarray, shape (windows, n_outputs)
        float64, 0 ... 1, rows sum to 1.

    Raises
    ------
    ValueError
        Channels or samples are not those of the training, or samples are not finite.
    """
    state = {name: value for name, value in weights.items() if not name.startswith("normalisation.")}
    mean, std = (weights[f"normalisation.{name}"].to(device) for name in ("mean", "std"))
    if X.shape[1] != len(mean):
        raise ValueError(f"these windows have {X.shape[1]} channels, the network was trained on {len(mean)}")
    n_outputs = len(state["final_layer.bias"])
    with _reproducible(threads, device):
        net = models.build(model, X.shape[1], X.shape[2], n_outputs, **params)
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"the weights do not fit a {model} for {X.shape[2]} samples: {error}") from None
        logits = _logits(net.to(device).eval(), X, np.arange(len(X)), mean, std, batch)
    if not torch.isfinite(logits).all():
        raise ValueError("some windows hold NaN or infinite samples: clean the recordings or reject the windows")
    return torch.softmax(logits.double(), dim=1).cpu().numpy()


def order(seed, epoch, n):
    """Order of `n` training windows in `epoch` (from 0): a function of its arguments alone, indices (n,)."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(n)


def normalisation(X, indices, batch=1024):
    """Mean and standard deviation of each channel over the windows `indices`, float64 (channels,), unit of `X`.

    A channel that never moves gets the standard deviation 1, so that it stays 0 instead of becoming NaN.
    """
    total, squares = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for start in range(0, len(indices), batch):
        part = np.asarray(X[indices[start : start + batch]], dtype=np.float64)
        total += part.sum(axis=(0, 2))
        squares += (part**2).sum(axis=(0, 2))
    count = len(indices) * X.shape[2]
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return mean, np.where(std > 0, std, 1.0)


class _Run:
    """One training on its way: model, optimiser, step, the epoch's running loss, the curve and the best weights."""

    def __init__(self, X, y, train, val, settings, checkpoint):
        self.X, self.y, self.train, self.val = X, y, train, val
        self.settings, self.checkpoint = settings, checkpoint
        self.digest = _digest(X, y, train, val, settings)
        self.mean, self.std = (
            torch.tensor(v, dtype=torch.float32, device=settings["device"]) for v in normalisation(X, train)
        )
        torch.manual_seed(_key(settings["seed"], "weights"))
        self.net = models.build(
            settings["model"], X.shape[1], X.shape[2], settings["n_outputs"], **settings["params"]
        ).to(settings["device"])
        self.optimiser = OPTIMISERS[settings["optimiser"]](
            self.net.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"]
        )
        self.steps_per_epoch = math.ceil(len(train) / settings["batch"])
        self.epoch, self.step, self.curve, self.best = 0, 0, [], None
        self.loss = torch.zeros((), dtype=torch.float64, device=settings["device"])

    def train_epoch(self, progress):
        """The rest of the current epoch, its row of the curve, and a checkpoint."""
        settings = self.settings
        batches = np.split(
            self.train[order(settings["seed"], self.epoch, len(self.train))],
            np.arange(settings["batch"], len(self.train), settings["batch"]),
        )
        for indices in batches[self.step - self.epoch * self.steps_per_epoch :]:
            self.train_step(indices)
            last = self.step == (self.epoch + 1) * self.steps_per_epoch
            if last:
                self.close_epoch()
            if last or self.step % settings["checkpoint_steps"] == 0:
                self.save()
            if progress:
                row = self.curve[-1] if self.curve else None
                progress(self.step, settings["epochs"] * self.steps_per_epoch, row)

    def train_step(self, indices):
        """One step of the optimiser, with every random number drawn from (seed, step)."""
        torch.manual_seed(_key(self.settings["seed"], self.step))
        self.net.train()
        self.optimiser.zero_grad()
        y = torch.as_tensor(self.y[indices], device=self.mean.device)
        loss = cross_entropy(self.net(_batch(self.X, indices, self.mean, self.std)), y)
        loss.backward()
        self.optimiser.step()
        if hasattr(self.net, "constrain"):
            self.net.constrain()
        self.loss += loss.detach().double() * len(indices)
        self.step += 1

    def close_epoch(self):
        """Judge the epoch on the validation windows and keep its weights if none was better."""
        loss, accuracy = float("nan"), float("nan")
        if len(self.val):
            logits = _logits(self.net.eval(), self.X, self.val, self.mean, self.std)
            y = torch.as_tensor(self.y[self.val], device=logits.device)
            loss = cross_entropy(logits.double(), y).item()
            accuracy = (logits.argmax(1) == y).double().mean().item()
        row = dict(epoch=self.epoch + 1, train_loss=self.loss.item() / len(self.train), val_loss=loss)
        if not np.isfinite(row["train_loss"]):
            raise ValueError(
                f"the training loss is {row['train_loss']} in epoch {row['epoch']}: "
                f"lr is {self.settings['lr']}, try a tenth of it"
            )
        if self.best is None or not len(self.val) or loss < self.curve[self.best["epoch"] - 1]["val_loss"]:
            state = {name: value.detach().cpu().clone() for name, value in self.net.state_dict().items()}
            self.best = {"epoch": self.epoch + 1, "state": state}
        self.curve.append({**row, "val_accuracy": accuracy})
        self.epoch += 1
        self.loss = torch.zeros_like(self.loss)

    def save(self):
        """Write the checkpoint, whole or not at all."""
        if self.checkpoint is None:
            return
        names = ("digest", "epoch", "step", "loss", "curve", "best")
        state = {name: getattr(self, name) for name in names}
        state |= {"model": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}
        Path(self.checkpoint).parent.mkdir(parents=True, exist_ok=True)
        scratch = f"{self.checkpoint}.tmp"
        torch.save(state, scratch)
        os.replace(scratch, self.checkpoint)

    def resume(self):
        """Take up a checkpoint of the same training; one of another training, or an unreadable one, is ignored."""
        if self.checkpoint is None or not os.path.exists(self.checkpoint):
            return
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            return
        if state.get("digest") != self.digest:
            return
        self.net.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.loss = state["loss"].to(self.mean.device)
        for name in ("epoch", "step", "curve", "best"):
            setattr(self, name, state[name])

    def weights(self):
        """Chosen weights and the normalisation that belongs to them."""
        return {**self.best["state"], "normalisation.mean": self.mean.cpu(), "normalisation.std": self.std.cpu()}

    def account(self):
        """What was trained, and everything that its bits depend on."""
        weights = hashlib.sha256()
        for name, value in sorted(self.weights().items()):
            weights.update(name.encode() + value.numpy().tobytes())
        return {
            **self.settings,
            "best_epoch": self.best["epoch"],
            "chosen_by": "validation loss" if len(self.val) else "last epoch",
            "steps": self.step,
            "windows": {"train": len(self.train), "validation": len(self.val)},
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "digest": self.digest,
            "weights_sha256": weights.hexdigest(),
            **_build(self.settings["device"]),
        }


def _batch(X, indices, mean, std):
    """Standardised windows as a tensor on the device of `mean`."""
    x = torch.from_numpy(np.ascontiguousarray(X[indices], dtype=np.float32)).to(mean.device)
    return (x - mean[:, None]) / std[:, None]


@torch.no_grad()
def _logits(net, X, indices, mean, std, batch=256):
    parts = [_batch(X, indices[i : i + batch], mean, std) for i in range(0, len(indices), batch)]
    return torch.cat([net(x) for x in parts]) if parts else torch.zeros(0, net.final_layer.out_features)


def _sets(X, y, validation):
    """Indices of training and validation windows, ascending."""
    if len(X) != len(y):
        raise ValueError(f"there are {len(X)} windows and {len(y)} classes: give one class per window")
    val = np.asarray([] if validation is None else validation)
    val = np.flatnonzero(val) if val.dtype == bool else np.unique(val.astype(np.int64))
    train = np.setdiff1d(np.arange(len(X)), val)
    for start in range(0, len(X), 1024):
        if not np.isfinite(X[start : start + 1024]).all():
            raise ValueError("some windows hold NaN or infinite samples: clean the recordings or reject the windows")
    return train, val


def _outputs(y, train, n_outputs):
    """Number of classes, after a look at the classes that the training windows have."""
    n_outputs = int(np.max(y)) + 1 if n_outputs is None else int(n_outputs)
    if np.min(y) < 0 or np.max(y) >= n_outputs:
        raise ValueError(f"classes run from {np.min(y)} to {np.max(y)}: they must be 0 ... {n_outputs - 1}")
    present = np.unique(np.asarray(y)[train])
    if len(present) < 2:
        raise ValueError(
            f"the training windows have {len(present)} of {n_outputs} classes: "
            "use fewer folds, more subjects or a smaller validation share"
        )
    return n_outputs


def _check(settings):
    """Refuse settings that cannot work, each with a sentence."""
    for name, least in (("seed", 0), ("epochs", 1), ("batch", 1), ("threads", 1), ("checkpoint_steps", 1)):
        if int(settings[name]) != settings[name] or settings[name] < least:
            raise ValueError(f"{name} is {settings[name]}: give a whole number of at least {least}")
    if not settings["lr"] > 0 or not settings["weight_decay"] >= 0:
        raise ValueError(f"lr is {settings['lr']}, weight_decay {settings['weight_decay']}: give lr > 0, decay >= 0")
    if settings["optimiser"] not in OPTIMISERS:
        raise ValueError(f"optimiser {settings['optimiser']!r} is not known: choose one of {', '.join(OPTIMISERS)}")


def _key(seed, *parts):
    """Seed for torch from the run's seed and a place in it, 0 ... 2^63 - 1."""
    text = "|".join(str(part) for part in (seed, *parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def _digest(X, y, train, val, settings):
    """Identity of a training: data, sets, settings and build; a checkpoint of another one is not resumed."""
    identity = {**settings, **_build(settings["device"])}
    digest = hashlib.blake2b(json.dumps(identity, sort_keys=True).encode(), digest_size=16)
    for start in range(0, len(X), 1024):
        digest.update(np.ascontiguousarray(X[start : start + 1024], dtype=np.float32).tobytes())
    for array in (np.asarray(y), train, val):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()


def _build(device):
    """What else the bits depend on: torch's build, the instruction set, the GPU."""
    found = {"torch": torch.__version__, "instructions": torch.backends.cpu.get_cpu_capability()}
    return found | ({"gpu": torch.cuda.get_device_name(device)} if device != "cpu" else {})


@contextlib.contextmanager
def _reproducible(threads, device):
    """Fixed threads, deterministic kernels and no TF32 inside; everything as it was outside, generators included."""
    cudnn = torch.backends.cudnn
    before = (
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), cudnn.benchmark, cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )  # fmt: skip
    try:
        with torch.random.fork_rng(devices=[] if device == "cpu" else None):
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True)
            cudnn.benchmark = cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        cudnn.benchmark, cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before[2:]
