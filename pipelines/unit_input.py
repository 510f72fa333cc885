"""Reading the documents of a unit, and making sure that they are those that were planned."""

import io
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.manifest import Corpus, Output
from raicurate.pipelines import reading, storage
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.units import Unit, UnitFile

BATCH_BYTES = 4 << 20
"""Text of a batch: large enough to spread the cost of a call, small enough for the caches."""

BATCH_ROWS = 2000


def read_unit(unit: Unit, config: RunConfig) -> Iterator[reading.ReadBatch]:
    """Yields the documents and errors of a unit, in input order.

    Raises:
        ContractError: A file is not the one that was planned.
        OSError: A file cannot be read, after retries.
    """
    corpus = config.corpus(unit.corpus)
    options = read_options(corpus, config.manifest.output)
    remaining = config.limit
    for file in unit.files:
        path = storage.join(corpus.root, file.name)
        _check_unchanged(path, file)
        part = reading.FileRange(path, file.name, file.start, file.end)
        for batch in reading.read(part, file.format, open_with_retries, options):
            sampled = _sampled(batch, config.sample)
            if remaining is not None:
                sampled = _first(sampled, remaining)
                remaining -= sampled.documents.num_rows + len(sampled.errors)
            yield sampled
            if remaining == 0:
                return
        _check_unchanged(path, file)


def read_options(corpus: Corpus, output: Output) -> reading.ReadOptions:
    """Returns how the records of a corpus become documents."""
    return reading.ReadOptions(
        keys=corpus.keys,
        source=corpus.source or corpus.name,
        added=corpus.added,
        lang=corpus.lang,
        max_document_bytes=output.max_document_bytes,
        max_expansion=output.max_expansion,
        batch_bytes=BATCH_BYTES,
        batch_rows=BATCH_ROWS,
    )


def _check_unchanged(path: str, file: UnitFile) -> None:
    found = storage.stamp(path)
    if found != file.stamp:
        raise ContractError(
            f"{path} changed between planning and reading, so its keys would be wrong and nothing "
            "of its unit was published; run again when it is complete"
        )


def _sampled(batch: reading.ReadBatch, share: float | None) -> reading.ReadBatch:
    if share is None:
        return batch
    # The digest is uniform, so its first digits draw the sample, whatever the order or the shard.
    bound = f"{int(share * 0xFFFFFFFF):08x}"
    drawn = pc.less_equal(batch.documents.column("text_sha256"), bound)
    return batch._replace(documents=batch.documents.filter(drawn))


def _first(batch: reading.ReadBatch, count: int) -> reading.ReadBatch:
    documents = batch.documents.slice(0, count)
    return batch._replace(documents=documents, errors=batch.errors[: count - documents.num_rows])


def open_with_retries(path: str) -> BinaryIO:
    """Opens a file such that reads that fail for a while are repeated where they stopped."""
    opened = storage.with_retries(lambda: storage.open_read(path))
    return io.BufferedReader(_Retrying(path, opened), buffer_size=1 << 20)


class _Retrying(io.RawIOBase):
    """A file that is opened again, and read on, when a read fails for a while."""

    def __init__(self, path: str, opened: BinaryIO) -> None:
        super().__init__()
        self._path = path
        self._opened: BinaryIO | None = opened
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = self._file().seek(offset, whence)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        def read() -> bytes:
            try:
                return self._file().read(len(buffer))
            except OSError:
                self._drop()
                raise

        content = storage.with_retries(read)
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def _file(self) -> BinaryIO:
        if self._opened is None:
            self._opened = storage.open_read(self._path)
            self._opened.seek(self._position)
        return self._opened

    def _drop(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def close(self) -> None:
        self._drop()
        super().close()
