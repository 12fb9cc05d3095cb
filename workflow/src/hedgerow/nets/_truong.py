"""The four networks of Truong, Makeig & Delorme 2021 (arXiv 2105.04762), layer by layer as tables.

They are what the authors' code says where their slide differs from it: a ReLU follows every layer (the slide has none
after the last convolutions and the hidden layers), and the VGGs have a quarter of VGG16's filters (the slide says an
eighth). Weights start as torch's layers do, which is how the authors' did.
"""

from typing import ClassVar, NamedTuple

import torch
from torch import nn


class Layer(NamedTuple):
    """A convolution with its ReLU and the pool that may follow; pairs are (rows, columns)."""

    kernel: tuple
    filters: int
    pool: tuple | None = None
    stride: tuple | None = None
    padding: int = 0

    def size(self, size):
        """Rows and columns that it makes of `size`; an axis that is used up stays 0."""
        after = [s - k + 1 + 2 * self.padding for s, k in zip(size, self.kernel)]
        if self.pool:
            after = [(s - p) // q + 1 for s, p, q in zip(after, self.pool, self.stride)]
        return tuple(max(new, 0) if old > 0 else 0 for old, new in zip(size, after))


#: R-SCNN.
RSCNN_LAYERS = (
    Layer((3, 3), 100, (2, 2), (2, 2)),
    Layer((3, 3), 100, (2, 2), (2, 2)),
    Layer((2, 3), 300, (2, 2), (2, 2)),
    Layer((1, 7), 300, (1, 2), (1, 1)),
    Layer((1, 3), 100),
    Layer((1, 3), 100),
)
#: S-SCNN: the last three are padded, on both axes.
SSCNN_LAYERS = RSCNN_LAYERS[:3] + tuple(layer._replace(padding=1) for layer in RSCNN_LAYERS[3:])
#: The first three stages of VGG16 with a quarter of its filters.
VGG_LAYERS = tuple(
    Layer((3, 3), filters, *((2, 2), (2, 2)) if pooled else (None, None), padding=1)
    for filters, pooled in ((16, 0), (16, 1), (32, 0), (32, 1), (64, 0), (64, 0), (64, 1))
)
#: How the authors trained, but for the weight decay: it is the slide's, for the 0.001 of their code kept narrow
#: networks on a few hundred windows from learning anything.
RECIPE = {"epochs": 70, "batch": 70, "lr": 0.002, "weight_decay": 0.0}


class RSCNN(nn.Module):
    """R-SCNN: six convolutions over the channel x sample image, then one wide hidden layer.

    12,713,934 parameters for 24 channels x 256 samples and two outputs. Its first kernels span neighbouring rows, so
    the order of the channels is part of the model: keep the montage's order.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Size of the input (at least 18 channels x 110 samples) and number of outputs.
    width : float
        Factor on the number of filters and of hidden units, > 0; 1 is the published network.
    dropout : float
        Probability after each pool, [0, 1).
    """

    recipe: ClassVar = RECIPE
    layers: ClassVar = RSCNN_LAYERS

    def __init__(self, n_chans, n_times, n_outputs, *, width=1.0, dropout=0.25):
        super().__init__()
        self.features, filters = _convolutions(self.layers, 1, width, dropout)
        rows, columns = self.shape(n_chans, n_times)
        hidden = _scaled(6144, width)
        self.classifier = nn.Sequential(nn.Linear(filters * rows * columns, hidden), nn.ReLU())
        self.final_layer = nn.Linear(hidden, n_outputs)

    @classmethod
    def shape(cls, n_chans, n_times, **_):
        """Rows and columns of the last feature map; 0 where the input is too small."""
        return _shape(cls.layers, n_chans, n_times)

    def forward(self, x):
        """Logits (batch, n_outputs) of windows (batch, channels, samples)."""
        return self.final_layer(self.classifier(self.features(_image(x, 1)).flatten(1)))


class SSCNN(RSCNN):
    """S-SCNN: R-SCNN, its last convolutions padded, for three topographies side by side (theta, alpha, beta).

    9,641,934 parameters for 24 x 72 and two outputs.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Rows and columns of the input (at least 18 x 62) and number of outputs.
    width, dropout : float
        As for R-SCNN.
    """

    layers: ClassVar = SSCNN_LAYERS


class RVGG(nn.Module):
    """R-VGG: VGG16 up to its third pool with a quarter of its filters, then two hidden layers.

    7,452,850 parameters for 24 channels x 256 samples and two outputs.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Size of the input (at least 8 x 8 for each of its maps) and number of outputs.
    maps : int
        Maps that stand side by side in the input and become the planes of one image; 1: the input is the image.
    width : float
        Factor on the number of filters and of hidden units, > 0; 1 is the published network.
    dropout : float
        Probability after each hidden layer, [0, 1).
    """

    recipe: ClassVar = RECIPE

    def __init__(self, n_chans, n_times, n_outputs, *, maps=1, width=1.0, dropout=0.5):
        super().__init__()
        if n_times % maps:
            raise ValueError(f"{n_times} columns are not {maps} maps side by side: let maps say how many there are")
        self.maps = maps
        self.features, filters = _convolutions(VGG_LAYERS, maps, width, None)
        rows, columns = self.shape(n_chans, n_times, maps=maps)
        hidden = _scaled(1024, width)
        layers = []
        for n_inputs in (filters * rows * columns, hidden):
            layers += [nn.Linear(n_inputs, hidden), nn.ReLU(), nn.Dropout(dropout)]
        self.classifier = nn.Sequential(*layers)
        self.final_layer = nn.Linear(hidden, n_outputs)

    @staticmethod
    def shape(n_chans, n_times, *, maps, **_):
        """Rows and columns of the last feature map; 0 where the input is too small."""
        return _shape(VGG_LAYERS, n_chans, n_times // maps)

    def forward(self, x):
        """Logits (batch, n_outputs) of images (batch, rows, maps x columns)."""
        return self.final_layer(self.classifier(self.features(_image(x, self.maps)).flatten(1)))


class SVGG(RVGG):
    """S-VGG: R-VGG whose input is three topographies side by side (theta, alpha, beta).

    1,751,506 parameters for 24 x 72 and two outputs; its parameters are those of R-VGG.
    """

    def __init__(self, n_chans, n_times, n_outputs, *, maps=3, width=1.0, dropout=0.5):
        super().__init__(n_chans, n_times, n_outputs, maps=maps, width=width, dropout=dropout)


class _Dropout(nn.Dropout):
    """Dropout of maps: on the CPU a random number serves four cells, in a third of the time; `p` in steps of 2^-16."""

    def forward(self, x):
        if not self.training or self.p == 0 or x.is_cuda:
            return super().forward(x)
        cells, steps = x.movedim(1, -1), min(round(self.p * 2**16), 2**16 - 1)  # cells as they lie in memory
        drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)
        kept = drawn[: x.numel()].view(cells.shape) >= steps - 2**15
        return (cells * kept.to(x.dtype).mul_(2**16 / (2**16 - steps))).movedim(-1, 1)


def _image(x, maps):
    """Maps that stand side by side as planes (batch, maps, rows, columns).

    On the CPU they lie cell by cell with all planes of a cell together, as do all maps that are made of them: oneDNN's
    convolutions and torch's pools are fastest so.
    """
    if x.is_cuda:
        return x.unflatten(2, (maps, -1)).transpose(1, 2)
    return torch.stack(x.chunk(maps, 2), -1).movedim(-1, 1)


def _convolutions(table, planes, width, dropout):
    """The layers of `table` for an image of so many planes (dropout after each pool, or None), and the last filters."""
    layers = []
    for layer in table:
        filters = _scaled(layer.filters, width)
        layers.append(nn.Conv2d(planes, filters, layer.kernel, padding=layer.padding))
        if layer.pool:
            layers.append(nn.MaxPool2d(layer.pool, layer.stride))
        # the largest is largest before the ReLU as after it, and to the bit: here there are fewer numbers to look at
        layers.append(nn.ReLU())
        if layer.pool and dropout is not None:
            layers.append(_Dropout(dropout))
        planes = filters
    return nn.Sequential(*layers), planes


def _shape(table, rows, columns):
    size = (rows, columns)
    for layer in table:
        size = layer.size(size)
    return size


def _scaled(count, width):
    return max(1, round(count * width))
