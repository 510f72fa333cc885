"""Stretches for the sample of clauses are drawn alike everywhere, and stored without text."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TEXT = "# A heading of some length\n\n" + "\n\n".join(
    f"Sentence {number} says what members do. And it goes on with sentence {number}."
    for number in range(9)
)
ROWS = [
    {"id": f"doc{n}", "lang": "en", "source": f"source{n % 5}", "text": TEXT} for n in range(10)
]


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """The module behind the command that draws."""
    spec = importlib.util.spec_from_file_location(
        "draw_clauses", ROOT / "benchmarks" / "draw_clauses.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["draw_clauses"] = module
    spec.loader.exec_module(module)
    return module


def _places(units: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(unit["document"], unit["start"]) for unit in units]


def test_draw_goes_round_by_round(drawing: ModuleType) -> None:
    """Every document gives one stretch before any gives two, in whatever order they come."""
    units = list(drawing.draw(ROWS, [], "en", 20))
    assert {document for document, _ in _places(units[:10])} == {row["id"] for row in ROWS}
    assert len(set(_places(units))) == 20
    assert _places(list(drawing.draw(reversed(ROWS), [], "en", 20))) == _places(units)
    assert not any("heading" in unit["text"] for unit in units)


def test_a_source_gives_at_most_a_quarter(drawing: ModuleType) -> None:
    """One source does not fill a language, even where the total is not reached."""
    rows = [{**row, "source": "one"} for row in ROWS[:8]] + ROWS[8:]
    units = list(drawing.draw(rows, [], "en", 16))
    assert sum(unit["document"] in {f"doc{n}" for n in range(8)} for unit in units) == 4


def test_a_larger_draw_goes_on(drawing: ModuleType) -> None:
    """What was drawn before counts, and is not drawn again."""
    first = list(drawing.draw(ROWS, [], "en", 12))
    more = list(drawing.draw(ROWS, first, "en", 20))
    assert len(more) == 8
    assert sorted(_places(first + more)) == sorted(_places(list(drawing.draw(ROWS, [], "en", 20))))


def test_stored_without_text(drawing: ModuleType, tmp_path: Path) -> None:
    """Places and labels are stored; a stretch without a label or that is there adds nothing."""
    sample = tmp_path / "sample.jsonl"
    sample.write_text("", encoding="utf-8")
    sheet = [{**unit, "labels": ["none"]} for unit in drawing.draw(ROWS, [], "en", 8)]
    assert drawing.add(sheet, sample) == 8
    stored = sample.read_text(encoding="utf-8")
    assert "sentence" not in stored.lower()
    assert {json.loads(line)["part"] for line in stored.splitlines()} <= {"tuning", "held_out"}
    for wrong in ({"labels": []}, {"labels": ["rule"]}, {}):
        with pytest.raises(SystemExit, match="nothing was added"):
            drawing.add([{**sheet[0], **wrong}], sample)
    assert sample.read_text(encoding="utf-8") == stored
