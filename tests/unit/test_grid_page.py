"""The page for users of models: what it writes can be written, its lines of Python run, its tables are the code's."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from conftest import ROOT
from hedgerow import config, store
from hedgerow.grid import choice, design, maps

PAGE = (ROOT / "config/grid.md").read_text(encoding="utf-8")
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
CONTRASTED = "kind * intensity + kind * sex"


def rows(header):
    """Cells of the table below a header, a list for each row."""
    found = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|\n").split(" | ")] for line in found[1].splitlines()]


def named(cell):
    return re.findall("`([^`]+)`", cell)


def written(header):
    """What the first column of a table has between backticks."""
    return [name for row in rows(header) for name in named(row[0])]


@pytest.fixture(scope="module")
def windows():
    rng = np.random.default_rng(0)
    n = 240
    table = {name: rng.choice(levels, n) for name, levels in {
        "kind": ["famous", "scrambled", "unfamiliar"], "sex": ["F", "M"], "label": ["a", "b"], "run": [1, 2, 3],
    }.items()}  # fmt: skip
    return pd.DataFrame(table | {name: rng.normal(size=n) for name in ("intensity", "age")})


@pytest.mark.parametrize("formula", written("formula"))
def test_a_formula_of_the_page_gives_a_design(windows, formula):
    family = design.family(formula, [], windows)
    (row,) = [row for row in rows("formula") if formula in named(row[0])]
    coefficients = [name for name in named(row[1]) if "[" in name or name == "Intercept"]
    assert set(coefficients) <= set(family.coefficients)


@pytest.mark.parametrize("contrast", written("contrast"))
def test_a_contrast_of_the_page_has_weights(windows, contrast):
    _, weights = design.contrasts(design.family(CONTRASTED, [], windows), {"it": contrast})
    assert weights.shape[0] == 1 and np.abs(weights).sum() > 0


@pytest.mark.parametrize("test", written("test"))
def test_a_test_of_the_page_has_weights(windows, test):
    _, (weights,) = design.tests(design.family(CONTRASTED, [], windows), {"it": test})
    assert np.linalg.matrix_rank(weights) == (1 if test == "kind:sex" else 2)


def models():
    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    return {name: block for each in blocks for name, block in each["models"].items()}


@pytest.mark.parametrize("name", models())
def test_a_model_of_the_page_is_a_config_and_can_be_built(windows, name):
    given = {"study": "page", "datasets": {"lab": {"source": "path", "path": "raw"}}, "models": {name: models()[name]}}
    given["selections"] = {"onsets": {"classes": {"a": "A"}, "tmin": -0.2, "tmax": 0.8}}
    block = config.complete(given, SCHEMA)["models"][name]
    family = design.family(block["formula"], block["compare"], windows)
    assert design.contrasts(family, block["contrasts"])[1].shape[0] == len(block["contrasts"])
    assert len(design.tests(family, block["tests"])[1]) == len(block["tests"])


def test_what_auto_takes_is_what_the_page_says():
    for people, *said in rows("people"):
        chosen = choice.choose("auto", "auto", "auto", int(people.split()[-1].replace("more", "100")))
        assert [named(cell)[0] for cell in said] == [chosen[key] for key in ("bootstrap", "interval", "errors")]
    edges = [int(number) for people, *_ in rows("people") for number in re.findall(r"\d+", people)]
    assert edges == [1, choice.MIN_CLUSTERS - 1, choice.MIN_CLUSTERS]


def test_an_interval_goes_with_the_bootstraps_that_the_page_says():
    for row in rows("`interval`"):
        for bootstrap, (over, _) in choice.BOOTSTRAPS.items():
            given = (bootstrap, *named(row[0]), "auto", 20 if over == "people" else 3)
            if bootstrap in named(row[2]):
                assert choice.choose(*given)["bootstrap"] == bootstrap
            else:
                with pytest.raises(ValueError, match="interval"):
                    choice.choose(*given)


def test_the_page_has_every_method_and_no_other():
    allowed = {key: set(SCHEMA["$defs"]["model"]["properties"][key]["enum"]) - {"auto"} for key in
               ("bootstrap", "interval", "errors")}  # fmt: skip
    for key, names in allowed.items():
        assert set(written(f"`{key}`")) == names


@pytest.mark.parametrize(("header", "over", "people"), [
    ("over people", "people", 20), ("over the trials of one person", "trials", 1),
])  # fmt: skip
def test_a_method_whose_coverage_is_said_can_be_had(header, over, people):
    for row in rows(header):
        bootstrap, second = named(row[0])
        given = {"interval": "auto", "errors": "auto"} | {"errors" if bootstrap == "none" else "interval": second}
        assert choice.choose(bootstrap, **given, people=people)["over"] == over


def test_the_page_has_every_array():
    assert set(maps.MAPS) | set(maps.FURTHER) | set(maps.WHOLE) <= set(written("array of `maps.zarr.zip`"))


def test_the_lines_of_python_open_maps(tmp_path, monkeypatch):
    pytest.importorskip("xarray")
    monkeypatch.chdir(tmp_path)
    coef = np.random.default_rng(0).normal(size=(1, 3, 2, 4))
    arrays = {"coef": (coef, ["unit", "coefficient", "channel", "time"]), "unit": (["all"], ["unit"])}
    arrays |= {"coefficient": (["kind[T.unfamiliar]", "kind[T.scrambled]", "faces"], ["coefficient"])}
    arrays |= {"channel": (["Pz", "Cz"], ["channel"]), "time": (np.arange(4) / 100, ["time"])}
    store.write_arrays("maps.zarr.zip", arrays, {"axis": "time"})
    opened, plain = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names = {}
    exec(opened, names)
    np.testing.assert_array_equal(names["course"].values, coef[0, 1, 0])
    assert names["course"].dims == ("time",) and names["course"].time.values[1] == 0.01
    names = {}
    exec(plain, names)
    np.testing.assert_array_equal(names["contrast"], coef[0, 2])
