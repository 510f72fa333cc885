"""The work of the benchmark by datatrove's own blocks, with local workers.

    python benchmarks/datatrove_blocks.py CORPUS_FOLDER OUT_FOLDER LOG_FOLDER WORKERS MODEL...

Each model is a local fastText file. Every document is classified by each of them, as a whole,
which is what datatrove's filter does. The Parquet writer compresses at level 1 of zstd, since it
takes no other, and the formatter masks emails and IP addresses only; both save datatrove work.
"""

import sys
from pathlib import Path
from typing import Any

METADATA = ("title", "doc_type", "url", "file_path")


def main(corpus: str, out: str, logs: str, workers: int, models: list[str]) -> None:
    """Runs one task a shard."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.filters import FastTextClassifierFilter
    from datatrove.pipeline.formatters import PIIFormatter
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import ParquetWriter

    labels = {model: _labels(model) for model in models}
    executor = LocalPipelineExecutor(
        pipeline=[
            JsonlReader(corpus, glob_pattern="*.jsonl.zst"),
            # Told to look for no label at all, version 0.10.1 raises a TypeError, so it is told to
            # remove what scores 2, which nothing does. The scores go to the metadata.
            *(
                FastTextClassifierFilter(
                    model,
                    remove_labels=(own[0].removeprefix("__label__"), 2.0),
                    newline_replacement=" ",
                )
                for model, own in labels.items()
            ),
            PIIFormatter(),
            ParquetWriter(out, compression="zstd", schema=_schema(labels)),
        ],
        tasks=len(list(Path(corpus).glob("*.jsonl.zst"))),
        workers=workers,
        logging_dir=logs,
    )
    executor.run()


def _labels(model: str) -> list[str]:
    import fasttext

    labels: list[str] = fasttext.FastText._FastText(model).get_labels()
    return labels


def _schema(labels: dict[str, list[str]]) -> Any:
    """Returns the schema of the output; the one that datatrove infers differs between batches."""
    import pyarrow as pa

    metadata = [pa.field(name, pa.string()) for name in METADATA]
    scores = [pa.field(label, pa.float64()) for own in labels.values() for label in own]
    return pa.schema(
        {"text": pa.string(), "id": pa.string(), "metadata": pa.struct(metadata + scores)}
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5:])
