"""The audits of all exercises of a run, as a gate before `_SUCCESS`."""

from collections.abc import Sequence
from typing import Any

import orjson
import pyarrow.parquet as pq

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import GateError
from raicurate.pipelines import storage
from raicurate.pipelines.receipts import EXERCISES, Receipt
from raicurate.pipelines.snapshots import located
from raicurate.transforms import exercise_audits
from raicurate.transforms.exercise_audits import AuditResult, audit, faults
from raicurate.transforms.exercise_gates import Gates
from raicurate.transforms.exercise_language import text_language

MAX_ROWS = 20_000
"""Exercises that are audited; of more, this many are drawn by id."""

_COLUMNS = ["id", "family", "language", "document", "question", "choices", "answer", "verdict",
            "rationale", "situation"]  # fmt: skip


def audit_path(out: str) -> str:
    """Returns where the results of the last audit stand."""
    return storage.join(out, "_rai", "exercise_audit.json")


def audited(out: str, receipts: Sequence[Receipt], probes: Sequence[str] = ()) -> list[AuditResult]:
    """Returns the audits of all exercises, from the last time where they are the same.

    Args:
        out: The output.
        receipts: What stands in it.
        probes: Files with probe items that no exercise may repeat.
    """
    parts = [part for receipt in receipts for part in receipt.parts if part.layer == EXERCISES]
    if not parts:
        storage.delete(audit_path(out))
        return []
    gates = Gates.load(probes, text_language())
    key = digest(exercise_audits.VERSION, gates.digest, sorted(part.sha256 for part in parts))
    known = _stored(out)
    if known is not None and known["key"] == key:
        return [AuditResult(**values) for values in known["results"]]
    rows = sum(part.rows for part in parts)
    bound = min(1.0, MAX_ROWS / rows) * 0xFFFFFFFF
    drawn: list[dict[str, Any]] = []
    for part in parts:
        path = located(out, None, part)
        assert path is not None, f"{part.path} was written a moment ago"
        with storage.open_read(path) as opened, pq.ParquetFile(opened) as file:
            for batch in file.iter_batches(columns=_COLUMNS):
                drawn += [row for row in batch.to_pylist() if int(row["id"][:8], 16) <= bound]
    results = audit(sorted(drawn, key=lambda row: str(row["id"])), gates, gates.language_of)
    content = {"key": key, "results": [result.to_plain() for result in results]}
    storage.write_bytes(
        audit_path(out), orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
    )
    return results


def _stored(out: str) -> dict[str, Any] | None:
    path = audit_path(out)
    if not storage.exists(path):
        return None
    try:
        values: dict[str, Any] = orjson.loads(storage.read_bytes(path))
    except orjson.JSONDecodeError:
        return None
    return values if {"key", "results"} <= values.keys() else None


def check_audit(out: str) -> None:
    """Checks that the exercises of an output passed their last audit.

    Raises:
        GateError: They did not.
    """
    known = _stored(out)
    error = gate_error([AuditResult(**values) for values in known["results"]]) if known else None
    if error is not None:
        raise error


def gate_error(results: Sequence[AuditResult]) -> GateError | None:
    """Returns the error for audits that failed, or None."""
    failed = faults(results)
    if not failed:
        return None
    first = failed[0]
    return GateError(
        f"{len(failed)} audit(s) of the exercises failed, the first being {first.audit} of "
        f"{first.group}: {first.value:.3f} where {first.bound:.3f} is allowed ({first.count} "
        "exercises). They were written, without `_SUCCESS`; see `raicurate exercises audit`, and "
        "correct the templates, or leave the family out with `exercises.families`"
    )
