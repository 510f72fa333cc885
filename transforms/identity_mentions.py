"""Where groups of people are mentioned: in a passage, and inside or outside of added context.

A context that mentions a group far more often than the texts do would teach that the group and
harm belong together; the counts show whether that is so.
"""

import functools
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import ahocorasick_rs
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from raicurate.corpora_manifests.digests import digest

GROUPS = Path(__file__).with_name("models") / "identity_groups.yaml"

_UNSPACED = frozenset({"ja"})


class _Terms(NamedTuple):
    automaton: ahocorasick_rs.AhoCorasick
    groups: tuple[str, ...]
    stems: tuple[bool, ...]


@functools.cache
def _terms(lang: str) -> _Terms | None:
    """Returns the terms of a language; None where it has none."""
    by_group = _content().get(lang)
    if by_group is None:
        return None
    pairs = [
        (form, group)
        for group, terms in by_group.items()
        for term in terms
        for form in (_with_particles(term) if lang == "ar" else (term,))
    ]
    return _Terms(
        ahocorasick_rs.AhoCorasick(
            [term.removesuffix("*").lower() for term, _ in pairs],
            matchkind=ahocorasick_rs.MatchKind.LeftmostLongest,
        ),
        tuple(group for _, group in pairs),
        tuple(term.endswith("*") or lang in _UNSPACED for term, _ in pairs),
    )


def _with_particles(term: str) -> tuple[str, ...]:
    """Returns an Arabic term as it is and with the one-letter particles that are written to it."""
    # The article loses its first letter behind "for".
    behind = f"لل{term[2:]}" if term.startswith("ال") else f"ل{term}"
    forms = (term, f"ب{term}", f"ك{term}", behind)
    return tuple(lead + form for lead in ("", "و", "ف") for form in forms)


def groups_in(text: str, lang: str | None) -> set[str]:
    """Returns the groups that a text mentions."""
    return {group for group, _ in _mentions(text, lang)}


@functools.cache
def groups_digest() -> str:
    """Returns the digest of the terms."""
    return digest(_content())


@functools.cache
def _content() -> dict[str, dict[str, list[str]]]:
    groups: dict[str, dict[str, list[str]]] = yaml.safe_load(GROUPS.read_text(encoding="utf-8"))[
        "mentions"
    ]
    return groups


def identity_mentions(texts: pa.Array, langs: pa.Array, spans: pa.Array) -> Counter[str]:
    """Counts mentions in the documents that have context, as `group/inside` and `group/outside`.

    Args:
        texts: The published texts.
        langs: Their languages.
        spans: Their spans, as in `schema.DOCUMENTS`.
    """
    counts: Counter[str] = Counter()
    rows = pc.unique(
        pc.list_parent_indices(spans).filter(
            pc.equal(spans.flatten().field("kind"), pa.scalar("context", pa.string()))
        )
    )
    for text, lang, found in zip(
        texts.take(rows).to_pylist(),
        langs.take(rows).to_pylist(),
        spans.take(rows).to_pylist(),
        strict=True,
    ):
        added = [(span["start"], span["end"]) for span in found if span["kind"] == "context"]
        for group, at in _mentions(text, lang):
            place = "inside" if any(start <= at < end for start, end in added) else "outside"
            counts[f"{group}/{place}"] += 1
    return counts


def _mentions(text: str, lang: str | None) -> list[tuple[str, int]]:
    terms = _terms(lang or "")
    lowered = text.lower()
    # A few letters have no lower case of the same length, so that positions would be off.
    if terms is None or len(lowered) != len(text):
        return []
    return [
        (terms.groups[index], start)
        for index, start, end in terms.automaton.find_matches_as_indexes(lowered)
        if (lang in _UNSPACED or not lowered[start - 1 : start].isalnum())
        and (terms.stems[index] or not lowered[end : end + 1].isalnum())
    ]
