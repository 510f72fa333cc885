"""Texts as lines of lower-case words, as the word-level model sees them.

Training and annotation share this, so a model always sees what it was trained on.
"""

import string

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.transforms.personal_data_column import utf8_column

# Characters that stand for syllables or words become words of their own.
_DENSE = r"([\p{Han}\p{Hiragana}\p{Katakana}])"

_WORD_BYTES = np.full(256, 0x20, dtype=np.uint8)
_WORD_BYTES[0x80:] = np.arange(0x80, 0x100)
for _character in string.ascii_letters + string.digits:
    _WORD_BYTES[ord(_character)] = ord(_character.lower())


def word_lines(texts: pa.Array) -> pa.Array:
    """Returns texts as lines of lower-case letters and numbers, all else as spaces.

    What is ASCII goes through a table of bytes, since regular expressions cost four times all the
    rest; only texts with other letters see them.

    Args:
        texts: Strings without nulls.
    """
    texts = _through_table(texts)
    rows = np.flatnonzero(~pc.string_is_ascii(texts).to_numpy(zero_copy_only=False))
    if not len(rows):
        return texts
    other = texts.take(pa.array(rows))
    other = pc.replace_substring_regex(other, r"[^\pL\pM\pN ]+", " ")
    dense = np.flatnonzero(_may_be_dense(other))
    if len(dense):
        spaced = pc.replace_substring_regex(other.take(pa.array(dense)), _DENSE, r" \1 ")
        other = _with_rows(other, dense, spaced)
    return _with_rows(texts, rows, pc.utf8_lower(other))


def _through_table(texts: pa.Array) -> pa.Array:
    """Returns texts with ASCII in lower case and spaces for what is no letter or digit.

    Spaces also stand for U+2000 to U+203F, quotation marks and dashes, which are all that most
    English texts have beyond ASCII.
    """
    texts = pa.concat_arrays([texts])  # drops an offset
    _, offsets, data = texts.buffers()
    if data is None:
        return texts
    changed = _WORD_BYTES[np.frombuffer(data, dtype=np.uint8)]
    marks = np.flatnonzero(changed == 0xE2)
    marks = marks[marks + 2 < len(changed)]
    marks = marks[changed[marks + 1] == 0x80]
    for place in (marks, marks + 1, marks + 2):
        changed[place] = 0x20
    return pa.Array.from_buffers(texts.type, len(texts), [None, offsets, pa.py_buffer(changed)])


def _may_be_dense(texts: pa.Array) -> np.ndarray:
    """Whether each text has a character from U+2E80 on, where `_DENSE` begins."""
    column = utf8_column(texts)
    high = np.flatnonzero(column.data >= 0xE2)
    high = high[high + 1 < len(column.data)]
    high = high[(column.data[high] > 0xE2) | (column.data[high + 1] >= 0xBA)]
    result = np.zeros(len(texts), dtype=bool)
    result[np.searchsorted(column.offsets, high, side="right") - 1] = True
    return result


def _with_rows(texts: pa.Array, rows: np.ndarray, values: pa.Array) -> pa.Array:
    mask = np.zeros(len(texts), dtype=bool)
    mask[rows] = True
    return pc.replace_with_mask(texts, pa.array(mask), values)
