"""How a fault of what a person wrote is told (standard library only).

Apart from `config`, which no job needs: an edit there re-runs nothing.
"""

import difflib
import heapq


class ConfigError(ValueError):
    """A fault of the config: one sentence that names the key, what is wrong and what to write instead."""


def nearest(word, known, most=8):
    """The first words of `known` in quotes, those most like `word` first; says how many more there are."""
    known = list(known)
    ratios = {each: difflib.SequenceMatcher(None, word.lower(), each.lower()).ratio() for each in known}
    found = heapq.nlargest(most, known, key=ratios.get)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return (", ".join(map(repr, found)) or "none") + more
