"""Phone numbers: international (country codes of ITU-T E.164), the usual national ways of writing.

Not found although personal: local numbers of fewer than nine digits without a word such as `phone`
before them.
"""

import re
from collections.abc import Iterator

import numpy as np

from raicurate.transforms.personal_data_column import Hit, Utf8Column, windows_around

FEWEST_PHONE_DIGITS = 7
"""No number with fewer digits is looked at, whatever announces it."""

_MARGIN = 80  # bytes looked at before a number, more than any word that announces one

_GAP = rb"(?:[ ./-]|\xc2\xa0|\xe2\x80[\x91\xaf])"
_PHONE_END = rb"(?!(?!x[0-9])[0-9A-Za-z_])(?![.,:/-][0-9])"  # `x` starts an extension
_COUNTRY_CODE = (
    rb"(?:7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[1-8]|22[0-9]|23[0-9]|24[0-9]|"
    rb"25[0-8]|26[0-9]|29[0179]|35[0-9]|37[0-9]|38[0-35-79]|42[013]|50[0-9]|59[0-9]|67[0-9]|"
    rb"68[0-9]|69[0-2]|80[08]|85[02356]|88[06]|96[0-8]|97[0-7]|99[2-8])"
)
_PHONE = re.compile(
    rb"(?<![0-9A-Za-z_+])(?<![0-9][.,:/-])(?<![A-Za-z]\.)(?<![=/&#])(?:"
    # North American numbering plan: area code and exchange start with 2 to 9.
    rb"(?P<american>(?:(?:\+|00)?1[ .-]{0,2})?(?:\([2-9][0-9]{2}\)[ .-]{0,2}[2-9][0-9]{2}[ .-]|"
    rb"[2-9][0-9]{2}-[2-9][0-9]{2}-|[2-9][0-9]{2}\.[2-9][0-9]{2}\.)[0-9]{4}|"
    rb"(?:\+|00)1%(gap)b?[2-9][0-9]{2}%(gap)b?[2-9][0-9]{2}%(gap)b?[0-9]{4})|"
    rb"(?P<international>(?:\+|(?<![0-9] )00%(gap)b?(?=[1-9]))%(code)b"
    rb"(?:%(gap)b{0,2}\(?[0-9]{1,5}\)?)?(?:%(gap)b{0,3}[0-9]){5,12})|"
    # With the trunk prefix 0: France, Japan, area code in brackets, in groups, with a slash.
    rb"(?<![0-9] )(?:"
    rb"(?P<french>0[1-9](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4}))|"
    rb"(?P<japanese>0[0-9]{1,4}-[0-9]{1,4}-[0-9]{4})|"
    rb"(?P<bracketed>\(0[1-9][0-9]{0,3}\)[ -]?[0-9]{2,5}(?:[ -]?[0-9]{2,5}){1,2})|"
    rb"(?P<grouped>0[1-9][0-9]{1,3} [0-9]{3,4} [0-9]{3,4}|07[0-9]{3} [0-9]{6}|"
    rb"0[1-9][0-9]{1,3}[/-][0-9]{6,8}|01[5-7][0-9][ /-]?[0-9]{7,8})|"
    rb"(?P<brazilian>\([1-9][1-9]\) ?9?[0-9]{4}-[0-9]{4})))"
    rb"%(end)b" % {b"gap": _GAP, b"code": _COUNTRY_CODE, b"end": _PHONE_END}
)
_PHONE_DIGITS = {
    "american": (10, 13),
    "international": (9, 17),
    "french": (10, 10),
    "japanese": (10, 11),
    "bracketed": (9, 12),
    "grouped": (10, 12),
    "brazilian": (10, 11),
}
_ANNOUNCED_PHONE = re.compile(
    rb"[+(]{0,2}[0-9](?:%(gap)b{0,3}[()]?%(gap)b?[0-9]){6,14}%(end)b"
    % {b"gap": _GAP, b"end": _PHONE_END}
)
_ANNOUNCEMENT = re.compile(
    r"(?:\b(?:tel|tél|tlf|phone|telephone|téléphone|telefon|telefono|teléfono|telefone|fon|mobile|"
    r"telefoon|telepon|mobil|móvil|cellulare|celular|cell phone|portable|handy|fax|faks|"
    r"telefax|call|text|dial|sms|whats ?app|hotline|rufnummer|тел|телефон|факс)|電話|携帯|"
    r"電話番号|电话|手机|传真|전화|फ़ोन|फोन|मोबाइल|"
    r"هاتف|الهاتف|تلفون|جوال|موبايل|☎|📞|📱)(?:(?<=tel|tél|tlf|fon|fax|тел)\.)?"
    r"(?:[ :]{0,2}(?:(?:no|nr|num)\.?|number|nummer|numéro|número|numero|us|me|at|now|is|on|"
    r"番号|号码|नंबर|رقم)(?!\w)){0,2}(?:[^\w.\n!?;/-]|(?<= )-){0,4}$",
    re.IGNORECASE,
)
_NO_PHONE_BEFORE = re.compile(
    rb"(?:isbn|issn|doi|pmid|oclc|arxiv|lccn|asin|ean|upc|gtin)(?:-?1[03])?[:= ]{0,3}\Z",
    re.IGNORECASE,
)
_ISBN = re.compile(rb"97[89][ -]?[0-9]")
# Amounts end in groups of zeros; in coordinates a sign follows a space.
_AMOUNT_OR_COORDINATES = re.compile(rb"000(?:%b000)+\Z| [-+][0-9]" % _GAP)
# "phone 1 or 2": a number that follows this close after a phone number is announced with it.
_LIST_BYTES = 8
_FEWEST_UNANNOUNCED = min(least for least, _ in _PHONE_DIGITS.values())


