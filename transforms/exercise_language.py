"""Tells the language of questions and answers, for the gate and the audit of exercises."""

import functools
from collections.abc import Sequence

import pyarrow as pa

from raicurate.transforms.annotate_language import UNDETERMINED, LanguageAnnotator


class TextLanguage:
    """The model that ships, without its large fallback: what it doubts has no language.

    Attributes:
        digest: Digest of the model.
    """

    def __init__(self) -> None:
        self._annotator = LanguageAnnotator(fallback=False)
        self._annotator.setup()
        self.digest = str(self._annotator.model_digest())

    def __call__(self, texts: Sequence[str]) -> list[str | None]:
        """Returns the language of each text (ISO 639-1), or None where it is not sure."""
        if not texts:
            return []
        batch = pa.RecordBatch.from_pydict({"text": pa.array(texts, pa.string())})
        languages = self._annotator.annotate(batch)[0].to_pylist()
        return [None if language == UNDETERMINED else language for language in languages]


@functools.cache
def text_language() -> TextLanguage:
    """Returns it, loaded once a process."""
    return TextLanguage()
