"""Texts to token sequences: one start-of-text token exactly, boundaries, and where tokens begin."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Request
from raicurate.probes.token_trees import TokenSequence, common_prefix

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TokenizedDocument:
    """Tokens of a document, without that of the start of text, and where each begins in bytes."""

    tokens: Integers
    starts: Integers


class RequestTokenizer(ABC):
    """Makes sequences of requests, by whatever tokenizes a text.

    Attributes:
        prefix: Id of the token that begins every sequence.
        name: Of the model, in errors.
    """

    prefix: int
    name: str

    @abstractmethod
    def ids(self, texts: Sequence[str]) -> list[Integers]:
        """Returns the tokens of each text, without special ones."""

    def sequences(self, requests: Sequence[Request]) -> list[TokenSequence]:
        """Returns the tokens of context and continuation together, and where the latter begins.

        Raises:
            UsageError: The tokenizer makes no token of a continuation.
        """
        contexts = list(dict.fromkeys(request.context for request in requests))
        alone = dict(zip(contexts, self.ids(contexts), strict=True))
        joint = self.ids([request.context + request.continuation for request in requests])
        found = []
        for number, (request, tokens) in enumerate(zip(requests, joint, strict=True)):
            scored = common_prefix(alone[request.context], tokens)
            if scored == len(tokens):
                raise UsageError(
                    f"request {number}: the tokenizer of {self.name} makes no token of the "
                    "continuation, so nothing can be scored; give it a visible character"
                )
            found.append(TokenSequence(np.concatenate([[self.prefix], tokens]), 1 + scored))
        return found


class Tokenizer(RequestTokenizer):
    """A tokenizer of Hugging Face; needs no torch.

    It is never asked to add special tokens: whether it does so by itself differs from model to
    model, and two start-of-text tokens, or none, change every number that follows. Its prefix is
    the token of the start of text, else of its end, as lm-evaluation-harness chooses.

    Attributes:
        end: Id of the token that ends a text, where there is one.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self.name = name
        prefix = tokenizer.bos_token_id
        if prefix is None:
            prefix = tokenizer.eos_token_id
        if prefix is None:
            raise UsageError(
                f"the tokenizer of {name} has neither a start-of-text nor an end-of-text token, so "
                "the first token of a text cannot be scored; set `bos_token` in its "
                "tokenizer_config.json"
            )
        if not tokenizer.is_fast:
            raise UsageError(
                f"the tokenizer of {name} cannot tell which characters a token stands for; convert "
                "it to a fast one, which saves a tokenizer.json"
            )
        self.prefix = int(prefix)
        self.end: int | None = tokenizer.eos_token_id

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Returns the tokenizer of a directory."""
        from transformers import AutoTokenizer

        return cls(AutoTokenizer.from_pretrained(folder), str(folder))

    def documents(self, texts: Sequence[str]) -> list[TokenizedDocument]:
        """Returns the tokens of each document."""
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return [
            TokenizedDocument(np.array(ids, np.int64), _starts(text, offsets))
            for text, ids, offsets in zip(
                texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
            )
        ]

    def decode(self, tokens: Sequence[int]) -> str:
        """Returns the text of tokens that were written, without special ones."""
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text

    def ids(self, texts: Sequence[str]) -> list[Integers]:
        """Returns the tokens of each text, without special ones."""
        if not texts:
            return []
        encoded = self._tokenizer(list(texts), add_special_tokens=False, verbose=False)
        return [np.array(ids, np.int64) for ids in encoded["input_ids"]]


def _starts(text: str, offsets: Sequence[tuple[int, int]]) -> Integers:
    """Returns where each token begins in bytes, from its first and last characters."""
    if not offsets:
        return np.zeros(0, np.int64)
    first, end = np.array(offsets, np.int64).T
    # The further pieces of a split character name the same character as its first piece does.
    first[1:] = np.maximum(first[1:], np.maximum.accumulate(end)[:-1])
    first[0] = 0
    if text.isascii():
        return first
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    widths = 1 + (points >= 0x80).astype(np.int64) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate([[0], np.cumsum(widths)])[first]
