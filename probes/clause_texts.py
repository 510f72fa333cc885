"""The words of a run's clauses, by arm: what questions about policies are made of.

Clauses that were held out stand with their words in `heldout/clauses.parquet`; taught and read-only
ones stand in the documents of the data, where they are found again by their ids.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import UsageError
from raicurate.transforms.clause import DEONTIC, Clause, Span
from raicurate.transforms.clause_packs import ClausePacks, shipped_packs
from raicurate.transforms.context_assembly import recover_original
from raicurate.transforms.policy_document import PolicyDocument, read_policy
from raicurate.transforms.policy_rows import clauses_of, policy_of_row

ARMS = ("taught", "read_only", "unseen")


@dataclass(frozen=True, slots=True)
class ClauseText:
    """A clause in words, cut where it begins to say what to do.

    Attributes:
        id: Of the clause.
        document: Id of its document.
        family: Of the document, the cluster that is resampled together.
        arm: `taught`, `read_only` or `unseen`.
        language: ISO 639-1.
        section: Titles from the document's root to the section.
        modality: One of `clause.DEONTIC`.
        before: All that stands before the action, with the sentence that introduces a list.
        action: The action and what follows it in the clause.
        dimension: The first dimension that it concerns, if any.
        hazard: The first hazard that it names, if any.
    """

    id: str
    document: str
    family: str
    arm: str
    language: str
    section: tuple[str, ...]
    modality: str
    before: str
    action: str
    dimension: str | None
    hazard: str | None

    @property
    def heading(self) -> str:
        """The titles in one line."""
        return " – ".join(self.section)

    @property
    def text(self) -> str:
        """The whole clause."""
        return f"{self.before} {self.action}"


def read_clauses(run: Path) -> list[ClauseText]:
    """Returns the rules of a run's policies that say what to do, ordered by id.

    Definitions, reasons and clauses without an action of their own are left out.

    Raises:
        UsageError: The run holds no clauses.
    """
    path = run / "heldout" / "clauses.parquet"
    if not path.is_file():
        raise UsageError(
            f"{path} is missing, so there are no clauses to ask about; run a manifest with policy "
            "corpora and `exercises`, and give its output folder"
        )
    rows = pq.read_table(path).to_pylist()
    arms = {(row["document"], row["clause"]): row for row in rows}
    packs = shipped_packs()
    held = (row for row in rows if row["arm"] == "unseen")
    found = [*_of_rows(held, packs), *_of_data(run, arms, packs)]
    return sorted(found, key=lambda clause: (clause.id, clause.document))


def _of_rows(rows: Iterable[dict[str, Any]], packs: ClausePacks) -> Iterator[ClauseText]:
    """Yields the clauses whose words stand in the table, read again by themselves."""
    for row in rows:
        document = read_policy(row["text"], "text", row["document"], row["language"], row["family"])
        for clause in clauses_of(document, packs):
            if clause_text := _text_of(document, clause, row):
                yield clause_text
                break


def _of_data(
    run: Path, arms: dict[tuple[str, str], dict[str, Any]], packs: ClausePacks
) -> Iterator[ClauseText]:
    wanted = sorted({document for (document, _), row in arms.items() if row["arm"] != "unseen"})
    if not wanted or not (run / "data").is_dir():
        return
    columns = ["id", "text", "spans", "lang", "src_file", "metadata"]
    table = ds.dataset(run / "data", format="parquet").to_table(
        columns=columns, filter=ds.field("id").isin(wanted)
    )
    for row in table.to_pylist():
        text = recover_original(row["text"], row["spans"])
        document = policy_of_row(row["id"], text, row["lang"], row["src_file"], row["metadata"])
        for clause in clauses_of(document, packs):
            stored = arms.get((document.id, clause.id))
            if stored and (clause_text := _text_of(document, clause, stored)):
                yield clause_text


def _text_of(document: PolicyDocument, clause: Clause, row: dict[str, Any]) -> ClauseText | None:
    if clause.modality not in DEONTIC or clause.action is None:
        return None
    if clause.negated and clause.modality != "prohibition":
        return None
    start, action, end = clause.span.start, clause.action.start, clause.span.end
    parts = [document.words(clause.lead)] if clause.lead else []
    if action > start:
        parts.append(document.words(Span(start, action)))
    before, rest = " ".join(filter(None, parts)), document.words(Span(action, end))
    if not before or not rest:
        return None
    return ClauseText(
        row["clause"],
        row["document"],
        row["family"],
        row["arm"],
        row["language"],
        tuple(row["section"]),
        clause.modality,
        before,
        rest,
        next(iter(clause.dimensions), None),
        next(iter(clause.hazards), None),
    )
