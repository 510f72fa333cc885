"""Rows from records: identifiers, digests and metadata, in batches of bounded size."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from raicurate.pipelines.decompress import Damage
from raicurate.pipelines.reading import FileRange, ReadBatch, ReadError, ReadOptions
from raicurate.transforms.schema import SOURCE, empty_batch

MAX_BATCH_BYTES = 1 << 30
"""Most bytes of text in a batch, whatever the options say; a string column holds 2 GiB."""

_MISSING: Any = object()
_MAX_LAYOUTS = 1000
_sha256 = hashlib.sha256
_Row = tuple[str, bytes, str | None, str | None, str | None, str | None, bytes, bytes, int]
_OWN_KEYS = ("source", "added", "metadata")


def string_array(values: Sequence[bytes]) -> pa.Array:
    """Returns UTF-8 values as a string column, copying each byte once."""
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, values), dtype=np.int32, count=len(values)), out=offsets[1:])
    return pa.StringArray.from_buffers(
        len(values), pa.py_buffer(offsets), pa.py_buffer(b"".join(values))
    )


def as_text(value: Any) -> str | None:
    """Returns a field as text: strings and times as they are, NaN as nothing, all else as JSON.

    Raises:
        TypeError: It is nested too deeply.
    """
    if value is None or type(value) is str:
        return value
    text = orjson.dumps(value, _plain)
    if text == b"null":
        return None
    return orjson.loads(text) if text.startswith(b'"') else text.decode()


def _plain(value: Any) -> str:
    """Turns what Parquet can hold, but JSON cannot, into text."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return str(value)


def reach(record: dict[str, Any], key: str) -> Any:
    """Returns the value under a dotted name, or `_MISSING`; a literal dotted key goes first."""
    if key in record:
        return record[key]
    value: Any = record
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def without(record: dict[str, Any], key: str) -> dict[str, Any]:
    """Returns `record` without what `reach` finds under `key`; the record does not change."""
    if key in record:
        return {name: value for name, value in record.items() if name != key}
    head, _, rest = key.partition(".")
    inner = record.get(head)
    if not rest or not isinstance(inner, dict):
        return record
    return {**record, head: without(inner, rest)}


