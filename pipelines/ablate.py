"""Trains small models on mixes of a run's output and asks them: does this mix teach?

Each mix has the same bytes, and each model is compared with that of the raw documents on the same
items, paired. The answer of a mix counts only beside its controls: a gain that the controls have
too is form or vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.ablation import BASE, AblationManifest, Mix, ModelKind
from raicurate.corpora_manifests.digests import digest
from raicurate.pipelines.ablation_mixes import build_mixes, read_documents, read_exercises
from raicurate.pipelines.ablation_models import Answers, Questions, answers_of, averaged
from raicurate.probes import choices, crossed, questions, refusal
from raicurate.probes.backend import utf8_bytes
from raicurate.probes.clause_texts import ARMS, ClauseText, read_clauses
from raicurate.probes.comparisons import (
    Cell,
    change,
    excess_change,
    grid,
    macro_bits_per_byte,
    macro_change,
    mean,
)
from raicurate.probes.items import ProbeDocument
from raicurate.probes.records import Ask
from raicurate.probes.statistics import Estimate, holm
from raicurate.probes.suite import Suite, load_suite, resolve_suite

Tell = Callable[[str], None]

# Given and asked, such a clause fits in the window of the small transformer.
_MAX_CLAUSE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result: how a mix differs from the raw documents.

    Attributes:
        model: Kind of the models.
        mix: What was read.
        measure: What was measured.
        cell: Of which part, such as a dimension, an arm; `macro` is the mean over dimensions.
        estimate: The change from the model of the raw documents; for these, the value itself.
        p_adjusted: For the primary measure, adjusted by Holm over the mixes.
    """

    model: ModelKind
    mix: Mix
    measure: str
    cell: str
    estimate: Estimate
    p_adjusted: float | None = None


def ablate(manifest: AblationManifest, out: Path, tell: Tell) -> dict[str, Any]:
    """Trains and asks all models of an ablation, and returns the result as plain values.

    Args:
        manifest: What is trained and asked.
        out: Where trained transformers and answers are kept; what is there already is not made
            again.
        tell: Called with a line on what is being done.

    Raises:
        UsageError: The run or the suite lacks what the manifest asks for.
        MissingExtraError: A transformer is to be trained without the extra `probes`.
    """
    run = Path(manifest.run)
    suite = load_suite(resolve_suite(manifest.suite))
    read, asked = _split_rulebooks(suite, manifest.language)
    mixes = build_mixes(
        manifest,
        read_documents(run, manifest.language),
        read_exercises(run, manifest.language),
        [document.text for document in read],
    )
    clauses = _chosen(read_clauses(run), manifest)
    wanted = Questions(
        list(_asks(suite, manifest.language, clauses)),
        [*asked, *unseen_documents(clauses)],
        suite.key_terms,
    )
    rows: list[Row] = []
    for kind in manifest.models:
        answers: dict[Mix, list[Answers]] = {}
        for mix, texts in mixes.items():
            answers[mix] = []
            for seed in manifest.seeds if kind == "transformer" else (0,):
                tell(f"{kind} on {mix}, seed {seed}")
                answers[mix].append(
                    answers_of(manifest, kind, texts, mixes[BASE], seed, wanted, out)
                )
        rows += compared(kind, {mix: averaged(seeds) for mix, seeds in answers.items()})
    return {
        "schema_version": 1,
        "name": manifest.name,
        "manifest": manifest.model_dump(mode="json"),
        "suite": suite.content_digest,
        "bytes": {mix: sum(map(utf8_bytes, texts)) for mix, texts in mixes.items()},
        "texts": {mix: len(texts) for mix, texts in mixes.items()},
        "clauses": {arm: sum(clause.arm == arm for clause in clauses) for arm in ARMS},
        "rows": [asdict(row) for row in rows],
    }


def compared(kind: ModelKind, answers: Mapping[Mix, Answers]) -> list[Row]:
    """Returns all comparisons of the mixes with the raw documents."""
    base = _measured(answers[BASE])
    rows: list[Row] = []
    for mix, answer in answers.items():
        measured = base if mix == BASE else _measured(answer)
        seed = f"{kind} {mix}"
        for measure, cell, found in _comparisons(
            base, measured, answers[BASE], answer, mix == BASE, seed
        ):
            rows.append(Row(kind, mix, measure, cell, found))
    primary = [
        n
        for n, row in enumerate(rows)
        if (row.measure, row.cell) == ("crossed margin", "macro") and row.mix != BASE
    ]
    for n, p_value in zip(primary, holm([rows[n].estimate.p_value for n in primary]), strict=True):
        rows[n] = replace(rows[n], p_adjusted=float(p_value))
    return rows


def unseen_documents(clauses: Sequence[ClauseText]) -> list[ProbeDocument]:
    """Returns the clauses of the unseen arm as documents, by document and dimension."""
    texts: dict[tuple[str, str], list[ClauseText]] = {}
    for clause in clauses:
        if clause.arm == "unseen" and clause.dimension:
            texts.setdefault((clause.document, clause.dimension), []).append(clause)
    return [
        ProbeDocument(
            id=f"unseen-{digest(document, dimension)}",
            language=group[0].language,
            dimension=dimension,
            source="clauses",
            cluster=group[0].family,
            text="\n".join(f"{clause.heading}\n{clause.text}" for clause in group),
        )
        for (document, dimension), group in sorted(texts.items())
    ]


