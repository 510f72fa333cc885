import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.digests import digest
from raicurate.pipelines import storage
from raicurate.pipelines.receipts import (
    ANNOTATIONS,
    DATA,
    ERRORS,
    LEDGER,
    OUTCOMES,
    RESTRICTED,
    Damage,
    Part,
    Receipt,
    add_tables,
    read_receipts,
    receipt_path,
    write_receipt,
)


def receipt(unit="u", request="r" * 32, **changes):
    counts = dict.fromkeys(("documents_in", *OUTCOMES), 0) | {"documents_in": 3, "keep": 3}
    values = {
        "unit": unit,
        "corpus": "web",
        "files": [["a.jsonl", None, None, "content"]],
        "request": request,
        "components": {"input": "i"},
        "keys": {"read": "1", "annotate": "2", "apply": "3"},
        "counts": counts,
        "text_bytes": 30,
        "tables": {"rule": {"keep": 3}},
        "damage": [Damage("a.jsonl", "lost_tail", 1, 9)],
        "withdrawn": ["w"],
        "parts": [Part("data", "data/web/part-u-k.parquet", 3, 100, "0" * 64)],
    }
    return Receipt(**values | changes)


def test_a_receipt_survives_json():
    """What was written is what is read, and its bytes are the same every time."""
    assert Receipt.from_json(receipt().to_json()) == receipt()
    assert receipt().to_json() == receipt().to_json()


def test_a_receipt_is_written_under_unit_and_request(tmp_path):
    """Two requests for one unit stand side by side."""
    out = str(tmp_path)
    for request in ("a" * 32, "b" * 32):
        write_receipt(out, receipt(request=request))
    assert receipt_path(out, "u", "a" * 32) == f"{out}/_rai/receipts/u-{'a' * 16}.json"
    assert set(read_receipts(out)) == {("u", "a" * 32), ("u", "b" * 32)}
    assert read_receipts(out)["u", "a" * 32] == receipt(request="a" * 32)


def test_without_receipts_there_are_none(tmp_path):
    """A first run starts from nothing."""
    assert read_receipts(str(tmp_path)) == {}


@pytest.mark.parametrize("damage", ["half", "changed", "empty", "garbage", "removed_digest"])
def test_a_damaged_receipt_is_ignored(tmp_path, damage):
    """Its unit is simply done again; the others stand."""
    out = str(tmp_path)
    write_receipt(out, receipt("good"))
    write_receipt(out, receipt("bad"))
    content = receipt("bad").to_json()
    values = orjson.loads(content)
    path = receipt_path(out, "bad", "r" * 32)
    storage.write_bytes(
        path,
        {
            "half": content[: len(content) // 2],
            "changed": content.replace(b'"text_bytes": 30', b'"text_bytes": 31'),
            "empty": b"",
            "garbage": b"\xff\x00",
            "removed_digest": orjson.dumps({k: v for k, v in values.items() if k != "digest"}),
        }[damage],
    )
    assert set(read_receipts(out)) == {("good", "r" * 32)}


def with_digest(values):
    return orjson.dumps(values | {"digest": digest(values)})


def test_a_receipt_of_another_version_is_ignored():
    """One with other fields cannot be understood, so its unit is done again."""
    values = orjson.loads(receipt().to_json())
    del values["digest"]
    assert Receipt.from_json(with_digest(values)) == receipt()
    assert Receipt.from_json(with_digest(values | {"mood": "good"})) is None
    for name in ("keys", "parts"):
        less = {key: value for key, value in values.items() if key != name}
        assert Receipt.from_json(with_digest(less)) is None
    assert Receipt.from_json(with_digest(values | {"parts": [{"layer": "data"}]})) is None


@given(st.binary() | st.text().map(str.encode))
def test_no_content_of_a_receipt_crashes(content):
    """Whatever a crash left behind."""
    assert Receipt.from_json(content) is None


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["digest", "unit", "parts"]), x),
    )
)
def test_no_json_of_a_receipt_crashes(value):
    """Also where it is JSON of another kind."""
    try:
        content = orjson.dumps(value)
    except TypeError:
        return
    assert Receipt.from_json(content) is None


@given(st.data())
def test_any_change_of_a_byte_is_noticed(data):
    """A receipt is believed only as it was written."""
    content = receipt().to_json()
    place = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = content[:place] + bytes([byte]) + content[place + 1 :]
    found = Receipt.from_json(changed)
    assert found is None or found == receipt()


@given(
    st.lists(st.integers(0, 5), min_size=len(OUTCOMES), max_size=len(OUTCOMES)), st.integers(0, 9)
)
def test_a_receipt_is_balanced_where_every_document_ended_once(ends, documents_in):
    """The law of conservation, for one unit."""
    counts = {"documents_in": documents_in, **dict(zip(OUTCOMES, ends, strict=True))}
    assert receipt(counts=counts).balanced == (documents_in == sum(ends))


def test_every_outcome_counts():
    """Published, restricted, dropped, failed and withdrawn documents are all accounted for."""
    ends = {"keep", "contextualize", "redact", "restrict", "drop", "errors", "withdrawn"}
    assert set(OUTCOMES) == ends
    assert len(OUTCOMES) == len(ends)


def test_the_layers_are_named_as_their_folders():
    """What stands under `data/` is the layer `data`, in every receipt."""
    layers = (DATA, RESTRICTED, ANNOTATIONS, ERRORS, LEDGER)
    assert layers == ("data", "restricted", "annotations", "errors", "ledger")


def test_tables_add_up_in_sorted_order():
    """Whatever the order of the receipts, and though some lack a table."""
    receipts = [
        receipt(tables={"rule": {"keep": 3, "drop": 1}}),
        receipt(tables={}),
        receipt(tables={"rule": {"away": 2, "keep": 1}, "lang": {"en": 4}}),
    ]
    expected = {"lang": {"en": 4}, "rule": {"away": 2, "drop": 1, "keep": 4}}
    for order in (receipts, receipts[::-1]):
        found = add_tables(order)
        assert found == expected
        assert [list(found), list(found["rule"])] == [["lang", "rule"], ["away", "drop", "keep"]]


def test_adding_tables_leaves_the_receipts_alone():
    """They are written again later, and must keep their digests."""
    first = receipt(tables={"rule": {"keep": 3}})
    add_tables([first, first])
    assert first.tables == {"rule": {"keep": 3}}