def _phones_in(
    window: bytes, start: int, end: int, digits: int, announced: bool
) -> Iterator[tuple[int, int]]:
    """Yields the phone numbers among the digits in [start, end) of `window`.

    Args:
        window: Bytes of the document around the digits.
        start: Where the digits start.
        end: Where they end.
        digits: How many there are.
        announced: Whether a phone number just before announces another one.
    """
    lead = start
    while lead > 0 and window[lead - 1] in b"+(":
        lead -= 1
    before = window[:lead]
    if announced or _ANNOUNCEMENT.search(before[-40:].decode("utf-8", "ignore")):
        found = _ANNOUNCED_PHONE.match(window, lead)
        if found is not None and not _ISBN.match(window, lead):
            yield found.span()
            return
    bare = lead == start and end - start == digits
    if bare or digits < _FEWEST_UNANNOUNCED or _NO_PHONE_BEFORE.search(before):
        return
    for found in _PHONE.finditer(window, lead, end + 4):
        if found.end() > end + 1:
            continue
        count = sum(48 <= code <= 57 for code in found[0])
        least, most = _PHONE_DIGITS[found.lastgroup or ""]
        if least <= count <= most and not _AMOUNT_OR_COORDINATES.search(found[0]):
            yield found.span()


def find_phones(column: Utf8Column, numbers: np.ndarray) -> Iterator[Hit]:
    """Yields the phone numbers of a column.

    Args:
        column: The bytes of the column.
        numbers: Rows of start, end and count of digits that stand close together, in order.
    """
    starts, ends, counts = numbers.T
    phone_end = -_LIST_BYTES - 1
    places = windows_around(column, starts, ends, _MARGIN)
    for (document, base, window, start, end), digits in zip(places, counts.tolist(), strict=True):
        announced = base <= phone_end and base + start - phone_end <= _LIST_BYTES
        for first, last in _phones_in(window, start, end, digits, announced):
            yield Hit(document, base + first, base + last, "phone")
            phone_end = base + last
