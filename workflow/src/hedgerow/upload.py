"""A published derivative goes to its destinations: a folder, a bucket, a DataLad dataset, a folder for the Hub.

What goes is what ``code/sha256sums`` of the derivative lists, and that table last. What is at a destination already
with the same content is not sent again, so that an upload which was killed goes on where it was, and a second one
sends nothing. Nothing is replaced or removed without consent (``overwrite``), and then only what an upload wrote.
"""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from . import __version__, account
from ._bucket import Bucket
from ._datalad import Repository
from ._destination import SUMS, Goods, Plan, There, compare, goods, refusals
from ._folder import Folder
from .account import Stopped

#: Where a published derivative and the account of its making stand.
TREE = "results/studies/{study}/published/{dataset}"
#: Files that the Hugging Face Hub keeps beside its git, by name; and from which size on it does so in any case.
BINARY = ("*.eeg", "*.fif", "*.edf", "*.bdf", "*.set", "*.fdt", "*.zip", "*.npy", "*.npz")
HUB_LARGE = 10 * 10**6
#: What the Hub recommends: files in all, entries of a folder, bytes of a file.
HUB_FILES, HUB_ENTRIES, HUB_BYTES = 100_000, 10_000, 20 * 10**9
#: What programs that send a folder to the Hub leave in it.
HUB_OWN = (".git", ".cache")
#: How many files of a kind `preview` names.
NAMED = 20


class Survey(NamedTuple):
    """What an upload would do.

    Attributes
    ----------
    place : Folder, Bucket or Repository
    goods : Goods
    there : There
    plan : Plan
    refused : list of str
        Why nothing may be sent, in sentences.
    notes : list of str
        What else a person should know.
    """

    place: object
    goods: Goods
    there: There
    plan: Plan
    refused: list
    notes: list


def send(tree, done, block, *, name, study, dataset, cache=None, progress=lambda step, steps, row: None):
    """Send a derivative to a destination.

    Parameters
    ----------
    tree : path
        The derivative, as `hedgerow.publish` leaves it.
    done : dict
        Account of its making: ``licence`` and ``errors`` are looked at.
    block : dict
        A block of the section ``uploads`` of the config, completed.
    name : str
        Its name there.
    study, dataset : str
    cache : path, optional
        Table of digests that the last call left there (`hedgerow.sums.of`), for a destination on this machine.
    progress : callable
        ``progress(step, steps, None)`` is called for each file that has arrived.

    Returns
    -------
    dict
        Account: ``place``, ``files`` and ``bytes`` that are there, how many files were ``put`` (of how many
        ``put_bytes``), the ``same`` and ``removed``, how many of ``others`` were left alone, ``sums`` (sha256 of the
        table of digests), the verdict on the ``licence``, ``notes``.

    Raises
    ------
    hedgerow.account.Stopped
        The licence forbids it, consent is missing, or machine or network failed: a sentence with the remedy.
    """
    for sentence in forbidden(done, block, f"uploads.{name}"):
        raise Stopped(sentence)
    try:
        found = survey(tree, done, block, name=name, study=study, dataset=dataset, cache=cache)
        if found.refused:
            raise Stopped(found.refused[0])
        _send(found, f"study {study}, dataset {dataset}", progress)
    except OSError as error:
        raise Stopped(
            f"uploads.{name}: {error}: make room, or mend the path or its permissions, and run again; what has arrived "
            "stays"
        ) from None
    plan, files = found.plan, found.goods.files
    sent = [*plan.new, *plan.changed]
    return account.ok(
        "upload",
        destination=name,
        kind=block["kind"],
        place=str(found.place),
        dataset=dataset,
        files=len(files),
        bytes=sum(file.size for file in files.values()),
        put=len(sent),
        put_bytes=sum(files[name].size for name in sent),
        same=len(plan.same),
        removed=len(plan.stale),
        others=len(plan.others),
        sums=files[SUMS].sha256,
        licence=verdict(done),
        notes=found.notes,
    )


def survey(tree, done, block, *, name, study, dataset, cache=None):
    """Look what an upload would do; nothing is written but the `cache`. Parameters and errors as for `send`.

    Returns
    -------
    Survey
    """
    extra = {}
    if block["kind"] == "huggingface":
        extra = {".gitattributes": attributes(goods(tree).files).encode()}
    ours = goods(tree, extra)
    place = destination(block, study=study, dataset=dataset, cache=cache)
    there = place.look(ours)
    plan, key = compare(ours.files, there), f"uploads.{name}"
    # a repository keeps what it had
    consent = block["overwrite"] or block["kind"] == "datalad"
    refused = forbidden(done, block, key)
    refused += refusals(plan, there, ours.whose, place=str(place), consent=consent, key=key)
    notes = [f"the validator found {done['errors']} errors in the derivative"] if done.get("errors") else []
    notes += limits(ours.files) if block["kind"] == "huggingface" else []
    return Survey(place, ours, there, plan, refused, notes)


def destination(block, *, study, dataset, cache=None):
    """The destination that a block of ``uploads`` describes, for one dataset."""
    path = Path(fill(block["path"] or "", study, dataset)).expanduser()
    if block["kind"] == "s3":
        prefix = "/".join(filter(None, fill(block["prefix"], study, dataset).split("/")))
        keywords = {key: block[key] for key in ("endpoint", "region", "part_mib")}
        return Bucket(block["bucket"], prefix, **keywords)
    if block["kind"] == "datalad":
        return Repository(path, study=study, dataset=dataset, cache=cache)
    return Folder(path, passing=HUB_OWN if block["kind"] == "huggingface" else (), cache=cache)


