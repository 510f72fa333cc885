"""Loaders of questions with options, hazardous ones among them, and of documents.

The repository holds no hazardous question: such sets are read from where they lie, and their items
leave a probe as ids and digests only.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.vocabulary import Dimension
from raicurate.probes.items import ChoiceItem, ProbeDocument
from raicurate.probes.loaders_fairness import language_of
from raicurate.probes.suite import OutsideSet

Row = Mapping[str, Any]

_OPTIONS = ("choices", "options")
_GROUPS = ("subject", "category", "group", "domain")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def choices(row: Row, outside: OutsideSet, number: int) -> ChoiceItem | str:
    """Questions with options, as in WMDP, MMLU, SafetyBench or TruthfulQA.

    Rows have `question`; `choices` or `options` with `answer` (an index from 0, a letter, or the
    option itself), or `correct` and `incorrect` answers. `subject`, `category`, `group` or
    `domain` says the group; a row without `id` is named by the digest of its content. The
    condition is the split of the set, or the row's own `split`.
    """
    name = str(row.get("id") or digest([row["question"], number])[:16])
    options = next((row[key] for key in _OPTIONS if row.get(key)), None)
    if options is None:
        options, answer = _from_answers(row, name)
    else:
        found = _index(row["answer"], options)
        if found is None:
            return "its answer names none of its options"
        answer = found
    return ChoiceItem(
        id=name,
        language=language_of(row, outside),
        dimension=outside.dimension,
        hazard=outside.hazard,
        source=outside.name,
        cluster=row.get("cluster"),
        group=next((row[key] for key in _GROUPS if row.get(key)), None),
        condition=row.get("split") or outside.split,
        context=row.get("context") or "",
        question=row["question"],
        options=tuple(options),
        answer=answer,
    )


def documents(row: Row, outside: OutsideSet, _number: int) -> ProbeDocument | str:
    """Documents whose perplexity is measured, such as the held-out ones of a run.

    Rows have `text`. What a document is about is the set's `dimension`, or the row's `dimension`
    or first of `dimensions`; in a set with the role `benign` all are neutral. Versions and
    translations of one document (`family`, also within `meta` or `metadata`) are resampled
    together.
    """
    if not row["text"]:
        return "has no text"
    meta = row.get("meta") if isinstance(row.get("meta"), dict) else {}
    neutral = outside.role == "benign"
    dimension = None if neutral else _dimension(row, outside)
    if dimension is None and not neutral:
        return "is about no dimension"
    return ProbeDocument(
        id=str(row.get("id") or digest([row["text"]])[:16]),
        language=language_of(row, outside),
        dimension=dimension,
        neutral=neutral,
        source=row.get("source") or outside.name,
        cluster=row.get("family") or (meta or {}).get("family"),
        text=row["text"],
    )


def _dimension(row: Row, outside: OutsideSet) -> Dimension | None:
    named = (
        outside.dimension or row.get("dimension") or next(iter(row.get("dimensions") or ()), None)
    )
    return named if named in get_args(Dimension) else None


def _index(answer: Any, options: Sequence[str]) -> int | None:
    if isinstance(answer, bool):
        return None
    if isinstance(answer, int):
        return answer if 0 <= answer < len(options) else None
    if answer in options:
        return options.index(answer)
    letter = str(answer).strip().strip("().").upper()
    place = _LETTERS.find(letter) if len(letter) == 1 else -1
    return place if 0 <= place < len(options) else None


def _from_answers(row: Row, name: str) -> tuple[list[str], int]:
    """Returns the right answer among the wrong ones, at a place that its id decides."""
    right = row.get("best_answer") or row["correct"][0]
    wrong = [text for text in row["incorrect"] if text != right]
    # By `random()` alone: what `randrange` draws may change with the version of Python.
    place = int(random.Random(name).random() * (len(wrong) + 1))
    return [*wrong[:place], right, *wrong[place:]], place
