import pyarrow as pa
import pytest

from raicurate.corpora_manifests.manifest import Corpus
from raicurate.pipelines.output_rows import error_rows, ledger_rows, published_rows, unread_rows
from raicurate.pipelines.reading import ReadError
from raicurate.transforms import schema
from raicurate.transforms.contextualize import OUTPUT
from raicurate.transforms.decide import DECISIONS

CORPUS = Corpus.model_validate({"name": "web", "paths": ["*"], "license": "CC0-1.0"})
SIGNATURE = pa.scalar([{"name": "harm", "version": "1", "model": "m"}], pa.list_(schema.ANNOTATOR))
SECRET = "a text that must go nowhere"


def hazard(name="hate", severity=3):
    flags = {"operational": True, "target": True, "threat": False}
    entry = {"hazard": name, "stance": "intent", "score": 0.75, "start": 1, "end": 2}
    return entry | flags | {"severity": severity}


def document(row, store="text", action="keep", hazards=(), text=None, error=None):
    original = text or f"text {row}"
    place = {"id": f"d{row}", "text_sha256": "0" * 64, "src_file": "a.jsonl", "src_row": row + 7}
    return {
        "documents": place
        | {
            "text": original,
            "source": "s",
            "added": "2026-01-01",
            "created": "2025-01-01",
            "url": f"https://example.net/{original}",
            "declared_lang": "de",
            "metadata": f'{{"title": "{original}"}}',
        },
        "labels": place
        | {
            "chars": 5,
            "lang": "en",
            "lang_score": 0.5,
            "harm_score": 0.25,
            "error_type": error,
            "error_stage": error and "annotate:x@1",
            "error_message": error and "message",
        },
        "decisions": {
            "action": action,
            "rule": "of-the-policy",
            "context_kind": "none",
            "withhold": "nothing",
            "store": store,
            "severity": 3,
            "active_hazards": list(hazards),
            "dimensions": ["fairness"],
        },
        "applied": {
            "text": f"{original} with context",
            "spans": [{"start": 0, "end": 4, "kind": "original", "ref": None}],
            "action": action,
            "rule": "applied",
            "rejection": None,
        },
    }


SCHEMAS = {
    "documents": schema.SOURCE,
    "labels": schema.ANNOTATIONS,
    "decisions": DECISIONS,
    "applied": OUTPUT,
}


def batches(*rows):
    return {
        name: pa.RecordBatch.from_pylist([row[name] for row in rows], schema=of)
        for name, of in SCHEMAS.items()
    }


def published(*rows):
    result = published_rows(**batches(*rows), corpus=CORPUS, signature=SIGNATURE)
    result.validate(full=True)
    assert result.schema == schema.DOCUMENTS
    return result.to_pylist()


def ledger(*rows):
    result = ledger_rows(**batches(*rows))
    result.validate(full=True)
    assert result.schema == schema.LEDGER
    return result.to_pylist()


def test_a_published_row_joins_source_labels_and_decision():
    """Every column comes from the step that knows it best."""
    (row,) = published(document(0, hazards=[hazard()]))
    assert row == {
        "id": "d0",
        "text": "text 0 with context",
        "source": "s",
        "added": "2026-01-01",
        "created": "2025-01-01",
        "url": "https://example.net/text 0",
        "lang": "en",
        "lang_score": 0.5,
        "metadata": '{"title": "text 0"}',
        "harm_score": 0.25,
        "severity": 3,
        "hazards": [
            {
                "hazard": "hate",
                "stance": "intent",
                "operational": True,
                "score": 0.75,
                "start": 1,
                "end": 2,
            }
        ],
        "dimensions": ["fairness"],
        "action": "keep",
        "rule": "applied",
        "spans": [{"start": 0, "end": 4, "kind": "original", "ref": None}],
        "text_sha256": "0" * 64,
        "src_file": "a.jsonl",
        "src_row": 7,
        "corpus": "web",
        "license": "CC0-1.0",
        "derived_from": [],
        "annotators": [{"name": "harm", "version": "1", "model": "m"}],
        "media": None,
    }


