"""A run from manifest to `_SUCCESS`, by every executor."""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import (
    Curate,
    calls,
    documents,
    make_manifest,
    output_digests,
    parquet_digests,
    rows,
    write_jsonl,
)  # fmt: skip

from raicurate.corpora_manifests.errors import ContractError, ManifestError, OutputBusyError
from raicurate.corpora_manifests.load import dump
from raicurate.pipelines import storage
from raicurate.pipelines.plan import make_plan
from raicurate.pipelines.receipts import OUTCOMES
from raicurate.pipelines.run import make_config
from raicurate.pipelines.runners import in_process
from raicurate.pipelines.snapshots import current_snapshot, load_snapshot
from raicurate.transforms.contextualize import recover_original


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three shards of forty documents."""
    folder = tmp_path / "in"
    for shard in range(3):
        write_jsonl(folder / f"{shard}.jsonl.gz", documents(40, shard * 40))
    return folder


def test_everything_is_accounted_for(corpus: Path, tmp_path: Path, curate: Curate) -> None:
    """Documents in equal the sum of all outcomes, and the files hold what the totals say."""
    out = tmp_path / "out"
    result = curate(make_manifest(corpus), out)
    counts = result.totals.counts
    assert counts["documents_in"] == 120 == sum(counts[name] for name in OUTCOMES)
    data = rows(out / "data")
    by_action = {action: sum(row["action"] == action for row in data) for action in OUTCOMES}
    assert by_action["keep"] == counts["keep"] == 48
    assert by_action["contextualize"] == counts["contextualize"] == 36
    assert by_action["redact"] == counts["redact"] == 12
    assert len(rows(tmp_path / "out.restricted")) == counts["restrict"] == 24
    assert len(rows(out / "ledger")) == 120
    assert (out / "_SUCCESS").is_file()


def test_executors_write_the_same_bytes(corpus: Path, tmp_path: Path, curate: Curate) -> None:
    """In this process, by Beam and by Beam with every bundle replayed: the same Parquet."""
    curate(make_manifest(corpus), tmp_path / "out")
    reference = tmp_path / "reference"
    from raicurate.pipelines.run import run

    run(make_config(make_manifest(corpus), str(reference)), in_process)
    assert output_digests(tmp_path / "out") == output_digests(reference)


def test_original_is_recoverable(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """From text and spans the original comes back where nothing was withheld or masked."""
    curate_here(make_manifest(corpus), tmp_path / "out")
    originals = {record["id"]: record["text"] for record in documents(120)}
    for row in rows(tmp_path / "out" / "data"):
        if not any(span["kind"] in {"withheld", "pii"} for span in row["spans"]):
            assert recover_original(row["text"], row["spans"]) == originals[row["id"]]
        if row["action"] == "contextualize":
            assert len(row["text"]) > 100


def test_record_only_text_is_in_no_file(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """Text of which only a record may be kept is nowhere: not in data, restricted or the rest."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    restricted = rows(tmp_path / "out.restricted")
    record_only = [row for row in restricted if row["rule"] == "child-exploitation"]
    assert len(record_only) == 12
    assert all(row["text"] is None and row["metadata"] == "{}" for row in record_only)
    for path in [*out.rglob("*"), *tmp_path.joinpath("out.restricted").rglob("*")]:
        if path.suffix == ".parquet":
            assert not any("A record only" in str(row) for row in rows(path.parent))
        elif path.is_file():
            assert b"A record only" not in path.read_bytes()


