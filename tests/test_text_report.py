import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.pipelines.curate_unit import Job
from raicurate.pipelines.plan import Plan, PlannedUnit
from raicurate.pipelines.receipts import OUTCOMES, Damage, Receipt
from raicurate.pipelines.text_report import megabytes, plan_lines, table, totals_lines
from raicurate.pipelines.totals import Totals
from raicurate.pipelines.units import Unit, UnitFile


def receipt(corpus="web", tables=None, damage=(), **ends):
    counts = dict.fromkeys(OUTCOMES, 0) | ends
    return Receipt(
        unit="u",
        corpus=corpus,
        files=[],
        request="r",
        components={},
        keys={},
        counts={"documents_in": sum(ends.values()), **counts},
        text_bytes=2_000_000,
        tables=tables or {},
        damage=list(damage),
    )


def totals(*receipts, expected=None):
    return Totals.of(receipts, expected or {})


def planned(name, reason, size):
    unit = Unit("web", (UnitFile(name, "jsonl", size),), size)
    return PlannedUnit(Job(unit, "request"), reason)


def test_a_table_is_aligned():
    """The first column to the left, numbers to the right, nothing behind the last."""
    assert table(("corpus", "in"), [("web", "5"), ("long name", "12345")]) == [
        "corpus        in",
        "web            5",
        "long name  12345",
    ]


def test_a_table_without_rows_is_its_header():
    """As for a plan with nothing in it."""
    assert table(("plan", "units"), []) == ["plan  units"]


words = st.text("ab", max_size=5)


@given(st.lists(st.tuples(words, words, words), max_size=5))
def test_columns_line_up_whatever_they_hold(rows):
    """Every cell ends, or begins, where its column does."""
    lines = table(("one", "two", "three"), rows)
    width = max(len(line) for line in lines)
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert [word for word in line.split(" ") if word] == [word for word in row if word]
        assert not row[2] or len(line) == width


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0.0"), (49_999, "0.0"), (1_250_000, "1.2"), (10**9, "1000.0")]
)
def test_sizes_are_in_megabytes(size, text):
    """Of 10^6 bytes, with one digit."""
    assert megabytes(size) == text


def test_a_plan_says_what_happens_to_how_many_units():
    """By reason, with sizes; units that are gone are counted too."""
    plan = Plan(
        (
            planned("a", "new", 1_000_000),
            planned("b", "new", 500_000),
            planned("c", "policy changed", 0),
        ),
        removed=(receipt(),),
    )
    assert plan_lines(plan) == [
        "plan            units   MB",
        "new                 2  1.5",
        "policy changed      1  0.0",
        "removed             1  2.0",
    ]


def test_totals_say_where_the_documents_ended():
    """By corpus and in total, and that the sum is what was read."""
    lines = totals_lines(totals(receipt(keep=3, drop=1), receipt("books", keep=2, errors=1)))
    assert lines[1].split() == ["corpus", "in", *OUTCOMES]
    assert [line.split() for line in lines[2:5]] == [
        ["web", "4", "3", "0", "0", "0", "1", "0", "0"],
        ["books", "3", "2", "0", "0", "0", "0", "1", "0"],
        ["total", "7", "5", "0", "0", "0", "1", "1", "0"],
    ]
    assert lines[-1].endswith("7 documents in = 5 + 0 + 0 + 0 + 1 + 1 + 0")


def test_only_the_tables_that_were_asked_for_and_hold_something_are_shown():
    """With a heading in words."""
    of = totals(receipt(keep=1, tables={"rule": {"keep": 1}, "personal_data": {"ip": 2}}))
    text = "\n".join(totals_lines(of))
    assert "Decided by rule:\n  keep" in text
    for name, heading in (("rejection", "Context not accepted"), ("error_type", "Errors by type")):
        with_it = totals(receipt(keep=1, tables={name: {"some_reason": 7}}))
        assert any(line.startswith(heading) for line in totals_lines(with_it))
        assert f"  {'some_reason':<40} {7:>8}" in totals_lines(with_it)
    assert "Personal data" not in text
    assert "Errors by type" not in text
    assert "Personal data found:\n  ip" in "\n".join(totals_lines(of, ["personal_data"]))


def test_every_table_of_a_receipt_has_a_heading():
    """`raicurate status` shows them all."""
    names = [
        *("rule", "action_by_hazard", "action_by_language", "unmeasured_language"),
        *("personal_data", "step_failed", "rejection", "error_type"),
    ]
    of = totals(receipt(keep=1, tables={name: {"x": 1} for name in names}))
    assert sum(line.endswith(":") for line in totals_lines(of, names)) == len(names)


def test_damage_is_told_with_its_bytes_and_whether_it_was_expected():
    """What is not expected stands out."""
    damage = [Damage("a.gz", "lost_tail", 1, 99), Damage("b.gz", "empty_file", 1, 0)]
    lines = totals_lines(totals(receipt(errors=2, damage=damage), expected={"web": ["a.gz"]}))
    start = lines.index("Damaged input:")
    assert lines[start + 1 : start + 3] == [
        "  a.gz: lost_tail, 99 bytes lost (expected)",
        "  b.gz: empty_file, 0 bytes lost (NOT EXPECTED)",
    ]
    assert "Damaged input:" not in totals_lines(totals(receipt(keep=1)))
