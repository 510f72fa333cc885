"""Faults of the world: full disks, failing reads, clocks, tampered and half-written receipts."""

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from helpers import Curate, calls, documents, make_manifest, output_digests, write_jsonl

from raicurate.corpora_manifests.errors import ContractError, RaicurateError
from raicurate.corpora_manifests.load import dump
from raicurate.pipelines import retrying, storage
from raicurate.pipelines.receipts import read_receipts


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three shards of twenty documents, each a unit of its own."""
    for shard in range(3):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl.gz", documents(20, shard * 20))
    return tmp_path / "in"


@pytest.mark.parametrize("operation", ["write", "rename"])
def test_full_disk_fails_units_and_the_next_run_completes(
    corpus: Path,
    tmp_path: Path,
    curate_here: Curate,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
) -> None:
    """A disk that is full for some parts fails their units, by name; the rest stays done."""
    out = tmp_path / "out"
    seen: list[str] = []

    def full(name: str, path: str) -> None:
        if name == operation and "/ledger/" in path:
            seen.append(path)
            if len(seen) == 2:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "failpoint", full)
        with pytest.raises(RaicurateError, match="No space left on device"):
            curate_here(make_manifest(corpus), out)
    assert not (out / "_SUCCESS").exists()
    assert len(read_receipts(str(out))) == 2
    result = curate_here(make_manifest(corpus), out)
    assert len(result.plan.jobs) == 1
    curate_here(make_manifest(corpus), tmp_path / "clean")
    assert output_digests(out) == output_digests(tmp_path / "clean")


def test_file_size_limit_of_the_system(corpus: Path, tmp_path: Path) -> None:
    """When the system refuses a write in its middle, the run says so and nothing is published."""
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(dump(make_manifest(corpus, annotators=[{"use": "personal_data@1"}])))
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "raicurate.pipelines.cli", "run", str(manifest), "--out", str(out)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode not in {0, 3}
    assert not list((out / "data").rglob("part-*"))
    assert not (out / "_SUCCESS").exists()


def test_local_reads_that_fail_for_a_while(
    corpus: Path, tmp_path: Path, curate_here: Curate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that fails once is repeated; one that fails for good fails its unit by name."""
    monkeypatch.setattr(retrying, "DELAYS", (0.0, 0.0, 0.0))
    failed: set[str] = set()

    def once(operation: str, path: str) -> None:
        if operation == "read" and path not in failed:
            failed.add(path)
            raise OSError(errno.EIO, "flaky", path)

    with monkeypatch.context() as patch:
        patch.setattr(storage, "failpoint", once)
        result = curate_here(make_manifest(corpus), tmp_path / "out")
    assert result.totals.counts["documents_in"] == 60
    assert len(failed) >= 3


def test_tampered_and_half_written_receipts_are_not_believed(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """A receipt that was changed or cut does not count; its unit is done again, to the same end."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    before = output_digests(out)
    first, second, _ = sorted((out / "_rai" / "receipts").iterdir())
    changed = orjson.loads(first.read_bytes())
    changed["counts"]["keep"] += 1
    first.write_bytes(orjson.dumps(changed))
    second.write_bytes(second.read_bytes()[:200])
    (out / "_rai" / "current").unlink()
    result = curate_here(make_manifest(corpus), out)
    assert len(result.plan.jobs) == 2
    assert output_digests(out) == before


def test_clocks_do_not_matter(
    corpus: Path, tmp_path: Path, curate_here: Curate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps and files from the future change no byte."""
    curate_here(make_manifest(corpus), tmp_path / "out")
    monkeypatch.setattr(time, "time", lambda: 0.0)
    os.utime(corpus / "0.jsonl.gz", (4e9, 4e9))
    curate_here(make_manifest(corpus), tmp_path / "later")
    assert output_digests(tmp_path / "out") == output_digests(tmp_path / "later")


def test_changed_content_of_same_size_and_time_is_seen(tmp_path: Path, curate_here: Curate) -> None:
    """A file that is replaced by one of the same size and modification time is read again."""
    path = write_jsonl(tmp_path / "in" / "a.jsonl", documents(5))
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    out = tmp_path / "out"
    curate_here(make_manifest(tmp_path / "in"), out)
    path.write_bytes(path.read_bytes().replace(b"Bread", b"Toast"))
    os.utime(path, ns=times)
    result = curate_here(make_manifest(tmp_path / "in"), out)
    assert result.plan.summary()["input changed"]["units"] == 1


def test_new_block_version_reprocesses_and_a_release_does_not(
    corpus: Path, tmp_path: Path, curate_here: Curate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raising a block's version does its units again; the version of the package is in no key."""
    from raicurate.transforms import contextualize, decide

    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "99.0")
    assert curate_here(make_manifest(corpus), out).plan.jobs == []
    monkeypatch.setattr(contextualize, "VERSION", "next")
    result = curate_here(make_manifest(corpus), out)
    assert set(result.plan.summary()) == {"code changed"}
    assert calls == [], "annotations do not depend on how context is written"
    monkeypatch.setattr(decide, "VERSION", "next")
    assert curate_here(make_manifest(corpus), out).plan.summary()["code changed"]


def _unit_bytes(size: int) -> dict[str, Any]:
    return {"unit_bytes": size}


def test_other_unit_sizes_keep_the_rows(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """Cutting the same input into other units keeps every row, and nothing is left behind."""
    from helpers import rows

    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    before = [(row["id"], row["text"]) for row in rows(out / "data")]
    curate_here(make_manifest(corpus, output=_unit_bytes(1 << 20)), out)
    assert [(row["id"], row["text"]) for row in rows(out / "data")] == before


def test_templates_that_change_during_a_run_are_noticed(corpus: Path, tmp_path: Path) -> None:
    """A worker whose templates are not those of the plan does nothing, and says why."""
    from raicurate.pipelines.run import make_config, run
    from raicurate.pipelines.runners import in_process

    templates = tmp_path / "templates"
    templates.mkdir()
    words = "{version: 1, licence: CC0-1.0, language: en, reviewed_by_native_speaker: true%s}\n"
    (templates / "en.yaml").write_text(words % "")

    def changing(config: Any, jobs: Any, path: str) -> None:
        part = ", hazards: {hate: {what_it_is: [It speaks of a whole group as one.]}}"
        (templates / "en.yaml").write_text(words % part)
        in_process(config, jobs, path)

    config = make_config(make_manifest(corpus, templates=[str(templates)]), str(tmp_path / "out"))
    with pytest.raises(ContractError, match="changed since the run was planned"):
        run(config, changing)
    assert run(config, in_process).totals.counts["documents_in"] == 60
