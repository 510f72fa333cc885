"""Causal language models of Hugging Face as a scoring backend, on CPU or GPU.

Reference: `hf:REST`, where REST is a directory or the name of a model, then options after commas:
`device`, `precision` (`float32`, `bfloat16`, `float16`), `window`, `stride` (tokens), `revision`.

Weights are loaded by the first question that is asked, not before, so that answers from a cache
cost none. Names are looked up in the local cache first; `HF_HUB_OFFLINE=1` keeps it at that.
"""

import hashlib
import importlib.util
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import MissingExtraError, UsageError
from raicurate.probes.backend import (
    Capabilities,
    Request,
    Score,
    TokenNll,
    check_requests,
    utf8_bytes,
    windows,
)
from raicurate.probes.token_trees import TokenSequence
from raicurate.probes.tokenizing import Tokenizer

VERSION = "1"
"""Raised when the same weights are scored to other numbers."""

PRECISIONS = ("float32", "bfloat16", "float16")

_FILES = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt")
"""What the answers of a model depend on, of all that stands in its folder."""

_DEFAULT_WINDOW = 2048
"""For a model that says nothing of its length, as lm-evaluation-harness has it."""


@dataclass(frozen=True)
class Options:
    """How a model is asked.

    Attributes:
        device: `cpu`, `cuda`, `cuda:1`; by default a GPU where there is one.
        precision: Of weights and hidden states; by default float32 on a CPU, on a GPU that in which
            the weights are stored. Probabilities are always reduced in float32, summed in float64.
        window: Tokens that the model reads at once, that of the start of text among them.
        stride: Tokens that each further window of a long document scores; by default half of it.
        revision: Branch, tag or commit of a model that is named, not a directory.
    """

    device: str | None = None
    precision: str | None = None
    window: int | None = None
    stride: int | None = None
    revision: str | None = None


