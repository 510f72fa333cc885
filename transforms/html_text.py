"""From the bytes of a web page to its text: encoding first, then the main content."""

import re
from typing import NamedTuple

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from raicurate.corpora_manifests.errors import DocumentError

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
# Browsers read these labels as the larger code pages that Windows wrote.
_SUPERSETS = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
}
_META_CHARSET = re.compile(rb"<meta[^>]{0,500}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]+)", re.I)
_META_WITHIN_BYTES = 4096
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
# The share of characters that may be broken or control characters before bytes count as no text.
_MAX_BROKEN_SHARE = 0.01
# Broken sequences for each good one up to which bytes are UTF-8 with faults. In other encodings
# letters beyond ASCII hardly ever stand so that they make good sequences.
_MAX_BROKEN_UTF8 = 0.1
_NOT_ASCII = bytes(range(128, 256))

# The extractor takes quadratic time for nested blocks and for the attributes of one element
# (measured with resiliparse 2.0: 4 s for 10000 nested blocks, 6 s for 40000 attributes).
_TAG = re.compile(
    r"""<(/?)([A-Za-z][^\s/>]*+)((?>[^>"']++|"[^"]*+"|'[^']*+')*+)""",
)
_NAVIGATION = ("nav", "footer", "[role=navigation]", "[role=contentinfo]")
_MAX_ATTRIBUTES = 1000
_MAX_DEPTH = 1000
_MANY_TAGS = 3000
_LONG_TAG_CHARS = 20_000
_FLAT = re.compile(
    "area|base|br|col|dd|dt|embed|hr|img|input|li|link|meta|option|p|param|source|td|th|tr|track|wbr",
    re.IGNORECASE,
)
"""Elements that have no end tag, or whose end tag is commonly left out."""


class DecodedPage(NamedTuple):
    """The characters of a page.

    Attributes:
        html: The page.
        encoding: Name of the encoding that was used, as Python knows it.
        replaced: Number of broken sequences that became U+FFFD.
    """

    html: str
    encoding: str
    replaced: int


def decode_page(data: bytes, charset: str | None = None) -> DecodedPage:
    """Decodes a web page.

    Bytes that are UTF-8 are read as such whatever the page claims, since text in another
    encoding is almost never valid UTF-8. Then go the byte order mark, the charset of the server,
    that of the page, and detection.

    Args:
        data: The page.
        charset: The charset that the server named, if any.

    Raises:
        DocumentError: `wrong_encoding`: the bytes are no text in any of these encodings.
    """
    for bom, marked in _BOMS:
        if data.startswith(bom):
            return _lenient(data[len(bom) :], marked)
    labels = [label for label in (charset, _meta_charset(data)) if label is not None]
    encodings = [encoding for label in labels if (encoding := _codec(label)) is not None]
    # These look like ASCII, and so like UTF-8.
    wide = b"\0" in data[:1024] or (charset is not None and "utf-16" in charset.lower())
    escaped = b"\x1b" in data and bool(encodings)
    if not wide and not escaped:
        encodings.insert(0, "utf-8")
    for encoding in encodings:
        try:
            return _checked(DecodedPage(data.decode(encoding), encoding, 0))
        except UnicodeDecodeError:
            continue
    if not wide and (page := _mostly_utf8(data)) is not None:
        return page
    detected = _codec(detect_encoding(data) or "") or "utf-8"
    return _lenient(data, "cp1252" if detected == "utf-8" else detected)


def _meta_charset(data: bytes) -> str | None:
    found = _META_CHARSET.search(data, 0, _META_WITHIN_BYTES)
    return None if found is None else found[1].decode("ascii")


def _codec(label: str) -> str | None:
    """Returns the Python codec for a label of the web, or None where it means nothing."""
    name = map_encoding_to_html5(label.strip(" \"'"), fallback_utf8=False)
    if name is None:
        return None
    name = _SUPERSETS.get(name, name)
    try:
        b"".decode(name)
    except LookupError:
        return None
    return name


def _mostly_utf8(data: bytes) -> DecodedPage | None:
    """Returns the page as UTF-8 where broken sequences are few beside good ones, else None."""
    html = data.decode("utf-8", "replace")
    replaced = html.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    ascii_only = len(data.translate(None, _NOT_ASCII))
    good = len(html) - replaced - ascii_only
    if replaced > _MAX_BROKEN_UTF8 * good:
        return None
    return _checked(DecodedPage(html, "utf-8", replaced))


def _lenient(data: bytes, encoding: str) -> DecodedPage:
    html = data.decode(encoding, "replace")
    replaced = html.count("\ufffd")
    return _checked(DecodedPage(html, encoding, replaced))


def _checked(page: DecodedPage) -> DecodedPage:
    broken = page.replaced + len(_CONTROL.findall(page.html))
    if broken > _MAX_BROKEN_SHARE * len(page.html):
        raise DocumentError(
            "wrong_encoding",
            f"{broken} of {len(page.html)} characters are broken or control characters when read "
            f"as {page.encoding}, so the bytes are no text",
        )
    return page


def html_text(html: str, main_content: bool = True) -> str:
    """Returns the text of a page. Paragraphs, lists and preformatted text keep their lines.

    Args:
        html: The page.
        main_content: Whether to take what rules of thumb, made for pages of the open web, say is
            the main content, or all that is visible where none stands out. They lose short lists
            and the like, so for documents that someone put together, all that is visible is
            taken, but for what is marked as navigation.

    Raises:
        DocumentError: `wrong_encoding`: the parser cannot read the page.
    """
    if _has_long_tags(html):
        html = _TAG.sub(_without_many_attributes, html)
    try:
        if main_content and not _is_deep(html):
            text: str = extract_plain_text(html, main_content=True).strip()
            if text:
                return text
        return (
            extract_plain_text(html, skip_elements=_NAVIGATION).strip()
            or extract_plain_text(html).strip()
        )
    except (RuntimeError, ValueError) as error:
        raise DocumentError(
            "wrong_encoding", f"the parser cannot read the page ({type(error).__name__})"
        ) from error


def _has_long_tags(html: str) -> bool:
    return (len(html) > _LONG_TAG_CHARS and max(map(len, html.split(">"))) > _LONG_TAG_CHARS) or (
        html.count("=") > max(20 * html.count("<"), _MAX_ATTRIBUTES)
    )


def _without_many_attributes(tag: re.Match[str]) -> str:
    attributes = tag[3]
    if len(attributes) > _MAX_ATTRIBUTES and (
        attributes.count("=") > _MAX_ATTRIBUTES
        or (">" not in attributes and len(attributes.split()) > _MAX_ATTRIBUTES)
    ):
        return f"<{tag[1]}{tag[2]}"
    return tag[0]


def _is_deep(html: str) -> bool:
    """Returns whether blocks are nested too deeply for the search of the main content."""
    if html.count("<") < _MANY_TAGS:
        return False
    depth = 0
    for tag in _TAG.finditer(html):
        if _FLAT.fullmatch(tag[2]):
            continue
        depth = max(depth - 1, 0) if tag[1] else depth + 1
        if depth > _MAX_DEPTH:
            return True
    return False
