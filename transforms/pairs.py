"""Pairs without text: which documents offer one, and which of the offers are taken.

An offer is a row of digests: its theme, its rank, and what each attempt at writing it would say.
Taking offers over a whole corpus looks at nothing else.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.pairs import Pairs
from raicurate.corpora_manifests.vocabulary import Hazard
from raicurate.exercise_templates.pairs import Composition, PairLibrary, PairText
from raicurate.transforms.schema import PAIRS

VERSION = "1"
"""Part of the keys of pairs: raised when the same labels would give other pairs."""

ATTEMPTS = 4
"""How often a source whose words are taken already may choose anew."""

OFFERS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("theme", pa.string(), nullable=False),
        pa.field("rank", pa.uint64(), nullable=False),
        *(
            pa.field(f"{kind}_{attempt}", pa.uint64(), nullable=False)
            for attempt in range(ATTEMPTS)
            for kind in ("refusal", "twin", "lesson")
        ),
    ]
)
"""One row an offer: `row` counts the annotations of its unit; the rest are digests of 64 bits."""

SOURCE = "raicurate/pairs"

_STANCE_ORDER = {"intent": 0, "disclosure": 1, "topical": 2}


class Taken(NamedTuple):
    """An offer that was taken.

    Attributes:
        row: Its row among the annotations of its unit.
        theme: `language/hazard`.
        pair: The attempt whose request, refusal and twin are written.
        lesson: The attempt whose lesson is written, or -1 for none.
    """

    row: int
    theme: str
    pair: int
    lesson: int


def source_of(document_id: str, text_sha256: str) -> str:
    """Returns what decides the choice of words for a document: nothing that it says."""
    return f"{document_id}\0{text_sha256}"


def offers(
    labels: pa.RecordBatch,
    decisions: pa.RecordBatch,
    policy: Pairs,
    library: PairLibrary,
    first_row: int,
) -> pa.RecordBatch:
    """Returns the offers of a batch as `OFFERS`.

    A document offers a pair where what leads its hazards is meant (stance `intent`), the policy
    wants pairs for it, and it is contextualized, or restricted with its text. One of which only a
    record may be kept offers none.

    Args:
        labels: Rows of `schema.ANNOTATIONS`.
        decisions: What was decided on them.
        policy: Where pairs are wanted.
        library: The words.
        first_row: Position of the first row among the annotations of the unit.
    """
    chosen = pc.and_(
        pc.is_in(decisions.column("action"), value_set=pa.array(["contextualize", "restrict"])),
        pc.and_(
            pc.equal(decisions.column("store"), "text"),
            pc.less_equal(labels.column("text_sha256"), f"{int(policy.rate * 0xFFFFFFFF):08x}~"),
        ),
    )
    rows = np.flatnonzero(chosen.to_numpy(zero_copy_only=False))
    found: list[dict[str, int | str]] = []
    for row in map(int, rows):
        lang = labels.column("lang")[row].as_py()
        hazards = decisions.column("active_hazards")[row].as_py()
        if not hazards or any(h["hazard"] == "child_sexual_exploitation" for h in hazards):
            continue
        leading = min(
            hazards,
            key=lambda h: (_STANCE_ORDER[h["stance"]], -h["severity"], -h["score"], h["hazard"]),
        )
        hazard = leading["hazard"]
        if leading["stance"] != "intent" or not policy.wants(hazard, lang):
            continue
        if hazard not in library.hazards_of(lang):
            continue
        source = source_of(
            labels.column("id")[row].as_py(), labels.column("text_sha256")[row].as_py()
        )
        offer: dict[str, int | str] = {
            "row": first_row + row,
            "theme": f"{lang}/{hazard}",
            "rank": _rank(source),
        }
        for attempt in range(ATTEMPTS):
            composed = library.compose(source, lang, hazard, attempt)
            for kind, text in composed._asdict().items():
                offer[f"{kind}_{attempt}"] = text.content
        found.append(offer)
    return pa.RecordBatch.from_pylist(found, schema=OFFERS)


def _rank(source: str) -> int:
    return int.from_bytes(hashlib.blake2b(source.encode(), digest_size=8).digest(), "big")


def take(
    units: Sequence[tuple[str, pa.Table]], policy: Pairs
) -> tuple[dict[str, list[Taken]], dict[str, dict[str, int]]]:
    """Takes offers by rank: each text once in all corpora, and so many of a theme.

    Neither the order of the units nor how documents are cut into them matters.

    Args:
        units: Id and offers (`OFFERS`) of each unit.
        policy: How many are wanted.

    Returns:
        What was taken of each unit, by row; and by unit what was left out, by reason.
    """
    taken: dict[str, list[Taken]] = {unit: [] for unit, _ in units}
    left: dict[str, dict[str, int]] = {unit: {} for unit, _ in units}
    if not units:
        return taken, left
    numbers = np.repeat(np.arange(len(units)), [table.num_rows for _, table in units])
    table = pa.concat_tables([table for _, table in units]).combine_chunks()
    themes = table.column("theme").to_pylist()
    columns = {
        name: table.column(name).to_numpy() for name in table.schema.names if name != "theme"
    }
    said: set[tuple[str, int]] = set()
    counts: dict[str, int] = {}
    for at in np.lexsort((columns["row"], columns["rank"])):
        unit, theme = units[numbers[at]][0], themes[at]
        attempt = _first_unsaid(columns, at, ("refusal", "twin"), said)
        reason = (
            "over the cap"
            if counts.get(theme, 0) >= policy.max_per_theme
            else "same words"
            if attempt < 0
            else None
        )
        if reason is not None:
            name = f"{theme}: {reason}"
            left[unit][name] = left[unit].get(name, 0) + 1
            continue
        counts[theme] = counts.get(theme, 0) + 1
        said |= {(kind, int(columns[f"{kind}_{attempt}"][at])) for kind in ("refusal", "twin")}
        lesson = _first_unsaid(columns, at, ("lesson",), said) if policy.moral_education else -1
        if lesson >= 0:
            said.add(("lesson", int(columns[f"lesson_{lesson}"][at])))
        taken[unit].append(Taken(int(columns["row"][at]), theme, attempt, lesson))
    for found in taken.values():
        found.sort()
    return taken, left


def _first_unsaid(
    columns: dict[str, np.ndarray], at: int, kinds: Sequence[str], said: set[tuple[str, int]]
) -> int:
    """Returns the first attempt whose texts were not said yet, or -1."""
    for attempt in range(ATTEMPTS):
        if all((kind, int(columns[f"{kind}_{attempt}"][at])) not in said for kind in kinds):
            return attempt
    return -1


def pair_rows(
    documents: Iterable[tuple[Taken, str, str]],
    corpus: str,
    added: str | None,
    library: PairLibrary,
) -> pa.RecordBatch:
    """Returns the rows of `schema.PAIRS` for offers that were taken.

    Args:
        documents: Each with the id and the digest of the text of its source.
        corpus: Corpus of the sources.
        added: Value of the column `added`.
        library: The words.
    """
    found = [
        row
        for taken, document_id, text_sha256 in documents
        for row in _rows_of(taken, document_id, text_sha256, corpus, added, library)
    ]
    return pa.RecordBatch.from_pylist(found, schema=PAIRS)


def _rows_of(
    taken: Taken,
    document_id: str,
    text_sha256: str,
    corpus: str,
    added: str | None,
    library: PairLibrary,
) -> Iterator[dict[str, object]]:
    lang, name_of_hazard = taken.theme.split("/")
    hazard = cast(Hazard, name_of_hazard)
    source = source_of(document_id, text_sha256)
    name = hashlib.blake2b(f"{corpus}\0{source}".encode(), digest_size=12).hexdigest()
    written: Composition = library.compose(source, lang, hazard, taken.pair)
    texts: dict[str, PairText] = {"refusal": written.refusal, "twin": written.twin}
    if taken.lesson >= 0:
        texts["lesson"] = library.compose(source, lang, hazard, taken.lesson).lesson
    for kind, composed in texts.items():
        yield {
            "id": f"pair-{name}-{kind}",
            "text": composed.text,
            "source": SOURCE,
            "added": added,
            "created": None,
            "lang": lang,
            "metadata": "{}",
            "kind": kind,
            "pair": f"pair-{name}",
            "hazard": hazard,
            "turns": [turn._asdict() for turn in composed.turns],
            "refs": list(composed.refs),
            "text_sha256": hashlib.sha256(composed.text.encode()).hexdigest(),
            "corpus": corpus,
            "license": library.licence_of(lang),
            "derived_from": [document_id],
        }
