import hashlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.pipelines import retrying, storage, unit_input
from raicurate.pipelines.keys import RunConfig
from raicurate.pipelines.unit_input import read_options, read_unit
from raicurate.pipelines.units import Unit, UnitFile

POLICY = {
    "name": "p",
    "version": "1",
    "gravity": {"default": {}},
    "rules": [{"name": "keep", "action": "keep"}],
}


def config(folder, limit=None, sample=None, corpus=None, output=None):
    content = {"name": "web", "root": str(folder), "paths": ["*"], "license": "x"}
    manifest = Manifest.model_validate(
        {
            "name": "m",
            "policy": POLICY,
            "corpora": [content | (corpus or {})],
            "output": output or {},
        }
    )
    return RunConfig(manifest, "/out", limit=limit, sample=sample)


def lines(numbers, broken=()):
    return b"".join(
        b"{no json\n"
        if number in broken
        else orjson.dumps({"id": f"d{number}", "text": f"Text number {number}."}) + b"\n"
        for number in numbers
    )


def write(folder, files):
    """Writes files by name and content, and returns the unit of them all."""
    found = []
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content)
        found.append(
            UnitFile(name, "jsonl", len(content), content="c", stamp=storage.stamp(str(path)))
        )
    return Unit("web", tuple(found), 1)


def read(unit, of):
    """Returns ids of documents, and rows of errors, in order of the batches."""
    ids, errors = [], []
    for batch in read_unit(unit, of):
        ids += batch.documents.column("id").to_pylist()
        errors += [(error.file, error.row) for error in batch.errors]
    return ids, errors


def test_all_files_of_a_unit_are_read_in_order(tmp_path):
    """Documents and errors, file after file."""
    unit = write(tmp_path, {"b.jsonl": lines([1, 2, 3], {2}), "a.jsonl": lines([4])})
    assert read(unit, config(tmp_path)) == (["d1", "d3", "d4"], [("b.jsonl", 1)])


def test_a_range_is_read_alone(tmp_path):
    """The next range begins where this one ends, and no line is lost between."""
    content = lines(range(10))
    unit = write(tmp_path, {"a.jsonl": content})
    (file,) = unit.files
    found = []
    for start in range(0, len(content), 50):
        piece = UnitFile("a.jsonl", "jsonl", len(content), start, start + 50, "c", file.stamp)
        found += read(Unit("web", (piece,), 1), config(tmp_path))[0]
    assert found == [f"d{number}" for number in range(10)]


def test_the_options_of_a_reader_come_from_corpus_and_output(tmp_path):
    """The source is the name of the corpus where none is given."""
    of = config(
        tmp_path,
        corpus={"keys": {"text": "body"}, "added": "2026-01-01", "lang": "de"},
        output={"max_document_bytes": 1000, "max_expansion": 7},
    )
    options = read_options(of.manifest.corpora[0], of.manifest.output)
    assert (options.keys.text, options.source) == ("body", "web")
    assert (options.added, options.lang) == ("2026-01-01", "de")
    assert (options.max_document_bytes, options.max_expansion) == (1000, 7)
    named = config(tmp_path, corpus={"source": "crawl"})
    assert read_options(named.manifest.corpora[0], named.manifest.output).source == "crawl"


@pytest.mark.parametrize("change", ["before", "between", "after", "removed"])
def test_a_file_that_is_not_the_planned_one_is_a_broken_contract(tmp_path, monkeypatch, change):
    """Whether it changed before it was opened or while it was read; nothing is published then."""
    monkeypatch.setattr(unit_input, "BATCH_ROWS", 1)
    unit = write(tmp_path, {"a.jsonl": lines(range(5)), "b.jsonl": lines([9])})
    if change == "before":
        (tmp_path / "a.jsonl").write_bytes(lines(range(6)))
    if change == "removed":
        (tmp_path / "a.jsonl").unlink()
    batches = read_unit(unit, config(tmp_path))

    def exhaust():
        for number, _ in enumerate(batches):
            if change == "between" and number == 1:
                (tmp_path / "a.jsonl").write_bytes(lines(range(5)) + b" ")
            if change == "after" and number == 4:
                (tmp_path / "b.jsonl").write_bytes(lines([8]))

    name = "b.jsonl" if change == "after" else "a.jsonl"
    with pytest.raises(ContractError, match=f"{name} changed between planning and reading"):
        exhaust()


def test_a_limit_takes_the_first_documents_and_errors(tmp_path):
    """Of all files together; what comes later is not read."""
    unit = write(tmp_path, {"a.jsonl": lines(range(4), {1}), "b.jsonl": lines(range(4, 8))})
    for limit in range(10):
        ids, errors = read(unit, config(tmp_path, limit=limit))
        assert len(ids) + len(errors) == min(limit, 8)
        assert ids == ["d0", "d2", "d3", "d4", "d5", "d6", "d7"][: len(ids)]


