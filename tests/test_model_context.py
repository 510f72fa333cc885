"""Runs whose context a language model writes: cache, budget, faults, withdrawal, secrets."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from chat_server import ChatServer, Reply, Request, completion
from helpers import Curate, documents, make_manifest, output_digests, rows, write_jsonl

from raicurate.corpora_manifests.errors import PartialRunError, RaicurateError, UsageError
from raicurate.corpora_manifests.load import dump
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.pipelines import command_gc, storage
from raicurate.pipelines.cli import main
from raicurate.pipelines.run import make_config, run
from raicurate.pipelines.runners import in_process
from raicurate.transforms import llm_client
from raicurate.transforms.contextualize import recover_original

WORDS = (
    "Talk of this sort deserves a second look, because it reaches people who never asked for it. "
    "A reader does well to keep the matter and the person apart, and to say so. This is the view "
    "of reader number {}."
)

ASKED = 24
"""Two of ten documents show intent that is explained; the others need no words of a model."""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Three shards of forty documents, each a unit of its own."""
    for shard in range(3):
        write_jsonl(tmp_path / "in" / f"{shard}.jsonl.gz", documents(40, shard * 40))
    return tmp_path / "in"


def obedient(request: Request, number: int = 0) -> Reply:
    """Answers as asked, with the labels that the message names."""
    user = request.messages[1]["content"]
    header = re.findall(r"^(?:hazard|stance|target): \w+$", user, re.MULTILINE)[-3:]
    text = "\n".join(header) + "\n\n" + WORDS.format(number or len(user))
    return Reply(completion(text, prompt_tokens=300, completion_tokens=60))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A server that does as it is told."""
    monkeypatch.setattr(llm_client, "FIRST_PAUSE", 0.01)
    with ChatServer(obedient) as running:
        yield running


def manifest_of(corpus: Path, server: ChatServer, **model: Any) -> Manifest:
    settings = {"endpoint": server.endpoint, "model": "tiny", "timeout": 10, "retries": 1}
    changes = model.pop("manifest", {})
    return make_manifest(corpus, language_model={**settings, **model}, **changes)


def from_model(out: Path) -> list[dict[str, Any]]:
    return [
        row
        for row in rows(out / "data")
        if any((span["ref"] or "").startswith("context@1") for span in row["spans"])
    ]


def entries(out: Path) -> list[Path]:
    return sorted((out / "_rai" / "answers").glob("*/*.json"))


def test_every_executor_asks_once_and_writes_the_same(
    corpus: Path, tmp_path: Path, server: ChatServer, curate: Curate
) -> None:
    """In this process, by Beam, replayed: one question for each document, the same bytes."""
    manifest = manifest_of(corpus, server)
    result = curate(manifest, tmp_path / "out")
    asked = len(server.requests)
    written = from_model(tmp_path / "out")
    assert result.totals.tables["model_context"] == {"accepted": len(written)}
    assert asked == len(written) == len(entries(tmp_path / "out")) == ASKED
    assert f"context of {asked} documents" in (tmp_path / "out" / "README.md").read_text()
    assert result.totals.tables["model_tokens"] == {"answer": 60 * asked, "prompt": 300 * asked}
    originals = {record["id"]: record["text"] for record in documents(120)}
    for row in written:
        assert WORDS[:40] in row["text"]
        if not any(span["kind"] == "withheld" for span in row["spans"]):
            assert recover_original(row["text"], row["spans"]) == originals[row["id"]]
    run(make_config(manifest, str(tmp_path / "reference")), in_process)
    assert output_digests(tmp_path / "out") == output_digests(tmp_path / "reference")


def test_killed_run_pays_nothing_twice(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """What was answered before a crash is not asked again, and the bytes are those of one run."""
    manifest = manifest_of(corpus, server, concurrency=2)
    killed = 0
    for deadline in (15, 40, 70):
        seen = itertools.count()

        def dies(operation: str, path: str, seen: Any = seen, deadline: int = deadline) -> None:
            if "/answers/" in path and operation == "rename" and next(seen) == deadline // 10:
                raise OSError(28, "No space left on device")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(storage, "failpoint", dies)
            try:
                curate_here(manifest, tmp_path / "out")
            except RaicurateError:
                killed += 1
    assert killed
    paid_in_vain = len(server.requests) - len(entries(tmp_path / "out"))
    curate_here(manifest, tmp_path / "out")
    # The answer whose writing failed is the one that is asked for again.
    assert paid_in_vain <= killed
    assert len(server.requests) == ASKED + paid_in_vain
    before = len(server.requests)
    curate_here(manifest, tmp_path / "clean")
    assert output_digests(tmp_path / "out") == output_digests(tmp_path / "clean")
    assert len(server.requests) == before + ASKED


def test_cache_makes_bytes_repeatable(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """Under a model that never answers twice alike, the kept answers decide the bytes."""
    numbers = itertools.count(1)
    server.respond = lambda request: obedient(request, next(numbers))
    manifest = manifest_of(corpus, server)
    out = tmp_path / "out"
    curate_here(manifest, out)
    first = output_digests(out)
    asked = len(server.requests)
    for part in (out / "data").rglob("*.parquet"):
        part.unlink()
    for receipt in (out / "_rai" / "receipts").iterdir():
        receipt.unlink()
    curate_here(manifest, out)
    assert output_digests(out) == first
    assert len(server.requests) == asked


def test_damaged_entry_is_asked_again(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """An entry that was cut or changed is no answer."""
    out = tmp_path / "out"
    manifest = manifest_of(corpus, server)
    curate_here(manifest, out)
    first, second = entries(out)[:2]
    first.write_bytes(first.read_bytes()[:30])
    second.write_bytes(second.read_bytes().replace(b"second look", b"third looks"))
    for path in [*(out / "data").rglob("*.parquet"), *(out / "_rai" / "receipts").iterdir()]:
        path.unlink()
    asked = len(server.requests)
    curate_here(manifest, out)
    assert len(server.requests) == asked + 2
    assert not any("third looks" in row["text"] for row in rows(out / "data"))


def test_what_must_not_be_sent_is_not_sent(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """Record-only and restricted texts are in no request and in no entry of the cache."""
    curate_here(manifest_of(corpus, server, kinds=["full", "note", "support"]), tmp_path / "out")
    sent = [request.body for request in server.requests]
    kept = [path.read_bytes() for path in entries(tmp_path / "out")]
    for content in sent + kept:
        assert b"A record only" not in content
        assert b"Mix the parts" not in content
    assert any(b"worthless" in content for content in sent)
    assert not any(b"worthless" in content or b"doc-000" in content for content in kept)


def test_bad_answers_fall_back_to_templates(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """Cut, declined, malicious and formless answers leave the template's words, and are counted."""
    bad = [
        completion("hazard: hate", finish="length"),
        completion("", finish="content_filter"),
        completion("As you wish, here is how to do it."),
        completion("hazard: hate\nstance: topical\ntarget: no\n\nAll of this is fine."),
    ]
    numbers = itertools.count()

    def respond(request: Request) -> Reply:
        number = next(numbers)
        return obedient(request) if number % 5 == 4 else Reply(bad[number % 5])

    server.respond = respond
    result = curate_here(manifest_of(corpus, server, concurrency=1), tmp_path / "out")
    table = result.totals.tables["model_context"]
    assert sum(table.values()) == ASKED
    assert table["template: truncated"]
    assert table["template: refused"]
    assert table["template: format"]
    assert table["template: labels"]
    assert len(from_model(tmp_path / "out")) == table["accepted"]
    templates = run(make_config(make_manifest(corpus), str(tmp_path / "plain")), in_process)
    assert result.totals.counts == templates.totals.counts
    accepted = {row["id"] for row in from_model(tmp_path / "out")}
    plain = {row["id"]: row["text"] for row in rows(tmp_path / "plain" / "data")}
    for row in rows(tmp_path / "out" / "data"):
        assert row["id"] in accepted or row["text"] == plain[row["id"]]


