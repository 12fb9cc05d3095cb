"""Which recordings of a dataset a study uses: by entity and by columns of participants.tsv (standard library only)."""

from ._words import ConfigError, nearest

#: Entities by which recordings are chosen (columns of ``recordings.tsv``), and how BIDS writes each in a file's name.
ENTITIES = {"subject": "sub-", "session": "ses-", "task": "task-", "run": "run-"}


def matching(rows, people, only, where):
    """Those of `rows` that have one of the values of every entry of `only`.

    Parameters
    ----------
    rows : list of dict
        Of ``recordings.tsv``, whatever their status.
    people : list of dict
        Of ``participants.tsv``.
    only : dict
        A value or a list of values for each name: an entity (`ENTITIES`) or a column of `people`. Values are compared
        as text: ``01`` is not ``1``.
    where : str
        Where `only` stands in the config, for the message.

    Returns
    -------
    list of dict

    Raises
    ------
    hedgerow.config.ConfigError
        A name that is neither, a value that no recording has, or values that no recording has together.
    """
    known = {person["participant_id"]: person for person in people}
    columns = [*ENTITIES, *(name for name in (people[0] if people else ()) if name not in ENTITIES)]
    found = rows
    for name, given in only.items():
        if name not in columns:
            raise ConfigError(
                f"config: {where}.{name}: recordings have no such entity and participants.tsv no such column; there "
                f"are {nearest(name, columns)}"
            )
        values = {row["rec"]: _value(row, known, name) for row in rows}
        wanted = {_text(value, name) for value in (given if isinstance(given, list) else [given])}
        for value in sorted(wanted - set(values.values())):
            raise ConfigError(f"config: {where}.{name}: no recording has {value!r}; {_instead(value, values.values())}")
        found = [row for row in found if values[row["rec"]] in wanted]
    if only and rows and not found:
        raise ConfigError(f"config: {where}: no recording has all of these at once ({', '.join(only)}); drop one")
    return found


def _value(row, people, name):
    if name in ENTITIES:
        return row[name] or "n/a"
    return people.get(f"sub-{row['subject']}", {}).get(name) or "n/a"


def _text(value, name):
    """`value` as the tables have it; ``sub-01`` is the subject ``01``."""
    return str(value).removeprefix(ENTITIES.get(name, ""))


def _instead(value, values):
    padded = [each for each in values if each != value and each.lstrip("0") == value]
    hint = " (in quotes: YAML takes it for a number)" if padded else ""
    return f"there are {nearest(value, sorted(set(values)))}{hint}"
