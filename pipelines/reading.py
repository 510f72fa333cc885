"""What every reader promises, and the register through which readers are found.

A reader turns one file, or a range of one, into Arrow batches of `schema.SOURCE` and a list of
what could not be read. Nothing is lost between the two: each record of the input is either one
row or one `ReadError`, in the order of the file. Readers know nothing of Beam; they are given a
function that opens files.

Each `read_*.py` module of this package is found by its file name and registers the formats that
it reads, so adding a format is adding a file (and its name to `manifest.Format`).

The error types, which are stable:

    invalid_json          a line that is not JSON, or is nested too deeply to be stored
    not_an_object         a line of JSON that is not an object
    missing_text          a record without the text field
    null_text             a record whose text is null
    wrong_type_text       a record whose text is not a string
    empty_text            a text without a visible character
    invalid_utf8          bytes that are not UTF-8, or characters that UTF-8 cannot express
    wrong_encoding        a page whose bytes are no text in any encoding it may be in
    oversized_document    a document larger than `max_document_bytes`
    invalid_record        a WARC record that is broken; the next one is read
    empty_file            a file of no bytes
    unreadable_file       a file that is not of its format at all
    unreadable_row_group  a row of a Parquet row group that cannot be read (one error a row)
    lost_tail             a stretch of a file that cannot be read; `bytes` as stored
    checksum_mismatch     a member that could be read, but differs from its own checksum
    decompression_bomb    a file that grows beyond `max_expansion` when decompressed

The last six say that a file is damaged (`empty_file` only where the format cannot be empty), and
so does an `invalid_record` after which the start of the next record had to be searched.
"""

import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from raicurate.corpora_manifests.errors import ManifestError, MissingExtraError
from raicurate.corpora_manifests.manifest import MIB, Keys
from raicurate.pipelines.decompress import Compression

VERSION = "1"
"""Raised when a reader makes other documents of the same files."""

Opener = Callable[[str], BinaryIO]
"""Opens a path or URI for reading bytes as they are stored, never decompressed; seekable."""


@dataclass(frozen=True)
class ReadOptions:
    """How the records of one corpus become documents.

    Attributes:
        keys: Names of the fields; a dotted name reaches into an object.
        source: Value of the `source` column. A record's own, if it differs, stays in `metadata`.
        added: Value of the `added` column; where None, the record's own `added` is taken.
        lang: Value of the `declared_lang` column; where None, the record's own is taken.
        max_document_bytes: Documents with more bytes of text are errors. A record may be larger,
            see `record_limit`.
        max_expansion: Ratio of decoded to stored bytes from which a file is a bomb.
        batch_bytes: Bytes of records (of a web archive: of text) after which a batch ends.
        batch_rows: Rows after which a batch ends.
    """

    keys: Keys
    source: str
    added: str | None = None
    lang: str | None = None
    max_document_bytes: int = 32 * MIB
    max_expansion: int = 1000
    batch_bytes: int = 4 * MIB
    batch_rows: int = 2000

    @property
    def record_limit(self) -> int:
        r"""Bytes that are held for one line or record, before its text is looked at.

        JSON writes a character as at most three times its bytes in UTF-8 (a Cyrillic letter as
        `\u0436`; six times for control characters, which do not make up a text), and the rest
        of a record and of a page needs room as well. Cut at 2 GiB, what a column can hold.
        """
        return min(3 * self.max_document_bytes + MIB, (2 << 30) - 1)


class ReadError(NamedTuple):
    """A record, or a stretch of a file, that is not among the documents.

    Attributes:
        file: As in the `src_file` column.
        row: As in the `src_row` column; for a stretch, the first row that it holds; None where
            there are no rows.
        id: Identifier of the record, where it could be read.
        error_type: One of those in the documentation of this module.
        message: What is wrong and what may mend it; never text of a document.
        bytes: Bytes that were not used, as stored, where known.
        damage: Whether the file is damaged, so that more may be missing than this error counts.
    """

    file: str
    row: int | None
    id: str | None
    error_type: str
    message: str
    bytes: int | None
    damage: bool


class ReadBatch(NamedTuple):
    """Documents in `schema.SOURCE`, and what was found unusable between them, in file order."""

    documents: pa.RecordBatch
    errors: list[ReadError]


@dataclass(frozen=True)
class FileRange:
    """A file, or a part of one.

    A line belongs to the range in which its first byte lies.

    Attributes:
        path: What the opener takes.
        name: Name of the file in the `src_file` column.
        start: First byte (plain JSONL) or row group (Parquet); None for the start of the file.
        end: Byte or row group at which the next range starts; None for the end of the file.
    """

    path: str
    name: str
    start: int | None = None
    end: int | None = None

    @property
    def whole(self) -> bool:
        """Whether this is all of the file."""
        return not self.start and self.end is None


ReadFunction = Callable[[FileRange, Opener, ReadOptions], Iterator[ReadBatch]]


