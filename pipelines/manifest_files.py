"""The promised files of a manifest: building the list, and verifying what is there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raicurate.corpora_manifests.manifest import Corpus, FileEntry, Manifest
from raicurate.pipelines import reading, storage
from raicurate.pipelines.unit_input import read_options
from raicurate.pipelines.units import find_files


@dataclass(frozen=True)
class Deviation:
    """A file that is not what the manifest promises."""

    corpus: str
    path: str
    problem: str


def file_entries(corpus: Corpus, manifest: Manifest) -> list[FileEntry]:
    """Returns size, digest and rows of every file of a corpus. Reads all of them.

    `rows` counts documents and errors alike: whatever the reader tells apart.
    """
    return [
        FileEntry(
            path=file.name,
            bytes=file.size,
            sha256=storage.sha256(file.path),
            rows=_rows(file, corpus, manifest),
        )
        for file in find_files(corpus)
    ]


def deviations(manifest: Manifest, deep: bool = False) -> Iterator[Deviation]:
    """Yields every file that is missing, not promised, or not what was promised.

    Args:
        manifest: A manifest with `files`.
        deep: Count the rows as well.
    """
    for corpus in manifest.corpora:
        found = {file.name: file for file in find_files(corpus)}
        promised = {entry.path: entry for entry in corpus.files}
        for name in sorted(promised.keys() - found.keys()):
            yield Deviation(corpus.name, name, "missing")
        for name in sorted(found.keys() - promised.keys()):
            yield Deviation(corpus.name, name, "not in the manifest")
        for name in sorted(found.keys() & promised.keys()):
            problem = _problem(found[name], promised[name], corpus, manifest, deep)
            if problem is not None:
                yield Deviation(corpus.name, name, problem)


def _problem(
    file: storage.FileStatus, promise: FileEntry, corpus: Corpus, manifest: Manifest, deep: bool
) -> str | None:
    if file.size != promise.bytes:
        return f"{file.size} bytes instead of {promise.bytes}"
    if promise.sha256 is not None and storage.sha256(file.path) != promise.sha256:
        return "another SHA-256"
    if deep and promise.rows is not None:
        rows = _rows(file, corpus, manifest)
        if rows != promise.rows:
            return f"{rows} rows instead of {promise.rows}"
    return None


def _rows(file: storage.FileStatus, corpus: Corpus, manifest: Manifest) -> int:
    format_name = reading.detect_format(file.name) if corpus.format == "auto" else corpus.format
    part = reading.FileRange(file.path, file.name)
    options = read_options(corpus, manifest.output)
    return sum(
        batch.documents.num_rows + len(batch.errors)
        for batch in reading.read(part, format_name, storage.open_read, options)
    )


def with_files(content: dict[str, object], entries: Sequence[list[FileEntry]]) -> dict[str, object]:
    """Returns the content of a manifest file with the `files` of each corpus filled in."""
    corpora = content["corpora"]
    assert isinstance(corpora, list)
    filled = [
        {**corpus, "files": [entry.model_dump(exclude_none=True) for entry in of_corpus]}
        for corpus, of_corpus in zip(corpora, entries, strict=True)
    ]
    return {**content, "corpora": filled}
