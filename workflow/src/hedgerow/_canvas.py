"""What all pictures share: style, colours, topographies, and the way into a page as a PNG.

Figures are made without pyplot's state, and equal arrays give equal bytes. Colours can be told apart with any kind of
colour vision: Okabe and Ito's set for classes, ``RdBu_r`` with limits symmetrical about zero for signed values,
``viridis`` for amounts.
"""

import base64
import io
from functools import wraps

import numpy as np
from matplotlib import style
from matplotlib.patches import Circle

#: Okabe & Ito (2008), in the order in which classes take them.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
INK, FAINT, RULE = "#333333", "#B8B8B8", "#777777"

STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
    "image.interpolation": "nearest",
}

#: Sphere that fits the electrodes of the 10-05 template best (centre and radius in m); its equator is the outline.
SPHERE = (0.0008, -0.0162, -0.0012, 0.0986)

#: A picture is shown at so many CSS pixels per inch of its figure, so that all have letters of one size.
PIXELS = 101

#: Channels with a known position that a topography needs at least.
FEWEST = 4


def styled(make):
    """Draw with our style over matplotlib's defaults, whatever the user's matplotlibrc says."""

    @wraps(make)
    def drawn(*args, **keywords):
        with style.context(["default", STYLE]):
            return make(*args, **keywords)

    return drawn


@styled
def picture(figure, *, dpi=144, palette=None):
    """A figure for a page.

    Parameters
    ----------
    figure : matplotlib Figure
    dpi : int
    palette : int, optional
        Reduce it to so many colours, at most 256: a picture of many thin lines then takes a quarter of the space.

    Returns
    -------
    dict
        ``uri``: a ``data:`` URI of a PNG that holds neither date nor version; ``width`` in CSS pixels.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    if palette is not None:
        from PIL import Image

        drawn, buffer = Image.open(buffer).convert("RGB"), io.BytesIO()
        # rare colours (the ends of a scale) and faint ones (pale cells) both keep one of their own
        few = drawn.quantize(palette, method=Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
        few.save(buffer, format="png", optimize=True)
    uri = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
    return {"uri": uri, "width": round(figure.get_figwidth() * PIXELS)}


def limit(values):
    """Limit of a colour scale that is symmetrical about zero: the largest magnitude, or 1 where there is none."""
    values = np.abs(values[np.isfinite(values)])
    return float(values.max()) if values.size and values.max() > 0 else 1.0


def colours(many):
    """As many colours as there are classes; they repeat after the last."""
    return [COLOURS[k % len(COLOURS)] for k in range(many)]


def zero(axes, points):
    """Rules at zero: the value, and the event where it is within."""
    axes.axhline(0, color=RULE, linewidth=0.7)
    if points[0] < 0 < points[-1]:
        axes.axvline(0, color=RULE, linewidth=0.7)


def placed(positions):
    """Whether enough channels have a known position for a topography."""
    return bool(np.isfinite(positions).all(axis=1).sum() >= FEWEST)


def project(positions):
    """Places (channels, 2) on the head seen from above: distance from the vertex along the sphere, 1 at its equator."""
    x, y, z = ((positions - SPHERE[:3]) / SPHERE[3]).T
    distance = np.arctan2(np.hypot(x, y), z) / (np.pi / 2)
    direction = np.arctan2(y, x)
    return np.column_stack([distance * np.cos(direction), distance * np.sin(direction)])


def front_to_back(positions):
    """Order of channels from front to back in steps of 2 cm, within a step from left to right; unknown ones last."""
    step = np.where(np.isfinite(positions[:, 1]), -np.round(positions[:, 1] / 0.02), np.inf)
    return np.lexsort((np.nan_to_num(positions[:, 0]), step))


def topography(axes, values, positions, limits, *, cmap="RdBu_r", mark=None):
    """Draw `values` (channels,) on the head as seen from above, nose up; channels without a position are left out.

    The image ends just outside the equator: channels below (mastoids) shape it but are not seen. Where the channels
    stand on a part of the head only, so does the image.

    Parameters
    ----------
    axes : matplotlib axes
    values : ndarray (channels,)
    positions : ndarray (channels, 3)
        In m, in the frame of the stores; NaN where unknown. See `placed`.
    limits : (float, float)
        Of the colour scale.
    cmap : str
    mark : int, optional
        A channel to be marked.

    Returns
    -------
    The image, for a colour bar.
    """
    from mne.viz import plot_topomap

    known = np.isfinite(positions).all(axis=1) & np.isfinite(values)
    flat = project(positions)
    around = (np.ptp(flat[known], axis=0) > 1.2).all()
    image, contours = plot_topomap(
        values[known],
        flat[known],
        axes=axes,
        show=False,
        cmap=cmap,
        vlim=limits,
        sphere=(0.0, 0.0, 0.0, 1.0),
        extrapolate="head" if around else "local",
        contours=4,
        sensors=False,
        res=64 if around else 160,
    )
    edge = Circle((0, 0), 1.12, transform=axes.transData)
    for part in (image, contours):
        if part is not None:
            part.set_clip_path(edge)
    inside = flat[known & (np.hypot(*flat.T) <= 1.12)]
    axes.plot(*inside.T, ".", color=INK, markersize=2.5)
    if mark is not None and known[mark]:
        axes.plot(*flat[mark], ".", color=INK, markersize=2.5, clip_on=False)
        axes.plot(*flat[mark], "o", markerfacecolor="none", markeredgecolor="k", markersize=8, clip_on=False)
    axes.set(xlim=(-1.25, 1.25), ylim=(-1.2, 1.3))
    return image
