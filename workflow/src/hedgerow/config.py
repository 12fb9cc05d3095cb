"""The config: defaults, checks and error messages of one sentence. The schema is the single source of all three.

Imports the standard library (and jsonschema, which Snakemake brings, inside a function), since it runs whenever the
Snakefile is parsed.
"""

import contextlib
import difflib
import json
import os
from pathlib import Path

from . import _places
from ._words import ConfigError
from .grid import _lags, choice

#: Sources from which a dataset is fetched.
REMOTE = ("openneuro", "nemar")


def complete(config, schema):
    """Check `config` against `schema` and return it with all defaults filled in.

    Parameters
    ----------
    config : dict
        As read from YAML; not changed.
    schema : dict
        JSON schema with ``$defs``; every key has a type, a default or a place in ``required``, and a description.

    Returns
    -------
    dict
        A completed copy.

    Raises
    ------
    ConfigError
        A mistyped key (with its nearest neighbour), a wrong type or value, or a name that stands for no block.
    """
    done = _fill(config, schema, schema, "")
    for key in ("recording", "against"):
        if isinstance(done.get(key), int | float):  # said on the command line, where 05 is a number
            done[key] = str(done[key])
    _valid(done, schema, "")
    _references(done, schema)
    for block in done["models"].values():
        if block["lags"] and block["bootstrap"] == block["interval"] == "auto":
            block["bootstrap"] = "none"
    return done


def _valid(value, schema, where):
    """Refuse a value at `where` that is not as the schema says."""
    from jsonschema import Draft202012Validator

    errors = sorted(
        Draft202012Validator(schema).iter_errors(value), key=lambda error: list(map(str, error.absolute_path))
    )
    if errors:
        path = [where] if where else []
        told = ".".join([*path, *(str(part) for part in errors[0].absolute_path)]) or "the top level"
        raise ConfigError(f"config: {told}: {errors[0].message}{_help(errors[0])}")


def _help(error):
    text = error.schema.get("description", "") if isinstance(error.schema, dict) else ""
    if error.validator == "type" and isinstance(error.instance, str):
        with contextlib.suppress(ValueError):
            text = f"YAML takes it for text: write {float(error.instance):.15g} without quotes; {text}".rstrip("; ")
    return f" ({text})" if text else ""


def _fill(value, schema, root, where):
    """Copy of `value` with the defaults of `schema`; refuses unknown keys with their nearest neighbour."""
    schema = _resolve(schema, root)
    if value is None and schema.get("type") == "object":
        value = {}
    if not isinstance(value, dict):
        # 40.0 is an integer to the schema, and a wrong type to Python
        whole = isinstance(value, float) and value.is_integer() and "integer" in _types(schema)
        return int(value) if whole and "number" not in _types(schema) else value
    odd = [key for key in value if not isinstance(key, str)]
    if odd:
        raise ConfigError(f"config: the key {odd[0]!r} in {where or 'the top level'} is no text; put it in quotes")
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties", True)
    unknown = [key for key in value if key not in properties]
    if unknown and extra is False:
        near = difflib.get_close_matches(str(unknown[0]), properties, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(properties)}"
        raise ConfigError(
            f"config: unknown key {unknown[0]!r} {'in ' + where if where else 'at the top level'}; {hint}"
        )
    done = {}
    for key, part in properties.items():
        below = f"{where}.{key}" if where else key
        if key in value:
            done[key] = _fill(value[key], part, root, below)
        elif "default" in _resolve(part, root):
            done[key] = _fill(json.loads(json.dumps(_resolve(part, root)["default"])), part, root, below)
    for key in unknown:
        done[key] = _fill(value[key], extra, root, f"{where}.{key}")
    return done


def _types(schema):
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def _resolve(schema, root):
    if isinstance(schema, dict) and "$ref" in schema:
        return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in schema.items() if k != "$ref"}
    return schema if isinstance(schema, dict) else {}


