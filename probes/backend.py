"""What every scoring backend does: log-likelihoods of continuations, and of whole documents.

A backend holds one set of weights. It returns sums in nats over the tokens of what was asked for,
beside the bytes of the text as it was given, before any tokenizer changed it, so that models with
different tokenizers can be compared. Everything else (accuracies, margins, bits per byte) is
derived from what it returns and never asked of it.
"""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from raicurate.corpora_manifests.errors import UsageError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Request:
    """A continuation and what stands before it.

    The two are scored as they are, one right after the other: a space between them belongs to the
    continuation. Where joining them merges a token across the boundary, the joint tokenisation
    counts, and the continuation's tokens are those after the longest prefix that it shares with the
    tokens of the context alone.

    Attributes:
        context: What the model reads first; empty for nothing but the start-of-text token.
        continuation: What is scored; never empty.
    """

    context: str
    continuation: str


@dataclass(frozen=True, slots=True)
class Score:
    """What a model says of one continuation.

    Attributes:
        sum_nll_nats: Negative log-likelihood of all its tokens, in nats.
        n_tokens: How many tokens were scored.
        n_utf8_bytes: Bytes of the continuation as given.
        is_greedy: Whether each token was the model's first choice.
    """

    sum_nll_nats: float
    n_tokens: int
    n_utf8_bytes: int
    is_greedy: bool


@dataclass(frozen=True, slots=True)
class TokenNll:
    """What a model says of each token of one document, in order; every token once.

    Attributes:
        nll_nats: Negative log-likelihoods in nats, float64 of shape [n_tokens].
        starts: Where each token begins in the UTF-8 bytes of the document, int64 of shape
            [n_tokens], never falling. A token ends where the next one begins, the last one with the
            document; a character that a tokenizer splits belongs to its first token.
    """

    nll_nats: Floats
    starts: Integers


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do, and the conditions under which its numbers may be compared.

    Attributes:
        documents: Whether it can score whole documents (`token_nll`).
        generates: Whether it can write text (then it is a `Generator` too).
        greedy: Whether its `is_greedy` can be relied on.
        window_tokens: Tokens that fit in one window, the start-of-text token among them; 0 where
            there is no limit.
        stride_tokens: Tokens that each further window of a long document scores; 0 without windows.
        prefix: Id of the token that begins each window, or null where there is none.
        precision: Of the numbers inside the model, such as `float32`.
    """

    documents: bool = True
    generates: bool = False
    greedy: bool = True
    window_tokens: int = 0
    stride_tokens: int = 0
    prefix: int | None = None
    precision: str = "float64"


@runtime_checkable
class Backend(Protocol):
    """A model that can be asked how likely texts are.

    Its answers depend on the request alone: not on what else is asked with it, in which order or
    batch.

    Attributes:
        name: How reports call the model.
        digest: Digest of its weights and of all else that its answers depend on (tokenizer, window,
            stride, precision), in hexadecimal; the same digest promises the same answers.
        capabilities: What it can do.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def digest(self) -> str: ...  # noqa: D102

    @property
    def capabilities(self) -> Capabilities: ...  # noqa: D102

    def score(self, requests: Sequence[Request]) -> list[Score]:
        """Returns one score for each request, in their order.

        Raises:
            UsageError: A continuation is empty, or one does not fit in the window with its context.
        """
        ...

    def token_nll(self, texts: Sequence[str]) -> list[TokenNll]:
        """Returns the log-likelihoods of the tokens of each document, in their order.

        Each document begins with the start-of-text token, which is not scored, and never shares a
        context with another one. Each token is scored once, by the windows of `windows`.
        """
        ...


@runtime_checkable
class Generator(Protocol):
    """A model that can write."""

    def generate(
        self, prompts: Sequence[str], *, max_tokens: int, stop: Sequence[str] = ()
    ) -> list[str]:
        """Returns the greedy completion of each prompt, cut before the first of `stop`."""
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of a document's tokens that a model reads at once, after the start-of-text token.

    Attributes:
        start: First token that it reads.
        scored: First token that it scores; those before it are context alone.
        end: One past the last token.
    """

    start: int
    scored: int
    end: int


def windows(n_tokens: int, length: int, stride: int) -> Iterator[Window]:
    """Yields the windows of a document, such that each token is scored in exactly one.

    The first window scores all that fit; each further one scores `stride` tokens more, after as
    many tokens of context as fit before them.

    Args:
        n_tokens: Tokens of the document.
        length: Tokens of a window, of which the start-of-text token is one.
        stride: Tokens that each further window scores.

    Raises:
        UsageError: The window has no room for the stride.
    """
    room = length - 1
    if not 1 <= stride <= room:
        raise UsageError(
            f"a window of {length} tokens, one of them the start of text, cannot score "
            f"{stride} tokens a step, so some would be scored twice or never; choose a stride from "
            f"1 to {room}"
        )
    end = min(room, n_tokens)
    if end:
        yield Window(0, 0, end)
    while end < n_tokens:
        scored, end = end, min(end + stride, n_tokens)
        yield Window(max(0, end - room), scored, end)


def utf8_bytes(text: str) -> int:
    """Returns the length of `text` in UTF-8 bytes."""
    return len(text) if text.isascii() else len(text.encode())


def check_requests(requests: Sequence[Request], model: str) -> None:
    """Checks that there is something to score in each request.

    Raises:
        UsageError: A continuation is empty.
    """
    for number, request in enumerate(requests):
        if not request.continuation:
            raise UsageError(
                f"request {number} to {model} has an empty continuation, whose likelihood would be "
                "1 for any model; give it a text"
            )


KINDS = {
    "ngram": "ngram",
    "hf": "hugging_face",
    "openai": "openai_completions",
    "server": "openai_completions",
}
"""The module of `probes` that opens each kind of model reference, by `open_model(rest)`."""


def open_backend(reference: str) -> Backend:
    """Returns the model that a reference names.

    A reference is `KIND:REST` with a kind of `KINDS`; without a kind, a file that ends in `.npz` is
    a saved n-gram model, and all else a directory or name for Hugging Face.

    Raises:
        UsageError: There is no such model, or its kind needs a package that is not installed.
    """
    kind, colon, rest = reference.partition(":")
    if not colon or kind not in KINDS:
        kind, rest = ("ngram" if reference.endswith(".npz") else "hf"), reference
    module = importlib.import_module(f"raicurate.probes.{KINDS[kind]}")
    backend: Backend = module.open_model(rest)
    return backend
