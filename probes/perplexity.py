"""Perplexity probes: bits per byte of documents, and what of a gain is more than form and words.

A model that read a kind of text finds more of it easier, whatever it understood: form and word
frequencies alone buy most of such a gain. So each document is scored three times: as it is, with
its sentences shuffled, and with its words shuffled. *Excess* is what order is worth: bits per
byte as it is, less the mean of the two shuffled. A better model of any text widens that too, so
the effect of a checkpoint or a mix is the change in excess on documents about responsible AI,
less the change on neutral rulebooks of the same form.

Bits per byte is the sensitive screen; the claim that something was learned rests on crossed
margins.
"""

import hashlib
import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.vocabulary import Dimension
from raicurate.probes.backend import Backend, Floats, TokenNll, utf8_bytes
from raicurate.probes.items import ProbeDocument
from raicurate.probes.records import DOCUMENT_SAMPLES

KeyTerms = Mapping[str, Mapping[Dimension, Sequence[str]]]
"""The terms that carry a dimension, by language and dimension."""

VARIANTS = ("original", "sentences_shuffled", "words_shuffled")

_SENTENCE = re.compile(r"[^.!?。！？।؟\n]*(?:[.!?。！？।؟]+|\n|$)[\s\"'”’»」』)\]]*")
_UNIT = re.compile(
    r"[\u4e00-\u9fff々〆]+|[\u3041-\u309f]+|[\u30a0-\u30ff]+|[^\s\u3041-\u30ff\u4e00-\u9fff々〆]+"
)
"""A word; where no spaces part them, a run of one script."""


def shuffled(text: str, name: str, variant: str) -> str:
    """Returns a variant of a text: the same bytes in another order, drawn by its name.

    Words change places with words, and what stands between them stays; sentences go with what
    follows them up to the next one.
    """
    if variant == "original":
        return text
    seeded = random.Random(f"{variant}\x1f{name}")
    if variant == "words_shuffled":
        words = _permuted(_UNIT.findall(text), seeded)
        return _UNIT.sub(lambda _: words.pop(), text)
    return "".join(_permuted(_SENTENCE.findall(text), seeded))


def document_samples(
    backend: Backend,
    suite: str,
    documents: Iterable[ProbeDocument],
    key_terms: KeyTerms | None = None,
    contaminated: Mapping[str, bool] | None = None,
) -> pa.Table:
    """Returns the records of all variants of documents.

    Args:
        backend: Who is asked.
        suite: Name of the suite.
        documents: What is scored, each by itself.
        key_terms: The terms of each dimension, by language and dimension.
        contaminated: By document, whether it stands in the training data; those that are missing
            were not looked for.

    Raises:
        UsageError: The model cannot score documents.
    """
    asked = [(document, variant) for document in documents for variant in VARIANTS]
    texts = [shuffled(document.text, document.id, variant) for document, variant in asked]
    answers = backend.token_nll(texts)
    rows = []
    for (document, variant), text, answer in zip(asked, texts, answers, strict=True):
        terms = _terms(key_terms, document)
        term_nll, term_bytes = key_term_sums(text, answer, terms)
        rows.append(
            {
                "model": backend.name,
                "model_digest": backend.digest,
                "suite": suite,
                "document": document.id,
                "language": document.language,
                "source": document.source,
                "cluster": document.cluster,
                "dimension": document.dimension,
                "neutral": document.neutral,
                "variant": variant,
                "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
                "sum_nll_nats": math.fsum(answer.nll_nats),
                "n_tokens": answer.starts.size,
                "n_scored": answer.nll_nats.size,
                "n_utf8_bytes": utf8_bytes(text),
                "n_words": len(_UNIT.findall(text)),
                "key_term_nll_nats": term_nll,
                "key_term_utf8_bytes": term_bytes,
                "contaminated": (contaminated or {}).get(document.id),
            }
        )
    return pa.Table.from_pylist(rows, schema=DOCUMENT_SAMPLES)


def _terms(key_terms: KeyTerms | None, document: ProbeDocument) -> Sequence[str]:
    if not key_terms or document.dimension is None:
        return ()
    return key_terms.get(document.language, {}).get(document.dimension, ())


def key_term_sums(text: str, answer: TokenNll, terms: Sequence[str]) -> tuple[float, int]:
    """Returns the nats and the bytes of all whole occurrences of terms, whatever their case.

    The nats of a token are spread evenly over its bytes, so that the bytes of a term are the same
    for every tokenizer, also where a token holds a term and the space before it.
    """
    spans = list(_term_spans(text, terms))
    if not spans or not answer.nll_nats.size:
        return 0.0, 0
    ends = np.append(answer.starts[1:], utf8_bytes(text))
    cumulated = np.concatenate([[0.0], np.cumsum(answer.nll_nats)])
    places = np.concatenate([answer.starts[:1], ends])
    starts, stops = (np.array(side) for side in zip(*spans, strict=True))
    nats = np.interp(stops, places, cumulated) - np.interp(starts, places, cumulated)
    return float(nats.sum()), int((stops - starts).sum())


def excess(measured: Floats) -> Floats:
    """Returns excess bits per byte from sums of nats by variant and the bytes, in the last axis."""
    original, sentences, words, size = np.moveaxis(measured, -1, 0)
    return (original - (sentences + words) / 2) / math.log(2) / size


def _term_spans(text: str, terms: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields the byte ranges of terms that do not overlap, the longest at each place."""
    if not terms:
        return
    longest_first = sorted(terms, key=lambda term: (-len(term), term))
    pattern = "|".join(re.escape(term) for term in longest_first)
    is_ascii = text.isascii()
    last, place = 0, 0
    for found in re.finditer(f"(?:{pattern})", text, re.IGNORECASE):
        if not _is_whole(text, found.start(), found.end()):
            continue
        if is_ascii:
            yield found.span()
            continue
        place += utf8_bytes(text[last : found.start()])
        last = found.start()
        yield place, place + utf8_bytes(found.group())


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether no spaced word goes on beyond either end; Japanese words have no such ends."""
    before, after = text[start - 1 : start], text[end : end + 1]
    return not (_joins(before, text[start]) or _joins(text[end - 1], after))


def _joins(left: str, right: str) -> bool:
    spaced = (c.isalnum() and not "\u3041" <= c <= "\u9fff" for c in (left, right) if c)
    return bool(left and right) and all(spaced)


def _permuted(things: Sequence[str], seeded: random.Random) -> list[str]:
    # By `random()` alone: what `shuffle` draws may change with the version of Python.
    keys = [seeded.random() for _ in things]
    return [things[place] for place in sorted(range(len(things)), key=keys.__getitem__)]
