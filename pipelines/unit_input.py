"""Reading the documents of a unit, and making sure that they are those that were planned."""

from collections.abc import Iterator

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
        for batch in reading.read(part, file.format, storage.open_read, options):
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
    if share is None or share >= 1:
        return batch
    # The digest is uniform, so its first digits draw the sample, whatever the order or the shard.
    bound = f"{int(share * 0xFFFFFFFF):08x}"
    drawn = pc.less_equal(batch.documents.column("text_sha256"), bound)
    return batch._replace(documents=batch.documents.filter(drawn))


def _first(batch: reading.ReadBatch, count: int) -> reading.ReadBatch:
    documents = batch.documents.slice(0, count)
    return batch._replace(documents=documents, errors=batch.errors[: count - documents.num_rows])
