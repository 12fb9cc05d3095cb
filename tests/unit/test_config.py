"""The config: defaults, nearest neighbours, references, frozen blocks; the table of keys is fresh."""

import importlib.util
import json

import pytest
import yaml

from conftest import ROOT
from hedgerow import config
from hedgerow._words import nearest

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
DEMO = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))


def small(**more):
    return {"study": "s", "datasets": {"d": {"source": "simulate"}}, **more}


def _one(**block):
    return small(datasets={"d": block})


def _model(selection=None, **block):
    block = {"selection": "s", "formula": "label", **block}
    selections = {"s": {"classes": {"a": "Event"}, "tmax": 1, **(selection or {})}}
    return small(selections=selections, features={"psd": {"selection": "s"}}, models={"m": block})


def test_defaults_are_filled_in_at_every_depth():
    done = config.complete(small(recipes={"standard": {"asr_cutoff": 5}}), SCHEMA)
    assert done["recipes"]["standard"]["asr_cutoff"] == 5
    assert done["recipes"]["standard"]["highpass"] == [0.25, 0.75]
    assert done["split"]["folds"] == 4
    assert done["datasets"]["d"]["subjects"] == 24


def test_completing_leaves_the_given_config_and_the_schema_alone():
    given, before = small(), json.dumps(SCHEMA)
    config.complete(given, SCHEMA)["recipes"]["standard"]["highpass"].append(1)
    assert given == small()
    assert json.dumps(SCHEMA) == before


def _network(**block):
    """A study whose only network `n` has this block."""
    given = {"selections": {"s": {"classes": {"a": "Event"}}}, "features": {"psd": {"selection": "s"}}}
    return small(**given, networks={"n": {"selection": "s", "target": "sex", **block}})


