"""Fits the two harm models of one language."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.classifier import HeadParameters, ScreenParameters
from raicurate.corpora_manifests.vocabulary import HAZARDS
from raicurate.transforms.harm_heads import (
    CLASSES,
    FEATURES,
    HEADS,
    Labels,
    stance_features,
    text_kinds,
)
from raicurate.transforms.harm_model import IDF_STEPS
from raicurate.transforms.linear_heads import fit_logistic, fit_softmax, softmax
from raicurate.transforms.ngrams import (
    Sparse,
    bucket_of,
    code_points,
    concatenated,
    count_ngrams,
    inverse_frequencies,
    pairs_of,
    weighted,
    words_of,
)

MIN_EXAMPLES = 12
"""A question with fewer examples of yes or of no has no head."""

MIN_HAZARD_EXAMPLES = 3
"""The same for hazards, of which the likeliest is named however few were seen."""

HAZARD_LEVELS = 15
"""Weights of hazards are kept in so many steps to each side; those of `HEADS` in 127."""

CALIBRATION_PENALTY = 2.0

LINES_AT_ONCE = 1000


class Fitted(NamedTuple):
    """A fitted model of one language.

    Attributes:
        columns: int8 arrays by name of the column.
        description: Scales, intercepts and the weights of the stances.
        probabilities: (examples, CLASSES), by heads that saw no example of the same fold.
        kinds: What the examples read as to those heads: indices of `KINDS`.
    """

    columns: dict[str, np.ndarray]
    description: dict[str, Any]
    probabilities: np.ndarray
    kinds: np.ndarray


def count_lines(lines: Sequence[str], bits: int) -> Sparse:
    """Returns the n-grams of many lines."""
    return concatenated(
        [
            count_ngrams(lines[low : low + LINES_AT_ONCE], bits)
            for low in range(0, len(lines), LINES_AT_ONCE)
        ]
    )


def fit_heads(
    counts: Sparse,
    words: np.ndarray,
    labels: Labels,
    importance: np.ndarray,
    mix: np.ndarray,
    folds: np.ndarray,
    parameters: HeadParameters,
) -> Fitted:
    """Fits the heads of one language, and how the stances follow from their answers.

    Args:
        counts: N-grams of the examples.
        words: Number of words of each.
        labels: Their labels.
        importance: Weight of each in training the heads.
        mix: Weight of each in fitting the stances, where no set is balanced: probabilities are
            those of texts as they come.
        folds: Fold of each. The stances are fitted on answers of heads that saw no example of
            the same fold, or they would be too sure.
        parameters: Of the manifest.
    """
    rows, idf = weighted_rows(counts, parameters)
    heads = {
        head: found
        for head in (*HEADS, *HAZARDS)
        if (found := fit_head(head, rows, labels, importance, folds, parameters)) is not None
    }
    return joined(heads, idf, words, labels, mix)


class Head(NamedTuple):
    """One fitted question.

    Attributes:
        column: Weights by bucket, int8.
        scale: What a weight of 1 stands for.
        intercept: Added to the product of weights and n-grams.
        answers: Logits of all examples, each from a model that did not see its fold; for hazards
            none.
    """

    column: np.ndarray
    scale: float
    intercept: float
    answers: np.ndarray | None


def weighted_rows(counts: Sparse, parameters: HeadParameters) -> tuple[Sparse, np.ndarray]:
    """Returns TF-IDF weights, and the inverse document frequencies as they are kept: as bytes."""
    idf = inverse_frequencies(counts, parameters.bits, parameters.min_texts)
    kept = np.minimum(np.round(idf * IDF_STEPS), 255).astype(np.uint8)
    return weighted(counts, kept.astype(np.float32) / IDF_STEPS), kept


def fit_head(
    head: str,
    rows: Sparse,
    labels: Labels,
    importance: np.ndarray,
    folds: np.ndarray,
    parameters: HeadParameters,
) -> Head | None:
    """Fits one question; None where too few examples answer it."""
    yes, asked = labels.question(head)
    fewest = MIN_EXAMPLES if head in HEADS else MIN_HAZARD_EXAMPLES
    if min((yes & asked).sum(), (~yes & asked).sum()) < fewest:
        return None
    weights, intercept = _fit(rows, yes, importance * asked, parameters)
    column, scale = quantised(weights, 127 if head in HEADS else HAZARD_LEVELS)
    answers = None
    if head in HEADS:
        answers = np.zeros(len(importance))
        for fold in range(parameters.folds):
            inside = folds == fold
            used = importance * asked * ~inside
            if min((yes & (used > 0)).sum(), (~yes & (used > 0)).sum()) > 0:
                own, own_intercept = _fit(rows, yes, used, parameters)
                chosen = np.flatnonzero(inside)
                answers[chosen] = products(rows.take(chosen), own) + own_intercept
    return Head(column, scale, round(intercept, 5), answers)


def joined(
    heads: Mapping[str, Head],
    idf: np.ndarray,
    words: np.ndarray,
    labels: Labels,
    importance: np.ndarray,
) -> Fitted:
    """Returns the model of all heads, with the stances fitted on their answers."""
    answers = np.zeros((len(importance), len(HEADS)))
    for number, head in enumerate(HEADS):
        if head in heads and heads[head].answers is not None:
            answers[:, number] = heads[head].answers
    features = stance_features(answers, words)
    stances = fit_softmax(
        features,
        labels.stance,
        len(CLASSES),
        importance,
        CALIBRATION_PENALTY,
        np.zeros((FEATURES, len(CLASSES))),
    )
    described = {
        name: {"scale": head.scale, "intercept": head.intercept} for name, head in heads.items()
    }
    return Fitted(
        {"idf": idf} | {name: head.column for name, head in heads.items()},
        {"heads": described, "stances": stances.tolist()},
        softmax(features @ stances),
        text_kinds(answers),
    )


def _fit(
    rows: Sparse, yes: np.ndarray, importance: np.ndarray, parameters: HeadParameters
) -> tuple[np.ndarray, float]:
    return fit_logistic(
        rows, yes, importance, 1 << parameters.bits, parameters.penalty, parameters.steps
    )


def quantised(weights: np.ndarray, levels: int) -> tuple[np.ndarray, float]:
    """Returns weights as int8, and what a weight of 1 stands for."""
    scale = float(f"{max(float(np.abs(weights).max()), 1e-9) / levels:.6g}")
    return np.clip(np.round(weights / scale), -levels, levels).astype(np.int8), scale


def products(rows: Sparse, weights: np.ndarray) -> np.ndarray:
    """Returns the product of each row with weights."""
    result = np.zeros(len(rows.starts) - 1)
    filled = np.diff(rows.starts) > 0
    if filled.any():
        terms = weights[rows.buckets] * rows.values
        result[filled] = np.add.reduceat(terms, rows.starts[:-1][filled])
    return result


def screen_rows(texts: Sequence[str], bits: int) -> Sparse:
    """Returns the words and word pairs of texts as the word-level model weighs them."""
    lowered = pc.utf8_lower(pa.array(texts, pa.large_string())).to_pylist()
    starts, buckets, values = [0], [], []
    for text in lowered:
        _, hashes = words_of(code_points(text))
        found = np.concatenate([bucket_of(hashes, bits), bucket_of(pairs_of(hashes), bits)])
        starts.append(starts[-1] + len(found))
        buckets.append(found.astype(np.int32))
        values.append(np.full(len(found), 1 / np.sqrt(2 * max(len(hashes), 1)), np.float32))
    return Sparse(np.array(starts), np.concatenate(buckets), np.concatenate(values))


def fit_screen(
    rows: Sparse, look: np.ndarray, importance: np.ndarray, parameters: ScreenParameters
) -> tuple[np.ndarray, float]:
    """Fits the word-level model: whether a text is worth a closer look.

    Returns:
        Weights as int8, and what a weight of 1 stands for. There is no intercept, since the
        score is only compared with limits.
    """
    number = np.repeat(np.arange(len(rows.starts) - 1), np.diff(rows.starts))
    size = 1 << parameters.bits
    seen = np.unique(number.astype(np.int64) * size + rows.buckets) % size
    rare = np.bincount(seen, minlength=size) < parameters.min_texts
    used = Sparse(rows.starts, rows.buckets, np.where(rare[rows.buckets], 0, rows.values))
    weights, _ = fit_logistic(used, look, importance, size, parameters.penalty)
    weights[rare] = 0
    return quantised(weights, 127)
