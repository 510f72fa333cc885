"""A column of texts as bytes: the windows that validators look at, the hits that they report.

All positions are bytes of the whole column, not of a document, until the very end.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.vocabulary import PersonalDataKind


class Hit(NamedTuple):
    """A place that holds personal data: the index of its document, bytes of the column, kind."""

    document: int
    start: int
    end: int
    kind: PersonalDataKind


class Utf8Column(NamedTuple):
    """The UTF-8 bytes of a column: document `i` is `data[offsets[i]:offsets[i + 1]]`."""

    data: np.ndarray
    offsets: np.ndarray


def utf8_column(texts: pa.Array) -> Utf8Column:
    """Returns the bytes of an array of strings without nulls, without copying them."""
    offset_type = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offsets_buffer, dtype=offset_type, count=texts.offset + len(texts) + 1)
    offsets = offsets[texts.offset :].astype(np.int64)
    if data_buffer is None:
        return Utf8Column(np.zeros(0, dtype=np.uint8), offsets)
    data = np.frombuffer(data_buffer, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return Utf8Column(data, offsets - offsets[0])


def windows_around(
    column: Utf8Column, starts: np.ndarray, ends: np.ndarray, margin: int
) -> Iterator[tuple[int, int, bytes, int, int]]:
    """Cuts the bytes around candidates out of a column, within their documents.

    Args:
        column: The bytes of the column.
        starts: Where the candidates start.
        ends: Where they end.
        margin: How many bytes to cut out before and after each.

    Yields:
        Document, position and bytes of the window, start and end of the candidate within it.
    """
    offsets = column.offsets
    documents = np.searchsorted(offsets, starts, side="right") - 1
    low = np.maximum(starts - margin, offsets[documents])
    high = np.minimum(ends + margin, offsets[documents + 1])
    columns = (documents, starts, ends, low, high)
    for document, start, end, left, right in zip(
        *(values.tolist() for values in columns), strict=True
    ):
        window = column.data[left:right].tobytes()
        yield document, left, window, start - left, end - left
