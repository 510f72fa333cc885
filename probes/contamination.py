"""Which texts of a probe stand in the training data, by runs of words.

Rolling hashes of all runs of `SEED_WORDS` words of the training text are looked up among those of
the probe; what hits is confirmed letter by letter and joined to the longest run in common, so that
runs of 8, 13 and 50 words are counted in one pass. A text is contaminated from
`CONTAMINATED_WORDS` words on, as in GPT-3 (https://arxiv.org/abs/2005.14165, appendix C) and Paloma
(https://arxiv.org/abs/2312.10523), or if all of it is found and it is shorter.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.digests import digest
from raicurate.transforms import word_hashes
from raicurate.transforms.word_hashes import Words, run_hashes, words_of

SEED_WORDS = 8
CONTAMINATED_WORDS = 13
LENGTHS = (SEED_WORDS, CONTAMINATED_WORDS, 50)
"""Lengths of runs by which documents are counted."""

EXAMPLES = 3
"""Ids of documents that are kept for a text."""

_FILTER_BITS = 20
"""Bits of a hash that a first look checks: a table of 1 MB stays in the caches, and with the 10^4
runs of a suite lets one in a hundred of other runs pass."""


_BLOCK_CHARACTERS = 300_000
"""Text that is hashed at once: arrays of 8 bytes a character that stay in the caches (measured: 31
MB/s a core, against 19 with batches of 4 MB)."""


class Verdict(StrEnum):
    """What is known of a text."""

    CONTAMINATED = "contaminated"
    CLEAN = "clean"
    UNSCANNED = "unscanned"


@dataclass(frozen=True, slots=True)
class ProbeText:
    """A text of a probe.

    Attributes:
        item: Id of the item or document to which it belongs.
        part: Number of the text within the item.
        text: What to look for; of an item, context and right continuation together.
    """

    item: str
    part: int
    text: str


@dataclass
class Hits:
    """Where one text was found.

    Attributes:
        longest: Words of the longest run in common.
        documents: Documents with a run of at least each of `LENGTHS` words.
        covered: Stretches of its words that stand in runs long enough to count, `[start, end)`.
        examples: The first ids of such documents, in order.
    """

    longest: int = 0
    documents: list[int] = field(default_factory=lambda: [0] * len(LENGTHS))
    covered: list[tuple[int, int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def add(self, other: "Hits") -> None:
        """Adds what was found in other documents."""
        self.longest = max(self.longest, other.longest)
        self.documents = [a + b for a, b in zip(self.documents, other.documents, strict=True)]
        self.covered = _merged([*self.covered, *other.covered])
        self.examples = sorted({*self.examples, *other.examples})[:EXAMPLES]


class ProbeIndex:
    """The runs of all texts of a probe, by hash. Can be sent to workers; holds folded letters."""

    def __init__(self, texts: Sequence[ProbeText]) -> None:
        self.texts = [(text.item, text.part, digest(text.text)) for text in texts]
        self._words = words_of([text.text for text in texts])
        self.lengths = np.bincount(self._words.texts, minlength=len(texts)).astype(np.int64)
        self._firsts = np.concatenate([[0], np.cumsum(self.lengths)])
        first, hashes = run_hashes(self._words, SEED_WORDS)
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._places = hashes[order], first[order]
        self._filter = np.zeros(1 << _FILTER_BITS, bool)
        self._filter[hashes >> np.uint64(64 - _FILTER_BITS)] = True

    @property
    def digest(self) -> str:
        """Digest of the texts and of how they are looked for."""
        return digest(word_hashes.VERSION, SEED_WORDS, CONTAMINATED_WORDS, self.texts)

    def needed(self, text: int) -> int:
        """Returns the words in common from which a text is contaminated."""
        return min(CONTAMINATED_WORDS, int(self.lengths[text]))

    def scan(self, ids: Sequence[str], documents: Sequence[str]) -> dict[int, Hits]:
        """Returns what is found in documents, by the number of the probe's text."""
        found: dict[int, Hits] = {}
        if not len(self._hashes):
            return found
        start = size = 0
        for end, document in enumerate(documents, 1):
            size += len(document)
            if size >= _BLOCK_CHARACTERS or end == len(documents):
                self._scan_block(ids[start:end], documents[start:end], found)
                start, size = end, 0
        return found

    def _scan_block(
        self, ids: Sequence[str], documents: Sequence[str], found: dict[int, Hits]
    ) -> None:
        words = words_of(documents)
        by_document: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for place, probe, length in self._runs(words):
            text = int(self._words.texts[probe])
            start = probe - int(self._firsts[text])
            by_document.setdefault((text, int(words.texts[place])), []).append((start, length))
        for (text, document), runs in by_document.items():
            longest = max(length for _, length in runs)
            needed = self.needed(text)
            hits = Hits(
                longest,
                [int(longest >= size) for size in LENGTHS],
                _merged([(start, start + size) for start, size in runs if size >= needed]),
                [ids[document]] if longest >= needed else [],
            )
            found.setdefault(text, Hits()).add(hits)

    def _runs(self, words: Words) -> Iterator[tuple[int, int, int]]:
        """Yields first word in the documents, first word in the probe and words in common."""
        first, hashes = run_hashes(words, SEED_WORDS)
        passed = np.flatnonzero(self._filter[hashes >> np.uint64(64 - _FILTER_BITS)])
        low = np.searchsorted(self._hashes, hashes[passed], side="left")
        high = np.searchsorted(self._hashes, hashes[passed], side="right")
        count = high - low
        if not count.any():
            return
        places = np.repeat(first[passed], count)
        nth = np.arange(len(places)) - np.repeat(np.cumsum(count) - count, count)
        probes = self._places[np.repeat(low, count) + nth]
        # Runs that overlap at the same distance between the two texts are one longer run. All
        # eight-word runs of a longer common run are hits, so nothing between them is missing.
        shift = places - probes
        order = np.lexsort((places, shift))
        places, probes, shift = places[order], probes[order], shift[order]
        fresh = np.ones(len(places), bool)
        fresh[1:] = (shift[1:] != shift[:-1]) | (places[1:] != places[:-1] + 1)
        begins = np.flatnonzero(fresh)
        lengths = np.diff([*begins, len(places)]) + SEED_WORDS - 1
        for begin, length in zip(begins.tolist(), lengths.tolist(), strict=True):
            place, probe = int(places[begin]), int(probes[begin])
            if np.array_equal(words.letters(place, length), self._words.letters(probe, length)):
                yield place, probe, length


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the training data was looked through.

    Attributes:
        units: Units of work that were planned.
        units_scanned: Those that were scanned to their end.
        files: Files of all units.
        documents: Documents that were scanned.
        unreadable: Records that could not be read.
        text_bytes: UTF-8 bytes that were scanned.
        damaged: Files of which a part is lost.
    """

    units: int
    units_scanned: int
    files: int
    documents: int
    unreadable: int
    text_bytes: int
    damaged: int = 0

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return self.units == self.units_scanned and not self.unreadable and not self.damaged

    @property
    def fraction(self) -> float:
        """Share of the known documents that were scanned, times that of the units."""
        known = self.documents + self.unreadable
        read = self.documents / known if known else 0.0
        return read * (self.units_scanned / self.units) if self.units else 0.0


RESULTS = pa.schema(
    [
        pa.field("item", pa.string(), nullable=False),
        pa.field("part", pa.int32(), nullable=False),
        pa.field("text_digest", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("words", pa.int64(), nullable=False),
        pa.field("longest", pa.int64(), nullable=False),
        pa.field("covered_words", pa.int64(), nullable=False),
        *(pa.field(f"documents_{size}", pa.int64(), nullable=False) for size in LENGTHS),
        pa.field("examples", pa.list_(pa.string()), nullable=False),
    ]
)
"""One row a text of the probe: ids and counts, never text."""


def results(index: ProbeIndex, found: Mapping[int, Hits], coverage: Coverage) -> pa.Table:
    """Returns what is known of each text; nothing is clean of which a part was not looked at."""
    rows: list[dict[str, Any]] = []
    for number, (item, part, text_digest) in enumerate(index.texts):
        hits = found.get(number, Hits())
        words = int(index.lengths[number])
        if words >= SEED_WORDS and hits.longest >= index.needed(number):
            verdict = Verdict.CONTAMINATED
        elif words < SEED_WORDS or not coverage.complete:
            verdict = Verdict.UNSCANNED
        else:
            verdict = Verdict.CLEAN
        row = {
            "item": item,
            "part": part,
            "text_digest": text_digest,
            "verdict": str(verdict),
            "words": words,
            "longest": hits.longest,
            "covered_words": sum(end - start for start, end in hits.covered),
            "examples": hits.examples,
        }
        counts = zip(LENGTHS, hits.documents, strict=True)
        rows.append(row | {f"documents_{size}": count for size, count in counts})
    return pa.Table.from_pylist(rows, schema=RESULTS)


def read_verdicts(path: Path) -> dict[str, bool]:
    """Returns by item whether it is contaminated; of one that is missing it is not known."""
    rows = pq.read_table(path, columns=["item", "verdict"])
    by_item: dict[str, set[str]] = {}
    for item, verdict in zip(rows["item"].to_pylist(), rows["verdict"].to_pylist(), strict=True):
        by_item.setdefault(item, set()).add(verdict)
    return {
        item: Verdict.CONTAMINATED in verdicts
        for item, verdicts in by_item.items()
        if Verdict.CONTAMINATED in verdicts or verdicts == {str(Verdict.CLEAN)}
    }


def _merged(stretches: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(stretches):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
