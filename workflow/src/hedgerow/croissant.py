"""Croissant description of a published derivative: what machine-learning libraries read to find and load it.

``croissant.json`` names the tables with their digests and, per selection, the windows stores, all by paths relative to
itself; people and stores are record sets, which load from the folder without a network. The same tree and arguments
give the same bytes.
"""

import hashlib
from pathlib import Path

import mlcroissant as mlc
import pandas as pd

from . import account, licence, table
from .crate import listed, made_by, sources, summary

NAME = "croissant.json"

#: What the columns of ``manifest.tsv`` mean.
COLUMNS = {
    "store": "Path of the windows store from the root of the dataset: Zarr v3 in one uncompressed zip archive",
    "status": "ok, or quarantined: then the store is empty",
    "reason": "Why a recording was quarantined",
    "selection": "Name of the block of window parameters",
    "dataset": "Name of the source dataset in the config",
    "subject": "The person, as in participant_id without sub-",
    "windows": "Number of windows",
    "channels": "Number of channels",
    "samples": "Number of samples of a window",
    "sfreq": "Sampling rate in Hz",
    "size": "Size of the store in bytes",
    "head": "Bytes of the store before those of the samples",
    "sha256": "Digest of the store",
}

TYPES = mlc.DataType


def write(tree, *, url=None, ended=None):
    """Write ``croissant.json`` of a derivative.

    Parameters
    ----------
    tree : path
        The derivative, with ``dataset_description.json``, ``participants.tsv`` and ``manifest.tsv``.
    url : str, optional
        Where it is published.
    ended : str, optional
        When what it holds was made (ISO 8601): the date of the dataset.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    mlcroissant.ValidationError
        The description is no valid Croissant.
    """
    tree = Path(tree)
    about = account.read(tree / "dataset_description.json")
    people, stores = (table.read(tree / name) for name in ("participants.tsv", "manifest.tsv"))
    selections = sorted(stores["selection"].dropna().unique())
    authors = enumerate(listed(about.get("Authors")), 1)
    judged = licence.judge(about.get("License"))
    address = f"https://spdx.org/licenses/{judged['spdx']}" if judged["spdx"] else judged["url"]
    described = mlc.Metadata(
        ctx=mlc.Context(conforms_to="http://mlcommons.org/croissant/1.0"),
        name=about["Name"],
        description=summary(tree, about),
        license=[address or judged["text"] or "not stated"],
        creators=[mlc.Person(id=f"author-{k}", name=name) for k, name in authors],
        cite_as=_citation(about),
        version=made_by(about),
        date_published=ended,
        keywords=["EEG", "BIDS", "HED", *selections],
        url=url,
        distribution=[
            _table(tree, "participants.tsv", "The people, and their place in the split of the study"),
            _table(tree, "manifest.tsv", "The windows stores, with their shapes, sizes and digests"),
            *map(_stores, selections),
        ],
        record_sets=[
            _records("participants", "participants.tsv", people, "participant_id", _told(tree)),
            _records("stores", "manifest.tsv", stores, "store", COLUMNS),
        ],
    )
    account.write(tree / NAME, described.to_json())
    return tree / NAME


def _table(tree, name, meaning):
    """A table of the derivative, with its digest and size."""
    with open(tree / name, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return mlc.FileObject(
        id=name,
        name=name,
        description=meaning,
        content_url=name,
        content_size=f"{(tree / name).stat().st_size} B",
        encoding_formats=[mlc.EncodingFormat.TSV],
        sha256=sha256,
    )


def _stores(selection):
    """The windows stores of a selection."""
    return mlc.FileSet(
        id=f"windows-{selection}",
        name=f"windows-{selection}",
        description=f"Windows of the selection {selection}: Zarr v3, one store for each recording",
        encoding_formats=[mlc.EncodingFormat.ZIP],
        includes=[f"sub-*/**/*_desc-{selection}_windows.zarr.zip"],
    )


def _records(name, file, frame, key, meanings):
    """The rows of a table as records, with a field for each of its columns."""
    fields = []
    for column in frame.columns:
        types, extract, transforms = _types(frame[column]), mlc.Extract(column=column), []
        if column == "split":
            types = [TYPES.SPLIT, *types]
        if (name, column) == ("stores", "subject"):
            # from the column itself, readers of Croissant would take 01 for the number 1
            extract, types = mlc.Extract(column="store"), [TYPES.TEXT]
            transforms = [mlc.Transform(regex=r"(?:.*/)?sub-([^_/]+)")]
        source = mlc.Source(file_object=file, extract=extract, transforms=transforms)
        about = {"name": column, "description": meanings.get(column), "data_types": types, "source": source}
        fields.append(mlc.Field(id=f"{name}/{column}", **about))
    return mlc.RecordSet(id=name, name=name, key=[f"{name}/{key}"], fields=fields)


def _types(column):
    """Types of the values of a column; whole numbers beside missing ones, which pandas makes floats, stay whole."""
    if not pd.api.types.is_numeric_dtype(column) or column.isna().all():
        return [TYPES.TEXT]
    whole = pd.api.types.is_integer_dtype(column) or (column.hasnans and (column.dropna() % 1 == 0).all())
    return [TYPES.INTEGER if whole else TYPES.FLOAT]


def _told(tree):
    """What ``participants.json`` says of the columns of ``participants.tsv``."""
    path = tree / "participants.json"
    told = account.read(path) if path.is_file() else {}
    return {name: entry["Description"] for name, entry in told.items() if entry.get("Description")}


def _citation(about):
    """How the derivative is cited: by its authors, its name, what made it and what it is made from."""
    authors = ", ".join(listed(about.get("Authors")))
    origin = "; ".join(f"{each['url'] or each['name']} {each['version'] or ''}".strip() for each in sources(about))
    parts = [authors, about["Name"], f"Made by Hedgerow {made_by(about)}", origin and f"Derived from {origin}"]
    return ". ".join(part.rstrip(".") for part in parts if part) + "."
