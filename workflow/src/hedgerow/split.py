"""Which people train and which test: folds in which a person never crosses, and which others never move.

The unit is the person, not the window, the session or the recording: windows of one person on both sides of a split
let a network recognise the person instead of what was asked. Places come from a keyed hash, not from a generator, so
that a person's place does not depend on who else is there.
"""

import hashlib

import numpy as np


class Leak(ValueError):
    """A person stands on both sides of a split: nothing that is computed with it can be believed."""


def assign(subjects, *, method="hash", folds=4, seed=1, stratify=()):
    """Put every person into a fold.

    Parameters
    ----------
    subjects : pandas.DataFrame
        One row per subject of a dataset: dataset, subject, the columns of `stratify`, and optionally person, the same
        for rows of one human being (datasets that share people); without it, or where it is missing, each row is
        somebody else.
    method : {"hash", "blocks", "leave-one-subject-out"}
        ``hash``: the keyed hash of the person modulo `folds`; nobody ever moves, fold sizes vary as chance has it.
        ``blocks``: within each stratum, in the order of dataset and subject, each block of `folds` people is dealt to
        the folds in an order drawn by hash, so that folds are even; people who sort after all others move nobody.
        ``leave-one-subject-out``: one fold per person, numbered in the order of dataset and subject.
    folds : int
        Number of folds, at least 2 (not used by ``leave-one-subject-out``).
    seed : int
        Key of the hash.
    stratify : list of str
        Columns whose combinations ``blocks`` evens out over the folds; the other methods need none.

    Returns
    -------
    pandas.DataFrame
        `subjects` with person (filled) and fold (int, 1 ... folds), in the order given.

    Raises
    ------
    ValueError
        Unknown method or column, strata that differ within a person, or a fold without people.
    """
    if method not in METHODS:
        raise ValueError(f"split: method is {method!r}, choose one of {', '.join(METHODS)}")
    if folds < 2:
        raise ValueError(f"split: folds is {folds}, give at least 2 (or method: leave-one-subject-out)")
    missing = sorted({"dataset", "subject", *stratify} - set(subjects.columns))
    if missing:
        raise ValueError(f"split: the table of subjects has no column {missing[0]!r}, it has {list(subjects.columns)}")
    if method != "blocks" and stratify:
        raise ValueError(f"split: stratify is {list(stratify)}, but only method: blocks evens out strata")
    table = subjects.assign(person=_person(subjects))
    ordered = table.sort_values(["dataset", "subject"], key=_natural).drop_duplicates("person")
    places = METHODS[method](ordered["person"].tolist(), _strata(table, ordered, stratify), folds=folds, seed=seed)
    table["fold"] = table["person"].map(places).astype(int)
    empty = sorted(set(range(1, folds + 1)) - set(table["fold"])) if method != "leave-one-subject-out" else []
    if empty or table["fold"].nunique() < 2:
        raise ValueError(
            f"split: {len(ordered)} people leave fold {empty[0] if empty else 2} empty; "
            "use fewer folds, another seed, method: blocks, or leave-one-subject-out"
        )
    check(table)
    return table


def check(table):
    """Raise `Leak` if a person of `table` (columns person and fold) is in two folds, or in none; return the table."""
    nowhere = table.loc[table["fold"].isna() | table["person"].isna()]
    if len(nowhere):
        raise Leak(f"split: {len(nowhere)} row(s) have no person or no fold, the first is {nowhere.index[0]}")
    spread = table.groupby("person")["fold"].nunique()
    crossing = spread.index[spread > 1].tolist()
    if crossing:
        raise Leak(f"split: {len(crossing)} people are in more than one fold, among them {crossing[0]!r}")
    return table


def disjoint(**sets):
    """Raise `Leak` if two of the named sets of people (train=..., validation=..., test=...) share somebody."""
    names = list(sets)
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            shared = sorted(set(sets[one]) & set(sets[other]), key=str)
            if shared:
                raise Leak(f"split: {len(shared)} people are both in {one} and {other}, among them {shared[0]!r}")


