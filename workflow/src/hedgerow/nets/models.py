"""Networks by name: `build(name, n_chans, n_times, n_outputs, **params)`.

Every model takes windows of shape (batch, channels, samples) and gives logits of shape (batch, n_outputs). Its
parameters are the keyword-only arguments of its class, so that a config block can be handed over as it stands; its
`recipe` is how it is trained unless the config says otherwise (with Adamax).

References
----------
R-SCNN: Truong, Makeig & Delorme 2021, arXiv 2105.04762 (with the ReLU after every layer of their repository, which
their slide leaves out). EEGNet: Lawhern et al. 2018, J. Neural Eng. 15:056013, doi:10.1088/1741-2552/aace8c.
"""

import inspect
from typing import ClassVar

import torch
from torch import nn

#: R-SCNN, layer by layer: kernel (channels, samples), filters, pool (channels, samples) or None, stride of the pool.
RSCNN_LAYERS = (
    ((3, 3), 100, (2, 2), (2, 2)),
    ((3, 3), 100, (2, 2), (2, 2)),
    ((2, 3), 300, (2, 2), (2, 2)),
    ((1, 7), 300, (1, 2), (1, 1)),
    ((1, 3), 100, None, None),
    ((1, 3), 100, None, None),
)


class RSCNN(nn.Module):
    """R-SCNN: six convolutions over the channel x sample image, then one wide hidden layer.

    12,713,934 parameters at ``width=1`` for 24 channels x 256 samples and two outputs. Its first kernels span
    neighbouring rows, so the order of the channels is part of the model: keep the montage's order.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Size of the input (at least 18 channels x 110 samples) and number of classes.
    width : float
        Factor on the number of filters and of hidden units, > 0; 1 is the published network.
    dropout : float
        Probability after each pool, [0, 1).
    """

    #: As published; the weight decay is the slide's, for the 0.001 of the authors' code kept narrow networks on a few
    #: hundred windows from learning anything.
    recipe: ClassVar = {"epochs": 70, "batch": 70, "lr": 0.002, "weight_decay": 0.0}

    def __init__(self, n_chans, n_times, n_outputs, *, width=1.0, dropout=0.25):
        super().__init__()
        if not width > 0:
            raise ValueError(f"width is {width}: give a factor above 0 (1 is the published network)")
        _demand(self, n_chans, n_times)
        layers, filters_in = [], 1
        for kernel, filters, pool, stride in RSCNN_LAYERS:
            filters = _scaled(filters, width)
            layers += [nn.Conv2d(filters_in, filters, kernel), nn.ReLU()]
            if pool:
                layers += [nn.MaxPool2d(pool, stride), nn.Dropout(dropout)]
            filters_in = filters
        self.features = nn.Sequential(*layers)
        rows, columns = self.shape(n_chans, n_times)
        hidden = _scaled(6144, width)
        self.classifier = nn.Sequential(nn.Linear(filters_in * rows * columns, hidden), nn.ReLU())
        self.final_layer = nn.Linear(hidden, n_outputs)

    @staticmethod
    def shape(n_chans, n_times):
        """Rows and columns of the last feature map; below 1 where the input is too small."""
        size = [n_chans, n_times]
        for kernel, _, pool, stride in RSCNN_LAYERS:
            size = [s - k + 1 for s, k in zip(size, kernel)]
            if pool:
                size = [(s - p) // q + 1 for s, p, q in zip(size, pool, stride)]
        return tuple(size)

    def forward(self, x):
        """Logits (batch, n_outputs) of windows (batch, channels, samples)."""
        return self.final_layer(self.classifier(self.features(x.unsqueeze(1)).flatten(1)))


class EEGNet(nn.Module):
    """EEGNet: temporal filters, one set of spatial filters for each, then a separable convolution.

    The defaults are the paper's EEGNet-4,2 at 128 Hz. Unlike its reference code, batch normalisation follows the last
    ten batches rather than the last hundred: a small study has too few steps for that.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Size of the input (at least 32 samples) and number of classes; one channel is enough.
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
        _demand(self, n_chans, n_times)
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
    def shape(n_chans, n_times):
        """Rows and columns of the last feature map; below 1 where the input is too small."""
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


#: Every network that `build` knows.
MODELS = {"r-scnn": RSCNN, "eegnet": EEGNet}


def build(name, n_chans, n_times, n_outputs, **params):
    """Build a network by its name; its initial weights come from torch's generator, so seed that first.

    Parameters
    ----------
    name : str
        A key of `MODELS`: ``"r-scnn"`` or ``"eegnet"``.
    n_chans, n_times, n_outputs : int
        Channels and samples of a window, number of classes (at least 2).
    **params
        The model's own parameters (see its class).

    Returns
    -------
    torch.nn.Module
        Takes (batch, n_chans, n_times), gives logits (batch, n_outputs).

    Raises
    ------
    ValueError
        Unknown name or parameter, fewer than two classes, or an input that is too small.
    """
    known = parameters(name)
    unknown = sorted(set(params) - set(known))
    if unknown:
        raise ValueError(f"model {name} has no parameter {unknown[0]!r}: it has {', '.join(known)}")
    if n_outputs < 2:
        raise ValueError(f"model {name} was asked for {n_outputs} class(es): a classifier needs at least two")
    return _class(name)(n_chans, n_times, n_outputs, **params)


def parameters(name):
    """Parameters of the model `name` with their defaults (dict), as its class declares them."""
    signature = inspect.signature(_class(name).__init__)
    return {p.name: p.default for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}


def recipe(name):
    """Epochs, batch, lr and weight_decay (dict) with which the model `name` is trained unless told otherwise."""
    return dict(_class(name).recipe)


def smallest(name):
    """Fewest channels and samples (tuple of int) that the model `name` can take."""
    shape = _class(name).shape
    enough = 10_000  # either axis alone decides its own size, so the other is set out of the way
    rows = next(n for n in range(1, enough) if shape(n, enough)[0] >= 1)
    columns = next(n for n in range(1, enough) if shape(enough, n)[1] >= 1)
    return rows, columns


def _class(name):
    if name not in MODELS:
        raise ValueError(f"model {name!r} is not known: choose one of {', '.join(MODELS)}")
    return MODELS[name]


def _demand(model, n_chans, n_times):
    """Refuse an input that leaves nothing of the last feature map."""
    name = next(name for name, kind in MODELS.items() if isinstance(model, kind))
    rows, columns = smallest(name)
    if n_chans < rows or n_times < columns:
        raise ValueError(
            f"model {name} needs windows of at least {rows} channels x {columns} samples, these have {n_chans} x "
            f"{n_times}: choose longer windows or more channels in the selection, or another model (eegnet)"
        )


def _scaled(count, width):
    return max(1, round(count * width))


def _pad(kernel):
    """Zeros at both ends that keep the number of samples for a kernel of any length."""
    return nn.ZeroPad2d(((kernel - 1) // 2, kernel // 2, 0, 0))
