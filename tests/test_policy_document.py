"""A policy document is read into sections and blocks that stand at their place in the text."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raicurate.transforms.clause import Span
from raicurate.transforms.html_text import html_text
from raicurate.transforms.inline_markup import words_of
from raicurate.transforms.policy_document import PolicyDocument, read_policy
from raicurate.transforms.sentences import sentences


def read(text: str, media: str = "markdown") -> PolicyDocument:
    return read_policy(text, media, "doc", "en")  # type: ignore[arg-type]


def kinds(document: PolicyDocument) -> list[tuple[str, str]]:
    return [(block.kind, block.words.text) for block in document.blocks]


def test_sections_have_their_path() -> None:
    """Each block knows the titles that lead to it; underlined and bold titles count."""
    document = read("# A\n\none\n\n## B\n\ntwo\n\nC\n=\n\nthree\n\n**D**\n\nfour\n")
    paths = {block.words.text: document.section_path(block) for block in document.blocks}
    assert paths["one"] == ("A",)
    assert paths["two"] == ("A", "B")
    assert paths["three"] == ("C",)
    assert paths["four"] == ("C", "D")


def test_items_know_their_lead_also_when_nested() -> None:
    """The lead of an item is the paragraph before the list, or the item that it stands under."""
    document = read("You must:\n\n- lock\n  - the door\n- leave:\n\n  1. early\n\nThen rest.\n")
    lead = {
        block.words.text: None if block.lead is None else document.blocks[block.lead].words.text
        for block in document.blocks
    }
    assert lead == {
        "You must:": None,
        "lock": "You must:",
        "the door": "lock",
        "leave:": "You must:",
        "early": "leave:",
        "Then rest.": None,
    }


def test_rows_of_a_table_know_their_header() -> None:
    """Cells stand at their place, and every row names the first."""
    document = read("| Class | Review |\n|---|---|\n| High | every 6 months |\n")
    header, row = document.blocks
    assert row.header == 0
    assert [cell.of(document.text) for cell in row.cells] == ["High", "every 6 months"]
    assert header.header is None


def test_boilerplate_is_left_out() -> None:
    """Front matter, comments, code, contents, images and attributes are no blocks."""
    text = (
        "---\ntitle: The policy\n---\n<!-- hidden\nrule: you must -->\n# The policy\n\n"
        "- [One](#one)\n- [Two](#two)\n- [Three](#three)\n\n```\nyou must\n```\n\n"
        "![You must](x.png)\n{: .wide}\n\n[ref]: https://example.org\n\nStay calm.\n"
    )
    document = read(text)
    assert document.title == "The policy"
    assert kinds(document) == [("heading", "The policy"), ("paragraph", "Stay calm.")]


def test_words_are_without_markup_and_spans_with_it() -> None:
    """Fields are found on words without markup and stand in the text as it is."""
    text = "You **must\nnot** [share](https://x.org/a_(b)) `keys`[^1] &nbsp; now.\n"
    (block,) = read(text).blocks
    assert block.words.text == "You must not share keys now."
    start = block.words.text.index("must not share")
    span = block.words.span(start, start + len("must not share"))
    assert span.of(text) == "must\nnot** [share"
    assert read(text).words(span) == "must not share"


def test_page_text_has_headings_and_lists() -> None:
    """The text that the reader of web pages makes keeps titles, bullets and tables apart."""
    page = (
        "<h1>Rules</h1><p>You must:</p><ul><li>ask</li><li>wait</li></ul>"
        "<h2>Fees</h2><table><tr><td>Day</td><td>5 euros</td></tr></table>"
    )
    document = read(html_text(f"<html><body>{page}</body></html>", main_content=False), "html")
    assert kinds(document) == [
        ("heading", "Rules"),
        ("paragraph", "You must:"),
        ("item", "ask"),
        ("item", "wait"),
        ("heading", "Fees"),
        ("row", "Day 5 euros"),
    ]


def test_numbered_paragraphs_of_plain_text() -> None:
    """Numbers are no words; a short numbered line alone is a title."""
    document = read("1. Scope\n\n1.1 This holds for all.\n1.2 It holds always.\n", "text")
    assert kinds(document) == [
        ("heading", "Scope"),
        ("paragraph", "This holds for all."),
        ("paragraph", "It holds always."),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ask first. Then act!", ["Ask first.", "Then act!"]),
        ("See e.g. Annex 2. Then act.", ["See e.g. Annex 2.", "Then act."]),
        ("Use v1.2 of J. Doe. Stop.", ["Use v1.2 of J. Doe.", "Stop."]),
        ("守ること。急ぐこと。", ["守ること。", "急ぐこと。"]),
        ("ऐसा करें। फिर रुकें।", ["ऐसा करें।", "फिर रुकें।"]),
        ("هل تفهم؟ نعم.", ["هل تفهم؟", "نعم."]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    """Sentences end at their marks, but not after abbreviations, initials and numbers."""
    found = [text[slice(*bounds)] for bounds in sentences(text, text.lower(), {"e.g"})]
    assert found == expected


markdown = st.lists(
    st.sampled_from(
        ["# ", "- ", "  - ", "1. ", "> ", "|", "---", "\n", "\n\n", "```", "**", "[a](b)", "<!--",
         "-->", "`", "word", " must ", "İ", "ß", "。", "\t", "&nbsp;", "{: x}", ": ", "=",
         "\\", "<b>"]
    ),
    max_size=60,
).map("".join)  # fmt: skip


@settings(deadline=None)
@given(markdown | st.text(max_size=200), st.sampled_from(["markdown", "html", "text"]))
def test_every_offset_stands_in_the_text(text: str, media: str) -> None:
    """Whatever the text, blocks stand in it in order, and their words at their places."""
    document = read(text, media)
    end = 0
    for block in document.blocks:
        assert end <= block.span.start < block.span.end <= len(text)
        end = block.span.end
        words = block.words
        assert len(words.text) == len(words.lower)
        for offset, sign in enumerate(words.text):
            if sign != " ":
                assert text[words.start(offset)] == sign


@example("`  `a")
@given(st.text(alphabet="ab *_[](`)\n<>", max_size=60))
def test_words_of_part_are_words_of_whole(text: str) -> None:
    """A stretch that words stand on gives these words again."""
    words = words_of(text, Span(0, len(text)), True)
    if words.text:
        document = read(text)
        for block in document.blocks:
            span = block.words.span(0, len(block.words.text))
            assert document.words(span) == block.words.text
