"""Training that repeats to the bit: the same command twice, or killed at any step and resumed, gives the same weights.

Nothing random is carried from one step to the next. The order of the windows is a function of (seed, epoch), torch's
generator is seeded from (seed, step) at the top of each step, and the model is made after the seed; a checkpoint
therefore needs model, optimiser and step, and no generator state (saving that one fails: merely making a DataLoader
iterator draws from it). What does change the bits is recorded in the account: threads, device, number of ranks, torch
build and instruction set; a checkpoint that was made otherwise is refused unless that is allowed. On CUDA the process
must have CUBLAS_WORKSPACE_CONFIG=:4096:8 in its environment before it starts.
"""

import contextlib
import hashlib
import io
import json
import math
import os
import pickle
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import distributed
from torch.nn.functional import cross_entropy

from hedgerow import __version__
from hedgerow.nets import _feed, _heap, _ranks, inputs, models

#: Optimisers by name; all with torch's defaults but for learning rate and weight decay.
OPTIMISERS = {"adamax": torch.optim.Adamax, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}

#: What a network can be asked for.
TASKS = ("classification", "regression")

#: How classes of unlike size are made to weigh the same: not, by weights in the loss, or by how often they are drawn.
BALANCE = ("none", "weights", "sampler")

#: Arithmetic of the steps: all in float32; products of matrices in TF32 (CUDA only); or bfloat16 by autocast.
PRECISION = ("float32", "tf32", "bfloat16")

#: Windows read at a time where all are looked at.
BLOCK = 1024

#: Bytes of the checksum with which a checkpoint begins: a flipped bit can pass for a weight.
CHECKSUM = 32