def _references(config, schema):
    """Names of blocks that other blocks use must exist."""
    known = {name: config[name] for name in ("recipes", "selections", "features")}
    uses = [("recipe", config["recipe"], "recipes")]
    for section in ("features", "models", "networks"):
        uses += [(f"{section}.{k}.selection", v["selection"], "selections") for k, v in config[section].items()]
    for section in ("models", "networks"):
        shown = {k: v["feature"] for k, v in config[section].items() if v["feature"]}
        uses += [(f"{section}.{k}.feature", name, "features") for k, name in shown.items()]
    for where, name, section in uses:
        if name not in known[section]:
            near = difflib.get_close_matches(name, known[section], n=1, cutoff=0.0)
            hint = f"did you mean {near[0]!r}?" if near else f"the section {section} is empty"
            raise ConfigError(f"config: {where} names {name!r}, which is no block of {section}; {hint}")
    for name, model in config["models"].items():
        if model["feature"] and config["features"][model["feature"]]["selection"] != model["selection"]:
            raise ConfigError(f"config: models.{name} and its feature {model['feature']!r} use different selections")
        _model(f"config: models.{name}", model, config["selections"][model["selection"]])
    for name, network in config["networks"].items():
        _network(f"config: networks.{name}", network, config)
        _own(f"networks.{name}", network, schema)
    pairs = [(f"recipes.{name}.highpass", block["highpass"]) for name, block in config["recipes"].items()]
    pairs += [(f"selections.{name}.baseline", block["baseline"]) for name, block in config["selections"].items()]
    pairs += [(f"models.{name}.lags", block["lags"]) for name, block in config["models"].items()]
    pairs += [
        (f"features.{name}, fmin and fmax,", None if block["fmax"] is None else [block["fmin"], block["fmax"]])
        for name, block in config["features"].items()
    ]
    for where, pair in pairs:
        if pair is not None and not pair[0] < pair[1]:
            raise ConfigError(f"config: {where} is {pair}; the first number must be below the second")
    for name, block in config["models"].items():
        if block["lags"]:
            try:
                _lags.check(block["lags"], config["selections"][block["selection"]]["sfreq"], 1)
            except ValueError as error:
                raise ConfigError(f"config: models.{name}.{error}") from None
    if config["split"]["stratify"] and config["split"]["method"] != "blocks":
        raise ConfigError("config: split.stratify is given, but only `method: blocks` keeps strata even")
    for name, block in config["datasets"].items():
        _dataset(f"config: datasets.{name}", block)
    _places.check(config)


def _dataset(where, block):
    """Keys of a dataset that its source needs, or does not know."""
    source = block["source"]
    needed = {"path": "path, the folder of the dataset"}
    needed |= dict.fromkeys(REMOTE, "version, a tag such as '2.0.2' or a commit")
    key = needed.get(source, "").partition(",")[0]
    if key and not block[key]:
        raise ConfigError(f"{where}: source {source!r} needs the key {needed[source]}")
    foreign = {"path": source != "path" and block["path"] is not None}
    foreign |= {key: source not in REMOTE and block[key] is not None for key in ("accession", "version", "url")}
    foreign |= {"keep_raw": source not in REMOTE and not block["keep_raw"]}
    for key in (key for key, given in foreign.items() if given):
        others = "'path'" if key == "path" else " and ".join(map(repr, REMOTE))
        raise ConfigError(f"{where}.{key} is for datasets of source {others}, not {source!r}; drop it")
    for key, value in block["only"].items():
        if value == []:
            raise ConfigError(f"{where}.only.{key} is an empty list, with which no recording is left; drop the key")


def _model(where, block, selection):
    """What the keys of a model cannot mean together, whatever the data are."""
    refused = []
    for people in (1, 10**6):  # what serves a few people or many is for the data to decide
        try:
            choice.choose(block["bootstrap"], block["interval"], block["errors"], people)
        except ValueError as error:
            refused.append(str(error))
    if len(refused) == 2:
        raise ConfigError(f"{where}: {refused[1]}")
    if block["lags"] is None:
        return
    if selection["kind"] != "events" or selection["length"] is not None:
        raise ConfigError(f"{where}.lags are from an event on: its selection must be of kind 'events', without length")
    foreign = {key: bool(block[key]) for key in ("feature", "log", "compare", "influence")}
    foreign |= {"bootstrap": block["bootstrap"] in ("pairs", "wild")}
    foreign |= {"errors": block["errors"] not in ("auto", "cr1", "cr2")}
    for key in (key for key, given in foreign.items() if given):
        raise ConfigError(
            f"{where}.{key} is {block[key]!r}, which a model with lags cannot have: it is fitted to the continuous "
            "signal, whose samples are not independent; drop the key, or the lags"
        )


