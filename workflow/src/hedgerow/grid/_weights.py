"""What a replicate multiplies its units with: counts of a resampling, signs and Webb's weights of a wild bootstrap.

The generator is keyed by seed and replicate, so that neither the order nor the blocks of the work change a weight.
"""

import numpy as np

#: Six points of mean 0 and variance 1, each as likely: with few clusters they give more distinct replicates than signs
#: do (M. D. Webb 2023, Can. J. Econ. 56:839-858).
WEBB = np.array([-np.sqrt(1.5), -1.0, -np.sqrt(0.5), np.sqrt(0.5), 1.0, np.sqrt(1.5)])
SIGNS = np.array([-1.0, 1.0])


def generator(seed, replicate, attempt=0):
    """Generator of one replicate: Philox with seed and replicate as its key and the attempt as its counter."""
    bits = np.random.Philox(key=np.array([seed, replicate], dtype=np.uint64), counter=[0, 0, 0, attempt])
    return np.random.Generator(bits)


def counts(units, seed, replicate, attempt=0):
    """How often each of `units` is drawn in one replicate: numpy.ndarray of int, (units,), summing to `units`.

    Parameters
    ----------
    units : int
        Groups or windows.
    seed, replicate, attempt : int
        The same three always give the same counts.
    """
    return np.bincount(generator(seed, replicate, attempt).integers(0, units, units), minlength=units)


def webb(units, seed, replicate):
    """Webb's weight of each of `units` in one replicate: numpy.ndarray of float, (units,)."""
    return WEBB[generator(seed, replicate).integers(0, len(WEBB), units)]


def signs(units, seed, replicate):
    """Rademacher's weight, 1 or -1, of each of `units` in one replicate: numpy.ndarray of float, (units,)."""
    return SIGNS[generator(seed, replicate).integers(0, len(SIGNS), units)]