def test_restricted_text_is_outside_the_output(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Restricted text stands in its own tier and in no layer of the output."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    assert any("Mix the parts" in (row["text"] or "") for row in rows(tmp_path / "out.restricted"))
    for layer in ("data", "ledger", "annotations"):
        assert not any("Mix the parts" in str(row) for row in rows(out / layer))


def test_restricted_tier_inside_the_output_is_refused(corpus: Path, tmp_path: Path) -> None:
    """A restricted tier below the output would be found by readers of the data set."""
    manifest = make_manifest(corpus, output={"restricted": "{out}/hidden"})
    with pytest.raises(ManifestError, match="inside the output"):
        make_config(manifest, str(tmp_path / "out"))


def test_failing_annotator_makes_errors(tmp_path: Path, curate: Curate) -> None:
    """A document on which an annotator fails is an error without its text; others go on."""
    records = [*documents(10), {"id": "bad", "text": "BROKEN secret words"}]
    write_jsonl(tmp_path / "in" / "a.jsonl", records)
    result = curate(make_manifest(tmp_path / "in"), tmp_path / "out")
    assert result.totals.counts["errors"] == 1
    (error,) = rows(tmp_path / "out" / "errors")
    assert (error["id"], error["error_type"], error["row"]) == ("bad", "ValueError", 10)
    assert "secret" not in str(error)
    assert result.totals.counts["documents_in"] == 11


def test_damaged_archive_is_partial_unless_expected(tmp_path: Path, curate_here: Curate) -> None:
    """A cut archive costs its tail only, is named, and makes the run partial unless expected."""
    path = write_jsonl(tmp_path / "in" / "a.jsonl.gz", documents(400))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    manifest = make_manifest(tmp_path / "in")
    result = curate_here(manifest, tmp_path / "out")
    (damage,) = result.totals.damage
    assert (damage.file, damage.error_type) == ("a.jsonl.gz", "lost_tail")
    assert 0 < result.totals.counts["documents_in"] < 400
    assert "damaged" in str(result.totals.fault(1.0))
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    corpora = [
        corpus.model_dump(mode="json") | {"expected_damage": ["a.jsonl.gz"]}
        for corpus in manifest.corpora
    ]
    expected = curate_here(make_manifest(tmp_path / "in", corpora=corpora), tmp_path / "out")
    assert expected.totals.fault(1.0) is None
    assert (tmp_path / "out" / "_SUCCESS").is_file()


def test_error_budget(tmp_path: Path, curate_here: Curate) -> None:
    """More errors than the budget make the run partial, though everything else is written."""
    path = write_jsonl(tmp_path / "in" / "a.jsonl", documents(20))
    path.write_bytes(path.read_bytes() + b"{not json\n")
    result = curate_here(make_manifest(tmp_path / "in"), tmp_path / "out")
    assert result.totals.fault(0.1) is None
    assert "budget" in str(result.totals.fault(0.001))
    assert len(rows(tmp_path / "out" / "data")) == 16


def test_no_document_at_all_is_an_error(tmp_path: Path, curate_here: Curate) -> None:
    """Input without a single document breaks the contract; it is no success with zero rows."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_bytes(b"\n\n")
    with pytest.raises(ContractError, match="no document"):
        curate_here(make_manifest(tmp_path / "in"), tmp_path / "out")


def test_missing_input_is_an_error(tmp_path: Path, curate_here: Curate) -> None:
    """A pattern that matches no file breaks the contract and names the pattern."""
    (tmp_path / "in").mkdir()
    with pytest.raises(ContractError, match=r"\*\.jsonl"):
        curate_here(make_manifest(tmp_path / "in"), tmp_path / "out")


def test_second_run_does_nothing(corpus: Path, tmp_path: Path, curate: Curate) -> None:
    """The same manifest again: no unit, no document, no new snapshot, the same files."""
    out = tmp_path / "out"
    manifest = make_manifest(corpus)
    curate(manifest, out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    result = curate(manifest, out)
    assert result.plan.jobs == []
    assert calls == []
    assert result.snapshot == 1
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == before


def test_changed_shard_is_done_alone(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """Only the unit of a replaced shard is annotated again; the result is that of a clean run."""
    out = tmp_path / "out"
    manifest = make_manifest(corpus)
    curate_here(manifest, out)
    write_jsonl(corpus / "1.jsonl.gz", documents(41, 40))
    result = curate_here(manifest, out)
    assert result.plan.summary()["input changed"]["units"] == 1
    assert set(calls) == {record["id"] for record in documents(41, 40)}
    curate_here(manifest, tmp_path / "clean")
    assert output_digests(out) == output_digests(tmp_path / "clean")


def test_removed_shard_disappears(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """The rows of a removed shard are in no layer; nothing is annotated."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    (corpus / "2.jsonl.gz").unlink()
    result = curate_here(make_manifest(corpus), out)
    assert calls == []
    assert result.totals.counts["documents_in"] == 80
    curate_here(make_manifest(corpus), tmp_path / "clean")
    assert output_digests(out) == output_digests(tmp_path / "clean")


def _moved(default: float) -> dict[str, Any]:
    return {"thresholds": {"default": default}}


def test_moved_threshold_annotates_nothing(corpus: Path, tmp_path: Path, curate: Curate) -> None:
    """A new threshold is decided on stored annotations, and gives what a clean run gives."""
    out = tmp_path / "out"
    curate(make_manifest(corpus), out)
    result = curate(make_manifest(corpus, policy=_moved(0.2)), out)
    assert calls == []
    assert set(result.plan.summary()) == {"policy changed"}
    assert result.totals.counts["contextualize"] == 48
    assert result.snapshot == 2
    curate(make_manifest(corpus, policy=_moved(0.2)), tmp_path / "clean")
    assert output_digests(out) == output_digests(tmp_path / "clean")


def test_policy_without_effect_carries_units_over(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """A threshold that moves past no score rewrites no part."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    curate_here(make_manifest(corpus, policy=_moved(0.55)), out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == before


def test_policy_back_and_forth(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """Going back to an earlier policy does no unit again and restores its parts."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    first = output_digests(out)
    curate_here(make_manifest(corpus, policy=_moved(0.2)), out)
    result = curate_here(make_manifest(corpus), out)
    assert result.plan.jobs == []
    assert output_digests(out) == first
    assert result.snapshot == 3


def test_annotator_parameters_annotate_again(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Other parameters of an annotator mean other annotations, for every document."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    salted = [{"use": "transparent@1", "with": {"salt": "x"}}]
    result = curate_here(make_manifest(corpus, annotators=salted), out)
    assert set(result.plan.summary()) == {"annotators changed"}
    assert len(calls) == 120


def test_sharding_does_not_matter(tmp_path: Path, curate_here: Curate) -> None:
    """The same documents in 1, 3 and 7 shards give the same rows but for where they came from."""
    records = documents(105)
    results = []
    for shards in (1, 3, 7):
        folder = tmp_path / f"in{shards}"
        size = len(records) // shards
        for shard in range(shards):
            part = records[shard * size : (shard + 1) * size]
            write_jsonl(folder / f"{shard}.jsonl", part)
        curate_here(make_manifest(folder), tmp_path / f"out{shards}")
        results.append(
            [
                {name: value for name, value in row.items() if not name.startswith("src_")}
                for row in rows(tmp_path / f"out{shards}" / "data")
            ]
        )
    assert results[0] == results[1] == results[2]


def test_withdrawn_documents_disappear(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """Denied ids and texts are in no layer, are counted, and are named nowhere."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    sha256 = next(r["text_sha256"] for r in rows(out / "ledger") if r["id"] == "doc-00050")
    withdrawn = {"ids": ["doc-00003"], "text_sha256": [sha256]}
    manifest = make_manifest(corpus, withdrawn=withdrawn)
    result = curate_here(manifest, out)
    assert result.totals.counts["withdrawn"] == 2
    assert len(rows(out / "ledger")) == 118
    for layer in ("data", "ledger", "annotations"):
        assert not {"doc-00003", "doc-00050"} & {row["id"] for row in rows(out / layer)}
    assert len(calls) == 78, "only the two units that hold them are done again"
    curate_here(manifest, tmp_path / "clean")
    assert output_digests(out) == output_digests(tmp_path / "clean")


def test_tampered_part_is_done_again(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """A part of another size is found at planning, and its unit is done again."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    before = output_digests(out)
    part = next((out / "data").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-10])
    result = curate_here(make_manifest(corpus), out)
    assert result.plan.summary()["part damaged"]["units"] == 1
    assert output_digests(out) == before


def test_changed_input_during_a_run_is_refused(corpus: Path, tmp_path: Path) -> None:
    """A file that changes between plan and reading fails its unit; the others stay done."""
    out = tmp_path / "out"

    def changing(config: Any, jobs: Any, path: str) -> None:
        write_jsonl(corpus / "0.jsonl.gz", documents(7))
        in_process(config, jobs, path)

    from raicurate.pipelines.run import run

    config = make_config(make_manifest(corpus), str(out))
    with pytest.raises(ContractError, match="changed between planning and reading"):
        run(config, changing)
    assert not (out / "_SUCCESS").exists()
    assert current_snapshot(str(out)) is None
    assert len(make_plan(config).jobs) == 1


def test_two_runs_at_once(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """A second run on the same output says so and does not start."""
    with storage.exclusive(str(tmp_path / "out")), pytest.raises(OutputBusyError):
        curate_here(make_manifest(corpus), tmp_path / "out")


def test_limit_and_sample(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """`limit` takes the first documents of one unit, `sample` a stable share of all."""
    limited = curate_here(make_manifest(corpus), tmp_path / "limited", limit=7)
    assert limited.totals.counts["documents_in"] == 7
    sampled = curate_here(make_manifest(corpus), tmp_path / "sampled", sample=0.3)
    assert 15 < sampled.totals.counts["documents_in"] < 60
    first = {row["id"] for row in rows(tmp_path / "sampled" / "ledger")}
    curate_here(make_manifest(corpus), tmp_path / "more", sample=0.6)
    assert first < {row["id"] for row in rows(tmp_path / "more" / "ledger")}


def test_snapshots_stay_readable(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """The parts of an earlier snapshot are found after a later run moved them away."""
    from raicurate.pipelines.snapshots import located

    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    first = output_digests(out)
    curate_here(make_manifest(corpus, policy=_moved(0.2)), out)
    snapshot = load_snapshot(str(out), 1)
    found = [located(str(out), f"{out}.restricted", part) for part in snapshot.parts]
    assert None not in found
    assert len(found) == len(first)
    glob = {str(path.relative_to(out)) for path in (out / "data").rglob("*.parquet")}
    current = current_snapshot(str(out))
    assert current is not None
    assert glob == {part.path for part in current.parts if part.layer == "data"}


_SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from helpers import make_manifest
from raicurate.pipelines.run import make_config, run
from raicurate.pipelines.runners import in_process
run(make_config(make_manifest(Path({folder!r})), {out!r}), in_process)
"""


def test_killed_run_gives_the_same_bytes(tmp_path: Path, curate_here: Curate) -> None:
    """A run that is killed and started again ends with the files of one that was not."""
    folder, out = tmp_path / "in", tmp_path / "out"
    for shard in range(12):
        write_jsonl(folder / f"{shard:02d}.jsonl.gz", documents(300, shard * 300))
    script = _SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder), out=str(out))
    receipts = out / "_rai" / "receipts"
    process = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(receipts.glob("*.json"))) < 3:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = len(list(receipts.glob("*.json")))
    assert 3 <= done < 12, "the run was to be killed in its middle"
    result = curate_here(make_manifest(folder), out)
    assert len(result.plan.standing) == done
    assert not [path for path in out.rglob(".tmp-*") if path.stat().st_mtime > time.time()]
    curate_here(make_manifest(folder), tmp_path / "clean")
    assert output_digests(out) == output_digests(tmp_path / "clean")


def test_resolved_manifest_is_valid(corpus: Path, tmp_path: Path, curate_here: Curate) -> None:
    """The manifest in the output is complete and gives the same run."""
    from raicurate.corpora_manifests.load import load_manifest

    out = tmp_path / "out"
    manifest = make_manifest(corpus)
    curate_here(manifest, out)
    resolved = load_manifest(out / "_rai" / "manifest.resolved.yaml")
    assert dump(resolved) == dump(manifest)
    assert curate_here(resolved, out).plan.jobs == []


def test_gzip_of_the_same_content_is_an_input_change(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """Content identity is that of the stored bytes, whatever the times of the file."""
    out = tmp_path / "out"
    curate_here(make_manifest(corpus), out)
    path = corpus / "0.jsonl.gz"
    os.utime(path)
    assert curate_here(make_manifest(corpus), out).plan.jobs == []
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=0))
    assert len(curate_here(make_manifest(corpus), out).plan.jobs) == 1


def test_parquet_digests_cover_the_layers(
    corpus: Path, tmp_path: Path, curate_here: Curate
) -> None:
    """The helper that other tests rest on sees every layer."""
    curate_here(make_manifest(corpus), tmp_path / "out")
    layers = {name.split("/")[1] for name in parquet_digests(tmp_path / "out")}
    assert layers == {"data", "annotations", "ledger"}
