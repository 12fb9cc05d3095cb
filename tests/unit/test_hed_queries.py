"""The page for users: its queries find what it says, and what it says is refused is refused."""

import json
import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT
from hedgerow import hed, table

PAGE = (ROOT / "config/queries.md").read_text()
TABLES = {
    "faces": "ds003645/sub-002/sub-002_task-FacePerception_run-1_events.tsv",
    "motion, run 3": "ds004362/sub-002/eeg/sub-002_task-motion_run-3_events.tsv",
    "motion, run 5": "ds004362/sub-002/eeg/sub-002_task-motion_run-5_events.tsv",
}
HBN = "ds005505/sub-NDARAC904DMU/eeg/sub-NDARAC904DMU_task-{}_events.tsv"
EXAMPLES = [
    [cell.strip().strip("`") for cell in line.strip("|").split("|")]
    for line in re.findall(r"^\| (?!\.)[^|\n]+ \| `[^\n]+ \| \d+ \|$", PAGE, re.MULTILINE)
]
REFUSED = re.search(r"\| query \| instead \|\n\|---\|---\|\n(.*?)\n\n", PAGE, re.DOTALL).group(1)
REFUSED = [query for line in REFUSED.splitlines() for query in re.findall("`([^`]+)`", line.split(" | ")[0])]


def test_the_page_has_examples():
    assert len(EXAMPLES) == 20
    assert len(REFUSED) == 10


@pytest.mark.parametrize("example", EXAMPLES, ids=" ".join)
def test_an_example_finds_what_the_page_says(shared, example):
    name, query, *context, count = example
    during, not_during = (cell or None for cell in context or ["", ""])
    path = TABLES.get(name, HBN.format(name.replace(", run ", "_run-")))
    root = shared / "data/events-only" / path.split("/")[0]
    sidecar = root / f"task-{path.split('_task-')[1].split('_')[0]}_events.json"
    version = json.loads((root / "dataset_description.json").read_text())["HEDVersion"]
    events = table.read(root.parent / path, text=True)
    context = {"during": during, "not_during": not_during}
    found = hed.find(events, json.loads(sidecar.read_text()), query, hed_version=version, **context)
    assert found.sum() == int(count)


@pytest.mark.parametrize("query", REFUSED)
def test_a_query_that_the_page_refuses_is_refused(query):
    # A and B stand for any tag
    query = re.sub(r"\bA\b", "Red", re.sub(r"\bB\b", "Blue", query))
    with pytest.raises(ValueError, match="query"):
        hed.check(query, hed_version="8.3.0")


@pytest.mark.parametrize(("first", "checked"), [("", False), ("import inflect", True)], ids=["ours", "as it is"])
def test_hedtools_is_imported_without_checks_of_types(first, checked):
    """In a process of its own: nothing is written into inflect, and what others get of typeguard is as it was."""
    code = f"""
{first}
from hedgerow import _query
_query.schema("8.3.0")
import inflect, typeguard
assert ("TypeCheckMemo" in inflect.engine.plural.__code__.co_varnames) == {checked}
assert typeguard.typechecked.__name__ == "typechecked"
assert inflect.engine().plural("second") == "seconds"
"""
    path = {"PYTHONPATH": str(ROOT / "workflow/src")}
    subprocess.run([sys.executable, "-c", code], env=os.environ | path, check=True)
