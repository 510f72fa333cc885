"""Decision thresholds of the passage-level model, set on the training side alone.

A calibrated probability says how sure the model is; from where on a text counts as intent is
another question, and its answer differs by kind of text: harm is rarer in web pages than among
requests, and one passage of many may be wrong in a long document. The scores come from models that
did not see the text, nor its functionality, template or pair.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raicurate.transforms.harm_heads import CLASSES, KINDS

LONG = "long"
"""Stands for documents of several passages."""

ORDINARY = 0.01
"""Most of the ordinary passages that may be flagged as a kind of short text."""

ORDINARY_LONG = 0.005
"""Most of the long ordinary documents that may be flagged. The audit allows 2 %, but sources that
were never seen are flagged about three times as often, and only some passages of a document are
examples, so that the others may be flagged unseen."""

EVERYDAY = 0.05
"""Most of the texts that may be flagged in a set that knows no harm, of everyday messages say."""

CONTRASTS = 0.1
"""Most of the harmless sentences written as contrasts that may be flagged. Half of them quote or
deny hatred, which is harder than the plain mention of a group, of which the audit allows 5 %."""

SEEING = 0.5
"""Sparing contrasts goes no further than that so many harmful texts are caught, on the mean over
sets: some languages have too few contrasts to have learned them."""

TOPICAL = 0.09
"""Most of the texts of one set that talk about harm that may be flagged (limit: 10 %)."""

CAUGHT = 0.75
"""Share of harmful texts that should be caught (limit of the audit for functional tests)."""

CLEARED = 0.6
"""Share of harmless texts beside them that should be cleared (likewise)."""

FEWEST = 20
"""A set with fewer texts of either kind does not count; nor is a kind without such a set tuned."""

STEPS = np.round(np.arange(0.1, 0.96, 0.01), 2)
"""Thresholds that are tried."""

PLAIN = 0.5
"""The threshold of a kind of which there is nothing to learn from."""


class Judged(NamedTuple):
    """What the model says of the examples of one language, and what is true; rows are examples.

    Attributes:
        intent: Probability of harmful intent.
        kind: What they read as: indices of `KINDS`.
        stance: Indices of `CLASSES`.
        sets: Names of their sets.
        ordinary: Whether they are passages of ordinary documents.
        document: Names of the documents that they are passages of.
        contrast: Whether they are harmless sentences written as contrasts to harmful ones.
        long: Whether that document has several passages.
    """

    intent: np.ndarray
    kind: np.ndarray
    stance: np.ndarray
    sets: np.ndarray
    ordinary: np.ndarray
    document: np.ndarray
    contrast: np.ndarray
    long: np.ndarray


def thresholds(judged: Judged) -> dict[str, float]:
    """Returns the threshold of each of `KINDS` and of `LONG`.

    For short texts, it leaves the larger reserve against both `CAUGHT` and `CLEARED`, on the mean
    over sets, so that no large set decides alone, among those that hold `ORDINARY`, `EVERYDAY`,
    `CONTRASTS` and `TOPICAL`. For long documents it is the lowest that holds `ORDINARY_LONG`, but
    no lower than that of pages.
    """
    found: dict[str, float] = {}
    flagged = np.zeros(len(judged.intent), dtype=bool)
    for name in ("statement", "request", "page"):
        rows = judged.kind == KINDS.index(name)
        found[name] = _of_kind(judged, rows, flagged)
        flagged |= rows & (judged.intent >= found[name])
    return found | {LONG: max(found["page"], _of_long(judged))}


def _of_kind(judged: Judged, own: np.ndarray, flagged: np.ndarray) -> float:
    """Returns the threshold of some texts, where `flagged` ones of other kinds are known."""
    intent = judged.stance == CLASSES.index("intent")
    caught, cleared, ordinary = [], [], []
    allowed = np.ones(len(STEPS), dtype=bool)
    for name in np.unique(judged.sets[own]):
        whole = judged.sets == name
        inside = own & whole
        if min((inside & intent).sum(), (inside & ~intent).sum()) >= FEWEST:
            caught.append(_shares(judged.intent[inside & intent]))
            cleared.append(1 - _shares(judged.intent[inside & ~intent]))
        if judged.ordinary[whole].any():
            ordinary.append(_counts(judged.intent[inside]) / max(whole.sum(), FEWEST))
        elif not intent[whole].any() and inside.sum() >= FEWEST:
            allowed &= _shares(judged.intent[inside]) <= EVERYDAY
        topical = whole & (judged.stance == CLASSES.index("topical"))
        if topical.sum() >= FEWEST:
            count = _counts(judged.intent[topical & own]) + (topical & flagged & ~own).sum()
            allowed &= count <= TOPICAL * topical.sum()
    if not caught:
        return PLAIN
    if (own & judged.contrast).sum() >= FEWEST:
        allowed &= _shares(judged.intent[own & judged.contrast]) <= CONTRASTS
    if ordinary:
        allowed &= np.mean(ordinary, axis=0) <= ORDINARY
    reserve = np.minimum(np.mean(caught, axis=0) - CAUGHT, np.mean(cleared, axis=0) - CLEARED)
    return _best(reserve, allowed)


def _of_long(judged: Judged) -> float:
    """Returns the lowest threshold that flags few enough long documents in some passage."""
    rows = judged.ordinary & judged.long
    documents, inverse = np.unique(judged.document[rows], return_inverse=True)
    if len(documents) < FEWEST:
        return PLAIN
    highest = np.zeros(len(documents))
    np.maximum.at(highest, inverse, judged.intent[rows])
    return _best(-STEPS, _shares(highest) <= ORDINARY_LONG)


def _counts(scores: np.ndarray) -> np.ndarray:
    """Returns how many scores reach each of `STEPS`."""
    return (scores[:, None] >= STEPS[None, :]).sum(axis=0)


def _shares(scores: np.ndarray) -> np.ndarray:
    return _counts(scores) / len(scores)


def _best(gains: Sequence[float] | np.ndarray, allowed: np.ndarray) -> float:
    if not allowed.any():
        return float(STEPS[-1])
    return float(STEPS[int(np.argmax(np.where(allowed, gains, -np.inf)))])
