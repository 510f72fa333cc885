import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.pipelines.reading import ReadBatch, ReadError
from raicurate.pipelines.receipts import Damage
from raicurate.pipelines.tally import Tally
from raicurate.transforms.contextualize import OUTPUT
from raicurate.transforms.decide import DECISIONS
from raicurate.transforms.schema import ANNOTATIONS, SOURCE


def documents(*texts):
    rows = [
        {
            "id": str(row),
            "text": text,
            "source": "s",
            "metadata": "{}",
            "text_sha256": "0",
            "src_file": "f",
            "src_row": row,
        }
        for row, text in enumerate(texts)
    ]
    return pa.RecordBatch.from_pylist(rows, schema=SOURCE)


def error(error_type="invalid_json", file="a.jsonl", size=None, damage=False):
    return ReadError(file, 1, None, error_type, "message", size, damage)


def document(action="keep", rule="keep", rejection=None, hazards=(), added=None, **labels):
    return {
        "labels": {
            "id": "i",
            "text_sha256": "0",
            "src_file": "f",
            "src_row": 0,
            "chars": 1,
            "lang": "en",
            "harm_model": "m",
            **labels,
        },
        "decisions": {
            "action": action,
            "rule": rule,
            "context_kind": "none",
            "withhold": "nothing",
            "store": "text",
            "active_hazards": list(hazards),
            "dimensions": [],
        },
        "applied": {
            "text": "women",
            "spans": [] if added is None else [{"start": 0, "end": 5, "kind": added, "ref": "x"}],
            "action": action,
            "rule": rule,
            "rejection": rejection,
        },
    }


def hazard(name="hate", stance="intent"):
    flags = dict.fromkeys(("operational", "target", "threat"), False)
    return {"hazard": name, "stance": stance, "score": 1.0, "start": 0, "end": 1, "severity": 1} | (
        flags
    )


def decided(tally, *rows):
    tally.add_decided(
        *(
            pa.RecordBatch.from_pylist([row[name] for row in rows], schema=schema)
            for name, schema in (
                ("labels", ANNOTATIONS),
                ("decisions", DECISIONS),
                ("applied", OUTPUT),
            )
        )
    )


def tables(*rows):
    tally = Tally()
    decided(tally, *rows)
    return tally.tables()


def test_what_the_reader_delivers_is_documents_and_errors():
    """Both count as documents in; text counts in UTF-8 bytes."""
    tally = Tally()
    tally.add_read(ReadBatch(documents("abc", "grün 😀"), [error()]))
    tally.add_read(ReadBatch(documents(), []))
    tally.add_read(ReadBatch(documents(), [error("empty_text")]))
    assert tally.documents_in == 4
    assert tally.text_bytes == 3 + len("grün 😀".encode())
    assert tally.tables() == {"error_type": {"empty_text": 1, "invalid_json": 1}}


def test_counts_are_those_of_the_reader_and_of_the_files():
    """The two sides of the law come from two places."""
    tally = Tally()
    tally.add_read(ReadBatch(documents("a", "b", "c"), [error()]))
    tally.withdrawn = 1
    ends = {"keep": 2, "contextualize": 0, "redact": 0, "restrict": 0, "drop": 0, "errors": 1}
    assert tally.counts(ends) == {"documents_in": 4, **ends, "withdrawn": 1}


def test_damage_is_summed_by_file_and_kind():
    """A bad line is no damage to its file; bytes that are not known count as none."""
    tally = Tally()
    tally.add_read(
        ReadBatch(
            documents(),
            [
                error("lost_tail", "b.gz", 100, damage=True),
                error("invalid_json", "b.gz", 7),
                error("checksum_mismatch", "b.gz", damage=True),
            ],
        )
    )
    tally.add_read(ReadBatch(documents(), [error("lost_tail", "b.gz", 20, damage=True)]))
    tally.add_read(ReadBatch(documents(), [error("empty_file", "a.gz", 0, damage=True)]))
    assert tally.damage() == [
        Damage("a.gz", "empty_file", 1, 0),
        Damage("b.gz", "checksum_mismatch", 1, 0),
        Damage("b.gz", "lost_tail", 2, 120),
    ]


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("x/a.jsonl#1024", "x/a.jsonl"),
        ("x/a.jsonl", "x/a.jsonl"),
        ("c#.jsonl", "c#.jsonl"),
        ("c#1.jsonl#0", "c#1.jsonl"),
    ],
)
def test_damage_names_the_file_and_not_the_range(file, named):
    """`expected_damage` goes by the names of files, which may hold a `#` of their own."""
    tally = Tally()
    tally.add_read(ReadBatch(documents(), [error("lost_tail", file, 1, damage=True)]))
    assert [found.file for found in tally.damage()] == [named]


