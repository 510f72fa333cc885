"""Annotations that an earlier run stored, taken again in step with the documents."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines import storage
from raicurate.pipelines.receipts import ANNOTATIONS, Part, Receipt
from raicurate.pipelines.snapshots import located

BATCH_ROWS = 20_000


class StoredAnnotations:
    """The annotations of one unit.

    Attributes:
        key: Their key.
        parts: The files that hold them.
    """

    def __init__(self, out: str, key: str, parts: list[Part]) -> None:
        self._out = out
        self.key = key
        self.parts = parts
        self._stream = self.batches()
        self._rest: pa.RecordBatch | None = None

    @classmethod
    def of(cls, out: str, receipt: Receipt) -> "StoredAnnotations":
        """Returns the annotations that a receipt names."""
        parts = [part for part in receipt.parts if part.layer == ANNOTATIONS]
        return cls(out, receipt.keys["annotate"], parts)

    def batches(
        self, columns: list[str] | None = None, part: Part | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Yields the annotations in input order.

        Args:
            columns: Only these columns.
            part: Only those of this part.
        """
        for wanted in self.parts if part is None else [part]:
            path = located(self._out, None, wanted)
            if path is None:
                raise ContractError(f"{wanted.path} disappeared while it was needed; run again")
            with storage.open_read(path) as opened, pq.ParquetFile(opened) as file:
                yield from file.iter_batches(batch_size=BATCH_ROWS, columns=columns)

    def take(self, documents: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the annotations of the next documents.

        Raises:
            ContractError: They belong to other documents.
        """
        wanted = documents.num_rows
        pieces: list[pa.RecordBatch] = []
        while wanted:
            if self._rest is None or not self._rest.num_rows:
                self._rest = next(self._stream, None)
                if self._rest is None:
                    raise self._misaligned()
            piece = self._rest.slice(0, wanted)
            self._rest = self._rest.slice(piece.num_rows)
            wanted -= piece.num_rows
            pieces.append(piece)
        labels = pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)
        for name in ("id", "text_sha256"):
            if not pc.all(pc.equal(labels.column(name), documents.column(name))).as_py():
                raise self._misaligned()
        return labels

    def finish(self) -> None:
        """Checks that all annotations were taken.

        Raises:
            ContractError: Some are left.
        """
        left = self._rest is not None and self._rest.num_rows
        if left or next(self._stream, None) is not None:
            raise self._misaligned()

    def _misaligned(self) -> ContractError:
        names = ", ".join(part.path for part in self.parts)
        return ContractError(
            f"the stored annotations {names} do not belong to the documents of their unit, so "
            "nothing was decided by them; delete them and run again"
        )