def test_a_record_only_row_holds_nothing_of_the_document():
    """Text, URL and metadata go; id, digest and labels stay. Others in the batch keep theirs."""
    record, other = published(
        document(0, "record", "restrict", [hazard()], SECRET), document(1, "text", "restrict")
    )
    assert (record["text"], record["url"], record["metadata"]) == (None, None, "{}")
    assert SECRET not in str(record)
    assert (record["id"], record["text_sha256"], record["severity"]) == ("d0", "0" * 64, 3)
    assert [entry["hazard"] for entry in record["hazards"]] == ["hate"]
    assert other["text"] == "text 1 with context"
    assert other["url"] == "https://example.net/text 1"
    assert other["metadata"] == '{"title": "text 1"}'


def test_a_ledger_row_says_what_became_of_a_document_without_its_text():
    """Ids, scores, the names of hazards; tier and part are filled in when it is written."""
    (row,) = ledger(document(0, hazards=[hazard(), hazard("cyber")]))
    assert row == {
        "id": "d0",
        "src_file": "a.jsonl",
        "src_row": 7,
        "lang": "en",
        "action": "keep",
        "rule": "applied",
        "harm_score": 0.25,
        "severity": 3,
        "hazards": ["hate", "cyber"],
        "text_sha256": "0" * 64,
        "tier": None,
        "part": None,
    }


@pytest.mark.parametrize("make", [published, ledger])
def test_hazards_stay_with_their_documents(make):
    """Also where some documents have none."""
    rows = make(
        document(0), document(1, hazards=[hazard(), hazard("cyber")]), document(2),
        document(3, hazards=[hazard("privacy")]),
    )  # fmt: skip
    names = [
        [entry["hazard"] if isinstance(entry, dict) else entry for entry in row["hazards"]]
        for row in rows
    ]
    assert names == [[], ["hate", "cyber"], [], ["privacy"]]


def test_a_slice_of_a_batch_gives_the_rows_of_the_slice():
    """Batches share memory; offsets are counted from where the slice begins."""
    whole = batches(*(document(row, hazards=[hazard()] * row) for row in range(5)))
    part = {name: batch.slice(2, 2) for name, batch in whole.items()}
    for make in (
        lambda of: published_rows(**of, corpus=CORPUS, signature=SIGNATURE),
        lambda of: ledger_rows(**of),
    ):
        assert make(part).to_pylist() == make(whole).to_pylist()[2:4]


def test_no_documents_give_no_rows():
    """In all three layers, with their schemas."""
    assert published() == []
    assert ledger() == []
    assert error_rows("u", batches()["labels"]).schema == schema.ERRORS


def test_only_failed_documents_become_error_rows():
    """With stage, type, message and place; the number of bytes is not known."""
    rows = batches(document(0), document(1, action="error", error="ValueError"))
    found = error_rows("u", rows["labels"])
    assert found.schema == schema.ERRORS
    assert found.to_pylist() == [
        {
            "unit": "u",
            "file": "a.jsonl",
            "row": 8,
            "id": "d1",
            "stage": "annotate:x@1",
            "error_type": "ValueError",
            "message": "message",
            "bytes": None,
        }
    ]


def test_what_could_not_be_read_is_an_error_and_stands_in_the_ledger():
    """A lost tail has neither row nor id, and says how many bytes it has."""
    errors, found = unread_rows(
        "u",
        [
            ReadError("a.jsonl", 3, "x", "null_text", "no text", None, False),
            ReadError("a.jsonl", None, None, "lost_tail", "cut", 99, True),
        ],
    )
    assert errors.schema == schema.ERRORS
    assert found.schema == schema.LEDGER
    assert [tuple(row.values()) for row in errors.to_pylist()] == [
        ("u", "a.jsonl", 3, "x", "read", "null_text", "no text", None),
        ("u", "a.jsonl", None, None, "read", "lost_tail", "cut", 99),
    ]
    columns = ("id", "src_file", "src_row", "action", "rule", "hazards", "lang", "text_sha256")
    assert [tuple(row[name] for name in columns) for row in found.to_pylist()] == [
        ("x", "a.jsonl", 3, "error", "null_text", [], None, None),
        (None, "a.jsonl", None, "error", "lost_tail", [], None, None),
    ]


def test_nothing_unread_gives_no_rows():
    """Most batches have no errors."""
    errors, found = unread_rows("u", [])
    assert (errors.num_rows, found.num_rows) == (0, 0)
