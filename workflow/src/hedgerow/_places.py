"""Where the section ``uploads`` of a config sends derivatives, and what it cannot mean (standard library only)."""

import string
from itertools import combinations
from pathlib import Path

from ._words import ConfigError


def check(config):
    """Refuse destinations that cannot be: each by itself, and two of them in one place.

    Raises
    ------
    hedgerow.config.ConfigError
    """
    places = {}
    for name, block in config["uploads"].items():
        where = f"config: uploads.{name}"
        key = _upload(where, block)
        for dataset in config["datasets"]:
            text = block[key].format(dataset=dataset, study=config["study"])
            place = _key(block, text) if block["kind"] == "s3" else _folder(f"{where}.path", text, config["datasets"])
            places[where, key, dataset] = place
    for ((where, key, dataset), one), ((_, _, other), two) in combinations(places.items(), 2):
        if one[: len(two)] == two[: len(one)]:
            raise ConfigError(
                f"{where}.{key}: what goes there of {dataset!r} would stand within what an upload of {other!r} writes, "
                "or around it; put {dataset} into the places, or choose others"
            )


def _upload(where, block):
    """The key that says where a destination is; refuses keys that its kind does not have."""
    kind = block["kind"]
    needed = {"s3": "bucket, the name of the bucket"}.get(kind, "path, a folder")
    key = needed.partition(",")[0]
    if not block[key]:
        raise ConfigError(f"{where}: kind {kind!r} needs the key {needed}")
    foreign = {"path": kind == "s3" and block["path"] is not None}
    foreign |= {key: kind != "s3" and block[key] is not None for key in ("bucket", "endpoint", "region")}
    foreign |= {"prefix": kind != "s3" and block["prefix"] != "{dataset}"}
    foreign |= {"part_mib": kind != "s3" and block["part_mib"] != 64}
    for name in (name for name, given in foreign.items() if given):
        others = "the other kinds" if name == "path" else "kind 's3'"
        raise ConfigError(f"{where}.{name} is for destinations of {others}, not {kind!r}; drop it")
    if kind == "datalad" and block["overwrite"]:
        raise ConfigError(f"{where}.overwrite: a DataLad dataset keeps its history and needs no consent; drop it")
    key = "prefix" if kind == "s3" else "path"
    try:
        asked = [field for _, field, *_ in string.Formatter().parse(block[key]) if field is not None]
    except ValueError:
        asked = [block[key]]
    for field in asked:
        if field not in ("dataset", "study"):
            raise ConfigError(f"{where}.{key} is {block[key]!r}; only {{dataset}} and {{study}} can stand in braces")
    return key


def _key(block, text):
    """Place in a bucket, as parts of a path."""
    return ("s3", block["endpoint"], block["bucket"], *filter(None, text.split("/")))


def _folder(where, text, datasets):
    """Place on this machine, as parts of a path; refuses one within the results or a dataset, or around them."""
    path = Path(text).expanduser().absolute().resolve()
    results = Path("results").resolve()
    if path.is_relative_to(results) or results.is_relative_to(path):
        raise ConfigError(f"{where}: {text!r} lies in results/, or results/ in it; give another folder")
    for name, block in datasets.items():
        raw = Path(block["path"]).expanduser().resolve() if block["source"] == "path" else None
        inside = raw is not None and path.is_relative_to(raw) and path.relative_to(raw).parts[:1] != ("derivatives",)
        if inside or (raw is not None and raw.is_relative_to(path)):
            raise ConfigError(
                f"{where}: {text!r} is a place of the raw dataset {name!r}, which is only read; give another folder "
                "(its folder derivatives/ may hold it)"
            )
    return path.parts


def folders(config):
    """Folders of this machine to which the section ``uploads`` of the completed `config` sends, absolute."""
    return [
        Path(block["path"].format(dataset=dataset, study=config["study"])).expanduser().absolute()
        for block in config["uploads"].values()
        for dataset in config["datasets"]
        if block["path"] is not None
    ]
