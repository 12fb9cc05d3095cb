"""RO-Crate of a published derivative: which workflow made it, from what, with which software, and what that took.

``ro-crate-metadata.json`` follows Workflow Run Crate 0.5, and with it Process Run Crate 0.5, Workflow RO-Crate 1.0 and
RO-Crate 1.1. It has an entity per folder, not per file, so that it stays small: `manifest.tsv` lists the stores.
The same tree and arguments give the same bytes: no clock, no random identifier.
"""

import hashlib
import json
import os
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import yaml
from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from . import __version__, account, licence, provenance
from ._description import CODE_URL
from .log import LIBRARIES
from .usage import HOURS

NAME = "ro-crate-metadata.json"

#: Rules that make what a derivative holds: the use of these is what it cost.
STAGES = "simulate clone fetch index freeze clean selection windows spectra split config".split()

#: Terms of the profiles beyond those of RO-Crate 1.1.
CONTEXT = "https://w3id.org/ro/terms/workflow-run/context"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}

#: What the workflow takes and gives: kind and meaning of each parameter by its name.
TAKES = {
    "datasets": ("Dataset", "BIDS EEG datasets"),
    "configfile": ("File", "The merged config of the study, with all parameters"),
}
GIVES = {
    "recordings": ("Dataset", "Per person the cleaned signals, selected events and windows"),
    "features": ("Dataset", "Features of the windows, a store for each part of the people"),
    "manifest": ("File", "Windows stores with their shapes, sizes and digests"),
    "participants": ("File", "The people, and their place in the split of the study"),
}

#: Media types by the ending of a file.
FORMATS = {
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".md": "text/markdown",
    ".yaml": "application/yaml",
    ".zip": "application/zip",
}

#: What of the workflow goes into its archive: patterns from the root of the checkout.
ARCHIVED = (
    *("Snakefile", "Makefile", "pyproject.toml", "constraints.txt", "LICENSE", "README.md", "CITATION.cff"),
    *(f"workflow/**/*.{ending}" for ending in ("smk", "py", "yaml", "svg", "dot")),
    "workflow/src/hedgerow/templates/*",
    *("envs/*.yaml", "envs/*.txt", "envs/*.py", "containers/*.def"),
    *("config/*.yaml", "config/*.md", "config/profiles/local/config.yaml"),
)


def archive(path, root=None):
    """Write the workflow as it runs to `path`, a zip archive that is the same for the same files.

    Parameters
    ----------
    path : path
        ``code/hedgerow.zip`` of a derivative; beside it a copy of the ``Snakefile`` is written.
    root : path, optional
        The checkout of the workflow; by default the one that this module is part of.

    Raises
    ------
    FileNotFoundError
        `root` is no checkout of the workflow.
    """
    path, root = Path(path), Path(root or provenance.PACKAGE.parents[2])
    if not (root / "Snakefile").is_file():
        raise FileNotFoundError(f"{root} has no Snakefile: publish from a checkout of the workflow")
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {file.relative_to(root).as_posix() for pattern in ARCHIVED for file in root.glob(pattern)}
    files = {name for name in files if "/." not in name}
    scratch = Path(f"{path}.tmp")
    with zipfile.ZipFile(scratch, "w") as packed:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.external_attr = 0o644 << 16
            packed.writestr(member, (root / name).read_bytes())
    os.replace(scratch, path)
    _replace(path.parent / "Snakefile", (root / "Snakefile").read_bytes())