def fit(
    X,
    y,
    *,
    validation=None,
    task="classification",
    n_outputs=None,
    model="eegnet",
    input="raw",
    input_params=None,
    standardise=True,
    sfreq=None,
    positions=None,
    seed=1,
    epochs=None,
    batch=None,
    optimiser="adamax",
    lr=None,
    weight_decay=None,
    balance="none",
    precision="float32",
    threads=1,
    workers=0,
    device="cpu",
    world=1,
    checkpoint=None,
    checkpoint_steps=200,
    checkpoint_seconds=30.0,
    other_build=False,
    code=None,
    progress=None,
    **params,
):
    """Train a network and return the weights of the epoch with the lowest validation loss.

    Parameters
    ----------
    X : array_like, shape (windows, channels, samples)
        float32, µV; finite. Training and validation windows, no others. An array, or anything else with ``shape`` that
        gives windows for an array of indices: `hedgerow.nets.loader.Windows` reads them as they are needed.
    y : ndarray, shape (windows,) or (windows, targets)
        Class of each window (int, 0 ... n_outputs - 1); for a regression one or several numbers (finite).
    validation : array of int or of bool, optional
        Indices or mask of the validation windows: they choose the epoch and enter nothing else, not even the
        normalisation. None or empty: the last epoch's weights are returned.
    task : {"classification", "regression"}
        Cross-entropy of classes, or mean squared error of targets, each standardised over the training windows.
    n_outputs : int, optional
        Classes; by default the largest of `y` plus one. A regression has as many as `y` has columns.
    model : str
        Name of the network, see `models.build`; `params` are its own parameters.
    input, input_params
        What the network is shown of a window, see `inputs.make`.
    standardise : bool
        Bring the input to mean 0 and standard deviation 1 by what the training windows have. False: it stays in its
        unit. Networks without normalisation of their own can depend on it: with weight decay R-VGG learns from µV and
        not from standardised windows, for these are ten times as small.
    sfreq : float, optional
        Sampling rate in Hz, where the model or the input needs one.
    positions : list, optional
        Places of the channels in m, where the input needs them.
    seed : int
        At least 0; decides initial weights, order of the windows and dropout.
    epochs, batch : int
        Passes over the training windows and windows per step (of all ranks together); None: as the model's recipe has
        it.
    optimiser : str
        A key of `OPTIMISERS`.
    lr, weight_decay : float
        Learning rate > 0 and L2 penalty >= 0; None: as the model's recipe has it.
    balance : {"none", "weights", "sampler"}
        ``weights``: each class has the same weight in the loss. ``sampler``: each epoch shows each class equally often,
        a small one's windows several times, a large one's in part. The validation loss weighs classes alike in both.
    precision : {"float32", "tf32", "bfloat16"}
        Arithmetic of the training steps; predictions are always made in float32.
    threads : int
        CPU threads; part of what the result depends on (sums are split by threads).
    workers : int
        Processes that read windows ahead; 0: a thread does. No bit depends on it.
    device : str
        ``"cpu"`` or ``"cuda"``.
    world : int
        Processes that share each batch, one GPU (or `threads` of the CPU) each. Started here, as ``torchrun`` does; or
        by ``torchrun`` itself, if the process group is initialised already.
    checkpoint : path, optional
        Written at the end of each epoch and every `checkpoint_steps` steps if `checkpoint_seconds` s have passed since
        the last one, whole or not at all. One left by the same training is resumed, that of another training (other
        data, settings or code) or a damaged one is ignored and overwritten.
    checkpoint_steps : int
        Steps between checkpoints, >= 1.
    checkpoint_seconds : float
        Least seconds between checkpoints within an epoch.
    other_build : bool
        Resume the same training although threads, device, torch or instruction set are others than the checkpoint's;
        the account then says so, and the weights are no longer those of an undisturbed run to the bit.
    code : str, optional
        Digest of the program; the version of Hedgerow counts in any case.
    progress : callable, optional
        Called after each step as ``progress(step, steps, row)``; `row` (dict) has the last finished epoch's row of the
        curve, ``windows_per_s``, and ``waiting``, the share of the time in which windows were waited for. An exception
        that it raises stops the training; the next call resumes at the last checkpoint.

    Returns
    -------
    weights : dict of str to torch.Tensor
        State of the model on the CPU, and ``normalisation.mean`` and ``normalisation.std`` (those of the input's cells,
        broadcast against it), of a regression ``normalisation.target_mean`` and ``normalisation.target_std``, too.
    curve : pandas.DataFrame
        One row per epoch: epoch (from 1), train_loss, val_loss, and val_accuracy or val_r2 (NaN without validation
        windows).
    account : dict
        Chosen epoch, counts, settings, digests, and what else the bits depend on.

    Raises
    ------
    ValueError
        Unusable data or settings, or a loss that is no longer finite.
    OtherBuild
        The checkpoint is of the same training on another device, build or number of threads.
    """
    settings = dict(
        task=task, model=model, params=params, input=input, input_params=dict(input_params or {}),
        standardise=standardise, sfreq=sfreq, seed=seed, epochs=epochs, batch=batch, optimiser=optimiser, lr=lr,
        weight_decay=weight_decay, balance=balance, precision=precision, n_outputs=n_outputs,
    )  # fmt: skip
    settings |= {name: value for name, value in models.recipe(model).items() if settings.get(name, 0) is None}
    world = distributed.get_world_size() if distributed.is_initialized() else world
    where = dict(threads=threads, device=device, world=world)
    kept = dict(checkpoint=checkpoint, steps=checkpoint_steps, seconds=checkpoint_seconds, other_build=other_build)
    kept["code"] = f"{__version__} {code}"
    _check(settings, where, kept, workers)
    if world > 1 and not distributed.is_initialized():
        job = dict(
            X=X, y=y, validation=validation, positions=positions, workers=workers, checkpoint=checkpoint,
            checkpoint_steps=checkpoint_steps, checkpoint_seconds=checkpoint_seconds, other_build=other_build,
            code=code, progress=progress, **where, **params,
            **{name: value for name, value in settings.items() if name != "params"},
        )  # fmt: skip
        return _ranks.launch(fit, job, world, device)
    y, train, val = _sets(X, y, validation, settings)
    with _reproducible(threads, device, precision):
        run = _Run(X, y, train, val, settings, where, kept, positions)
        run.resume()
        run.train_on(workers, progress)
    return run.weights(), pd.DataFrame(run.curve), run.account()


class OtherBuild(ValueError):
    """A checkpoint of the same training that was made on another device, build or number of threads."""


