import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.annotate_personal_data import find_personal_data
from raicurate.transforms.personal_data_card import passes_luhn
from raicurate.transforms.personal_data_iban import passes_iban_check
from raicurate.transforms.registry import create
from raicurate.transforms.schema import PERSONAL_DATA

DATA = Path(os.environ.get("RAI_DATA", "/nonexistent"))

PLANTED = {
    "email": ["ada@lovelace.org", "a.b+c@mail.example.co.uk", "josé.garcía@correo.es"],
    "phone": ["+49 30 1234567", "(212) 555-1234", "+81-3-1234-5678", "01 23 45 67 89"],
    "ip": ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"],
    "card": ["4111 1111 1111 1111", "5500000000000004", "3782 822463 10005"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819"],
}


def found(text: str, kinds: list[str] | None = None) -> list[tuple[str, str]]:
    """Returns kind and wording of what is found in one text."""
    column = pa.array([text])
    spans = find_personal_data(column, kinds) if kinds else find_personal_data(column)
    return [(span["kind"], text[span["start"] : span["end"]]) for span in spans.to_pylist()[0]]


@pytest.mark.parametrize(
    ("kind", "datum"), [(kind, datum) for kind, data in PLANTED.items() for datum in data]
)
def test_finds_every_kind_at_the_edges_and_inside(kind: str, datum: str) -> None:
    """A datum is found alone, at both ends of a text, and between words and signs."""
    for text in (datum, f"{datum} end", f"start {datum}", f"x ({datum}), y", f"«{datum}»\n"):
        assert found(text) == [(kind, datum)]


# No digits, at signs or ASCII letters next to the datum, which would change what it is.
FILLER = st.text(
    st.characters(exclude_categories=("Cs", "Nd"), exclude_characters="@")
    | st.sampled_from("\n \u00a0äß日本語\u0301😀ع"),
    max_size=40,
)


@given(
    before=FILLER,
    after=FILLER,
    data=st.lists(
        st.sampled_from([(kind, datum) for kind, data in PLANTED.items() for datum in data]),
        min_size=1,
        max_size=4,
    ),
    rows_before=st.integers(0, 3),
)
@example(before="😀日本", after="é", data=[("email", "ada@lovelace.org")], rows_before=1)
@settings(max_examples=300, deadline=None)
def test_what_stands_at_the_offsets_is_the_datum(
    before: str, after: str, data: list[tuple[str, str]], rows_before: int
) -> None:
    """Offsets are code points of the text, whatever Unicode stands around and in rows before."""
    text = before
    expected = []
    for kind, datum in data:
        text += "\n\n| "
        expected.append((len(text), len(text) + len(datum), kind, datum))
        text += datum + " |\n\n" + after
    rows = [before + after] * rows_before + [text]
    spans = find_personal_data(pa.array(rows)).to_pylist()[-1]
    places = {(span["start"], span["end"], span["kind"]) for span in spans}
    assert {item[:3] for item in expected} <= places
    for start, end, _, datum in expected:
        assert text[start:end] == datum


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=200), max_size=5))
@settings(deadline=None)
def test_spans_are_sorted_inside_the_text_and_do_not_overlap(texts: list[str]) -> None:
    """Any text gives valid spans, for both string types and for slices, and the same each time."""
    column = pa.array(texts, pa.string())
    result = find_personal_data(column)
    assert result.type.value_type == PERSONAL_DATA
    assert find_personal_data(column.cast(pa.large_string())).equals(result)
    assert find_personal_data(column[1:]).to_pylist() == result.to_pylist()[1:]
    for text, spans in zip(texts, result.to_pylist(), strict=True):
        position = 0
        for span in spans:
            assert position <= span["start"] < span["end"] <= len(text)
            position = span["end"]


@given(st.text("0123456789 .-+()/:@abAB%_x\n٠९０", max_size=120), st.integers(0, 3))
@example("4111 1111 1111 1111", 1)
@example("01 23 45 67 89", 2)
@example("93.184.216.34", 1)
@example("555 9876", 3)
@settings(max_examples=400, deadline=None)
def test_a_document_is_judged_alone(text: str, neighbours: int) -> None:
    """What stands in the rows around a document changes nothing in it."""
    alone = find_personal_data(pa.array([text])).to_pylist()[0]
    rows = [*["+49 30", "4111 1111", "Phone: "][:neighbours], text, "1234567", "@b.com"]
    assert find_personal_data(pa.array(rows)).to_pylist()[neighbours] == alone