def test_a_limit_holds_across_batches(tmp_path, monkeypatch):
    """However the reader cuts."""
    monkeypatch.setattr(unit_input, "BATCH_ROWS", 3)
    unit = write(tmp_path, {"a.jsonl": lines(range(20))})
    for limit in (1, 3, 4, 7):
        assert len(read(unit, config(tmp_path, limit=limit))[0]) == limit


def test_a_limit_leaves_the_rest_of_the_file_alone(tmp_path, monkeypatch):
    """A look at a large corpus is quick."""
    monkeypatch.setattr(unit_input, "BATCH_ROWS", 2)
    unit = write(tmp_path, {"a.jsonl": lines(range(50)), "gone.jsonl": b""})
    (tmp_path / "gone.jsonl").unlink()
    assert len(read(unit, config(tmp_path, limit=4))[0]) == 4


SHARES = (0.0, 0.2, 0.5, 0.9, 1.0)


def test_a_sample_is_drawn_by_the_text_alone(tmp_path):
    """The same documents whatever their order, their files or the batches."""
    unit = write(tmp_path, {"a.jsonl": lines(range(200))})
    other = write(
        tmp_path, {"b.jsonl": lines(range(199, 99, -1)), "c.jsonl": lines(range(99, -1, -1))}
    )
    for share in SHARES:
        of = config(tmp_path, sample=share)
        assert sorted(read(unit, of)[0]) == sorted(read(other, of)[0])


def test_a_sample_has_about_the_share_and_a_larger_one_holds_it(tmp_path):
    """Nothing at 0, all at 1."""
    unit = write(tmp_path, {"a.jsonl": lines(range(1000))})
    samples = [set(read(unit, config(tmp_path, sample=share))[0]) for share in SHARES]
    assert [len(samples[0]), len(samples[-1])] == [0, 1000]
    for share, sample, larger in zip(SHARES, samples, samples[1:], strict=False):
        assert abs(len(sample) - 1000 * share) < 60
        assert sample <= larger


def test_the_whole_is_the_sample_of_everything(tmp_path, monkeypatch):
    """Even a text with the highest digest of all."""
    unit = write(tmp_path, {"a.jsonl": lines([1])})
    (batch,) = read_unit(unit, config(tmp_path))
    highest = batch.documents.set_column(
        batch.documents.schema.get_field_index("text_sha256"),
        batch.documents.schema.field("text_sha256"),
        ["f" * 64],
    )
    monkeypatch.setattr(
        unit_input.reading, "read", lambda *_: iter([batch._replace(documents=highest)])
    )
    assert len(read(unit, config(tmp_path, sample=1.0))[0]) == 1
    assert read(unit, config(tmp_path, sample=0.999)) == ([], [])


def test_errors_are_not_sampled_away(tmp_path):
    """A small look still shows what is broken."""
    unit = write(tmp_path, {"a.jsonl": lines(range(50), {3, 30})})
    assert len(read(unit, config(tmp_path, sample=0.0))[1]) == 2


def test_a_sample_and_a_limit_go_together(tmp_path):
    """The first so many of those that were drawn."""
    unit = write(tmp_path, {"a.jsonl": lines(range(300))})
    drawn = read(unit, config(tmp_path, sample=0.3))[0]
    assert read(unit, config(tmp_path, sample=0.3, limit=10))[0] == drawn[:10]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32), st.booleans())
def test_a_store_that_fails_here_and_there_costs_no_document(tmp_path_factory, seed, compressed):
    """Opening is repeated, and what was read is the same."""
    import gzip
    import random

    folder = tmp_path_factory.mktemp("in")
    content = lines(range(300), {7})
    name = "a.jsonl.gz" if compressed else "a.jsonl"
    unit = write(folder, {name: gzip.compress(content, mtime=0) if compressed else content})
    expected = read(unit, config(folder))
    draw = random.Random(seed)
    failures = []

    def failpoint(operation, path):
        if operation == "read" and len(failures) < 3 and draw.random() < 0.7:
            failures.append(path)
            raise OSError("503")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrying, "DELAYS", (0.0, 0.0, 0.0))
        patch.setattr(storage, "failpoint", failpoint)
        assert read(unit, config(folder)) == expected


def test_a_store_that_fails_for_good_is_an_error(tmp_path, monkeypatch):
    """The unit fails as a whole and is done by the next run; nothing counts as read."""
    unit = write(tmp_path, {"a.jsonl": lines([1])})
    monkeypatch.setattr(retrying, "DELAYS", (0.0,))

    def fail(operation, path):
        raise OSError(f"503 for {operation} of {path}")

    monkeypatch.setattr(storage, "failpoint", fail)
    with pytest.raises(OSError, match="503"):
        read(unit, config(tmp_path))


def test_the_digest_that_draws_is_that_of_the_text(tmp_path):
    """So that a sample can be drawn again by anyone."""
    unit = write(tmp_path, {"a.jsonl": lines(range(100))})
    drawn = set(read(unit, config(tmp_path, sample=0.5))[0])
    for number in range(100):
        digest = hashlib.sha256(f"Text number {number}.".encode()).hexdigest()
        assert (f"d{number}" in drawn) == (digest[0] in "01234567")
