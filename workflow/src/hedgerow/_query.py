"""The HED query language: hedtools parses and searches, this module refuses what would silently go wrong.

hedtools' `QueryHandler` (https://www.hedtags.org, "HED search") does the matching: a tag also finds its descendants
(``Event`` finds ``Sensory-event``), ``"Event"`` only itself, ``&&`` or ``,`` is *and*, ``||`` is *or*, ``[A && B]`` one
group at any depth, ``{A && B}`` the same level of one group, ``{A: B}`` nothing but A and perhaps B, ``@A`` *no A
anywhere in the annotation*, ``Def/Name*`` a beginning, ``?``, ``??``, ``???`` any child, tag, group. What ``&&`` joins
must lie in different parts of one group: both hands are ``[Hand && To-left-of] && [Hand && To-right-of]``. Added here:

- A tag that the schema does not know, a character that means nothing, a ``~`` outside braces (hedtools matches it
  group by group, so it is true for almost every annotation) are errors instead of an answer.
- Values with units. ``Frequency/13 Hz`` does not parse in hedtools and ``Frequency/13*`` also finds 130 Hz. Here
  ``Tag/number unit`` is one term; it is compared as a number in the tag's default unit, so that ``Frequency/13 Hz``,
  ``Frequency/13`` and ``Frequency/0.013 kHz`` are one value, in the query and in the annotation.
- Definitions. An annotation is searched in two forms, with ``Def/Name`` as written and with the definition's content in
  its place; a query must match within one form, and ``@A`` wants no A in either.
"""

import contextlib
import difflib
import functools
import importlib
import re

from hedgerow.account import Fault

#: Terms of a query. A number may be followed by its unit, and quotes may hold both.
_TERM = re.compile(
    r"""(?P<space>\s+)
    |(?P<quoted>@?"[^"]+")
    |(?P<value>@?[A-Za-z][\w-]*(?:/[A-Za-z][\w-]*)*/[-+]?\.?\d[\w.+-]*+(?![*/])(?:[ ]+[^\s,&|@~?:"*()\[\]{}]+)?)
    |(?P<operator>&&|\|\||,|\?{1,3}(?!\?)|[()\[\]{}:~])
    |(?P<word>[@\w\-/.^\#*]+)""",
    re.VERBOSE | re.ASCII,
)
#: A term that no annotation holds.
_NEVER = '"^"'


def schema(hed_version):
    """HED schema of a version that comes with hedtools; nothing is fetched and no cache folder is touched.

    Parameters
    ----------
    hed_version : str or list of str
        As in ``dataset_description.json``: ``"8.3.0"`` or ``["8.3.0", "sc:score_2.0.0"]``.

    Returns
    -------
    hed.HedSchema or hed.HedSchemaGroup

    Raises
    ------
    hedgerow.account.Fault
        ``bad-hed`` if no version is declared or it does not come with hedtools.
    """
    versions = (hed_version,) if isinstance(hed_version, str) else tuple(hed_version or ())
    if not versions:
        raise Fault("bad-hed", "dataset_description.json declares no HEDVersion: add it, for example 8.3.0")
    return _schema(versions)


@functools.cache
def _lighten():
    """Import inflect, by which hedtools spells units, without the checks of types that typeguard writes into it.

    They cost every process 2.6 of the 3.2 s that the import of hedtools takes, and check nothing of ours.
    """
    with contextlib.suppress(ImportError):
        typeguard = importlib.import_module("typeguard")
        checks, typeguard.typechecked = typeguard.typechecked, lambda target=None, **_: target or (lambda given: given)
        try:
            importlib.import_module("inflect")
        finally:
            typeguard.typechecked = checks


@functools.lru_cache(maxsize=16)
def _schema(versions):
    _lighten()
    from hed import HedFileError
    from hed.schema import hed_cache, load_schema_version

    folder = hed_cache.INSTALLED_CACHE_LOCATION
    bundled = hed_cache.get_hed_versions(folder, library_name="all")
    for version in ",".join(versions).split(","):
        library, _, number = version.strip().rpartition(":")[2].rpartition("_")
        if number not in bundled.get(library or None, []):
            known = ", ".join(sorted(f"{name}_{v}" if name else v for name, vs in bundled.items() for v in vs))
            raise Fault(
                "bad-hed",
                f"HEDVersion {version!r} of dataset_description.json does not come with hedtools, which has {known}",
            )
    try:
        return load_schema_version(list(versions) if len(versions) > 1 else versions[0], xml_folder=folder)
    except HedFileError as error:
        raise Fault(
            "bad-hed", f"HEDVersion {', '.join(versions)} of dataset_description.json does not load: {error}"
        ) from error


