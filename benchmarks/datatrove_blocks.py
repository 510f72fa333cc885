"""The work of the benchmark by datatrove's own blocks, with local workers.

    python benchmarks/datatrove_blocks.py CORPUS OUT LOGS WORKERS LANGUAGE_MODEL CLASSIFIER

The models are local fastText files; `-` stands for none. As these blocks do, each model sees the
whole of every document, the Parquet writer compresses at level 1 of zstd, and the formatter masks
emails and IP addresses only; the last two save datatrove work.
"""

import sys
from pathlib import Path
from typing import Any

NONE = "-"


def main(corpus: str, out: str, logs: str, workers: int, language: str, classifier: str) -> None:
    """Runs one task a shard."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import ParquetWriter

    executor = LocalPipelineExecutor(
        pipeline=[
            JsonlReader(corpus, glob_pattern="*.jsonl.zst"),
            *([] if language == NONE else [_language(language)]),
            *([] if classifier == NONE else [_classifier(classifier)]),
            PIIFormatter(),
            ParquetWriter(out, compression="zstd", schema=_schema(language, classifier)),
        ],
        tasks=len(list(Path(corpus).glob("*.jsonl.zst"))),
        workers=workers,
        logging_dir=logs,
    )
    executor.run()


def _language(model: str) -> Any:
    from datatrove.pipeline.filters import LanguageFilter

    block = LanguageFilter(label_only=True)
    block.model.MODEL_URL = model  # its own one would be downloaded
    return block


def _classifier(model: str) -> Any:
    from datatrove.pipeline.filters import FastTextClassifierFilter

    # Told to look for no label at all, version 0.10.1 raises a TypeError, so it is told to remove
    # what scores 2, which nothing does. The scores go to the metadata.
    label = _labels(model)[0].removeprefix("__label__")
    return FastTextClassifierFilter(model, remove_labels=(label, 2.0), newline_replacement=" ")


def _labels(model: str) -> list[str]:
    import fasttext

    labels: list[str] = fasttext.FastText._FastText(model).get_labels()
    return labels


def _schema(language: str, classifier: str) -> Any:
    """Returns the schema of the output; the one that datatrove infers differs between batches."""
    import pyarrow as pa

    metadata = {name: pa.string() for name in ("title", "doc_type", "url", "file_path")}
    if language != NONE:
        metadata |= {"language": pa.string(), "language_score": pa.float64()}
    if classifier != NONE:
        metadata |= dict.fromkeys(_labels(classifier), pa.float64())
    return pa.schema(
        {"text": pa.string(), "id": pa.string(), "metadata": pa.struct(list(metadata.items()))}
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], sys.argv[6])
