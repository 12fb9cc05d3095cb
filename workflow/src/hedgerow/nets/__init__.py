"""Networks: models, reproducible training, evaluation over subjects (plain torch).

`models` builds a network by name, `train` fits it so that the same command gives the same bits, and `evaluate` says how
good it is with intervals over subjects (numpy and pandas only, no torch).
"""
