"""International bank account numbers: country, length and check digits (ISO 13616, modulus 97)."""

import functools
import re
from collections.abc import Iterator

import numpy as np

from raicurate.transforms.personal_data_column import Hit, Utf8Column, windows_around

_MARGIN = 80  # bytes: an IBAN has at most 33 characters and is written in groups of four

IBAN_LENGTHS = {
    country.encode(): length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK MN",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ TL OM SO",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
"""Length by country (SWIFT IBAN registry)."""

_IBAN_GAP = re.compile(rb" |-|\xc2\xa0")


@functools.cache
def _iban_pattern(length: int) -> re.Pattern[bytes]:
    return re.compile(
        rb"[A-Z]{2}[0-9]{2}(?:(?: |-|\xc2\xa0)?[A-Z0-9]){%d}(?![A-Za-z0-9])" % (length - 4)
    )


def passes_iban_check(iban: bytes) -> bool:
    """Whether the check digits of an IBAN without spaces are right (ISO 13616, modulus 97)."""
    rearranged = iban[4:] + iban[:4]
    return int("".join(str(int(chr(code), 36)) for code in rearranged)) % 97 == 1


def _iban_at(window: bytes, start: int) -> tuple[int, int] | None:
    length = IBAN_LENGTHS.get(window[start : start + 2])
    found = _iban_pattern(length).match(window, start) if length else None
    if found is None or not passes_iban_check(_IBAN_GAP.sub(b"", found[0])):
        return None
    return found.span()


def find_ibans(column: Utf8Column, starts: np.ndarray) -> Iterator[Hit]:
    """Yields the IBANs of a column among those that may start at `starts`."""
    for document, base, window, start, _ in windows_around(column, starts, starts, _MARGIN):
        place = _iban_at(window, start)
        if place:
            yield Hit(document, base + place[0], base + place[1], "iban")
