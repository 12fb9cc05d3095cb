"""Hedgerow: from BIDS EEG datasets to published, deep-learning-ready derivatives.

Importing the package imports nothing else: the numeric modules run with numpy and scipy alone.
"""

__version__ = "0.1.0"
