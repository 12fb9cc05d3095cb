"""Spherical splines over the head: the value of a smooth potential at places where no electrode was."""

import numpy as np

#: Electrodes that a spline needs at least.
FEWEST = 3


def placed(positions):
    """Which electrodes have a position: bool ndarray (channels,), False where it is NaN or the origin itself.

    Parameters
    ----------
    positions : ndarray (channels, 3)
    """
    return np.isfinite(positions).all(axis=1) & (positions != 0).any(axis=1)


def weights(sources, targets):
    """Weights of spherical-spline interpolation (Perrin et al. 1989, doi:10.1016/0013-4694(89)90180-6), by MNE-Python.

    Parameters
    ----------
    sources : array_like (sources, 3)
        Positions of the electrodes that were recorded, in m.
    targets : array_like (targets, 3)
        Positions at which the potential is wanted, in the same frame.

    Returns
    -------
    numpy.ndarray (targets, sources)
        ``weights @ x`` are the potentials at the targets; the rows add up to 1 within the regularisation, so that the
        reference does not matter.
    """
    import mne

    names = [f"{i}" for i in range(len(sources) + len(targets))]
    info = mne.create_info(names, 1.0, "eeg", verbose="error")
    where = np.concatenate([sources, targets])
    info.set_montage(mne.channels.make_dig_montage(dict(zip(names, where)), coord_frame="head"), verbose="error")
    info["bads"] = names[len(sources) :]
    # Interpolation is linear in the good channels: its weights are what it makes of the unit vectors.
    unit = np.eye(len(names), len(sources))
    evoked = mne.EvokedArray(unit, info, verbose="error")
    evoked.interpolate_bads(reset_bads=False, method={"eeg": "spline"}, verbose="error")
    return evoked.data[len(sources) :]