def predict(weights, X, *, task="classification", model="eegnet", input="raw", input_params=None, sfreq=None,
            positions=None, n_outputs=None, batch=64, threads=1, device="cpu", **params):  # fmt: skip
    """Class probabilities of windows, or the values of a regression.

    Parameters
    ----------
    weights : dict of str to torch.Tensor
        As `fit` returns them, normalisation included.
    X : array_like, shape (windows, channels, samples)
        float32, µV, channels and samples as in training.
    task, model, input, input_params, sfreq, positions, threads, device, **params
        As in `fit`.
    n_outputs : int, optional
        By default as the weights of the last layer have it.
    batch : int
        Windows at a time; bounds the memory.

    Returns
    -------
    ndarray, shape (windows, n_outputs)
        float64. Classes: 0 ... 1, rows sum to 1. Regression: in the targets' units.

    Raises
    ------
    ValueError
        Channels or samples are not those of the training, or samples are not finite.
    """
    logits = outputs(
        weights, X, model=model, input=input, input_params=input_params, sfreq=sfreq, positions=positions,
        n_outputs=n_outputs, batch=batch, threads=threads, device=device, **params,
    )  # fmt: skip
    if not torch.isfinite(logits).all():
        raise ValueError(f"predictions are not finite: {NOT_FINITE}; or train anew with a smaller lr what diverged")
    if task == "classification":
        return torch.softmax(logits, dim=1).numpy()
    return (logits * weights["normalisation.target_std"] + weights["normalisation.target_mean"]).numpy()


def outputs(weights, X, *, model="eegnet", input="raw", input_params=None, sfreq=None, positions=None, n_outputs=None,
            batch=64, threads=1, device="cpu", **params):  # fmt: skip
    """What the last layer gives for windows, float64 tensor (windows, n_outputs); parameters as in `predict`."""
    state = {name: value for name, value in weights.items() if not name.startswith("normalisation.")}
    mean, std = weights["normalisation.mean"], weights["normalisation.std"]
    with _reproducible(threads, device):
        shown = _shown(X.shape, input, input_params, sfreq, positions)
        if shown.shape[0] != len(mean):
            raise ValueError(f"these windows have {shown.shape[0]} channels, the network was trained on {len(mean)}")
        if mean.shape[1] not in (1, shown.shape[1]):
            raise ValueError(f"the weights do not fit windows of {X.shape[2]} samples")
        n_outputs = _n_outputs(state) if n_outputs is None else n_outputs
        net = models.build(model, *shown.shape, n_outputs, sfreq=sfreq, **params)
        try:
            net.load_state_dict(state)
        except RuntimeError as error:
            raise ValueError(f"the weights do not fit a {model} for {X.shape[2]} samples: {error}") from None
        look = _Look(shown, mean, std, device)
        return _outputs(net.to(device).eval(), look, X, np.arange(len(X)), n_outputs, batch).double().cpu()


