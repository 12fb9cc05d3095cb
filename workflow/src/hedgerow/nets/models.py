"""Networks by name: `build(name, n_chans, n_times, n_outputs, **params)`.

Every model takes one two-dimensional image per window, float32 (batch, channels, samples), and gives logits of shape
(batch, n_outputs); what rows and columns stand for is a matter of the input (raw windows, spectra, topographies side
by side, feature vectors). A model's parameters are the keyword-only arguments of its class, so that a config block can
be handed over as it stands; its `recipe` is how it is trained unless the config says otherwise (with Adamax).

=======  ===================  ==========  ===================================================================
name     made for             parameters  reference
=======  ===================  ==========  ===================================================================
r-scnn   24 x 256 raw         12,713,934  Truong, Makeig & Delorme 2021, arXiv 2105.04762 (`_truong`)
s-scnn   24 x 72 topographic   9,641,934  the same
r-vgg    24 x 256 raw          7,452,850  the same, after Simonyan & Zisserman 2015, arXiv 1409.1556
s-vgg    24 x 72 topographic   1,751,506  the same
eegnet   raw                         810  Lawhern et al. 2018, doi:10.1088/1741-2552/aace8c
shallow  raw                      41,122  Schirrmeister et al. 2017, doi:10.1002/hbm.23730
tcn      raw                      13,570  Bai et al. 2018, arXiv 1803.01271; Ingolfsson et al. 2020, 2006.00622
mlp      feature vectors         393,410  -
=======  ===================  ==========  ===================================================================

Parameters are counted for two outputs, and from eegnet on for 24 channels x 256 samples at 128 Hz. A name
``braindecode:<class>`` asks for a model of the package braindecode (`_braindecode`).
"""

import inspect
from numbers import Integral, Real
from typing import ClassVar

import torch
from torch import nn
from torch.nn.functional import conv1d

from hedgerow.nets import _braindecode
from hedgerow.nets._truong import RSCNN, RVGG, SSCNN, SVGG


class EEGNet(nn.Module):
    """EEGNet: temporal filters, one set of spatial filters for each, then a separable convolution.

    The defaults are the paper's EEGNet-4,2 at 128 Hz. Unlike its reference code, batch normalisation follows the last
    ten batches rather than the last hundred: a small study has too few steps for that.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Size of the input (at least 32 samples) and number of outputs; one channel is enough.
    f1 : int
        Temporal filters.
    depth : int
        Spatial filters per temporal filter (D in the paper); the separable convolution has ``f1 * depth`` filters (F2).
    kernel : int
        Length of the temporal filters in samples; half the sampling rate resolves 2 Hz and up.
    dropout : float
        Probability after each block, [0, 1); the paper's 0.5 is for training within, 0.25 for training across subjects.
    """

    #: Chosen on simulated recordings: 14 training people with some twenty windows each, 6 s on one CPU thread.
    recipe: ClassVar = {"epochs": 40, "batch": 32, "lr": 0.01, "weight_decay": 0.01}

    def __init__(self, n_chans, n_times, n_outputs, *, f1=4, depth=2, kernel=64, dropout=0.25):
        super().__init__()
        f2 = f1 * depth
        self.temporal = nn.Sequential(_pad(kernel), nn.Conv2d(1, f1, (1, kernel), bias=False), nn.BatchNorm2d(f1))
        self.spatial = nn.Conv2d(f1, f2, (n_chans, 1), groups=f1, bias=False)
        self.pooled = nn.Sequential(nn.BatchNorm2d(f2), nn.ELU(), nn.AvgPool2d((1, 4)), nn.Dropout(dropout))
        self.separable = nn.Sequential(
            _pad(16),
            nn.Conv2d(f2, f2, (1, 16), groups=f2, bias=False),
            nn.Conv2d(f2, f2, 1, bias=False),
            nn.BatchNorm2d(f2),
            nn.ELU(),
            nn.AvgPool2d((1, 8)),
            nn.Dropout(dropout),
        )
        self.final_layer = nn.Linear(f2 * self.shape(n_chans, n_times)[1], n_outputs)

    @staticmethod
    def shape(n_chans, n_times, **_):
        """Rows and columns of the last feature map; 0 where the input is too small."""
        return min(n_chans, 1), n_times // 4 // 8

    def forward(self, x):
        """Logits (batch, n_outputs) of windows (batch, channels, samples)."""
        x = self.pooled(self.spatial(self.temporal(x.unsqueeze(1))))
        return self.final_layer(self.separable(x).flatten(1))

    @torch.no_grad()
    def constrain(self):
        """Bring spatial filters to norm <= 1 and class weights to norm <= 0.25, as the paper does after each step."""
        for weight, limit in ((self.spatial.weight, 1.0), (self.final_layer.weight, 0.25)):
            weight.copy_(torch.renorm(weight, p=2, dim=0, maxnorm=limit))


