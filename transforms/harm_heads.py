"""The questions that the passage-level model answers, and how the answers become one verdict.

Each question is a logistic regression of its own, since no public set answers all of them: a set
that labels hate says nothing about fraud. A small multinomial regression over the answers then
gives calibrated probabilities of the stances.
"""

from collections.abc import Sequence

import numpy as np

from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES, Hazard

HEADS = ("talk", "page", "hateful", "topical", "disclosure", "request", "demand", "kind")
"""talk: harmful intent in anything but a prompt; page: the same in web pages and documents alone;
hateful: hateful intent; topical and disclosure: that stance; request: a prompt, not a statement;
demand: a prompt that asks for harmful help; kind: a page or document, not a short statement."""

CLASSES = ("none", *STANCES)

_PAGES = ("web_snippet", "document")
_MOST = 8.0
"""Logits are cut at this, so that no single answer drowns the others."""

FEATURES = 20

KINDS = ("statement", "page", "request")
"""What kind of text a short one reads as, told by the heads `request` and `kind`."""


class Labels:
    """The labels of examples as columns.

    Attributes:
        stance: Index of `CLASSES`.
        request: Whether it is a prompt.
        page: Whether it is a web page or document.
        hazards: (examples, hazards): which it has.
        covered: (examples, hazards): which its set labels wherever they occur.
    """

    def __init__(
        self,
        stances: Sequence[str],
        text_types: Sequence[str],
        hazards: Sequence[Sequence[Hazard]],
        covers: Sequence[Sequence[str]],
    ) -> None:
        self.stance = np.array([CLASSES.index(stance) for stance in stances])
        self.request = np.array([name == "request" for name in text_types], dtype=bool)
        self.page = np.array([name in _PAGES for name in text_types], dtype=bool)
        self.hazards = np.array([[h in own for h in HAZARDS] for own in hazards], dtype=bool)
        self.covered = np.array(
            [["all" in own or h in own for h in HAZARDS] for own in covers], dtype=bool
        )

    def question(self, head: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns for each example whether the answer is yes, and whether it has one."""
        intent = self.stance == CLASSES.index("intent")
        hate = HAZARDS.index("hate")
        if head == "talk":
            return intent, ~self.request
        if head == "page":
            return intent, self.page
        if head == "hateful":
            yes = intent & self.hazards[:, hate] & ~self.request
            return yes, yes | (~self.request & (~intent | self.covered[:, hate]))
        if head in STANCES:
            return self.stance == CLASSES.index(head), ~self.request
        if head == "request":
            return self.request, np.ones(len(self.request), dtype=bool)
        if head == "demand":
            return intent, self.request
        if head == "kind":
            return self.page, ~self.request
        number = HAZARDS.index(head)
        yes = self.hazards[:, number]
        return yes, yes | ((self.stance > 0) & self.covered[:, number])


def stance_features(answers: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Returns what the stances are told from.

    Args:
        answers: Logits by passage and head of `HEADS`.
        words: Number of words in each passage.
    """
    by_head = dict(zip(HEADS, np.clip(answers, -_MOST, _MOST).T, strict=True))
    request = 1 / (1 + np.exp(-by_head["request"]))
    kind = 1 / (1 + np.exp(-by_head["kind"]))
    statement, page = (1 - request) * (1 - kind), (1 - request) * kind
    length = np.log1p(words) / 3
    return np.stack(
        [
            np.ones(len(answers)),
            *(by_head[head] for head in HEADS),
            request * by_head["demand"],
            page * by_head["page"],
            (1 - request) * by_head["talk"],
            kind,
            length,
            request,
            statement * by_head["talk"],
            statement * by_head["hateful"],
            page * by_head["topical"],
            page * by_head["talk"],
            statement * length,
        ],
        axis=1,
    )


def text_kinds(answers: np.ndarray) -> np.ndarray:
    """Returns what kind of text passages read as: indices of `KINDS`.

    Args:
        answers: Logits by passage and head of `HEADS`.
    """
    request, kind = (answers[:, HEADS.index(head)] > 0 for head in ("request", "kind"))
    return np.where(request, KINDS.index("request"), np.where(kind, KINDS.index("page"), 0))