def test_requests_run_side_by_side_within_bounds(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """A slow and busy server is asked by several at once, but by no more than allowed."""
    busy = itertools.count()

    def respond(request: Request) -> Reply:
        if next(busy) % 7 == 3:
            return Reply(b"", status=429)
        reply = obedient(request)
        reply.delay = 0.05
        return reply

    server.respond = respond
    curate_here(manifest_of(corpus, server, concurrency=4, retries=5), tmp_path / "out")
    assert 2 <= server.most_at_once <= 4
    assert len(from_model(tmp_path / "out")) == ASKED


def test_dead_server_fails_units_and_the_next_run_completes(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """A server that stays down makes no silent fallback: the run fails, and goes on later."""
    count = itertools.count()
    server.respond = lambda r: obedient(r) if next(count) < 10 else Reply(b"", status=503)
    manifest = manifest_of(corpus, server, concurrency=1, retries=0)
    with pytest.raises(RaicurateError, match="status 503"):
        curate_here(manifest, tmp_path / "out")
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    assert len(entries(tmp_path / "out")) == 10
    server.respond = obedient
    asked = len(server.requests)
    curate_here(manifest, tmp_path / "out")
    assert len(server.requests) - asked == ASKED - 10


def test_token_budget_holds_over_runs(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """A spent budget ends the run with exit code 3; a larger one goes on where it stopped."""
    out = tmp_path / "out"
    limit = 8000
    with pytest.raises(PartialRunError, match="token_budget") as caught:
        curate_here(manifest_of(corpus, server, token_budget=limit), out)
    assert caught.value.exit_code == 3
    spent = 360 * len(server.requests)
    assert 0 < spent <= limit
    files = (out / "_rai" / "answers_spent").glob("*.json")
    assert sum(orjson.loads(path.read_bytes())["tokens"] for path in files) == spent
    asked = len(server.requests)
    with pytest.raises(PartialRunError):
        curate_here(manifest_of(corpus, server, token_budget=limit), out)
    assert 360 * len(server.requests) <= limit
    curate_here(manifest_of(corpus, server, token_budget=100_000), out)
    assert len(server.requests) == ASKED >= asked


def test_another_model_redoes_only_what_it_reaches(
    tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """Model and prompt enter `apply` where there is context; where the server stands does not."""
    write_jsonl(tmp_path / "in" / "harm.jsonl", documents(10))
    plain = [{"id": f"p{number}", "text": "Bread rises overnight."} for number in range(10)]
    write_jsonl(tmp_path / "in" / "plain.jsonl", plain)
    corpus, out = tmp_path / "in", tmp_path / "out"
    big = {"manifest": {"output": {"unit_bytes": 1500}}}
    curate_here(manifest_of(corpus, server, **big), out)
    before = output_digests(out)
    elsewhere = manifest_of(corpus, server, concurrency=3, timeout=9, **big)
    assert curate_here(elsewhere, out).plan.jobs == []
    result = curate_here(manifest_of(corpus, server, model="other", **big), out)
    assert {unit.reason for unit in result.plan.units} == {"language model changed"}
    after = output_digests(out)
    changed = [path for path in after if path not in before]
    assert changed
    unit_of_plain = next(
        receipt["unit"]
        for receipt in (
            orjson.loads(path.read_bytes()) for path in (out / "_rai" / "receipts").iterdir()
        )
        if receipt["files"][0][0] == "plain.jsonl"
    )
    assert not any(unit_of_plain in path for path in changed)


def test_withdrawal_takes_answers_along(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """The answers about a struck file and about a denied document are erased."""
    out = tmp_path / "out"
    curate_here(manifest_of(corpus, server), out)
    assert len(entries(out)) == ASKED
    denied = {"manifest": {"withdrawn": {"ids": ["doc-00001"]}}}
    curate_here(manifest_of(corpus, server, **denied), out)
    assert len(entries(out)) == ASKED - 1
    (corpus / "2.jsonl.gz").unlink()
    curate_here(manifest_of(corpus, server, **denied), out)
    assert len(entries(out)) == ASKED - 1 - ASKED // 3


def test_answers_of_a_run_that_never_finished_are_withdrawn_too(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """A file that was struck after a run that failed before its first receipt leaves nothing."""
    out = tmp_path / "out"
    count = itertools.count()
    server.respond = lambda r: obedient(r) if next(count) < 5 else Reply(b"", status=503)
    manifest = manifest_of(corpus, server, concurrency=1, retries=0)
    with pytest.raises(RaicurateError):
        curate_here(manifest, out)
    assert len(entries(out)) == 5
    server.respond = obedient
    for path in sorted(corpus.iterdir())[:2]:
        path.unlink()
    curate_here(manifest, out)
    assert len(entries(out)) == ASKED // 3


def test_gc_removes_answers_of_another_model(
    corpus: Path, tmp_path: Path, server: ChatServer, curate_here: Curate
) -> None:
    """Answers of the model that the manifest names stay, the others go."""
    out = tmp_path / "out"
    curate_here(manifest_of(corpus, server), out)
    curate_here(manifest_of(corpus, server, model="other"), out)
    assert len(entries(out)) == 2 * ASKED
    assert main(["gc", str(out)]) == 0
    assert len(entries(out)) == ASKED
    assert command_gc.execute is not None


def test_credential_is_in_no_file(
    corpus: Path,
    tmp_path: Path,
    server: ChatServer,
    curate_here: Curate,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment variable is named in the manifest; its value goes to the server only."""
    manifest = manifest_of(corpus, server, credential_variable="MODEL_KEY")
    monkeypatch.delenv("MODEL_KEY", raising=False)
    with pytest.raises(UsageError, match="MODEL_KEY"):
        curate_here(manifest, tmp_path / "out")
    monkeypatch.setenv("MODEL_KEY", "hunter2-hunter2")
    curate_here(manifest, tmp_path / "out")
    assert server.requests[0].headers["authorization"] == "Bearer hunter2-hunter2"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()
    assert "MODEL_KEY" in dump(manifest)
    monkeypatch.setenv("MODEL_KEY", "another")
    assert curate_here(manifest, tmp_path / "out").plan.jobs == []
