"""Contamination: what stands in the training data is found, and nothing else is called clean."""

import gzip
from pathlib import Path

import apache_beam as beam
import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from helpers import Curate, documents, make_manifest, write_jsonl
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines import storage
from raicurate.pipelines.cli import main
from raicurate.pipelines.contamination import corpora_of, dump_jobs, make_jobs, scan
from raicurate.pipelines.find_probe import FindProbe
from raicurate.probes.contamination import (
    CONTAMINATED_WORDS,
    SEED_WORDS,
    Coverage,
    ProbeIndex,
    ProbeText,
    read_verdicts,
    results,
)
from raicurate.probes.suite import load_suite, resolve_suite

SENTENCE = (
    "The ferry master writes down who crossed, at what hour and with which load, and shows the "
    "page to anyone who crossed with it"
)
OTHER = (
    "A gardener who prunes in winter leaves two buds on each shoot so that the tree can choose the "
    "one that it feeds in spring"
)
WHOLE = Coverage(1, 1, 1, 10, 0, 1000)


def _index(*texts: str) -> ProbeIndex:
    return ProbeIndex([ProbeText(f"item-{number}", 0, text) for number, text in enumerate(texts)])


def _verdicts(index: ProbeIndex, documents: list[str], coverage: Coverage = WHOLE) -> list[str]:
    ids = [str(number) for number in range(len(documents))]
    found: list[str] = results(index, index.scan(ids, documents), coverage)["verdict"].to_pylist()
    return found


def _longest_common(left: list[str], right: list[str]) -> int:
    """Returns the words of the longest run in common, by the textbook's table."""
    best = 0
    row = [0] * (len(right) + 1)
    for word in left:
        row = [0, *(row[j] + 1 if word == other else 0 for j, other in enumerate(right))]
        best = max(best, *row)
    return best


WORDS = st.lists(st.sampled_from(["one", "two", "three"]), min_size=0, max_size=40)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=3), st.lists(WORDS, min_size=1, max_size=4))
def test_the_longest_run_is_that_of_the_textbook(
    probes: list[list[str]], documents: list[list[str]]
) -> None:
    """Over texts full of repetition, the longest run in common is exact from the seed on."""
    index = _index(*(" ".join(words) for words in probes))
    found = index.scan(
        [str(number) for number in range(len(documents))], [", ".join(d) for d in documents]
    )
    for number, words in enumerate(probes):
        lengths = [_longest_common(words, document) for document in documents]
        longest = max(lengths) if max(lengths) >= SEED_WORDS else 0
        assert (found[number].longest if number in found else 0) == longest
        if longest:
            counts = [sum(length >= size for length in lengths) for size in (8, 13, 50)]
            assert found[number].documents == counts


def test_copies_are_found_through_other_spelling() -> None:
    """Case, punctuation and line breaks hide nothing; a copy of thirteen words is enough."""
    index = _index(SENTENCE, OTHER)
    words = SENTENCE.upper().replace(",", " --").split()
    assert _verdicts(index, ["Before. " + "\n".join(words) + " After."]) == [
        "contaminated",
        "clean",
    ]
    thirteen = SENTENCE.split()[3 : 3 + CONTAMINATED_WORDS]
    assert _verdicts(index, [" ".join(thirteen)]) == ["contaminated", "clean"]
    assert _verdicts(index, [" ".join(thirteen[:-1])]) == ["clean", "clean"]


def test_runs_do_not_reach_across_documents() -> None:
    """A text that is torn in two over neighbouring documents is in neither."""
    words = SENTENCE.split()
    assert _verdicts(_index(SENTENCE), [" ".join(words[:12]), " ".join(words[12:])]) == ["clean"]


