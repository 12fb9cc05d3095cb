"""A trained network as a file: its weights, what they expect, and how it is called.

The file is in the safetensors format (no code is run when it is loaded). Beside the weights it holds, as JSON under the
one key ``hedgerow`` of its metadata, whatever is needed to use them: model, input, channels, rate, classes, fold.
"""

import json

import numpy as np

from hedgerow import __version__
from hedgerow.nets import train

#: Key of the metadata; one alone, for the order in which the format writes several is left to chance.
KEY = "hedgerow"

#: Keywords of `train.predict` that a network's file holds.
CALL = ("task", "model", "input", "input_params", "sfreq", "positions", "n_outputs")


def save(path, weights, info):
    """Write a trained network.

    Parameters
    ----------
    path : path
    weights : dict of str to torch.Tensor
        As `train.fit` returns them.
    info : dict
        JSON-able: what `Network` has as ``info``; at least the keywords `CALL`, ``params`` and ``shape``.
    """
    from safetensors.torch import save_file

    text = json.dumps({"version": __version__, **info}, sort_keys=True)
    save_file({name: value.contiguous() for name, value in weights.items()}, path, metadata={KEY: text})


def load(path):
    """A trained network.

    Parameters
    ----------
    path : path
        A file of ``networks/<network>/``.

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        The file is damaged, or was not written by `save`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (a file is no dict)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or no safetensors file ({error}): train again, or fetch it again"
        ) from None
    if text is None:
        raise ValueError(f"{path} does not say which network its weights are of: it was not written by Hedgerow")
    return Network(weights, json.loads(text))


class Network:
    """A trained network that can be called.

    Attributes
    ----------
    info : dict
        What it was trained as: ``model``, ``params``, ``input``, ``classes`` or ``targets``, ``names`` (channels),
        ``sfreq`` (Hz), ``shape`` (channels, samples), ``seed``, ``fold`` (left out) and more.
    weights : dict of str to torch.Tensor
        Normalisation included.
    """

    def __init__(self, weights, info):
        self.weights, self.info = weights, info

    def __repr__(self):
        info = self.info
        tells = " or ".join(info["classes"]) if info.get("classes") else ", ".join(info.get("targets") or ["numbers"])
        channels, samples = info["shape"]
        return f"<{info['model']} for {channels} channels x {samples} samples that tells {tells}>"

    def predict(self, windows, *, batch=64, threads=1, device="cpu", shuffled=False):
        """What the network says of windows.

        Parameters
        ----------
        windows : Windows, ndarray or torch.Tensor, shape (windows, channels, samples)
            In µV, with the channels, rate and length of the training: a `hedgerow.store.Windows` is checked for them.
        batch, threads, device
            As for `train.predict`.
        shuffled : bool
            The samples of the windows are in random order, which a control with shuffled time demands.

        Returns
        -------
        ndarray float64, shape (windows, classes or targets)
            Probabilities in the order of ``info["classes"]``, or values in the order of ``info["targets"]``.

        Raises
        ------
        ValueError
            Other channels, another rate or length, or samples that are not finite; windows as they are for a control
            with shuffled time.
        """
        self._check(windows)
        if self.info.get("shuffle_time") and not shuffled:
            raise ValueError(
                "this network is a control, trained on windows whose samples are in random order: shuffle these, too "
                "(hedgerow.nets.evaluate.shuffle_time), and say shuffled=True"
            )
        how = {name: self.info[name] for name in CALL}
        return train.predict(
            self.weights, windows, batch=batch, threads=threads, device=device, **how, **self.info["params"]
        )

    def _check(self, windows):
        shape, wanted = tuple(windows.shape[1:]), tuple(self.info["shape"])
        if shape != wanted:
            raise ValueError(f"these windows are {shape} channels x samples, the network was trained on {wanted}")
        for name in ("names", "sfreq"):
            own, given = self.info.get(name), getattr(windows, name, None)
            if own is not None and given is not None and not _equal(own, given):
                raise ValueError(f"these windows have {name} {given}, the network was trained on {own}")


def _equal(one, other):
    return np.array_equal(np.asarray(one), np.asarray(other))