def order(seed, epoch, n):
    """Order of `n` training windows in `epoch` (from 0): a function of its arguments alone, indices (n,)."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(n)


def balanced_order(seed, epoch, y):
    """As `order`, with each of the classes `y` in as many places: indices, some windows twice, some not at all.

    A class goes through its windows in one random order after another, and in the next epoch takes up where it was, so
    that none is forgotten.
    """
    classes = np.unique(y)
    places = math.ceil(len(y) / len(classes))
    drawn = []
    for name in classes:
        members = np.flatnonzero(y == name)
        first, over = divmod(epoch * places, len(members))
        rounds = range(first, math.ceil((epoch + 1) * places / len(members)))
        # a key of its own for each class and round: the epochs' keys hold small numbers in the second place
        orders = [order(seed, _key(seed, int(name), k), len(members)) for k in rounds]
        drawn.append(members[np.concatenate(orders)[over:][:places]])
    drawn = np.concatenate(drawn)
    return drawn[order(seed, epoch, len(drawn))]


def normalisation(X, indices, shown=None):
    """Mean and standard deviation over the windows `indices`, as a network's weights hold them.

    Parameters
    ----------
    X : array_like, shape (windows, channels, samples)
        As for `fit`.
    indices : ndarray of int
    shown : torch.nn.Module, optional
        From `inputs.make`; by default the windows as they are.

    Returns
    -------
    mean, std : ndarray float64, shape (rows, columns) or (rows, 1)
        Of the input's cells, those of a group together; one column where all have the same. Cells that never move get
        the standard deviation 1, so that they stay 0 instead of becoming NaN; those of no group are left as they are.
    """
    shown = _shown(X.shape, "raw", None, None, None) if shown is None else shown
    return Sums.over(X, indices, shown).normalisation()


class Sums:
    """Sums over windows of what the network is shown, by groups of cells in float64: what a normalisation is made of.

    Parameters
    ----------
    shown : torch.nn.Module
        From `inputs.make`.
    """

    def __init__(self, shown):
        self.shown, self.groups = shown, np.asarray(shown.groups)
        self.own = self.groups.ravel() + 1  # 0: the cells of no group
        self.count, self.total, self.squares = 0, *np.zeros((2, self.own.max() + 1))

    @classmethod
    def over(cls, X, indices, shown):
        """Sums over the windows `indices` of `X`."""
        found = cls(shown)
        for start in range(0, len(indices), BLOCK):
            found.add(_feed.take(X, indices[start : start + BLOCK]))
        return found

    @classmethod
    def of(cls, parts):
        """Sums of several together, which must be of one input."""
        parts = list(parts)
        found = cls(parts[0].shown)
        for part in parts:
            found.count += part.count
            found.total += part.total
            found.squares += part.squares
        return found

    def add(self, x):
        """Add windows, a tensor (windows, channels, samples)."""
        part = self.shown(x).double()
        self.total += np.bincount(self.own, part.sum(0).numpy().ravel(), len(self.total))
        self.squares += np.bincount(self.own, part.square_().sum(0).numpy().ravel(), len(self.total))
        self.count += len(x)

    def normalisation(self):
        """Mean and standard deviation, see `hedgerow.nets.train.normalisation`."""
        cells = self.count * np.maximum(np.bincount(self.own), 1)
        mean = self.total / cells
        std = np.sqrt(np.maximum(self.squares / cells - mean**2, 0.0))
        # what rounding leaves of cells that never move is no spread
        least = np.maximum(1e-6 * np.sqrt(self.squares / cells), self.shown.rounding * std.max())
        std = np.where(std > least, std, 1.0)
        mean[0], std[0] = 0.0, 1.0
        mean, std = mean[self.own].reshape(self.groups.shape), std[self.own].reshape(self.groups.shape)
        whole = (self.groups == self.groups[:, :1]).all()
        return (mean[:, :1], std[:, :1]) if whole else (mean, std)


class _Look:
    """What the network is shown: the input of windows in µV, standardised, on the device."""

    def __init__(self, shown, mean, std, device):
        self.shown = shown.to(device)
        self.mean, self.std = (torch.as_tensor(v, dtype=torch.float32, device=device) for v in (mean, std))
        self.device = device

    def __call__(self, x):
        return (self.shown(x.to(self.device, non_blocking=True)) - self.mean) / self.std


class _Run:
    """One training on its way: model, optimiser, step, the epoch's running loss, the curve and the best weights."""

    def __init__(self, X, y, train, val, settings, where, kept, positions):
        self.X, self.train, self.val = X, train, val
        self.settings, self.where, self.kept = settings, where, kept
        self.rank, self.world, device = _ranks.place(where["device"])
        self.build = _build(where) | models.packages(settings["model"])
        shown = _shown(X.shape, settings["input"], settings["input_params"], settings["sfreq"], positions)
        self.digest, mean, std = _survey(X, y, train, val, shown, settings, positions)
        mean, std = (mean, std) if settings["standardise"] else (np.zeros_like(mean), np.ones_like(std))
        self.look = _Look(shown, mean, std, device)
        self.targets = _targets(y, train, settings)
        self.y = torch.as_tensor(self.targets["values"], device=device)
        self.class_weights = _class_weights(y[train], settings, device)
        models.fitting(settings["model"], settings["params"], shown.maps)
        torch.manual_seed(_key(settings["seed"], "weights"))
        self.net = models.build(
            settings["model"], *shown.shape, settings["n_outputs"], sfreq=settings["sfreq"], **settings["params"]
        ).to(device)
        self.model = _ranks.shared(self.net, device, models.unused(settings["model"]))
        self.optimiser = OPTIMISERS[settings["optimiser"]](
            self.net.parameters(), lr=settings["lr"], weight_decay=settings["weight_decay"]
        )
        self.y_train = y[train]
        self.windows_per_epoch = len(self.places(0))
        self.steps_per_epoch = math.ceil(self.windows_per_epoch / settings["batch"])
        self.step, self.curve, self.best, self.earlier = 0, [], None, []
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.saved = time.monotonic()

    def places(self, epoch):
        """Training windows of an epoch in their order, indices."""
        seed = self.settings["seed"]
        if self.settings["balance"] == "sampler":
            return self.train[balanced_order(seed, epoch, self.y_train)]
        return self.train[order(seed, epoch, len(self.train))]

    def batches(self):
        """Windows of this rank and their number in all ranks, for each step that is left.

        A rank for which a last small batch has no window is given one that counts nothing: all ranks must take each
        step.
        """
        for epoch in range(self.step // self.steps_per_epoch, self.settings["epochs"]):
            places = self.places(epoch)
            for number in range(max(self.step - epoch * self.steps_per_epoch, 0), self.steps_per_epoch):
                rows = places[number * self.settings["batch"] :][: self.settings["batch"]]
                own = rows[self.rank :: self.world]
                yield (own, len(rows)) if len(own) else (rows[:1], 0)

    def train_on(self, workers, progress):
        """All steps that are left, with their rows of the curve and checkpoints."""
        feed = _feed.Feed(self.X, self.batches, self.look.device, workers)
        began, done = time.monotonic(), 0
        for x, rows, size in feed:
            self.train_step(x, rows, size)
            last = self.step % self.steps_per_epoch == 0
            if last:
                self.close_epoch()
            if last or (self.step % self.kept["steps"] == 0 and time.monotonic() - self.saved >= self.kept["seconds"]):
                self.save()
            done += size
            if progress and self.rank == 0:
                passed = max(time.monotonic() - began, 1e-9)
                speed = {"windows_per_s": done / passed, "waiting": feed.waited / passed}
                row = (self.curve[-1] if self.curve else {}) | speed
                progress(self.step, self.settings["epochs"] * self.steps_per_epoch, row)

    def train_step(self, x, rows, size):
        """One step of the optimiser, with every random number drawn from (seed, step)."""
        torch.manual_seed(_key(self.settings["seed"], self.step, *([self.rank] if self.rank else [])))
        self.model.train()
        self.optimiser.zero_grad()
        loss = self.losses(self.logits(x), self.y[rows], self.settings["balance"] == "weights").sum()
        # the gradients of the ranks are averaged, and each has a part of the batch
        (loss * (self.world / size if size else 0.0)).backward()
        self.optimiser.step()
        if hasattr(self.net, "constrain"):
            self.net.constrain()
        # of all ranks, so that a checkpoint of one holds what was lost in all
        self.loss += _ranks.total(loss.detach().double() * (size > 0))
        self.step += 1

    def logits(self, x):
        """What the network says of windows, float32."""
        if self.settings["precision"] != "bfloat16":
            return self.model(self.look(x))
        with torch.autocast(self.look.device.split(":")[0], dtype=torch.bfloat16):
            return self.model(self.look(x)).float()

    def losses(self, logits, y, weighted):
        """Loss of each window; that of classes with their weights where they have such."""
        if self.settings["task"] == "regression":
            return (logits - y).square().mean(1)
        weight = self.class_weights.to(logits.dtype) if weighted and self.class_weights is not None else None
        return cross_entropy(logits, y, weight=weight, reduction="none")

    def close_epoch(self):
        """Judge the epoch on the validation windows and keep its weights if none was better."""
        epoch, train_loss = self.step // self.steps_per_epoch, self.loss.item() / self.windows_per_epoch
        row = {"epoch": epoch, "train_loss": train_loss, **self.judged()}
        if not np.isfinite(row["train_loss"]):
            raise ValueError(
                f"the training loss is {row['train_loss']} in epoch {row['epoch']}: "
                f"lr is {self.settings['lr']}, try a tenth of it"
            )
        if len(self.val) and not np.isfinite(row["val_loss"]):
            raise ValueError(
                f"the validation loss is {row['val_loss']} in epoch {epoch}: lr is {self.settings['lr']}, try a tenth "
                "of it"
            )
        if self.best is None or not len(self.val) or row["val_loss"] < self.curve[self.best["epoch"] - 1]["val_loss"]:
            state = {name: value.detach().cpu().clone() for name, value in self.net.state_dict().items()}
            self.best = {"epoch": epoch, "state": state}
        self.curve.append(row)
        self.loss = torch.zeros_like(self.loss)

    def judged(self):
        """Loss over the validation windows, and the share that is right or the share of variance that is explained."""
        score = "val_accuracy" if self.settings["task"] == "classification" else "val_r2"
        if not len(self.val):
            return {"val_loss": float("nan"), score: float("nan")}
        _ranks.agree(self.net)
        logits = _outputs(self.net.eval(), self.look, self.X, self.val, self.settings["n_outputs"]).double()
        y = self.y[self.val]
        losses = self.losses(logits, y.double() if y.is_floating_point() else y, weighted=False)
        if score == "val_r2":
            # targets are standardised over the training windows, whose mean is the best that knows nothing
            explained = 1 - (logits - y).square().sum(0) / y.double().square().sum(0)
            return {"val_loss": losses.mean().item(), score: explained.mean().item()}
        alike = [losses] if self.class_weights is None else [losses[y == k] for k in y.unique()]
        loss = torch.stack([each.mean() for each in alike]).mean()
        return {"val_loss": loss.item(), score: (logits.argmax(1) == y).double().mean().item()}

    def save(self):
        """Write the checkpoint, whole or not at all."""
        self.saved = time.monotonic()
        path = self.kept["checkpoint"]
        if path is None or self.rank:
            return
        state = {name: getattr(self, name) for name in ("digest", "step", "loss", "curve", "best", "earlier")}
        state |= {"model": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), "build": self.build}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        scratch, content = f"{path}.tmp", io.BytesIO()
        torch.save(state | {"code": self.kept["code"]}, content)
        with open(scratch, "wb") as file:
            file.write(_checksum(content.getbuffer()))
            file.write(content.getbuffer())
        os.replace(scratch, path)

    def resume(self):
        """Take up a checkpoint of the same training; one of another training, or a damaged one, is ignored."""
        path = self.kept["checkpoint"]
        state = None if path is None else checkpointed(path)
        if state is None or (state["digest"], state["code"]) != (self.digest, self.kept["code"]):
            return
        here, there = self.build, state["build"]
        other = [f"{name} {there.get(name)} instead of {here.get(name)}" for name in here | there
                 if here.get(name) != there.get(name)]  # fmt: skip
        if other and not self.kept["other_build"]:
            raise OtherBuild(
                f"{path} was made with {', '.join(other)}: its weights would not be those of an undisturbed run. Train "
                "where it was made, allow it (other_build=1), or delete it to begin anew"
            )
        self.net.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.loss = state["loss"].to(self.loss.device)
        for name in ("step", "curve", "best", "earlier"):
            setattr(self, name, state[name])
        self.earlier += [there] if other else []

    def weights(self):
        """Chosen weights and the normalisation that belongs to them."""
        kept = {"mean": self.look.mean.cpu(), "std": self.look.std.cpu()}
        if self.settings["task"] == "regression":
            kept |= {f"target_{name}": torch.as_tensor(self.targets[name]) for name in ("mean", "std")}
        return {**self.best["state"], **{f"normalisation.{name}": value for name, value in kept.items()}}

    def account(self):
        """What was trained, and everything that its bits depend on."""
        return {
            **self.settings,
            "best_epoch": self.best["epoch"],
            "chosen_by": "validation loss" if len(self.val) else "last epoch",
            "steps": self.step,
            "windows": {"train": len(self.train), "validation": len(self.val)},
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "digest": self.digest,
            "weights_sha256": sha256(self.weights()),
            **self.build,
            **({"earlier_builds": self.earlier} if self.earlier else {}),
        }


