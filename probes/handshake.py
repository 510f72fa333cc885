"""The handshake: whether the numbers of a backend are what they should be, before they are used.

Servers that return no log-probabilities for prompts, constants, or those of something else than was
asked answer without an error; an evaluation then ends at chance, or at numbers that look plausible.
Each check here names what it found and the cure, and a backend that fails one is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Backend, Request, utf8_bytes

TEXTS = (
    "The bridge was closed for a week, and the ferry carried twice as many people as before.",
    "Whoever keeps a list of names must say what it is for and how long it will be kept.",
    "Der Zug hält heute nicht in Ahlbeck; bitte steigen Sie eine Station früher um.",
    "図書館は月曜日に休みます。",
    "Short.",
)
"""Written for this purpose; with characters of one to three bytes."""

CONTEXTS = ("The baker opened the oven and took out", "The judge opened the letter and read aloud")
"""They differ to the last letter, for models that look back on a few letters only."""
CONTINUATIONS = (" the bread.", " the verdict.", " a kite, for want of anything better to do.")

TOLERANCE = {"float64": 1e-6, "float32": 1e-3}
"""Nats a token by which two ways to the same number may differ: other orders of summation."""
_HALF_TOLERANCE = 0.05
"""For half precisions and what a server may compute in: 8 bits of a logit near 10 are 0.03."""

REFERENCE_TOLERANCE = 0.02
"""Nats a token, over a whole text, by which a reference may differ in another precision."""


@dataclass(frozen=True)
class Check:
    """A check that a backend passed.

    Attributes:
        name: `entries`, `values`, `context`, `batches`, `sums` or `reference`.
        detail: What was found.
    """

    name: str
    detail: str


class _FailedError(Exception):
    """What is wrong, and the cure."""


def handshake(backend: Backend, reference: Backend | None = None) -> list[Check]:
    """Checks a backend and returns what was found.

    Args:
        backend: The backend.
        reference: The same weights behind another backend that is trusted, to compare sums with.

    Raises:
        UsageError: The backend scores wrongly; the message says how, and what may cure it.
    """
    checks: list[tuple[str, Callable[[], str]]] = [
        ("entries", lambda: _entries(backend)),
        ("values", lambda: _values(backend)),
        ("context", lambda: _context(backend)),
        ("batches", lambda: _batches(backend)),
        ("sums", lambda: _sums(backend)),
    ]
    if reference is not None:
        checks.append(("reference", lambda: _reference(backend, reference)))
    found = []
    for name, check in checks:
        try:
            found.append(Check(name, check()))
        except _FailedError as error:
            raise UsageError(
                f"{backend.name} cannot be used: handshake, {name}: {error}. Nothing was scored"
            ) from None
    return found


def _entries(backend: Backend) -> str:
    """One entry a token, a token for each part of the text, and documents agree with requests."""
    texts = _texts(backend)
    scores = backend.score([Request("", text) for text in texts])
    for text, score in zip(texts, scores, strict=True):
        if not 1 <= score.n_tokens <= utf8_bytes(text):
            raise _FailedError(
                f"{score.n_tokens} scored tokens for {utf8_bytes(text)} bytes; the prompt was cut, "
                "or more than it was scored. Switch off truncation of prompts in the server"
            )
        if score.n_utf8_bytes != utf8_bytes(text):
            raise _FailedError(
                f"{score.n_utf8_bytes} bytes counted for a text of {utf8_bytes(text)}; bits per "
                "byte would be of another text. Report this backend"
            )
    if not backend.capabilities.documents:
        return f"{sum(score.n_tokens for score in scores)} tokens"
    for text, score, document in zip(texts, scores, backend.token_nll(texts), strict=True):
        starts = document.starts
        if len(document.nll_nats) != score.n_tokens or len(starts) != score.n_tokens:
            raise _FailedError(
                f"{len(document.nll_nats)} tokens of a document that has {score.n_tokens} as a "
                "continuation; the start of text is counted, or missing, in one of them. Send "
                "token ids, without special tokens"
            )
        if starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] > utf8_bytes(text):
            raise _FailedError("tokens do not follow each other in the text. Give its tokenizer")
        if abs(document.nll_nats.sum() - score.sum_nll_nats) > _bound(backend, score.n_tokens):
            raise _FailedError(
                "the sum over a document differs from that of the same text as a continuation; the "
                "first token is scored in one and not in the other. Check the start of text"
            )
    return f"{sum(score.n_tokens for score in scores)} tokens, as documents and as continuations"


def _values(backend: Backend) -> str:
    """Log-likelihoods are finite, not positive, and differ from token to token and text to text."""
    if backend.capabilities.documents:
        values = np.concatenate(
            [document.nll_nats for document in backend.token_nll(_texts(backend))]
        )
    else:
        scores = backend.score([Request("", text) for text in _texts(backend)])
        values = np.array([score.sum_nll_nats / score.n_tokens for score in scores])
    if not np.isfinite(values).all():
        raise _FailedError(
            "some log-probabilities are not finite; the model overflows. Use bfloat16 or float32"
        )
    if (values < -1e-6).any():
        raise _FailedError(
            "some log-probabilities are above 0, so they are no log-probabilities; the server "
            "returns logits or processes them. Ask it for raw log-probabilities"
        )
    if np.ptp(values) < 1e-6:
        raise _FailedError(
            f"all log-probabilities are {-values[0]:.4g}, so every answer would be at chance; this "
            "server does not compute those of prompts. Use one that does (vLLM, or the model "
            "itself by `hf:`)"
        )
    return f"{values.mean():.3f} nats a token, from {values.min():.3f} to {values.max():.3f}"


def _context(backend: Backend) -> str:
    """What stands before a continuation changes its likelihood."""
    sums = [score.sum_nll_nats for score in backend.score(_crossed(backend))]
    half = len(CONTINUATIONS)
    shifts = [abs(left - right) for left, right in zip(sums[:half], sums[half:], strict=True)]
    if max(shifts) < 1e-6:
        raise _FailedError(
            "a continuation is as likely after one context as after another; the context does not "
            "reach the model. Check that the server is sent, and keeps, the whole prompt"
        )
    return f"shifts up to {max(shifts):.3f} nats between two contexts"


def _sums(backend: Backend) -> str:
    """A text is as likely as its beginning and its end after it (the chain rule)."""
    compared, largest = 0, 0.0
    for text in _texts(backend)[:3]:
        half = text.index(" ", len(text) // 2)
        whole, first, second = backend.score(
            [Request("", text), Request("", text[:half]), Request(text[:half], text[half:])]
        )
        if first.n_tokens + second.n_tokens != whole.n_tokens:
            continue  # a token reaches across the cut, so the two are not the same tokens
        compared += 1
        difference = abs(first.sum_nll_nats + second.sum_nll_nats - whole.sum_nll_nats)
        largest = max(largest, difference)
        if difference > _bound(backend, whole.n_tokens):
            raise _FailedError(
                f"a text differs by {difference:.3g} nats from its two halves one after the other; "
                "prompts are cut, or the start of text is added twice or not always. Switch off "
                "truncation and prefix caching, and let the server add no special tokens"
            )
    return f"{compared} texts agree with their halves within {largest:.2g} nats"


def _batches(backend: Backend) -> str:
    """A request is scored the same alone, among others, and twice."""
    requests = [*_crossed(backend), *(Request("", text) for text in _texts(backend))]
    together = backend.score(requests)
    largest = 0.0
    for others in (
        backend.score(requests[::-1])[::-1],
        [score for request in requests[::4] for score in backend.score([request])],
    ):
        step = 1 if len(others) == len(together) else 4
        for number, score in enumerate(others):
            expected = together[number * step]
            difference = abs(score.sum_nll_nats - expected.sum_nll_nats)
            largest = max(largest, difference)
            if difference > _bound(backend, score.n_tokens):
                raise _FailedError(
                    f"the same request differs by {difference:.3g} nats with what else is in the "
                    "batch; padding is not masked, or results are mixed up. Use a batch of one, or "
                    "another version of the server"
                )
    return f"within {largest:.2g} nats in other batches"


def _reference(backend: Backend, reference: Backend) -> str:
    """Sums agree with those of the same weights behind another backend."""
    requests = [*(Request("", text) for text in _texts(backend)), *_crossed(backend)]
    worst = 0.0
    pairs = zip(backend.score(requests), reference.score(requests), strict=True)
    for found, expected in pairs:
        if found.n_tokens != expected.n_tokens:
            raise _FailedError(
                f"{found.n_tokens} tokens where {reference.name} has {expected.n_tokens}; the "
                "tokenizers differ. Give the tokenizer of the model that is served"
            )
        difference = abs(found.sum_nll_nats - expected.sum_nll_nats) / found.n_tokens
        worst = max(worst, difference)
        if difference > REFERENCE_TOLERANCE:
            raise _FailedError(
                f"a text differs from {reference.name} by {difference:.3g} nats a token; other "
                "weights are served, or the start of text is doubled or missing. Compare what "
                "the server loaded"
            )
    return f"within {worst:.2g} nats a token of {reference.name}"


def _texts(backend: Backend) -> list[str]:
    """Returns texts that fit into the window, since no token is less than a byte."""
    window = backend.capabilities.window_tokens
    room = window - 1 if window else None
    return [text.encode()[:room].decode(errors="ignore") for text in TEXTS]


def _crossed(backend: Backend) -> list[Request]:
    """Returns every continuation after the first context, then after the second."""
    window = backend.capabilities.window_tokens
    room = (window - 1) // 2 if window else 1000
    return [
        Request(context[-room:], follows[:room])
        for context in CONTEXTS
        for follows in CONTINUATIONS
    ]


def _bound(backend: Backend, tokens: int) -> float:
    return tokens * TOLERANCE.get(backend.capabilities.precision, _HALF_TOLERANCE)
