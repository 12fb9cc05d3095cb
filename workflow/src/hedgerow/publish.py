"""A complete BIDS derivative of one dataset and study, gathered from the results.

Files are linked, not copied, where the file system can. ``.bidsignore`` holds exactly what BIDS has no name for:
`IGNORED`. What is the same for all recordings of a task stands once, at the top (the inheritance principle). Recordings
are taken one after the other, and little of each is kept, so that a dataset may be of any size.
"""

import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import yaml

from . import _card, _description, _tables, account, crate, croissant, licence, provenance, store, sums, table
from ._tally import Tally

#: What a derivative of Hedgerow holds and BIDS has no name for, as lines of ``.bidsignore``.
IGNORED = ("*_account.json", "*_windows.zarr.zip", "features", "manifest.tsv", croissant.NAME, crate.NAME)

#: Table of the digests of all files of a derivative but itself.
SUMS = sums.TABLE


def gather(
    tree,
    *,
    dataset,
    raw,
    stems,
    features,
    recordings,
    participants,
    config,
    split=None,
    method=None,
    clone=None,
    images=None,
):
    """Write the derivative of one dataset into the new folder `tree`, all but its provenance (`seal`).

    Parameters
    ----------
    tree : path
        Folder to write; what stands there is replaced.
    dataset : str
        Name of the dataset in the config.
    raw : path
        Folder of the raw dataset: its description, licence and citation are carried over.
    stems : iterable of path
        Per recording the path of its results up to ``_desc-``, in the derivative of the recipe.
    features : list of path
        Feature stores of the dataset.
    recordings : iterable of dict
        Rows of ``recordings.tsv`` that the study is about.
    participants : DataFrame
        ``participants.tsv``, as text.
    config : path
        The merged config, which goes to ``code/``.
    split : DataFrame, optional
        ``split.tsv`` of the study, where it has networks.
    method : dict, optional
        Keywords of `hedgerow.split.assign` by which it was made.
    clone : dict, optional
        Receipt of a dataset that was fetched.
    images : dict of str to str, optional
        Container image by family of rules, where jobs run in containers.

    Returns
    -------
    dict
        Account: ``published`` recordings and those ``left_out`` (with reasons), ``licence`` (`hedgerow.licence.judge`)
        and ``versions`` of the libraries that made the signals.
    """
    tree, raw = Path(tree), Path(raw)
    settings = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    tally = Tally(settings["selections"])
    for row in recordings:
        if row["status"] != "ok":
            tally.leave(row["rec"], row["reason"], _elsewhere(row["message"], raw))
    stores = [path for stem in map(str, stems) for path in _recording(tree, stem, settings["selections"], tally, raw)]
    for path in map(Path, features):
        _link(path, tree / "features" / path.name)
    _settings(tree / "code" / "config.yaml", settings)
    table.write(tree / "manifest.tsv", store.manifest(stores, tree))
    told = {"split": split, "method": method, "sidecar": _json(raw / "participants.json", needed=False)}
    people = _tables.people(tree, participants, tally.published, dataset=dataset, **told)
    origin = _json(raw / "dataset_description.json")
    known = {"dataset": dataset, "block": settings["datasets"][dataset], "clone": clone, "images": images}
    description, allowed = _description.describe(origin, **known), licence.judge(origin.get("License"))
    _top(tree, raw, description, settings["selections"])
    words = {"dataset": dataset, "config": settings, "description": description, "licence": allowed}
    words |= {"participants": people, "split": None if split is None else method}
    words |= {"commit": (clone or {}).get("commit"), "features": bool(features)}
    (tree / "README.md").write_text(_card.render(tally, **words), encoding="utf-8")
    versions = {name: ", ".join(sorted(found)) for name, found in sorted(tally.versions.items())}
    done = {"published": tally.published, "left_out": tally.left, "licence": allowed}
    return account.ok("publish", **done, versions=versions)