def checkpointed(path):
    """What the checkpoint at `path` holds (dict), tensors on the CPU; None where there is none, or a damaged one."""
    if not os.path.exists(path):
        return None
    content = memoryview(Path(path).read_bytes())
    checksum, state = content[:CHECKSUM], content[CHECKSUM:]
    if checksum != _checksum(state):
        return None
    try:
        return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):  # whole, but of a torch that wrote them otherwise
        return None


def _checksum(content):
    return hashlib.blake2b(content, digest_size=CHECKSUM).digest()


def sha256(weights):
    """Digest of weights (dict of tensors), whatever their file looks like."""
    found = hashlib.sha256()
    for name, value in sorted(weights.items()):
        found.update(name.encode() + value.numpy().tobytes())
    return found.hexdigest()


@torch.no_grad()
def _outputs(net, look, X, indices, n_outputs, batch=64):
    """What the network says of the windows `indices`, which the ranks share."""
    rank, world, _ = _ranks.place(look.device)
    batches = [indices[start : start + batch] for start in range(0, len(indices), batch)]
    parts = [net(look(_feed.take(X, rows))).float() for rows in batches[rank::world]]
    parts = torch.cat(parts) if parts else torch.zeros(0, n_outputs, device=look.device)
    return _ranks.gathered(parts, [len(rows) for rows in batches], n_outputs)


