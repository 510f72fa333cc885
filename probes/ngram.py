"""The built-in reference model: a byte n-gram model with modified Kneser-Ney smoothing, exact.

It needs no tokenizer, no download and no compiler, serves every language, and is fitted on
megabytes in seconds. It knows nothing beyond the few bytes before, so it serves to test the
instruments, to compare mixes of data, and as the reference that says how hard a text is.

Method: Chen and Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling",
Harvard TR-10-98 (1998), the interpolated form with three discounts for each order. The counts of
the highest order determine all else, so a model is stored as these.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import (
    Capabilities,
    Floats,
    Integers,
    Request,
    Score,
    TokenNll,
    check_requests,
)
from raicurate.probes.key_table import Keys, KeyTable

ORDER = 6
MAX_ORDER = 8  # eight bytes fill a 64-bit key
START = 0xFF
"""Stands before each text as often as a context is long. UTF-8 never holds this byte."""
SYMBOLS = 255
"""All bytes but `START`: what can be predicted."""

VERSION = 1
"""Raised when the same texts give another model, or files of it are read otherwise."""
_CHUNK_BYTES = 1 << 24
_BLOCK_BYTES = 1 << 21
_BYTE = np.uint64(8)

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each n-gram occurs.

    Attributes:
        order: Bytes of an n-gram.
        keys: The n-grams as big-endian numbers, rising.
        counts: Their occurrences, int64.
    """

    order: int
    keys: Keys
    counts: Integers

    def __add__(self, other: "Counts") -> "Counts":
        """Returns the counts of both texts together."""
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys, kind="stable")
        return _grouped(self.order, keys[order], np.concatenate([self.counts, other.counts])[order])


def count(texts: Iterable[str], order: int = ORDER) -> Counts:
    """Returns the n-gram counts of texts, each of which begins anew."""
    total = Counts(order, np.empty(0, np.uint64), np.empty(0, np.int64))
    for symbols in _chunks(texts, order):
        # A key that ends in START is one of the padding, which is read and never predicted.
        keys = np.sort(_keys(symbols, order)[symbols != START])
        part = _grouped(order, keys)
        total = total + part if total.keys.size else part
    return total


