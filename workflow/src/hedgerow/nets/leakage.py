"""The gate before a network is judged: a person, a window, or what was learnt of them, on both sides of a split.

A network that meets tested people in its training recognises them instead of what was asked, and scores far above
chance on labels that mean nothing. What is found stops the run (`hedgerow.split.Leak`), with a sentence that says who,
how many and what to do. Equal windows are found where they are equal to the bit: one recording under two names, cut and
cleaned in the same way. A copy that was filtered, resampled or cut elsewhere is not (numpy and pandas only).
"""

import hashlib

import numpy as np
import pandas as pd

from hedgerow.split import Leak

#: Columns of participants.tsv that describe a person, as BIDS names them.
DESCRIBING = ("age", "sex", "handedness")


def digests(X, *, batch=256):
    """What each window holds, as a short text: equal for equal samples (0.8 GB/s of float32 on one core).

    Parameters
    ----------
    X : array, shape (windows, channels, samples)
        Any array, or an object with a length whose slices are one (or a tuple that begins with one, as those of
        `hedgerow.nets.loader.Windows`). Samples are compared as float32, so that whole numbers up to 2^24 in size are
        what they are in any type.
    batch : int
        Windows at a time; bounds the memory.

    Returns
    -------
    ndarray of str, shape (windows,)
        BLAKE2b of 16 bytes in hexadecimal; ``""`` for a window whose channels are all constant, since flat signals
        resemble each other whoever they are of.
    """
    found = []
    for start in range(0, len(X), batch):
        part = X[start : start + batch]
        part = np.asarray(part[0] if isinstance(part, tuple) else part).astype(np.float32, order="C")
        part += 0.0  # makes 0 of -0, which is equal to it but has other bits
        flat = _flat(part.view(np.uint32))
        found += [
            "" if constant else hashlib.blake2b(window, digest_size=16).hexdigest()
            for window, constant in zip(part, flat)
        ]
    return np.array(found, dtype="U32")


def _flat(bits):
    """Which windows are constant in every channel; compared as bits, so that nothing but NaN is constant, too."""
    flat = (bits[:, :, 0] == bits[:, :, -1]).all(1)  # few are left to be looked at in full
    flat[flat] = (bits[flat] == bits[flat][:, :, :1]).all((1, 2))
    return flat


def gate(rows, digest=None):
    """Stop a run in which a person or a window stands on both sides of a split.

    Parameters
    ----------
    rows : pandas.DataFrame
        A row per window, of all folds: person, fold (what tests it, any type), dataset, rec and window (number in its
        recording); where they are there, subject and `DESCRIBING`.
    digest : array of str, shape (windows,), optional
        From `digests`, in the order of `rows`; without it contents are not compared.

    Returns
    -------
    dict
        Account: ``people``, ``folds``, ``windows``, ``recordings``, ``datasets``; ``contents`` (distinct contents),
        ``constant`` (windows that were not compared) and ``repeated`` (windows that equal another one of their own
        person), all None without `digest`; ``twins`` (participants who have label and description of one of another
        dataset and count as somebody else), ``dealt`` (digest of who is in which fold) and ``notes`` (sentences).

    Raises
    ------
    hedgerow.split.Leak
        A window without person or fold, a person in two folds, a window that stands twice, or equal windows of two
        people.
    ValueError
        A missing column, no row, or another number of digests.
    """
    missing = [name for name in ("person", "fold", "dataset", "rec", "window") if name not in rows]
    if missing or not len(rows):
        raise ValueError(f"leakage: {len(rows)} windows without the column(s) {', '.join(missing) or 'none'}")
    if digest is not None and len(digest) != len(rows):
        raise ValueError(f"leakage: {len(digest)} digests of {len(rows)} windows: give one for each, in their order")
    dealt = _folds(rows)
    _once(rows)
    contents = {"contents": None, "constant": None, "repeated": None}
    if digest is not None:
        contents = _contents(rows, np.asarray(digest, dtype=object))
    twins, note = _twins(rows)
    return {
        "people": len(dealt),
        "folds": int(dealt.nunique()),
        "windows": len(rows),
        "recordings": len(rows[["dataset", "rec"]].drop_duplicates()),
        "datasets": int(rows["dataset"].nunique()),
        **contents,
        "twins": twins,
        "dealt": _digest(dealt),
        "notes": note,
    }


