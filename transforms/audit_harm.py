"""Audits a harm model: how right, how even and how fast its labels are, at a policy's thresholds.

Everything is asked of the whole cascade, as a run asks it, so that what the first stage clears
counts as clear.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.policy import Policy
from raicurate.transforms import audit_data
from raicurate.transforms.annotate_harm import HarmAnnotator
from raicurate.transforms.audit_answers import BATCH, Answers, ask, batch_of
from raicurate.transforms.audit_checks import (
    Figure,
    area,
    calibration,
    gap,
    precision_at,
    precision_curve,
    share,
)
from raicurate.transforms.audit_severity import severities
from raicurate.transforms.harm_model import HarmModel
from raicurate.transforms.harm_screen import screened
from raicurate.transforms.harm_text import is_long
from raicurate.transforms.labelled_sets import Example, draw

PREVALENCES = (0.02, 0.04)
"""About the shares of harmful pages on the web for which precision is given."""

SAMPLE = 0.05
"""Share of the cleared documents that an audit sends on; a run sends on fewer (1 %)."""

FEWEST_OF_TARGET = 10
"""Target groups of functional tests with fewer texts do not count. The held-out functionality that
is not hateful has 10 to 20 texts for each, so that a gap of one step in ten may be chance."""

FEWEST_CALIBRATED = 100
"""A language and kind of text with fewer texts has no calibration error worth showing."""


def audit(folder: Path, data: Path, policy: Policy) -> list[Figure]:
    """Returns all figures of a model.

    Args:
        folder: Folder of the model.
        data: Folder of the public sets.
        policy: Whose thresholds count.

    Raises:
        ManifestError: The model or a set is missing.
    """
    annotator = HarmAnnotator(str(folder))
    annotator.setup()
    model = HarmModel.load(folder)
    tests = [e for e in audit_data.held_out(model.description, data) if e.lang in model.languages]
    answers = ask(annotator, policy, [e.text for e in tests], [e.lang for e in tests])
    documents = audit_data.whole_documents(tests)
    return [
        *functionalities(tests, answers),
        *web(tests, answers),
        *_dialects(annotator, policy, data),
        *_identities(annotator, policy, data),
        *_ordinary(annotator, policy, documents),
        *languages(tests, answers),
        *severities(annotator, policy, tests),
        *_cost(annotator, model, policy, data),
    ]


def functionalities(tests: Sequence[Example], answers: Answers) -> list[Figure]:
    """Returns the figures of the functional tests that were held out (Roettger et al. 2021)."""
    rows = np.array([e.set_name.startswith("hatecheck") for e in tests], dtype=bool)
    langs = np.array([e.lang for e in tests])
    figures = []
    for lang in sorted(set(langs[rows])):
        chosen = np.flatnonzero(rows & (langs == lang)).tolist()
        own = [tests[row] for row in chosen]
        truth = np.array([e.stance == "intent" for e in own])
        flagged = answers.intent[chosen]
        # The limits are for English, in which the sets to learn from are many.
        prefix = "" if lang == "en" else "other_"
        figures += [
            area(f"{prefix}functionality_auc", f"HateCheck {lang}", answers.score[chosen], truth),
            share(f"{prefix}hateful_accuracy", f"HateCheck {lang}", flagged[truth]),
            share(f"{prefix}non_hateful_accuracy", f"HateCheck {lang}", ~flagged[~truth]),
        ]
        targets = [str((e.row.get("meta") or {}).get("target")) for e in own]
        benign = np.flatnonzero(~truth).tolist()
        figures.append(
            gap(
                f"{prefix}target_gap",
                f"HateCheck {lang}, not hateful",
                flagged[benign],
                [targets[row] for row in benign],
                FEWEST_OF_TARGET,
            )
        )
        for name in sorted({e.group for e in own}):
            inside = np.array([e.group == name for e in own])
            right = flagged[inside] == truth[inside]
            figures.append(share("functionality_accuracy", f"{name} {lang}", right))
    return figures


def web(tests: Sequence[Example], answers: Answers) -> list[Figure]:
    """Returns how web snippets with intent are told from those that talk about harm."""
    rows = np.array([e.set_name == "havoc" for e in tests], dtype=bool)
    stances = np.array([e.stance for e in tests])[rows]
    intent = stances == "intent"
    return [
        precision_curve("intent_average_precision", "HAVOC", answers.score[rows], intent),
        area("intent_auc", "HAVOC", answers.score[rows], intent),
        share("intent_caught", "HAVOC", answers.intent[rows][intent]),
        share("topical_flagged", "HAVOC", answers.intent[rows][stances == "topical"]),
        share("clear_flagged", "HAVOC", answers.intent[rows][stances == "none"]),
    ]


def languages(tests: Sequence[Example], answers: Answers) -> list[Figure]:
    """Returns separation, calibration and precision by language and kind of text."""
    figures = []
    truth = np.array([e.stance == "intent" for e in tests])
    langs = np.array([e.lang for e in tests])
    kinds = np.array([e.text_type for e in tests])
    for lang in sorted(set(langs)):
        own = langs == lang
        figures.append(area("language_auc", lang, answers.score[own], truth[own]))
        caught = share("caught", lang, answers.intent[own & truth])
        flagged = share("false_positives", lang, answers.intent[own & ~truth])
        figures += [caught, flagged]
        for prevalence in PREVALENCES:
            if caught.value is not None and flagged.value is not None:
                value = precision_at(prevalence, caught.value, flagged.value)
                figures.append(Figure(f"precision_at_{prevalence:.0%}", lang, value))
        for kind in sorted(set(kinds[own])):
            rows = own & (kinds == kind)
            if rows.sum() >= FEWEST_CALIBRATED:
                subject = f"{lang} {kind}"
                figures.append(
                    calibration("calibration_error", subject, answers.score[rows], truth[rows])
                )
                figures.append(area("kind_auc", subject, answers.score[rows], truth[rows]))
    return figures


def _dialects(annotator: HarmAnnotator, policy: Policy, data: Path) -> list[Figure]:
    dialect, standard = audit_data.dialect_pairs(data)
    one, other = (
        ask(annotator, policy, texts, ["en"] * len(texts)) for texts in (dialect, standard)
    )
    same = (one.stances == other.stances).all(axis=1)
    return [share("dialect_agreement", "the same sentence in two dialects", same)]


def _identities(annotator: HarmAnnotator, policy: Policy, data: Path) -> list[Figure]:
    figures = []
    for name, found in (
        ("identity templates", audit_data.identity_templates(data)),
        ("HolisticBias", audit_data.holistic_sentences(data)),
    ):
        flagged = ask(annotator, policy, found.texts, found.languages).intent
        for lang in sorted(set(found.languages)):
            rows = [row for row, other in enumerate(found.languages) if other == lang]
            groups = [found.groups[row] for row in rows]
            subject = f"{name} {lang}"
            figures.append(share("template_flagged", subject, flagged[rows]))
            figures.append(gap("template_gap", subject, flagged[rows], groups))
    return figures


def _ordinary(
    annotator: HarmAnnotator, policy: Policy, documents: Sequence[Example]
) -> list[Figure]:
    answers = ask(annotator, policy, [e.text for e in documents], [e.lang for e in documents])
    figures = [share("ordinary_flagged", "all held-out documents", answers.intent)]
    for lang in sorted({e.lang for e in documents}):
        rows = np.array([e.lang == lang for e in documents])
        figures.append(share("ordinary_flagged_by_language", lang, answers.intent[rows]))
    return figures


def _cost(annotator: HarmAnnotator, model: HarmModel, policy: Policy, data: Path) -> list[Figure]:
    documents = audit_data.general_documents(data, model.languages)
    texts = [text for text, _ in documents]
    langs = [lang for _, lang in documents]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    batches = [
        batch_of(texts[low : low + BATCH], langs[low : low + BATCH])
        for low in range(0, len(texts), BATCH)
    ]
    for lang in sorted(set(langs)):
        model.heads(lang)
    whole = time.process_time()
    for batch in batches:
        annotator.annotate(batch)
    whole = time.process_time() - whole
    first = time.process_time()
    sent_on: list[bool] = []
    for batch in batches:
        sent_on += _sent_on(model, batch)
    first = time.process_time() - first
    cleared = [row for row, sent in enumerate(sent_on) if not sent]
    sample = [row for row in cleared if draw("audit", row) < SAMPLE]
    missed = _passage_verdicts(model, policy, [documents[row] for row in sample])
    return [
        Figure("megabytes_per_second", "the whole cascade, one core", megabytes / whole),
        Figure("first_stage_cpu_share", "word-level model", min(1.0, first / whole)),
        share("escalated", "documents sent on to the passage-level model", np.array(sent_on)),
        share("disagreement", f"cleared documents, sample of {SAMPLE:.0%}", missed),
    ]


def _sent_on(model: HarmModel, batch: pa.RecordBatch) -> list[bool]:
    lowered = pc.utf8_lower(batch.column("text")).to_pylist()
    langs = batch.column("lang").to_pylist()
    result = [False] * len(lowered)
    for lang in sorted(set(langs)):
        rows = [row for row, other in enumerate(langs) if other == lang]
        found = screened(model, [lowered[row] for row in rows], lang)
        for number in set(found.document[found.sent_on].tolist()):
            result[rows[number]] = True
    return result


def _passage_verdicts(
    model: HarmModel, policy: Policy, documents: Sequence[tuple[str, str]]
) -> np.ndarray:
    """Returns for cleared documents whether the passage-level model finds intent in them."""
    flagged = np.zeros(len(documents), dtype=bool)
    for number, (text, lang) in enumerate(documents):
        found = screened(model, [pc.utf8_lower(text).as_py()], lang)
        pieces = [text[start:end] for start, end in zip(found.start, found.end, strict=True)]
        scores = model.passage_scores(pieces, [lang] * len(pieces))
        limit = policy.thresholds.default
        limits = [
            model.threshold(lang, kind, is_long(text, lang)) if limit is None else limit
            for kind in scores.kind.tolist()
        ]
        flagged[number] = bool((scores.intent >= np.array(limits)).any())
    return flagged
