"""Pictures of what the cleaning did, for the report: of a whole study, and of single recordings before and after.

Arrays in, matplotlib figures out; no statistics, no file. Style and heads stand in `hedgerow._canvas`.
"""

import numpy as np
from matplotlib.figure import Figure

from ._canvas import COLOURS, FAINT, INK, RULE, front_to_back, placed, styled, topography

#: Colour of the signal before cleaning, behind that after.
BEFORE = "#A8A8A8"

#: Letters of the bands that have one.
LETTERS = {"delta": "δ", "theta": "θ", "alpha": "α", "beta": "β", "gamma": "γ"}

#: More recordings than this are not drawn one by one.
DOTS = 300

#: A trace is drawn up to so many distances between two channels.
REACH = 3


@styled
def cleaning(changed, removed, flagged, variance, positions, *, most=24):
    """What the cleaning did to the recordings of a study.

    Parameters
    ----------
    changed, removed : ndarray (recordings,)
        Share of samples that ASR repaired and of variance removed, 0 ... 1; NaN where the step was off.
    flagged : dict of str to dict of str to int
        By reason, in how many recordings each channel was bad.
    variance : ndarray (channels,)
        Mean share of variance removed from each channel, 0 ... 1.
    positions : ndarray (channels, 3)
        In m; NaN where unknown.
    most : int
        Channels that are shown at most, the most frequent first.
    """
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1.5, 0.9])
    left.scatter(100 * changed, 100 * removed, s=24, color=COLOURS[0], alpha=0.6, linewidths=0)
    left.set(title="Recordings", xlabel="Samples repaired (%)", ylabel="Variance removed (%)")
    left.set(xlim=(0, None), ylim=(0, None))
    _stacked(middle, flagged, most)
    middle.set(title="Bad channels", ylabel="Recordings")
    _head(figure, right, variance, positions)
    return figure


def _stacked(axes, flagged, most):
    """Bars of how often each channel is flagged, stacked by reason."""
    names = {name for channels in flagged.values() for name in channels}
    totals = {name: sum(channels.get(name, 0) for channels in flagged.values()) for name in names}
    shown = sorted(totals, key=lambda name: (-totals[name], name))[:most]
    if not shown:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        return
    floor = np.zeros(len(shown))
    for colour, (reason, channels) in zip(COLOURS[1:], flagged.items()):
        height = np.array([channels.get(name, 0) for name in shown])
        axes.bar(shown, height, bottom=floor, color=colour, label=reason, width=0.75)
        floor += height
    axes.set_xlim(-0.6, max(len(shown), 6) - 0.4)  # a single bar is no wall
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(axis="x", rotation=90, labelsize=7.5)
    axes.legend(loc="upper right", fontsize=8)


def _head(figure, axes, variance, positions):
    """Shares of variance removed on the head, in per cent; nothing where too few places are known."""
    axes.set_axis_off()
    if placed(np.where(np.isfinite(variance)[:, None], positions, np.nan)):
        top = 100 * np.nanmax(variance) or 1.0
        image = topography(axes, 100 * variance, positions, (0, top), cmap="viridis")
        axes.set_title("Variance removed (%)", loc="center")
        figure.colorbar(image, ax=axes, shrink=0.7)


@styled
def bands(removed, labels):
    """Share of each band's power that was removed, over recordings: quartiles, 5th to 95th percentile, and dots.

    Parameters
    ----------
    removed : ndarray (recordings, bands)
        0 ... 1; NaN where a recording does not hold the band.
    labels : list of str
        Bands with their ends in Hz.
    """
    figure = Figure(figsize=(10, 2.5), layout="constrained")
    axes = figure.subplots()
    top = np.nanmax(100 * removed, initial=0.0)
    for place, values in enumerate(100 * removed.T):
        values = np.sort(values[np.isfinite(values)])
        if not values.size:
            continue
        low, first, middle, third, high = np.percentile(values, [5, 25, 50, 75, 95])
        axes.plot([place] * 2, [low, high], color=COLOURS[0], linewidth=1)
        axes.bar(place, third - first, bottom=first, width=0.34, color=COLOURS[0], alpha=0.3)
        axes.plot([place - 0.17, place + 0.17], [middle] * 2, color=COLOURS[0], linewidth=2)
        if values.size <= DOTS:
            aside = place + 0.24 + 0.16 * (0.618 * np.arange(values.size) % 1)  # side by side, without a pattern
            axes.plot(aside, values, "o", color=INK, markersize=3, alpha=0.5, markeredgewidth=0)
    axes.set(ylabel="Power removed (%)", ylim=(0, 1.05 * top or 1.0), xlim=(-0.5, len(labels) - 0.2))
    axes.set_xticks(range(len(labels)), labels)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)
    return figure


