"""`raicurate annotate`: annotate files, without a manifest."""

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from raicurate.corpora_manifests.errors import PartialRunError, UsageError
from raicurate.corpora_manifests.load import is_uri
from raicurate.corpora_manifests.manifest import DEFAULT_ANNOTATORS, Keys
from raicurate.pipelines import reading, storage
from raicurate.transforms import registry
from raicurate.transforms.annotate import annotate
from raicurate.transforms.schema import ANNOTATIONS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="files or URIs")
    parser.add_argument("--out", required=True, metavar="FILE.parquet", type=Path)
    parser.add_argument(
        "--annotator", action="append", metavar="NAME@VERSION",
        help="annotators to run (default: all of the default manifest)",
    )  # fmt: skip
    parser.add_argument("--text-key", default="text", help="field that holds the text")
    parser.add_argument("--id-key", default="id", help="field that holds the id")
    parser.add_argument("--lang-key", help="field that holds the language, where it is trusted")


def execute(options: argparse.Namespace) -> int:
    """Runs the command: one row for each document, without its text."""
    names = options.annotator or [spec.use for spec in DEFAULT_ANNOTATORS]
    annotators = [registry.create(name, {}) for name in names]
    for annotator in annotators:
        annotator.setup()
    keys = Keys(text=options.text_key, id=options.id_key, lang=options.lang_key)
    documents = failed = 0
    errors: list[reading.ReadError] = []
    options.out.parent.mkdir(parents=True, exist_ok=True)
    temporary = storage.new_temporary(str(options.out.parent))
    try:
        with pq.ParquetWriter(temporary, ANNOTATIONS, compression="zstd") as writer:
            for path in options.inputs:
                if storage.file_size(path) is None:
                    raise UsageError(f"there is no file {path}; correct the path")
                name = path if is_uri(path) else Path(path).name
                part = reading.FileRange(path, name)
                read_options = reading.ReadOptions(keys=keys, source=name)
                format_name = reading.detect_format(path)
                for batch in reading.read(part, format_name, storage.open_read, read_options):
                    errors += batch.errors
                    if batch.documents.num_rows:
                        labels = annotate(batch.documents, annotators)
                        documents += labels.num_rows
                        failed += labels.num_rows - labels.column("error_type").null_count
                        writer.write_table(pa.Table.from_batches([labels]))
        storage.publish(temporary, str(options.out))
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{documents} documents annotated in {options.out}, {failed + len(errors)} error(s)")
    if errors or failed:
        reasons = sorted({f"{error.file}: {error.error_type}" for error in errors})
        raise PartialRunError(
            f"{failed + len(errors)} document(s) or file tails have no annotation: "
            f"{'; '.join(reasons[:10]) or 'an annotator failed, see error_type'}"
        )
    return 0
