"""Numbers of payment cards: issuer, length and check digit (ISO/IEC 7812, Luhn)."""

import re
from collections.abc import Iterator

import numpy as np

from raicurate.transforms.personal_data_column import Hit, Utf8Column, windows_around

_MARGIN = 80  # bytes around the digits that show whether they are part of something longer

# Issuer prefixes and lengths: Visa, Mastercard, American Express, Diners Club, Discover, JCB,
# UnionPay, Mir (published issuer identification number ranges).
_CARD = re.compile(
    rb"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|5[1-5][0-9]{14}|"
    rb"2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}|3[47][0-9]{13}|"
    rb"3(?:0[0-59]|[689][0-9])[0-9]{11}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12,15}|"
    rb"35(?:2[89]|[3-8][0-9])[0-9]{12,15}|62[0-9]{14,17}|220[0-4][0-9]{12}"
)
_CARD_WRITTEN = re.compile(
    rb"(?<![0-9A-Za-z_])(?<![0-9][.,:/-])(?<![=/&#.-])(?:[0-9]{13,19}|"
    rb"[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?(?!\1[0-9]{4}(?![0-9]))|"
    rb"[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})(?![0-9A-Za-z_])(?![.,:/-][0-9])"
)
_FEWEST_CARD_DIGITS = 13
_LUHN_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def passes_luhn(digits: bytes) -> bool:
    """Whether the last digit of `digits` is the Luhn check digit of the others."""
    values = [digit - 48 for digit in reversed(digits)]
    return (sum(values[::2]) + sum(_LUHN_DOUBLED[value] for value in values[1::2])) % 10 == 0


def _cards_in(window: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    for found in _CARD_WRITTEN.finditer(window):
        if found.start() < start or found.end() > end:
            continue
        digits = found[0].replace(b" ", b"").replace(b"-", b"")
        if _CARD.fullmatch(digits) and len(set(digits)) > 1 and passes_luhn(digits):
            yield found.span()


def find_cards(column: Utf8Column, numbers: np.ndarray) -> Iterator[Hit]:
    """Yields the card numbers of a column.

    Args:
        column: The bytes of the column.
        numbers: Rows of start, end and count of digits that stand close together.
    """
    starts, ends, _ = numbers[numbers[:, 2] >= _FEWEST_CARD_DIGITS].T
    for document, base, window, start, end in windows_around(column, starts, ends, _MARGIN):
        for first, last in _cards_in(window, start, end):
            yield Hit(document, base + first, base + last, "card")