def _network(where, block, config):
    """What the keys of a network cannot mean together, whatever the data are."""
    if block["feature"] and config["features"][block["feature"]]["selection"] != block["selection"]:
        raise ConfigError(f"{where} and its feature {block['feature']!r} use different selections")
    if block["feature"] and (block["input"] != "raw" or block["shuffle_time"]):
        raise ConfigError(f"{where}: input and shuffle_time are for windows; drop them, or the feature")
    if block["task"] == "classification" and not isinstance(block["target"], str):
        raise ConfigError(f"{where}.target: only a regression (`task: regression`) has several targets; name one")
    if block["task"] == "regression" and (block["balance"] != "none" or block["vote"] is not None):
        raise ConfigError(f"{where}: balance and vote are for classes; a regression has none, drop them")
    if block["folds"] == "leave-one-dataset-out" and len(config["datasets"]) < 2:
        raise ConfigError(f"{where}.folds: leave-one-dataset-out needs two datasets, and there is one")
    classes = config["selections"][block["selection"]]["classes"]
    for label in block["labels"] or ():
        if label not in classes:
            raise ConfigError(
                f"{where}.labels names {label!r}, which is no class of the selection {block['selection']!r}; it has "
                f"{', '.join(classes)}"
            )


def _own(where, block, schema):
    """Parameters of a network's model and of its input, which have parts of the schema to themselves.

    Those of another package's models are known when they are built.
    """
    if block["model"] in schema["$defs"]["network"]["properties"]["model"]["anyOf"][0]["enum"]:
        block["params"] = _params(f"{where}.params", block["params"], f"params-{block['model']}", schema)
    kind = "feature" if block["feature"] else block["input"]
    block["input_params"] = _params(f"{where}.input_params", block["input_params"], f"input_params-{kind}", schema)
    maps = schema["$defs"].get(f"params-{block['model']}", {"properties": {}})["properties"].get("maps")
    if maps is None:
        return
    maps = block["params"].get("maps", maps["default"])
    bands = (defaults(schema, "input_params-topographies") | block["input_params"])["bands"]
    shown = len(bands) if block["input"] == "topographies" and not block["feature"] else 1
    if maps not in (1, shown):
        raise ConfigError(
            f"config: {where}.params: {block['model']} makes planes of {maps} maps that stand side by side (maps), and "
            f"its input has {shown}; give `maps: {shown}`, or as many bands to `input: topographies`"
        )


def _params(where, given, kind, schema):
    """The given ones, checked; defaults are left to the model and the input."""
    part = schema["$defs"].get(kind, {"properties": {}, "additionalProperties": False})
    if given and not part["properties"]:
        raise ConfigError(f"config: {where}: {kind.split('-')[1]} has none; drop {', '.join(map(repr, given))}")
    done = _fill(given, part, schema, where)
    _valid(done, part, where)
    return {key: done[key] for key in given}


def check_frozen(config, schema, derivatives):
    """Refuse a recipe, selection or feature whose results under `derivatives` were made with other parameters."""
    recipe = config["recipe"]
    blocks = {"recipe": (f"recipes.{recipe}", config["recipes"][recipe], "recipe")}
    for kind in ("selection", "feature"):
        for name, block in config[f"{kind}s"].items():
            blocks[f"{kind}-{name}"] = (f"{kind}s.{name}", block, kind)
    for dataset in config["datasets"]:
        for file, (name, block, kind) in blocks.items():
            frozen(derivatives / dataset / recipe / "code" / f"{file}.json", block, name, defaults(schema, kind))


def check_folders(config, index):
    """Refuse a dataset whose folder is not there and of which `index` (a folder) has no table of recordings.

    And a simulation in the place of a clone, with all that was fetched.
    """
    for name, block in config["datasets"].items():
        indexed = (index / name / "recordings.tsv").is_file()
        if block["source"] == "path" and not (Path(block["path"]).expanduser().is_dir() or indexed):
            raise ConfigError(
                f"config: datasets.{name}.path: there is no folder {block['path']!r} (seen from {Path.cwd()}); mend it"
            )
        if block["source"] == "simulate" and (index.parent / "raw" / name / ".git").exists():
            raise ConfigError(
                f"config: datasets.{name}: results/raw/{name} holds what was fetched, and a simulation would replace "
                "it; give the simulation another name, or delete that folder"
            )


def images(named, built, needed):
    """Container image of each family of rules.

    Parameters
    ----------
    named : dict of str to str or None
        The section ``images`` of the config: an image by family, None where `built` decides.
    built : pathlib.Path
        JSON of the images that ``make images`` built, by family, beside which they lie; need not exist.
    needed : bool
        Whether jobs run in containers.

    Returns
    -------
    dict of str to str or None

    Raises
    ------
    ConfigError
        An image is needed but not named, or a file that is not there.
    """
    known = json.loads(built.read_text(encoding="utf-8")) if built.is_file() else {}
    known = {family: str(built.parent / name) for family, name in known.items()}
    found = {family: image or known.get(family) for family, image in named.items()}
    for family, image in found.items() if needed else []:
        if image is None:
            raise ConfigError(
                f"config: images.{family} is not set, but jobs are to run in containers (--sdm apptainer): run "
                "`make images` once, or name an image by its digest"
            )
        if image.endswith(".sif"):
            found[family] = str(Path(image).expanduser().absolute())
            if not Path(found[family]).is_file():
                raise ConfigError(f"config: images.{family}: there is no file {image!r}; run `make images`, or mend it")
    return found


