"""What a run writes is read by the tools that users have."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import polars
import pyarrow.dataset as ds
import pytest
from datatrove.pipeline.readers import ParquetReader
from helpers import Curate, documents, make_manifest, write_jsonl


@pytest.fixture
def out(tmp_path: Path, curate_here: Curate) -> Path:
    """An output of four parts, in which some columns are null in all rows of a part."""
    for shard in range(4):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl.gz", documents(25, shard * 25))
    corpora = [
        {"name": name, "root": str(tmp_path / "in"), "paths": [pattern], "license": "CC0-1.0"}
        for name, pattern in (("first", "[01].*"), ("second", "[23].*"))
    ]
    curate_here(make_manifest(tmp_path, corpora=corpora), tmp_path / "out")
    return tmp_path / "out"


def test_hugging_face_datasets(out: Path, tmp_path: Path) -> None:
    """`load_dataset(OUT, "data")` reads all rows of all corpora, and `ledger` is there as well."""
    program = (
        "from datasets import load_dataset\n"
        f"data = load_dataset({str(out)!r}, 'data', split='train')\n"
        f"ledger = load_dataset({str(out)!r}, 'ledger', split='train')\n"
        "assert set(data['action']) == {'keep', 'contextualize', 'redact'}, set(data['action'])\n"
        "print(len(data), len(ledger))\n"
    )
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.split() == ["80", "100"]


def test_datatrove_reader(out: Path) -> None:
    """Datatrove's reader yields documents with text, id and metadata."""
    read = list(ParquetReader(str(out / "data"), glob_pattern="**/*.parquet")())
    assert len(read) == 80
    assert all(document.text and document.id for document in read)
    assert {document.metadata["action"] for document in read} == {
        "keep", "contextualize", "redact",
    }  # fmt: skip


def test_duckdb_and_polars_and_arrow(out: Path) -> None:
    """DuckDB, Polars and pyarrow datasets agree on the rows."""
    pattern = str(out / "data" / "*" / "*.parquet")
    ((count,),) = duckdb.sql(f"select count(*) from '{pattern}' where action = 'keep'").fetchall()
    frame = polars.read_parquet(pattern)
    assert count == frame.filter(polars.col("action") == "keep").height == 40
    assert ds.dataset(out / "data", format="parquet").count_rows() == frame.height == 80