def _maps(**input_params):
    """The same, with s-vgg shown maps."""
    return _network(model="s-vgg", input="topographies", input_params=input_params)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (small(recipez={}), ["'recipez'", "top level", "did you mean 'recipe"]),
        (small(recipes={"standard": {"asr_cuttoff": 5}}), ["'asr_cuttoff'", "recipes.standard", "'asr_cutoff'"]),
        (small(recipes={"standard": {"asr_cutoff": -1}}), ["recipes.standard.asr_cutoff", "-1"]),
        (small(recipe="standart"), ["'standart'", "'standard'"]),
        (small(features={"psd": {"selection": "eyes"}}), ["features.psd.selection", "'eyes'", "empty"]),
        ({"study": "s", "datasets": {"d": {"source": "path"}}}, ["datasets.d", "path"]),
        ({"datasets": {"d": {"source": "simulate"}}}, ["study"]),
        (small(selections={"clean": {"classes": {"a": "Event"}}}), ["clean"]),
        (small(selections={"s": {"classes": {True: "Event"}}}), ["True", "selections.s.classes", "quotes"]),
        (small(datasets={2024: {"source": "simulate"}}), ["2024", "datasets", "quotes"]),
        (small(recipes={"standard": {"highpass": [0.75, 0.25]}}), ["recipes.standard.highpass", "below"]),
        (small(recipes={"standard": {"reference": "Cz"}}), ["recipes.standard.reference", "Cz"]),
        (small(split={"stratify": ["sex"]}), ["split.stratify", "blocks"]),
        (_one(source="openneuro"), ["datasets.d", "'openneuro'", "key version"]),
        (_one(source="nemar"), ["datasets.d", "'nemar'", "key version"]),
        (_one(source="nemar", version="1.0", path="x"), ["datasets.d.path", "'path'", "drop"]),
        (_one(source="simulate", path="x"), ["datasets.d.path", "'path'"]),
        (_one(source="path", path="x", version="1"), ["datasets.d.version", "'openneuro' and 'nemar'", "'path'"]),
        (_one(source="path", path="x", accession="ds1"), ["datasets.d.accession", "'openneuro'"]),
        (_one(source="path", path="x", url="u"), ["datasets.d.url", "'openneuro'"]),
        (_one(source="path", path="x", keep_raw=False), ["datasets.d.keep_raw", "'openneuro'"]),
        (_one(source="openneuro", version=1.0), ["datasets.d.version", "1.0"]),
        (_one(source="simulate", only={"task": []}), ["datasets.d.only.task", "empty list"]),
        (_one(source="simulate", only={"sex": {"F": 1}}), ["datasets.d.only.sex"]),
        (_one(source="simulate", only={"sex": True}), ["datasets.d.only.sex", "True"]),
        (small(pilot=0), ["pilot", "0"]),
        (_model(lags=[0.8, -0.2]), ["models.m.lags", "below"]),
        (_model({"sfreq": 100}, lags=[-200, 800]), ["models.m.lags", "100000 unknowns", "in seconds"]),
        (_model(lags=[-0.2, 0.8], feature="psd"), ["models.m.feature", "'psd'", "lags"]),
        (_model(lags=[-0.2, 0.8], log=True), ["models.m.log", "lags"]),
        (_model(lags=[-0.2, 0.8], compare=["1"]), ["models.m.compare", "lags"]),
        (_model(lags=[-0.2, 0.8], influence=True), ["models.m.influence", "lags"]),
        (_model(lags=[-0.2, 0.8], bootstrap="pairs"), ["models.m.bootstrap", "'pairs'", "lags"]),
        (_model(lags=[-0.2, 0.8], errors="hc3"), ["models.m.errors", "'hc3'", "lags"]),
        (_model({"length": 0.5}, lags=[-0.2, 0.8]), ["models.m.lags", "without length"]),
        (_model({"kind": "intervals"}, lags=[-0.2, 0.8]), ["models.m.lags", "'events'"]),
        (_model(bootstrap="wild", interval="bca"), ["models.m", "'bca'", "'wild'", "'pairs'"]),
        (_model(bootstrap="wild-clusters", interval="bca"), ["models.m", "'bca'", "'clusters'"]),
        (_model(bootstrap="none", interval="percentile"), ["models.m", "'percentile'", "drop"]),
        (_model(bootstrap="pairs", errors="cr2"), ["models.m", "'cr2'", "trials", "hc3"]),
        (_model(bootstrap="clusters", errors="hc3"), ["models.m", "'hc3'", "people", "cr2"]),
        (_model(bootstrap="cluster"), ["models.m.bootstrap", "'cluster'"]),
        (_network(labels=["b"]), ["networks.n.labels", "'b'", "no class of the selection 's'", "it has a"]),
        (_network(params={"dropuot": 0.1}), ["'dropuot'", "networks.n.params", "'dropout'"]),
        (_network(params={"lr": 0.5}), ["'lr'", "networks.n.params", "f1, depth"]),
        (_network(params={"f1": 0}), ["networks.n.params.f1", "0", "Temporal filters"]),
        (_network(lr="1e-3"), ["networks.n.lr", "'1e-3'", "YAML takes it for text: write 0.001"]),
        (_network(input_params={"fmax": 45}), ["networks.n.input_params", "raw has none", "'fmax'"]),
        (_network(feature="psd", input_params={"fmax": 45}), ["networks.n.input_params", "feature has none"]),
        (_network(input="fft", input_params={"fmax": "45"}), ["networks.n.input_params.fmax", "write 45"]),
        (_maps(bands={"alpha": 10}), ["networks.n.input_params.bands.alpha", "10"]),
        (_maps(relative="no"), ["networks.n.input_params.relative", "'no'"]),
        (_maps(bands={"alpha": [7, 13], "beta": [14, 25]}), ["networks.n.params", "3 maps", "has 2", "`maps: 2`"]),
        (_network(model="s-vgg"), ["networks.n.params", "3 maps", "has 1", "topographies"]),
    ],
)
def test_a_fault_is_one_sentence_that_names_the_key(given, words):
    with pytest.raises(config.ConfigError) as caught:
        config.complete(given, SCHEMA)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_parameters_of_a_network_are_those_that_were_given():
    given = {"model": "s-vgg", "epochs": 40.0, "params": {"maps": 2.0}, "input": "topographies"}
    bands = {"beta": [14, 25], "alpha": [7, 13]}
    done = config.complete(_network(**given, input_params={"bands": bands, "size": 16.0}), SCHEMA)["networks"]["n"]
    assert (done["params"], done["input_params"]) == ({"maps": 2}, {"bands": bands, "size": 16})
    assert all(isinstance(v, int) for v in (done["epochs"], done["params"]["maps"], done["input_params"]["size"]))
    other = {"model": "braindecode:EEGConformer", "params": {"n_filters_time": 20}}
    assert config.complete(_network(**other), SCHEMA)["networks"]["n"]["params"] == other["params"]


