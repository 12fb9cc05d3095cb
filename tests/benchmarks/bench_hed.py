"""HED queries over many tables: CPU seconds against hedtools by itself and against reading the tables alone.

One thread, prints Markdown: ``python tests/benchmarks/bench_hed.py [--data FOLDER] [--plain TABLES]``. The data are the
event tables of OpenNeuro ds003645 (face processing, HED 8.1.0 with definitions and value columns), no signals.

The plain way is that of hedtools' own tools: TabularInput, EventManager, HedTagManager.get_hed_objs and a QueryHandler
on every row. It validates nothing and searches one form of the definitions; ours validates every row, follows Onset and
Offset, and searches definitions by name and by content.
"""

import argparse
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))

from hedgerow import _lexicon, hed, table
from hedgerow.account import Fault

DATA = Path(__file__).resolve().parents[3] / "shared/data/events-only/ds003645"
QUERIES = [
    "Sensory-event",
    "Agent-action && Participant-response",
    "Def/Face-image",
    "Face && Famous",
    "[Press && Keyboard-key]",
    "{Intended-effect && Cue}",
    "@Cue",
    "Item-interval/1",
    "Experimental-trial/5*",
]


def seconds(work):
    """CPU seconds of one call, and what it gives."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def read(root, paths):
    """Tables and their sidecars."""
    given = []
    for path in paths:
        task = path.name.split("_task-")[1].split("_")[0]
        sidecar = json.loads((root / f"task-{task}_events.json").read_text())
        given.append((table.read(path, text=True), sidecar))
    return given


def ours(tables, version, during=None):
    """Rows found by all queries together; tables without annotation are refused."""
    found, refused = 0, 0
    for events, sidecar in tables:
        try:
            one = hed.Events(events, sidecar, hed_version=version, on_error="skip_rows")
        except Fault:
            refused += 1
            continue
        found += sum(int(one.find(query, during=during).sum()) for query in QUERIES)
    return found, refused


def plain(root, paths, version):
    """The same with hedtools alone, one form of the definitions; it too refuses tables without onsets."""
    from hed import HedFileError, QueryHandler, Sidecar, TabularInput, load_schema_version
    from hed.tools.analysis.event_manager import EventManager
    from hed.tools.analysis.hed_tag_manager import HedTagManager

    schema = load_schema_version(version)
    handlers, found = [QueryHandler(query) for query in QUERIES], 0
    for path in paths:
        task = path.name.split("_task-")[1].split("_")[0]
        given = TabularInput(str(path), sidecar=Sidecar(str(root / f"task-{task}_events.json")))
        try:
            manager = EventManager(given, schema)
        except HedFileError:
            continue
        objects = HedTagManager(manager).get_hed_objs(include_context=True, replace_defs=True)
        found += sum(bool(one) and bool(handler.search(one)) for handler in handlers for one in objects)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--plain", type=int, default=0, help="tables for hedtools alone, scaled to all (0: all)")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(print(f"{arguments.data} is not there: nothing to measure"))
    warnings.simplefilter("ignore")
    root, version = arguments.data, json.loads((arguments.data / "dataset_description.json").read_text())["HEDVersion"]
    paths = sorted(root.rglob("*_events.tsv"))
    hed.matches("Red", "Red", hed_version=version)  # imports and the schema count for nobody

    reading, tables = seconds(lambda: read(root, paths))
    rows = sum(len(events) for events, _ in tables)
    whole, _ = seconds(lambda: ours(read(root, paths), version))
    _lexicon._lexicon.cache_clear()
    first, (found, refused) = seconds(lambda: ours(tables, version))
    again, _ = seconds(lambda: ours(tables, version))
    inside, _ = seconds(lambda: ours(tables, version, during="Def/Fixation-task"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    annotated = [path for path, (events, _) in zip(paths, tables) if "event_type" in events]
    some = annotated[:: max(1, len(annotated) // arguments.plain)] if arguments.plain else annotated
    alone, _ = seconds(lambda: plain(root, some, version))
    length = {path: len(events) for path, (events, _) in zip(paths, tables)}
    share = sum(map(length.get, some)) / sum(map(length.get, annotated))
    alone /= share

    print(f"**CPU seconds**, {len(paths)} tables, {rows:,} rows, {len(QUERIES)} queries, one run, one thread")
    print(f"({refused} tables without annotation, refused; {found:,} hits; peak memory {peak:.0f} MB before hedtools")
    print(f"alone{'' if share == 1 else f', which ran on {100 * share:.0f} % of the rows, scaled'})\n")
    print("| what | CPU s | rows per CPU s | times reading and searching |\n|---|---|---|---|")
    for what, spent in [
        ("reading the tables alone", reading),
        ("ours: reading, sidecars, validation, 9 queries", whole),
        ("ours: without reading", first),
        ("ours: without reading, `during` in each query, sidecars known", inside),
        ("ours: without reading, sidecars known", again),
        ("hedtools alone: reading, 9 queries, no validation", alone),
    ]:
        print(f"| {what} | {spent:.2f} | {rows / spent:,.0f} | {spent / whole:.2f} |")
