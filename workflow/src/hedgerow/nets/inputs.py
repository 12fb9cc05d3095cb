"""What a network is shown of a window: the samples, their spectrum, maps of band power, or features.

`make` builds a module without parameters or state that turns raw windows (batch, channels, samples) in µV into images
(batch, rows, columns), float32, on the device of the windows. Each window is turned by itself, so nothing of one person
or fold enters another; its `groups` say which cells share one mean and one standard deviation when the images are
standardised by what the training windows have.

================  ==========================  ======================================================================
kind              rows x columns              cells
================  ==========================  ======================================================================
``raw``           channels x samples          µV
``fft``           channels x 2 frequencies    amplitudes of the tapered window in µV: real parts, then imaginary parts
``topographies``  size x (bands x size)       log10 of band power in µV²/Hz: the maps of the bands side by side
``features``      channels x frequencies      as they stand in a store of features
================  ==========================  ======================================================================

Maps are seen from above: the first row is at the nose, the first column at the left ear. They are thin-plate splines:
EEGLAB's biharmonic splines (``v4`` of MATLAB's ``griddata``) with a plane added, without which a constant does not stay
one and the unit of power would change the relief of its logarithm. Truong, Makeig & Delorme 2021 (arXiv 2105.04762)
took the mean of decibels over elements 4-7, 7-13 and 14-25 of the spectrum, which are Hz at one length of the transform
only, drew out to the outermost electrode and stretched each map to 0 ... 255 by itself. Here bands are Hz and the mean
is of power; see `extent` and `relative` of `Topographies` for the rest.
"""

import copy
import inspect
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
import scipy.signal
import torch
from torch import nn

from hedgerow.nets import _heads, models

#: How much louder than one electrode the noise of a pixel may be. Within a montage that spans the head it stays below
#: 1.1; beyond the outermost electrodes, where a spline goes on like a plane, it grows without bound.
GAIN = 1.25

#: Bands of Truong et al.: lowest and highest frequency in Hz.
BANDS = {"theta": (4.0, 7.0), "alpha": (7.0, 13.0), "beta": (14.0, 25.0)}

#: Least band power, µV²/Hz: 1 nV/sqrt(Hz), which is below the noise of any electrode. A flat channel has none at all.
FLOOR = 1e-6

#: Least range of a relative map, log10 of µV²/Hz: above what rounding makes of windows without any signal.
FLAT = 1e-2


class Given(NamedTuple):
    """What is known of the windows: sizes, rate in Hz, positions (m) and names of the channels."""

    n_chans: int
    n_times: int
    sfreq: float | None = None
    positions: list | None = None
    names: list | None = None


class Raw(nn.Module):
    """The samples as they are; a channel is a group."""

    maps, rounding = 1, 0.0

    def __init__(self, given):
        super().__init__()
        self.shape = (given.n_chans, given.n_times)
        self.groups = np.repeat(np.arange(given.n_chans)[:, None], given.n_times, axis=1)

    def forward(self, x):
        """Images (batch, channels, samples) of windows of the same shape."""
        return x.float()


class Features(nn.Module):
    """Features of a store, (channels, frequencies), as they are; each cell is its own group."""

    maps, rounding = 1, 0.0

    def __init__(self, given):
        super().__init__()
        self.shape = (given.n_chans, given.n_times)
        self.groups = np.arange(given.n_chans * given.n_times).reshape(self.shape)

    def forward(self, x):
        """Images (batch, channels, frequencies) of features of the same shape."""
        return x.float()


class _Tapered(nn.Module):
    """Tapered Fourier transform of each trace, less its mean, at the frequencies `freqs` (Hz) above 0."""

    maps, rounding = 1, 0.0

    def __init__(self, given, taper):
        super().__init__()
        if given.sfreq is None or not given.sfreq > 0:
            raise ValueError(f"sfreq is {given.sfreq}: frequencies need the sampling rate of the windows in Hz")
        self.sfreq, self.n_times = given.sfreq, given.n_times
        # the mean is taken off, so the bin of 0 Hz would say nothing
        self.freqs = np.fft.rfftfreq(given.n_times, 1 / given.sfreq)[1:]
        self.window = _taper(taper, given.n_times)
        self._keep("taper", self.window)

    def _keep(self, name, values):
        """A constant that moves with the module but stands in no state: settings say what it is."""
        self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)

    def _one_sided(self, factor):
        """`factor` for each frequency, half of it at the Nyquist frequency, which has no mirror image."""
        return np.where(self.freqs < self.sfreq / 2 * (1 - 1e-9), factor, factor / 2)

    def _bins(self, low, high, what):
        """First and one past the last of the frequencies from `low` to `high` Hz, both included."""
        nyquist = self.sfreq / 2
        if high > nyquist * (1 + 1e-9):
            raise ValueError(
                f"{what}: {high:g} Hz is above the Nyquist frequency of these windows ({nyquist:g} Hz): lower it, or "
                "raise sfreq of the selection"
            )
        slack = 1e-9 * nyquist  # so that 40 Hz keeps the bin that floating point puts at 40.000000000000001
        kept = np.flatnonzero((self.freqs >= low - slack) & (self.freqs <= high + slack))
        if not kept.size:
            raise ValueError(
                f"{what}: no frequency lies from {low:g} to {high:g} Hz; these windows have one every "
                f"{self.sfreq / self.n_times:g} Hz up to {nyquist:g} Hz: widen it or take longer windows"
            )
        return int(kept[0]), int(kept[-1]) + 1

    def forward(self, x):
        """Complex (batch, channels, frequencies) of windows (batch, channels, samples)."""
        x = x.float()
        return torch.fft.rfft((x - x.mean(dim=-1, keepdim=True)) * self.taper)[..., 1:]


