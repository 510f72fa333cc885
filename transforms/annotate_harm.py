"""Harm: which hazards a document shows, where, with which stance and how surely.

A word-level model sees every passage of every document. What it does not clear is seen again by a
model with subwords, whose scores are final; a policy acts on them later.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.transforms.harm_flags import flags_of
from raicurate.transforms.harm_model import SHIPPED, HarmModel, PassageScores
from raicurate.transforms.harm_screen import screened
from raicurate.transforms.harm_text import is_long
from raicurate.transforms.labelled_sets import draw
from raicurate.transforms.registry import Annotator, register
from raicurate.transforms.schema import ANNOTATED_HAZARD, HARM_STAGE
from raicurate.transforms.stage_clock import timed

NO_MODEL = "none"
"""Stands in `harm_model` where the language has no measured model."""

SCORE_FLOOR = 0.05
"""Hazards with a lower score are not stored; thresholds of policies lie well above it."""

SAMPLE_SHARE = 0.01
"""Share of the documents cleared by the word-level model that the passage-level model sees too,
so that its disagreement with the first can be estimated (DESIGN: 1 %)."""

INTENT = STANCES.index("intent")


class Entry(NamedTuple):
    """One hazard of a document, in the order of the fields of `ANNOTATED_HAZARD`."""

    hazard: str
    stance: str
    operational: bool
    score: float
    start: int
    end: int
    target: bool
    threat: bool
    threshold: float | None = None


class Stage(NamedTuple):
    """Passages of a batch: by passage its document, start and end in code points.

    `sampled` holds the documents that are there by chance, not since the first stage was unsure.
    """

    document: list[int]
    start: list[int]
    end: list[int]
    sampled: frozenset[int]


@register("harm@1")
class HarmAnnotator(Annotator):
    """Fills `harm_score`, `harm_model`, `hazards` and `harm_stages`.

    Args:
        model: Folder of a trained model; by default the one that ships.
    """

    columns = ("harm_score", "harm_model", "hazards", "harm_stages")

    def __init__(self, model: str | None = None) -> None:
        self._folder = Path(model) if model is not None else SHIPPED

    def setup(self) -> None:
        """Loads the models."""
        self._model = HarmModel.load(self._folder)

    def model_digest(self) -> str | None:
        """Returns the digest of the model folder."""
        return HarmModel.load(self._folder).digest

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns score, model, hazards and stages of every document.

        Raises:
            ManifestError: No earlier annotator filled `lang`.
        """
        if batch.schema.get_field_index("lang") < 0:
            raise ManifestError(
                "harm@1 needs the language of every document, which no annotator filled; put "
                "language@1 before it in `annotators`"
            )
        texts = batch.column("text").to_pylist()
        languages = batch.column("lang").to_pylist()
        measured = [
            text is not None and lang in self._model.languages
            for text, lang in zip(texts, languages, strict=True)
        ]
        with timed("screen"):
            stage = self._sent_on(batch, languages, measured)
        with timed("passage"):
            pieces = [
                texts[document][start:end] for document, start, end in zip(*stage[:3], strict=True)
            ]
            scores = self._model.passage_scores(
                pieces, [languages[document] for document in stage.document]
            )
            return self._columns(texts, languages, measured, stage, pieces, scores)

    def _sent_on(
        self,
        batch: pa.RecordBatch,
        languages: Sequence[str],
        measured: Sequence[bool],
    ) -> Stage:
        """Returns the passages that the passage-level model should see."""
        lowered = pc.utf8_lower(batch.column("text")).to_pylist()
        ids = batch.column("id").to_pylist()
        chosen: list[tuple[int, int, int]] = []
        drawn: set[int] = set()
        for lang in sorted({languages[row] for row, known in enumerate(measured) if known}):
            rows = [row for row, known in enumerate(measured) if known and languages[row] == lang]
            own = screened(self._model, [lowered[row] for row in rows], lang)
            unclear = set(own.document[own.sent_on].tolist())
            # A sample of what is cleared goes on, so that the stages' disagreement is known.
            sampled = np.array(
                [
                    number not in unclear and draw("harm", ids[row]) < SAMPLE_SHARE
                    for number, row in enumerate(rows)
                ],
                dtype=bool,
            )
            drawn |= {rows[number] for number in np.flatnonzero(sampled).tolist()}
            for index in np.flatnonzero(own.sent_on | sampled[own.document]).tolist():
                place = rows[own.document[index]]
                chosen.append((place, int(own.start[index]), int(own.end[index])))
        chosen.sort()
        return Stage(
            [document for document, _, _ in chosen],
            [start for _, start, _ in chosen],
            [end for _, _, end in chosen],
            frozenset(drawn),
        )

    def _columns(
        self,
        texts: Sequence[str],
        languages: Sequence[str],
        measured: Sequence[bool],
        stage: Stage,
        pieces: Sequence[str],
        scores: PassageScores,
    ) -> list[pa.Array]:
        best = np.zeros(len(measured), dtype=np.float32)
        seen = set(stage.document)
        if stage.document:
            np.maximum.at(best, stage.document, scores.intent.astype(np.float32))
        found: list[list[Entry]] = [[] for _ in measured]
        strongest: dict[tuple[int, int, int], tuple[float, int]] = {}
        # The leading hazard of a stance carries the whole probability of the stance: that two
        # hazards are likely does not make either doubtful.
        lead = scores.hazards.max(axis=1, keepdims=True)
        shares = scores.hazards / np.maximum(lead, 1e-9)
        values = scores.stances[:, :, None] * shares[:, None, :]
        for passage, stance, hazard in np.argwhere(values >= SCORE_FLOOR):
            key = (stage.document[passage], int(stance), int(hazard))
            score = float(values[passage, stance, hazard])
            if score > strongest.get(key, (0.0, 0))[0]:
                strongest[key] = (score, int(passage))
        thresholds = [
            self._model.threshold(lang, kind, is_long(text, lang))
            for lang, kind, text in zip(
                [languages[document] for document in stage.document],
                scores.kind.tolist(),
                [texts[document] for document in stage.document],
                strict=True,
            )
        ]
        flags = {
            passage: flags_of(pieces[passage])
            for passage in sorted({passage for _, passage in strongest.values()})
        }
        for (document, stance, hazard), (score, passage) in sorted(strongest.items()):
            entry = Entry(
                HAZARDS[hazard],
                STANCES[stance],
                flags[passage].operational,
                score,
                stage.start[passage],
                stage.end[passage],
                flags[passage].target,
                flags[passage].threat,
                thresholds[passage] if stance == INTENT else None,
            )
            found[document].append(entry)
        mask = ~np.array(measured, dtype=bool)
        return [
            pa.array(best, pa.float32(), mask=mask),
            pa.array(
                [self._model.name if is_measured else NO_MODEL for is_measured in measured],
                pa.string(),
            ),
            pa.array(
                [[entry._asdict() for entry in entries] for entries in found],
                pa.list_(ANNOTATED_HAZARD),
            ),
            pa.array(
                [
                    [("passage", row in stage.sampled, best[row], None, None)]
                    if row in seen
                    else []
                    for row in range(len(measured))
                ],
                pa.list_(HARM_STAGE),
            ),
        ]