def test_an_empty_section_is_empty_and_an_empty_block_is_all_defaults():
    done = config.complete(small(networks=None, recipes={"standard": None}), SCHEMA)
    assert done["networks"] == {}
    assert done["recipes"]["standard"] == config.defaults(SCHEMA, "recipe")


@pytest.mark.parametrize(
    "block",
    [
        {"source": "openneuro", "version": "2.0.2", "accession": "ds003645", "url": "u", "keep_raw": False},
        {"source": "nemar", "version": "1.0"},
        {"source": "path", "path": "x", "only": {"task": "rest", "age": 12, "run": ["01", 2]}},
    ],
)
def test_keys_of_a_source_are_taken(block):
    assert config.complete(_one(**block), SCHEMA)["datasets"]["d"]["source"] == block["source"]


@pytest.mark.parametrize(
    "block",
    [
        {"bootstrap": "auto", "interval": "bca", "errors": "hc3"},  # right for a few people
        {"bootstrap": "none", "errors": "cr2"},  # right for many
        {"lags": [-0.2, 0.8], "errors": "cr1", "bootstrap": "wild-clusters"},
    ],
)
def test_what_serves_few_people_or_many_is_for_the_data_to_decide(block):
    assert config.complete(_model(**block), SCHEMA)["models"]["m"]["seed"] == 1


@pytest.mark.parametrize("path", sorted((ROOT / "config/studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_published_study_is_valid_and_named_as_its_file(path):
    assert config.complete(yaml.safe_load(path.read_text(encoding="utf-8")), SCHEMA)["study"] == path.stem


def test_a_folder_that_is_gone_is_refused_unless_its_table_is_there(tmp_path):
    given = config.complete(_one(source="path", path=str(tmp_path / "gone")), SCHEMA)
    (tmp_path / "index/d").mkdir(parents=True)
    with pytest.raises(config.ConfigError, match=r"datasets\.d\.path: there is no folder"):
        config.check_folders(given, tmp_path / "index")
    (tmp_path / "index/d/recordings.tsv").write_text("rec\n")
    config.check_folders(given, tmp_path / "index")


def test_the_name_of_a_recording_may_look_like_a_number():
    assert config.complete(small(recording=5), SCHEMA)["recording"] == "5"
    assert config.complete(small(against=2026), SCHEMA)["against"] == "2026"


def test_the_nearest_come_first():
    known = ["alpha", "Beta", *(f"c{k}" for k in range(20))]
    assert nearest("beta", known, 2) == "'Beta', 'alpha' and 20 more"
    assert nearest("x", []) == "none"


def test_the_demo_is_valid():
    assert config.complete(DEMO, SCHEMA)["study"] == "demo"


def test_every_key_is_described():
    def walk(part, where):
        for key, each in part.get("properties", {}).items():
            if "$ref" not in each:
                assert each.get("description"), f"{where}.{key} has no description"
            assert {"$ref", "type", "enum", "anyOf"} & set(each), f"{where}.{key} has no type"
            assert "default" in each or key in part.get("required", ()), f"{where}.{key} has no default"

    walk(SCHEMA, "top")
    for name, part in SCHEMA["$defs"].items():
        assert part["additionalProperties"] is False
        walk(part, name)


def test_other_parameters_under_the_same_name_are_refused(tmp_path):
    block = config.defaults(SCHEMA, "recipe")
    path = tmp_path / "demo/standard/code/recipe.json"
    config.frozen(path, block, "recipes.standard", block)
    path.parent.mkdir(parents=True)
    younger = {key: value for key, value in block.items() if key != "interpolate"}
    path.write_text(json.dumps(younger))
    config.frozen(path, block, "recipes.standard", block)
    with pytest.raises(config.ConfigError, match=r"recipes\.standard\.asr_cutoff is 7, .* made with 20\.0"):
        config.frozen(path, {**block, "asr_cutoff": 7}, "recipes.standard", block)


def _module(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_keys_is_fresh():
    fresh = _module(ROOT / "config/generate.py").readme()
    assert (ROOT / "config/README.md").read_text(encoding="utf-8") == fresh, "run `make docs`"
