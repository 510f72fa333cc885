import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ContractError
from raicurate.pipelines import storage
from raicurate.pipelines.parts import PartWriter
from raicurate.pipelines.receipts import Receipt
from raicurate.pipelines.snapshots import superseded_path
from raicurate.pipelines.stored_annotations import StoredAnnotations
from raicurate.transforms.schema import ANNOTATIONS

PREFIX = "annotations/core/web"


def labels(numbers):
    rows = [
        {
            "id": f"d{number}",
            "text_sha256": f"{number:064d}",
            "src_file": "f",
            "src_row": number,
            "chars": number,
        }
        for number in numbers
    ]
    return pa.RecordBatch.from_pylist(rows, schema=ANNOTATIONS)


def documents(numbers):
    return labels(numbers).select(["id", "text_sha256"])


def written(out, *counts):
    """Writes annotations as one part for each count, and returns the parts."""
    writer = PartWriter(ANNOTATIONS, storage.join(str(out), PREFIX), 1, 1)
    start = 0
    for count in counts:
        writer.append(labels(range(start, start + count)))
        start += count
    return writer.commit("annotations", PREFIX, "part-u-a", {})


def stored(out, *counts):
    return StoredAnnotations(str(out), "key", written(out, *counts))


def taken(annotations, sizes):
    """Takes the annotations of batches of documents; returns the numbers that came."""
    start, found = 0, []
    for size in sizes:
        batch = annotations.take(documents(range(start, start + size)))
        assert batch.schema == ANNOTATIONS
        found.append(batch.column("chars").to_pylist())
        start += size
    return found


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.data())
def test_annotations_come_in_step_with_the_documents(tmp_path_factory, counts, data):
    """However they were cut into parts, and however the documents are cut into batches."""
    left, sizes = sum(counts), []
    while left:
        sizes.append(data.draw(st.integers(1, left)))
        left -= sizes[-1]
    annotations = stored(tmp_path_factory.mktemp("out"), *counts)
    found = taken(annotations, sizes)
    assert [len(batch) for batch in found] == sizes
    assert [number for batch in found for number in batch] == list(range(sum(counts)))
    annotations.finish()


def test_more_rows_than_a_batch_holds_come_in_step(tmp_path, monkeypatch):
    """A part is read piece by piece."""
    monkeypatch.setattr("raicurate.pipelines.stored_annotations.BATCH_ROWS", 3)
    annotations = stored(tmp_path, 10)
    assert taken(annotations, [2, 5, 3]) == [[0, 1], [2, 3, 4, 5, 6], [7, 8, 9]]
    annotations.finish()


@pytest.mark.parametrize(
    "wrong",
    [
        documents([0, 2]),
        documents([1, 0]),
        pa.RecordBatch.from_arrays(
            [pa.array(["d0", "other"]), documents([0, 1]).column(1)], names=["id", "text_sha256"]
        ),
        pa.RecordBatch.from_arrays(
            [documents([0, 1]).column(0), pa.array(["0" * 64, "f" * 64])],
            names=["id", "text_sha256"],
        ),
    ],
)
def test_annotations_of_other_documents_are_a_broken_contract(tmp_path, wrong):
    """A changed text or another order is noticed; the message names the parts."""
    with pytest.raises(ContractError, match=r"part-u-a\.parquet do not belong"):
        stored(tmp_path, 2).take(wrong)


def test_too_few_annotations_are_a_broken_contract(tmp_path):
    """At the end of the unit or in the middle of a batch."""
    annotations = stored(tmp_path, 2)
    taken(annotations, [2])
    with pytest.raises(ContractError, match="do not belong"):
        annotations.take(documents([2]))
    with pytest.raises(ContractError, match="do not belong"):
        stored(tmp_path / "b", 2).take(documents([0, 1, 2]))


def test_annotations_left_over_are_a_broken_contract(tmp_path):
    """Within a batch, or as whole parts that nobody asked for."""
    rest = stored(tmp_path, 3)
    taken(rest, [2])
    with pytest.raises(ContractError, match="do not belong"):
        rest.finish()
    part = stored(tmp_path / "b", 2, 1)
    taken(part, [2])
    with pytest.raises(ContractError, match="do not belong"):
        part.finish()


def test_nothing_stored_for_nothing_read(tmp_path):
    """A unit without documents has no annotations."""
    StoredAnnotations(str(tmp_path), "key", []).finish()


def test_superseded_annotations_are_found(tmp_path):
    """They were moved away by a later snapshot, and serve again when the policy goes back."""
    parts = written(tmp_path, 2)
    storage.move(
        storage.join(str(tmp_path), parts[0].path), superseded_path(str(tmp_path), parts[0])
    )
    assert taken(StoredAnnotations(str(tmp_path), "key", parts), [2]) == [[0, 1]]


def test_annotations_that_disappeared_are_a_broken_contract(tmp_path):
    """The message names the part."""
    parts = written(tmp_path, 2)
    storage.delete(storage.join(str(tmp_path), parts[0].path))
    with pytest.raises(ContractError, match=r"part-u-a\.parquet disappeared"):
        StoredAnnotations(str(tmp_path), "key", parts).take(documents([0]))


def test_some_columns_can_be_read_alone(tmp_path):
    """Without taking anything from the stream."""
    annotations = stored(tmp_path, 2, 1)
    found = list(annotations.batches(["id", "chars"]))
    assert [batch.schema.names for batch in found] == [["id", "chars"]] * 2
    assert [row["id"] for batch in found for row in batch.to_pylist()] == ["d0", "d1", "d2"]
    assert taken(annotations, [3]) == [[0, 1, 2]]


def test_one_part_can_be_read_alone(tmp_path):
    """Without the parts before it."""
    annotations = stored(tmp_path, 2, 3, 1)
    (batch,) = annotations.batches(["id"], annotations.parts[1])
    assert batch.column("id").to_pylist() == ["d2", "d3", "d4"]


def test_a_receipt_names_its_annotations(tmp_path):
    """Its other parts are left aside."""
    (part,) = written(tmp_path, 1)
    others = [part.__class__("data", "data/web/x.parquet", 1, 1, "0")]
    receipt = Receipt("u", "web", [], "r", {}, {"annotate": "k"}, {}, 0, {}, parts=[*others, part])
    found = StoredAnnotations.of(str(tmp_path), receipt)
    assert (found.key, found.parts) == ("k", [part])