class BatchBuilder:
    """Gathers rows and errors of one file into batches.

    After each call that adds, finished batches wait in `ready`; `close` returns the rest.
    """

    def __init__(self, part: FileRange, options: ReadOptions, file: str | None = None) -> None:
        self.ready: list[ReadBatch] = []
        self.file = file or part.name
        self._options = options
        self._max_bytes = min(options.batch_bytes, MAX_BATCH_BYTES)
        self._max_rows = options.batch_rows
        self._max_text = options.max_document_bytes
        self._max_metadata = options.record_limit
        keys = options.keys
        self._keys = (keys.text, keys.id, keys.url, keys.created)
        self._lang_key = keys.lang
        named = [*self._keys, *(() if keys.lang is None else (keys.lang,))]
        self._dotted = [key for key in named if "." in key]
        self._used = frozenset((*named, *_OWN_KEYS))
        self._others: dict[tuple[str, ...], list[str]] = {}
        self._rows: list[_Row] = []
        self._errors: list[ReadError] = []
        self._bytes = 0

    def error(
        self,
        row: int | None,
        error_type: str,
        message: str,
        size: int | None = None,
        id: str | None = None,
        damage: bool = False,
    ) -> None:
        """Adds an error."""
        self._errors.append(ReadError(self.file, row, id, error_type, message, size, damage))
        if len(self._errors) >= self._options.batch_rows:
            self._finish()

    def empty_file(self, compressed: bool) -> None:
        """Adds the error for a file of no bytes, which no archive can be."""
        self.error(
            None,
            "empty_file",
            "the file has no bytes" + (", so it was cut: fetch it again" if compressed else ""),
            0,
            damage=compressed,
        )

    def damage(self, row: int | None, damage: Damage) -> None:
        """Adds what decompression found."""
        self.error(row, damage.error_type, damage.message, damage.bytes, damage=True)

    def add_record(self, row: int, record: dict[str, Any], size: int | None) -> None:
        """Adds a record by the keys of the corpus, as a row or as an error of `size` bytes."""
        metadata = record.get("metadata")
        if type(metadata) is str:
            metadata = _parsed(metadata)
        if self._dotted:
            if metadata is not None:
                record = {**record, "metadata": metadata}
            text, name, url, created, lang = self._reach(record)
            for key in self._dotted:
                record = without(record, key)
            metadata = record.get("metadata")
        else:
            get = record.get
            text_key, id_key, url_key, created_key = self._keys
            text, name, url = get(text_key, _MISSING), get(id_key), get(url_key)
            created = get(created_key)
            lang = None if self._lang_key is None else get(self._lang_key)

        rest = self._rest(record)
        if type(metadata) is dict:
            if url is None and type(metadata.get("url")) is str:
                url = metadata["url"]
            rest = {**metadata, **rest} if rest else metadata
        elif metadata is not None:
            rest = {"metadata": metadata, **rest}
        options = self._options
        added = record.get("added")
        if (source := record.get("source")) != options.source and source is not None:
            rest["source"] = source
        if options.added is not None:
            added = _overridden(rest, "added", options.added, added)
        if options.lang is not None:
            lang = _overridden(rest, "lang", options.lang, lang)

        try:
            stored = orjson.dumps(rest, _plain) if rest else b"{}"
            if type(name) is not str:
                name = as_text(name)
            if type(url) is not str:
                url = as_text(url)
            added, created, lang = as_text(added), as_text(created), as_text(lang)
        except TypeError:
            name = name if type(name) is str else None
            self.error(row, "invalid_json", "a field is nested deeper than 254 levels", size, name)
            return
        self.add_document(row, text, name, size, stored, added, created, url, lang, size or 0)

    def _rest(self, record: dict[str, Any]) -> dict[str, Any]:
        """Returns the fields that are no column."""
        names = tuple(record)
        others = self._others.get(names)
        if others is None:
            if len(self._others) >= _MAX_LAYOUTS:
                self._others.clear()
            others = self._others[names] = [name for name in names if name not in self._used]
        if not others:
            return {}
        rest = {name: record[name] for name in others}
        if "media" in rest and not rest["media"]:
            del rest["media"]  # datatrove writes an empty list where there is none
        return rest

    def _reach(self, record: dict[str, Any]) -> list[Any]:
        """Returns text, id, url, created and lang by dotted names; only text may be missing."""
        text, *others = (reach(record, key) for key in self._keys)
        others.append(None if self._lang_key is None else reach(record, self._lang_key))
        return [text, *(None if value is _MISSING else value for value in others)]

    def add_document(
        self,
        row: int,
        text: Any,
        id: str | None,
        size: int | None,
        metadata: bytes = b"{}",
        added: str | None = None,
        created: str | None = None,
        url: str | None = None,
        lang: str | None = None,
        weight: int = 0,
    ) -> None:
        """Adds a text with its fields, as a row, or as an error of `size` bytes.

        `weight` is what it counts towards the size of the batch, but at least text and metadata.
        """
        if type(text) is not str:
            self.error(row, *self._no_text(text), size, id)
            return
        try:
            data = text.encode()
        except UnicodeEncodeError:
            self.error(row, "invalid_utf8", "the text holds half of a surrogate pair", size, id)
            return
        if not data or text.isspace():
            self.error(row, "empty_text", "the text holds no visible character", size, id)
            return
        weight = max(weight, len(data) + len(metadata))
        if len(data) > self._max_text or len(metadata) > self._max_metadata:
            self.error(row, "oversized_document", oversized(self._max_text), size, id)
            return
        self._bytes += weight
        if self._bytes > self._max_bytes and self._rows:
            self._finish()
            self._bytes = weight
        digest = _sha256(data).digest()
        self._rows.append(
            (id or digest.hex()[:32], data, added, created, url, lang, metadata, digest, row)
        )
        if len(self._rows) >= self._max_rows:
            self._finish()

    def _no_text(self, text: Any) -> tuple[str, str]:
        key = self._options.keys.text
        if text is _MISSING:
            return "missing_text", f"no field {key!r}; set `keys: {{text: ...}}` of the corpus"
        if text is None:
            return "null_text", f"the field {key!r} is null"
        return (
            "wrong_type_text",
            f"the field {key!r} is of type {type(text).__name__}, not a string",
        )

    def _finish(self) -> None:
        if self._rows or self._errors:
            self.ready.append(ReadBatch(self._documents(), self._errors))
            self._rows, self._errors, self._bytes = [], [], 0

    def _documents(self) -> pa.RecordBatch:
        if not self._rows:
            return empty_batch(SOURCE)
        count = len(self._rows)
        ids, texts, added, created, urls, langs, metadata, digests, rows = zip(
            *self._rows, strict=True
        )
        string = pa.string()
        offsets = np.arange(0, 64 * (count + 1), 64, dtype=np.int32)
        hexadecimal = b"".join(digests).hex().encode()
        return pa.RecordBatch.from_arrays(
            [
                pa.array(ids, string),
                string_array(texts),
                pa.repeat(pa.scalar(self._options.source, string), count),
                pa.array(added, string),
                pa.array(created, string),
                pa.array(urls, string),
                pa.array(langs, string),
                string_array(metadata),
                pa.StringArray.from_buffers(
                    count, pa.py_buffer(offsets), pa.py_buffer(hexadecimal)
                ),
                pa.repeat(pa.scalar(self.file, string), count),
                pa.array(rows, pa.int64()),
            ],
            schema=SOURCE,
        )

    def drain(self) -> Iterator[ReadBatch]:
        """Yields the finished batches."""
        ready, self.ready = self.ready, []
        yield from ready

    def close(self) -> Iterator[ReadBatch]:
        """Yields everything that is left."""
        self._finish()
        yield from self.drain()


def _parsed(metadata: str) -> Any:
    try:
        return orjson.loads(metadata)
    except orjson.JSONDecodeError:
        return metadata


def _overridden(rest: dict[str, Any], key: str, given: str, own: Any) -> str:
    """Returns the value of the manifest, and keeps another one of the record in `rest`."""
    if own is not None and own != given:
        rest[key] = own
    return given


def oversized(limit: int) -> str:
    """Returns the message for a document that is larger than `limit` bytes."""
    return f"more than {limit} bytes; raise `output.max_document_bytes` to read it"