def _shown(shape, input, input_params, sfreq, positions):
    """What a network is shown of windows of `shape`."""
    if len(shape) != 3:
        raise ValueError(f"windows have the shape (windows, channels, samples), these have {tuple(shape)}")
    how = dict(n_chans=shape[1], n_times=shape[2], sfreq=sfreq, positions=positions)
    return inputs.make(input, **how, **(input_params or {}))


def _sets(X, y, validation, settings):
    """Targets, and indices of training and validation windows, ascending; `settings` is told the number of outputs."""
    y = np.asarray(y)
    if len(X) != len(y):
        raise ValueError(f"there are {len(X)} windows and {len(y)} targets: give one per window")
    val = np.asarray([] if validation is None else validation)
    if val.dtype == bool and val.shape != (len(X),):
        raise ValueError(f"validation: a mask of {val.shape} for {len(X)} windows: give one value per window")
    val = np.flatnonzero(val) if val.dtype == bool else np.unique(val.astype(np.int64))
    if len(val) and not 0 <= val[0] <= val[-1] < len(X):
        raise ValueError(f"validation: indices from {val[0]} to {val[-1]} for {len(X)} windows: they count from 0")
    train = np.setdiff1d(np.arange(len(X)), val)
    if settings["task"] == "regression":
        y = y.astype(np.float64).reshape(len(y), -1)
        if not np.isfinite(y).all():
            raise ValueError(f"{int((~np.isfinite(y)).any(1).sum())} windows have a target that is no number")
        if not len(train):
            raise ValueError("no window is left to train on: use fewer folds or a smaller validation share")
        if settings["n_outputs"] not in (None, y.shape[1]):
            raise ValueError(f"n_outputs is {settings['n_outputs']}, but there are {y.shape[1]} targets")
        settings["n_outputs"] = y.shape[1]
    else:
        settings["n_outputs"] = _classes(y, train, settings["n_outputs"])
        y = y.astype(np.int64)
    return y, train, val