@pytest.mark.parametrize(
    "text",
    [
        "@app.route and @user, or @user@mastodon.social",
        "git clone git@github.com:org/repo.git",
        "scp notes user@host.com:/tmp/",
        "user@localhost, user@host",
        "icon@2x.png and bootstrap@5.3.3/dist",
        "hidden = weights@layer.to(device)",
        "postgresql://user:secret@db.host.com/name",
        "https://medium.com/@some.writer/story",
        "write to user@example.com or you@yourdomain.com",
    ],
)
def test_not_an_email_address(text: str) -> None:
    """Handles, decorators, logins, packages, code and placeholders are left alone."""
    assert found(text) == []


def test_names_at_example_domains_are_found() -> None:
    """Synthetic records use example.com with names, which are to be masked like real ones."""
    assert found("jane.doe@example.com") == [("email", "jane.doe@example.com")]


def test_email_ends_where_the_sentence_does() -> None:
    """Punctuation, emphasis and a sentence that follows without a space are not part of it."""
    assert found("Ask a@b-c.org.") == [("email", "a@b-c.org")]
    assert found("Ask a@b-c.org.Then wait") == [("email", "a@b-c.org")]
    assert found("_legal@mozilla.com_") == [("email", "legal@mozilla.com")]
    assert found("联系foo@bar.cn。") == [("email", "foo@bar.cn")]


@pytest.mark.parametrize(
    "text",
    [
        "version 1.2.3.4, release 93.184.216.34",
        "v93.184.216.34 lib-93.184.216.34.jar ==93.184.216.34 Chrome/93.184.216.34",
        "section 5.1.9.1 and § 93.184.216.34",
        "10.0.0.1 172.16.5.4 192.168.1.1 127.0.0.1 169.254.10.20 100.64.0.7",
        "192.0.2.33 198.51.100.77 203.0.113.99 224.0.0.251 255.255.255.0 0.0.0.0",
        "93.184.216.0/24 is a network, 93.184.216.34.5 a number",
        "the resolver 8.8.8.8",
        "256.300.1.2 and 01.02.03.04",
        "2001:db8::1 fe80::1 ::1 fd00::1234 std::vec 12:34:56 2001:4860:4860::8888",
    ],
)
def test_not_the_address_of_a_person(text: str) -> None:
    """Versions, sections, special-purpose blocks, networks and name servers are left alone."""
    assert found(text) == []


def test_an_announced_address_counts_even_if_it_looks_like_a_version() -> None:
    """After the words `IP address` even small numbers are an address."""
    assert found("IP address: 5.9.14.3") == [("ip", "5.9.14.3")]


@pytest.mark.parametrize(
    "text",
    [
        "ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, ISSN 1234-5678",
        "2001-02-03 10:00:00 +0200, 1999-2001, 01.02.2003, 31/12/1999",
        "$1,234,567.89 or 12 345 678 or +200 000 000",
        "id 1234567890123, doi:10.5479/si.00963801.2981.221",
        "48 C.F.R. 252.227-7013",
        "decimal degrees +40.446 -79.982",
        "The Call. 1902-01-30",
        "tel-00968888/document",
        "2147483647 is 2^31-1",
    ],
)
def test_not_a_phone_number(text: str) -> None:
    """Book and article numbers, dates, amounts, identifiers and coordinates are left alone."""
    assert found(text) == []