def validation(people, *, share=0.2, seed=1, stratify=()):
    """Choose validation people among the training people, by keyed hash.

    Parameters
    ----------
    people : pandas.DataFrame
        The training people, one or more rows each: person and the columns of `stratify`.
    share : float
        Part of the people of each stratum, 0 ... 0.5; at least one of every stratum that has two, if above 0.
    seed : int
        Key of the hash; the choice does not depend on that of the folds.
    stratify : list of str
        Columns to be represented in the validation set, usually the target.

    Returns
    -------
    ndarray of bool, shape (rows of people,)
        True for the rows of validation people.
    """
    if not 0 <= share <= 0.5:
        raise ValueError(f"split: validation is {share}, give a share of the training people from 0 to 0.5")
    ordered = people.drop_duplicates("person")
    strata = _strata(people, ordered, stratify)
    chosen = set()
    for stratum in set(strata):
        members = [person for person, its in zip(ordered["person"], strata) if its == stratum]
        members.sort(key=lambda person: _hash(seed, "validation", person))
        count = max(1, round(share * len(members))) if share > 0 and len(members) > 1 else 0
        chosen.update(members[:count])
    return people["person"].isin(chosen).to_numpy()


def roles(table, fold, *, share=0.2, seed=1, stratify=()):
    """Say what every row of an assignment does while `fold` is tested.

    Parameters
    ----------
    table : pandas.DataFrame
        As `assign` returns it.
    fold : int
        The fold whose people are tested.
    share, seed, stratify
        See `validation`.

    Returns
    -------
    ndarray of str, shape (rows,)
        ``"test"``, ``"validation"`` or ``"train"``.

    Raises
    ------
    Leak
        A person would have two roles.
    """
    check(table)
    role = np.where(table["fold"].to_numpy() == fold, "test", "train").astype("<U10")
    training = table.loc[role == "train"]
    chosen = validation(training, share=share, seed=seed, stratify=stratify)
    role[np.flatnonzero(role == "train")[chosen]] = "validation"
    person = table["person"].to_numpy()
    disjoint(**{name: person[role == name] for name in ("train", "validation", "test")})
    return role


def _by_hash(people, strata, *, folds, seed):
    return {person: _hash(seed, "fold", person) % folds + 1 for person in people}


def _by_blocks(people, strata, *, folds, seed):
    places, seen = {}, {}
    for person, stratum in zip(people, strata):
        block, place = divmod(seen.get(stratum, 0), folds)
        seen[stratum] = seen.get(stratum, 0) + 1
        dealt = sorted(range(1, folds + 1), key=lambda fold: _hash(seed, "block", stratum, block, fold))
        places[person] = dealt[place]
    return places


def _one_each(people, strata, *, folds, seed):
    return {person: number for number, person in enumerate(people, 1)}


#: Ways of putting people into folds: functions of people (in order) and their strata, giving person -> fold.
METHODS = {"hash": _by_hash, "blocks": _by_blocks, "leave-one-subject-out": _one_each}


def _person(subjects):
    """Key of the human being of each row: the column person where there is one, else dataset and subject."""
    own = subjects["dataset"].astype(str) + "/" + subjects["subject"].astype(str)
    return subjects["person"].astype(object).where(subjects["person"].notna(), own) if "person" in subjects else own


def _strata(table, ordered, stratify):
    """Stratum (tuple) of each person in `ordered`; a person whose rows in `table` differ is refused."""
    for column in stratify:
        values = table.groupby("person")[column].nunique(dropna=False)
        if (values > 1).any():
            person = values.index[values > 1][0]
            raise ValueError(f"split: {column} differs between the rows of person {person!r}: correct participants.tsv")
    return (
        list(ordered[list(stratify)].astype(str).itertuples(index=False, name=None))
        if stratify
        else [()] * len(ordered)
    )


def _natural(values):
    """Sort key that puts sub-2 before sub-10: digits padded with zeros."""
    return values.astype(str).str.replace(r"\d+", lambda found: found.group().zfill(12), regex=True)


def _hash(*parts):
    """Number from a keyed hash of `parts`: the same on every machine and in every process."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")
