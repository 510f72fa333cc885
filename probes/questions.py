"""Questions about the clauses of a run's policies: were they learned, and can they be applied?

Each question joins to its clause and so to its arm: *taught* (exercises were made of it), *read
only* (its document is in the data), *unseen* (nowhere). Each is asked closed-book, under the
headings of its document alone, and with the clause given, which shows what the form costs. Asked
are crossed pairs of clauses, the right end of a clause among ends of others, and what a clause says
of an action (required, forbidden, allowed, advised).
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.load import read_yaml
from raicurate.probes import choices
from raicurate.probes.backend import Request
from raicurate.probes.clause_texts import ClauseText
from raicurate.probes.items import ChoiceItem
from raicurate.probes.records import Ask

CONDITIONS = ("closed_book", "clause_given")
DISTRACTORS = 3

_VERDICT_WORDS = Path(__file__).resolve().parent / "verdict_words.yaml"


def crossed_asks(
    suite: str, clauses: Iterable[ClauseText], manifest: str | None = None
) -> Iterator[Ask]:
    """Yields crossed items of pairs of clauses from one document that differ in section and action.

    The contexts are the headings and the clause up to its action, the continuations the rest. Pairs
    have one modality, so that no modal verb tells; each clause stands in one pair at most.
    """
    for pair in _pairs(clauses):
        for condition in CONDITIONS:
            for context, own in enumerate(pair):
                for continuation, other in enumerate(pair):
                    ask = Ask(
                        suite,
                        "crossed-" + digest(*(clause.id for clause in pair)),
                        "clause_crossed",
                        own.language,
                        Request(_context(own, condition), " " + other.action),
                        context=context,
                        continuation=continuation,
                        right=context == continuation,
                    )
                    yield _of_clause(ask, pair[0], condition, manifest)


def ending_asks(
    suite: str,
    clauses: Sequence[ClauseText],
    manifest: str | None = None,
    shots: Sequence[int] = (0,),
) -> Iterator[Ask]:
    """Yields choices of the right end of each clause among ends of others of its document.

    Worked examples are taught clauses of other hazards and dimensions.
    """
    groups = _groups(clauses)
    items = {}
    for group in groups.values():
        for clause in group:
            others = [other for other in group if other.action != clause.action]
            if len(others) >= DISTRACTORS:
                wrong = _by_digest(others, clause.id)[:DISTRACTORS]
                options = _by_digest([clause, *wrong], clause.id, "place")
                items[clause.id] = (clause, tuple(option.action for option in options))
    yield from _choice_asks(suite, items, "ending", manifest, shots)


def verdict_asks(
    suite: str,
    clauses: Sequence[ClauseText],
    manifest: str | None = None,
    shots: Sequence[int] = (0,),
) -> Iterator[Ask]:
    """Yields for each clause whether its action is required, forbidden, allowed or advised.

    Only in languages that `verdict_words.yaml` has.
    """
    words = verdict_words()
    items = {}
    for clause in clauses:
        if clause.language in words:
            options = tuple(words[clause.language].values())
            items[clause.id] = (clause, options)
    yield from _choice_asks(suite, items, "verdict", manifest, shots)


@functools.cache
def verdict_words() -> dict[str, dict[str, str]]:
    """Returns what is said of an action by language and modality."""
    words: dict[str, dict[str, str]] = read_yaml(_VERDICT_WORDS)["verdict_words"]
    return words


def tier(clause: ClauseText, taught_languages: frozenset[str]) -> str:
    """Returns how new a question about a clause is; see `items.Tier`."""
    if clause.arm != "unseen":
        return "T1"
    return "T2" if clause.language in taught_languages else "T3"


def _choice_asks(
    suite: str,
    items: dict[str, tuple[ClauseText, tuple[str, ...]]],
    what: str,
    manifest: str | None,
    shots: Sequence[int],
) -> Iterator[Ask]:
    taught = frozenset(clause.language for clause, _ in items.values() if clause.arm != "unseen")
    for condition in CONDITIONS:
        made = {
            id_: _choice(clause, options, what, condition)
            for id_, (clause, options) in sorted(items.items())
        }
        examples = [item for id_, item in made.items() if items[id_][0].arm == "taught"]
        for id_, item in made.items():
            clause = items[id_][0]
            for ask in choices.asks(suite, [item], examples=examples, shots=shots):
                named = replace(ask, item=f"{what}-{id_}", kind=f"clause_{what}")
                yield _of_clause(named, clause, condition, manifest, taught)


def _choice(clause: ClauseText, options: tuple[str, ...], what: str, condition: str) -> ChoiceItem:
    if what == "ending":
        question, answer = _context(clause, condition), options.index(clause.action)
    else:
        words = verdict_words()[clause.language]
        given = f"{clause.text}\n" if condition == "clause_given" else ""
        question = f'{given}{clause.heading}. "{clause.action.rstrip(" .;,")}":'
        answer = options.index(words[clause.modality])
    return ChoiceItem(
        id=clause.id,
        language=clause.language,
        dimension=clause.dimension,
        hazard=clause.hazard,
        source="clauses",
        cluster=clause.family,
        condition="cloze",
        question=question,
        options=options,
        answer=answer,
    )


def _context(clause: ClauseText, condition: str) -> str:
    given = f"{clause.text}\n" if condition == "clause_given" else ""
    return f"{given}{clause.heading}. {clause.before}"


def _of_clause(
    ask: Ask,
    clause: ClauseText,
    condition: str,
    manifest: str | None,
    taught_languages: frozenset[str] | None = None,
) -> Ask:
    languages = frozenset([clause.language]) if taught_languages is None else taught_languages
    return replace(
        ask,
        source="clauses",
        cluster=clause.family,
        clause=clause.id,
        manifest=manifest,
        dimension=clause.dimension,
        hazard=clause.hazard,
        tier=tier(clause, languages),
        arm=clause.arm,
        condition=condition,
    )


def _pairs(clauses: Iterable[ClauseText]) -> Iterator[tuple[ClauseText, ClauseText]]:
    for group in _groups(clauses).values():
        waiting = _by_digest(group, "pairs")
        while waiting:
            first = waiting.pop(0)
            for place, second in enumerate(waiting):
                if first.section != second.section and first.action != second.action:
                    yield first, waiting.pop(place)
                    break


def _groups(clauses: Iterable[ClauseText]) -> dict[tuple[str, ...], list[ClauseText]]:
    groups: dict[tuple[str, ...], list[ClauseText]] = {}
    for clause in sorted(clauses, key=lambda clause: clause.id):
        groups.setdefault((clause.arm, clause.document, clause.modality), []).append(clause)
    return groups


def _by_digest(clauses: Iterable[ClauseText], *names: str) -> list[ClauseText]:
    return sorted(clauses, key=lambda clause: digest(clause.id, *names))