def fill(text, study, dataset):
    """`text` with ``{study}`` and ``{dataset}`` filled in."""
    return text.format(study=study, dataset=dataset)


def verdict(done):
    """Whether a derivative may be passed on, by the account of its making: allowed, forbidden or unknown."""
    return (done.get("licence") or {}).get("redistribution", "unknown")


def forbidden(done, block, key):
    """Why the licence keeps a derivative here, as a list of one sentence; empty where it does not."""
    found, why = verdict(done), (done.get("licence") or {}).get("sentence", "Nobody has judged the licence.")
    if found == "allowed" or (found == "unknown" and block["licence_confirmed"]):
        return []
    if found == "unknown":
        return [f"{why} Nothing was sent: once you may, set `licence_confirmed: true` in {key}"]
    return [f"{why} Nothing was sent: no destination may have it; if its authors allow it, have them say so in License"]


def attributes(files):
    """Text of ``.gitattributes`` for the Hub: which of the `files` are kept beside its git."""
    endings = tuple(pattern[1:] for pattern in BINARY)
    large = sorted(name for name, file in files.items() if file.size > HUB_LARGE and not name.endswith(endings))
    return "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in (*BINARY, *large))


def limits(files):
    """What of `files` goes beyond what the Hub recommends, in sentences."""
    folders = Counter(parent for entry in _entries(files) for parent in [os.path.dirname(entry)])
    full = {folder or "the top folder": count for folder, count in folders.items() if count >= HUB_ENTRIES}
    large = sorted(name for name, file in files.items() if file.size > HUB_BYTES)
    found = [f"{len(files)} files: the Hub recommends fewer than {HUB_FILES}"] if len(files) >= HUB_FILES else []
    found += [
        f"{count} entries in {folder}: the Hub recommends fewer than {HUB_ENTRIES}" for folder, count in full.items()
    ]
    return found + [
        f"{name} has {size(files[name].size)}: the Hub recommends {size(HUB_BYTES)} at most" for name in large
    ]


def _entries(files):
    """Paths of files and of all folders above them, each once."""
    return {*files, *(str(parent) for name in files for parent in list(Path(name).parents)[:-1])}


def _send(found, about, progress):
    place, ours, plan = found.place, found.goods, found.plan
    names = [name for name in (*plan.new, *plan.changed) if name != SUMS]
    last = SUMS in plan.new or SUMS in plan.changed
    if not (names or last or plan.stale or found.there.unfinished):
        return
    place.begin(ours, found.there.owned, f"Hedgerow {__version__}: {about}\n\n{SUMS}: {ours.files[SUMS].sha256}")
    # the table of what is complete must not stand beside what is not; what is withdrawn goes first
    place.remove([*([SUMS] if SUMS in plan.changed else []), *plan.stale])
    place.put(ours, names, lambda number: progress(number, len(names), None))
    place.put(ours, [SUMS] if last else [], lambda number: None)
    place.end(ours)


def preview(uploads, *, study, datasets):
    """What would go where, as text.

    Parameters
    ----------
    uploads : dict of str to dict
        The section of the config, completed.
    study : str
    datasets : iterable of str

    Returns
    -------
    str
    """
    lines = [] if uploads else ["The config names no destination: see its section `uploads` (config/publishing.md)."]
    for name, block in uploads.items():
        for dataset in datasets:
            lines += [f"{name}, {dataset}", *(f"  {line}" for line in _told(name, block, study, dataset)), ""]
    return "\n".join(lines)


def _told(name, block, study, dataset):
    tree = TREE.format(study=study, dataset=dataset)
    if not os.path.isfile(f"{tree}_validation.json"):
        return [f"not published yet: `snakemake {tree}_validation.json`"]
    done = account.read(f"{tree}_validation.json")
    try:
        found = survey(tree, done, block, name=name, study=study, dataset=dataset)
    except (Stopped, OSError) as error:
        return [f"refused: {error}"]
    files, plan = found.goods.files, found.plan
    lines = [f"to {found.place}"]
    for what, names in (("new", plan.new), ("changed", plan.changed), ("to remove", plan.stale)):
        sizes = {each: files[each].size for each in names if each in files}
        lines += [f"{what}: {len(names)} files" + (f", {size(sum(sizes.values()))}" if sizes else "")] if names else []
        lines += [f"  {size(sizes[each]):>9}  {each}" if sizes else f"  {each}" for each in names[:NAMED]]
        lines += [f"  and {len(names) - NAMED} more"] if len(names) > NAMED else []
    lines += [f"there already: {len(plan.same)} files, {size(sum(files[each].size for each in plan.same))}"]
    lines += [f"of others, left alone: {len(plan.others)} files"] if plan.others else []
    sent = sum(files[each].size for each in (*plan.new, *plan.changed))
    total = sum(file.size for file in files.values())
    lines += [f"in all: {size(sent)} of {size(total)} would be sent" if sent or plan.stale else "in all: nothing to do"]
    return [*lines, *(f"note: {each}" for each in found.notes), *(f"refused: {each}" for each in found.refused)]


def size(number):
    """Bytes for a person: ``12.3 MB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}"
    return f"{number} B"
