"""`raicurate exercises`: show what a policy document will teach; audit what was made."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from raicurate.corpora_manifests.errors import ContractError, DocumentError, UsageError
from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.pipelines import storage
from raicurate.pipelines.cli import print_json
from raicurate.pipelines.exercise_audit import audited, gate_error
from raicurate.pipelines.run import resolved_manifest
from raicurate.pipelines.snapshots import current_snapshot
from raicurate.pipelines.text_report import table
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clause_sidecar import apply_sidecars, read_sidecar, unknown_clauses
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.exercise_gates import Gates, Seen
from raicurate.transforms.lesson import Exercise
from raicurate.transforms.make_exercises import make_exercises
from raicurate.transforms.pdf_text import pdf_text
from raicurate.transforms.policy_document import PolicyDocument
from raicurate.transforms.policy_rows import policy_of_row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True)
    preview = verbs.add_parser("preview", help="show the clauses of a document and its exercises")
    preview.add_argument("document", type=Path, metavar="DOC", help="Markdown, HTML, text or PDF")
    preview.add_argument("--language", default="en", help="ISO 639-1 (default: en)")
    preview.add_argument("--family", action="append", help="only this family; may be repeated")
    preview.add_argument(
        "--notes", action="append", default=[], type=Path, metavar="FILE",
        help="what authors say of single clauses; may be repeated",
    )  # fmt: skip
    preview.add_argument("--each", type=int, metavar="N", help="at most N exercises of a clause")
    preview.add_argument("--json", action="store_true", help="print JSON")
    audits = verbs.add_parser("audit", help="audit the exercises of an output (exit code 5)")
    audits.add_argument("out", metavar="DIR")
    audits.add_argument("--json", action="store_true", help="print JSON")


def execute(options: argparse.Namespace) -> int:
    """Runs the command."""
    return _preview(options) if options.verb == "preview" else _audit(options)


def _preview(options: argparse.Namespace) -> int:
    document = _document(options.document, options.language)
    found = extract_clauses(document, shipped_packs())
    sidecars = [read_sidecar(path) for path in options.notes]
    clauses, notes, unapplied = apply_sidecars(document, found, sidecars)
    for sidecar in sidecars:
        moved = unknown_clauses(sidecar, [(document, found)])
        unapplied += [note for note in moved if note.nearest is not None]
    for note in unapplied:
        print(f"warning: {note}", file=sys.stderr)
    taught = [one for one in clauses if one.id not in notes or notes[one.id].teach]
    families = tuple(options.family) if options.family else None
    library = ExerciseLibrary.load(families=families)
    made = make_exercises(document, taught, library, notes=notes)
    left_out: Counter[str] = Counter()
    kept = Gates().passing(made, left_out, Seen())
    by_clause: dict[str, list[Exercise]] = {}
    for exercise in kept:
        of_clause = by_clause.setdefault(exercise.clause_ids[0], [])
        if options.each is None or len(of_clause) < options.each:
            of_clause.append(exercise)
    if options.json:
        print_json([_plain(document, clause, by_clause.get(clause.id, [])) for clause in clauses])
        return 0
    for clause in clauses:
        print("\n".join(_lines(document, clause, by_clause.get(clause.id, []))))
    shown = sum(len(found) for found in by_clause.values())
    print(f"{len(clauses)} clauses, {len(kept)} exercises, {shown} shown")
    return 0


def _document(path: Path, language: str) -> PolicyDocument:
    try:
        if path.suffix.lower() == ".pdf":
            text = pdf_text(path.read_bytes())
        else:
            text = path.read_text(encoding="utf-8")
    except DocumentError as error:
        raise UsageError(f"{path}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read as UTF-8 text, so there is nothing to show; name a Markdown, "
            "HTML, text or PDF file"
        ) from error
    return policy_of_row(path.name, text, language, path.name, "{}")


def _fields(document: PolicyDocument, clause: Any) -> dict[str, str]:
    names = ("actor", "action", "object", "condition", "exception", "quantity", "rationale")
    return {
        name: document.words(span) for name in names if (span := getattr(clause, name)) is not None
    }


def _lines(document: PolicyDocument, clause: Any, exercises: list[Exercise]) -> Iterator[str]:
    yield f"{clause.id}  {clause.modality}  {' > '.join(clause.section)}"
    lead = f"{document.words(clause.lead)} " if clause.lead is not None else ""
    yield f"  {lead}{document.words(clause.span)}"
    for name, words in _fields(document, clause).items():
        yield f"    {name:<10} {words}"
    for exercise in exercises:
        yield f"  [{exercise.family}] {exercise.question}"
        for choice in exercise.choices:
            yield f"      {'*' if choice == exercise.answer else '-'} {choice}"
        yield f"      = {exercise.rationale if exercise.choices else exercise.answer}"
    yield ""


def _plain(document: PolicyDocument, clause: Any, exercises: list[Exercise]) -> dict[str, Any]:
    return {
        "clause": clause.id,
        "modality": clause.modality,
        "section": list(clause.section),
        "start": clause.span.start,
        "end": clause.span.end,
        "fields": _fields(document, clause),
        "exercises": [
            {
                "id": exercise.id,
                "family": exercise.family,
                "question": exercise.question,
                "choices": list(exercise.choices),
                "answer": exercise.answer,
                "verdict": exercise.verdict,
                "rationale": exercise.rationale,
            }
            for exercise in exercises
        ],
    }


def _audit(options: argparse.Namespace) -> int:
    out = storage.absolute(options.out)
    snapshot = current_snapshot(out)
    if snapshot is None:
        raise ContractError(f"{out} holds no snapshot; finish a run there first")
    probes = resolved_manifest(out).get("exercises", {}).get("probes", ())
    results = audited(out, snapshot.receipts, probes)
    if options.json:
        print_json(orjson.loads(orjson.dumps([result.to_plain() for result in results])))
    else:
        rows = [
            (
                result.audit, result.group, f"{result.value:.3f}", f"{result.bound:.3f}",
                str(result.count), "passed" if result.passed else "FAILED",
            )
            for result in results
        ]  # fmt: skip
        print("\n".join(table(("audit", "group", "value", "bound", "count", ""), rows)))
    error = gate_error(results)
    if error is not None:
        raise error
    return 0
