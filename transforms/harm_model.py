"""A trained harm model: its folder, and what its two stages say about passages."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow.parquet as pq

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.policy import PLAIN_THRESHOLD
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.transforms.fasttext_model import file_sha256
from raicurate.transforms.harm_heads import HEADS, KINDS, stance_features, text_kinds
from raicurate.transforms.harm_text import reading_lines
from raicurate.transforms.harm_thresholds import LONG
from raicurate.transforms.identity_terms import IdentityTerms
from raicurate.transforms.linear_heads import softmax
from raicurate.transforms.ngrams import (
    Sparse,
    bucket_of,
    count_ngrams,
    pairs_of,
    weighted,
    words_of,
)

SHIPPED = Path(__file__).resolve().parent / "models" / "harm"
"""The folder of the model that ships."""

DESCRIPTION = "model.json"
SCREEN = "screen.parquet"
"""Weights of the word-level model: a column for each language."""
PASSAGE = "passage.parquet"
"""Weights of the passage-level model: columns `<language>/<head>`, and `<language>/idf`."""

IDF = "idf"
PASSAGES_AT_ONCE = 512
COLUMNS = (*HEADS, *HAZARDS)
"""Heads of a language, in the order in which their weights are kept; it may lack some."""


class PassageScores(NamedTuple):
    """What the passage-level model says of passages.

    Attributes:
        stances: Calibrated probability of each of `STANCES`, by passage.
        hazards: Share of each of `HAZARDS`, by passage; they add up to 1.
        kind: What kind of text each passage reads as: indices of `KINDS`.
    """

    stances: np.ndarray
    hazards: np.ndarray
    kind: np.ndarray

    @property
    def intent(self) -> np.ndarray:
        """Calibrated probability of harmful intent, by passage."""
        return self.stances[:, STANCES.index("intent")]


class Heads(NamedTuple):
    """The passage-level model of one language.

    Attributes:
        idf: Inverse document frequency by bucket.
        weights: (buckets, heads) int8.
        scales: By head: what a weight of 1 stands for; 0 for a head that was not trained.
        intercepts: By head.
        stances: (features, classes): how the stances follow from the answers.
        terms: Words for groups of people.
    """

    idf: np.ndarray
    weights: np.ndarray
    scales: np.ndarray
    intercepts: np.ndarray
    stances: np.ndarray
    terms: IdentityTerms

    def answers(self, rows: Sparse) -> np.ndarray:
        """Returns the logits of all heads of `COLUMNS`, (rows, heads)."""
        result = np.zeros((len(rows.starts) - 1, len(self.scales)))
        products = self.weights[rows.buckets] * rows.values[:, None]
        filled = np.diff(rows.starts) > 0
        if len(products):
            result[filled] = np.add.reduceat(products, rows.starts[:-1][filled], axis=0)
        return result * self.scales + self.intercepts

    def scores(self, texts: Sequence[str], bits: int) -> PassageScores:
        """Returns what the model says of passages in its language."""
        lines = self.terms.replaced(reading_lines(texts))
        counts = count_ngrams(lines, bits)
        answers = self.answers(weighted(counts, self.idf))
        words = np.array([line.count(" ") + 1 for line in lines])
        features = stance_features(answers[:, : len(HEADS)], words)
        trained = self.scales[len(HEADS) :] > 0
        hazards = np.where(trained, answers[:, len(HEADS) :], -30.0)
        if not trained.any():
            # No example named a hazard: all would be equally likely, child exploitation as well.
            # What is known is whether it is about a group.
            hazards[:, HAZARDS.index("hate")] = answers[:, HEADS.index("hateful")]
            hazards[:, HAZARDS.index("harassment")] = 0
        return PassageScores(
            softmax(np.einsum("pf,fc->pc", features, self.stances))[:, 1:],
            softmax(hazards),
            text_kinds(answers),
        )


class HarmModel:
    """The models of a folder with calibration and thresholds.

    Attributes:
        description: Content of `model.json`.
        languages: Languages that were measured.
        name: What documents record: name and digest.
        digest: Digest of everything in the folder that answers depend on.
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
            self._screen_bits = int(self.description["manifest"]["screen"]["bits"])
            self._bits = int(self.description["manifest"]["heads"]["bits"])
            self._by_language: dict[str, Any] = self.description["models"]
        except (KeyError, TypeError, ValueError) as error:
            raise ManifestError(
                f"{path} is not the description of a harm model of this version; train it anew"
            ) from error
        self._folder = folder
        self.digest = folder_digest(folder)
        self.name = f"{self.description['name']}-{self.digest[:12]}"

    @classmethod
    @functools.lru_cache(maxsize=8)
    def load(cls, folder: Path) -> "HarmModel":
        """Returns the model in a folder, loaded once for each process."""
        return cls(folder)

    def screen(
        self, points: np.ndarray, cells: np.ndarray, documents: np.ndarray, lang: str
    ) -> np.ndarray:
        """Returns what the word-level model says of cells, as in `screen_sums`."""
        weights = self._screen_weights(lang)
        return screen_sums(points, cells, documents, weights, self._screen_bits)

    def sends_on(self, sums: np.ndarray, lang: str, short: bool) -> np.ndarray:
        """Returns which passages, by the sums of their cells, the next stage should see."""
        own = self._by_language[lang]
        limit: float = own["send_on_short" if short else "send_on_long"]
        return screen_scores(sums) * own["screen_scale"] >= limit

    def passage_scores(self, texts: Sequence[str], languages: Sequence[str]) -> PassageScores:
        """Returns what the passage-level model says of texts in given languages."""
        stances = np.zeros((len(texts), len(STANCES)))
        hazards = np.zeros((len(texts), len(HAZARDS)))
        kind = np.zeros(len(texts), dtype=np.int64)
        for lang in sorted(set(languages)):
            rows = [row for row, other in enumerate(languages) if other == lang]
            heads = self.heads(lang)
            for low in range(0, len(rows), PASSAGES_AT_ONCE):
                some = rows[low : low + PASSAGES_AT_ONCE]
                found = heads.scores([texts[row] for row in some], self._bits)
                stances[some], hazards[some], kind[some] = found
        return PassageScores(stances, hazards, kind)

    def threshold(self, lang: str, kind: int, is_long: bool) -> float:
        """Returns from which probability on a passage counts as intent.

        Args:
            lang: Its language.
            kind: What kind of text it reads as: an index of `KINDS`.
            is_long: Whether it is a passage of a longer document, where one of many may be wrong.
        """
        own: dict[str, float] = self._by_language[lang].get("thresholds", {})
        return own.get(LONG if is_long else KINDS[kind], PLAIN_THRESHOLD)

    @functools.cache  # noqa: B019 (models live as long as the process)
    def _screen_weights(self, lang: str) -> np.ndarray:
        return pq.read_table(self._folder / SCREEN, columns=[lang])[lang].to_numpy()

    @functools.cache  # noqa: B019 (models live as long as the process)
    def heads(self, lang: str) -> Heads:
        """Returns the passage-level model of a language."""
        own = self._by_language[lang]["heads"]
        names = [f"{lang}/{head}" for head in own]
        table = pq.read_table(self._folder / PASSAGE, columns=[f"{lang}/{IDF}", *names])
        weights = np.zeros((table.num_rows, len(COLUMNS)), dtype=np.int8)
        for head in own:
            weights[:, COLUMNS.index(head)] = table[f"{lang}/{head}"].to_numpy()
        return Heads(
            table[f"{lang}/{IDF}"].to_numpy().astype(np.float32) / IDF_STEPS,
            weights,
            np.array([own[head]["scale"] if head in own else 0.0 for head in COLUMNS]),
            np.array([own[head]["intercept"] if head in own else 0.0 for head in COLUMNS]),
            np.array(self._by_language[lang]["stances"]),
            IdentityTerms(self.description["identity_terms"], lang),
        )


