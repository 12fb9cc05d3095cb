"""How a dataset and its tables are laid out: names, parts, fingerprints (standard library only).

Apart from `study`, which says what the rules need: a change there must not make a dataset be indexed and cleaned anew.
"""

import csv
import hashlib
import json
import os
from functools import cache
from pathlib import Path

#: Folders of a dataset that hold no raw recordings; results of a run in the dataset's own folder are among them.
NOT_RAW = ("sourcedata", "derivatives", "code", "results")
#: Where a run notes the folder of each dataset.
SOURCE = "results/index/{dataset}/source.json"
#: What a recording's stem with its folders looks like; what the wildcard ``rec`` matches.
REC = r"sub-[a-zA-Z0-9]+(?:/ses-[a-zA-Z0-9]+)?/eeg/sub-[a-zA-Z0-9]+(?:_(?!desc-)[a-z]+-[a-zA-Z0-9]+)*"


def rows(path):
    """Rows of a TSV file as dicts of text (cached by the file's time stamp and size); ``n/a`` becomes an empty text."""
    stat = os.stat(path)
    return _rows(str(path), stat.st_mtime_ns, stat.st_size)


@cache
def _rows(path, mtime_ns, size):
    with open(path, encoding="utf-8", newline="") as file:
        return [
            {key: "" if value == "n/a" else value for key, value in row.items()}
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


def root(dataset):
    """Folder of the raw files of `dataset`, as the run that is under way has it.

    It stands in a file rather than among the parameters of a job: a dataset that moved is the same dataset.
    """
    return Path(json.loads(Path(SOURCE.format(dataset=dataset)).read_text(encoding="utf-8"))["root"])


def part_of(subject, parts):
    """Part of a dataset in which `subject` is processed (``0of4``): a hash, so that it never changes."""
    number = int.from_bytes(hashlib.blake2b(str(subject).encode(), digest_size=8).digest(), "big") % parts
    return f"{number}of{parts}"


def tree(root):
    """Fingerprint of a dataset's folder, on which `index` runs again.

    Tables and sidecars enter by content, signals by name, size and time stamp (`index` then decides by their digests,
    which it keeps), annexed files by their key, whether their content is here or not.
    """
    total = hashlib.sha256()
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if name not in NOT_RAW and name[0] != ".")
        for name in sorted(files):
            path = Path(folder, name)
            total.update(f"{path.relative_to(root)}\0".encode())
            if path.is_symlink():
                total.update(os.path.basename(os.readlink(path)).encode())
            elif path.suffix in (".tsv", ".json"):
                total.update(path.read_bytes())
            else:
                stat = path.stat()
                total.update(f"{stat.st_size} {stat.st_mtime_ns}\0".encode())
    return total.hexdigest()[:16]
