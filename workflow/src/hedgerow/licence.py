"""What the licence of a dataset allows with a derivative of it, by the many ways in which people write one.

A licence is recognised as a whole or not at all: words that add a condition, a second licence or a sentence that
forbids make it unknown or forbidden, never more free than it is. The judgement is a help for a person, no legal advice.
"""

import json
import re
import unicodedata

#: What is written where no licence is stated.
NOTHING = {"", "n/a", "na", "none", "null", "unknown", "not specified", "unspecified", "tbd", "todo", "-", "?", "x"}

#: How the words of licences are brought to one spelling, in this order: pattern and what stands for it.
SPELLINGS = (
    # what the authors wish for, by no means ask (the datasets that came from OpenfMRI)
    (r"opendatacommons\.org/norms/\S*|odc attribution/share-?\s?alike community norms", " "),
    (r"creativecommons\.org/(licen[cs]es|publicdomain)/", " cc "),
    (r"opendatacommons\.org/licen[cs]es/", " odc "),
    (r"creative[ -]?commons?", "cc"),
    (r"open data commons?", "odc"),
    (r"community data licen[cs]e agreement", "cdla"),
    (r"non[ -]?commercial", "nc"),
    (r"share[ -]?alike", "sa"),
    (r"\bno[ -]?deriv[a-z]*", "nd"),
    (r"\battribution\b", "by"),
    (r"[^a-z0-9.+]+|\.(?!\d)", " "),
)

#: A licence of Creative Commons that asks for something: its parts, version and jurisdiction.
COMMONS = re.compile(
    r"\bcc ?by((?: ?(?:nc|sa|nd)(?![a-z]))*)(?![a-z])"
    r"(?: (?:licen[cs]e|public|international|unported|generic|version))*(?: ?v?(\d(?:\.\d)?))?"
    r"(?: (?:international|unported))?(?: (igo|at|au|de|fr|nl|uk|us)\b)?"
)

#: What a licence asks of those who pass a changed version on, by its parts.
ASKED = {
    "by": "with credit to its authors",
    "sa": "under the same licence",
    "nc": "not for commercial purposes",
}

_ODC, _CDLA, _SPDX = "https://opendatacommons.org/licenses", "https://cdla.dev", "https://spdx.org/licenses"
#: All other licences: SPDX, name at the Hugging Face Hub, URL, parts, and pattern in a text of one spelling.
OTHERS = (
    ("CC0-1.0", "cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/", (), r"\bcc ?[0o]\b|\bcc ?zero\b"),
    ("PDDL-1.0", "pddl", f"{_ODC}/pddl/1-0/", (), r"\bpddl\b|public domain dedication (and )?licen[cs]e"),
    ("ODC-By-1.0", "odc-by", f"{_ODC}/by/1-0/", ("by",), r"\bodc ?by\b(?! sa)"),
    ("ODbL-1.0", "odbl", f"{_ODC}/odbl/1-0/", ("by", "sa"), r"\bodbl\b|\bopen database licen[cs]e\b"),
    ("CDLA-Permissive-2.0", "cdla-permissive-2.0", f"{_CDLA}/permissive-2-0/", (), r"\bcdla permissive 2\b"),
    ("CDLA-Permissive-1.0", "cdla-permissive-1.0", f"{_CDLA}/permissive-1-0/", ("by",), r"\bcdla permissive 1\b"),
    ("CDLA-Sharing-1.0", "cdla-sharing-1.0", f"{_CDLA}/sharing-1-0/", ("by", "sa"), r"\bcdla sharing\b"),
    ("MIT", "mit", f"{_SPDX}/MIT.html", ("by",), r"\bmit licen[cs]e\b|^(the )?mit$"),
    ("Apache-2.0", "apache-2.0", f"{_SPDX}/Apache-2.0.html", ("by",), r"\bapache\b.*\bv?2\b"),
    ("BSD-3-Clause", "bsd-3-clause", f"{_SPDX}/BSD-3-Clause.html", ("by",), r"\bbsd 3 clause\b|\b3 clause bsd\b"),
)

#: Of no licence, but free: counts where the text names no licence.
PUBLIC = re.compile(r"\bpublic domain\b|^pd$")

#: Sentences that forbid passing data on, whatever licence they stand beside.
FORBIDDEN = re.compile(
    r"all rights reserved|\bdata (use|usage|user|transfer|sharing) agreements?\b|\bd[ut]a\b"
    r"|\b(not|no|never|cannot|without)( (for|be|to|any|further|allow(ed)?|permit(ted)?|publicly))*"
    r" (re ?)?(distribut|publish|shar(e|ed|ing)\b)\w*"
    r"|\b(re ?)?distribution( \w+){0,6} (prohibited|forbidden|not (permitted|allowed))"
    r"|\b(confidential|proprietary|embargo(ed)?)\b|\b(controlled|restricted) (access|use|data)\b|^restricted$"
    r"|internal use only|\b(up)?on request\b"
)
#: What sounds like it but says the contrary.
HARMLESS = re.compile(r"\bno (data (use|usage) agreement|dua)\b")

#: Versions that licences of Creative Commons have had.
VERSIONS = ("1.0", "2.0", "2.5", "3.0", "4.0")