def canonical(tag):
    """Extension of a `HedTag` with a unit as its number in the default unit, ``None`` for every other tag.

    Twelve significant digits: the conversion of units (0.013 kHz) must not tell equal values apart.
    """
    value = tag.value_as_default_unit() if tag.extension and tag.is_unit_class_tag() else None
    return None if value is None else f"{value:.12g}".replace("+", "")


class Query:
    """One compiled HED query.

    Parameters
    ----------
    text : str
        The query.
    hed_schema : hed.HedSchema or hed.HedSchemaGroup
        Schema whose tags the query may name.
    name : str
        What the query is called in an error: its label, or its key in the config.
    temporal : bool
        Whether the query may name what a search of events never finds: ``Onset``, ``Offset`` and ``Duration``, which
        are used up by working out what is ongoing, and tags in their long form.

    Raises
    ------
    ValueError
        The query does not parse, names a tag that the schema does not have, or would not mean what it says.
    """

    def __init__(self, text, hed_schema, *, name="query", temporal=False):
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{name}: {text!r} is no HED query: write it as text, in quotes in a YAML file")
        self.text, self._name, self._schema, self._temporal = text, name, hed_schema, temporal
        self._terms = self._read()
        self._absent = [i for i, term in enumerate(self._terms) if term.startswith("@")]
        self._handlers = {}
        self._handler_for((False,) * len(self._absent))
        self._present = [self._handler([self._terms[i][1:]]) for i in self._absent]
        written = {term.lstrip("@").strip('"').casefold() for term in self._terms if "/" in term}
        #: Tags with a value or a name that the query writes out, whole or (with a * at the end) in part.
        self._written = {term: self._handler([term]) for term in sorted(written)}

    def matches(self, forms):
        """Whether one of the `forms` (`HedString` objects, see `forms`) of an annotation matches."""
        found = tuple(any(handler.search(form) for form in forms) for handler in self._present)
        handler = self._handler_for(found)
        return any(handler.search(form) for form in forms)

    def touches(self, tag):
        """Whether the query writes out a value of `tag`, which ends where the value begins (``Duration/``)."""
        return any(term.startswith(tag.casefold()) for term in self._written)

    def outcome(self, forms):
        """Which of the tags that the query writes out are in the `forms` of one tag: tuple of bool."""
        return tuple(any(handler.search(form) for form in forms) for handler in self._written.values())

    def _handler_for(self, found):
        """Handler in which each ``@A`` with A `found` in some form of the annotation can no longer be true."""
        if found not in self._handlers:
            hidden = {i for i, there in zip(self._absent, found) if there}
            terms = [_NEVER if i in hidden else term for i, term in enumerate(self._terms)]
            self._handlers[found] = self._handler(terms)
        return self._handlers[found]

    def _error(self, reason):
        return ValueError(f"{self._name}: the HED query {self.text!r} {reason}")

    def _handler(self, terms):
        from hed import HedQueryError, QueryHandler

        try:
            return QueryHandler(" ".join(terms))
        except HedQueryError as error:
            raise self._error(f"does not parse ({error}): look for a missing bracket or &&") from error

    def _read(self):
        """Terms of the query in hedtools' spelling; every one is checked."""
        terms, position, braces = [], 0, 0
        while position < len(self.text):
            match = _TERM.match(self.text, position)
            if match is None:
                raise self._error(
                    f"has {self.text[position]!r}, which means nothing there: not is @Tag, and is &&, or is ||"
                )
            position, kind, term = match.end(), match.lastgroup, match.group()
            braces += (term == "{") - (term == "}")
            if term == "~" and braces < 1:
                raise self._error(
                    "has a ~ outside braces, which is true for almost every event: write @Tag for 'no Tag'"
                )
            if kind != "space":
                terms.append(term if kind == "operator" else self._check(term))
        return terms

    def _check(self, term):
        """One tag, value or beginning of a tag, known to the schema, with its value in canonical form."""
        sign, bare = term[: term.startswith("@")], term.lstrip("@").strip('"')
        if not bare:
            raise self._error("has an @ before a group: @ negates one tag, so negate each tag")
        if "*" in bare:
            self._check_beginning(bare)
            return term
        tag = self._tag(bare)
        if tag is None:
            raise self._error(f"names {bare!r}, which the HED schema does not have{self._nearest(bare)}")
        if not self._temporal and tag.short_base_tag in ("Onset", "Offset", "Duration"):
            raise self._error(
                f"names {bare!r}: an event is searched where it starts; name what starts, and use during, not_during "
                "or kind: intervals for how long it lasts"
            )
        value = canonical(tag)
        if value is not None:
            return f"{sign}{tag.short_base_tag}/{value}"
        short = "/".join(filter(None, (tag.short_base_tag, tag.extension)))
        if not self._temporal and "/" in bare and bare.casefold() != short.casefold():
            raise self._error(f"names {bare!r} in its long form, which finds nothing: write {short!r}")
        if " " in bare or (tag.is_unit_class_tag() and tag.extension):
            units = ", ".join(unit for group in tag.unit_classes.values() for unit in group.units) or "no unit"
            raise self._error(f"has {bare!r}: {tag.short_base_tag} takes {units}; join two tags by && or ||")
        return term

    def _check_beginning(self, bare):
        """``Tag*`` or ``Tag/Na*``: some tag of the schema begins so, and the value is no number."""
        base, slash, rest = bare[:-1].partition("/")
        if not bare.endswith("*") or "*" in base + rest:
            raise self._error(f"has {bare!r}: a * stands at the end of a tag only")
        if not slash:
            if not any(name.startswith(base.casefold()) for name in _names(self._schema)):
                raise self._error(f"names {bare!r}, but no tag of the HED schema begins so")
            return
        tag = self._tag(bare[:-1].rstrip("/"))
        if tag is None:
            raise self._error(f"names {bare!r}, which the HED schema does not have{self._nearest(base)}")
        if rest and tag.is_unit_class_tag():
            raise self._error(
                f"has {bare!r}, which cuts a number short (13* is also 130): write the value and its unit"
            )

    def _tag(self, bare):
        """`HedTag` in the first schema that has it (libraries stand behind prefixes), or ``None``."""
        from hed import HedTag

        tags = (HedTag(prefix + bare, self._schema) for prefix in self._schema.valid_prefixes)
        return next((tag for tag in tags if tag.tag_exists_in_schema()), None)

    def _nearest(self, bare):
        near = difflib.get_close_matches(bare.split("/")[0].casefold(), _names(self._schema), n=1, cutoff=0.75)
        return f"; did you mean {near[0].capitalize()!r}?" if near else ""


