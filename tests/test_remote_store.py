"""Runs on an object store: S3 as a real server on loopback speaks it."""

import functools
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from helpers import Curate, calls, documents, make_manifest, write_jsonl
from moto.server import ThreadedMotoServer

from raicurate.corpora_manifests.errors import OutputBusyError
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.pipelines import retrying, storage
from raicurate.pipelines.snapshots import current_snapshot, load_snapshot


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty bucket named `rai`, which Beam's file systems reach."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    # Beam makes a session and a client for each operation, which costs more than the operation.
    session = boto3.session.Session()
    session.client = functools.cache(session.client)  # type: ignore[method-assign]
    monkeypatch.setattr(boto3.session, "Session", lambda: session)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    FileSystems.set_options(
        PipelineOptions(
            [f"--s3_endpoint_url={endpoint}", "--s3_region_name=us-east-1", "--s3_disable_ssl"]
        )
    )
    s3 = boto3.resource("s3", endpoint_url=endpoint)
    created = s3.create_bucket(Bucket="rai")
    yield created
    created.objects.delete()
    created.delete()
    server.stop()
    FileSystems.set_options(PipelineOptions([]))


def _upload(bucket: Any, folder: Path, name: str, count: int, start: int) -> None:
    path = write_jsonl(folder / name, documents(count, start))
    bucket.put_object(Key=f"in/{name}", Body=path.read_bytes())


def _manifest(tmp_path: Path, **changes: Any) -> Manifest:
    corpora = [
        {
            "name": "web",
            "root": "s3://rai/in",
            "paths": ["*.jsonl.gz"],
            "license": "CC0-1.0",
            "added": "2026-01-01",
        }
    ]
    return make_manifest(tmp_path, corpora=corpora, **changes)


def _keys(bucket: Any, prefix: str) -> set[str]:
    return {entry.key for entry in bucket.objects.filter(Prefix=prefix)}


def test_run_on_an_object_store(bucket: Any, tmp_path: Path, curate_here: Curate) -> None:
    """Input, output and restricted tier on S3: the rows of a local run, and the same resume."""
    for shard in range(2):
        _upload(bucket, tmp_path / "in", f"{shard}.jsonl.gz", 10, shard * 10)
    out = "s3://rai/out"
    result = curate_here(_manifest(tmp_path), out)
    assert result.totals.counts["documents_in"] == 20
    assert "out/_SUCCESS" in _keys(bucket, "out/")
    assert _keys(bucket, "out.restricted/")
    (first, *_) = sorted(key for key in _keys(bucket, "out/data/"))
    content = bucket.Object(first).get()["Body"].read()
    assert pq.read_table(io.BytesIO(content)).num_rows > 0
    again = curate_here(_manifest(tmp_path), out)
    assert again.plan.jobs == []
    _upload(bucket, tmp_path / "in", "1.jsonl.gz", 11, 10)
    changed = curate_here(_manifest(tmp_path), out)
    assert changed.plan.summary()["input changed"]["units"] == 1
    assert len(calls) == 11
    snapshot = current_snapshot(out)
    assert snapshot is not None
    assert {f"out/{part.path}" for part in snapshot.parts if part.layer == "data"} == _keys(
        bucket, "out/data/"
    )
    assert len(load_snapshot(out, 1).receipts) == 2


def test_reads_that_fail_for_a_while_are_repeated(
    bucket: Any, tmp_path: Path, curate_here: Curate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that refuses some reads costs time, not documents."""
    _upload(bucket, tmp_path / "in", "0.jsonl.gz", 5, 0)
    monkeypatch.setattr(retrying, "DELAYS", (0.0, 0.0, 0.0))
    refused: set[str] = set()

    def refuse_once(operation: str, path: str) -> None:
        if operation == "read" and path not in refused:
            refused.add(path)
            raise OSError(f"503 for {path}")

    monkeypatch.setattr(storage, "failpoint", refuse_once)
    result = curate_here(_manifest(tmp_path), "s3://rai/out")
    assert result.totals.counts["documents_in"] == 5
    assert refused


def test_second_run_on_a_store_is_refused(bucket: Any, tmp_path: Path, curate_here: Curate) -> None:
    """A lock object keeps a second run away; the message says how to remove a dead one."""
    _upload(bucket, tmp_path / "in", "0.jsonl.gz", 5, 0)
    bucket.put_object(Key="out/_rai/lock", Body=b"another run")
    with pytest.raises(OutputBusyError, match="delete that object"):
        curate_here(_manifest(tmp_path), "s3://rai/out")
