"""Networks: models, reproducible training, evaluation over subjects (plain torch).

`models` builds a network by name and `inputs` what it is shown, `train` fits it so that the same command gives the same
bits, `trained` keeps it as a file, and `evaluate` says how good it is with intervals over subjects (numpy and pandas
only, no torch). ``hedgerow.nets.load(path)`` gives a trained network back.
"""

import importlib


def __getattr__(name):
    # By its name, and when a network is loaded: who looks for scores needs no torch, and depends on no training.
    if name == "load":
        return importlib.import_module("hedgerow.nets.trained").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
