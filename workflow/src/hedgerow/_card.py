"""README of a derivative, at the same time its card at the Hugging Face Hub, written from accounts (`hedgerow._tally`).

It holds no date and no place: the same accounts give the same text.
"""

import re
from pathlib import Path
from statistics import median

import jinja2
import yaml

from . import __version__
from ._tally import percent
from .account import REASONS

TEMPLATE = Path(__file__).parent / "templates" / "card.md.j2"

#: Sizes of datasets at the Hub: windows below which a name holds.
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
SIZES += ((10**8, "10M<n<100M"), (10**9, "100M<n<1B"))

#: Recordings that left are named up to so many; of the others the reasons are counted.
NAMED = 30


def render(tally, *, dataset, description, licence, config, participants, split=None, commit=None, features=False):
    """README.md of a derivative.

    Parameters
    ----------
    tally : Tally
    dataset : str
        Name in the config.
    description : dict
        ``dataset_description.json`` of the derivative.
    licence : dict
        From `hedgerow.licence.judge`.
    config : dict
        The completed config of the study.
    participants : DataFrame
        The published people, with their ``split``.
    split : dict, optional
        Keywords by which people were split.
    commit : str, optional
        Commit of the source.
    features : bool
        Whether there are any.

    Returns
    -------
    str
    """
    facts = tally.facts()
    block = {"name": config["recipe"], **config["recipes"][config["recipe"]]}
    selections = [_selection(name, config["selections"][name], found) for name, found in tally.windows.items()]
    loader = jinja2.FileSystemLoader(TEMPLATE.parent)
    environment = jinja2.Environment(
        loader=loader,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"several": several, "cell": cell, "grouped": grouped}
    front = yaml.safe_dump(_front(description, licence, facts), sort_keys=False, allow_unicode=True, width=1000)
    return environment.get_template(TEMPLATE.name).render(
        **facts,
        front=front.strip(),
        about=description,
        dataset=dataset,
        study=config["study"],
        version=__version__,
        licence=licence,
        selections=selections,
        recipe=steps(block),
        config=config,
        example=_example(tally),
        groups=_groups(participants),
        folds=_folds(participants) if split else None,
        split=split,
        origins=_origins(description, config["datasets"][dataset]["source"], commit),
        hed=_joined(description.get("HEDVersion")),
        features=features,
        left=tally.left[:NAMED],
        more=_counted(tally.left[NAMED:]),
        reasons=REASONS,
    )


def steps(recipe):
    """What a recipe does to a signal, in words, in the order in which it does it: list of str."""
    get, done = recipe.get, []
    if get("resample"):
        done.append(f"brought to {recipe['resample']:g} Hz")
    if get("highpass"):
        low, high = recipe["highpass"]
        done.append(f"high-pass filter without phase shift, transition from {low:g} to {high:g} Hz")
    done.append(_looked_for(get))
    if get("line_noise"):
        done.append({"notch": "hum of the mains taken out by narrow notches"}.get(recipe["line_noise"], _ZAPLINE))
    if get("asr_cutoff"):
        does = "marks what exceeds" if get("asr_action") == "mark" else "repairs what exceeds"
        done.append(
            f"artifact subspace reconstruction, calibrated on the cleanest part of each recording, {does} it by "
            f"{recipe['asr_cutoff']:g} standard deviations"
        )
    if get("bad_segments") is not None:
        share = percent(recipe["bad_segments"])
        done.append(f"a second in which more than {share} of the good channels are still too strong is marked as bad")
    if get("ica_probability"):
        probability = percent(recipe["ica_probability"])
        done.append(f"independent components that ICLabel takes for artefacts by more than {probability} taken out")
    done.append("bad channels " + ("replaced by spherical splines of the others" if get("interpolate") else "left"))
    reference = get("reference")
    reference = reference if isinstance(reference, str) or not reference else ", ".join(reference)
    done.append(f"reference: {reference or 'as recorded'}")
    return done


_ZAPLINE = "hum of the mains taken out by its topographies (Zapline)"


def _looked_for(get):
    parts = []
    if get("flat_seconds"):
        parts.append(f"that stand still for more than {get('flat_seconds'):g} s")
    if get("noise_sd"):
        parts.append(f"noisier above 50 Hz than the others by {get('noise_sd'):g} standard deviations")
    if get("ransac"):
        parts.append(f"correlating less than {get('ransac'):g} with what others predict at their place")
    if get("correlation"):
        where = " (where places are unknown)" if get("ransac") else ""
        parts.append(f"correlating less than {get('correlation'):g} with the others{where}")
    return (
        f"bad channels found: those {', or '.join(parts)}" if parts else "bad channels taken as the source marks them"
    )


def _selection(name, block, found):
    """What the card says of one selection."""
    shapes = sorted(found["shapes"])
    rows = [
        {"label": label, "query": block["classes"][label], "windows": count, "people": len(people)}
        for label, (count, people) in found["classes"].items()
    ]
    return {
        "name": name,
        "words": _words(block),
        "rows": rows,
        "windows": sum(row["windows"] for row in rows),
        "channels": _range([shape[0] for shape in shapes]),
        "rate": _range([shape[1] for shape in shapes]),
        "samples": _range([shape[2] for shape in shapes if shape[2]]),
        "unlike": len({shape[:2] for shape in shapes}) > 1,
        "without": sorted(found["without"].items()),
    }