def _classes(y, train, n_outputs):
    """Number of classes, after a look at the classes that the training windows have."""
    if y.ndim != 1:
        raise ValueError(f"classes have the shape (windows,), these have {y.shape}: several targets are a regression")
    if not np.array_equal(y, np.floor(y)):  # NaN is no whole number either
        raise ValueError(
            "classes are whole numbers from 0, and some of these are not: code them, or train a regression"
        )
    n_outputs = int(np.max(y)) + 1 if n_outputs is None else int(n_outputs)
    if np.min(y) < 0 or np.max(y) >= n_outputs:
        raise ValueError(f"classes run from {np.min(y)} to {np.max(y)}: they must be 0 ... {n_outputs - 1}")
    present = np.unique(y[train])
    if len(present) < 2:
        raise ValueError(
            f"the training windows have {len(present)} of {n_outputs} classes: "
            "use fewer folds, more subjects or a smaller validation share"
        )
    return n_outputs


def _targets(y, train, settings):
    """What the network learns to say: classes, or numbers standardised over the training windows."""
    if settings["task"] == "classification":
        return {"values": y}
    mean, std = y[train].mean(0), y[train].std(0)
    std = np.where(std > 0, std, 1.0)
    return {"values": ((y - mean) / std).astype(np.float32), "mean": mean, "std": std}