def seal(tree, *, study, usage, versions, images=None):
    """Add to a derivative that `gather` wrote the code that made it, its descriptions for programs, and its digests.

    Parameters
    ----------
    tree : path
    study : str
    usage : dict
        What the run used (`hedgerow.usage.hours`).
    versions : dict of str to str
        Version of each library by its import name.
    images : dict of str to str, optional
        As for `gather`.

    Returns
    -------
    dict
        ``sums`` (sha256 of `SUMS`), ``files`` (number) and ``bytes`` of all files.
    """
    tree = Path(tree)
    crate.archive(tree / "code" / "hedgerow.zip")
    croissant.write(tree, ended=usage.get("ended"))
    told = {"usage": usage, "versions": _programs() | versions, "images": images, "commit": _commit()}
    crate.write(tree, study=study, **told)
    names = [name for name in files(tree) if name != SUMS]
    # the cache stands beside the tree, so that a second run reads only what changed
    sums.write(tree / SUMS, sums.of(tree, names, tree.with_name(f".{tree.name}_sums.tsv")))
    size = sum((tree / name).stat().st_size for name in [*names, SUMS])
    digest = hashlib.sha256((tree / SUMS).read_bytes()).hexdigest()
    return {"sums": digest, "files": len(names) + 1, "bytes": size}


def files(tree):
    """Paths of all files of a derivative, relative to it, sorted; ``.bidsignore`` itself is one."""
    return sums.files(tree)


def seen(tree):
    """Those of `files` that the validator counts: not those that are `ignored`."""
    return [path for path in files(tree) if not ignored(path)]


def ignored(path):
    """Whether the validator passes over a file: `IGNORED`, dot files, ``sourcedata/`` and ``code/``."""
    parts = path.split("/")
    return (
        parts[0] in ("sourcedata", "code")
        or any(part.startswith(".") for part in parts)
        or any(fnmatch(part, pattern) for part in parts for pattern in IGNORED)
    )


def _recording(tree, stem, selections, tally, raw):
    """Link the files of one recording and count it; its windows stores."""
    found, rec = account.read(f"{stem}_desc-clean_account.json"), stem[stem.index("/sub-") + 1 :]
    if found["status"] != "ok":
        tally.leave(rec, found["reason"], _elsewhere(found["message"], raw))
        return []
    cut = {name: account.attributes(f"{stem}_desc-{name}_windows.zarr.zip") for name in selections}
    tally.add(rec, found, _json(Path(f"{stem}_desc-clean_eeg.json")), cut)
    endings = ("eeg.vhdr", "eeg.eeg", "eeg.vmrk", "eeg.json", "channels.tsv", "events.tsv", "account.json")
    names = [f"clean_{ending}" for ending in endings]
    kept = [name for name, attrs in cut.items() if attrs["account"]["status"] == "ok"]
    names += [f"{name}_{ending}" for name in kept for ending in ("events.tsv", "events.json", "windows.zarr.zip")]
    for name in names:
        _link(Path(f"{stem}_desc-{name}"), tree / f"{rec}_desc-{name}")
    return [tree / f"{rec}_desc-{name}_windows.zarr.zip" for name in kept]


def _settings(path, settings):
    """Write the merged config; of a dataset's place on this machine its name alone, all else is nobody's business."""
    for block in settings["datasets"].values():
        block["path"] = block["path"] and Path(block["path"]).name
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _top(tree, raw, description, selections):
    """Write what stands at the top of a derivative and is the same for all of its recordings."""
    account.write(tree / "dataset_description.json", description)
    if (raw / "LICENSE").is_file():
        _link(raw / "LICENSE", tree / "LICENSE", copy=True)
    (tree / ".bidsignore").write_text("\n".join(IGNORED) + "\n", encoding="utf-8")
    account.write(tree / "desc-clean_events.json", _tables.masks(description.get("HEDVersion")))
    for name in selections:
        _tables.inherit(tree, f"desc-{name}_events.json")
    _tables.descriptions(tree, selections)


def _elsewhere(message, raw):
    """A message without the place of the raw dataset on this machine, which is nobody else's business."""
    for folder in {str(raw), str(raw.absolute()), str(raw.resolve())} - {".", "/"}:
        message = message.replace(f"{folder}/", "")
    return message


def _link(source, target, copy=False):
    """Hard link `source` to `target`; a copy where that cannot be done (another file system) or is asked for."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if copy:
            raise OSError
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _json(path, needed=True):
    """JSON object of the raw dataset; a fault names the file."""
    if not needed and not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8-sig")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no JSON object ({error}): mend this file") from None


def _programs():
    """Versions of Python, and of Snakemake where this job can see it."""
    found = {"python": platform.python_version()}
    with contextlib.suppress(metadata.PackageNotFoundError):
        found["snakemake"] = metadata.version("snakemake")
    return found


def _commit():
    """Commit of the workflow that runs; None where it is no clone, or git is not here."""
    root = provenance.PACKAGE.parents[2]
    command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
