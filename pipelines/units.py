"""Units of work: which files, or which range of a file, are processed as one.

A unit depends on the paths and sizes of the input alone, never on workers or time. Where one
bundle of small files ends and the next begins is decided by each file for itself, by a hash of its
path, so that one added file moves at most two bundles.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.manifest import Corpus
from raicurate.pipelines import reading, storage

COMPRESSED_RATIO = 4
"""Assumed decoded bytes for each compressed byte; web text in gzip or zstd is 3 to 5."""


@dataclass(frozen=True)
class UnitFile:
    """A file, or a range of one, within a unit.

    Attributes:
        name: Path below the root of the corpus.
        format: Format by which it is read.
        size: Bytes of the whole file.
        start: First byte (JSONL) or row group (Parquet) of the range; None for the whole file.
        end: End of the range, exclusive.
        content: Content identity of the whole file.
        stamp: What changes when the file does; it enters no key.
    """

    name: str
    format: str
    size: int
    start: int | None = None
    end: int | None = None
    content: str = ""
    stamp: str = ""


@dataclass(frozen=True)
class Unit:
    """What is read, decided and committed at once.

    Attributes:
        corpus: Name of the corpus.
        files: Its files, sorted by name, or the one range.
        decoded_bytes: Estimated size of what is read.
    """

    corpus: str
    files: tuple[UnitFile, ...]
    decoded_bytes: int

    @property
    def id(self) -> str:
        """Digest of corpus, paths and range only: the unit's place, whatever stands there."""
        places = [[file.name, file.start, file.end] for file in self.files]
        return digest(self.corpus, places)[:16]

    @property
    def content(self) -> list[Any]:
        """What is there to read, by content."""
        return [[file.name, file.format, file.start, file.end, file.content] for file in self.files]


def find_files(corpus: Corpus) -> list[storage.FileStatus]:
    """Returns the input files of a corpus, sorted by name.

    Raises:
        ContractError: A pattern matches no file, so that a part of the input is missing, or all
            files are excluded.
    """
    found: dict[str, storage.FileStatus] = {}
    excluded = [storage.glob_matcher(pattern) for pattern in corpus.exclude]
    candidates = storage.list_files(corpus.root, corpus.paths)
    for pattern in corpus.paths:
        matches = storage.glob_matcher(pattern)
        files = [file for file in candidates if matches(file.name)]
        if not files:
            raise ContractError(
                f"corpus {corpus.name!r}: no file below {corpus.root} matches {pattern!r}, so a "
                "part of the input is missing; correct `paths` or `root`"
            )
        found.update((file.name, file) for file in files)
    kept = [file for file in found.values() if not any(skip(file.name) for skip in excluded)]
    if not kept:
        raise ContractError(
            f"corpus {corpus.name!r}: `exclude` leaves out every file below {corpus.root} that "
            "`paths` matches, so nothing would be read; correct it, or remove the corpus"
        )
    return sorted(kept, key=lambda file: file.name)


def plan_units(
    corpus: Corpus, files: Iterable[tuple[storage.FileStatus, str]], unit_bytes: int
) -> Iterator[Unit]:
    """Yields the units of a corpus.

    Args:
        corpus: The corpus.
        files: Its files with their content identities, sorted by name.
        unit_bytes: Wished size of a unit in decoded bytes.
    """
    bundle: list[UnitFile] = []
    bundle_bytes = 0
    for status, content in files:
        format_name = (
            reading.detect_format(status.name) if corpus.format == "auto" else corpus.format
        )
        whole = UnitFile(status.name, format_name, status.size, content=content, stamp=status.stamp)
        decoded = _decoded_bytes(status)
        if decoded >= unit_bytes and reading.splittable(status.name, format_name):
            yield from _ranges(corpus, status, whole, unit_bytes)
            continue
        if decoded >= unit_bytes // 2:
            yield Unit(corpus.name, (whole,), decoded)
            continue
        if bundle and _starts_bundle(whole, decoded, unit_bytes):
            yield Unit(corpus.name, tuple(bundle), bundle_bytes)
            bundle, bundle_bytes = [], 0
        bundle.append(whole)
        bundle_bytes += decoded
    if bundle:
        yield Unit(corpus.name, tuple(bundle), bundle_bytes)


def _decoded_bytes(file: storage.FileStatus) -> int:
    compressed = file.name.endswith((".gz", ".zst", ".parquet"))
    return file.size * COMPRESSED_RATIO if compressed else file.size


def _starts_bundle(file: UnitFile, decoded: int, unit_bytes: int) -> bool:
    """Draws, by the path, with a chance equal to the file's share of a unit."""
    draw = int(digest(file.name)[:12], 16) / float(1 << 48)
    return draw < decoded / unit_bytes


def _ranges(
    corpus: Corpus, status: storage.FileStatus, whole: UnitFile, unit_bytes: int
) -> Iterator[Unit]:
    if whole.format == "parquet":
        sizes = [size for _, size in reading.parquet_row_groups(storage.open_read, status.path)]
        if not sizes:
            # The footer is broken; reading the file tells so, and nothing is left out in silence.
            yield Unit(corpus.name, (whole,), _decoded_bytes(status))
            return
    else:
        full, rest = divmod(status.size, unit_bytes)
        yield from (
            _range(corpus, whole, index * unit_bytes, (index + 1) * unit_bytes, unit_bytes)
            for index in range(full)
        )
        if rest:
            yield _range(corpus, whole, full * unit_bytes, status.size, rest)
        return
    start = total = 0
    for index, size in enumerate(sizes):
        total += size
        if total >= unit_bytes or index == len(sizes) - 1:
            yield _range(corpus, whole, start, index + 1, total)
            start, total = index + 1, 0


def _range(corpus: Corpus, whole: UnitFile, start: int, end: int, decoded: int) -> Unit:
    return Unit(corpus.name, (replace(whole, start=start, end=end),), decoded)