@styled
def before_and_after(traces, spectra, removed, positions, *, bad=()):
    """One recording: ten seconds of its channels, its spectra, and where on the head variance was removed.

    Parameters
    ----------
    traces : dict
        ``names`` (channels), ``positions`` (channels, 3), ``before`` and ``after`` (channels, samples) in µV,
        ``sfreq`` in Hz and ``start``, the time of the first sample in s.
    spectra : dict
        ``frequency`` in Hz, ``before`` and ``after`` (channels, frequencies) in dB, ``bands`` (ends in Hz by name).
    removed : ndarray (channels,)
        Share of each channel's variance that was removed.
    positions : ndarray (channels, 3)
        In m; NaN where unknown.
    bad : list of (float, float)
        Stretches in s that are beyond repair.
    """
    figure = Figure(figsize=(10, max(4.2, 1.0 + 0.205 * len(traces["names"]))), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=[2.25, 1])
    _traces(figure.add_subplot(grid[:, 0]), traces, bad)
    _spectra(figure.add_subplot(grid[0, 1]), **spectra)
    _head(figure, figure.add_subplot(grid[1, 1]), removed, positions)
    return figure


def _traces(axes, traces, bad):
    """Channels below each other from front to back, before cleaning behind after it, and a bar for the scale."""
    order = front_to_back(traces["positions"])
    before, after = traces["before"][order], traces["after"][order]
    seconds = traces["start"] + np.arange(before.shape[1]) / traces["sfreq"]
    apart = _apart(after)
    for start, stop in bad:
        axes.axvspan(start, stop, color=COLOURS[4], alpha=0.22, linewidth=0)
    floors = -np.arange(len(order))[:, None]
    # what is far stronger than all that stays would cover the whole panel
    seen = np.where(np.abs(before) <= REACH * apart, before / apart, np.nan)
    axes.plot(seconds, (floors + seen).T, color=BEFORE, linewidth=0.6)
    axes.plot(seconds, (floors + after / apart).T, color=COLOURS[0], linewidth=0.7)
    axes.set_yticks(floors[:, 0], [traces["names"][k] for k in order])
    axes.tick_params(axis="y", labelsize=7, length=0, pad=1)
    axes.spines["left"].set_visible(False)
    axes.set(xlabel="Time in the recording (s)", xlim=seconds[[0, -1]], ylim=(floors[-1, 0] - 1.3, 1.3))
    step = _round(apart)
    place = {"transform": axes.get_yaxis_transform(), "clip_on": False}
    axes.plot([1.012] * 2, [-step / apart, 0], color=INK, linewidth=2, solid_capstyle="butt", **place)
    axes.text(1.02, -step / apart / 2, f"{step:g} µV", rotation=90, va="center", fontsize=8, **place)


def _apart(after):
    """Distance of two traces in µV, so that hardly anything of the clean signal reaches its neighbours."""
    reach = np.percentile(np.abs(after), 99.5) if after.size else 0.0
    return 1.6 * float(reach) or 1.0


def _round(value):
    """The largest of 1, 2 and 5 times a power of ten that is not above `value`."""
    power = 10.0 ** np.floor(np.log10(value))
    return max(step * power for step in (1, 2, 5) if step * power <= value)


def _spectra(axes, frequency, before, after, bands):
    """Median over channels and their range, before and after, with the ends of the bands."""
    shown = frequency > 0
    frequency = frequency[shown]
    for power, colour, label, alpha in ((before, BEFORE, "before", 0.35), (after, COLOURS[0], "after", 0.25)):
        power = power[:, shown].astype(float)
        axes.fill_between(frequency, power.min(axis=0), power.max(axis=0), color=colour, alpha=alpha, linewidth=0)
        axes.plot(frequency, np.median(power, axis=0), color=colour if label == "after" else "#6E6E6E", label=label)
    for name, (low, high) in bands.items():
        axes.axvline(low, color=FAINT, linewidth=0.6)
        if name in LETTERS:
            middle = {"transform": axes.get_xaxis_transform(), "ha": "center"}
            axes.text((low * high) ** 0.5, 1.01, LETTERS[name], color=RULE, **middle)
    axes.set(xscale="log", xlabel="Frequency (Hz)", ylabel="dB re 1 µV²/Hz", xlim=(frequency[0], frequency[-1]))
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200) if frequency[0] <= tick <= frequency[-1]]
    axes.set_xticks(ticks, ticks)
    axes.minorticks_off()
    axes.legend(fontsize=8, loc="lower left")
