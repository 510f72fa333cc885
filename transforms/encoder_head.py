"""The trained head of a text encoder: from embeddings to stances and hazards."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.transforms.harm_heads import CLASSES
from raicurate.transforms.later_stages import Seen
from raicurate.transforms.linear_heads import fit_softmax, softmax

FILE = "head.json"

MIN_EXAMPLES = 12
"""A hazard with fewer examples is never named."""

DECIMALS = 3
"""Digits that are kept: the last bits of an encoder depend on what shares its batch."""


class Weights(NamedTuple):
    """A fitted head.

    Attributes:
        centre: Subtracted from embeddings.
        spread: Divides them.
        stances: (width + 1, CLASSES).
        hazards: (width + 1, HAZARDS); those that are not known are -30 in the last row.
    """

    centre: np.ndarray
    spread: np.ndarray
    stances: np.ndarray
    hazards: np.ndarray

    def probabilities(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the probabilities of `CLASSES` and of hazards, by row."""
        features = _features(embeddings, self.centre, self.spread)
        return softmax(features @ self.stances), softmax(features @ self.hazards)


def _features(embeddings: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    scaled = (embeddings.astype(np.float64) - centre) / spread
    return np.concatenate([scaled, np.ones((len(scaled), 1))], axis=1)


def fit_weights(
    embeddings: np.ndarray,
    stances: np.ndarray,
    hazards: np.ndarray,
    importance: np.ndarray,
    penalty: float,
) -> Weights:
    """Fits two multinomial logistic regressions.

    Args:
        embeddings: One row for each example.
        stances: Index of `CLASSES`.
        hazards: (examples, HAZARDS): which it has.
        importance: Weight of each example.
        penalty: Of the squared weights.
    """
    centre = np.round(embeddings.mean(axis=0, dtype=np.float64), 5)
    spread = np.round(np.maximum(embeddings.std(axis=0, dtype=np.float64), 1e-3), 5)
    features = _features(embeddings, centre, spread)
    start = np.zeros((features.shape[1], len(CLASSES)))
    stance_weights = fit_softmax(features, stances, len(CLASSES), importance, penalty, start)
    known = hazards.sum(axis=0) >= MIN_EXAMPLES
    hazard_weights = np.zeros((features.shape[1], len(HAZARDS)))
    hazard_weights[-1, ~known] = -30.0
    named = np.flatnonzero((hazards & known).any(axis=1))
    if len(named):
        # A text with several hazards counts for its first; there are few, and any will do.
        first = (hazards & known)[named].argmax(axis=1)
        fitted = fit_softmax(
            features[named], first, len(HAZARDS), importance[named], penalty, hazard_weights
        )
        hazard_weights = np.where(known, fitted, hazard_weights)
    return Weights(centre, spread, stance_weights, hazard_weights)


class EncoderHead:
    """A head as it stands in a folder.

    Attributes:
        description: Content of `head.json`.
        languages: In which it may be asked.
        band: Documents with a score between these two are looked at again.
        sample: Share of the documents below the band that are looked at as well.
        digest: Digest of all that its answers depend on.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        if not path.is_file():
            raise ManifestError(
                f"there is no head of an encoder in {folder}, since it has no {FILE}; train one "
                "with `raicurate train`, or correct the path"
            )
        try:
            self.description: dict[str, Any] = orjson.loads(path.read_bytes())
            own = self.description["weights"]
            self.weights = Weights(*(np.array(own[name]) for name in Weights._fields))
            self.languages = frozenset(self.description["languages"])
            low, high = self.description["manifest"]["band"]
            self.band = (float(low), float(high))
            self.sample = float(self.description["manifest"]["sample"])
            self.max_tokens = int(self.description["manifest"]["max_tokens"])
            self.encoder = self.description["encoder"]
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(
                f"{path} is not the head of an encoder of this version; train it anew"
            ) from error
        self.digest = digest(
            [self.encoder["digest"], own, sorted(self.languages), self.band, self.sample,
             self.max_tokens, DECIMALS]
        )  # fmt: skip

    def seen(self, embedding: np.ndarray, before: Seen) -> Seen:
        """Returns what the head says of a passage.

        Args:
            embedding: Its embedding.
            before: What the stages before said, whose hazards are kept where they named any.
        """
        stances, hazards = self.weights.probabilities(embedding[None])
        rounded = np.round(stances[0, 1:], DECIMALS).tolist()
        assert len(rounded) == len(STANCES)
        if before.hazards:
            return Seen(rounded, before.hazards)
        lead = hazards[0].max()
        worth: dict[str, float] = {
            hazard: round(float(value / lead), DECIMALS)
            for hazard, value in zip(HAZARDS, hazards[0], strict=True)
            if value / lead >= 0.1
        }
        return Seen(rounded, worth)


def save_head(description: dict[str, Any], weights: Weights, out: Path) -> None:
    """Writes a head to a folder."""
    content = description | {"weights": {name: w.tolist() for name, w in weights._asdict().items()}}
    options = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    out.mkdir(parents=True, exist_ok=True)
    (out / FILE).write_bytes(orjson.dumps(content, option=options))
