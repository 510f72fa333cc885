import hashlib

import memory_store
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines import parts as parts_module
from raicurate.pipelines import storage
from raicurate.pipelines.parts import PartWriter
from raicurate.pipelines.receipts import Part
from raicurate.transforms import schema

FOOTER = {"rai.unit": "u", "rai.apply": "k"}


def documents(start, count, chars=100):
    """Returns rows whose text has no regularity that dictionaries could use."""
    rows = [
        {
            "id": f"doc-{number}",
            "text": (hashlib.sha256(str(number).encode()).hexdigest() * 2)[:chars],
            "source": "s",
            "added": "2026-01-01",
            "lang": "en",
            "metadata": "{}",
            "hazards": [{
                "hazard": "hate", "stance": "intent", "operational": False, "score": 0.5,
                "start": 0, "end": 1,
            }],
            "dimensions": ["fairness"],
            "action": "keep",
            "rule": "keep",
            "spans": [{"start": 0, "end": 1, "kind": "original", "ref": "t"}],
            "text_sha256": f"{number:064d}",
            "src_file": "f",
            "src_row": number,
            "corpus": "web",
            "license": "CC0-1.0",
            "derived_from": [],
            "annotators": [{"name": "harm", "version": "1", "model": "m"}],
        }
        for number in range(start, start + count)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, schema=schema.DOCUMENTS)


def writer(folder, row_group_bytes=10**9, part_bytes=10**9, of=schema.DOCUMENTS, column="text"):
    return PartWriter(of, str(folder), row_group_bytes, part_bytes, column)


def committed(folder, batches, **sizes):
    parts = writer(folder, **sizes)
    for batch in batches:
        parts.append(batch)
    return parts.commit("data", "data/web", "part-u-k", FOOTER)


