"""The RO-Crate: valid by the validator of its profiles, true to the tree, the same for the same, small."""

import hashlib
import json
import os
import re
import shutil
import zipfile

import pytest
import responses
from rocrate import vocabs
from rocrate_validator import services
from rocrate_validator.models import Severity, ValidationSettings

from conftest import ROOT
from hedgerow import crate, provenance, usage

#: What a person would have to tell: who ran it, who publishes it, where the authors work; and that an image is of no
#: registry. The last one the validator says of the types of a workflow, whatever stands in the crate.
NOT_KNOWN = {
    "The Action SHOULD have an agent that is a Person or Organization",
    "The `publisher` property of a `Root Data Entity` SHOULD be an `Organization`",
    "The author SHOULD have an organizational affiliation.",
    "The author SHOULD have a Contextual Entity which specifies the organizational `affiliation`.",
    "The ContainerImage SHOULD have a registry",
    "The SoftwareApplication id SHOULD be an absolute URI",
}
RUN = "https://w3id.org/ro/terms/workflow-run"
TERMS = "ContainerImage DockerImage SIFImage containerImage environment registry resourceUsage sha256 tag".split()
BIOSCHEMAS = "https://bioschemas.org"

ABOUT = {
    "Name": "Tones: clean signals and windows",
    "License": "CC BY 4.0",
    "Authors": ["Ada B.", "Cleo D."],
    "ReferencesAndLinks": ["https://doi.org/10.1234/paper"],
    "GeneratedBy": [{"Name": "Hedgerow", "Version": "1.2.3"}],
    "SourceDatasets": [
        {"DOI": "doi:10.18112/openneuro.ds000001.v1.0.0", "Version": "1.0.0"},
        {"URL": "https://example.org/raw"},
        {"URL": "file:here"},
    ],
}
CONFIG = "recipes:\n  std: {highpass: 0.5}\nselections:\n  eyes: {length: 2}\n  tones: {tmin: -0.2}\nfeatures: {}\n"
HOURS = {"jobs": 3, "CPU-hours": 1.5, "wall-hours": 2.0, "GPU-hours": 0.0}
USED = {
    "rules": {"clean": HOURS, "spectra": {"jobs": 1, "CPU-hours": 0.25, "wall-hours": 0.5, "GPU-hours": 0.5}},
    "began": "2026-01-02T01:00:00+00:00",
    "ended": "2026-01-02T03:04:05+00:00",
}
GIVEN = {
    "study": "x",
    "usage": USED,
    "versions": {"numpy": "2.4.6", "torch": "2.13.0+cpu", "hed": "1.3.0", "snakemake": "9.27.1", "python": "3.11.7"},
    "images": {
        "signal": f"/images/signal.{'a' * 64}.sif",
        "publish": f"docker://ghcr.io/lab/publish:1.0@sha256:{'b' * 64}",
        "stats": "docker://lab/stats:2",
        "networks": None,
    },
    "commit": "c" * 40,
}


def _tree(tree, people=2):
    (tree / "code").mkdir(parents=True)
    (tree / "dataset_description.json").write_text(json.dumps(ABOUT))
    (tree / "README.md").write_text("# Tones\n")
    (tree / ".bidsignore").write_text("features\n")
    (tree / "code/config.yaml").write_text(CONFIG)
    for name in ("manifest", "participants", "descriptions"):
        (tree / f"{name}.tsv").write_text(f"{name}\n")
    (tree / "participants.json").write_text("{}")
    (tree / "features").mkdir()
    for k in range(people):
        (tree / f"sub-{k + 1:02}/eeg").mkdir(parents=True)
        (tree / f"sub-{k + 1:02}/eeg/x_eeg.vhdr").write_text("x")
    (tree / "code/Snakefile").write_text("rule all: pass\n")
    (tree / "code/hedgerow.zip").write_bytes(b"PK")
    return tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = _tree(tmp_path_factory.mktemp("crate") / "a")
    crate.write(tree, **GIVEN)
    return tree


@pytest.fixture
def entities(tree):
    return _entities(tree)


def _entities(tree):
    return {each["@id"]: each for each in json.loads((tree / crate.NAME).read_text())["@graph"]}


def _ids(value):
    return [each["@id"] for each in (value if isinstance(value, list) else [value])]


def _issues(tree, cache, severity):
    """What the validator says of a crate by severity; the two contexts are all that it may ask the network for."""
    # RO-Crate 1.1 names the terms of workflows otherwise than the version that the library carries
    terms = {name: url for name, url in vocabs.RO_CRATE["@context"].items() if name not in TERMS}
    terms |= {name: f"{BIOSCHEMAS}/{name}" for name in ("ComputationalWorkflow", "FormalParameter")}
    terms |= {name: f"{BIOSCHEMAS}/ComputationalWorkflow#{name}" for name in ("input", "output")}
    about = {"rocrate_uri": str(tree), "profile_identifier": "workflow-run-crate", "cache_path": cache / "http"}
    with responses.RequestsMock() as network:
        network.get("https://w3id.org/ro/crate/1.1/context", json={"@context": terms})
        network.get(f"{RUN}/context", json={"@context": {name: f"{RUN}#{name}" for name in TERMS}})
        found = services.validate(ValidationSettings(**about, requirement_severity=severity))
    assert not found.skipped_checks
    return [(issue.severity, issue.message) for issue in found.get_issues(severity)]