def _chosen(clauses: Sequence[ClauseText], manifest: AblationManifest) -> list[ClauseText]:
    """Returns the clauses that are asked about: of whole documents, while there is room."""
    groups: dict[tuple[str, str], list[ClauseText]] = {}
    for clause in clauses:
        short = len(clause.heading) + len(clause.text) <= _MAX_CLAUSE_CHARS
        if clause.language == manifest.language and short:
            groups.setdefault((clause.arm, clause.document), []).append(clause)
    left = dict.fromkeys(ARMS, manifest.clauses)
    chosen: list[ClauseText] = []
    for arm, document in sorted(groups, key=lambda group: digest(*group)):
        part = groups[arm, document][: left[arm]]
        left[arm] -= len(part)
        chosen += part
    return chosen


def _split_rulebooks(
    suite: Suite, language: str
) -> tuple[list[ProbeDocument], list[ProbeDocument]]:
    """Returns the neutral rulebooks that the control reads, and those that are asked."""
    neutral = sorted(
        (text for text in suite.documents if text.neutral and text.language == language),
        key=lambda text: digest(text.id),
    )
    return neutral[::2], neutral[1::2]


def _asks(suite: Suite, language: str, clauses: Sequence[ClauseText]) -> Iterator[Ask]:
    name = suite.name
    yield from crossed.asks(name, (i for i in suite.crossed if i.language == language))
    yield from refusal.asks(name, (i for i in suite.refusals if i.language == language))
    yield from questions.crossed_asks("clauses", clauses)
    yield from questions.ending_asks("clauses", clauses)
    yield from questions.verdict_asks("clauses", clauses)


def _measured(answers: Answers) -> dict[str, pa.Table]:
    items = answers.items
    return {
        "crossed": crossed.measures(items),
        "refusal": refusal.measures(items),
        "clause_crossed": crossed.measures(items, "clause_crossed"),
        "clause_ending": choices.measures(items, "clause_ending"),
        "clause_verdict": choices.measures(items, "clause_verdict"),
    }


def _comparisons(
    base: Mapping[str, pa.Table],
    measured: Mapping[str, pa.Table],
    base_answers: Answers,
    answers: Answers,
    is_base: bool,
    seed: str,
) -> Iterator[tuple[str, str, Estimate]]:
    """Yields measure, cell and estimate: of the change from the base, or of the base itself."""
    first, second = base["crossed"], measured["crossed"]
    if is_base:
        yield "crossed margin", "macro", mean(second, "margin", seed=seed)
        cells = grid(second, None, "margin", seed=seed, by=("dimension",))
    else:
        yield "crossed margin", "macro", macro_change(first, second, "margin", seed=seed)
        cells = grid(first, second, "margin", seed=seed, by=("dimension",))
    yield from _named("crossed margin", cells)
    for kind, measure in (
        ("clause_crossed", "margin"),
        ("clause_ending", "gold_bpb"),
        ("clause_verdict", "acc_pmi"),
    ):
        for condition in questions.CONDITIONS:
            for arm in ARMS:
                parts = [_part(table[kind], arm, condition) for table in (base, measured)]
                if parts[0].num_rows:
                    cell = f"{arm}, {condition.replace('_', ' ')}"
                    name = f"{kind.replace('_', ' ')} {measure}"
                    found = (
                        mean(parts[1], measure, seed=f"{seed} {cell}")
                        if is_base
                        else change(parts[0], parts[1], measure, seed=f"{seed} {cell}")
                    )
                    yield name, cell, found
    if measured["refusal"].num_rows:
        found_both = (
            refusal.signal_detection(measured["refusal"], seed=seed)
            if is_base
            else refusal.signal_detection_difference(
                base["refusal"], measured["refusal"], seed=seed
            )
        )
        yield from zip(("refusal d'", "refusal bias c"), ("all", "all"), found_both, strict=True)
    yield from _documents(base_answers.documents, answers.documents, is_base, seed)


def _documents(
    base: pa.Table, documents: pa.Table, is_base: bool, seed: str
) -> Iterator[tuple[str, str, Estimate]]:
    has_dimensions = pc.any(pc.is_valid(documents["dimension"])).as_py()
    has_neutral = pc.any(documents["neutral"]).as_py()
    if not has_dimensions:
        return
    second = None if is_base else documents
    yield "bits per byte", "macro", macro_bits_per_byte(base, second, seed=seed)
    if has_neutral and not is_base:
        macro, cells = excess_change(base, documents, seed=seed)
        yield "excess bits per byte", "macro", macro
        yield from _named("excess bits per byte", cells)


def _named(measure: str, cells: Sequence[Cell]) -> Iterator[tuple[str, str, Estimate]]:
    for cell in cells:
        yield measure, cell.names["dimension"], cell.estimate


def _part(table: pa.Table, arm: str, condition: str) -> pa.Table:
    return table.filter(
        pc.and_(pc.equal(table["arm"], arm), pc.equal(table["condition"], condition))
    )
