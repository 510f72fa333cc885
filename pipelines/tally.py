"""Counting, while a unit passes, what its receipt and the reports will say."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.pipelines.reading import ReadBatch
from raicurate.pipelines.receipts import Damage
from raicurate.transforms.cascade_counts import cascade_counts
from raicurate.transforms.identity_mentions import identity_mentions
from raicurate.transforms.target_groups import stated_groups

_RANGE = re.compile(r"#\d+$")
"""What stands behind the name of a file of which a range was read."""


class Tally:
    """Counts of one unit. What the reader delivered is counted apart from what was written."""

    def __init__(self) -> None:
        self.documents_in = 0
        self.withdrawn = 0
        self.text_bytes = 0
        self._tables: dict[str, Counter[str]] = defaultdict(Counter)
        self._damage: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def add_read(self, batch: ReadBatch) -> None:
        """Counts what the reader delivered."""
        self.documents_in += batch.documents.num_rows + len(batch.errors)
        for error in batch.errors:
            self._tables["error_type"][error.error_type] += 1
            if error.damage:
                seen = self._damage[_RANGE.sub("", error.file), error.error_type]
                seen[0] += 1
                seen[1] += error.bytes or 0
        length = pc.sum(pc.binary_length(batch.documents.column("text"))).as_py()
        self.text_bytes += length or 0

    def add_decided(
        self, labels: pa.RecordBatch, decisions: pa.RecordBatch, applied: pa.RecordBatch
    ) -> None:
        """Counts what was decided on the documents that are not withdrawn."""
        actions = applied.column("action")
        langs = pc.fill_null(labels.column("lang"), "none")
        self._count("rule", applied.column("rule"))
        self._count("action_by_language", _joined(langs, actions))
        self._count("rejection", applied.column("rejection").drop_null())
        self._count("error_type", labels.column("error_type").drop_null())
        unmeasured = pc.fill_null(pc.equal(labels.column("harm_model"), "none"), False)
        self._count("unmeasured_language", langs.filter(unmeasured))
        self._count("personal_data", labels.column("personal_data").flatten().field("kind"))
        steps = labels.column("steps").flatten()
        self._count("step_failed", steps.field("name").filter(pc.invert(steps.field("passed"))))
        self._count_hazards(decisions.column("active_hazards"), actions)
        self._tables["cascade"].update(cascade_counts(labels, decisions))
        self._count("stated_group", stated_groups(applied.column("spans")))
        self._tables["identity_mentions"].update(
            identity_mentions(applied.column("text"), langs, applied.column("spans"))
        )

    def _count_hazards(self, hazards: pa.Array, actions: pa.Array) -> None:
        values = hazards.flatten()
        if not len(values):
            return
        rows = pc.list_parent_indices(hazards)
        joined = _joined(values.field("hazard"), values.field("stance"), actions.take(rows))
        # A document that shows a hazard in several passages counts once.
        table = pa.table({"row": rows, "name": joined}).group_by(["row", "name"]).aggregate([])
        self._count("action_by_hazard", table.column("name").combine_chunks())

    def _count(self, table: str, values: pa.Array) -> None:
        for entry in pc.value_counts(values):
            self._tables[table][entry["values"].as_py()] += entry["counts"].as_py()

    def counts(self, reopened: Mapping[str, int]) -> dict[str, int]:
        """Returns the counts of a receipt.

        Args:
            reopened: Documents by outcome, counted in the files that were written.
        """
        return {"documents_in": self.documents_in, **reopened, "withdrawn": self.withdrawn}

    def damage(self) -> list[Damage]:
        """Returns the damage that was met, by file."""
        return [
            Damage(file, error_type, errors, size)
            for (file, error_type), (errors, size) in sorted(self._damage.items())
        ]

    def tables(self) -> dict[str, dict[str, int]]:
        """Returns the counts by name, without empty tables, in sorted order."""
        return {
            name: dict(sorted(counts.items()))
            for name, counts in sorted(self._tables.items())
            if counts
        }


def _joined(*columns: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(*columns, "/")
