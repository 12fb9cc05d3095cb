"""How far apart two results are, by value: arrays, tables, JSON, weights, signals and texts.

A file is read as arrays of numbers or text by name, and facts: everything else that stands in it, by place. Facts must
be equal, but for those under `OF_THE_RUN`; arrays too, but for numbers with a fraction, which have a tolerance.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from . import store, table

#: Places in an account that tell where and by what it was made, or what the files were that are held against each other
#: themselves; in a config where a dataset lies (one that moved is the same dataset); in a description the containers.
OF_THE_RUN = re.compile(
    r"device|devices(\[\d+\])?|instructions|cpu|gpu|cuda|world|earlier_builds.*|torch|versions(\..*)?"
    r"|digest|entry|weights_sha256|sums|bytes"
    r"|datasets\.[^.]+\.path|overrides|GeneratedBy\[\d+\]\.Container(\..*)?"
)

#: How many faults of a file are told.
SAID = 3
#: Values that are compared at a time.
BLOCK = 2**20
#: Largest text that is compared line by line, in bytes.
TEXT = 10**6
#: Types of safetensors; numpy has none for those of 8 bits.
TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}
TYPES |= {"BOOL": "?", "BF16": "<u2"}


class Apart(NamedTuple):
    """How far two results are apart."""

    #: What is not alike, as words; empty where all is within the tolerance.
    unlike: str
    #: Largest difference of two numbers, and the same over the largest value of their array (or file, see `Tolerance`).
    absolute: float
    relative: float
    #: The array that the latter is of.
    where: str


def apart(ours, theirs, tolerance):
    """Hold two files against each other.

    Parameters
    ----------
    ours, theirs : path
        Of one name.
    tolerance : hedgerow.record.Tolerance

    Returns
    -------
    Apart
    """
    try:
        (arrays, facts), (others, their_facts) = _content(Path(ours)), _content(Path(theirs))
    except Exception as error:  # what a reader of damaged bytes comes upon has no bounds
        return Apart(f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})", 0.0, 0.0, "")
    unlike = _facts(facts, their_facts)
    unlike += [f"{name} is {'not there' if name in others else 'here alone'}" for name in sorted({*arrays} ^ {*others})]
    worst, scale = (0.0, 0.0, ""), None
    if tolerance.shared:
        scale = max((_largest(each) for each in (*arrays.values(), *others.values())), default=0.0)
    for name in sorted({*arrays} & {*others}):
        said, absolute, relative = _array(arrays[name], others[name], tolerance.of(name), scale)
        unlike += [f"{name}: {said}"] if said else []
        worst = max(worst, (absolute, relative, name), key=lambda each: each[1])
    more = f"; and {len(unlike) - SAID} more" if len(unlike) > SAID else ""
    return Apart("; ".join(unlike[:SAID]) + more, *worst)


def _facts(ours, theirs):
    """The first fact that is unlike, and how many more there are, as a list of at most one text."""
    names = [name for name in {**ours, **theirs} if ours.get(name, _GONE) != theirs.get(name, _GONE)]
    if not names:
        return []
    first, more = names[0], f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    if first not in theirs or first not in ours:
        return [f"{first} is {'here alone' if first in ours else 'not here'}{more}"]
    return [f"{first} is {_short(ours[first])}, there {_short(theirs[first])}{more}"]


_GONE = object()


def _short(value):
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _array(ours, theirs, tolerance, scale=None):
    """What is unlike in two arrays as words, their largest difference, and this over `scale`: their largest value."""
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}, there {theirs.shape}", 0.0, 0.0
    a, b = ours.reshape(-1), theirs.reshape(-1)
    kinds = {a.dtype.kind, b.dtype.kind}
    if not kinds <= set("fiub"):
        count = int(np.count_nonzero(a.astype(object) != b.astype(object)))
        return f"{count} of {a.size} are unlike" if count else "", 0.0, 0.0
    whole = "f" not in kinds
    scale = max(_largest(a), _largest(b)) if scale is None else scale
    worst, count, at = 0.0, 0, None
    for first in range(0, a.size, BLOCK):
        here, there = a[first : first + BLOCK], b[first : first + BLOCK]
        # what is not finite is judged by itself, whatever its differences come to
        with np.errstate(invalid="ignore", over="ignore"):
            x, y = here.astype(np.float64), there.astype(np.float64)
            same = (here == there) | (np.isnan(x) & np.isnan(y))
            beyond = ~same & ~(np.isfinite(x) & np.isfinite(y))
            difference = np.where(same | beyond, 0.0, np.abs(x - y))
            allowed = tolerance.relative * np.maximum(np.abs(x), np.abs(y)) + tolerance.absolute * scale
        bad = beyond | (~same & (whole | ~(difference <= allowed)))
        if bad.any() and (at is None or difference[bad].max() > worst):
            at = first + int(np.flatnonzero(bad)[difference[bad].argmax()])
        count += int(np.count_nonzero(bad))
        worst = max(worst, float(difference.max(initial=0.0)))
    relative = worst / scale if scale else 0.0
    if not count:
        return "", worst, relative
    place = [int(each) for each in np.unravel_index(at, ours.shape)]
    return f"{count} of {a.size} are unlike, at {place} {a[at]!s}, there {b[at]!s}", worst, relative


def _largest(values):
    """Largest finite magnitude of an array of numbers; 0 of text."""
    found, values = 0.0, values.reshape(-1) if values.dtype.kind in "fiub" else np.zeros(0)
    for first in range(0, values.size, BLOCK):
        part = np.abs(values[first : first + BLOCK].astype(np.float64))
        found = max(found, float(part[np.isfinite(part)].max(initial=0.0)))
    return found


def _content(path):
    """Arrays by name, and facts by place, of a file of any kind."""
    if path.suffix == ".npz":
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}, {}
    if path.suffix == ".zip":
        arrays, attributes = store.read_arrays(path)
        facts, numbers = _flat(attributes)
        return {**numbers, **arrays}, facts
    if path.suffix == ".safetensors":
        return _weights(path)
    if path.suffix == ".tsv":
        frame = table.read(path)
        return {str(name): _column(frame[name]) for name in frame}, {"columns": list(map(str, frame))}
    if path.suffix == ".eeg":
        return {"signal": np.fromfile(path, "<f4")}, {}
    if path.suffix in (".json", ".yaml"):
        text = path.read_text(encoding="utf-8")
        facts, numbers = _flat(json.loads(text) if path.suffix == ".json" else yaml.safe_load(text))
        return numbers, facts
    return {}, _lines(path)


def _lines(path):
    """Lines of a text; the content of anything else in one piece."""
    content = path.read_bytes()
    if len(content) > TEXT or b"\0" in content:
        return {"its content": content}
    lines = content.decode(errors="surrogateescape").split("\n")
    return {f"line {number}": line for number, line in enumerate(lines, start=1)}


def _column(column):
    """Values of a column of a table: numbers, or text with None for what is missing."""
    if column.dtype.kind in "fiub":
        return column.to_numpy()
    return column.astype(object).where(column.notna(), None).to_numpy()


def _flat(content):
    """Facts of what JSON holds, by place, and its numbers with a fraction by the last name on their way."""
    facts, numbers = {}, {}
    pending = [("", "", content)]
    while pending:
        place, name, value = pending.pop()
        if OF_THE_RUN.fullmatch(place):
            continue
        if isinstance(value, dict) and value:
            pending += reversed([(f"{place}.{key}".lstrip("."), str(key), each) for key, each in value.items()])
        elif isinstance(value, list) and value:
            pending += [(f"{place}[{at}]", name, each) for at, each in reversed(list(enumerate(value)))]
        elif isinstance(value, float):
            facts[place] = "a number"
            numbers.setdefault(name or "values", []).append(value)
        else:
            # to Python 1 and True are equal
            facts[place] = (value, "yes" if value else "no") if isinstance(value, bool) else value
    return facts, {name: np.array(values) for name, values in numbers.items()}


def _weights(path):
    """Tensors of a safetensors file, and what else its header tells."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, body, arrays = json.loads(content[8 : 8 + length]), content[8 + length :], {}
    facts, _ = _flat(header.pop("__metadata__", {}))
    for name, about in header.items():
        begin, end = about["data_offsets"]
        values = np.frombuffer(body[begin:end], TYPES[about["dtype"]])
        if about["dtype"] == "BF16":
            values = (values.astype("<u4") << 16).view("<f4")
        arrays[name] = values.reshape(about["shape"])
    return arrays, facts
