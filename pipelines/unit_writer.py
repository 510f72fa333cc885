"""Writing the layers of one unit, and counting them again from the finished files."""

from collections import Counter
from types import TracebackType

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raicurate.corpora_manifests.vocabulary import DATA_ACTIONS
from raicurate.pipelines import storage
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.parts import PartWriter
from raicurate.pipelines.receipts import ANNOTATIONS, DATA, ERRORS, LEDGER, RESTRICTED, Part
from raicurate.pipelines.units import Unit
from raicurate.transforms import schema


class UnitWriter:
    """Distributes the rows of a unit over its layers.

    A context manager: what is not committed when it ends is removed.
    """

    def __init__(self, config: RunConfig, unit: Unit) -> None:
        output = config.manifest.output
        self._config = config
        self._unit = unit
        self._prefixes = {
            DATA: f"data/{unit.corpus}",
            RESTRICTED: unit.corpus,
            ANNOTATIONS: f"annotations/{output.annotation_set}/{unit.corpus}",
            ERRORS: f"errors/{unit.corpus}",
            LEDGER: f"ledger/{unit.corpus}",
        }
        schemas = {
            DATA: schema.DOCUMENTS,
            RESTRICTED: schema.DOCUMENTS,
            ANNOTATIONS: schema.ANNOTATIONS,
            ERRORS: schema.ERRORS,
            LEDGER: schema.LEDGER,
        }
        self._writers = {
            layer: PartWriter(
                schemas[layer],
                storage.join(self._root(layer), prefix),
                output.row_group_bytes,
                output.part_bytes,
                "text" if layer in {DATA, RESTRICTED} else None,
            )
            for layer, prefix in self._prefixes.items()
        }

    def _root(self, layer: str) -> str:
        if layer != RESTRICTED:
            return self._config.out
        # A manifest whose policy can restrict is refused where it names no restricted tier.
        return self._config.restricted or self._config.out

    def __enter__(self) -> "UnitWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.discard()

    def write_unread(self, errors: pa.RecordBatch, ledger: pa.RecordBatch) -> None:
        """Writes what could not be read: rows of `schema.ERRORS` and of `schema.LEDGER`."""
        if errors.num_rows:
            part = self._writers[ERRORS].part
            everything = pa.array([True] * ledger.num_rows)
            self._writers[LEDGER].append(_located(ledger, everything, ERRORS, part))
            self._writers[ERRORS].append(errors)

    def write_annotations(self, labels: pa.RecordBatch) -> None:
        """Writes rows of `schema.ANNOTATIONS`."""
        self._writers[ANNOTATIONS].append(labels)

    def write(self, rows: pa.RecordBatch, ledger: pa.RecordBatch, errors: pa.RecordBatch) -> None:
        """Writes decided documents to where their action sends them.

        Args:
            rows: All of them, as `schema.DOCUMENTS`.
            ledger: Their rows of `schema.LEDGER`, without tier and part.
            errors: Those that could not be annotated, as `schema.ERRORS`.
        """
        actions = rows.column("action")
        for layer, names in ((DATA, DATA_ACTIONS), (RESTRICTED, ("restrict",))):
            chosen = pc.is_in(actions, value_set=pa.array(names))
            count = pc.sum(chosen).as_py() or 0
            if not count:
                continue
            ledger = _located(ledger, chosen, layer, self._writers[layer].part)
            self._writers[layer].append(rows if count == rows.num_rows else rows.filter(chosen))
        if errors.num_rows:
            failed = pc.equal(actions, "error")
            ledger = _located(ledger, failed, ERRORS, self._writers[ERRORS].part)
            self._writers[ERRORS].append(errors)
        self._writers[LEDGER].append(ledger)

    def commit(self, keys: dict[str, str]) -> list[Part]:
        """Publishes all layers under their final names and returns the parts.

        Args:
            keys: The keys `read`, `annotate` and `apply` of the unit.
        """
        parts = []
        for layer in (ANNOTATIONS, DATA, RESTRICTED, ERRORS, LEDGER):
            key = keys["annotate"] if layer == ANNOTATIONS else keys["apply"]
            footer = {"rai.unit": self._unit.id} | {
                f"rai.{name}": value
                for name, value in keys.items()
                if layer != ANNOTATIONS or name != "apply"
            }
            name = f"part-{self._unit.id}-{key[:16]}"
            parts += self._writers[layer].commit(layer, self._prefixes[layer], name, footer)
        return parts

    def reopened_counts(self, parts: list[Part]) -> dict[str, int]:
        """Returns the documents by outcome, counted in the files as they stand now."""
        counts: Counter[str] = Counter()
        for part in parts:
            path = storage.join(self._root(part.layer), part.path)
            if part.layer in {DATA, RESTRICTED}:
                counts.update(_column_counts(path, "action"))
            elif part.layer == LEDGER:
                counts["drop"] += _column_counts(path, "action")["drop"]
            elif part.layer == ERRORS:
                with storage.open_read(path) as opened, pq.ParquetFile(opened) as file:
                    counts["errors"] += file.metadata.num_rows
        return {name: counts[name] for name in (*DATA_ACTIONS, "restrict", "drop", "errors")}


def _located(ledger: pa.RecordBatch, rows: pa.Array, tier: str, part: int) -> pa.RecordBatch:
    """Returns the ledger with tier and part filled in for the chosen rows."""
    for name, value in (("tier", pa.scalar(tier)), ("part", pa.scalar(part, pa.int32()))):
        index = ledger.schema.get_field_index(name)
        column = pc.if_else(rows, value, ledger.column(index))
        ledger = ledger.set_column(index, ledger.schema.field(index), column)
    return ledger


def _column_counts(path: str, column: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    with storage.open_read(path) as opened, pq.ParquetFile(opened) as file:
        for batch in file.iter_batches(columns=[column]):
            for entry in pc.value_counts(batch.column(0)):
                counts[entry["values"].as_py()] += entry["counts"].as_py()
    return counts