class Shallow(nn.Module):
    """ShallowConvNet: temporal and spatial filters, then the logarithm of their mean power, as filter bank CSP does.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Size of the input and number of outputs; one channel is enough.
    sfreq : float, optional
        Sampling rate in Hz, for the lengths that are not given.
    filters : int
        Temporal filters, and spatial filters over all of them.
    kernel, pool, stride : int, optional
        Length of the temporal filters, length of the averages and distance between them, in samples. None: the
        paper's 0.1 s, 0.3 s and 0.06 s at `sfreq`, and its 25, 75 and 15 samples (250 Hz) where `sfreq` is None.
    dropout : float
        Probability before the last layer, [0, 1).
    """

    #: Chosen on simulated recordings: 12 training people with twenty windows each, judged on ten others.
    recipe: ClassVar = {"epochs": 40, "batch": 32, "lr": 0.002, "weight_decay": 0.01}

    def __init__(
        self, n_chans, n_times, n_outputs, *, sfreq=None, filters=40, kernel=None, pool=None, stride=None, dropout=0.5
    ):
        super().__init__()
        kernel, pool, stride = self.lengths(sfreq, kernel, pool, stride)
        self.temporal = nn.Conv2d(1, filters, (1, kernel))
        self.spatial = nn.Conv2d(filters, filters, (n_chans, 1), bias=False)
        self.norm = nn.BatchNorm1d(filters)
        self.pool, self.dropout = nn.AvgPool1d(pool, stride), nn.Dropout(dropout)
        columns = (n_times - kernel + 1 - pool) // stride + 1
        self.final_layer = nn.Linear(filters * columns, n_outputs)

    @staticmethod
    def lengths(sfreq, kernel, pool, stride):
        """Kernel, pool and stride in samples; what is None is the paper's."""
        paper = ((kernel, 25), (pool, 75), (stride, 15))
        return tuple(max(1, round(n * (sfreq or 250) / 250)) if given is None else given for given, n in paper)

    @classmethod
    def shape(cls, n_chans, n_times, *, sfreq, kernel, pool, stride, **_):
        """Rows and columns of the last feature map; below 1 where the input is too small."""
        kernel, pool, stride = cls.lengths(sfreq, kernel, pool, stride)
        return min(n_chans, 1), (n_times - kernel + 1 - pool) // stride + 1

    def forward(self, x):
        """Logits (batch, n_outputs) of windows (batch, channels, samples)."""
        # Nothing stands between the two convolutions, so they are one: a quarter of the multiplications
        temporal, spatial = self.temporal.weight.flatten(1), self.spatial.weight.flatten(2)
        weight = torch.einsum("tk,stc->sck", temporal, spatial)  # (filters, channels, kernel)
        x = conv1d(x, weight, spatial.sum(2) @ self.temporal.bias)
        power = self.pool(self.norm(x).square())
        return self.final_layer(self.dropout(power.clamp(min=1e-6).log()).flatten(1))


