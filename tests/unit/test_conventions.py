"""What every rule, script and module has in common."""

import ast
import inspect
import json
import re

import pytest
import yaml

from conftest import ROOT

SRC = ROOT / "workflow/src/hedgerow"
SCRIPTS = sorted((ROOT / "workflow/scripts").glob("*.py"))
RULE_FILES = sorted((ROOT / "workflow/rules").glob("*.smk"))
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))

#: Rules that print what there is to say, and make nothing.
ONLY_TELL = {"why", "verify", "preview"}

#: Modules that may be imported whenever the Snakefile is parsed: standard library only.
PARSED = "_annex _places account cluster config fetch filters grid/_lags grid/choice layout overrides".split()
PARSED += "progress provenance record study sums why".split()

#: Rules that have a GPU where there is one.
ON_GPU = {"spectra", "bootstrap", "train", "evaluate"}


def rules():
    """Text of every rule by name, but of those that only collect what others make."""
    found = {}
    for path in RULE_FILES:
        for part in re.split(r"^(?=rule (?!all_)|checkpoint )", path.read_text(encoding="utf-8"), flags=re.M)[1:]:
            found[re.match(r"\w+ (\w+):", part).group(1)] = part
    return found


@pytest.mark.parametrize("name", rules())
def test_a_rule_has_everything(name):
    text = rules()[name]
    wanted = ["log", "conda", "container", "threads", "resources", "message", "script"]
    # what only tells has nothing to keep: it always runs
    wanted += ["output"] if name not in ONLY_TELL else []
    # the log tells the same; a file and two folders more for each of thousands of recordings are too many
    measured = name not in ONLY_TELL and not re.search(r"results/logs/\S+\{rec\}", text)
    assert ("    benchmark:" in text) == measured
    for directive in wanted:
        assert f"    {directive}:" in text, f"rule {name} lacks {directive}"
    assert text.splitlines()[1].strip().startswith('"""')
    assert f'"../scripts/{name}.py"' in text and f'code=digest("{name}")' in text
    assert f"results/logs/{name}/" in text and (f"results/benchmarks/{name}/" in text) == measured
    # a job that was killed for want of memory or time gets more of both
    for resource in ("mem_mb", "runtime"):
        assert re.search(rf"{resource}=lambda w, (input, )?attempt: attempt \* ", text)
    assert ("gpu=1" in text) == (name in ON_GPU)
    # what asks for more CPUs than a site's nodes have is never started there
    assert re.search(r'    threads: (1|config\["threads"\])\n', text)
    family = re.search(r"envs/(\w+)\.yaml", text).group(1)
    assert (ROOT / f"envs/{family}.yaml").is_file()
    assert f'IMAGES["{family}"]' in text


def test_every_rule_has_its_script_and_every_script_its_rule():
    assert {path.stem for path in SCRIPTS} == set(rules())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_holds_no_logic(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 25
    assert ("log.start(snakemake)" in text) != (path.stem in ONLY_TELL) and "snakemake.config" not in text
    assert not any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(ast.parse(text)))


def test_the_snakefile_is_a_table_of_contents():
    lines = (ROOT / "Snakefile").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60 and not any(line.startswith("def ") for line in lines)
    assert len((ROOT / "workflow/rules/common.smk").read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("path", sorted(SRC.rglob("*.py")), ids=lambda path: str(path.relative_to(SRC)))
def test_heavy_imports_stay_behind_their_doors(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    inside = str(path.relative_to(SRC))
    assert "snakemake" not in top
    if inside not in ("bids.py", "io.py"):
        assert not top & {"mne", "mne_bids", "bids", "pybv"}
    if not inside.startswith("nets/"):
        assert "torch" not in top
    if inside.removesuffix(".py") in PARSED:
        assert not top & {"numpy", "pandas", "yaml", "jsonschema"}


def _keywords(function, without=()):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name not in without}


def _schema(kind, without=()):
    return {k: v.get("default") for k, v in SCHEMA["$defs"][kind]["properties"].items() if k not in without}


def test_the_config_is_the_keywords_of_the_core():
    from hedgerow import clean, simulate, spectra, split, windows

    def plain(value):
        return list(value) if isinstance(value, tuple) else value

    recipe = {
        k: plain(v) for k, v in _keywords(clean.clean, ("names", "positions", "marked", "trusted", "witness")).items()
    }
    assert recipe == _schema("recipe")
    selection = _keywords(windows.windows, ("hed_version", "classes"))
    assert selection == _schema("selection", ("classes",))
    assert {k: plain(v) for k, v in _keywords(split.assign).items()} == {
        k: plain(v) for k, v in _schema("split").items()
    }
    assert set(_keywords(spectra.psd, ("batch",))) == set(_schema("feature", ("selection",)))
    elsewhere = {"source", "path", "accession", "version", "url", "keep_raw", "only"}
    assert _keywords(simulate.write) == {
        k: v for k, v in _schema("dataset").items() if k in _keywords(simulate.write)
    } and set(_keywords(simulate.write)) | elsewhere == set(_schema("dataset"))


def test_the_network_block_is_the_keywords_of_training():
    train = pytest.importorskip("hedgerow.nets.train")
    from hedgerow.nets import inputs, models

    settings = _keywords(train.fit)
    block = _schema("network")
    keys = ("task", "model", "input", "standardise", "epochs", "batch", "optimiser", "lr", "weight_decay", "balance")
    for key in (*keys, "precision", "seed"):
        assert settings[key] == block[key], key
    known = SCHEMA["$defs"]["network"]["properties"]
    assert set(known["model"]["anyOf"][0]["enum"]) == set(models.MODELS)
    assert set(known["input"]["enum"]) == set(inputs.KINDS) - {"features"}
    own = {f"params-{name}": models.parameters(name) for name in models.MODELS}
    own |= {f"input_params-{kind}": inputs.settings(kind) for kind in set(inputs.KINDS) - {"raw", "features"}}
    for kind, defaults in own.items():
        assert json.loads(json.dumps(defaults)) == _schema(kind), kind
    assert inputs.settings("raw") == inputs.settings("features") == {}
    values = {
        "optimiser": train.OPTIMISERS,
        "task": train.TASKS,
        "balance": train.BALANCE,
        "precision": train.PRECISION,
    }
    for key, names in values.items():
        assert set(known[key]["enum"]) == set(names), key


def test_reason_codes_stand_in_one_table():
    from hedgerow import account

    used = set()
    for path in SRC.rglob("*.py"):
        used |= set(re.findall(r'Fault\(\s*"([a-z-]+)"', path.read_text(encoding="utf-8")))
    assert used <= set(account.REASONS)
