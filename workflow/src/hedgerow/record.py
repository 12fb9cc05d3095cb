"""The record of a study: stage, size and digest of every result, by which `verify` finds what has changed since.

A record is a table of `COLUMNS`, sorted by path from the folder where snakemake runs. Its last row is of the table
itself: size and digest of everything above, so that a record cannot change unseen either. Logs, benchmarks, coverage
(which no result rests on) and unfinished work are left out (`ASIDE`). Standard library only.
"""

import hashlib
import os
import re
from typing import NamedTuple

from . import layout, sums
from .account import Stopped
from .study import DERIVATIVES, INDEX

COLUMNS = ("path", "stage", "size", "sha256")


class Tolerance(NamedTuple):
    """How far apart two numbers may be: ``relative`` times either, and ``absolute`` times the largest of their array.

    Some arrays have a tolerance of their own, by name: ``named``. ``shared``: the largest is that of the whole file.
    """

    relative: float
    absolute: float
    named: dict | None = None
    shared: bool = False

    def of(self, name):
        """Tolerance of one array."""
        return (self.named or {}).get(name, self)


#: The same bytes.
EXACT = "exact"
#: Files that describe the run itself (its code, versions and hours, digests of other files, pictures): they may differ.
TOLD = "told"
#: The same values, whatever bytes they are packed in.
SAME = Tolerance(0.0, 0.0)
#: Least squares in float64; what is small against the largest value of its array is rounding.
DOUBLE = Tolerance(1e-9, 1e-9)
#: Power in float32, on any device.
POWER = Tolerance(1e-5, 1e-6)
#: Sums of it.
SUMS = Tolerance(1e-5, 1e-5)
#: Replicates are drawn in float32; a count of them moves by one or two of the hundred that there are at least.
REPLICATES = Tolerance(2e-4, 2e-4)
MAPS = Tolerance(1e-4, 1e-5, {"ci_low": REPLICATES, "ci_high": REPLICATES, "p_bootstrap": Tolerance(0.0, 0.03)})
#: Roundings grow with every step of a training: between devices only a short one stays within. Weights of which nothing
#: depends (a bias before a normalisation) walk at random by as much as a step is long.
TRAINED = Tolerance(1e-3, 1e-3)
WEIGHTS = Tolerance(1e-3, 1e-2, shared=True)

_D, _S = r"results/derivatives/[^/]+/[^/]+/", r"results/studies/[^/]+/"
_G, _N, _P = rf"{_S}grid/[^/]+/", rf"{_S}networks/[^/]+/", rf"{_S}published/[^/]+/"

#: Every result by its path: the rule that makes it, and how two runs are held against each other. In the order of the
#: stages, so that the first one that differs is told first.
STAGES = [
    (r"results/index/[^/]+/(recordings|participants)\.tsv", "index", EXACT),
    (rf"{_S}config\.yaml", "config", SAME),
    (rf"{_D}code/(recipe|feature-[^/]+)\.json", "freeze", EXACT),
    (rf"{_D}code/selection-[^/]+\.json", "selection", EXACT),
    (rf"{_D}{layout.REC}_desc-clean_evidence\.npz", "clean", SAME),
    (rf"{_D}{layout.REC}_desc-clean_(eeg\.(vhdr|eeg|vmrk|json)|(channels|events)\.tsv|account\.json)", "clean", EXACT),
    (rf"{_D}{layout.REC}_desc-(?!clean_)[^_/]+_(events\.(tsv|json)|windows\.zarr\.zip)", "windows", EXACT),
    (rf"{_S}manifest_[^/]+\.tsv", "manifest", EXACT),
    (rf"{_D}features/[^/]+\.zarr\.zip", "spectra", POWER),
    (rf"{_G}design\.json", "design", DOUBLE),
    (rf"{_G}rows\.tsv", "design", EXACT),
    (rf"{_G}choice\.json", "choice", SAME),
    (rf"{_G}moments_[^/]+\.npz", "moments", SUMS),
    (rf"{_G}rerp_[^/]+\.npz", "rerp", SUMS),
    (rf"{_G}(maps\.zarr\.zip|summary\.tsv|account\.json)", "grid", MAPS),
    (rf"{_G}influence_[^/]+\.tsv", "influence", MAPS),
    (rf"{_S}split\.tsv", "split", EXACT),
    (rf"{_N}seed-[^/]+\.safetensors", "train", WEIGHTS),
    (rf"{_N}seed-[^/]+(_curve\.tsv|_account\.json)", "train", TRAINED),
    (rf"{_N}leakage\.json", "leakage", EXACT),
    (rf"{_N}(predictions\.tsv|metrics\.json)", "evaluate", TRAINED),
    (rf"{_N}README\.md", "evaluate", TOLD),
    (rf"{_S}comparisons\.(tsv|json)", "compare", TRAINED),
    (rf"{_S}recovery_[^/]+\.json", "recovery", MAPS),
    (rf"{_P}features/[^/]+\.zarr\.zip", "publish", POWER),
    (rf"{_P}(code/config\.yaml|dataset_description\.json)", "publish", SAME),
    (rf"{_P}(code/(sha256sums|Snakefile|hedgerow\.zip)|ro-crate-metadata\.json|croissant\.json)", "publish", TOLD),
    (rf"{_P}.+", "publish", EXACT),
    (rf"{_S}published/[^/]+_validation\.json", "publish", SAME),
    (rf"{_S}report\.html", "report", TOLD),
]
STAGES = [(re.compile(pattern), name, likeness) for pattern, name, likeness in STAGES]
#: Names of the stages in their order.
ORDER = list(dict.fromkeys(name for _, name, _ in STAGES))

