"""The head seen from above: electrodes and pixels in a plane, and splines between them (numpy and scipy only).

Electrodes are laid flat as MNE and EEGLAB do: in their direction from the vertex, as far from it as the way along a
sphere is (azimuthal equidistant projection). 1 is its equator, which is EEGLAB's radius of 0.5.

References
----------
Duchon 1977, in Lect. Notes Math. 571:85, doi:10.1007/BFb0086566 (thin-plate splines). Sandwell 1987, Geophys. Res.
Lett. 14:139, doi:10.1029/GL014i002p00139 (biharmonic splines).
"""

from numbers import Real

import numpy as np
from scipy.interpolate import RBFInterpolator

#: Sphere (centre and radius in m) that fits the electrodes of the 10-05 template best, as in the report's pictures.
SPHERE = (0.0008, -0.0162, -0.0012, 0.0986)

#: Distances of electrodes from the centre that pass, in radii; EGI's nets, which reach cheeks and neck: 0.78 to 1.29.
AROUND = (0.6, 1.5)


def project(positions, sphere="template"):
    """Places on the head seen from above: the way from the vertex along a sphere, 1 at its equator.

    Parameters
    ----------
    positions : array_like (channels, 3)
        In m, x to the right, y to the front, z up.
    sphere : "template", "fit" or (x, y, z, radius)
        Head on which they lie, in m: that of the 10-05 template (`SPHERE`), in whose frame the stores have their
        positions; the one that fits the positions best; or this one.

    Returns
    -------
    ndarray (channels, 2)
        To the right and to the front (azimuthal equidistant).

    Raises
    ------
    ValueError
        The positions do not lie around the sphere, or do not determine one.
    """
    positions = np.asarray(positions, dtype=float)
    if isinstance(sphere, str):
        if sphere not in ("template", "fit"):
            raise ValueError(f"sphere: {sphere!r} is neither 'template' nor 'fit' nor centre and radius in m")
        sphere = SPHERE if sphere == "template" else fit_sphere(positions)
    elif np.shape(sphere) != (4,) or not all(isinstance(v, Real) for v in sphere) or not sphere[3] > 0:
        raise ValueError(f"sphere: {sphere!r} is no centre and radius: give x, y, z and a radius above 0, in m")
    x, y, z = ((positions - sphere[:3]) / sphere[3]).T
    distances = np.sqrt(x**2 + y**2 + z**2)
    if not ((distances > AROUND[0]) & (distances < AROUND[1])).all():
        raise ValueError(
            f"sphere: electrodes lie {distances.min():.2g} to {distances.max():.2g} radii from its centre: give "
            "positions in m, and sphere: fit where they are not in the frame of the 10-05 template"
        )
    way = np.arctan2(np.hypot(x, y), z) / (np.pi / 2)
    direction = np.arctan2(y, x)
    return np.column_stack([way * np.cos(direction), way * np.sin(direction)])


def fit_sphere(positions):
    """Centre and radius (x, y, z, radius; m) of the sphere nearest to `positions` (channels, 3), by least squares.

    Raises
    ------
    ValueError
        Fewer than four positions, or all in one plane.
    """
    positions = np.asarray(positions, dtype=float)
    # |p|^2 = 2 p.c + (r^2 - |c|^2) is linear in what is sought
    matrix = np.column_stack([2 * positions, np.ones(len(positions))])
    found, _, rank, _ = np.linalg.lstsq(matrix, (positions**2).sum(axis=1))
    if rank < 4:
        raise ValueError("sphere: fit needs four electrodes or more that do not lie in a plane; give a sphere")
    centre = found[:3]
    return (*centre.tolist(), float(np.sqrt(found[3] + centre @ centre)))


def grid(size, extent=1.0):
    """Centres of the pixels of a map (size * size, 2), to the right and to the front, row by row from the nose."""
    steps = extent * ((np.arange(size) + 0.5) / size * 2 - 1)
    return np.column_stack([np.tile(steps, size), np.repeat(-steps, size)])


def thin_plate(places, pixels):
    """Weights of the thin-plate spline through values at electrodes, linear in these values.

    Parameters
    ----------
    places : ndarray (channels, 2)
        Where the electrodes are.
    pixels : ndarray (pixels, 2)
        Where values are wanted.

    Returns
    -------
    ndarray (pixels, channels)
        float64; at an electrode its own value, and a plane through the values is kept. Rows add up to 1.

    Raises
    ------
    ValueError
        Fewer than three electrodes, or all on one line, or two at one place.
    """
    if np.linalg.matrix_rank(np.column_stack([places, np.ones(len(places))]), tol=1e-6) < 3:
        raise ValueError(
            f"positions: {len(places)} electrodes in one line make no map: take three or more that do not stand so"
        )
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + np.eye(len(places))
    if apart.min() < 1e-6:
        first, second = np.unravel_index(apart.argmin(), apart.shape)
        raise ValueError(f"positions: channels {first} and {second} (from 0) stand at one place: leave one of them out")
    return RBFInterpolator(places, np.eye(len(places)), kernel="thin_plate_spline", degree=1)(pixels)
