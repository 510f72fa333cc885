"""A text encoder with a small trained head: looks again at what the stages before are unsure of."""

import functools
from pathlib import Path
from typing import Any

import pyarrow as pa

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.encoder_head import EncoderHead
from raicurate.transforms.later_stages import COLUMNS, Verdict, earlier, relabelled, sent_on
from raicurate.transforms.registry import Annotator, register
from raicurate.transforms.stage_clock import timed
from raicurate.transforms.text_encoder import (
    TextEncoder,
    encoder_digest,
    encoder_folder,
    require_libraries,
)

STAGE = "encoder"


@register("encoder@1")
class EncoderAnnotator(Annotator):
    """Labels again the passages of documents in the band of its head, and of a sample below it.

    Args:
        head: Folder of a head that `raicurate train` made.
        encoder: Folder or name of the encoder; by default the one that the head was trained with,
            by the name in its manifest.
        device: `cpu`, `cuda`; by default a GPU where there is one.
    """

    columns = COLUMNS

    def __init__(self, head: str, encoder: str | None = None, device: str | None = None) -> None:
        self._head = EncoderHead(Path(head))
        self._encoder_name = encoder or str(self._head.description["manifest"]["encoder"])
        self._device = device

    def setup(self) -> None:
        """Finds the encoder; torch is loaded by the first document that needs it.

        Local workers are forked from a process that has called this, which torch would not bear.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            ManifestError: The encoder is missing, or not the one that the head was trained with.
        """
        require_libraries()
        revision = self._head.description["manifest"].get("revision")
        self._folder = encoder_folder(self._encoder_name, revision)
        if encoder_digest(self._folder) != self._head.encoder["digest"]:
            raise ManifestError(
                f"encoder@1: the encoder {self._encoder_name!r} is not the one that the head was "
                "trained with, so its answers would mean nothing; name that one, or train a head "
                "for this one"
            )

    @functools.cached_property
    def _encoder(self) -> TextEncoder:
        return TextEncoder(self._folder, self._head.max_tokens, self._device, threads=1)

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns score, hazards and stages of every document."""
        with timed(STAGE):
            langs = batch.column("lang").to_pylist()
            chosen = [
                one
                for one in sent_on(batch, STAGE, self._head.band, self._head.sample)
                if langs[one.row] in self._head.languages
            ]
            texts = batch.column("text")
            hazards = batch.column("hazards")
            pieces = []
            for one in chosen:
                text = texts[one.row].as_py()
                pieces += [text[start:end] for start, end in one.passages]
            embeddings = iter(self._encoder.embeddings(pieces))
            verdicts = {}
            for one in chosen:
                entries = hazards[one.row].as_py() or []
                seen = {
                    passage: self._head.seen(next(embeddings), earlier(entries, passage))
                    for passage in one.passages
                }
                verdicts[one.row] = (one.sampled, Verdict(seen))
            return relabelled(batch, STAGE, verdicts)

    def model_digest(self) -> str:
        """Returns the digest of head and encoder."""
        return self._head.digest

    def parameters(self) -> dict[str, Any]:
        """Returns nothing: where the encoder stands changes no answer."""
        return {}
