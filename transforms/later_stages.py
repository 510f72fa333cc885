"""What the stages of the cascade behind the passage-level model share.

Such a stage sees the documents whose `harm_score` lies in a band, in which the stage before is
unsure, and a sample of those below it, so that what the earlier stages miss can be estimated. It
looks at the passages that the hazards of the document name, and says anew how likely each stance
is; hazards and score of the document follow from that as they do in `annotate_harm`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.transforms.annotate_harm import SCORE_FLOOR, Entry
from raicurate.transforms.harm_flags import flags_of
from raicurate.transforms.harm_text import cell_size, cells
from raicurate.transforms.labelled_sets import draw
from raicurate.transforms.schema import ANNOTATED_HAZARD, HARM_STAGE

SAMPLE_SHARE = 0.01
"""Share of the documents below the band that a stage sees too (DESIGN: 1 %)."""

MOST_PASSAGES = 4
"""Of a sampled document in which nothing was found, so many passages are looked at, far apart."""

COLUMNS = ("harm_score", "hazards", "harm_stages")
"""What a later stage fills."""

INTENT = STANCES.index("intent")


class SentOn(NamedTuple):
    """A document that a later stage should see.

    Attributes:
        row: Its row in the batch.
        sampled: Whether it was drawn from those below the band.
        passages: What to look at: start and end in code points.
    """

    row: int
    sampled: bool
    passages: list[tuple[int, int]]


class Seen(NamedTuple):
    """What a later stage says of a passage.

    Attributes:
        stances: Probability of each of `STANCES`.
        hazards: What each hazard of the vocabulary is worth beside the leading one, 0 to 1; the
            leading hazard of a passage carries the whole probability of its stance.
    """

    stances: Sequence[float]
    hazards: Mapping[str, float]


class Verdict(NamedTuple):
    """What a later stage says of a document.

    Attributes:
        passages: By passage that it looked at.
        stance: What it named, where it names a stance instead of probabilities.
        no_answer: Why there is no verdict, so that the earlier labels stand.
    """

    passages: Mapping[tuple[int, int], Seen]
    stance: str | None = None
    no_answer: str | None = None


def sent_on(
    batch: pa.RecordBatch, stage: str, band: tuple[float, float], share: float
) -> list[SentOn]:
    """Returns the documents of a batch that a stage should see.

    Which documents below the band are drawn depends on their text alone.

    Raises:
        ManifestError: No earlier annotator filled the columns that are needed.
    """
    missing = sorted({"lang", "harm_score", "hazards"} - set(batch.schema.names))
    if missing:
        raise ManifestError(
            f"the stage {stage!r} looks again at what harm@1 was unsure of, but no annotator "
            f"filled {missing[0]!r}; put language@1 and harm@1 before it in `annotators`"
        )
    scores = batch.column("harm_score").to_pylist()
    chosen = []
    for row, score in enumerate(scores):
        if score is None or score > band[1]:
            continue
        sampled = score < band[0]
        if sampled and draw(stage, batch.column("text_sha256")[row].as_py()) >= share:
            continue
        text, lang = (batch.column(name)[row].as_py() for name in ("text", "lang"))
        entries = batch.column("hazards")[row].as_py() or []
        passages = sorted({(entry["start"], entry["end"]) for entry in entries})
        chosen.append(SentOn(row, sampled, passages or _spread(text, lang)))
    return chosen


def _spread(text: str, lang: str | None) -> list[tuple[int, int]]:
    found = list(cells(text, 2 * cell_size(lang)))
    if len(found) <= MOST_PASSAGES:
        return found
    return [found[index * len(found) // MOST_PASSAGES] for index in range(MOST_PASSAGES)]


def earlier(entries: Sequence[Mapping[str, Any]], passage: tuple[int, int]) -> Seen:
    """Returns what the stages before said of a passage, as far as it is stored."""
    stances = np.zeros(len(STANCES))
    own = [entry for entry in entries if (entry["start"], entry["end"]) == passage]
    for entry in own:
        index = STANCES.index(entry["stance"])
        stances[index] = max(stances[index], entry["score"])
    hazards: dict[str, float] = {}
    for entry in own:
        worth = entry["score"] / stances[STANCES.index(entry["stance"])]
        hazards[entry["hazard"]] = max(hazards.get(entry["hazard"], 0.0), worth)
    return Seen(stances.tolist(), hazards)


def relabelled(
    batch: pa.RecordBatch, stage: str, verdicts: Mapping[int, tuple[bool, Verdict]]
) -> list[pa.Array]:
    """Returns `COLUMNS` of a batch with what a stage says.

    Args:
        batch: The batch.
        stage: Name of the stage.
        verdicts: By row whether it was sampled, and the verdict.
    """
    scores = batch.column("harm_score").to_pylist()
    hazards = batch.column("hazards").to_pylist()
    # An annotator for harm that is not ours need not say which of its stages saw a document.
    has_stages = batch.schema.get_field_index("harm_stages") >= 0
    stages = batch.column("harm_stages").to_pylist() if has_stages else [None] * len(scores)
    for row, (sampled, verdict) in sorted(verdicts.items()):
        score = None
        if verdict.no_answer is None:
            text = batch.column("text")[row].as_py()
            score, hazards[row] = _labels(text, hazards[row] or [], verdict.passages)
            scores[row] = score
        stages[row] = [
            *(stages[row] or []),
            {
                "stage": stage,
                "sampled": sampled,
                "score": score,
                "stance": verdict.stance,
                "no_answer": verdict.no_answer,
            },
        ]
    return [
        pa.array(scores, pa.float32()),
        pa.array(hazards, pa.list_(ANNOTATED_HAZARD)),
        pa.array(stages, pa.list_(HARM_STAGE)),
    ]


def _labels(
    text: str, entries: Sequence[Mapping[str, Any]], passages: Mapping[tuple[int, int], Seen]
) -> tuple[float, list[dict[str, Any]]]:
    """Returns score and hazards of a document of which some passages were looked at anew."""
    score = 0.0
    strongest: dict[tuple[int, int], dict[str, Any]] = {}

    def consider(entry: dict[str, Any]) -> None:
        key = (STANCES.index(entry["stance"]), HAZARDS.index(entry["hazard"]))
        if entry["score"] > strongest.get(key, {"score": 0.0})["score"]:
            strongest[key] = entry

    for entry in entries:
        if (entry["start"], entry["end"]) not in passages:
            consider(dict(entry))
            if entry["stance"] == "intent":
                score = max(score, entry["score"])
    for (start, end), seen in sorted(passages.items()):
        score = max(score, float(seen.stances[INTENT]))
        flags = flags_of(text[start:end])
        for stance, probability in zip(STANCES, seen.stances, strict=True):
            for hazard, worth in seen.hazards.items():
                value = float(probability * worth)
                if value >= SCORE_FLOOR:
                    found = Entry(
                        hazard, stance, flags.operational, value, start, end,
                        flags.target, flags.threat,
                    )  # fmt: skip
                    consider(found._asdict())
    return score, [strongest[key] for key in sorted(strongest)]
