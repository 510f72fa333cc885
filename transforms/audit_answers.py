"""What the whole harm cascade says of texts, at the thresholds of a policy."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.policy import PLAIN_THRESHOLD, Gravity, Policy
from raicurate.corpora_manifests.vocabulary import STANCES
from raicurate.transforms.annotate_harm import HarmAnnotator

BATCH = 256


class Answers(NamedTuple):
    """What the cascade says of texts.

    Attributes:
        score: `harm_score`, nan where the language has no measured model.
        stances: (texts, STANCES): whether some hazard of the stance reaches its threshold.
        severity: The highest severity of a hazard that reaches its threshold, 0 where none does.
    """

    score: np.ndarray
    stances: np.ndarray
    severity: np.ndarray

    @property
    def intent(self) -> np.ndarray:
        """Whether some hazard counts as intent."""
        return self.stances[:, STANCES.index("intent")]


def ask(
    annotator: HarmAnnotator, policy: Policy, texts: Sequence[str], languages: Sequence[str]
) -> Answers:
    """Returns what the cascade says of texts at the thresholds of a policy."""
    score = np.full(len(texts), np.nan)
    stances = np.zeros((len(texts), len(STANCES)), dtype=bool)
    severity = np.zeros(len(texts), dtype=np.int64)
    for low in range(0, len(texts), BATCH):
        columns = batch_of(texts[low : low + BATCH], languages[low : low + BATCH])
        scores, _, hazards, _ = annotator.annotate(columns)
        for offset, (value, entries) in enumerate(
            zip(scores.to_pylist(), hazards.to_pylist(), strict=True)
        ):
            row = low + offset
            score[row] = np.nan if value is None else value
            for entry in entries:
                if counts(entry, policy, languages[row]):
                    stances[row, STANCES.index(entry["stance"])] = True
                    severity[row] = max(severity[row], severity_of(entry, policy))
    return Answers(score, stances, severity)


def counts(entry: Mapping[str, Any], policy: Policy, lang: str) -> bool:
    """Whether a found hazard reaches its threshold: that of the policy, else the model's own."""
    threshold = policy.thresholds.of(entry["hazard"], lang)
    if threshold is None:
        threshold = entry.get("threshold")
    return bool(entry["score"] >= (PLAIN_THRESHOLD if threshold is None else threshold))


def severity_of(entry: Mapping[str, Any], policy: Policy) -> int:
    """Returns the gravity of one found hazard under a policy, 0 to 5."""
    gravity: Gravity = policy.gravity.get(entry["hazard"], policy.gravity["default"])
    if entry["stance"] == "topical" and not entry["operational"]:
        return gravity.topical
    if entry["stance"] == "disclosure" and not entry["operational"]:
        return gravity.disclosure
    return min(
        5,
        gravity.base
        + gravity.target * entry["target"]
        + gravity.threat * entry["threat"]
        + gravity.operational * entry["operational"],
    )


def batch_of(texts: Sequence[str], languages: Sequence[str]) -> pa.RecordBatch:
    """Returns texts as a batch of documents; their ids come from their place."""
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array([f"audit-{number}" for number in range(len(texts))]),
            "text": pa.array(texts, pa.large_string()),
            "lang": pa.array(languages, pa.string()),
        }
    )