def test_a_hash_that_collides_is_no_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has the hash of a probe but other letters is thrown out by the exact comparison."""
    import raicurate.probes.contamination as module

    def colliding(words: object, length: int) -> tuple[np.ndarray, np.ndarray]:
        places, hashes = original(words, length)
        return places, hashes & np.uint64(0)

    original = module.run_hashes
    monkeypatch.setattr(module, "run_hashes", colliding)
    assert _verdicts(_index(SENTENCE), [OTHER]) == ["clean"]


def test_unscanned_is_never_clean() -> None:
    """Texts too short to look for, and all texts of a partial scan, are not called clean."""
    index = _index("too short", SENTENCE)
    assert _verdicts(index, ["nothing"]) == ["unscanned", "clean"]
    for partial in (
        Coverage(2, 1, 2, 10, 0, 1), Coverage(1, 1, 1, 10, 1, 1), Coverage(1, 1, 1, 10, 0, 1, 1),
    ):  # fmt: skip
        assert _verdicts(index, ["nothing"], partial) == ["unscanned", "unscanned"]
        assert _verdicts(index, [SENTENCE], partial) == ["unscanned", "contaminated"]
        assert partial.fraction < 1 or partial.damaged


def test_a_short_text_counts_if_all_of_it_is_found() -> None:
    """Ten words, all of them in a document, are contaminated; nine of them are not."""
    words = SENTENCE.split()[:10]
    index = _index(" ".join(words))
    assert _verdicts(index, [" ".join(words)]) == ["contaminated"]
    assert _verdicts(index, [" ".join(words[:9])]) == ["clean"]


def test_languages_without_spaces() -> None:
    """Thirteen signs of Japanese in common are a hit."""
    text = "個人情報は、本人の同意なしに第三者へ提供してはならない。"
    assert _verdicts(_index(text), [f"前置き。{text}後"]) == ["contaminated"]


def _shards(folder: Path) -> Path:
    for number in range(6):
        records = [
            {"id": f"{number}-{n}", "text": f"{OTHER.split()[n]} fills page {n} of shard {number}"}
            for n in range(20)
        ]
        if number % 2:
            records.append({"id": f"{number}-hit", "text": f"Someone wrote: {SENTENCE}."})
        write_jsonl(folder / f"{number}.jsonl.gz", records)
    return folder


@pytest.mark.parametrize("bundle_repeat", [0, 2])
def test_scan_of_files(tmp_path: Path, bundle_repeat: int) -> None:
    """All shards are read, hits are counted by document, and a replayed bundle changes nothing."""
    folder = _shards(tmp_path / "in")
    index = _index(SENTENCE, OTHER)
    out = str(tmp_path / "out")
    found, coverage = scan(index, corpora_of([str(folder)]), out, bundle_repeat=bundle_repeat)
    shards = [gzip.decompress(path.read_bytes()) for path in folder.iterdir()]
    read = [line for shard in shards for line in shard.splitlines()]
    size = sum(len(orjson.loads(line)["text"]) for line in read)
    assert coverage == Coverage(1, 1, 6, 123, 0, size)
    assert coverage.complete
    table = results(index, found, coverage)
    assert table["verdict"].to_pylist() == ["contaminated", "clean"]
    assert table["documents_13"].to_pylist() == [3, 0]
    assert table["examples"].to_pylist() == [["1-hit", "3-hit", "5-hit"], []]
    pq.write_table(table, tmp_path / "c.parquet")
    assert read_verdicts(tmp_path / "c.parquet") == {"item-0": True, "item-1": False}


def test_an_item_is_clean_if_all_of_its_texts_are(tmp_path: Path) -> None:
    """One contaminated text is enough; one that was not scanned leaves the item unknown."""
    texts = [
        ProbeText("found", 0, OTHER), ProbeText("found", 1, SENTENCE),
        ProbeText("short", 0, OTHER), ProbeText("short", 1, "too short"),
        ProbeText("clean", 0, OTHER),
    ]  # fmt: skip
    index = ProbeIndex(texts)
    pq.write_table(results(index, index.scan(["1"], [SENTENCE]), WHOLE), tmp_path / "c.parquet")
    assert read_verdicts(tmp_path / "c.parquet") == {"found": True, "clean": False}


def test_nothing_is_scanned_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second scan reads no document; one changed file, or another probe, is looked through."""
    folder = _shards(tmp_path / "in")
    out = str(tmp_path / "out")
    first = scan(_index(SENTENCE), corpora_of([str(folder)]), out)
    seen: list[int] = []
    monkeypatch.setattr(ProbeIndex, "scan", lambda *given: seen.append(len(given[2])) or {})
    assert scan(_index(SENTENCE), corpora_of([str(folder)]), out) == first
    assert not seen
    scan(_index(OTHER), corpora_of([str(folder)]), out)
    assert sum(seen) == 123
    write_jsonl(folder / "0.jsonl.gz", [{"id": "new", "text": "fresh"}])
    seen.clear()
    scan(_index(SENTENCE), corpora_of([str(folder)]), out)
    assert sum(seen) == 104