def files(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def read_back(folder, parts):
    tables = [pq.read_table(folder / part.path.rpartition("/")[2]) for part in parts]
    return pa.concat_tables(tables)


def test_what_was_written_is_in_the_parts(tmp_path):
    """Rows in order, in the frozen schema; the receipt tells rows, size and digest of the file."""
    batches = [documents(0, 3), documents(3, 5)]
    (part,) = committed(tmp_path, batches)
    path = tmp_path / "part-u-k.parquet"
    assert read_back(tmp_path, [part]).equals(pa.Table.from_batches(batches))
    assert pq.read_schema(path).remove_metadata().equals(schema.DOCUMENTS)
    assert part == Part(
        "data",
        "data/web/part-u-k.parquet",
        8,
        path.stat().st_size,
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def test_nothing_written_is_no_file(tmp_path):
    """No rows, or batches without rows, make no empty part."""
    assert committed(tmp_path / "a", []) == []
    assert committed(tmp_path / "b", [documents(0, 0)] * 3) == []
    assert files(tmp_path) == []


def test_a_part_rolls_over_at_its_size(tmp_path):
    """The next part begins once the size is reached; names count up from the second."""
    batches = [documents(10 * number, 10) for number in range(7)]
    size = batches[0].column("text").nbytes
    parts = committed(tmp_path, batches, part_bytes=2 * size)
    assert [(part.path, part.rows) for part in parts] == [
        ("data/web/part-u-k.parquet", 20),
        ("data/web/part-u-k-1.parquet", 20),
        ("data/web/part-u-k-2.parquet", 20),
        ("data/web/part-u-k-3.parquet", 10),
    ]
    assert read_back(tmp_path, parts).equals(pa.Table.from_batches(batches))


def test_a_part_that_is_just_full_leaves_no_empty_one(tmp_path):
    """The end of the rows and the end of a part may coincide."""
    batches = [documents(0, 10), documents(10, 10)]
    size = batches[0].column("text").nbytes
    assert len(committed(tmp_path, batches, part_bytes=size)) == 2
    assert len(files(tmp_path)) == 2


def test_each_part_is_filled_anew(tmp_path):
    """What stands in one part does not count for the next."""
    one = documents(0, 1)
    size = one.column("text").nbytes
    parts = committed(tmp_path, [documents(number, 1) for number in range(9)], part_bytes=3 * size)
    assert [part.rows for part in parts] == [3, 3, 3]


def test_the_part_of_the_next_rows_is_known_in_advance(tmp_path):
    """The ledger says in which part each document stands."""
    size = documents(0, 10).column("text").nbytes
    parts = writer(tmp_path, part_bytes=2 * size)
    told = []
    for number in range(5):
        told.append(parts.part)
        parts.append(documents(10 * number, 10))
    found = [part.rows for part in parts.commit("data", "data/web", "part", {})]
    assert told == [0, 0, 1, 1, 2]
    assert found == [told.count(index) * 10 for index in range(3)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1000, 4000), st.integers(1, 4))
def test_no_row_group_is_empty_and_all_but_the_last_are_full(tmp_path_factory, counts, size, roll):
    """Loaders refuse row groups without rows; small ones cost speed."""
    folder = tmp_path_factory.mktemp("parts")
    start, batches = 0, []
    for count in counts:
        batches.append(documents(start, count))
        start += count
    parts = committed(folder, batches, row_group_bytes=size, part_bytes=roll * size)
    assert sum(part.rows for part in parts) == start
    for part in parts:
        metadata = pq.read_metadata(folder / part.path.rpartition("/")[2])
        groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        assert all(groups)
        # 100 characters and 4 bytes of offset a row: what the size of a group is counted in.
        assert all(rows * 104 + 4 * len(counts) >= size for rows in groups[:-1])


def test_without_a_size_column_all_columns_count(tmp_path):
    """Layers without text roll by everything that they hold."""
    ledger = pa.RecordBatch.from_pylist(
        [
            {"id": str(row), "src_file": "f", "action": "keep", "rule": "keep", "hazards": []}
            for row in range(100)
        ],
        schema=schema.LEDGER,
    )
    sizes = {"of": schema.LEDGER, "column": None, "part_bytes": ledger.nbytes}
    assert len(committed(tmp_path, [ledger, ledger], **sizes)) == 2


def test_the_footer_holds_the_keys_and_the_version_of_the_schema(tmp_path):
    """A part says for itself what it is, also away from its receipts."""
    committed(tmp_path, [documents(0, 3)])
    found = pq.read_metadata(tmp_path / "part-u-k.parquet").metadata
    assert {key: value for key, value in found.items() if key.startswith(b"rai.")} == {
        b"rai.schema_version": schema.SCHEMA_VERSION.encode(),
        b"rai.unit": b"u",
        b"rai.apply": b"k",
    }


def columns(path):
    group = pq.read_metadata(path).row_group(0)
    return {
        group.column(index).path_in_schema: group.column(index)
        for index in range(group.num_columns)
    }


def test_only_columns_with_few_values_have_a_dictionary(tmp_path):
    """On text, ids and digests it costs time and memory for nothing."""
    committed(tmp_path, [documents(0, 500)])
    with_dictionary = {
        name
        for name, column in columns(tmp_path / "part-u-k.parquet").items()
        if column.has_dictionary_page
    }
    assert with_dictionary == {
        *("source", "added", "lang", "action", "rule", "src_file", "corpus", "license"),
        *("hazards.list.element.hazard", "hazards.list.element.stance"),
        "dimensions.list.element",
        *("spans.list.element.kind", "spans.list.element.ref"),
        *(f"annotators.list.element.{name}" for name in ("name", "version", "model")),
    }


def test_every_dictionary_column_exists_in_some_layer(tmp_path):
    """A misspelt column name would quietly be written without a dictionary."""
    known = set()
    for layer in (schema.DOCUMENTS, schema.ANNOTATIONS, schema.ERRORS, schema.LEDGER):
        pq.write_table(layer.empty_table(), tmp_path / "a.parquet")
        paths = pq.ParquetFile(tmp_path / "a.parquet").schema
        known |= {paths.column(index).path for index in range(len(paths.names))}
    assert set(parts_module._DICTIONARY_COLUMNS) <= known


def test_all_columns_are_compressed_by_zstd_with_a_page_index(tmp_path):
    """Readers can skip pages, and files stay small."""
    committed(tmp_path, [documents(0, 500)])
    for column in columns(tmp_path / "part-u-k.parquet").values():
        assert column.compression == "ZSTD"
        assert column.has_column_index
        assert column.has_offset_index


def test_a_discarded_writer_leaves_nothing(tmp_path):
    """Neither open nor full parts, at any time, and also twice."""
    size = documents(0, 10).column("text").nbytes
    parts = writer(tmp_path, row_group_bytes=1, part_bytes=2 * size)
    for number in range(3):
        parts.append(documents(10 * number, 10))
    assert len(files(tmp_path)) == 2
    assert all(name.startswith(".") for name in files(tmp_path))
    for _ in range(2):
        parts.discard()
        assert files(tmp_path) == []


def test_discarding_after_a_commit_keeps_the_parts(tmp_path):
    """Only what was not published goes."""
    parts = writer(tmp_path)
    parts.append(documents(0, 3))
    parts.commit("data", "data/web", "part", {})
    parts.discard()
    assert files(tmp_path) == ["part.parquet"]


def test_a_commit_that_fails_halfway_leaves_whole_parts_only(tmp_path, monkeypatch):
    """The receipt is written after all parts, so nobody takes them for the unit."""
    size = documents(0, 10).column("text").nbytes
    parts = writer(tmp_path, part_bytes=size)
    for number in range(3):
        parts.append(documents(10 * number, 10))
    renamed = []

    def fail_at_the_second(operation, path):
        if operation == "rename":
            renamed.append(path)
            if len(renamed) == 2:
                raise OSError("simulated")

    monkeypatch.setattr(storage, "failpoint", fail_at_the_second)
    with pytest.raises(OSError, match="simulated"):
        parts.commit("data", "data/web", "part", {})
    parts.discard()
    assert files(tmp_path) == ["part.parquet"]
    assert pq.read_table(tmp_path / "part.parquet").num_rows == 10


def test_a_file_that_does_not_hold_what_was_written_is_not_published(tmp_path, monkeypatch):
    """The file is opened again before anyone can see it."""
    parts = writer(tmp_path)
    parts.append(documents(0, 3))
    parts._flush()
    parts._open.rows += 1
    with pytest.raises(ContractError, match="holds 3 rows after 4 were written"):
        parts.commit("data", "data/web", "part", {})
    parts.discard()
    assert files(tmp_path) == []


def digests(folder, batches, **sizes):
    return [part.sha256 for part in committed(folder, batches, **sizes)]


def test_the_same_batches_give_the_same_bytes(tmp_path):
    """Written twice, on any day, in any folder."""
    batches = [documents(0, 30), documents(30, 7)]
    sizes = {"row_group_bytes": 1000, "part_bytes": 3000}
    first = digests(tmp_path / "a", batches, **sizes)
    assert first == digests(tmp_path / "b", batches, **sizes)
    # Memory that is shared with rows before and after makes no difference.
    whole = pa.Table.from_batches([documents(0, 37)]).combine_chunks().to_batches()[0]
    assert first == digests(tmp_path / "c", [whole.slice(0, 30), whole.slice(30, 7)], **sizes)


def test_within_a_row_group_the_cut_into_batches_does_not_matter(tmp_path):
    """Row groups end where a batch ends, so another cut gives the same rows in other groups.

    Readers cut batches by fixed numbers, so that a unit has the same bytes in every run.
    """
    one = [documents(0, 40)]
    two = [documents(0, 13), documents(13, 27)]
    assert digests(tmp_path / "a", one) == digests(tmp_path / "b", two)
    sizes = {"row_group_bytes": 1000}
    parts = {
        name: committed(tmp_path / name, batches, **sizes)
        for name, batches in (("c", one), ("d", two))
    }
    assert read_back(tmp_path / "c", parts["c"]).equals(read_back(tmp_path / "d", parts["d"]))
    groups = [
        pq.read_metadata(tmp_path / name / "part-u-k.parquet").num_row_groups for name in "cd"
    ]
    assert groups == [1, 2]


def test_parts_are_written_to_a_store(tmp_path):
    """The file is made locally and stands under its final name when it is whole."""
    memory_store.OBJECTS.clear()
    parts = PartWriter(schema.DOCUMENTS, "mem://bucket/out/data/web", 10**9, 10**9, "text")
    parts.append(documents(0, 3))
    assert not memory_store.OBJECTS
    (part,) = parts.commit("data", "data/web", "part", FOOTER)
    parts.discard()
    (local,) = committed(tmp_path, [documents(0, 3)])
    assert part.sha256 == local.sha256
    path = "mem://bucket/out/data/web/part.parquet"
    assert hashlib.sha256(memory_store.OBJECTS[path][0]).hexdigest() == part.sha256
    assert list(memory_store.OBJECTS) == [path]
