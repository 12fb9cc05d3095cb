"""The index of a dataset and its fingerprint: CPU seconds against pybids's layout, and how they grow.

Core only, prints Markdown: ``python tests/benchmarks/bench_index.py [DATASET ...] [--recordings 10000]``.

`DATASET` is a BIDS dataset (by default the events-only copy of ds005505 beside the checkout, 240 recordings, where it
is there); a made-up one of so many recordings is written to a temporary folder: subjects with 20 sessions of ten tasks,
each recording an EDF file of a few bytes, its tables and its sidecar. Ours is the whole of `hedgerow.bids.index`,
digests of all tables included; the layouts list files (and metadata) and resolve nothing.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))

from bids import BIDSLayout, BIDSLayoutIndexer

from hedgerow import bids, layout, table

HEADER = "| dataset | what | CPU s | CPU s per 1,000 recordings | times ours |\n|---|---|---|---|---|"
REAL = Path(__file__).resolve().parents[3] / "shared/data/events-only/ds005505"


def seconds(work):
    """CPU seconds of one call, and what it gave."""
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


def by_pybids(root, metadata):
    """CPU seconds of the layout of pybids over `root`."""
    indexer = BIDSLayoutIndexer(validate=False, index_metadata=metadata)
    return seconds(lambda: BIDSLayout(root, validate=False, indexer=indexer))[0]


def ours(root, folder):
    """CPU seconds of the first index, of one that knows the digests, and of both fingerprints; recordings."""
    bids._entities.cache_clear()
    first, (recordings, _, cache) = seconds(lambda: bids.index(root))
    digests = Path(folder, "sha256.tsv")
    table.write(digests, cache)
    again, _ = seconds(lambda: bids.index(root, cache=table.read(digests, text=True)))
    reading, _ = seconds(lambda: layout.tree(root))
    known, _ = seconds(lambda: layout.tree(root, digests))
    return [
        ("index", first),
        ("index, digests known", again),
        ("fingerprint, every table read", reading),
        ("fingerprint, digests known", known),
    ], len(recordings)


def print_rows(name, rows, count):
    """Rows of the table; the first is what the others are compared with."""
    for what, spent in rows:
        print(f"| {name} | {what} | {spent:.3f} | {1000 * spent / count:.3f} | {spent / rows[0][1]:.1f} |")


def make(root, recordings):
    """A dataset of so many recordings, ten a session, 20 sessions a subject."""
    (root / "dataset_description.json").write_text(
        '{"Name": "made up", "BIDSVersion": "1.11.0", "HEDVersion": "8.3.0"}'
    )
    (root / "task-0_events.json").write_text(json.dumps({"trial_type": {"HED": {"a": "Sensory-event"}}}))
    for number in range(recordings):
        subject, session, task = f"{number // 200:03d}", f"{number // 10 % 20:02d}", number % 10
        folder = root / f"sub-{subject}/ses-{session}/eeg"
        if task == 0:
            folder.mkdir(parents=True)
        stem = folder / f"sub-{subject}_ses-{session}_task-{task}"
        Path(f"{stem}_eeg.edf").write_bytes(b"0" * 2000)
        Path(f"{stem}_eeg.json").write_text(json.dumps({"SamplingFrequency": 250, "TaskName": str(task)}))
        Path(f"{stem}_channels.tsv").write_text("name\ttype\tunits\n" + "Cz\tEEG\tuV\n" * 32)
        Path(f"{stem}_events.tsv").write_text("onset\tduration\ttrial_type\n" + "1.0\t0.1\ta\n" * 100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", type=Path, default=[REAL] if REAL.is_dir() else [])
    parser.add_argument("--recordings", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(HEADER)
        for root in arguments.datasets:
            rows, count = ours(root, folder)
            rows.append(("pybids layout without metadata", by_pybids(root, False)))
            rows.append(("pybids layout with metadata", by_pybids(root, True)))
            print_rows(f"{root.name}, {count} recordings", rows, count)
        made = Path(folder, "made-up")
        made.mkdir()
        make(made, arguments.recordings)
        rows, count = ours(made, folder)
        print_rows(f"made up, {count} recordings", rows, count)
