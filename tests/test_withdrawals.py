"""What is withdrawn is erased from everything that earlier runs left."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from helpers import Curate, documents, make_manifest, rows, write_jsonl

from raicurate.pipelines.snapshots import load_snapshot


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three shards of twenty documents, each a unit of its own."""
    for shard in range(3):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl.gz", documents(20, shard * 20))
    return tmp_path / "in"


def _moved(default: float) -> dict[str, Any]:
    return {"thresholds": {"default": default}}


def _everything(out: Path) -> list[dict[str, Any]]:
    """All rows of an output and its restricted tier, superseded ones too."""
    return rows(out) + rows(out.with_name(out.name + ".restricted"))


def _erasure(out: Path) -> dict[str, Any]:
    (path,) = (out / "_rai" / "withdrawals").glob("*.json")
    content: dict[str, Any] = orjson.loads(path.read_bytes())
    return content


def test_struck_file_is_erased_everywhere(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """A file struck from the manifest is gone from superseded parts and earlier snapshots too."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    curate_here(make_manifest(corpus, policy=_moved(0.2)), out)
    assert any(row["id"] == "doc-00045" for row in rows(out / "_rai" / "superseded"))
    (corpus / "2.jsonl.gz").unlink()
    curate_here(make_manifest(corpus, policy=_moved(0.2)), out)
    ids = {row["id"] for row in _everything(out)}
    assert "doc-00045" not in ids
    assert "doc-00025" in ids
    erasure = _erasure(out)
    assert erasure["files"] == [["web", "2.jsonl.gz"]]
    assert erasure["snapshots"] == [1, 2]
    assert set(erasure["parts"]) == {"annotations", "data", "ledger", "restricted"}
    assert len(load_snapshot(str(out), 1).receipts) == 2


def test_denied_document_is_erased_everywhere(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """The parts that held a denied document are gone; other units keep their history."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    curate_here(make_manifest(corpus, policy=_moved(0.2)), out)
    manifest = make_manifest(corpus, policy=_moved(0.2), withdrawn={"ids": ["doc-00025"]})
    curate_here(manifest, out)
    everything = _everything(out)
    assert not [row for row in everything if row["id"] == "doc-00025"]
    assert [row for row in rows(out / "_rai" / "superseded") if row["id"] == "doc-00008"]
    erasure = _erasure(out)
    assert len(erasure["entries"]) == 1
    assert "doc-00025" not in str(erasure)
    for path in (out / "_rai").rglob("*.json"):
        assert b"doc-00025" not in path.read_bytes()


def test_limited_run_erases_nothing(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """A first look with `limit` leaves out most input, but withdraws none of it."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    curate_here(make_manifest(corpus), out, limit=3)
    assert not (out / "_rai" / "withdrawals").exists()
    assert curate_here(make_manifest(corpus), out).plan.jobs == []


def test_reinstated_document_comes_back(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """A document that is taken off the deny list is read again."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus, withdrawn={"ids": ["doc-00025"]}), out)
    result = curate_here(make_manifest(corpus), out)
    assert result.totals.counts["withdrawn"] == 0
    assert [row for row in rows(out / "ledger") if row["id"] == "doc-00025"]