def write(tree, *, study, usage, versions, images=None, commit=None):
    """Write ``ro-crate-metadata.json`` of a derivative that is complete but for it.

    Parameters
    ----------
    tree : path
        The derivative, with ``code/config.yaml``, ``code/Snakefile`` and ``code/hedgerow.zip`` (`archive`).
    study : str
    usage : dict
        What the run used, from `hedgerow.usage.hours`. Its ``ended`` is the date of the crate; without one, that is the
        time stamp of ``dataset_description.json``.
    versions : dict of str to str
        Version of each library by its import name, of ``snakemake`` and ``python`` too.
    images : dict of str to str or None, optional
        Container image of each family of rules, as the config names it.
    commit : str, optional
        Commit of the workflow.

    Returns
    -------
    pathlib.Path
        The file.
    """
    tree = Path(tree)
    about = account.read(tree / "dataset_description.json")
    stamp = datetime.fromtimestamp(int(os.path.getmtime(tree / "dataset_description.json")), UTC).isoformat()
    usage = {**usage, "ended": usage.get("ended") or stamp}
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(CONTEXT)
    crate.root_dataset["datePublished"] = usage["ended"]
    given, results = _sources(crate, about), _entries(crate, tree)
    _root(crate, tree, about, given)
    workflow = _workflow(crate, tree, usage, versions, commit)
    given = [*given, _config(crate, tree)]
    workflow["input"], workflow["output"] = _parameters(crate, TAKES, given), _parameters(crate, GIVES, results)
    _action(crate, study, usage, given, results, images or {})
    account.write(tree / NAME, _plain(crate.metadata.generate()))
    return tree / NAME


def summary(tree, about):
    """One sentence about the derivative at `tree`, whose ``dataset_description.json`` is `about`."""
    people = sum(folder.is_dir() for folder in Path(tree).glob("sub-*"))
    origin = ", ".join(source["url"] or source["name"] for source in sources(about))
    return (
        f"EEG of {people} people: cleaned signals, with what was found and done in each recording, and the windows of "
        f"selected events as arrays for deep learning; a BIDS derivative made by Hedgerow {made_by(about)}"
        + (f" from {origin}." if origin else ".")
    )


def made_by(about):
    """Version of Hedgerow that a ``dataset_description.json`` names."""
    own = [each.get("Version") for each in about.get("GeneratedBy") or [] if each.get("Name") == "Hedgerow"]
    return next(filter(None, own), __version__)


def sources(about):
    """Source datasets of a ``dataset_description.json``: dicts of ``name``, ``url`` (None: on no web), ``version``."""
    found = []
    for entry in about.get("SourceDatasets") or []:
        given = entry.get("DOI") or entry.get("URL") or ""
        doi = re.search(r"^(?:https?://(?:dx\.)?doi\.org/|doi:)?(10\.\d{4,}/\S+)$", given)
        url = f"https://doi.org/{doi[1]}" if doi else entry.get("URL") or ""
        name = entry.get("Name") or (doi[1] if doi else given) or "source dataset"
        found.append({"name": name, "url": url if url.startswith("http") else None, "version": entry.get("Version")})
    return found


def listed(value):
    """What BIDS wants as a list of text, as one even where somebody wrote a single text."""
    return [value] if isinstance(value, str) else list(value or [])


def _root(crate, tree, about, given):
    """Fill in the root: name, licence, authors, profiles, what it was made from."""
    root, judged = crate.root_dataset, licence.judge(about.get("License"))
    address = f"https://spdx.org/licenses/{judged['spdx']}" if judged["spdx"] else judged["url"]
    told = {"name": judged["spdx"] or judged["text"] or "not stated", "description": judged["sentence"]}
    root["name"] = about["Name"]
    root["description"] = summary(tree, about)
    root["license"] = _add(crate, address or "#licence", "CreativeWork", **told)
    names = enumerate(listed(about.get("Authors")), 1)
    root["author"] = [_add(crate, f"#author-{k}", "Person", name=name) for k, name in names]
    root["conformsTo"] = [
        _add(crate, url, "CreativeWork", name=name, version=url.rpartition("/")[2]) for url, name in PROFILES.items()
    ]
    root["isBasedOn"] = given
    root["citation"] = listed(about.get("ReferencesAndLinks"))
    root["identifier"] = about.get("DatasetDOI")
    conforms = ["https://w3id.org/ro/crate/1.1", list(PROFILES)[-1]]
    crate.metadata["conformsTo"] = [{"@id": url} for url in conforms]


