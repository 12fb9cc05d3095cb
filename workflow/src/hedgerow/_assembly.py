"""The annotation of a table: one template per kind of row, and the values that fill it.

Work goes by distinct cells and distinct rows; nothing here runs once per row but numpy.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hedgerow import _lexicon
from hedgerow.account import Fault


@dataclass
class Slot:
    """Values of one value column of a table."""

    marker: str
    column: object  # `_lexicon.ValueColumn`
    texts: list  # distinct values
    seconds: np.ndarray  # of each of them, for Delay and Duration
    codes: np.ndarray  # (rows,) which of them, -1 for none


class Assembly:
    """Annotation of each row of `events`.

    Attributes
    ----------
    kinds : numpy.ndarray of int, shape (rows,)
        Rows of one kind differ by values only.
    templates, firsts : list of str, numpy.ndarray of int, shape (kinds,)
        Annotation of each kind, with markers for values, and its first row.
    slots : dict
        `Slot` of each marker.
    unannotated : dict
        Values that the sidecar does not annotate, ``column: value``, to how many rows have them.
    """

    def __init__(self, events, lexicon, faults):
        self._lexicon, self._faults = lexicon, faults
        _check_names(events.columns, lexicon)
        self.columns = tuple(name for name in events.columns if name in lexicon.entries or name == "HED")
        self.slots, self.unannotated, self._cells = {}, {}, []
        for name in lexicon.malformed:
            if name in events:
                sentence = "its HED is neither a text with one # nor a mapping of keys to texts"
                present = np.flatnonzero(_factorize(events[name], None)[0] >= 0)
                faults.add(present, "SIDECAR_INVALID", sentence, column=name)
        read = [self._column(name, events[name]) for name in self.columns]
        self._share(read)
        self._code(len(events), read)
        self.templates = lexicon.assemble(self.columns, self._cells)

    def text(self, row):
        """Annotation of one row."""
        return self.fill(self.templates[self.kinds[row]], row)

    def fill(self, template, row):
        """`template` with the values of `row` in place of its markers."""
        if not self.slots or template.isascii():
            return template
        return template.translate(
            {ord(mark): slot.texts[slot.codes[row]] for mark, slot in self.slots.items() if mark in template}
        )

    def texts(self):
        """Annotation of every row: array of str."""
        out = np.array(self.templates, dtype=object)[self.kinds]
        marked = np.array([not template.isascii() for template in self.templates], dtype=bool)[self.kinds]
        for row in np.flatnonzero(marked):
            out[row] = self.fill(out[row], row)
        return out

    def cells(self, kind):
        """Cells of the annotated columns of the first row of a kind, filled."""
        return [self.fill(cell, self.firsts[kind]) for cell in self._cells[kind]]

    def without_values(self, message, kind):
        """A sentence on the first row of a kind, made one on all of them."""
        for mark, slot in self.slots.items():
            if mark in self.templates[kind]:
                message = message.replace(
                    slot.column.tag(slot.texts[slot.codes[self.firsts[kind]]]), slot.column.tag("#")
                )
        return message

    def _column(self, name, column):
        """Codes of the rows (-1: nothing to say) and the cell that each code stands for."""
        entry = self._lexicon.entries.get(name, {}).get("HED")
        codes, texts = _factorize(column, entry)
        if name != "HED":
            self._report_padded(name, codes, texts)
        if isinstance(entry, dict):
            return self._categories(name, entry, codes, texts), texts
        if isinstance(entry, str):
            return self._values(name, codes, texts), texts
        return codes, texts

    def _report_padded(self, name, codes, texts):
        for code, text in enumerate(texts):
            if text != text.strip():
                sentence = f"the value {text!r} begins or ends with a blank"
                self._faults.add(np.flatnonzero(codes == code), "TABULAR_INVALID", sentence, column=name)

    def _categories(self, name, entry, codes, texts):
        missing = [code for code, text in enumerate(texts) if text not in entry]
        if missing:
            counts = np.bincount(codes[codes >= 0], minlength=len(texts))
            self.unannotated |= {f"{name}: {texts[code]}": int(counts[code]) for code in missing}
            codes = np.where(np.isin(codes, missing), -1, codes)
        return codes

    def _values(self, name, codes, texts):
        """Codes as they are, but a value that is like every other has the code after the last."""
        judged = [self._lexicon.value(name, text) for text in texts]
        for code, (_, _, errors) in enumerate(judged):
            for error in errors:
                self._faults.add(np.flatnonzero(codes == code), *error, column=name)
        column = self._lexicon.value_columns.get(name)
        if column is None:
            return codes
        regular = np.array([found for found, _, _ in judged] + [False], dtype=bool)[codes]
        marker = chr(_lexicon.MARKERS[len(self.slots)])
        seconds = np.array([np.nan if found is None else found for _, found, _ in judged])
        self.slots[marker] = Slot(marker, column, list(texts), seconds, np.where(regular, codes, -1))
        texts.append(marker)
        return np.where(regular, len(texts) - 1, codes)

    def _share(self, read):
        """Equal values of two columns with the same tag become one marker: hedtools looks for repeated tags."""
        slots = {_tag(self.slots[texts[-1]]): [] for _, texts in read if texts and texts[-1] in self.slots}
        for index, (_, texts) in enumerate(read):
            if texts and texts[-1] in self.slots:
                slots[_tag(self.slots[texts[-1]])].append(index)
        written = "\n".join(text for name, (_, texts) in zip(self.columns, read) if name == "HED" for text in texts)
        for columns in slots.values():
            tag = self.slots[read[columns[0]][1][-1]].column.tag
            spelled = {}
            for index in columns:
                for text in self.slots[read[index][1][-1]].texts:
                    spelled.setdefault(text.casefold(), set()).add(text)
            odd = {text for several in spelled.values() if len(several) > 1 for text in several}
            if written:
                odd |= {
                    text
                    for several in spelled.values()
                    for text in several
                    if tag(text).casefold() in written.casefold()
                }
            for place, index in enumerate(columns):
                self._share_one(read, index, columns[:place], odd)

    def _share_one(self, read, index, earlier, odd):
        codes, texts = read[index]
        slot = self.slots[texts[-1]]
        plain = np.array([text in odd for text in slot.texts] + [False], dtype=bool)[slot.codes] & (slot.codes >= 0)
        codes = np.where(plain, slot.codes, codes)
        slot.codes = np.where(plain, -1, slot.codes)
        for other in earlier:
            before = self.slots[next(text for text in read[other][1] if text in self.slots)]
            same = _same(slot, before)
            if same.any():
                texts.append(before.marker)
                codes = np.where(same, len(texts) - 1, codes)
                slot.codes = np.where(same, -1, slot.codes)
        read[index] = codes, texts

    def _code(self, rows, read):
        """Number the kinds of rows, and note the cells of each."""
        kinds = np.zeros(rows, dtype=np.int64)
        for codes, texts in read:
            kinds = np.unique(kinds * (len(texts) + 1) + codes + 1, return_inverse=True)[1]
        _, self.firsts, self.kinds = np.unique(kinds, return_index=True, return_inverse=True)
        for first in self.firsts:
            self._cells.append(tuple("n/a" if codes[first] < 0 else texts[codes[first]] for codes, texts in read))


def _tag(slot):
    return slot.column.tag("#").casefold()


def _same(a, b):
    """Mask of rows in which two slots have the same value."""
    numbers = {text: number for number, text in enumerate(b.texts)}
    lookup = np.array([numbers.get(text, -2) for text in a.texts] + [-3])
    return (lookup[a.codes] == b.codes) & (a.codes >= 0) & (b.codes >= 0)


def _factorize(column, annotation):
    """Code of each row, -1 for a missing value, and the distinct texts.

    A table read as numbers has lost their text (``1``, ``1.0``, ``01``): numbers are matched to the keys of a
    categorical `annotation` by value; elsewhere they get their shortest form.
    """
    codes, found = pd.factorize(column.to_numpy(dtype=object))
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        keys = {}
        for key in annotation if isinstance(annotation, dict) else ():
            try:
                keys[float(key)] = str(key)
            except ValueError:
                continue
        texts = [keys.get(float(value), _shortest(float(value))) for value in found]
    else:
        texts = [str(value) for value in found]
    empty = [code for code, text in enumerate(texts) if text in ("", "n/a")]
    if empty:
        codes = np.where(np.isin(codes, empty), -1, codes)
    return codes, texts


def _shortest(value):
    return str(int(value)) if value.is_integer() else f"{value:.15g}"


def _check_names(names, lexicon):
    for name in names:
        if name != name.strip() and (name.strip() in lexicon.entries or name.strip() == "HED"):
            raise Fault("bad-events", f"the column {name!r} of events.tsv has blanks around its name: remove them")