@dataclass(frozen=True)
class Reader:
    """A registered format.

    Attributes:
        format: Name as in `manifest.Format`.
        suffixes: Endings of its files, without that of a compression.
        read: The function that reads it.
        compressed: Whether it may be compressed as a whole (`.gz`, `.zst`).
        splittable: Whether an uncompressed file can be read in ranges.
        needs: Optional module without which it cannot be read, and the line that installs it.
    """

    format: str
    suffixes: tuple[str, ...]
    read: ReadFunction
    compressed: bool
    splittable: bool
    needs: tuple[str, str] | None


COMPRESSION_SUFFIXES: dict[str, Compression] = {
    ".gz": "gzip",
    ".gzip": "gzip",
    ".zst": "zstd",
    ".zstd": "zstd",
}
_OTHER_COMPRESSIONS = (".bz2", ".xz", ".lz4", ".br", ".zip", ".7z", ".tar", ".tgz")

_READERS: dict[str, Reader] = {}


def register(
    format: str,
    suffixes: tuple[str, ...],
    *,
    compressed: bool = True,
    splittable: bool = False,
    needs: tuple[str, str] | None = None,
) -> Callable[[ReadFunction], ReadFunction]:
    """Registers a function that reads `format`, for files with one of `suffixes`.

    The other arguments are attributes of `Reader`.

    Raises:
        ValueError: The format has a reader already.
    """

    def add(read_function: ReadFunction) -> ReadFunction:
        if format in _READERS:
            raise ValueError(f"the format {format!r} has a reader already")
        _READERS[format] = Reader(format, suffixes, read_function, compressed, splittable, needs)
        return read_function

    return add


@functools.cache
def _discover() -> None:
    package = importlib.import_module("raicurate.pipelines")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("read_"):
            importlib.import_module(f"raicurate.pipelines.{module.name}")


def registered() -> list[str]:
    """Returns the names of all formats, sorted."""
    _discover()
    return sorted(_READERS)


def _reader(format: str) -> Reader:
    known = registered()
    if format not in _READERS:
        raise ManifestError(
            f"format {format!r} has no reader, so its files cannot be read; "
            f"known are: {', '.join(known)}"
        )
    return _usable(_READERS[format])


def _usable(reader: Reader) -> Reader:
    if reader.needs is not None and importlib.util.find_spec(reader.needs[0]) is None:
        raise MissingExtraError.for_package(
            reader.needs[0], f"reading {reader.format} files", reader.needs[1]
        )
    return reader


def compression_suffix(path: str) -> Compression | None:
    """Returns `gzip` or `zstd` where the name of a file says so, else None."""
    return COMPRESSION_SUFFIXES.get(PurePosixPath(path.lower()).suffix)


def detect_format(path: str) -> str:
    """Returns the format of a file by its suffix, looking through that of a compression.

    Raises:
        ManifestError: The suffix says nothing, or a compression that is not read.
        MissingExtraError: The format needs a package that is not installed.
    """
    name = PurePosixPath(path.lower())
    if name.suffix in _OTHER_COMPRESSIONS:
        raise ManifestError(
            f"{path}: {name.suffix} archives are not read; compress the file with gzip or zstd, "
            "or unpack it"
        )
    compressed = name.suffix in COMPRESSION_SUFFIXES
    if compressed:
        name = name.with_suffix("")
    known = registered()
    for format in known:
        reader = _READERS[format]
        if name.suffix in reader.suffixes:
            if compressed and not reader.compressed:
                raise ManifestError(
                    f"{path}: a {format} file is compressed inside, and cannot be read through a "
                    "second compression; unpack it"
                )
            return _usable(reader).format
    suffixes = sorted(suffix for format in known for suffix in _READERS[format].suffixes)
    raise ManifestError(
        f"{path}: the suffix {name.suffix!r} does not tell the format, so the file cannot be "
        f"read; set `format` of the corpus to one of {', '.join(known)}, or exclude the file "
        f"(known suffixes: {' '.join(suffixes)}, each also with .gz or .zst where that makes "
        "sense)"
    )


def splittable(path: str, format: str) -> bool:
    """Returns whether a file can be read in ranges."""
    return _reader(format).splittable and compression_suffix(path) is None


def parquet_row_groups(opener: Opener, path: str) -> list[tuple[int, int]]:
    """Returns rows and decoded bytes of each row group, from the footer of a Parquet file.

    An unreadable footer gives an empty list; reading the file then tells what is wrong.
    """
    from raicurate.pipelines.read_parquet import row_groups

    return row_groups(opener, path)


def read(part: FileRange, format: str, opener: Opener, options: ReadOptions) -> Iterator[ReadBatch]:
    """Reads a file or a range of one.

    Memory stays flat whatever the size of the file. An `OSError` of the storage passes through,
    since reading again may cure it; everything that is wrong with the bytes is a `ReadError`.

    Raises:
        ManifestError: There is no such format.
    """
    return _reader(format).read(part, opener, options)