def test_damage_makes_the_scan_partial(tmp_path: Path) -> None:
    """A truncated archive is scanned up to the damage, and nothing is clean after that."""
    folder = _shards(tmp_path / "in")
    content = (folder / "1.jsonl.gz").read_bytes()
    (folder / "1.jsonl.gz").write_bytes(content[: len(content) // 2])
    found, coverage = scan(_index(SENTENCE, OTHER), corpora_of([str(folder)]), str(tmp_path / "o"))
    assert not coverage.complete
    verdicts = results(_index(SENTENCE, OTHER), found, coverage)["verdict"].to_pylist()
    assert verdicts == ["contaminated", "unscanned"]


def test_inputs(tmp_path: Path) -> None:
    """A file, a glob and a folder are inputs; what matches nothing is an error."""
    folder = _shards(tmp_path / "in")
    for given_input, files in (
        (folder / "1.jsonl.gz", 1),
        (folder / "[0-2].jsonl.gz", 3),
        (folder, 6),
    ):
        jobs = make_jobs(corpora_of([str(given_input)]), _index(SENTENCE), str(tmp_path))
        assert sum(len(job.unit.files) for job in jobs) == files
    with pytest.raises(ContractError, match="no file"):
        make_jobs(corpora_of([str(folder / "x*.jsonl")]), _index(SENTENCE), str(tmp_path))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what was found and how much was looked through; damage ends with 3."""
    folder = _shards(tmp_path / "in")
    probe = write_jsonl(
        tmp_path / "p.jsonl", [{"id": "a", "text": SENTENCE}, {"id": "b", "text": OTHER}]
    )
    command = ["contamination", str(probe), str(folder), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert "100.00%" in capsys.readouterr().out
    assert read_verdicts(tmp_path / "out" / "contamination.parquet") == {"a": True, "b": False}
    assert main([*command, "--json"]) == 0
    summary = orjson.loads(capsys.readouterr().out)
    assert summary["verdicts"] == {"contaminated": 1, "clean": 1, "unscanned": 0}
    assert summary["coverage"]["documents"] == 123
    assert SENTENCE not in (tmp_path / "out" / "contamination.json").read_text()
    (folder / "3.jsonl.gz").write_bytes((folder / "3.jsonl.gz").read_bytes()[:90])
    assert main(command) == 3
    assert read_verdicts(tmp_path / "out" / "contamination.parquet") == {"a": True}
    assert "a part of the training data" in capsys.readouterr().err


def test_a_run_and_a_suite(tmp_path: Path, curate_here: Curate) -> None:
    """Of a run, all that a model is trained on is looked through; a suite is named by its file."""
    item = load_suite(resolve_suite("controllability")).items[0]
    leaked = item.contexts[0] + item.continuations[0]
    write_jsonl(tmp_path / "in" / "a.jsonl", [*documents(20), {"id": "leak", "text": leaked}])
    curate_here(make_manifest(tmp_path / "in"), tmp_path / "run")
    out = tmp_path / "out"
    assert main(["contamination", "controllability", str(tmp_path / "run"), "--out", str(out)]) == 0
    verdicts = read_verdicts(out / "contamination.parquet")
    assert [name for name, found in verdicts.items() if found] == [item.id]


def test_the_graph_keeps_to_the_portable_subset(tmp_path: Path) -> None:
    """`process` only, one output, no side inputs; a shuffle between the plan and the work."""
    from test_portable_subset import _Collector

    index = _index(SENTENCE)
    jobs = make_jobs(corpora_of([str(_shards(tmp_path / "in"))]), index, str(tmp_path / "out"))
    storage.write_bytes(str(tmp_path / "jobs"), dump_jobs(jobs))
    pipeline = beam.Pipeline(runner=FnApiRunner())
    pipeline | FindProbe(index, str(tmp_path / "out"), str(tmp_path / "jobs"))
    collector = _Collector()
    pipeline.visit(collector)
    labels = [node.full_label for node in collector.found]
    order = [
        next(i for i, label in enumerate(labels) if part in label)
        for part in ("ReadPlan", "Distribute", "ScanUnit")
    ]
    assert order == sorted(order)
    for node in collector.found:
        assert not node.side_inputs
        assert set(node.outputs) <= {None, "None"}
        dofn = getattr(node.transform, "fn", None)
        if isinstance(dofn, beam.DoFn) and type(dofn).__module__.startswith("raicurate"):
            assert {name for name in vars(type(dofn)) if not name.startswith("_")} <= {"process"}
