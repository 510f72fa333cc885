"""Everything that a probe asks of one model, and the records of its answers."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from raicurate.corpora_manifests.digests import digest
from raicurate.probes import (
    choices,
    completions,
    crossed,
    pairs,
    perplexity,
    questions,
    refusal,
)
from raicurate.probes.backend import Backend
from raicurate.probes.clause_texts import read_clauses
from raicurate.probes.items import ChoiceItem, PairItem, ProbeDocument, PromptItem
from raicurate.probes.loaders import Loaded, load_outside
from raicurate.probes.perplexity import VARIANTS
from raicurate.probes.records import DOCUMENT_SAMPLES, SAMPLES, Ask, samples
from raicurate.probes.suite import OutsideSet, Suite

GENERATION_TOKENS = 60
"""Tokens that a model writes after a prompt; a sentence or two."""

_TOGETHER = 20_000


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe asks, the same of every model.

    Attributes:
        suite: The suite, with its items.
        asks: All continuations to score.
        documents: All documents to score.
        prompts: All beginnings to finish.
        sets: The outside sets that were read, with what each holds.
        digest: Digest of all of it; results of another one are not compared.
        contaminated: By item or document, whether it stands in the training data.
    """

    suite: Suite
    asks: tuple[Ask, ...]
    documents: tuple[ProbeDocument, ...]
    prompts: tuple[PromptItem, ...]
    sets: tuple[tuple[OutsideSet, Loaded], ...]
    digest: str
    contaminated: Mapping[str, bool] = field(default_factory=dict)

    def questions(self, backend: Backend) -> int:
        """Returns how many different texts a model is asked about."""
        scored = len({ask.request for ask in self.asks})
        documents = len(self.documents) * len(VARIANTS) if backend.capabilities.documents else 0
        return scored + documents + (len(self.prompts) if backend.capabilities.generates else 0)


@dataclass(frozen=True, slots=True)
class Answers:
    """What one model answered.

    Attributes:
        samples: One row a continuation, as `records.SAMPLES`.
        documents: One row a document and variant, as `records.DOCUMENT_SAMPLES`.
        completions: One row a prompt with what its completion is labelled, as
            `completions.measures`; empty where the model cannot write.
    """

    samples: pa.Table
    documents: pa.Table
    completions: pa.Table


def prepare(
    suite: Suite,
    *,
    run: Path | None = None,
    shots: Sequence[int] = (0,),
    contaminated: Mapping[str, bool] | None = None,
) -> Probe:
    """Returns all that a suite asks, with its outside sets read.

    Args:
        suite: The suite.
        run: Output of a run, whose clauses are asked about as well.
        shots: Numbers of worked examples before questions with options.
        contaminated: By item or document, whether it stands in the training data.

    Raises:
        ManifestError: An outside set cannot be read.
        UsageError: The run holds no clauses.
    """
    known = contaminated or {}
    sets = tuple((outside, load_outside(outside)) for outside in suite.outside)
    asks = [*crossed.asks(suite.name, suite.crossed), *refusal.asks(suite.name, suite.refusals)]
    prompts: list[PromptItem] = []
    for outside, loaded in sets:
        asks.extend(
            pairs.asks(outside.name, [item for item in loaded.items if isinstance(item, PairItem)])
        )
        chosen = [item for item in loaded.items if isinstance(item, ChoiceItem)]
        examples = [
            item
            for other, of_other in sets
            for item in of_other.items
            if isinstance(item, ChoiceItem) and other.role != "hazard"
        ]
        asks.extend(choices.asks(outside.name, chosen, examples=examples, shots=shots))
        prompts.extend(item for item in loaded.items if isinstance(item, PromptItem))
    if run is not None:
        asks.extend(_clause_asks(suite.name, run, shots))
    documents = (*suite.documents, *(text for _, loaded in sets for text in loaded.documents))
    marked = tuple(replace(ask, contaminated=known.get(ask.item)) for ask in asks)
    identity = digest(
        {
            "suite": suite.content_digest,
            "sets": [loaded.digest for _, loaded in sets],
            "asks": _asks_digest(marked),
            "documents": [digest([entry.id, entry.text]) for entry in documents],
        }
    )
    return Probe(suite, marked, documents, tuple(prompts), sets, identity, known)


def ask_model(
    backend: Backend,
    probe: Probe,
    label: str,
    generate: Callable[[Sequence[str]], list[str]] | None = None,
) -> Answers:
    """Returns the answers of a model, under its name in reports.

    Args:
        backend: The model.
        probe: What is asked.
        label: Its name in reports.
        generate: How it writes; null where it cannot.

    Raises:
        UsageError: A question does not fit the model.
    """
    parts = [
        samples(backend, probe.asks[start : start + _TOGETHER])
        for start in range(0, len(probe.asks), _TOGETHER)
    ]
    documents = DOCUMENT_SAMPLES.empty_table()
    if probe.documents and backend.capabilities.documents:
        documents = perplexity.document_samples(
            backend, probe.suite.name, probe.documents, probe.suite.key_terms, probe.contaminated
        )
    prompts = probe.prompts if generate is not None else ()
    texts = generate([item.prompt for item in prompts]) if generate and prompts else []
    labelled = completions.measures(probe.suite.name, prompts, texts)
    table = pa.concat_tables(parts) if parts else SAMPLES.empty_table()
    return Answers(_named(table, label), _named(documents, label), _named(labelled, label))


def counts(probe: Probe) -> dict[str, Any]:
    """Returns what is asked, in numbers, for reports."""
    kinds = Counter(kind for kind, _, _ in {(ask.kind, ask.suite, ask.item) for ask in probe.asks})
    return {
        "items": dict(sorted(kinds.items())),
        "documents": len([entry for entry in probe.documents if not entry.neutral]),
        "neutral_documents": len([entry for entry in probe.documents if entry.neutral]),
        "prompts": len(probe.prompts),
        "sets": {
            outside.name: {
                "items": len(loaded.items) + len(loaded.documents),
                "rows": loaded.rows,
                "left_out": dict(loaded.left_out),
                "role": outside.role,
                "digest": loaded.digest,
            }
            for outside, loaded in probe.sets
        },
    }


def _clause_asks(suite: str, run: Path, shots: Sequence[int]) -> list[Ask]:
    clauses = read_clauses(run)
    return [
        *questions.crossed_asks(suite, clauses),
        *questions.ending_asks(suite, clauses, shots=shots),
        *questions.verdict_asks(suite, clauses, shots=shots),
    ]


def _asks_digest(asks: Sequence[Ask]) -> str:
    whole = hashlib.sha256()
    for ask in asks:
        named = (ask.suite, ask.item, ask.kind, str(ask.k), str(ask.draw), str(ask.contaminated))
        whole.update("\x1f".join((*named, ask.request.context, ask.request.continuation)).encode())
        whole.update(b"\x1e")
    return whole.hexdigest()


def _named(table: pa.Table, label: str) -> pa.Table:
    place = table.schema.get_field_index("model")
    return table.set_column(
        place, table.schema.field(place), pa.array([label] * table.num_rows, pa.string())
    )
