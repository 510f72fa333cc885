"""The clauses of policies as a table, by arm: what probes ask."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from raicurate.transforms.arms import Arms
from raicurate.transforms.clause import Clause, Span
from raicurate.transforms.policy_document import PolicyDocument
from raicurate.transforms.schema import CLAUSE_PARTS, CLAUSES


def clause_batch(
    document: PolicyDocument, clauses: Sequence[Clause], arms: Arms, corpus: str, license_name: str
) -> pa.RecordBatch:
    """Returns the clauses of a document as rows of `schema.CLAUSES`.

    Args:
        document: The document.
        clauses: Its clauses.
        arms: To which arm each was dealt.
        corpus: Name of its corpus.
        license_name: Licence of the document.
    """
    rows = []
    for clause in clauses:
        arm = arms.arm(document.id, clause.id)
        row: dict[str, Any] = {
            "id": clause.id,
            "document": document.id,
            "family": arms.family[document.id],
            "arm": arm,
            "corpus": corpus,
            "license": license_name,
            "language": clause.language,
            "section": list(clause.section),
            "text_sha256": clause.text_sha256,
            "modality": clause.modality,
            "negated": clause.negated,
            "restricted": clause.restricted,
            "dimensions": list(clause.dimensions),
            "hazards": list(clause.hazards),
        }
        for name in CLAUSE_PARTS:
            row[name] = None if arm == "taught" else _part(document, getattr(clause, name))
        rows.append(row)
    return pa.RecordBatch.from_pylist(rows, schema=CLAUSES)


def _part(document: PolicyDocument, span: Span | None) -> dict[str, Any] | None:
    if span is None:
        return None
    return {"start": span.start, "end": span.end, "text": document.words(span)}