#: What stands beside the results and is none: temporary, unfinished, of other targets than the study itself.
ASIDE = re.compile(
    rf"(.*/)?(\.[^/]*|[^/]*\.tmp)|{_S}record(_cache)?\.tsv|{_S}coverage(/.*|\.\w+)|{_S}upload[^/]*(/.*)?"
    rf"|{_N}checkpoints/.*|{_S}opened/.*|{_G}(unfinished_[^/]*(/.*)?|scratch\.npy|replicates_[^/]*)"
)
_ROW = re.compile(r"(results/[^\\\t\r\n]+)\t([a-z]+)\t([0-9]+)\t([0-9a-f]{64})\n")
_CLEAN = ("eeg.vhdr", "eeg.eeg", "eeg.vmrk", "eeg.json", "channels.tsv", "events.tsv", "evidence.npz", "account.json")
_CUT = ("events.tsv", "events.json", "windows.zarr.zip")


class Entry(NamedTuple):
    """One row of a record without its path."""

    stage: str
    size: int
    sha256: str


def stage(path):
    """Name of the stage that makes a result, and `EXACT`, `TOLD` or its `Tolerance`; None for what is no result."""
    return next(((name, likeness) for pattern, name, likeness in STAGES if pattern.fullmatch(path)), None)


def place(study):
    """Path of the record of the study of that name."""
    return f"results/studies/{study}/record.tsv"


def results(study):
    """Paths of all results of a study: those `of_study`, its recordings' and its published trees'.

    Parameters
    ----------
    study : hedgerow.study.Study

    Returns
    -------
    list of str
    """
    found, folder = of_study(study), os.path.dirname(place(study.config["study"]))
    for dataset in study.config["datasets"]:
        found += _per_recording(study, dataset)
        tree = f"{folder}/published/{dataset}"
        found += [f"{tree}/{name}" for name in sums.files(tree, ["*.tmp"])] if os.path.isdir(tree) else []
    return found


def of_study(study):
    """Paths of the results that are the study's own, on which its record waits: some tell of all recordings.

    Parameters
    ----------
    study : hedgerow.study.Study

    Returns
    -------
    list of str
    """
    config, folder = study.config, os.path.dirname(place(study.config["study"]))
    found = [f"{folder}/config.yaml", *study.split_table(), *(study.manifest(name) for name in config["selections"])]
    for dataset, block in config["datasets"].items():
        found.append(f"{folder}/published/{dataset}_validation.json")
        found += [f"{folder}/recovery_{dataset}.json"] if block["source"] == "simulate" else []
    for model in config["models"]:
        found += study.grid(model, "design.json", "rows.tsv", "choice.json", "maps.zarr.zip", "summary.tsv")
        found += [*study.grid(model, "account.json"), *study.moments(model)]
    for network in config["networks"]:
        found += [
            each for end in (".safetensors", "_curve.tsv", "_account.json") for each in study.trained(network, end)
        ]
        names = ("leakage.json", "predictions.tsv", "metrics.json", "README.md")
        found += [f"{folder}/networks/{network}/{name}" for name in names]
    found += study.compared()
    return [*found, *study.features(), *study.influences(), f"{folder}/report.html"]