def _sources(crate, about):
    """Entities of the source datasets: of their own, since they are no part of the derivative."""
    found = []
    for k, source in enumerate(sources(about), 1):
        own = {"exampleOfWork": {"@id": "#input-datasets"}, "identifier": source["url"]}
        found.append(_add(crate, f"#source-{k}", "Dataset", **own, **source))
    return found


def _entries(crate, tree):
    """Entities of the files and folders at the top of the derivative, the code and hidden ones left out."""
    found = []
    for path in sorted(tree.iterdir()):
        if path.name.startswith(".") or path.name in ("code", NAME, f"{NAME}.tmp"):
            continue
        own = "recordings" if path.name.startswith("sub-") else path.stem
        own = {"exampleOfWork": {"@id": f"#output-{own}"}} if own in GIVES and path.suffix != ".json" else {}
        if path.is_dir():
            found.append(crate.add_dataset(dest_path=path.name, properties={"name": path.name, **own}))
            continue
        found.append(_file(crate, tree, path.name, **own))
        if path.name == "README.md":
            found[-1]["about"] = crate.root_dataset
    return found


def _file(crate, tree, name, **properties):
    return crate.add_file(dest_path=name, properties={**_facts(tree / name), "name": Path(name).name, **properties})


def _facts(path):
    """What a file is, from its name and content."""
    with open(path, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    media = FORMATS.get(path.suffix, "text/plain")
    return {"encodingFormat": media, "contentSize": str(path.stat().st_size), "sha256": sha256}


def _workflow(crate, tree, usage, versions, commit):
    """Entity of the workflow: its Snakefile, with all else in an archive, its libraries and digests of its code."""
    workflow = crate.add_workflow(
        dest_path="code/Snakefile", main=True, lang="snakemake", lang_version=versions.get("snakemake")
    )
    known = {"name": "BSD 3-Clause licence", "description": "Licence of the workflow, not of the data"}
    about = {
        **_facts(tree / "code/Snakefile"),
        "name": "Hedgerow",
        "version": __version__,
        "url": CODE_URL,
        "codeRepository": CODE_URL,
        "license": _add(crate, "https://spdx.org/licenses/BSD-3-Clause", "CreativeWork", **known),
        "conformsTo": {"@id": "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"},
        "hasPart": _file(crate, tree, "code/hedgerow.zip", description="All of the workflow as it ran"),
        "softwareRequirements": [_library(crate, name, versions[name]) for name in sorted(versions)],
    }
    if commit:
        about["identifier"] = _value(crate, "commit", "git commit", commit)
    rules = [rule for rule in usage["rules"] if (provenance.SCRIPTS / f"{rule}.py").is_file()]
    about["additionalProperty"] = [
        _value(crate, f"code-{rule}", f"digest of the code of {rule}", provenance.digest(rule)) for rule in rules
    ]
    for key, value in about.items():
        workflow[key] = value
    return workflow


def _library(crate, name, version):
    if name == "python":
        page = f"https://www.python.org/downloads/release/python-{version.replace('.', '')}/"
    else:
        page = f"https://pypi.org/project/{LIBRARIES.get(name, (name,))[0]}/{version.partition('+')[0]}/"
    return _add(crate, page, "SoftwareApplication", name=name, version=version, url=page)


def _config(crate, tree):
    """Entity of the merged config, with a digest of each of its blocks of parameters."""
    config = yaml.safe_load((tree / "code/config.yaml").read_text(encoding="utf-8")) or {}
    entity = _file(crate, tree, "code/config.yaml", exampleOfWork={"@id": "#input-configfile"})
    digests = []
    for section in ("recipes", "selections", "features"):
        for name, block in sorted((config.get(section) or {}).items()):
            text = json.dumps(block, sort_keys=True)
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            digests.append(_value(crate, f"parameters-{section}-{name}", f"digest of {section}.{name}", digest))
    entity["additionalProperty"] = digests
    return entity


def _parameters(crate, known, entities):
    """Formal parameters of the workflow that `entities` are examples of."""
    found = []
    for name, (kind, meaning) in known.items():
        identifier = f"#{'input' if known is TAKES else 'output'}-{name}"
        example = next((each for each in entities if each.get("exampleOfWork") == identifier), None)
        if example is not None:
            about = {"additionalType": kind, "name": name, "description": meaning, "workExample": example}
            found.append(_add(crate, identifier, "FormalParameter", **about))
    return found


def _action(crate, study, usage, given, results, images):
    """Entity of the run: when, from what, what came of it and what it used."""
    about = {
        "name": f"Run of the study {study}",
        "description": f"snakemake --configfile code/config.yaml (study {study})",
        "startTime": usage.get("began"),
        "endTime": usage["ended"],
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "instrument": crate.root_dataset["mainEntity"],
        "object": given,
        "result": results,
        "resourceUsage": _usage(crate, usage["rules"]),
        "containerImage": [_image(crate, family, image) for family, image in sorted(images.items()) if image],
    }
    crate.root_dataset["mentions"] = _add(crate, f"#run-{study}", "CreateAction", **about)


def _usage(crate, rules):
    """Quantities that were used: of all stages together, then of each."""
    total = {name: round(sum(used[name] for used in rules.values()), 6) for name in HOURS}
    found = []
    for stage, used in {"": total, **rules}.items():
        for name in HOURS:
            key = f"{name.lower()}-{stage}" if stage else name.lower()
            unit = {} if name == "jobs" else {"unitCode": "https://qudt.org/vocab/unit/HR"}
            of = f"{name} of {stage}" if stage else name
            found.append(_value(crate, f"usage-{key}", of, used[name], propertyID=f"{CODE_URL}#{key}", **unit))
    return found


def _image(crate, family, image):
    """Entity of a container image, by its file or address."""
    sha256 = re.search(r"\b[0-9a-f]{64}\b", image)
    kind = "SIFImage" if image.endswith(".sif") else "DockerImage"
    about = {"name": Path(image).name} if kind == "SIFImage" else _address(image)
    about |= {"sha256": sha256[0] if sha256 else None, "description": f"Image of the rules of the family {family}"}
    kind = {"@id": f"https://w3id.org/ro/terms/workflow-run#{kind}"}
    return _add(crate, f"#image-{family}", "ContainerImage", additionalType=kind, **about)


def _address(image):
    """Registry, name and tag of an image by its address, such as ``docker://ghcr.io/a/b:1@sha256:...``."""
    found = re.match(r"(?:\w+://)?(?:([^/@]*[.:][^/@]*)/)?([^:@]+)(?::([^@]+))?", image)
    return {"registry": found[1] or "docker.io", "name": found[2], "tag": found[3]}


def _value(crate, key, name, value, **properties):
    return _add(crate, f"#{key}", "PropertyValue", name=name, value=value, **properties)


def _add(crate, at, kind, /, **properties):
    """Add an entity to what the files are described by; what is None is left out."""
    known = {name: value for name, value in properties.items() if value is not None}
    return crate.add(ContextEntity(crate, at, properties={"@type": kind, **known}))


def _plain(content):
    """`content` of a crate without empty properties, and without lists around what stands alone."""
    for entity in content["@graph"]:
        for name, value in list(entity.items()):
            if value in (None, []):
                del entity[name]
            elif isinstance(value, list) and len(value) == 1:
                entity[name] = value[0]
    return content


def _replace(path, content):
    scratch = Path(f"{path}.tmp")
    scratch.write_bytes(content)
    os.replace(scratch, path)