class TCN(nn.Module):
    """Temporal convolutional network: spatial filters, residual blocks of dilated convolutions, mean over time.

    The convolutions look to both sides (the window is there as a whole, so causality would only cost context), the
    dilation doubles from block to block, and a block's two convolutions see ``2 * (kernel - 1) * dilation`` samples
    more than the one before it: 249 in all by default.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Size of the input (at least `kernel` samples) and number of outputs; one channel is enough.
    filters : int
        Spatial filters, and filters of every convolution.
    levels : int
        Residual blocks.
    kernel : int
        Length of the filters in samples, before dilation.
    dropout : float
        Probability after each convolution, [0, 1).
    """

    #: Chosen as the one of `Shallow`.
    recipe: ClassVar = {"epochs": 40, "batch": 32, "lr": 0.002, "weight_decay": 0.01}

    def __init__(self, n_chans, n_times, n_outputs, *, filters=16, levels=5, kernel=5, dropout=0.2):
        super().__init__()
        self.spatial = nn.Sequential(nn.Conv1d(n_chans, filters, 1, bias=False), nn.BatchNorm1d(filters))
        self.blocks = nn.Sequential(*(_Residual(filters, kernel, 2**level, dropout) for level in range(levels)))
        self.final_layer = nn.Linear(filters, n_outputs)

    @staticmethod
    def shape(n_chans, n_times, *, kernel, **_):
        """Rows and columns of the last feature map; below 1 where the input is too small."""
        return min(n_chans, 1), n_times - kernel + 1

    def forward(self, x):
        """Logits (batch, n_outputs) of windows (batch, channels, samples)."""
        return self.final_layer(self.blocks(self.spatial(x)).mean(-1))


class MLP(nn.Module):
    """Multilayer perceptron on all numbers of a window at once, for feature vectors.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Rows and columns of the input and number of outputs.
    hidden : sequence of int
        Units of each hidden layer; none makes it a logistic (or linear) regression.
    dropout : float
        Probability after each hidden layer, [0, 1).
    """

    recipe: ClassVar = {"epochs": 40, "batch": 32, "lr": 0.002, "weight_decay": 0.01}

    def __init__(self, n_chans, n_times, n_outputs, *, hidden=(64,), dropout=0.5):
        super().__init__()
        layers, n_inputs = [nn.Flatten()], n_chans * n_times
        for units in hidden:
            layers += [nn.Linear(n_inputs, units), nn.ReLU(), nn.Dropout(dropout)]
            n_inputs = units
        self.layers = nn.Sequential(*layers)
        self.final_layer = nn.Linear(n_inputs, n_outputs)

    @staticmethod
    def shape(n_chans, n_times, **_):
        """Rows and columns of the input."""
        return n_chans, n_times

    def forward(self, x):
        """Logits (batch, n_outputs) of images (batch, rows, columns)."""
        return self.final_layer(self.layers(x))


#: Every network of ours that `build` knows.
MODELS = {
    "r-scnn": RSCNN, "s-scnn": SSCNN, "r-vgg": RVGG, "s-vgg": SVGG, "eegnet": EEGNet, "shallow": Shallow, "tcn": TCN,
    "mlp": MLP,
}  # fmt: skip


def build(name, n_chans, n_times, n_outputs, *, sfreq=None, **params):
    """Build a network by its name; its initial weights come from torch's generator, so seed that first.

    Parameters
    ----------
    name : str
        A key of `MODELS`, or ``"braindecode:"`` and the name of a class of ``braindecode.models``.
    n_chans, n_times, n_outputs : int
        Rows (channels) and columns (samples) of a window's image; number of classes, or of numbers to predict.
    sfreq : float, optional
        Sampling rate in Hz, for models that have lengths in seconds.
    **params
        The model's own parameters (see its class).

    Returns
    -------
    torch.nn.Module
        Takes (batch, n_chans, n_times), gives logits (batch, n_outputs).

    Raises
    ------
    ValueError
        Unknown name or parameter, a value that cannot be, no output, or an input that is too small.
    ImportError
        A model of braindecode, which is not installed.
    """
    if n_outputs < 1:
        raise ValueError(f"model {name} was asked for {n_outputs} outputs: give it one for a number, two for classes")
    defaults = known(name, params)
    if name.startswith(_braindecode.PREFIX):
        return _braindecode.build(name, n_chans, n_times, n_outputs, sfreq=sfreq, **params)
    for key, value in params.items():
        _demand(name, key, value, defaults[key])
    kind = MODELS[name]
    if "sfreq" in inspect.signature(kind).parameters:
        params["sfreq"] = sfreq
    if min(kind.shape(n_chans, n_times, **{**defaults, **params})) < 1:
        rows, columns = smallest(name, **params)
        raise ValueError(
            f"model {name} needs windows of at least {rows} channels x {columns} samples, these have {n_chans} x "
            f"{n_times}: choose longer windows or more channels in the selection, or another model (mlp takes any)"
        )
    return kind(n_chans, n_times, n_outputs, **params)


