"""Reference: the mean over some channels, subtracted from all.

Needs a signal (channels, samples) and its channel names; makes the same in another reference.
"""

import numpy as np

from hedgerow import _array
from hedgerow.account import Fault

#: Pairs behind the ears, in the order of preference: mastoids, the 10-10 places beside them, ear lobes. An EGI net
#: numbers its electrodes, and no template says which numbers are the mastoids: they must be named.
PAIRS = (("M1", "M2"), ("TP9", "TP10"), ("A1", "A2"))


def apply(x, names, reference, left=()):
    """Subtract the mean of the reference channels.

    Parameters
    ----------
    x : array (channels, samples)
        Any unit.
    names : list of str
        Its channels.
    reference : "average", "mastoids", sequence of str, or None
        All channels; the first of `PAIRS` that the recording has, whatever the case of its name; the channels named;
        or the reference as it is.
    left : sequence of str
        Bad channels that were not interpolated. They are part of no mean; of a pair both are needed.

    Returns
    -------
    y : array (channels, samples)
        The kind and unit of x.
    used : "average", list of str, or None
        The channels whose mean was subtracted, as the recording spells them.

    Raises
    ------
    Fault
        ``missing-channel`` where a named channel or every pair is missing, or what there is of them is bad.
    ValueError
        A word that is no reference.
    """
    if reference is None:
        return x, None
    if isinstance(reference, str) and reference not in ("average", "mastoids"):
        raise ValueError(f'reference={reference!r}: give "average", "mastoids", a list of channel names, or null')
    if reference == "mastoids":
        reference = _pair(names, left)
    wanted = names if reference == "average" else [str(name) for name in reference]
    missing = [name for name in wanted if name not in names]
    used = [name for name in wanted if name in names and name not in left]
    if missing or not used:
        raise Fault(
            "missing-channel",
            f"the reference {', '.join(wanted)} needs channels that "
            + (f"the recording does not have: {', '.join(missing)}" if missing else "are all bad and not interpolated"),
        )
    xp, rows = _array.namespace(x), np.array([names.index(name) for name in used], dtype=np.int64)
    mean = xp.mean(xp.take(x, _array.like(rows, x), axis=0), axis=0, keepdims=True)
    return x - mean, "average" if reference == "average" else used


def _pair(names, left):
    """The first of `PAIRS` in the recording, as it is spelt there."""
    known = {name.upper(): name for name in names}
    # BioSemi's caps number on from A1 and A2, which there lie at the vertex
    pairs = [pair for pair in PAIRS if pair != ("A1", "A2") or "A3" not in known]
    found = [[known[name] for name in pair] for pair in pairs if {*pair} <= {*known}]
    if not found:
        raise Fault(
            "missing-channel",
            f"the reference mastoids needs one of the pairs {', '.join(map(' and '.join, pairs))}, of which the "
            "recording has none whole: name the reference channels, or choose average",
        )
    bad = [name for name in found[0] if name in left]
    if bad:
        raise Fault(
            "missing-channel",
            f"the reference mastoids needs {' and '.join(found[0])}, of which {' and '.join(bad)} "
            f"{'is' if len(bad) == 1 else 'are'} bad and not interpolated: name the reference channels, or choose "
            "average",
        )
    return found[0]