def test_the_validator_misses_only_what_nobody_told(tree, tmp_path):
    found = _issues(tree, tmp_path, Severity.RECOMMENDED)
    assert not [message for severity, message in found if severity >= Severity.REQUIRED]
    assert {message for _, message in found} == NOT_KNOWN


@pytest.mark.parametrize(
    ("entity", "lost", "said"),
    [
        ("./", "mainEntity", "must be specified through a `mainEntity`"),
        ("#run-x", "instrument", "MUST have an instrument"),
        ("#input-datasets", "additionalType", "MUST have an additionalType"),
    ],
)
def test_a_fault_is_found(tree, tmp_path, entity, lost, said):
    broken = shutil.copytree(tree, tmp_path / "a")
    content = json.loads((broken / crate.NAME).read_text())
    for each in content["@graph"]:
        if each["@id"] == entity:
            del each[lost]
    (broken / crate.NAME).write_text(json.dumps(content))
    assert any(said in message for _, message in _issues(broken, tmp_path, Severity.REQUIRED))


def test_a_file_that_is_told_of_but_gone_is_found(tree, tmp_path):
    broken = shutil.copytree(tree, tmp_path / "a")
    (broken / "manifest.tsv").unlink()
    assert any("manifest.tsv" in message for _, message in _issues(broken, tmp_path, Severity.REQUIRED))


