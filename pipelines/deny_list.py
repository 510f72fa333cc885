"""The deny list: documents that were withdrawn, by id or by the digest of their text."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.manifest import Withdrawn


class DenyList:
    """Finds withdrawn documents. What it met is named by digest, never by id."""

    def __init__(self, withdrawn: Withdrawn) -> None:
        self._ids = pa.array(sorted(set(withdrawn.ids)), pa.string())
        self._texts = pa.array(sorted(set(withdrawn.text_sha256)), pa.string())
        self.entries = frozenset(
            entry_digest(kind, value)
            for kind, values in (("id", withdrawn.ids), ("text", withdrawn.text_sha256))
            for value in values
        )

    def split(self, rows: pa.RecordBatch) -> tuple[pa.RecordBatch, set[str]]:
        """Returns the rows that are not withdrawn, and the entries that the others meet.

        Args:
            rows: Anything with the columns `id` and `text_sha256`.
        """
        if not self.entries or not rows.num_rows:
            return rows, set()
        ids, texts = rows.column("id"), rows.column("text_sha256")
        by_id = pc.is_in(ids, value_set=self._ids)
        by_text = pc.is_in(texts, value_set=self._texts)
        met = _digests("id", ids.filter(by_id).to_pylist())
        met |= _digests("text", texts.filter(by_text).to_pylist())
        return (rows.filter(pc.invert(pc.or_(by_id, by_text))), met) if met else (rows, met)


def entry_digest(kind: str, value: str) -> str:
    """Returns the digest by which receipts name an entry of the deny list."""
    return digest("withdrawn", kind, value)


def _digests(kind: str, values: Iterable[str]) -> set[str]:
    return {entry_digest(kind, value) for value in values}