def _names(hed_schema):
    """Short names, in lower case, of all tags of a schema or group of schemas."""
    schemas = [hed_schema.schema_for_namespace(prefix) for prefix in hed_schema.valid_prefixes]
    return {entry.short_tag_name.casefold() for one in schemas for entry in one.tags.all_entries}


def parse_leniently(text, hed_schema, definitions=None):
    """`HedString` of an annotation, empty if its parentheses do not pair."""
    from hed import HedString

    return HedString(text, hed_schema, def_dict=definitions)


def parse(text, hed_schema, definitions=None):
    """`HedString` of an annotation.

    Raises
    ------
    hedgerow.account.Fault
        ``bad-hed`` if the parentheses do not pair (hedtools would give an empty annotation).
    """
    annotation = parse_leniently(text, hed_schema, definitions)
    if not annotation.children and text.strip(" ,"):
        raise Fault("bad-hed", f"the parentheses of the HED annotation {text!r} do not pair: correct the sidecar")
    return annotation


def forms(text, hed_schema, definitions=None):
    """Searchable forms of an annotation: as written and, if it uses definitions, with their content in place.

    Returns
    -------
    list of hed.HedString
        Empty for an empty annotation, which no query matches. Values with units are in canonical form.
    """
    if not text.strip(" ,"):
        return []
    annotations = [parse(text, hed_schema, definitions)]
    if "def/" in text.casefold():
        expanded = parse(text, hed_schema, definitions)
        for tag in expanded.find_def_tags(recursive=True, include_groups=0):
            if tag.short_base_tag == "Def" and tag.expandable is not None:
                expanded.replace(tag, tag.expandable.get_first_group())
        annotations.append(expanded)
    for annotation in annotations:
        for tag in annotation.get_all_tags():
            value = canonical(tag)
            if value is not None:
                tag.extension = value
    return annotations
