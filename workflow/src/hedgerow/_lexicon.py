"""What a sidecar says in one version of HED: schema, definitions, value columns, and answers that many tables share.

Everything here is a pure function of the HED version, the sidecar and a text, so the tables of one process share it.
hedtools assembles, parses, validates and searches; each distinct text reaches it once.

*Value columns* (``Experimental-trial/#``) would make a text of almost every row. hedtools compares a value only where a
query or another tag of the row writes one out, so here a value that is like every other stands as one private-use
character, its column's marker, and texts that differ by such values are one *template*.
"""

import functools
import json
import re
from io import StringIO

from hedgerow import _query, _timeline
from hedgerow.account import Fault

#: Markers of value columns; HED allows these characters nowhere.
MARKERS = range(0x10F000, 0x10FFFE)
#: Tags whose value says more than itself: what is defined, and what an Offset ends.
_NAMING = ("Def", "Def-expand", "Definition")
#: Errors that leave no doubt about what a row says: the row is used, and reported.
HARMLESS = ("TAG_EXPRESSION_REPEATED",)


class Memory(dict):
    """Cache that forgets everything when it is full: tables of one data set never come near the limit."""

    def __init__(self, limit):
        super().__init__()
        self._limit = limit

    def __setitem__(self, key, value):
        if len(self) >= self._limit:
            self.clear()
        super().__setitem__(key, value)


def of(sidecar, hed_version):
    """`Lexicon` of a sidecar (content of ``events.json``) and a HED version, shared between tables."""
    versions = (hed_version,) if isinstance(hed_version, str) else tuple(hed_version or ())
    return _lexicon(json.dumps(annotated(sidecar), sort_keys=True), versions)


@functools.lru_cache(maxsize=16)
def _lexicon(text, versions):
    return Lexicon(text, versions)


def annotated(sidecar):
    """Entries of a sidecar that bear HED, definitions included."""
    return {name: entry for name, entry in (sidecar or {}).items() if isinstance(entry, dict) and "HED" in entry}


class ValueColumn:
    """A column whose value goes into one tag: that tag before and after it, and whether it is a Delay or Duration."""

    def __init__(self, tag):
        self.prefix, self.suffix = tag.short_tag.split("#")
        self.timed = tag.short_base_tag in ("Delay", "Duration")

    def tag(self, value):
        """Text of the tag with a value."""
        return self.prefix + value + self.suffix


