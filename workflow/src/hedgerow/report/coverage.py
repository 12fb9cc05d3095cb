"""The page of coverage: how many events and windows each selection gives, from event tables alone."""

from pathlib import Path

import pandas as pd

from .. import __version__, table

TEMPLATE = Path(__file__).parents[1] / "templates" / "coverage.html.j2"

#: Longest list of recordings that a cell names.
NAMED = 6


def gather(coverage, errors):
    """Coverage of all datasets as one table, and the HED errors of all.

    Parameters
    ----------
    coverage, errors : list of path
        ``coverage/<dataset>.tsv`` and ``coverage/<dataset>_hed.tsv``.

    Returns
    -------
    coverage, errors : DataFrame
        As `hedgerow.coverage.count` gives them, errors as text.
    """
    return _joined([table.read(path) for path in coverage]), _joined([table.read(path, text=True) for path in errors])


def _joined(tables):
    filled = [each for each in tables if len(each)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def totals(found, selections):
    """What each selection gives, by label and dataset.

    Parameters
    ----------
    found : DataFrame
        Coverage of all datasets.
    selections : dict
        Blocks of the config.

    Returns
    -------
    list of dict
        Per selection ``name``, ``block`` and ``rows``: ``dataset``, ``label``, ``query``, recordings ``given`` and
        ``without``, ``events``, ``windows``, ``seconds``, ``subjects`` with windows, ``overlaps``.
    """
    done = []
    for name, block in selections.items():
        rows = []
        for dataset in found["dataset"].unique():
            for label, query in block["classes"].items():
                here = found[(found["dataset"] == dataset) & (found["selection"] == name) & (found["label"] == label)]
                given = here[here["windows"] > 0]
                row = {key: int(here[key].sum()) for key in ("events", "windows", "overlaps")}
                row |= {"dataset": dataset, "label": label, "query": query, "seconds": float(here["seconds"].sum())}
                row |= {"given": len(given), "without": len(here) - len(given), "subjects": given["subject"].nunique()}
                rows.append(row)
        done.append({"name": name, "block": block, "rows": rows})
    return done


def left(found):
    """Recordings that give no window of a selection: one row per sentence.

    Returns
    -------
    list of dict
        ``dataset``, ``selection`` (None: all), ``reason``, ``message`` of the first and ``recs``, the names of all.
    """
    rows = {}
    for (dataset, rec), each in found.groupby(["dataset", "rec"], sort=False):
        parts = each.groupby("selection", sort=False)
        empty = {name: part.iloc[0] for name, part in parts if not part["windows"].sum()}
        all_empty = len(empty) == each["selection"].nunique() and len({row["reason"] for row in empty.values()}) == 1
        for name, row in list(empty.items())[: 1 if all_empty else None]:
            key = (dataset, None if all_empty else name, row["reason"], _general(row["message"], rec))
            rows.setdefault(key, []).append((rec, row["message"]))
    return [
        {"dataset": dataset, "selection": name, "reason": reason}
        | {"message": recs[0][1], "recs": [rec.rsplit("/", 1)[-1] for rec, _ in recs]}
        for (dataset, name, reason, _), recs in rows.items()
    ]


def _general(message, rec):
    """A sentence without the name of its recording and without numbers, so that like ones are told once."""
    if not isinstance(message, str):
        return ""
    for name in (rec, rec.rsplit("/", 1)[-1]):
        message = message.replace(name, "")
    return "".join("0" if letter.isdigit() else letter for letter in message).replace("00", "0").replace("00", "0")


def page(found, errors, *, config, outside):
    """The page as text.

    Parameters
    ----------
    found, errors : DataFrame
        Of `gather`.
    config : dict
        The completed config.
    outside : str
        What leaves recordings out of the study (`hedgerow.study.Study.choice`), or "".

    Returns
    -------
    str
        HTML.
    """
    from . import _environment

    recordings = found.drop_duplicates(["dataset", "rec"])
    absent = recordings[recordings["status"] == "absent"]
    content = {
        "study": config["study"],
        "version": __version__,
        "outside": outside,
        "datasets": _datasets(recordings, errors),
        "recordings": len(recordings),
        "absent": {name: sorted(part["rec"]) for name, part in absent.groupby("dataset", sort=False)},
        "unknown": int((recordings["status"] != "quarantined").sum() - recordings["duration"].notna().sum()),
        "selections": totals(found, config["selections"]),
        "left": left(found),
        "errors": errors.astype(object).where(errors.notna(), None).to_dict("records"),
        "named": NAMED,
    }
    return _environment().from_string(TEMPLATE.read_text(encoding="utf-8")).render(content)


def _datasets(recordings, errors):
    rows = []
    for dataset, each in recordings.groupby("dataset", sort=False):
        here = errors[errors["dataset"] == dataset]
        status = {name: int((each["status"] == name).sum()) for name in ("ok", "absent", "quarantined")}
        row = {"dataset": dataset, "subjects": each["subject"].nunique(), "recordings": len(each)} | status
        rows.append(row | {"errors": int(pd.to_numeric(here["rows"]).fillna(1).sum()), "files": here["file"].nunique()})
    return rows
