"""Counting tokens with SentencePiece, and training the small model that counts by default.

    python -m raicurate.transforms.exercise_tokens OUT

The model that ships is trained on nothing but the project's own texts: templates, samples and
documentation in nine languages. It serves to count, not to train models with; whoever knows the
tokenizer of the model to be trained names its file in the manifest instead.
"""

import argparse
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

import sentencepiece

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.fasttext_model import file_sha256

SHIPPED = Path(__file__).with_name("models") / "exercise_tokens" / "exercises.model"

VOCABULARY = 8000

_OWN_TEXTS = (
    "exercise_templates/**/*.yaml",
    "corpora_manifests/sample/**/*.yaml",
    "corpora_manifests/sample/**/*.md",
    "corpora_manifests/sample/**/*.html",
    "transforms/clause_words/*.yaml",
    "probes/suites/*.yaml",
    "docs/*.md",
    "*.md",
)


class TokenCounter:
    """Counts tokens.

    Attributes:
        digest: SHA-256 of the model.
    """

    def __init__(self, path: Path) -> None:
        """Loads a SentencePiece model.

        Raises:
            ManifestError: The file is no such model.
        """
        try:
            content = path.read_bytes()
            self._model = sentencepiece.SentencePieceProcessor(model_proto=content)
        except (OSError, RuntimeError, TypeError) as error:
            raise ManifestError(
                f"{path} cannot be loaded as a SentencePiece model, so tokens cannot be counted; "
                "correct `exercises.tokenizer`, or leave it out to count with the model that ships"
            ) from error
        self.digest = file_sha256(path)

    def __call__(self, texts: Sequence[str]) -> list[int]:
        """Returns the number of tokens of each text."""
        return [len(pieces) for pieces in self._model.encode(list(texts))] if texts else []


@functools.cache
def token_counter(path: str | None = None) -> TokenCounter:
    """Returns the counter of a model file, or of the model that ships."""
    return TokenCounter(SHIPPED if path is None else Path(path))


def own_texts(root: Path) -> Iterator[str]:
    """Yields the lines of the project's own texts, in a fixed order."""
    for pattern in _OWN_TEXTS:
        for path in sorted(root.glob(pattern)):
            for line in path.read_text(encoding="utf-8").splitlines():
                if line.strip():
                    yield line.strip()


def train(root: Path, out: Path) -> None:
    """Trains the model that counts; the same texts give the same bytes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=own_texts(root),
            model_writer=file,
            vocab_size=VOCABULARY,
            model_type="unigram",
            character_coverage=0.9999,
            byte_fallback=True,
            hard_vocab_limit=False,
            num_threads=1,
            max_sentence_length=20_000,
            minloglevel=2,
        )


def main() -> None:
    """Trains into the file that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    train(Path(__file__).resolve().parent.parent, parser.parse_args().out)


if __name__ == "__main__":
    main()