class Fft(_Tapered):
    """Complex amplitudes: a sine of A µV at a frequency of the transform gives an amplitude of magnitude A.

    Real and imaginary part of an amplitude are one group, so that standardising keeps its phase. Where windows begin
    without regard to the rhythm, all phases are equally frequent and the mean of both parts is 0 but for the size of
    the sample; what is the same in all training windows (an evoked response) is shifted alike in all of them.

    Parameters
    ----------
    given : Given
    taper : str or list
        Any window of `scipy.signal.get_window`, by name or as name and numbers.
    fmin, fmax : float, optional
        Frequencies kept, both ends included, in Hz; None: the lowest above 0, and the Nyquist frequency.
    """

    rounding = 1e-5  # a constant trace less its mean is not quite 0

    def __init__(self, given, *, taper="hann", fmin=None, fmax=None):
        super().__init__(given, taper)
        for key, value in {"fmin": fmin, "fmax": fmax}.items():
            if value is not None and not models._number(value):
                raise ValueError(f"{key} is {value!r}: give a frequency in Hz")
        low, high = 0.0 if fmin is None else fmin, self.sfreq / 2 if fmax is None else fmax
        self.first, self.last = self._bins(low, high, "fmin, fmax")
        self._keep("scale", self._one_sided(2 / self.window.sum())[self.first : self.last])
        self.freqs = self.freqs[self.first : self.last]
        self.shape = (given.n_chans, 2 * len(self.freqs))
        one = np.arange(given.n_chans * len(self.freqs)).reshape(given.n_chans, -1)
        # at the Nyquist frequency the imaginary part is always 0
        self.groups = np.concatenate([one, np.where(self.freqs < self.sfreq / 2 * (1 - 1e-9), one, -1)], axis=1)

    def forward(self, x):
        """Images (batch, channels, 2 frequencies): real parts, then imaginary parts, in µV."""
        amplitude = super().forward(x)[..., self.first : self.last]
        return torch.cat([amplitude.real * self.scale, amplitude.imag * self.scale], dim=-1)


class Topographies(_Tapered):
    """Maps of log10 band power, interpolated over the head and laid side by side in the order of their frequencies.

    A band is a group. Pixels outside the head, and those that the electrodes leave bare (`GAIN`), are 0 and in no
    group. Electrodes outside the circle (cheeks, neck, mastoids) shape the map within it.

    Parameters
    ----------
    given : Given
        With positions: in m, x to the right, y to the front, z up.
    bands : dict of str to (float, float)
        Lowest and highest frequency of each band in Hz, both included. In which order they are given is no matter.
    size : int
        Pixels along a side, at least 2.
    taper : str or list
        As for `Fft`.
    sphere : "template", "fit" or (x, y, z, radius)
        Head on which the electrodes lie, in m: that of the 10-05 template, in whose frame the stores have their
        positions; the one that fits the positions best; or this one.
    extent : float
        Edge of the head, as the way along the sphere from its top: 1 is the equator, the height of the ears. EEGLAB
        goes on to the outermost electrode.
    relative : bool
        Scale each map from 0 at its least to 1 at its greatest pixel: where power is, and no longer how much.
    """

    def __init__(self, given, *, bands=BANDS, size=24, taper="hann", sphere="template", extent=1.0, relative=False):
        super().__init__(given, taper)
        if not isinstance(bands, dict) or not bands:
            raise ValueError(f"bands is {bands}: give one band or more by name, such as alpha: [7, 13]")
        if not isinstance(size, Integral) or size < 2 or not isinstance(extent, Real) or not 0 < extent < 2:
            raise ValueError(
                f"size is {size!r}, extent {extent!r}: give 2 pixels or more, and an extent above 0 and below 2"
            )
        if not isinstance(relative, bool):
            raise ValueError(f"relative is {relative!r}: give true or false")
        # JSON, of which settings are kept, does not keep the order of names
        bands = sorted((*_band(name, edges), name) for name, edges in bands.items())
        self.ranges = [self._bins(low, high, f"bands: {name}") for low, high, name in bands]
        self._keep("scale", self._one_sided(2 / (self.sfreq * (self.window**2).sum())))
        pixels = _heads.grid(size, extent)
        weights = _heads.thin_plate(_heads.project(_known(given), sphere), pixels)
        inside = (np.hypot(*pixels.T) <= extent) & (np.linalg.norm(weights, axis=1) <= GAIN)
        if not inside.any():
            raise ValueError(
                "positions: the electrodes are too close together for a map, or too nearly in one line; choose "
                "another input"
            )
        self._keep("weights", np.where(inside[:, None], weights, 0.0))
        self.register_buffer("outside", torch.tensor(~inside), persistent=False)
        self.size, self.relative, self.maps, self.shape = size, relative, len(bands), (size, size * len(bands))
        image = inside.reshape(size, size)
        self.groups = np.concatenate([np.where(image, band, -1) for band in range(len(bands))], axis=1)

    def forward(self, x):
        """Images (batch, size, size * bands) of windows (batch, channels, samples)."""
        bins = super().forward(x)
        density = (bins.real.square() + bins.imag.square()) * self.scale
        power = torch.stack([density[..., first:last].mean(dim=-1) for first, last in self.ranges], dim=1)
        with torch.autocast(power.device.type, enabled=False):  # half precision has three digits, too few for maps
            maps = nn.functional.linear(power.clamp_min(FLOOR).log10(), self.weights)
        if self.relative:
            least = maps.masked_fill(self.outside, torch.inf).amin(dim=-1, keepdim=True)
            most = maps.masked_fill(self.outside, -torch.inf).amax(dim=-1, keepdim=True)
            # a map without any relief is 0 all over, not what rounding makes of it
            maps = ((maps - least) / (most - least).clamp_min(FLAT)).masked_fill(self.outside, 0.0)
        return maps.unflatten(-1, (self.size, self.size)).transpose(1, 2).flatten(2)