class Lexicon:
    """See the module; `text` is the annotated part of a sidecar as JSON.

    Attributes
    ----------
    schema, definitions
        Of hedtools.
    entries : dict
        Annotated entries of the sidecar, the malformed ones left out.
    malformed : list of str
        Columns whose HED is neither a text with one ``#`` nor a mapping of keys to texts.
    value_columns : dict
        `ValueColumn` of each column whose values may stand as markers.
    """

    def __init__(self, text, versions):
        self.schema = _query.schema(list(versions))  # which imports hedtools in the way that takes least
        from hed import Sidecar
        from hed.validator import HedValidator
        from hed.validator.def_validator import DefValidator
        from hed.validator.util.placeholder_util import placeholder_tag

        entries = json.loads(text)
        self.malformed = [name for name, entry in entries.items() if not _well_formed(entry["HED"])]
        self.entries = {name: entry for name, entry in entries.items() if name not in self.malformed}
        self._sidecar = Sidecar(StringIO(json.dumps(self.entries)))
        self.definitions = self._sidecar.get_def_dict(self.schema)
        self._validator = HedValidator(self.schema, def_dicts=self.definitions)
        self._def_validator = DefValidator(self.definitions, self.schema)
        self.value_columns, self.fixed = self._read()
        self._placeholders = {
            name: placeholder_tag(entry["HED"], self.schema, self.definitions)
            for name, entry in self.entries.items()
            if isinstance(entry["HED"], str)
        }
        self._queries, self._values, self._templates = Memory(1000), Memory(20_000), Memory(20_000)
        self._checked = Memory(5_000)
        self._judged, self._together = Memory(5_000), Memory(2_000)
        self._forms, self._answers, self._outcomes = Memory(500), Memory(50_000), Memory(50_000)

    def _read(self):
        """Value columns that may stand as markers, and the tags with a value that the sidecar itself writes out."""
        columns, fixed, strings = {}, set(), []
        for name, entry in self.entries.items():
            strings += [entry["HED"]] if isinstance(entry["HED"], str) else entry["HED"].values()
            if isinstance(entry["HED"], str):
                found = _query.parse_leniently(entry["HED"], self.schema).find_placeholder_tag()
                one = found is not None and found.is_takes_value_tag() and entry["HED"].count("#") == 1
                if one and found.short_base_tag not in _NAMING:
                    columns[name] = ValueColumn(found)
        for text in strings:
            for tag in _query.parse_leniently(text, self.schema).get_all_tags():
                if tag.extension:
                    fixed.add(tag.short_tag.casefold())
            # {name} as a part of a tag: what it becomes cannot be foreseen
            for name in re.findall(r"[^\s,(]\s*\{([^{}]+)\}|\{([^{}]+)\}\s*[^\s,)]", text):
                columns.pop(name[0] or name[1], None)
        return columns, fixed

    def query(self, text, name="query"):
        """Compiled `_query.Query` for events; `name` is what an error calls it."""
        if not isinstance(text, str) or text not in self._queries:
            compiled = _query.Query(text, self.schema, name=name)
            self._queries[text] = compiled
        return self._queries[text]

    def value(self, column, text):
        """Of one value: whether it may stand as a marker, its time in s if it is one, and its errors."""
        key = column, text
        if key not in self._values:
            self._values[key] = self._value(column, text)
        return self._values[key]

    def _value(self, column, text):
        from hed import HedTag

        slot, tag = self.value_columns.get(column), None
        errors, placeholder = [], self._placeholders[column]
        if placeholder is not None:
            tag = HedTag(str(placeholder).replace("#", text, 1), self.schema)
            issues = self._validator.validate_units(tag, allow_placeholders=False)
            if not issues:
                parsed = _query.parse_leniently(tag.org_tag, self.schema, self.definitions)
                issues = self._validator.run_basic_checks(parsed, allow_placeholders=False)
            errors = _errors(issues)
        # these characters could change the annotation around the value
        odd = set(text) & set("(),{}[]~#") or any(ord(character) in MARKERS for character in text)
        if odd and not errors:
            errors = [("CHARACTER_INVALID", f"the value {text!r} has characters that no value may have")]
        if slot is None or errors:
            return False, None, errors
        seconds = tag.value_as_default_unit() if slot.timed else None
        told = tag.short_tag.casefold() in self.fixed or (slot.timed and (seconds is None or seconds < 0))
        return tag.tag_exists_in_schema() and tag.short_tag == slot.tag(text) and not told, seconds, errors

    def assemble(self, columns, cells):
        """Annotation of distinct rows, as hedtools assembles it.

        Parameters
        ----------
        columns : tuple of str
        cells : list of tuple of str
            ``n/a`` for a missing one.

        Returns
        -------
        list of str
        """
        import pandas as pd
        from hed import HedFileError, TabularInput

        # what is known is copied out: storing what is new may make the memory forget it
        found = {row: self._templates.get((columns, row)) for row in cells}
        new = [row for row, text in found.items() if text is None]
        if new:
            try:
                series = TabularInput(pd.DataFrame(new, columns=list(columns)), sidecar=self._sidecar).series_a
            except HedFileError as error:
                raise Fault("bad-hed", f"the HED annotation of events.tsv cannot be assembled: {error}") from error
            found |= dict(zip(new, series))
        for row in new:
            self._templates[columns, row] = found[row]
        return [found[row] for row in cells]

    def judge(self, template, text):
        """A template taken apart, and its errors.

        Parameters
        ----------
        template : str
        text : str
            An annotation of that template; every other one is as right or as wrong.

        Returns
        -------
        part : hedgerow._timeline.Annotation
        errors : list of (str, str)
            Code and sentence of hedtools.
        """
        if template not in self._judged:
            errors = self._check(text)
            part = None
            try:
                part = _timeline.take_apart(template, self.schema, self.definitions)
            except Fault as fault:
                errors = errors or [(_timeline.CODE, fault.message)]
            self._judged[template] = (part or _timeline.Annotation("", ""), errors)
        return self._judged[template]

    def _check(self, text):
        """Errors of one annotation by itself: its tags, its groups, and the groups that come later apart."""
        if text not in self._checked:
            self._checked[text] = self._check_anew(text)
        return self._checked[text]

    def _check_anew(self, text):
        if not text.strip(" ,"):
            return []
        parsed = _query.parse_leniently(text, self.schema, self.definitions)
        errors = _errors(self._validator.run_basic_checks(parsed, allow_placeholders=False))
        if errors:
            return errors
        groups = [parsed]
        delayed = [group for group in parsed.groups() if any(tag.short_base_tag == "Delay" for tag in group.tags())]
        if delayed:
            rest = [str(child) for child in parsed.children if not any(child is group for group in delayed)]
            pieces = [",".join(rest), *map(str, delayed)]
            groups = [_query.parse_leniently(piece, self.schema, self.definitions) for piece in pieces if piece]
        for group in groups:
            errors += self._check_groups(group)
        return list(dict.fromkeys(errors))

    def _check_groups(self, parsed):
        errors = _errors(self._validator.run_full_string_checks(parsed))
        if errors and all(code in HARMLESS for code, _ in errors):
            # hedtools stops here, but the row is used: its Onset and Offset groups must be sound
            errors += _errors(self._def_validator.validate_onset_offset(parsed))
        return errors

    def check_together(self, texts):
        """Errors of annotations that stand at one time, as hedtools sees them: as one."""
        text = ",".join(texts)
        if text not in self._together:
            parsed = _query.parse_leniently(text, self.schema, self.definitions)
            self._together[text] = _errors(self._validator.run_full_string_checks(parsed))
        return self._together[text]

    def blame(self, columns, cells, code):
        """Column and key of the sidecar from which an error of a row comes, as far as that can be known."""
        for place, (column, cell) in enumerate(zip(columns, cells)):
            alone = tuple(cell if other == place else "n/a" for other in range(len(columns)))
            if cell != "n/a" and any(found == code for found, _ in self._check(self.assemble(columns, [alone])[0])):
                return column, cell if isinstance(self.entries.get(column, {}).get("HED"), dict) else None
        return None, None

    def outcome(self, compiled, tag):
        """Which values that `compiled` writes out `tag` has; equal outcomes are equal answers."""
        key = compiled.text, tag
        if key not in self._outcomes:
            self._outcomes[key] = compiled.outcome(_query.forms(tag, self.schema, self.definitions))
        return self._outcomes[key]

    def answer(self, compiled, key, write):
        """Whether the text that `write()` gives matches; texts of one `key` have the same answer."""
        key = compiled.text, key
        if key not in self._answers:
            text = write()
            if text not in self._forms:
                self._forms[text] = _query.forms(text, self.schema, self.definitions)
            self._answers[key] = compiled.matches(self._forms[text])
        return self._answers[key]


def _well_formed(annotation):
    """Whether hedtools reads it: a mapping of keys to texts, or one text with a ``#``."""
    if isinstance(annotation, dict):
        return all(isinstance(text, str) for text in annotation.values())
    return isinstance(annotation, str) and "#" in annotation


def _errors(issues):
    """Code and sentence of each issue that is an error and no warning."""
    sentences = []
    for issue in issues:
        if issue["severity"] <= 1:
            sentence = re.sub(r"\s*Problem spans string indexes.*", "", str(issue["message"]), flags=re.DOTALL)
            sentences.append((str(issue["code"]), " ".join(sentence.split())))
    return list(dict.fromkeys(sentences))
