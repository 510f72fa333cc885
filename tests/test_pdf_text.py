"""Text of PDF files: what is concluded from type and place."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import Placed, pdf

from raicurate.corpora_manifests.errors import DocumentError, MissingExtraError
from raicurate.pipelines.cli import main
from raicurate.transforms.pdf_text import pdf_text
from raicurate.transforms.policy_rows import policy_of_row

RULES = [
    Placed(50, 760, "Rules for the garden", 18, bold=True),
    Placed(50, 720, "Tenants must water the garden within 48 hours if they have used it for a"),
    Placed(50, 706, "party. They may “ask” the care-"),
    Placed(50, 692, "taker (or his deputy)."),
    Placed(50, 660, "Fire", bold=True),
    Placed(60, 640, "• Guests must not light a fire,"),
    Placed(70, 626, "unless the landlord agrees."),
    Placed(60, 612, "• Nobody may smoke."),
]


def test_headings_paragraphs_and_items_come_out_as_markdown():
    """Larger and bold type are headings; lines are joined, and hyphens at their ends removed."""
    assert pdf_text(pdf([RULES])).split("\n\n") == [
        "# Rules for the garden",
        "Tenants must water the garden within 48 hours if they have used it for a party. They may "
        "“ask” the caretaker (or his deputy).",
        "## Fire",
        "- Guests must not light a fire, unless the landlord agrees.",
        "- Nobody may smoke.",
    ]


def test_running_heads_and_numbers_of_pages_are_left_out():
    """What stands at the edge of three pages is not the document's text."""
    pages = [
        [
            Placed(50, 800, f"House Rules 2026, page {number} of 3", 9),
            Placed(50, 700, f"Rule {word} holds for everyone in the house."),
            Placed(290, 30, str(number), 9),
        ]
        for number, word in enumerate(("one", "two", "three"), 1)
    ]
    text = pdf_text(pdf(pages))
    assert text.count("holds for everyone") == 3
    assert "House Rules" not in text
    assert not any(line.strip().isdecimal() for line in text.splitlines())


def test_a_sentence_goes_on_over_the_page():
    """A paragraph that ends without a stop continues on the next page, if in lower case."""
    pages = [
        [Placed(50, 60, "Guests must not light a fire unless")],
        [Placed(50, 780, "the landlord agrees."), Placed(50, 740, "Owners may.")],
    ]
    assert pdf_text(pdf(pages)).split("\n\n") == [
        "Guests must not light a fire unless the landlord agrees.",
        "Owners may.",
    ]


def test_lines_of_a_table_of_contents_are_left_out():
    """Dots that lead to the number of a page are no sentence."""
    page = [Placed(50, 700, "1 Fire . . . . . . . . . 12"), Placed(50, 650, "Owners may.")]
    assert pdf_text(pdf([page])) == "Owners may."


def test_signs_of_markdown_lose_their_meaning():
    """A hash that stands in a PDF is no heading."""
    assert pdf_text(pdf([[Placed(50, 700, "#1 is the rule of rules.")]])) == (
        "\\#1 is the rule of rules."
    )


def test_a_page_without_text_gives_none():
    """As from a scanner: the reader then says that the document is empty."""
    assert pdf_text(pdf([[]])) == ""


@given(st.binary(max_size=300) | st.integers(0, 1400).map(lambda cut: pdf([RULES])[:cut]))
def test_damaged_files_are_errors_of_their_own(data):
    """Whatever the bytes: text, or a designed error."""
    try:
        pdf_text(data)
    except DocumentError as error:
        kind = error.error_type
    else:
        kind = "unreadable_file"
    assert kind == "unreadable_file"


def test_sections_of_a_pdf_are_those_of_the_policy():
    """A clause from a PDF knows the headings above it."""
    document = policy_of_row("rules", pdf_text(pdf([RULES])), "en", "rules.pdf", "{}")
    item = next(block for block in document.blocks if "fire" in block.words.text)
    assert document.section_path(item) == ("Rules for the garden", "Fire")


MANIFEST = """
schema_version: 1
name: house
policy: policies/default.yaml
annotators: [{use: language@1}]
corpora:
  - {name: rules, role: policy, root: %s, paths: ["*.pdf"], license: CC0-1.0, lang: en}
exercises: {unseen: 0, read_only: 0}
output: {restricted: "{out}.restricted"}
"""


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "rules.pdf").write_bytes(pdf([RULES]))
    path = tmp_path / "m.yaml"
    path.write_text(MANIFEST % tmp_path, encoding="utf-8")
    return path


def test_a_run_makes_exercises_of_a_pdf(manifest, tmp_path, capsys):
    """From the file to the exercises, by the suffix alone."""
    assert main(["run", str(manifest), "--out", str(tmp_path / "out")]) == 0
    assert list((tmp_path / "out" / "exercises").rglob("*.parquet"))


def test_a_pdf_can_be_previewed(manifest, tmp_path, capsys):
    """Its clauses are shown like those of any document; a broken file is refused."""
    assert main(["exercises", "preview", str(tmp_path / "rules.pdf"), "--each", "1"]) == 0
    assert "light a fire" in capsys.readouterr().out
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    assert main(["exercises", "preview", str(tmp_path / "broken.pdf")]) == 2
    assert "no PDF that can be read" in capsys.readouterr().err


def test_without_the_package_the_install_line_is_said(manifest, tmp_path, capsys, monkeypatch):
    """Before anything is read, and with the exit code of wrong usage."""
    monkeypatch.setitem(sys.modules, "pypdfium2", None)
    assert main(["run", str(manifest), "--out", str(tmp_path / "out")]) == 2
    assert "raicurate[pdf]" in capsys.readouterr().err
    with pytest.raises(MissingExtraError):
        pdf_text(pdf([RULES]))
