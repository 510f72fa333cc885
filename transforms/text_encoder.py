"""Text encoders of Hugging Face: mean-pooled embeddings, in batches of like length."""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from raicurate.corpora_manifests.digests import digest
from raicurate.corpora_manifests.errors import ManifestError, MissingExtraError
from raicurate.transforms.fasttext_model import file_sha256

VERSION = "1"
"""Raised when the same weights give other embeddings."""

BATCH_TOKENS = 4096
"""Tokens that go through the encoder at once, padding among them."""

_FILES = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt")
"""What embeddings depend on, of all that stands in the folder of a model."""


class TextEncoder:
    """An encoder on one device, with its tokenizer.

    Attributes:
        digest: Digest of weights and tokenizer.
        width: Length of an embedding.
    """

    def __init__(
        self,
        folder: Path,
        max_tokens: int,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Loads the encoder.

        Args:
            folder: Its folder, as `encoder_folder` returns it.
            max_tokens: Of a longer text the beginning is read.
            device: `cpu`, `cuda`; by default a GPU where there is one.
            threads: Threads of torch in this process; by default one for each core.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ManifestError: The folder holds no text encoder.
        """
        require_libraries()
        import torch
        import transformers

        self._torch = torch
        if threads is not None:
            torch.set_num_threads(threads)
        # Heads that embeddings do not need may be missing; a run's log is no place for that.
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            self._model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)
        except (OSError, ValueError) as error:
            raise ManifestError(
                f"{folder} holds no text encoder that transformers can load "
                f"({type(error).__name__}), so nothing can be embedded; correct `encoder`"
            ) from error
        self._model.eval().to(self._device)
        longest = getattr(self._model.config, "max_position_embeddings", max_tokens)
        # RoBERTa's positions begin behind the number of its padding token.
        self._max_tokens = min(max_tokens, longest - 2)
        self.digest = encoder_digest(folder)
        self.width = int(self._model.config.hidden_size)

    def embeddings(self, texts: Sequence[str], *, by_length: bool = True) -> np.ndarray:
        """Returns the mean of the last hidden states over the tokens of each text, float32.

        Args:
            texts: The texts.
            by_length: Whether texts of like length share a batch, which saves padding.
        """
        if not texts:
            return np.zeros((0, self.width), dtype=np.float32)
        tokens = self._tokenizer(
            list(texts), truncation=True, max_length=self._max_tokens, padding=False
        )["input_ids"]
        lengths = [max(1, len(one)) for one in tokens]
        order = sorted(range(len(texts)), key=lambda row: lengths[row]) if by_length else None
        result = np.zeros((len(texts), self.width), dtype=np.float32)
        for rows in _batches(order or list(range(len(texts))), lengths):
            result[rows] = self._pooled([tokens[row] for row in rows])
        return result

    def _pooled(self, tokens: Sequence[Sequence[int]]) -> np.ndarray:
        torch = self._torch
        longest = max(1, *(len(one) for one in tokens))
        ids = torch.full((len(tokens), longest), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros((len(tokens), longest), dtype=torch.long)
        for row, own in enumerate(tokens):
            ids[row, : len(own)] = torch.tensor(own, dtype=torch.long)
            mask[row, : len(own)] = 1
        with torch.inference_mode():
            hidden = self._model(
                input_ids=ids.to(self._device), attention_mask=mask.to(self._device)
            ).last_hidden_state
            weights = mask.to(self._device)[:, :, None]
            mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return mean.float().cpu().numpy()


def _batches(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yields rows in order, as many as fit into `BATCH_TOKENS` when padded to the longest."""
    rows: list[int] = []
    longest = 0
    for row in order:
        longest = max(longest, lengths[row])
        if rows and longest * (len(rows) + 1) > BATCH_TOKENS:
            yield rows
            rows, longest = [], lengths[row]
        rows.append(row)
    if rows:
        yield rows


def encoder_folder(name: str, revision: str | None = None) -> Path:
    """Returns the folder of an encoder: a folder as it is, or a name on the hub once downloaded.

    Raises:
        MissingExtraError: The packages for it are not installed.
        ManifestError: There is no such encoder.
    """
    if Path(name).is_dir():
        return Path(name)
    require_libraries()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ManifestError(
            f"the encoder {name!r} is neither a folder nor to be had from the hub "
            f"({type(error).__name__}); correct `encoder`, or give the folder of one"
        ) from error


def encoder_digest(folder: Path) -> str:
    """Returns the digest of the weights and the tokenizer in a folder."""
    files = sorted({path for pattern in _FILES for path in folder.glob(pattern)})
    contents = [[path.name, file_sha256(path.resolve())] for path in files]
    return digest("text_encoder", VERSION, contents)


def require_libraries() -> None:
    """Checks that torch and transformers are installed, without loading them.

    Raises:
        MissingExtraError: One is not.
    """
    for package in ("torch", "transformers"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError.for_package(
                package, "a text encoder", "pip install 'raicurate[encoder]'"
            )


def short_name(name: str) -> str:
    """Returns what an encoder is called in descriptions: without the place where it stands here."""
    return Path(name).name if Path(name).is_dir() else name
