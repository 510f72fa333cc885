"""Small linear models that guess from hashed words, for audits: logistic regression in numpy."""

import itertools
import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

_WORD = re.compile(r"\w+|[^\w\s]")
_DENSE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
_SIZE = 1 << 15
_ROUNDS = 40
_RATE = 0.5
_RIDGE = 1e-4
_TEST_SHARE = 0.3
_MIN_TEST = 60


def features(text: str) -> list[int]:
    """Returns the hashed words and pairs of words of a text; pairs of characters in Japanese."""
    words = list(text) if len(_DENSE.findall(text)) * 3 > len(text) else _WORD.findall(text.lower())
    pairs = [f"{a} {b}" for a, b in itertools.pairwise(words)]
    found = [zlib.crc32(piece.encode()) % (_SIZE - 16) for piece in (*words, *pairs)]
    # The length is told as well, in steps.
    return [*sorted(set(found)), _SIZE - 16 + min(len(text) // 20, 15)]


def is_test(group: str) -> bool:
    """Returns whether a group is held out for the test."""
    return zlib.crc32(f"audit {group}".encode()) / 2**32 < _TEST_SHARE


def _flat(texts: Sequence[str]) -> tuple[Any, Any]:
    found = [features(text) for text in texts]
    lengths = np.array([len(one) for one in found])
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return np.array([index for one in found for index in one], np.int64), starts


def _fit(indices: Any, starts: Any, gradient_of: Any, classes: int) -> Any:
    """Returns weights [size, classes] after full-batch AdaGrad (Duchi, Hazan, Singer, 2011)."""
    weights = np.zeros((_SIZE, classes))
    seen = np.full((_SIZE, classes), 1e-8)
    lengths = np.diff(np.append(starts, len(indices)))
    for _ in range(_ROUNDS):
        scores = np.add.reduceat(weights[indices], starts)
        error = np.repeat(gradient_of(scores), lengths, axis=0)
        step: Any = np.stack(
            [np.bincount(indices, error[:, c], _SIZE) for c in range(classes)], axis=1
        )
        step += _RIDGE * weights
        seen += step**2
        weights -= _RATE * step / np.sqrt(seen)
    return weights


def accuracy_of_text_guess(
    texts: Sequence[str], labels: Sequence[str], groups: Sequence[str]
) -> float | None:
    """Returns how often a model tells the label of a text of a group that it was not fitted on.

    Returns:
        The accuracy, or None where there is too little to fit or to test.
    """
    names = sorted(set(labels))
    target = np.array([names.index(label) for label in labels])
    test = np.array([is_test(group) for group in groups])
    if test.sum() < _MIN_TEST or (~test).sum() < _MIN_TEST or len(names) < 2:
        return None
    train = np.flatnonzero(~test).tolist()
    indices, starts = _flat([texts[i] for i in train])
    truth = np.eye(len(names))[target[train]]

    def gradient(scores: Any) -> Any:
        return (_softmax(scores) - truth) / len(truth)

    weights = _fit(indices, starts, gradient, len(names))
    held = np.flatnonzero(test).tolist()
    indices, starts = _flat([texts[i] for i in held])
    guess = np.add.reduceat(weights[indices], starts).argmax(axis=1)
    return float(np.mean(guess == target[held]))


def accuracy_of_option_guess(
    options: Sequence[Sequence[str]], answers: Sequence[int], groups: Sequence[str]
) -> float | None:
    """Returns how often a model that sees the options alone takes the right one.

    Returns:
        The accuracy, or None where there is too little to fit or to test.
    """
    test = np.array([is_test(group) for group in groups])
    if test.sum() < _MIN_TEST or (~test).sum() < _MIN_TEST:
        return None
    train, held = np.flatnonzero(~test).tolist(), np.flatnonzero(test).tolist()
    indices, starts = _flat([text for i in train for text in options[i]])
    owner = np.repeat(np.arange(len(train)), [len(options[i]) for i in train])
    first = np.concatenate([[0], np.cumsum([len(options[i]) for i in train])[:-1]])
    truth = np.zeros(len(owner))
    truth[first + np.array([answers[i] for i in train])] = 1

    def gradient(scores: Any) -> Any:
        flat = scores[:, 0]
        top = np.maximum.reduceat(flat, first)[owner]
        grown = np.exp(flat - top)
        share = grown / np.add.reduceat(grown, first)[owner]
        return ((share - truth) / len(train))[:, None]

    weights = _fit(indices, starts, gradient, 1)[:, 0]
    right = 0.0
    for i in held:
        scores = [float(weights[features(text)].sum()) for text in options[i]]
        best = [at for at, score in enumerate(scores) if score >= max(scores) - 1e-12]
        right += (answers[i] in best) / len(best)
    return right / len(held)


def _softmax(scores: Any) -> Any:
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return grown / grown.sum(axis=1, keepdims=True)