def test_files_are_told_by_size_and_digest_folders_as_a_whole(tree, entities):
    root = entities["./"]
    for name in ("manifest.tsv", "participants.tsv", "README.md", "code/config.yaml", "code/hedgerow.zip"):
        content = (tree / name).read_bytes()
        assert entities[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert entities[name]["contentSize"] == str(len(content))
    assert {"features/", "sub-01/", "sub-02/"} <= set(_ids(root["hasPart"]))
    assert not any(name.startswith("sub-01/e") or name.startswith(".b") for name in entities)
    known = {name for name in entities if name[0] != "#" and "://" not in name}
    assert known - {"./", crate.NAME} == set(_ids(root["hasPart"]))


def test_the_run_leads_from_the_sources_to_the_results(entities):
    run = entities["#run-x"]
    assert _ids(run["instrument"]) == ["code/Snakefile"] == _ids(entities["./"]["mainEntity"])
    assert _ids(run["object"]) == ["#source-1", "#source-2", "#source-3", "code/config.yaml"]
    assert {"sub-01/", "sub-02/", "features/", "manifest.tsv", "participants.tsv"} <= set(_ids(run["result"]))
    assert (run["startTime"], run["endTime"]) == (USED["began"], USED["ended"])
    assert entities["./"]["datePublished"] == USED["ended"]
    first, second, third = (entities[f"#source-{k}"] for k in (1, 2, 3))
    assert first["url"] == "https://doi.org/10.18112/openneuro.ds000001.v1.0.0" and first["version"] == "1.0.0"
    assert second["url"] == "https://example.org/raw" and "url" not in third and third["name"] == "file:here"
    for name in ("#input-datasets", "#output-recordings", "#output-manifest"):
        example = _ids(entities[name]["workExample"])[0]
        assert _ids(entities[example]["exampleOfWork"]) == [name]


def test_what_it_took_is_told_in_all_and_by_stage(entities):
    used = {entities[name]["name"]: entities[name] for name in _ids(entities["#run-x"]["resourceUsage"])}
    values = {name: each["value"] for name, each in used.items()}
    assert values["CPU-hours"] == 1.75 and values["GPU-hours"] == 0.5 and values["jobs"] == 4
    assert values["wall-hours of clean"] == 2.0 and values["GPU-hours of spectra"] == 0.5
    assert len({each["propertyID"] for each in used.values()}) == len(used) == 12
    assert used["CPU-hours"]["unitCode"] == "https://qudt.org/vocab/unit/HR" and "unitCode" not in used["jobs"]


def test_software_images_and_code_are_named_exactly(entities):
    workflow = entities["code/Snakefile"]
    assert set(_ids(workflow["softwareRequirements"])) == {
        "https://pypi.org/project/numpy/2.4.6/",
        "https://pypi.org/project/torch/2.13.0/",
        "https://pypi.org/project/hedtools/1.3.0/",
        "https://pypi.org/project/snakemake/9.27.1/",
        "https://www.python.org/downloads/release/python-3117/",
    }
    assert entities["https://pypi.org/project/torch/2.13.0/"]["version"] == "2.13.0+cpu"
    assert entities[_ids(workflow["programmingLanguage"])[0]]["version"] == "9.27.1"
    assert entities[_ids(workflow["identifier"])[0]]["value"] == "c" * 40
    digests = {entities[name]["name"]: entities[name]["value"] for name in _ids(workflow["additionalProperty"])}
    assert digests == {f"digest of the code of {rule}": provenance.digest(rule) for rule in ("clean", "spectra")}
    images = [entities[name] for name in _ids(entities["#run-x"]["containerImage"])]
    told = [tuple(each.get(key) for key in ("registry", "name", "tag", "sha256")) for each in images]
    assert told == [
        ("ghcr.io", "lab/publish", "1.0", "b" * 64),
        (None, f"signal.{'a' * 64}.sif", None, "a" * 64),
        ("docker.io", "lab/stats", "2", None),
    ]


def test_a_parameter_changes_the_digest_of_its_own_block(tree, tmp_path):
    def digests(tree):
        found = _entities(tree)
        return {
            found[name]["name"]: found[name]["value"] for name in _ids(found["code/config.yaml"]["additionalProperty"])
        }

    other = shutil.copytree(tree, tmp_path / "a")
    (other / "code/config.yaml").write_text(CONFIG.replace("length: 2", "length: 3"))
    crate.write(other, **GIVEN)
    first, second = digests(tree), digests(other)
    assert set(first) == {f"digest of {name}" for name in ("recipes.std", "selections.eyes", "selections.tones")}
    assert {name for name in first if first[name] != second[name]} == {"digest of selections.eyes"}


@pytest.mark.parametrize(
    ("text", "address", "name"),
    [
        ("CC BY 4.0", "https://spdx.org/licenses/CC-BY-4.0", "CC-BY-4.0"),
        ("ask us", "#licence", "ask us"),
        (None, "#licence", "not stated"),
    ],
)
def test_the_licence_is_told_as_it_is(tmp_path, text, address, name):
    tree = _tree(tmp_path / "a")
    about = {key: value for key, value in ABOUT.items() if key != "License"} | ({"License": text} if text else {})
    (tree / "dataset_description.json").write_text(json.dumps(about))
    crate.write(tree, **GIVEN)
    found = _entities(tree)
    assert _ids(found["./"]["license"]) == [address] and found[address]["name"] == name
    assert found[address]["description"]


def test_the_same_tree_gives_the_same_bytes_at_any_time(tree, tmp_path, monkeypatch):
    again = _tree(tmp_path / "b")
    monkeypatch.setattr("rocrate.model.root_dataset.iso_now", lambda: "1999-01-01T00:00:00+00:00")
    crate.write(again, **GIVEN)
    first = (tree / crate.NAME).read_bytes()
    assert (again / crate.NAME).read_bytes() == first
    crate.write(again, **GIVEN)
    assert (again / crate.NAME).read_bytes() == first and not list(again.rglob("*.tmp"))


def test_without_logs_the_date_is_that_of_the_description(tmp_path):
    tree = _tree(tmp_path / "a")
    os.utime(tree / "dataset_description.json", (0, 1_700_000_000))
    crate.write(tree, study="x", usage=usage.hours(tmp_path / "none"), versions={})
    assert _entities(tree)["./"]["datePublished"] == "2023-11-14T22:13:20+00:00"


def test_two_thousand_people_stay_small(tmp_path):
    tree = _tree(tmp_path / "a", people=2000)
    path = crate.write(tree, **GIVEN)
    assert path.stat().st_size < 2e6
    assert sum(name.startswith("sub-") for name in _entities(tree)) == 2000


def test_the_archive_holds_all_of_the_workflow(tmp_path):
    crate.archive(tmp_path / "code/hedgerow.zip")
    names = zipfile.ZipFile(tmp_path / "code/hedgerow.zip").namelist()
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "workflow").rglob("*") if path.is_file()}
    wanted = {name for name in wanted if not re.search(r"egg-info/|/__pycache__/|/\.|\.tmp$", name)}
    assert {name for name in names if name.startswith("workflow/")} == wanted
    assert {"Snakefile", "constraints.txt", "envs/signal.yaml", "config/config.yaml", "LICENSE"} <= set(names)
    # a site's profile holds its accounts and partitions
    assert [name for name in names if "profiles" in name] == ["config/profiles/local/config.yaml"]
    assert names == sorted(names)
    assert (tmp_path / "code/Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()


def test_the_archive_is_the_same_for_the_same_files(tmp_path):
    roots = [tmp_path / "a", tmp_path / "b"]
    for k, root in enumerate(roots):
        (root / "workflow/src/hedgerow/__pycache__").mkdir(parents=True)
        for name in ("Snakefile", "workflow/src/hedgerow/x.py", "config/config.yaml", "config/overrides.tsv"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text(name)
            os.utime(root / name, (0, 1e9 + k))
        (root / "workflow/src/hedgerow/__pycache__/x.pyc").write_text(str(k))
        crate.archive(tmp_path / f"{k}/hedgerow.zip", root)
    assert (tmp_path / "0/hedgerow.zip").read_bytes() == (tmp_path / "1/hedgerow.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "0/hedgerow.zip").namelist()
    assert names == ["Snakefile", "config/config.yaml", "workflow/src/hedgerow/x.py"]
    with pytest.raises(FileNotFoundError, match=r"has no Snakefile: publish from a checkout"):
        crate.archive(tmp_path / "2/hedgerow.zip", tmp_path / "config")
