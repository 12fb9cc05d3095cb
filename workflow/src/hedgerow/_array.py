"""The array namespace, devices, and the gaps of the array API standard.

Arrays in, the same kind of array out: numeric code asks `namespace` for the functions of its input's library and never
imports numpy, CuPy or torch to compute with. There is no global backend, and nothing copies from a device to the host
except `to_numpy`, which is called at the edges (scripts, plots, tests) and for small things: masks, counts, accounts.
"""

import array_api_compat
import numpy as np
import scipy.linalg


def namespace(*arrays):
    """Array-API namespace (numpy, cupy, torch, ...) of `arrays`; mixing kinds is an error."""
    return array_api_compat.array_namespace(*arrays)


def like(values, x, dtype=None):
    """Host `values` (numpy array, list or scalar) as an array of the kind and on the device of `x`.

    Parameters
    ----------
    values : array_like
        Small host-side constants: windows, filter taps, index lists.
    x : array
        Gives library and device, and the dtype unless `dtype` is given.
    dtype : dtype of x's namespace, optional
        ``None`` keeps x's dtype for floating `values` and the natural dtype for integers and booleans.
    """
    xp = namespace(x)
    values = np.asarray(values)
    if dtype is None and values.dtype.kind == "f":
        dtype = x.dtype
    return xp.asarray(values, dtype=dtype, device=array_api_compat.device(x))


def eye(n, x):
    """Identity matrix (n, n) of the kind, device and dtype of `x`."""
    return namespace(x).eye(n, dtype=x.dtype, device=array_api_compat.device(x))


def positive_definite(stack):
    """Which matrices of an ndarray `stack` (n, k, k) have a Cholesky factorisation: bool ndarray (n,)."""
    factorise = scipy.linalg.get_lapack_funcs("potrf", (stack,))
    # Symmetric: the transpose is the same matrix in the order of Fortran, so that nothing is copied before.
    return np.array([factorise(each.T, clean=0)[1] == 0 for each in stack], dtype=bool)


def room(x, host):
    """Working memory for a batch of x: on the host what its cache holds (`host`), on a device what keeps it busy."""
    on_host = array_api_compat.is_numpy_array(x) or "cpu" in str(array_api_compat.device(x)).lower()
    return host if on_host else 128 * host


def medians(x):
    """Median of each row of x (rows, n): the array API standard has none."""
    xp, half = namespace(x), x.shape[1] // 2
    if array_api_compat.is_numpy_array(x):
        # Of two middle values one is at its place after a partition, and the other the largest below: this takes a
        # fraction of the time of a partition at both, which is what np.median does.
        x = x.copy(order="C")
        x.partition(half, axis=1)
    else:
        x = xp.sort(x, axis=1)
    return x[:, half] if x.shape[1] % 2 else (xp.max(x[:, :half], axis=1) + x[:, half]) / 2


def to_numpy(x):
    """Copy `x` to the host as a numpy array, on purpose: at the edges, and for small masks, counts and accounts."""
    if array_api_compat.is_cupy_array(x):
        return x.get()
    if array_api_compat.is_torch_array(x):
        return x.detach().cpu().numpy()
    return np.asarray(x)


def device(gpus):
    """Name of the device that a job may use: ``"cuda"`` if it was given a GPU that is really there, else ``"cpu"``.

    Parameters
    ----------
    gpus : int
        ``snakemake.resources.gpu``: the GPUs that the profile granted to the job.
    """
    if gpus:
        try:
            import cupy
        except ImportError:
            return "cpu"
        if cupy.is_available():
            return "cuda"
    return "cpu"


def to_device(x, name):
    """Host array `x` on device `name` (``"cpu"``: numpy as it is; ``"cuda"``: a CuPy array)."""
    if name == "cpu":
        return np.asarray(x)
    import cupy

    return cupy.asarray(x)