def _class_weights(y, settings, device):
    """Weight of each class in the loss, float64, so that all weigh alike; None where that is not asked for."""
    if settings["task"] == "regression" or settings["balance"] == "none":
        return None
    counts = np.bincount(y, minlength=settings["n_outputs"])
    weights = np.where(counts > 0, len(y) / np.maximum(counts, 1) / np.count_nonzero(counts), 0.0)
    return torch.as_tensor(weights, device=device)


def _check(settings, where, kept, workers):
    """Refuse settings that cannot work, each with a sentence."""
    whole = {name: settings[name] for name in ("seed", "epochs", "batch")} | {"checkpoint_steps": kept["steps"]}
    for name, value in {**whole, "threads": where["threads"], "world": where["world"], "workers": workers}.items():
        least = 0 if name in ("seed", "workers") else 1
        if int(value) != value or value < least:
            raise ValueError(f"{name} is {value}: give a whole number of at least {least}")
    if not settings["lr"] > 0 or not settings["weight_decay"] >= 0:
        raise ValueError(f"lr is {settings['lr']}, weight_decay {settings['weight_decay']}: give lr > 0, decay >= 0")
    known = {"optimiser": OPTIMISERS, "task": TASKS, "balance": BALANCE, "precision": PRECISION}
    for name, values in known.items():
        if settings[name] not in values:
            raise ValueError(f"{name} {settings[name]!r} is not known: choose one of {', '.join(values)}")
    if settings["task"] == "regression" and settings["balance"] != "none":
        raise ValueError("balance: a regression has no classes that could weigh the same")
    if where["world"] > settings["batch"]:
        raise ValueError(f"batch is {settings['batch']}, but {where['world']} processes share it: give each a window")


def _key(seed, *parts):
    """Seed for torch from the run's seed and a place in it, 0 ... 2^63 - 1."""
    text = "|".join(str(part) for part in (seed, *parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


NOT_FINITE = "some windows hold NaN or infinite samples: clean the recordings or reject the windows"


def _survey(X, y, train, val, shown, settings, positions):
    """One look at all windows: identity of the training, and the normalisation over its training windows.

    A checkpoint of another identity (data, sets, settings) is not resumed.
    """
    told = json.dumps([settings, positions], sort_keys=True, default=lambda value: value.tolist())
    digest = hashlib.blake2b(told.encode(), digest_size=16)
    sums, trains = Sums(shown), np.isin(np.arange(len(X)), train)
    for start in range(0, len(X), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(X)))
        x = _feed.take(X, rows)
        if not torch.isfinite(x).all():
            raise ValueError(NOT_FINITE)
        digest.update(x.numpy().tobytes())
        sums.add(x[torch.as_tensor(trains[rows])])
    for array in (y, train, val):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest(), *sums.normalisation()


def _build(where):
    """What else the bits depend on: threads, device, ranks, torch's build, the instruction set."""
    found = {**where, "torch": str(torch.__version__), "instructions": torch.backends.cpu.get_cpu_capability()}
    if where["device"] == "cpu":
        return found | {"cpu": _cpu()}
    return found | {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda}


def _cpu():
    """Model of the CPU, on which the libraries' choice of kernels depends, as the system names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _n_outputs(state):
    """Outputs of a network by its weights."""
    if "final_layer.bias" in state:
        return len(state["final_layer.bias"])
    raise ValueError("these weights have no final_layer.bias to tell the number of outputs: give n_outputs")


@contextlib.contextmanager
def _reproducible(threads, device, precision="float32"):
    """Fixed threads, deterministic kernels and no TF32 (unless asked for) inside; everything as it was outside."""
    cudnn, matmul, filled = torch.backends.cudnn, torch.backends.cuda.matmul, torch.utils.deterministic
    before = (
        torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), filled.fill_uninitialized_memory,
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32,
    )  # fmt: skip
    try:
        with torch.random.fork_rng(devices=[] if device == "cpu" else None), _heap.kept():
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(True)
            # what nothing reads need not be filled, a twentieth of a step
            filled.fill_uninitialized_memory = False
            cudnn.benchmark, cudnn.allow_tf32 = False, precision == "tf32"
            matmul.allow_tf32 = precision == "tf32"
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        filled.fill_uninitialized_memory = before[2]
        cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = before[3:]
