"""Trains the fastText model of the benchmark: does a text read like an encyclopedia?

Two labels, words and pairs of words, as the quality filters of web corpora are (that of DCLM, for
instance, with longer vectors). What it says does not matter here, only what asking it costs.

    python benchmarks/text_classifier.py GENERAL_FOLDER MODEL
"""

import gzip
import sys
import tempfile
from pathlib import Path

import fasttext
import orjson
from text_corpus import SOURCES

from raicurate.transforms.fasttext_model import zeroed_memory

LABEL = "encyclopedia"
_CHARACTERS = 3000


def train(general: Path, path: Path) -> None:
    """Trains the model on the start of each of the general documents."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "lines.txt"
        with source.open("w", encoding="utf-8") as lines:
            for name in SOURCES:
                with gzip.open(general / name) as documents:
                    lines.writelines(_line(orjson.loads(document)) for document in documents)
        with zeroed_memory():
            model = fasttext.train_supervised(
                str(source), dim=16, wordNgrams=2, bucket=1 << 18, minCount=3, epoch=2, lr=0.3,
                thread=1, verbose=0,
            )  # fmt: skip
            model.save_model(str(path))


def _line(document: dict[str, str]) -> str:
    label = LABEL if document["doc_type"] == "encyclopedia article" else "other"
    text = " ".join(document["text"][:_CHARACTERS].split())
    return f"__label__{label} {text}\n"


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
