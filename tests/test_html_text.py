import contextlib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import DocumentError
from raicurate.transforms.html_text import decode_page, html_text


@pytest.mark.parametrize(
    ("text", "encoding", "label"),
    [
        ("Grüße", "utf-8", None),
        ("Grüße", "utf-8", "iso-8859-1"),
        ("Grüße", "utf-8-sig", "iso-8859-1"),
        ("Grüße", "latin-1", "iso-8859-1"),
        ("Grüße", "latin-1", "utf-8"),
        ("“quoted” – 5 €", "cp1252", "latin1"),
        ("Привет, мир", "cp1251", "windows-1251"),
        ("Привет, мир", "koi8-r", "koi8-r"),
        ("Γειά σου", "iso8859-7", "iso-8859-7"),
        ("日本語のテキスト①", "cp932", "shift_jis"),
        ("日本語", "iso-2022-jp", "iso-2022-jp"),
        ("日本語", "euc-jp", "EUC-JP"),
        ("中文测试", "gb18030", "gb2312"),
        ("中文測試", "big5", "big5"),
        ("안녕하세요", "euc-kr", "ks_c_5601-1987"),
        ("abc Привет", "utf-16-le", "utf-16le"),
        ("abc Привет", "utf-16", None),
        ("مرحبا", "cp1256", "windows-1256"),
        ("plain", "ascii", "nonsense"),
    ],
)
def test_decode(text: str, encoding: str, label: str | None) -> None:
    """Pages are decoded by their bytes and by the label that the server gave."""
    assert decode_page(text.encode(encoding), label).html == text


@pytest.mark.parametrize(
    "meta",
    [
        '<meta charset="windows-1251">',
        "<META CHARSET = windows-1251 />",
        '<meta http-equiv="Content-Type" content="text/html; charset=windows-1251">',
    ],
)
def test_charset_of_the_page(meta: str) -> None:
    """Without a label of the server, that of the page holds."""
    page = decode_page((meta + "Привет").encode("cp1251"))
    assert page.html == meta + "Привет"


def test_few_broken_sequences() -> None:
    """UTF-8 with a few broken sequences stays UTF-8, and they are counted."""
    data = ("Grüße und schöne Wörter. " * 20).encode() + b"\xff and \xc3"
    page = decode_page(data)
    assert page.encoding == "utf-8"
    assert page.replaced == 2
    assert page.html.count("\ufffd") == 2


def test_no_text() -> None:
    """Bytes that are text in no encoding are an error."""
    with pytest.raises(DocumentError) as caught:
        decode_page(random.Random(0).randbytes(3000), "utf-8")
    assert caught.value.error_type == "wrong_encoding"


def test_main_content() -> None:
    """Navigation and scripts stay out where there is a main content, else all text is taken."""
    page = "<nav>Home</nav><article><p>Body text.</p></article><script>x</script>"
    assert html_text(page) == "Body text."
    assert html_text("<nav>Home</nav>") == "Home"
    assert html_text("<!-- nothing --><script>x</script>") == ""


def test_structure() -> None:
    """Paragraphs and preformatted text keep their lines."""
    assert html_text("<main><p>a  b\nc</p><pre>d\n  e</pre></main>") == "a b c\n\nd\n  e"


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000 + "word" + "</div>" * 100_000,
        "<p " + " ".join(f"a{n}=1" for n in range(100_000)) + ">word",
        "<p " + " ".join(f"a{n}" for n in range(100_000)) + ">word",
        "<p " + " ".join(f'a{n}=">"' for n in range(100_000)) + ">word",
        "<p " * 100_000 + ">word",
    ],
    ids=["depth", "attributes", "bare", "quoted", "open"],
)
def test_hostile_pages_take_no_long_time(page: str) -> None:
    """Pages for which the parser would take minutes are tamed, and keep their text."""
    start = time.process_time()
    assert html_text(page) == "word"
    assert time.process_time() - start < 5


def test_long_attributes_are_harmless() -> None:
    """One long attribute, such as an embedded image, changes nothing."""
    image = '<img alt="picture" src="data:image/png;base64,' + "A" * 200_000 + '">'
    assert html_text(f"<main><p>one {image} two</p></main>") == "one picture two"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="<>/ap \"'=&;!-é\n\0", max_size=80))
def test_any_page(page: str) -> None:
    """Whatever stands in a page, extraction gives text."""
    html_text(page)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.one_of(st.none(), st.text(max_size=10)))
def test_any_bytes(data: bytes, label: str | None) -> None:
    """Whatever bytes and label come, they are decoded or a designed error is raised."""
    with contextlib.suppress(DocumentError):
        decode_page(data, label).html.encode()