IDF_STEPS = 16
"""Inverse document frequencies are kept in so many parts of one."""


def screen_sums(
    points: np.ndarray,
    cells: np.ndarray,
    documents: np.ndarray,
    weights: np.ndarray,
    bits: int,
) -> np.ndarray:
    """Returns for each cell the sum of its words' and word pairs' weights, and their number.

    Args:
        points: Code points of texts in lower case, one after the other, apart by white space.
        cells: Where cells start, ascending.
        documents: Where documents start; no pair of words reaches across.
        weights: int8 by bucket. Integers, so that a sum does not depend on what stands around it.
        bits: There are `2 ** bits` buckets.
    """
    first, hashes = words_of(points)
    values = weights[bucket_of(hashes, bits)].astype(np.int64)
    pairs = weights[bucket_of(pairs_of(hashes), bits)].astype(np.int64)
    begins = np.searchsorted(first, documents)
    pairs[begins[(begins > 0) & (begins < len(first))] - 1] = 0
    values[1:] += pairs
    totals = np.concatenate([[0], np.cumsum(values)])
    edges = np.append(np.searchsorted(first, cells), len(first))
    return np.stack([np.diff(totals[edges]), np.diff(edges)], axis=1)


def screen_scores(sums: np.ndarray) -> np.ndarray:
    """Returns word-level scores; a long passage does not outweigh a short one by its length."""
    return sums[:, 0] / np.sqrt(np.maximum(2 * sums[:, 1], 1))


def folder_digest(folder: Path) -> str:
    """Returns the digest of everything in a model folder that answers depend on."""
    return digest({name: file_sha256(folder / name) for name in (DESCRIPTION, SCREEN, PASSAGE)})