#: Every kind of input that `make` knows.
KINDS = {"raw": Raw, "fft": Fft, "topographies": Topographies, "features": Features}


def make(kind, *, n_chans, n_times, sfreq=None, positions=None, names=None, **own):
    """What turns windows into the images that a network is shown.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    n_chans, n_times : int
        Channels and samples of a window (frequencies, of ``features``).
    sfreq : float, optional
        Rate in Hz; ``fft`` and ``topographies`` need it.
    positions : sequence of (x, y, z) or None, optional
        Place of each channel in m, as a store has them; ``topographies`` needs them all.
    names : sequence of str, optional
        Channels, for the words of an error.
    **own
        Settings of the kind (see its class).

    Returns
    -------
    torch.nn.Module
        ``shape`` (rows, columns); ``groups``, int64 ndarray (rows, columns): cells of one number share mean and
        standard deviation, -1 is left as it is; ``maps``, how many stand side by side; ``rounding``, what its
        arithmetic makes of nothing, as a share of the largest standard deviation; called with a tensor (batch,
        n_chans, n_times) it gives float32 (batch, rows, columns). ``fft`` and ``topographies`` have constants and
        follow ``to(device)``.

    Raises
    ------
    ValueError
        Unknown kind or setting, no frequency within a band, or channels without a position.
    """
    known = settings(kind)
    for name in own:
        if name not in known:
            raise ValueError(f"input {kind} has no setting {name!r}: it has {', '.join(known) or 'none'}")
    return KINDS[kind](Given(n_chans, n_times, sfreq, positions, names), **own)


def settings(kind):
    """Settings of an input with their defaults (dict), as its class declares them."""
    if kind not in KINDS:
        raise ValueError(f"input {kind!r} is not known: choose one of {', '.join(KINDS)}")
    signature = inspect.signature(KINDS[kind].__init__)
    return {p.name: copy.deepcopy(p.default) for p in signature.parameters.values() if p.kind is p.KEYWORD_ONLY}


def _known(given):
    """Positions (channels, 3) of all channels."""
    positions = given.positions
    if positions is None or len(positions) != given.n_chans:
        count = "none" if positions is None else len(positions)
        raise ValueError(f"positions: maps need one for each of {given.n_chans} channels, there are {count}")
    where = np.array([(np.nan,) * 3 if row is None else row for row in positions], dtype=float)
    # as `hedgerow.splines.placed` has it, whose module wants MNE
    lost = np.flatnonzero(~(np.isfinite(where).all(axis=1) & (where != 0).any(axis=1)))
    if lost.size:
        told = [f"channel {i} (from 0)" if given.names is None else str(given.names[i]) for i in lost]
        raise ValueError(
            f"positions: nobody knows where {', '.join(told)} stand: leave them out of the selection's channels, or "
            "choose another input"
        )
    return where


def _band(name, edges):
    """Edges of a band in Hz."""
    pair = isinstance(edges, list | tuple) and len(edges) == 2 and all(map(models._number, edges))
    if not pair or not 0 <= edges[0] <= edges[1]:
        raise ValueError(f"bands: {name} is {edges!r}: give its lowest and highest frequency in Hz")
    return edges


def _taper(taper, samples):
    """Values (samples,) of a periodic window of scipy."""
    try:
        return scipy.signal.get_window(taper if isinstance(taper, str) else tuple(taper), samples)
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"taper: {taper!r} is no window of scipy.signal.get_window, such as hann ({error})") from None