class NGramModel:
    """A fitted model; a `Backend` and a `Generator`.

    Args:
        counts: Occurrences of the n-grams of the highest order.
        name: How reports call it.
    """

    def __init__(self, counts: Counts, name: str = "ngram") -> None:
        self.order = counts.order
        self.name = name
        self.capabilities = Capabilities(generates=True, greedy=False)
        self._counts = counts
        self._levels = _levels(counts)
        content = hashlib.sha256(f"ngram {VERSION} {counts.order}\n".encode())
        content.update(counts.keys.astype("<u8").tobytes())
        content.update(counts.counts.astype("<i8").tobytes())
        self.digest = content.hexdigest()[:32]

    @classmethod
    def fit(cls, texts: Iterable[str], order: int = ORDER, name: str = "ngram") -> "NGramModel":
        """Returns the model of texts.

        Raises:
            UsageError: The order is out of range, or the texts are empty.
        """
        if not 1 <= order <= MAX_ORDER:
            raise UsageError(
                f"an n-gram model of order {order} was asked for, but 1 to {MAX_ORDER} bytes fit "
                f"the exact counts; choose one of these ({ORDER} by default)"
            )
        counts = count(texts, order)
        if not counts.keys.size:
            raise UsageError(
                f"the texts for the n-gram model {name!r} are empty, so nothing can be counted; "
                "give it a corpus with text"
            )
        return cls(counts, name)

    def save(self, path: Path) -> None:
        """Writes the model; the same model gives the same bytes."""
        with path.open("wb") as file:
            np.savez(
                file,
                version=np.array([VERSION]),
                order=np.array([self.order]),
                keys=self._counts.keys,
                counts=self._counts.counts,
            )

    @classmethod
    def load(cls, path: Path, name: str | None = None) -> "NGramModel":
        """Returns a saved model, by default named after its file.

        Raises:
            UsageError: The file is missing or holds no n-gram model of this version.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                version, order = int(stored["version"][0]), int(stored["order"][0])
                keys, counts = stored["keys"], stored["counts"]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise UsageError(
                f"{path} is no saved n-gram model ({type(error).__name__}), so it cannot be asked; "
                "give a file that `raicurate ablate` or NGramModel.save wrote"
            ) from error
        if version != VERSION:
            raise UsageError(
                f"{path} holds an n-gram model of version {version}, and this program reads "
                f"{VERSION}; fit it again"
            )
        return cls(Counts(order, keys, counts), name or path.stem)

    def score(self, requests: Sequence[Request]) -> list[Score]:
        """Returns one score for each request; a token is a byte. `is_greedy` is not worked out."""
        check_requests(requests, self.name)
        continuations = [request.continuation.encode() for request in requests]
        contexts = [self._context(request.context) for request in requests]
        sums: list[float] = []
        for block in _blocks([len(text) for text in continuations]):
            lengths = np.array([len(continuations[number]) for number in block])
            symbols = _symbols(contexts[number] + continuations[number] for number in block)
            begins = np.cumsum(lengths + self.order - 1) - lengths
            scored = np.repeat(begins - (np.cumsum(lengths) - lengths), lengths)
            scored += np.arange(lengths.sum())
            nll = -self._log_probabilities(_keys(symbols, self.order)[scored])
            sums.extend(np.add.reduceat(nll, np.cumsum(lengths) - lengths).tolist())
        return [
            Score(total, len(text), len(text), False)
            for total, text in zip(sums, continuations, strict=True)
        ]

    def token_nll(self, texts: Sequence[str]) -> list[TokenNll]:
        """Returns the log-likelihoods of the bytes of each document."""
        encoded = [text.encode() for text in texts]
        answers: list[TokenNll] = []
        for block in _blocks([len(text) for text in encoded]):
            symbols = _symbols(self._context("") + encoded[number] for number in block)
            nll = -self._log_probabilities(_keys(symbols, self.order)[symbols != START])
            ends = np.cumsum([len(encoded[number]) for number in block])
            answers.extend(
                TokenNll(part, np.arange(part.size)) for part in np.split(nll, ends[:-1])
            )
        return answers

    def distribution(self, context: str) -> Floats:
        """Returns the probability of each byte but `START` after a context, of shape [SYMBOLS]."""
        return np.exp(self._next_log_probabilities(self._context(context)))

    def generate(
        self, prompts: Sequence[str], *, max_tokens: int, stop: Sequence[str] = ()
    ) -> list[str]:
        """Returns the likeliest continuation byte by byte, cut before the first of `stop`."""
        return [self._generate(prompt, max_tokens, stop) for prompt in prompts]

    def _generate(self, prompt: str, max_tokens: int, stop: Sequence[str]) -> str:
        context, written = self._context(prompt), b""
        for _ in range(max_tokens):
            symbol = bytes([int(np.argmax(self._next_log_probabilities(context)))])
            context, written = (context + symbol)[1:], written + symbol
            if any(written.endswith(end.encode()) for end in stop):
                break
        text = written.decode(errors="ignore")
        cuts = [text.find(end) for end in stop if end in text]
        return text[: min(cuts)] if cuts else text

    def _next_log_probabilities(self, context: bytes) -> Floats:
        following = np.arange(SYMBOLS, dtype=np.uint64)
        return self._log_probabilities((_number(context) << _BYTE) | following)

    def _context(self, text: str) -> bytes:
        """Returns the bytes before a continuation that count, padded where there are fewer."""
        padding = bytes([START]) * (self.order - 1)
        return (padding + text[-self.order :].encode())[-(self.order - 1) :] if padding else b""

    def _log_probabilities(self, keys: Keys) -> Floats:
        """Returns the log-probability of the last byte of each n-gram after those before it."""
        result = np.zeros(keys.size)
        pending = np.arange(keys.size)
        for order in range(self.order, 0, -1):
            level = self._levels[order]
            slots = level.table.find(keys & _mask(order))
            found = slots >= 0
            result[pending[found]] += level.log_probability[slots[found]]
            pending, keys = pending[~found], keys[~found]
            lower = self._levels[order - 1]
            slots = lower.table.find((keys >> _BYTE) & _mask(order - 1))
            found = slots >= 0
            result[pending[found]] += lower.log_backoff[slots[found]]
        result[pending] -= np.log(SYMBOLS)
        return result


@dataclass(frozen=True, slots=True)
class _Level:
    """The n-grams of one order.

    `log_probability` is that of the last byte after those before it, lower orders mixed in;
    `log_backoff` the weight of the order `n` distribution after the n-gram as a context; both by
    slot of the table.
    """

    table: KeyTable
    log_probability: Floats
    log_backoff: Floats


def _levels(top: Counts) -> list[_Level]:
    """Returns the levels of the orders 0 (the empty context alone) to the highest."""
    counted = [top]
    while counted[0].order > 1:
        higher = counted[0]
        # A lower order counts after how many different bytes an n-gram occurs, not how often.
        suffixes = np.sort(higher.keys & _mask(higher.order - 1))
        counted.insert(0, _grouped(higher.order - 1, suffixes))
    levels = [_level(KeyTable(np.zeros(1, np.uint64)), np.zeros(1))]
    for counts in counted:
        levels.append(_next_level(levels[-1], counts, is_last=counts.order == top.order))
    return levels


def _next_level(lower: _Level, counts: Counts, is_last: bool) -> _Level:
    """Returns the level of `counts`, and enters into `lower` the weights of its contexts."""
    contexts = counts.keys >> _BYTE
    first = np.flatnonzero(np.diff(contexts, prepend=~contexts[:1]))
    sizes = np.diff(first, append=contexts.size)
    totals = np.add.reduceat(counts.counts, first)
    discounts = _discounts(counts.counts)[np.minimum(counts.counts, 3)]
    backoff = np.add.reduceat(discounts, first) / totals
    lower.log_backoff[lower.table.find(contexts[first])] = np.log(backoff)
    shorter = lower.table.find(counts.keys & _mask(counts.order - 1))
    smoothed = np.exp(lower.log_probability[shorter]) if counts.order > 1 else 1 / SYMBOLS
    probability = (counts.counts - discounts) / np.repeat(totals, sizes)
    probability += np.repeat(backoff, sizes) * smoothed
    keys, logs = counts.keys, np.log(probability)
    if not is_last:
        # The padding is never predicted, but is the context of what begins a text.
        keys, logs = np.append(keys, _mask(counts.order)), np.append(logs, 0.0)
    return _level(KeyTable(keys), logs)


def _level(table: KeyTable, logs: Floats) -> _Level:
    by_slot = np.zeros(table.size)
    by_slot[table.slots] = logs
    return _Level(table, by_slot, np.zeros(table.size))


def _discounts(counts: Integers) -> Floats:
    """Returns what is taken off counts of 0, 1, 2, and 3 or more (Chen and Goodman, equation 26).

    Where too few different counts occur for the estimate, the fallback of KenLM's `lmplz` counts.
    """
    once, twice, thrice, often = (int(np.count_nonzero(counts == n)) for n in (1, 2, 3, 4))
    if once and twice and thrice and often:
        share = once / (once + 2 * twice)
        estimate = np.array(
            [
                0.0,
                1 - 2 * share * twice / once,
                2 - 3 * share * thrice / twice,
                3 - 4 * share * often / thrice,
            ]
        )
        if (estimate[1:] > 0).all():
            return estimate
    return np.array([0.0, 0.5, 1.0, 1.5])


def _grouped(order: int, keys: Keys, counts: Integers | None = None) -> Counts:
    """Returns the counts of sorted keys, each standing for `counts` occurrences, or for one."""
    first = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    if counts is None:
        return Counts(order, keys[first], np.diff(first, append=keys.size))
    return Counts(order, keys[first], np.add.reduceat(counts, first))


def _chunks(texts: Iterable[str], order: int) -> Iterator[Bytes]:
    """Yields texts as symbols, each text after its padding, some megabytes at a time."""
    padding = bytes([START]) * (order - 1)
    waiting: list[bytes] = []
    size = 0
    for text in texts:
        waiting.append(padding + text.encode())
        size += len(waiting[-1])
        if size >= _CHUNK_BYTES:
            yield _symbols(waiting)
            waiting, size = [], 0
    if size:
        yield _symbols(waiting)


def _blocks(lengths: Sequence[int]) -> Iterator[range]:
    """Yields ranges of texts, each of some megabytes together."""
    start, size = 0, 0
    for number, length in enumerate(lengths):
        size += length
        if size >= _BLOCK_BYTES:
            yield range(start, number + 1)
            start, size = number + 1, 0
    if start < len(lengths):
        yield range(start, len(lengths))


def _symbols(texts: Iterable[bytes]) -> Bytes:
    return np.frombuffer(b"".join(texts), np.uint8)


def _keys(symbols: Bytes, order: int) -> Keys:
    """Returns the n-gram that ends at each symbol, as a number whose last byte is that symbol."""
    before = bytes([START]) * (MAX_ORDER - 1)
    padded = before + symbols.tobytes()
    every: Keys = np.ndarray(symbols.size, ">u8", padded, strides=(1,)).astype(np.uint64)
    every &= _mask(order)
    return every


def _number(symbols: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(symbols, "big"))


def _mask(order: int) -> np.uint64:
    return np.uint64((1 << 8 * order) - 1)


def open_model(rest: str) -> NGramModel:
    """Returns the model saved in the file `rest`."""
    return NGramModel.load(Path(rest))