def test_documents_are_counted_by_rule_and_language():
    """A document without a language stands under `none`."""
    found = tables(
        document("keep", "keep"),
        document("restrict", "away", lang="de"),
        document("keep", "keep", lang=None),
    )
    assert found["rule"] == {"away": 1, "keep": 2}
    assert found["action_by_language"] == {"de/restrict": 1, "en/keep": 1, "none/keep": 1}


def test_languages_without_a_measured_model_are_counted():
    """Not measured is not harmless; without any harm model nothing is said."""
    found = tables(
        document(harm_model="none", lang="sw"),
        document(harm_model="none", lang=None),
        document(harm_model=None, lang="de"),
        document(),
    )
    assert found["unmeasured_language"] == {"none": 1, "sw": 1}


def test_a_hazard_in_several_passages_counts_once():
    """Documents are counted, by hazard, stance and where they went."""
    found = tables(
        document(),
        document("restrict", hazards=[hazard(), hazard(), hazard(stance="topical")]),
        document("keep", hazards=[hazard(), hazard("cyber")]),
        document("restrict", hazards=[hazard()]),
    )
    assert found["action_by_hazard"] == {
        "cyber/intent/keep": 1,
        "hate/intent/keep": 1,
        "hate/intent/restrict": 2,
        "hate/topical/restrict": 1,
    }


def test_details_are_counted():
    """Errors, rejected contexts, personal data and failed steps."""
    kinds = [{"start": 0, "end": 1, "kind": kind} for kind in ("email", "ip", "email")]
    steps = [
        {"name": "A", "passed": False, "changed": False},
        {"name": "B", "passed": True, "changed": True},
    ]
    found = tables(
        document(rejection="too_long", personal_data=kinds),
        document(error_type="ValueError", steps=steps),
        document(steps=steps),
    )
    assert found["rejection"] == {"too_long": 1}
    assert found["error_type"] == {"ValueError": 1}
    assert found["personal_data"] == {"email": 2, "ip": 1}
    assert found["step_failed"] == {"A": 2}


def test_empty_tables_are_left_out_and_names_are_sorted():
    """The receipt has the same bytes whatever came first."""
    assert Tally().tables() == {}
    found = tables(document(rule="b"), document(rule="a"))
    assert list(found) == sorted(found)
    assert list(found["rule"]) == ["a", "b"]
    assert "step_failed" not in found


kinds_of_documents = st.lists(
    st.builds(
        document,
        st.sampled_from(["keep", "restrict"]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, "too_long"]),
        st.lists(st.builds(hazard, st.sampled_from(["hate", "cyber"])), max_size=3),
        lang=st.sampled_from(["en", None]),
        harm_model=st.sampled_from(["m", "none", None]),
    ),
    max_size=8,
)


@given(kinds_of_documents, st.integers(0, 8))
def test_tables_do_not_depend_on_batches(rows, cut):
    """Counting a unit in two pieces gives what counting it at once gives."""
    at_once, in_pieces = Tally(), Tally()
    decided(at_once, *rows)
    decided(in_pieces, *rows[:cut])
    decided(in_pieces, *rows[cut:])
    assert in_pieces.tables() == at_once.tables()
    assert sum(at_once.tables().get("rule", {}).values()) == len(rows)


def test_mentions_of_groups_are_counted_beside_added_context_only():
    """A document without context counts nothing, whatever it mentions."""
    tally = Tally()
    decided(tally, document(), document(added="context"), document(added="original"))
    assert tally.tables()["identity_mentions"] == {"women/inside": 1}