def parameters(name):
    """Parameters of the model `name` with their defaults (dict), as its class declares them."""
    if name.startswith(_braindecode.PREFIX):
        return _braindecode.parameters(name)
    signature = inspect.signature(_class(name).__init__)
    return {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY and p.name != "sfreq"}


def known(name, params):
    """`parameters` of the model `name`, if it has all of `params` (names); a ValueError if not."""
    defaults = parameters(name)
    unknown = sorted(set(params) - set(defaults))
    if unknown:
        raise ValueError(f"model {name} has no parameter {unknown[0]!r}: it has {', '.join(defaults)}")
    return defaults


def fitting(name, params, maps):
    """Refuse a model that makes planes of other maps than the `maps` that stand side by side in its input."""
    planes = {**parameters(name), **params}.get("maps", 1)
    if name in MODELS and planes not in (1, maps):
        raise ValueError(
            f"model {name} makes planes of {planes} maps that stand side by side, and its input has {maps}: give it "
            f"maps: {maps}, or choose another input"
        )


def unused(name):
    """Whether the model `name` may have parameters that play no part in what it says: some of braindecode's have."""
    return name.startswith(_braindecode.PREFIX)


def recipe(name):
    """Epochs, batch, lr and weight_decay (dict) with which the model `name` is trained unless told otherwise."""
    return dict(_braindecode.RECIPE if name.startswith(_braindecode.PREFIX) else _class(name).recipe)


def packages(name):
    """Versions (dict) of the packages, torch aside, that the bits of the model `name` depend on."""
    return _braindecode.version() if name.startswith(_braindecode.PREFIX) else {}


def smallest(name, *, sfreq=None, **params):
    """Fewest channels and samples (tuple of int) that the model `name` of ours can take with these parameters."""
    shape, params = _class(name).shape, {"sfreq": sfreq, **parameters(name), **params}
    enough = 10_000  # either axis alone decides its own size, so the other is set out of the way
    rows = next(n for n in range(1, enough) if shape(n, enough, **params)[0] >= 1)
    columns = next((n for n in range(1, enough) if shape(enough, n, **params)[1] >= 1), enough)
    return rows, columns


def _class(name):
    if name not in MODELS:
        raise ValueError(
            f"model {name!r} is not known: choose one of {', '.join(MODELS)}, or {_braindecode.PREFIX}<class>"
        )
    return MODELS[name]


def _demand(name, key, value, default):
    """Refuse a value that no network can have; what a parameter takes is seen from its name and default."""
    if key == "dropout":
        fine, wanted = _number(value) and 0 <= value < 1, "a number of at least 0 and below 1"
    elif key == "width":
        fine, wanted = _number(value) and value > 0, "a factor above 0 (1 is the published network)"
    elif isinstance(default, tuple):
        fine, wanted = isinstance(value, list | tuple) and all(map(_count, value)), "a list of whole numbers above 0"
    else:
        fine, wanted = _count(value) or (value is None and default is None), "a whole number of at least 1"
    if not fine:
        raise ValueError(f"model {name}: {key} is {value!r}, give {wanted}")


def _number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def _count(value):
    return _number(value) and isinstance(value, Integral) and value >= 1


def _pad(kernel):
    """Zeros at both ends that keep the number of samples for a kernel of any length."""
    return nn.ZeroPad2d(((kernel - 1) // 2, kernel // 2, 0, 0))


class _Residual(nn.Module):
    """Two dilated convolutions over time, each normalised, added to what came in; keeps the number of samples."""

    def __init__(self, filters, kernel, dilation, dropout):
        super().__init__()
        span, layers = (kernel - 1) * dilation, []
        for _ in range(2):
            layers += [
                nn.ConstantPad1d((span // 2, span - span // 2), 0.0),
                nn.Conv1d(filters, filters, kernel, dilation=dilation, bias=False),
                nn.BatchNorm1d(filters),
                nn.ELU(),
                nn.Dropout(dropout),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.layers(x)