def normalisation(stated, recomputed, *, whose, tolerance=1e-6):
    """Stop a run whose network is normalised by other windows than those it was trained on.

    Parameters
    ----------
    stated : pair of array
        Mean and standard deviation that the network carries, of any shape.
    recomputed : pair of array
        The same of its training windows alone, in float64.
    whose : str
        The network, for the message: the path of its weights.
    tolerance : float
        Allowed difference as a part of the standard deviation; what rounding to float32 and cancellation in float64
        can do to the two is allowed as well. One person among n with twice the variance of the others changes the
        standard deviation by 1/(2n): 3e-4 among 1,600 people, 300 times the default. A window more or less among
        130,000 (some 4e-6) is found, too.

    Returns
    -------
    float
        Largest difference, as a part of the standard deviation.

    Raises
    ------
    hedgerow.split.Leak
        They differ.
    ValueError
        They are of unlike shape, or no finite numbers.
    """
    own, fresh = ([np.asarray(part, dtype=np.float64) for part in pair] for pair in (stated, recomputed))
    if len({part.shape for part in (*own, *fresh)}) > 1 or not all(np.isfinite(part).all() for part in (*own, *fresh)):
        raise ValueError(f"leakage: mean and standard deviation of {whose} are no finite numbers of the shape wanted")
    (mean, std), single = fresh, np.finfo(np.float32).eps
    cancelled = 8 * np.finfo(np.float64).eps * mean**2 / std  # of the mean of squares less the square of the mean
    allowed = tolerance * std + np.stack([single * np.abs(mean), single * std + cancelled])
    differences = np.stack([np.abs(one - other) for one, other in zip(own, fresh)])
    if (differences > allowed).any():
        part, *place = np.unravel_index((differences / allowed).argmax(), differences.shape)
        name, place = ("mean", "standard deviation")[part], tuple(map(int, place))
        wrong = int((differences > allowed).any(0).sum())
        raise Leak(
            f"leakage: {whose} is normalised by windows that are not its training windows: its {name} at "
            f"{place[0] if len(place) == 1 else place} is {own[part][place]:.6g}, theirs {fresh[part][place]:.6g} "
            f"({wrong} of {mean.size} differ); delete it and train again"
        )
    return float((differences / std).max(initial=0.0))


def _folds(rows):
    """Fold of each person, after a look at whether everybody has one and one only."""
    nowhere = np.flatnonzero((rows["person"].isna() | rows["fold"].isna()).to_numpy())
    if len(nowhere):
        raise Leak(
            f"leakage: {len(nowhere)} windows have no person or no fold, among them {_name(rows, nowhere[0])}: "
            "make split.tsv anew"
        )
    places = rows[["person", "fold"]].drop_duplicates()
    crossing = places["person"][places["person"].duplicated()].unique()
    if len(crossing):
        folds = sorted(map(str, places["fold"][places["person"] == crossing[0]]))
        by_dataset = (rows["fold"].astype(str) == rows["dataset"].astype(str)).all()
        remedy = (
            "leave them out of one dataset with `only`" if by_dataset else "deal people to the folds, never windows"
        )
        raise Leak(
            f"leakage: {len(crossing)} of {rows['person'].nunique()} people have windows in more than one fold, among "
            f"them {crossing[0]} (folds {', '.join(folds[:5])}{' ...' if len(folds) > 5 else ''}): a network would be "
            f"tested on people it knows; {remedy}"
        )
    return places.set_index("person")["fold"]


def _once(rows):
    """Refuse a window that stands twice."""
    twice = np.flatnonzero(rows.duplicated(["dataset", "rec", "window"]).to_numpy())
    if len(twice):
        raise Leak(
            f"leakage: {len(twice)} windows stand in the table more than once, among them {_name(rows, twice[0])}: "
            "name each store once, and each participant once in participants.tsv"
        )


def _contents(rows, digest):
    """Refuse equal windows of two people; count what else the digests tell."""
    told = np.flatnonzero(digest != "")
    content = pd.factorize(digest[told])[0]
    person = pd.factorize(rows["person"])[0][told]
    first = pd.Series(told).groupby(content).first().to_numpy()[content]  # place of the first window of that content
    owner = pd.factorize(rows["person"])[0][first]
    other = np.flatnonzero(person != owner)
    if len(other):
        one, two = first[other[0]], told[other[0]]
        people = len({*person[other], *owner[other]})
        raise Leak(
            f"leakage: {len(other)} windows equal, sample by sample, one of somebody else ({people} people), among "
            f"them {_name(rows, two)} that of {_name(rows, one)}: if they are one human being, give both the same "
            "`person` in participants.tsv; if a recording was copied, leave one out by `only` of its dataset or by "
            "`reject` in the table of overrides"
        )
    distinct = int(content.max(initial=-1)) + 1
    return {"contents": distinct, "constant": len(digest) - len(told), "repeated": len(told) - distinct}


def _twins(rows):
    """Participants whose label and description somebody else of another dataset has, and a sentence on them."""
    columns = [name for name in DESCRIBING if name in rows and rows[name].notna().any()]
    if "subject" not in rows or not columns or rows["dataset"].nunique() < 2:
        return 0, []
    people = rows[["dataset", "subject", "person", *columns]].drop_duplicates(["dataset", "subject"]).dropna()
    alike = people.groupby(["subject", *columns])["person"].transform("nunique") > 1
    if not alike.any():
        return 0, []
    one = people[alike].iloc[0]
    return int(alike.sum()), [
        f"{int(alike.sum())} participants have label and {', '.join(columns)} of one of another dataset, among them "
        f"{one['dataset']} sub-{one['subject']}: if they are the same people, say so by `person` in participants.tsv"
    ]


def _digest(dealt):
    """Digest of who is in which fold, whatever the order of the rows."""
    lines = sorted(f"{person}\t{fold}" for person, fold in dealt.items())
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _name(rows, place):
    row = rows.iloc[place]
    return f"window {row['window']} of {row['dataset']} {row['rec']} (person {row['person']})"