@pytest.mark.parametrize(
    "number",
    [
        *("+1 (877) 273-8550", "1-800-352-5267", "212.555.1234", "+44 (0)20 7946 0958"),
        *("020 7946 0958", "07700 900123", "0151 23456789", "030/12345678", "090-1234-5678"),
        *("(11) 91234-5678", "+91 98765 43210", "+8613812345678", "+34\u00a0912\u00a0345\u00a0678"),
    ],
)
def test_phone_numbers_of_many_countries(number: str) -> None:
    """International numbers and the usual national ways of writing are found whole."""
    assert found(f"see {number}, please") == [("phone", number)]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Tel.: 030 / 123456-78",
            "Phone: 5552345678",
            "Fax no. 555 1234",
            "Téléphone\u00a0: 123 45 67",
        ),
        *("電話：０３－１２３４－５６７８", "هاتف: ٠٥٠ ١٢٣ ٤٥٦٧", "फ़ोन: ९८७६५ ४३२१०"),
    ],
)
def test_announced_phone_numbers(text: str) -> None:
    """A word before it makes any digits a phone number, in the digits of other scripts too."""
    assert [kind for kind, _ in found(text)] == ["phone"]
    assert found(text)[0][1] == text[-len(found(text)[0][1]) :]


def test_a_list_of_numbers_is_announced_once() -> None:
    """The second number of a list needs no announcement of its own."""
    assert [datum for _, datum in found("Tel. 555 1234 or 555 9876")] == ["555 1234", "555 9876"]


@given(st.from_regex(rb"4[0-9]{15}", fullmatch=True))
@settings(deadline=None)
def test_cards_are_found_exactly_if_the_check_digit_is_right(number: bytes) -> None:
    """A card number counts if and only if it passes the Luhn check."""
    text = f"card {number.decode()} ok"
    assert bool(found(text, ["card"])) == (passes_luhn(number) and len(set(number)) > 1)


def test_longer_numbers_are_not_cards() -> None:
    """Digits inside identifiers, addresses of pages and longer numbers are no cards."""
    for text in (
        "id_4111111111111111",
        "/p/4111111111111111",
        "41111111111111111111",
        "4111111111111111.5",
    ):
        assert found(text, ["card"]) == []


def test_iban_needs_length_and_check_digits() -> None:
    """One wrong digit, or one digit too many, and it is no IBAN (nor a phone number)."""
    assert found("CH93 0076 2011 6238 5295 7") == [("iban", "CH93 0076 2011 6238 5295 7")]
    assert found("DE89 3704 0044 0532 0130 01") == []
    assert found("DE8937040044053201300011") == []
    assert passes_iban_check(b"FR1420041010050500013M02606")


def test_a_stricter_kind_wins() -> None:
    """The digits of an IBAN are not a card or a phone number besides."""
    assert found("Tel DE89 3704 0044 0532 0130 00") == [("iban", "DE89 3704 0044 0532 0130 00")]


def test_kinds_are_chosen() -> None:
    """The annotator looks only for the kinds it was given, and says so in its parameters."""
    annotator = create("personal_data@1", {"kinds": ["ip", "email"]})
    batch = pa.RecordBatch.from_pydict({"text": ["ada@lovelace.org +49 30 1234567", "", None]})
    [column] = annotator.annotate(batch)
    assert [[span["kind"] for span in spans] for spans in column.to_pylist()] == [["email"], [], []]
    assert annotator.parameters() == {"kinds": ["email", "ip"]}
    assert annotator.identity().model is None


@pytest.mark.parametrize("kinds", [["name"], "email"])
def test_unknown_kinds_are_refused(kinds: object) -> None:
    """A kind that does not exist is an error that lists those that do."""
    with pytest.raises(ManifestError, match="email, phone, ip, card, iban"):
        create("personal_data@1", {"kinds": kinds})


def test_no_rows() -> None:
    """An empty batch gives an empty column."""
    assert find_personal_data(pa.array([], pa.string())).to_pylist() == []


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.is_dir(), reason="RAI_DATA names no folder")
def test_few_false_alarms_in_ordinary_documents() -> None:
    """In English general documents next to nothing but email addresses is found.

    All 14 phone numbers and 3 IP addresses found there were read, and are real ones.
    """
    path = DATA / "general" / "general_documents_english.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        texts = pa.array([json.loads(line)["text"] for line in lines])
    spans = find_personal_data(texts).flatten()
    counts = {
        item["values"]: item["counts"] for item in spans.field("kind").value_counts().to_pylist()
    }
    assert counts["email"] >= 100
    assert counts["phone"] <= 16
    assert counts["ip"] <= 4
    assert counts.keys() <= {"email", "phone", "ip"}