class HuggingFace:
    """A causal language model with its tokenizer, in a directory."""

    def __init__(self, folder: Path, name: str, options: Options = Options()) -> None:
        self.name = name
        self._folder = folder
        self._options = options

    @cached_property
    def _config(self) -> Any:
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self._folder).get_text_config()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer."""
        return Tokenizer.load(self._folder)

    @cached_property
    def _device(self) -> str:
        if self._options.device is not None:
            return self._options.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"

    @cached_property
    def _precision(self) -> str:
        if self._options.precision is not None:
            return self._options.precision
        if self._device == "cpu":
            return "float32"
        stored = str(getattr(self._config, "dtype", None) or "float32")
        return stored.removeprefix("torch.")

    @cached_property
    def digest(self) -> str:
        """Digest of weights, tokenizer, window, stride and precision.

        The device is not in it: on another one answers differ by rounding.
        """
        files = sorted({path for pattern in _FILES for path in self._folder.glob(pattern)})
        with ThreadPoolExecutor() as pool:
            contents = list(pool.map(_sha256, files))
        capabilities = self.capabilities
        return digest(
            "hugging_face", VERSION,
            [[path.name, content] for path, content in zip(files, contents, strict=True)],
            [capabilities.window_tokens, capabilities.stride_tokens, capabilities.prefix,
             capabilities.precision],
        )  # fmt: skip

    @cached_property
    def capabilities(self) -> Capabilities:
        """What it can do; a token that is only predicted takes no place in the model."""
        longest = next(
            (
                int(value)
                for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")
                if (value := getattr(self._config, name, None))
            ),
            _DEFAULT_WINDOW,
        )
        window = self._options.window or longest
        if not 2 <= window <= longest:
            raise UsageError(
                f"{self.name} reads {longest} tokens at once, so a window of {window} cannot be "
                f"scored; choose one from 2 to {longest}"
            )
        return Capabilities(
            documents=True,
            generates=True,
            greedy=True,
            window_tokens=window + 1,
            stride_tokens=self._options.stride or window // 2,
            prefix=self.tokenizer.prefix,
            precision=self._precision,
        )

    @cached_property
    def _forward(self) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        from raicurate.probes.token_forward import Forward

        model = AutoModelForCausalLM.from_pretrained(
            self._folder, dtype=getattr(torch, self._precision)
        )
        return Forward(model.to(self._device).eval())

    def score(self, requests: Sequence[Request]) -> list[Score]:
        """Returns one score for each request, in their order.

        Raises:
            UsageError: A continuation is empty, or does not fit in the window with its context.
        """
        check_requests(requests, self.name)
        sequences = self.tokenizer.sequences(requests)
        longest = self.capabilities.window_tokens
        for number, sequence in enumerate(sequences):
            if len(sequence.tokens) > longest:
                raise UsageError(
                    f"request {number} to {self.name} has {len(sequence.tokens)} tokens with the "
                    f"start of text, but its window holds {longest}, so a part of the context "
                    "would be cut off; shorten it, or give it fewer examples"
                )
        scored = self._forward.score(sequences, share=True)
        return [
            Score(
                float(nll.sum()),
                len(nll),
                utf8_bytes(request.continuation),
                bool(greedy.all()),
            )
            for request, (nll, greedy) in zip(requests, scored, strict=True)
        ]

    def token_nll(self, texts: Sequence[str]) -> list[TokenNll]:
        """Returns the log-likelihoods of the tokens of each document, in their order."""
        limits = self.capabilities
        documents = self.tokenizer.documents(texts)
        prefix = np.array([self.tokenizer.prefix])
        stretches = [
            TokenSequence(
                np.concatenate([prefix, document.tokens[window.start : window.end]]),
                1 + window.scored - window.start,
            )
            for document in documents
            for window in windows(len(document.tokens), limits.window_tokens, limits.stride_tokens)
        ]
        scored = iter(self._forward.score(stretches, share=False))
        found = []
        for document in documents:
            nll = np.zeros(len(document.tokens))
            for window in windows(len(nll), limits.window_tokens, limits.stride_tokens):
                nll[window.scored : window.end] = next(scored)[0]
            found.append(TokenNll(nll, document.starts))
        return found

    def generate(
        self, prompts: Sequence[str], *, max_tokens: int, stop: Sequence[str] = ()
    ) -> list[str]:
        """Returns the greedy completion of each prompt, cut before the first of `stop`.

        Raises:
            UsageError: A prompt leaves no room for `max_tokens`.
        """
        documents = self.tokenizer.documents(prompts)
        longest = self.capabilities.window_tokens - 1
        for number, document in enumerate(documents):
            if 1 + len(document.tokens) + max_tokens > longest:
                raise UsageError(
                    f"prompt {number} to {self.name} has {len(document.tokens)} tokens, which "
                    f"leaves no room for {max_tokens} more in a window of {longest}; shorten it"
                )
        prefix = np.array([self.tokenizer.prefix])
        written = self._forward.generate(
            [np.concatenate([prefix, document.tokens]) for document in documents],
            max_tokens,
            self.tokenizer.end,
        )
        return [_cut(self.tokenizer.decode(tokens), stop) for tokens in written]


def open_model(rest: str) -> HuggingFace:
    """Returns the model of a reference, without its weights being loaded.

    Raises:
        UsageError: There is no such model, or an option is wrong.
        MissingExtraError: torch or transformers is not installed.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError.for_package(
                package, f"the model {rest!r}", "pip install 'raicurate[probes]'"
            )
    place, *settings = rest.split(",")
    options = _options(place, settings)
    folder = Path(place)
    if not folder.is_dir():
        folder = _downloaded(place, options.revision)
    if not (folder / "config.json").is_file():
        raise UsageError(
            f"{place} holds no config.json, so it is no model of Hugging Face; give the directory "
            "that `save_pretrained` wrote"
        )
    return HuggingFace(folder, place, options)


def _options(place: str, settings: Sequence[str]) -> Options:
    values: dict[str, Any] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key not in Options.__dataclass_fields__:
            raise UsageError(
                f"the model {place!r} has no option {key!r}, so it was not opened; known are "
                f"{', '.join(Options.__dataclass_fields__)}"
            )
        values[key] = value
    for key in ("window", "stride"):
        if key in values and not (values[key].isdecimal() and int(values[key])):
            raise UsageError(f"option {key} of the model {place!r} is no number of tokens")
        if key in values:
            values[key] = int(values[key])
    if values.get("precision", "float32") not in PRECISIONS:
        raise UsageError(
            f"option precision of the model {place!r} must be one of {', '.join(PRECISIONS)}"
        )
    return Options(**values)


def _downloaded(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise UsageError(
            f"there is no directory {name!r}, and no model of that name could be fetched "
            f"({type(error).__name__}); correct it, or download the model first"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cut(text: str, stop: Sequence[str]) -> str:
    ends = [text.find(mark) for mark in stop if mark and mark in text]
    return text[: min(ends)] if ends else text
