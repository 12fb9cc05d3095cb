"""The one door to the models of braindecode, by name: ``braindecode:<class>``, e.g. ``braindecode:EEGConformer``.

braindecode is an optional package, imported when such a model is asked for and not before. Its models are told
channels, samples, outputs and sampling rate as far as their class takes them; every other argument of the class is a
parameter (where its default is a class, such as ``torch.nn.ELU``, its name will do: ``ELU``). What cannot be built,
cannot run on windows of this size or does not give one row of logits per window is refused at once, with what
braindecode said about it.

braindecode imports torchaudio, of which a few models need resampling or filters. The wheels of PyPI load only beside a
torch that was built for the same CUDA, so not beside torch for the CPU. Where torchaudio cannot be loaded, something
stands in for it while braindecode is imported, and the models that use it say so.
"""

import contextlib
import difflib
import importlib
import importlib.metadata
import inspect
import sys
import types

import torch
from torch import nn

PREFIX = "braindecode:"
#: braindecode says of no model how it is to be trained: a start, with which its ShallowFBCSPNet learns.
RECIPE = {"epochs": 40, "batch": 32, "lr": 0.002, "weight_decay": 0.0}
#: Arguments of its models that say what a window is, and are not parameters.
WINDOW = ("n_chans", "n_times", "n_outputs", "sfreq", "input_window_seconds")
#: What braindecode imports of torchaudio.
TORCHAUDIO = ("torchaudio", "torchaudio.functional", "torchaudio.transforms")


def build(name, n_chans, n_times, n_outputs, *, sfreq=None, **params):
    """Build the model `name`; see `hedgerow.nets.models.build`.

    Raises
    ------
    ValueError
        There is no such model, or it cannot be had for such windows.
    ImportError
        braindecode cannot be imported.
    """
    kind = _class(name)
    accepted = inspect.signature(kind.__init__).parameters
    window = {"n_chans": n_chans, "n_times": n_times, "n_outputs": n_outputs, "sfreq": sfreq}
    lacking = [key for key in ("n_chans", "n_outputs") if key not in accepted]
    if lacking:
        raise ValueError(f"model {name} cannot be used: its class takes no {lacking[0]}, choose another of braindecode")
    window = {key: value for key, value in window.items() if key in accepted and value is not None}
    params = {key: _named(value, accepted[key].default) for key, value in params.items()}
    rate = f" at {sfreq:g} Hz" if sfreq else ", sampling rate unknown"
    what = f"model {name} cannot be used for {n_chans} channels x {n_times} samples{rate}"
    try:
        net = kind(**window, **params)
        shape = _tried(net, n_chans, n_times)
    except Exception as error:
        said = " ".join(str(error).split())
        raise ValueError(f"{what}: braindecode says {type(error).__name__}: {said[:500]}") from error
    if shape != (2, n_outputs):
        raise ValueError(
            f"{what}: of 2 windows it makes {shape} and not (2, {n_outputs}), choose another of braindecode"
        )
    return net


def parameters(name):
    """Parameters of the model `name` with their defaults (dict); those that must be given have None."""
    found = inspect.signature(_class(name).__init__).parameters.values()
    named = (p for p in found if p.name not in ("self", *WINDOW) and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))
    return {p.name: None if p.default is p.empty else p.default for p in named}


def version():
    """``{"braindecode": its version}``, or nothing where it is not installed."""
    try:
        return {"braindecode": importlib.metadata.version("braindecode")}
    except importlib.metadata.PackageNotFoundError:
        return {}


def _class(name):
    models, wanted = _models(name), name.removeprefix(PREFIX)
    kinds = {key: kind for key, kind in vars(models).items() if isinstance(kind, type) and issubclass(kind, nn.Module)}
    kinds = {key: kind for key, kind in kinds.items() if kind.__module__.startswith("braindecode.")}
    if wanted not in kinds:
        near = difflib.get_close_matches(wanted, kinds) or sorted(kinds)
        raise ValueError(f"model {name!r} is not known: braindecode has {', '.join(near)}")
    return kinds[wanted]


def _named(value, default):
    """A class of torch.nn for its name, where a class is wanted: a config cannot hold one."""
    named = isinstance(value, str) and isinstance(default, type)
    return getattr(nn, value.removeprefix("torch.nn."), value) if named else value


def _models(name):
    """``braindecode.models``; torch's generator is left as it was."""
    if "braindecode.models" in sys.modules:
        return sys.modules["braindecode.models"]
    try:
        with torch.random.fork_rng(devices=[]), _torchaudio():
            return importlib.import_module("braindecode.models")
    except ImportError as error:
        raise ImportError(
            f"model {name} needs braindecode, which cannot be imported ({error}): pip install 'hedgerow[braindecode]'"
        ) from error


@torch.no_grad()
def _tried(net, n_chans, n_times):
    """Shape of what the network makes of two windows; its weights, its mode and torch's generator stay as they were."""
    with torch.random.fork_rng(devices=[]):
        made = net.eval()(torch.zeros(2, n_chans, n_times))
    net.train()
    return tuple(made.shape)


@contextlib.contextmanager
def _torchaudio():
    """Let ``import torchaudio`` succeed inside; outside, no trace is left of what could not be loaded."""
    fault = _fault()
    stand_ins = {} if fault is None else {key: _StandIn(key, fault) for key in TORCHAUDIO}
    for key, module in stand_ins.items():
        sys.modules[key] = module
        if "." in key:
            setattr(stand_ins["torchaudio"], key.split(".")[1], module)
    try:
        yield
    finally:
        for key in stand_ins:
            del sys.modules[key]


def _fault():
    """Why torchaudio cannot be imported, or None."""
    before = set(sys.modules)
    try:
        importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError) as error:
        for key in set(sys.modules) - before:
            if key.split(".")[0] == "torchaudio":
                del sys.modules[key]
        return str(error) or type(error).__name__
    return None


class _StandIn(types.ModuleType):
    """A module that has every name, each a class (a base class, too) that says why it cannot be called."""

    def __init__(self, name, fault):
        super().__init__(name)
        self.__path__ = []
        self._fault = fault

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        sentence = (
            f"{self.__name__}.{name} is needed, and torchaudio cannot be loaded ({self._fault}): install the one that "
            "was built for this torch (for the CPU: from https://download.pytorch.org/whl/cpu)"
        )

        def missing(*_, **__):
            raise ImportError(sentence)

        return type(name, (nn.Module,), {"__init__": missing})