def _per_recording(study, dataset):
    """Results of one dataset that other studies may share."""
    config, recipe = study.config, study.config["recipe"]
    table = INDEX.format(dataset=dataset)
    found = [table, f"{os.path.dirname(table)}/participants.tsv"]
    names = ["recipe", *(f"feature-{name}" for name in config["features"])]
    names += [f"selection-{name}" for name in config["selections"]]
    recs = study.chosen(dataset)
    # of a dataset without a recording nothing is frozen
    found += [f"results/derivatives/{dataset}/{recipe}/code/{name}.json" for name in names if recs]
    endings = [f"clean_{ending}" for ending in _CLEAN]
    endings += [f"{name}_{ending}" for name in config["selections"] for ending in _CUT]
    stems = [DERIVATIVES.format(dataset=dataset, recipe=recipe, rec=rec) for rec in recs]
    return found + [f"{stem}_desc-{ending}" for stem in stems for ending in endings]


def make(study, *, cache, threads=4):
    """Write the record of a study.

    Parameters
    ----------
    study : hedgerow.study.Study
    cache : path
        See `hedgerow.sums.of`.
    threads : int

    Returns
    -------
    dict of str to Entry
        By path.

    Raises
    ------
    hedgerow.account.Stopped
        A result is not there.
    """
    paths = sorted(set(results(study)))
    try:
        digests = sums.of(".", paths, cache, threads=threads)
        sizes = [os.path.getsize(path) for path in paths]
    except FileNotFoundError as error:
        gone = os.path.normpath(error.filename)
        raise Stopped(f"{gone} is not there: `snakemake --forcerun {gone}` makes it anew") from None
    entries = {path: Entry(stage(path)[0], size, digests[path]) for path, size in zip(paths, sizes)}
    write(place(study.config["study"]), entries)
    return entries


def write(path, entries):
    """Write a record, whole or not at all.

    Parameters
    ----------
    path : path
        ``results/studies/<study>/record.tsv``, in any folder.
    entries : dict of str to Entry
        By path.
    """
    sums.replace(path, _lines(str(path), entries))


def _lines(path, entries):
    total, size = hashlib.sha256(), 0
    for line in (
        "\t".join(COLUMNS) + "\n",
        *("\t".join((name, *map(str, entries[name]))) + "\n" for name in sorted(entries)),
    ):
        content = line.encode(sums.TEXT["encoding"], sums.TEXT["errors"])
        total.update(content)
        size += len(content)
        yield line
    yield f"{place(os.path.basename(os.path.dirname(path)))}\trecord\t{size}\t{total.hexdigest()}\n"


def read(path):
    """Read a record.

    Returns
    -------
    study : str
        Name of the study.
    entries : dict of str to Entry
        By path.

    Raises
    ------
    ValueError
        It is not as it was written: names file and line.
    """
    entries, total, size, number = {}, hashlib.sha256(), 0, 1
    with open(path, "rb") as file:
        line = file.readline()
        if line != ("\t".join(COLUMNS) + "\n").encode():
            raise _broken(path, number, f"is not {', '.join(COLUMNS)} with tabs between")
        above = line
        for number, line in enumerate(file, start=2):
            total.update(above)
            size += len(above)
            above = line
            found = _ROW.fullmatch(line.decode(sums.TEXT["encoding"], sums.TEXT["errors"]))
            if not found or found[1] in entries:
                raise _broken(path, number, "is there twice" if found else "is no row of a record")
            entries[found[1]] = Entry(found[2], int(found[3]), found[4])
    last = next(reversed(entries), "")
    named = re.fullmatch(r"results/studies/([a-zA-Z0-9-]+)/record\.tsv", last)
    if not named or entries.pop(last) != Entry("record", size, total.hexdigest()):
        raise _broken(path, number, "does not agree with the lines above")
    return named[1], entries


def _broken(path, number, why):
    return ValueError(f"{path}, line {number} {why}: the record was changed or cut short")