#: Identifiers of Creative Commons licences that the Hugging Face Hub knows.
HUB = {
    *(f"cc-by-{version}" for version in ("2.0", "2.5", "3.0", "4.0")),
    *(f"cc-by-{part}-{version}" for part in ("sa", "nc-nd") for version in ("3.0", "4.0")),
    *(f"cc-by-{part}-{version}" for part in ("nc", "nc-sa") for version in ("2.0", "3.0", "4.0")),
    "cc-by-nd-4.0",
}


def judge(text):
    """Say whether a derivative of a dataset with this licence may be passed on, and under which conditions.

    Parameters
    ----------
    text : str or None
        ``License`` of its ``dataset_description.json``, in whatever spelling; anything but text is taken as JSON.

    Returns
    -------
    dict
        ``text`` as it is (None where nothing is stated); ``spdx``, the SPDX identifier, and ``url``, None where the
        text gives none; ``hub``, the identifier of the Hugging Face Hub (``other`` or ``unknown`` where it has none);
        ``share_alike``, whether the derivative must keep the licence (None: unknown); ``redistribution``,
        ``"allowed"``, ``"forbidden"`` or ``"unknown"``; ``sentence`` for a person.
    """
    text = "" if text is None else text if isinstance(text, str) else json.dumps(text)
    if text.strip().lower() in NOTHING:
        return _open(None, "The source states no licence", hub="unknown")
    plain, quoted = _plain(text), f"“{_short(text)}”"
    found = _named(plain)
    stray = set(re.findall(r"\b(?:nc|sa|nd)\b", plain)) - {part for each in found for part in each["parts"]}
    names = " and ".join(each["name"] for each in found)
    if FORBIDDEN.search(HARMLESS.sub(" ", plain)):
        return _closed(text, found, f"The source says {quoted}")
    closed = [each["name"] for each in found if "nd" in each["parts"]] or [quoted] * ("nd" in stray)
    if closed:
        return _closed(text, found, f"{closed[0]} lets nobody share a changed version, which this derivative is")
    if len(found) > 1:
        return _open(text, f"The source names several licences ({names})")
    if not found or found[0].get("version") not in (None, "", *VERSIONS):
        return _open(text, f"{quoted} is no licence that is known here")
    if stray:
        return _open(text, f"{quoted} adds a condition to {names}")
    asked = "".join(f", {ASKED[part]}" for part in ("by", "sa", "nc") if part in found[0]["parts"])
    return _entry(text, found[0], "allowed", f"{names}: everybody may share this derivative{asked}.")


def _plain(text):
    """`text` with its words brought to one spelling."""
    plain = " ".join(unicodedata.normalize("NFKC", text).lower().split())
    for pattern, word in SPELLINGS:
        plain = re.sub(pattern, word, plain)
    return plain.strip()


def _named(plain):
    """The licences that a text names, each once; one without version is the same as one with, if both are named."""
    found = {}
    for spdx, hub, url, parts, pattern in OTHERS:
        if re.search(pattern, plain):
            found[spdx] = {"name": spdx, "spdx": spdx, "hub": hub, "url": url, "parts": parts}
    commons = {}
    for given, version, place in COMMONS.findall(plain):
        parts = tuple(part for part in ("nc", "nd", "sa") if part in given)
        commons.setdefault(("by", *parts), set()).add((version, place))
    for parts, versions in commons.items():
        dated = {each for each in versions if each[0]} or versions
        found |= {(*parts, *each): _commons(parts, *each) for each in dated}
    if not found and PUBLIC.search(plain):
        found["pd"] = {"name": "Public domain", "spdx": None, "hub": "other", "url": None, "parts": ()}
    return list(found.values())


def _commons(parts, version, place):
    """A licence of Creative Commons; one of a jurisdiction, or without version, has no SPDX identifier here."""
    family = "-".join(parts)
    version = f"{version}.0" if version and "." not in version else version
    known = version in VERSIONS
    name = " ".join(["CC", family.upper(), version, place.upper()]).strip()
    url = f"https://creativecommons.org/licenses/{family}/" + (f"{version}/" + (f"{place}/" if place else "")) * known
    exact = f"cc-{family}-{version}" if known and not place else ""
    spdx = exact.upper() or None
    hub = exact if exact in HUB else "cc"
    found = {"name": " ".join(name.split()), "spdx": spdx, "hub": hub, "url": url if known else None}
    return {**found, "parts": parts, "version": version}


def _open(text, why, hub="other"):
    sentence = f"{why}: ask its authors before you pass this derivative on."
    return {**_entry(text, {"hub": hub}, "unknown", sentence), "share_alike": None}


def _closed(text, found, why):
    sentence = f"{why}: this derivative must not be passed on unless its authors allow it."
    return _entry(text, found[0] if len(found) == 1 else {}, "forbidden", sentence)


def _entry(text, found, verdict, sentence):
    known = {"spdx": found.get("spdx"), "url": found.get("url"), "hub": found.get("hub", "other")}
    share_alike = "sa" in found["parts"] if "parts" in found else None
    return {"text": text, **known, "share_alike": share_alike, "redistribution": verdict, "sentence": sentence}


def _short(text, most=80):
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