def _words(block):
    """What windows a selection cuts, as a sentence without its end."""
    length, start, end = block["length"], block["tmin"], block["tmax"]
    step = "" if not block["step"] or block["step"] == length else f", one every {block['step']:g} s"
    if block["kind"] == "intervals":
        text = f"windows of {length:g} s{step}, along every interval that matches"
        text += f", from {start:g} s after its beginning" if start else ""
        text += f", to {abs(end):g} s {'after' if end > 0 else 'before'} its end" if end else ""
        until = block["until"]
        ends = until.values() if isinstance(until, dict) else [until] if until else []
        text += f" (it ends with {' or '.join(f'`{query}`' for query in ends)})" if ends else ""
    elif length is not None and length < end - start:
        text = (
            f"windows of {length:g} s{step}, from {_signed(start)} to {_signed(end)} s around every event that matches"
        )
    else:
        text = f"one window from {_signed(start)} to {_signed(end)} s around every event that matches"
    text += f", only during `{block['during']}`" if block["during"] else ""
    text += f", not during `{block['not_during']}`" if block["not_during"] else ""
    if block["baseline"]:
        low, high = map(_signed, block["baseline"])
        text += f"; the mean from {low} to {high} s is subtracted"
    text += f"; what is faster than {block['lowpass']:g} Hz is filtered out" if block["lowpass"] else ""
    if block["reject"] is None:
        return f"{text}; windows with time beyond repair are kept"
    most = f"with more than {percent(block['reject'])} of" if block["reject"] else "with"
    return f"{text}; windows {most} time beyond repair are left out"


def _front(description, licence, facts):
    """Metadata of the card, in the Hub's words."""
    front = {"license": licence["hub"]}
    if licence["hub"] == "other":
        front["license_name"] = re.sub(r"[^a-z0-9.]+", "-", licence["text"].lower()).strip("-")[:60] or "unknown"
    if licence["hub"] in ("other", "cc") and licence["url"]:
        front["license_link"] = licence["url"]
    size = next((name for most, name in SIZES if facts["windows"] < most), "1B<n<10B")
    tags = ["eeg", "electroencephalography", "neuroscience", "bids", "hed", "zarr", "hedgerow"]
    rest = {"tags": tags, "task_categories": ["other"], "size_categories": [size]}
    return {**front, "pretty_name": " ".join(description["Name"].split()), **rest}


def _example(tally):
    """A recording and a store, by which the card shows how to read."""
    stores = [name for name, found in tally.windows.items() if found["shapes"]]
    if not tally.published:
        return None
    rec = tally.published[0]
    entities = dict(part.split("-", 1) for part in rec.rsplit("/", 1)[-1].split("_"))
    words = {"sub": "subject", "ses": "session", "acq": "acquisition", "proc": "processing", "rec": "recording"}
    known = ("sub", "ses", "task", "acq", "run", "proc", "rec", "split", "space")
    keywords = ", ".join(f'{words.get(key, key)}="{value}"' for key, value in entities.items() if key in known)
    return {"rec": rec, "keywords": keywords, "selection": stores[0] if stores else None, "several": len(stores) > 1}


def _origins(description, kind, commit):
    """Where the raw dataset comes from, a text for each of `SourceDatasets`."""
    if kind == "simulate":
        return ["simulated by Hedgerow, with the parameters in `code/config.yaml`"]
    found = []
    for each in description["SourceDatasets"]:
        place = each.get("DOI") or each.get("URL") or "not stated"
        place = f"the folder `{place.removeprefix('file:')}`, which has no address" if place[:5] == "file:" else place
        found.append(place + (f", version {each['Version']}" if each.get("Version") else ""))
    return [f"{found[0]}, commit {commit}" if commit else found[0], *found[1:]]


def _joined(versions):
    return ", ".join(versions) if isinstance(versions, list) else versions


def _groups(people):
    """What the participants' table says of age and sex, in words; empty where it says nothing."""
    found = []
    ages = [float(value) for value in people.get("age", ()) if re.fullmatch(r"\d+(\.\d+)?", str(value))]
    if ages:
        found.append(f"aged {min(ages):g} to {max(ages):g} years, median {median(ages):g}")
    if "sex" in people:
        counts = people["sex"].dropna().value_counts().sort_index()
        found += [", ".join(f"{count} {value}" for value, count in counts.items())] if 0 < len(counts) < 5 else []
    return "; ".join(found)


def _folds(people):
    """People of each fold: pairs of name and number, by number."""
    counts = people["split"].dropna().value_counts()
    return sorted(counts.items(), key=lambda pair: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", pair[0])])


def _counted(rows):
    counts = {}
    for row in rows:
        counts[row["reason"]] = counts.get(row["reason"], 0) + 1
    return sorted(counts.items())


def _range(values):
    if not values:
        return None
    return f"{min(values):g}" if min(values) == max(values) else f"{min(values):g} to {max(values):g}"


def _signed(value):
    return f"{value:g}".replace("-", "−")


def grouped(number):
    """A whole number with commas between thousands."""
    return f"{number:,}"


def several(number, word):
    """A number with its noun."""
    plural = {"person": "people", "class": "classes"}.get(word, f"{word}s")
    return f"{number:,} {word if number == 1 else plural}"


def cell(text):
    """Text for a cell of a table in Markdown."""
    return " ".join(str(text).split()).replace("|", "\\|")
