"""A trained harm model: its folder, and what it says about windows and passages."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES, Hazard, Stance
from raicurate.transforms.calibration import IDENTITY, Platt
from raicurate.transforms.fasttext_model import FastTextModel, file_sha256
from raicurate.transforms.harm_text import passage_lines, word_lines

SHIPPED = Path(__file__).resolve().parent / "models" / "harm"
"""The folder of the model that ships."""

DESCRIPTION = "model.json"
WORD_MODEL = "word.ftz"
PASSAGE_MODEL = "passage.ftz"

CLEAR = "none"
"""Label of text without harm; other labels are `<stance>.<hazard>` or `request.<hazard>`."""

REQUEST = "request"
"""Prefix of the labels of prompts that ask for harmful help."""

ESCALATE = "look"
"""Label of the word-level model for whatever the passage-level model should see."""


class PassageScores(NamedTuple):
    """What the passage-level model says of passages.

    Attributes:
        intent: Calibrated probability of harmful intent, by passage.
        stances: Probability of each of `STANCES`, by passage; that of intent is `intent`.
        hazards: Share of each of `HAZARDS` within a stance, by passage and stance.
        request: Whether a passage reads as a request rather than a statement.
    """

    intent: np.ndarray
    stances: np.ndarray
    hazards: np.ndarray
    request: np.ndarray


def label_of(stance: Stance, hazard: Hazard, request: bool) -> str:
    """Returns the label of the passage-level model for what a text is."""
    return f"{REQUEST if request and stance == 'intent' else stance}.{hazard}"


class HarmModel:
    """The models of a folder with calibration and thresholds.

    Attributes:
        description: Content of `model.json`.
        languages: Languages that were measured.
        name: What documents record: name and digest.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / DESCRIPTION
        if not path.is_file():
            raise ManifestError(
                f"there is no harm model in {folder}, since it has no {DESCRIPTION}; train one "
                "with `raicurate train`, or correct the path"
            )
        try:
            self.description: dict[str, Any] = orjson.loads(path.read_bytes())
            self.languages = frozenset(self.description["languages"])
            self.thresholds: dict[str, float] = self.description["escalate_from"]
            self._calibration = {
                key: Platt(*pair) for key, pair in self.description["calibration"].items()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(
                f"{path} is not the description of a harm model; train it anew"
            ) from error
        self.digest = folder_digest(folder)
        self.name = f"{self.description['name']}-{self.digest[:12]}"
        self._word = FastTextModel.load(folder / WORD_MODEL)
        self._passage = FastTextModel.load(folder / PASSAGE_MODEL)
        self._escalate = self._word.labels.index(ESCALATE)
        # (labels, stances, hazards): which label counts for which stance and hazard.
        labels = self._passage.labels
        self._clear = np.array([label.endswith(CLEAR) for label in labels])
        self._requests = np.array([label.startswith(REQUEST) for label in labels])
        self._members = np.zeros((len(labels), len(STANCES), len(HAZARDS)), dtype=np.float32)
        for index, label in enumerate(labels):
            kind, _, hazard = label.partition(".")
            if hazard in HAZARDS:
                stance = "intent" if kind == REQUEST else kind
                self._members[index, STANCES.index(stance), HAZARDS.index(hazard)] = 1

    @classmethod
    @functools.lru_cache(maxsize=8)
    def load(cls, folder: Path) -> "HarmModel":
        """Returns the model in a folder, loaded once for each process."""
        return cls(folder)

    def word_scores(self, texts: Sequence[str]) -> np.ndarray:
        """Returns the word-level probability that a closer look is worth it."""
        return self._word.probabilities(word_lines(texts))[:, self._escalate]

    def passage_scores(self, texts: Sequence[str], languages: Sequence[str]) -> PassageScores:
        """Returns what the passage-level model says of texts in given languages."""
        raw = self._passage.probabilities(passage_lines(texts))
        joint = np.einsum("pl,lsh->psh", raw, self._members)
        stances = np.minimum(joint.sum(axis=2), 1.0)
        hazards = joint / np.maximum(stances[:, :, None], 1e-9)
        request = raw[:, self._requests].sum(axis=1) > 0.5
        intent = stances[:, STANCES.index("intent")].astype(np.float64)
        for key in sorted(
            {calibration_key(*pair) for pair in zip(languages, request, strict=True)}
        ):
            rows = np.array(
                [calibration_key(*pair) == key for pair in zip(languages, request, strict=True)]
            )
            intent[rows] = self._calibration.get(key, IDENTITY)(intent[rows])
        stances = stances.astype(np.float64)
        stances[:, STANCES.index("intent")] = intent
        return PassageScores(intent, stances, hazards, request)

    def raw_intent(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Returns uncalibrated intent, and which texts read as requests; for calibration."""
        raw = self._passage.probabilities(passage_lines(texts))
        intent = np.einsum("pl,lh->p", raw, self._members[:, STANCES.index("intent")])
        return np.minimum(intent, 1.0), raw[:, self._requests].sum(axis=1) > 0.5


def calibration_key(lang: str, request: bool) -> str:
    """Returns the name of the calibration for a language and kind of text."""
    return f"{lang}/{'request' if request else 'statement'}"


def folder_digest(folder: Path) -> str:
    """Returns the digest of everything in a model folder that answers depend on."""
    return digest(
        {name: file_sha256(folder / name) for name in (DESCRIPTION, WORD_MODEL, PASSAGE_MODEL)}
    )
