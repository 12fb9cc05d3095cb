"""Networks: models, reproducible training, evaluation over subjects (plain torch).

`models` builds a network by name and `inputs` what it is shown, `train` fits it so that the same command gives the same
bits, `trained` keeps it as a file, and `evaluate` says how good it is with intervals over subjects (numpy and pandas
only, no torch). ``hedgerow.nets.load(path)`` gives a trained network back.
"""


def __getattr__(name):
    # torch is loaded when a network is, not when somebody looks for scores
    if name == "load":
        from hedgerow.nets.trained import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