def binds(datasets, given="", written=(), against=None):
    """What a container must be shown beside the working directory: the folders of `datasets` that are here, read-only.

    Parameters
    ----------
    datasets : dict of str to dict
        The section of the config.
    given : str
        ``APPTAINER_BIND`` as it is.
    written : iterable of pathlib.Path
        Folders that are written (`_places.folders`); of one that is not there yet, the next one above it is shown.
    against : str, optional
        Another run, or its record, which is read.

    Returns
    -------
    str
        ``APPTAINER_BIND`` as it should be.
    """
    found = given.split(",") if given else []
    read = [Path(block["path"]).expanduser() for block in datasets.values() if block["source"] == "path"]
    if against:
        other = Path(against.split("/results/studies/")[0]).expanduser()
        read.append(other if other.is_dir() else other.parent)
    for folder in (Path(os.path.abspath(path)) for path in read):
        # the workflow names the place as it is given, links inside a dataset may name it as it is
        found += [_bind(place) for place in (folder, folder.resolve()) if place.is_dir() and not _shown(place)]
    for folder in written:
        place = next(place for place in (folder, *folder.parents) if place.is_dir())
        # what would be made at the very top is no folder to be shown: the job will say that it cannot write there
        found += [_bind(place, "")] if place.parent != place and not _shown(place) else []
    return ",".join(dict.fromkeys(found))


def _shown(place):
    """Whether a container sees this folder anyway, since it stands in the working directory."""
    return place.is_relative_to(Path.cwd()) or place.is_relative_to(Path.cwd().resolve())


def _bind(place, mode=":ro"):
    """Bind of one folder; not for reading only where results are written within."""
    if set(str(place)) & set(",:"):
        raise ConfigError(f"config: a container cannot be shown {str(place)!r}: no comma and no colon, please")
    return f"{place}:{place}" if Path.cwd().is_relative_to(place) else f"{place}:{place}{mode}"


def frozen(path, block, name, defaults):
    """Refuse a block of parameters that differs from the one its results were made with.

    Parameters
    ----------
    path : pathlib.Path
        Where the parameters were frozen beside the results (JSON); nothing to refuse where it does not exist.
    block : dict
        The parameters of the config, completed.
    name : str
        Where the block stands in the config, e.g. ``recipes.standard``.
    defaults : dict
        Defaults of the schema: a key that is younger than the results counts as its default.

    Raises
    ------
    ConfigError
        Names the first differing key, both values and the ways out.
    """
    if not path.is_file():
        return
    old = json.loads(path.read_text(encoding="utf-8"))
    for key in sorted(set(old) | set(block)):
        before, now = (json.loads(json.dumps(each.get(key, defaults.get(key)))) for each in (old, block))
        if before != now:
            raise ConfigError(
                f"config: {name}.{key} is {now!r}, but the results in {path.parent.parent} were made with {before!r}; "
                f"give the block another name to keep both, or set the value back, or delete the results and {path}"
            )


def defaults(schema, kind):
    """Defaults of one kind of block (a name of the schema's ``$defs``) as a dict."""
    return {key: part["default"] for key, part in schema["$defs"][kind]["properties"].items() if "default" in part}


def markdown(schema):
    """The table of keys of ``config/README.md``, as Markdown."""
    parts = [("The top level", schema)]
    parts += [(_title(kind), part) for kind, part in schema["$defs"].items()]
    lines = []
    for title, part in parts:
        lines += [f"### {title}", ""]
        if "description" in part and part is not schema:
            lines += [part["description"], ""]
        lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
        for key, each in part["properties"].items():
            each = _resolve(each, schema)
            listed = each.get("enum") or each.get("anyOf", [{}])[0].get("enum", [])
            kind = each.get("type") or "one of " + ", ".join(f"`{value}`" for value in listed)
            kind = " or ".join(kind) if isinstance(kind, list) else kind
            default = f"`{json.dumps(each['default'])}`" if "default" in each else "required"
            lines.append(f"| `{key}` | {kind} | {default} | {each['description']} |")
        lines.append("")
    return "\n".join(lines)


def _title(kind):
    """Heading of the table of one of the schema's ``$defs``."""
    key, _, owner = kind.partition("-")
    if owner:
        return f"`{key}` of `{owner}`"
    return {"split": "`split`", "image": "`images`"}.get(kind, f"A block of `{kind}s`")
