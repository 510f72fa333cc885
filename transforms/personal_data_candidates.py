"""Where in a column personal data can stand: at signs, and digits that stand close together.

Found over the bytes of the whole column with numpy, so that Python looks only at these places.
"""

import string
from typing import NamedTuple

import numpy as np

from raicurate.transforms.personal_data_column import Utf8Column
from raicurate.transforms.personal_data_iban import IBAN_LENGTHS
from raicurate.transforms.personal_data_phone import FEWEST_PHONE_DIGITS

_SCAN_BYTES = 1 << 18  # numpy's intermediate arrays stay in the processor's cache

_SEPARATOR = np.zeros(256, dtype=bool)
_SEPARATOR[list(b" .-/()\xc2\xa0\xe2\x80\x91\xaf")] = True
_ALPHANUMERIC = np.zeros(256, dtype=bool)
_ALPHANUMERIC[list((string.ascii_letters + string.digits).encode())] = True
_IBAN_COUNTRY = np.zeros((256, 256), dtype=bool)
for _country in IBAN_LENGTHS:
    _IBAN_COUNTRY[_country[0], _country[1]] = True
_HEXADECIMAL = np.zeros(256, dtype=bool)
_HEXADECIMAL[list(b"0123456789abcdefABCDEF")] = True
_MOST_SEPARATORS = 4

# Digits of other scripts, one code point each, so that offsets stay: Arabic-Indic, Persian,
# Devanagari, fullwidth. Fullwidth signs stand between fullwidth digits.
_ZEROS = (0x0660, 0x06F0, 0x0966, 0xFF10)
_TO_ASCII = {zero + value: 48 + value for zero in _ZEROS for value in range(10)} | {
    0xFF0B: 0x2B,
    0xFF0D: 0x2D,
    0xFF08: 0x28,
    0xFF09: 0x29,
    0x30FC: 0x2D,
    0x3000: 0x20,
}


def with_ascii_digits(text: str) -> str:
    """Returns `text`, as long as it was, with ASCII digits for those of other scripts."""
    return text.translate(_TO_ASCII)


class Places(NamedTuple):
    """Where candidates stand, as byte positions in the column."""

    at_signs: np.ndarray
    digits: np.ndarray
    native_digits: np.ndarray


def scan(data: np.ndarray) -> Places:
    """Returns the at signs, the ASCII digits and the lead bytes of digits of other scripts."""
    at_signs, digits, native = [], [], []
    for start in range(0, len(data), _SCAN_BYTES):
        block = data[start : start + _SCAN_BYTES]
        at_signs.append(np.flatnonzero(block == 0x40) + start)
        digits.append(np.flatnonzero((block - np.uint8(48)) < 10) + start)
        native.append(np.flatnonzero(block >= 0xD9) + start)
    none = np.zeros(0, dtype=np.int64)
    lead = np.concatenate([none, *native])
    return Places(
        np.concatenate([none, *at_signs]), np.concatenate([none, *digits]), _native(data, lead)
    )


def _native(data: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Returns those of the positions in `lead` where a digit of another script starts."""
    lead = lead[np.isin(data[lead], (0xD9, 0xDB, 0xE0, 0xEF))]
    lead = lead[lead + 1 < len(data)]
    first, second = data[lead], data[lead + 1]
    third = data[np.minimum(lead + 2, len(data) - 1)]
    arabic = (first == 0xD9) & (second >= 0xA0) & (second <= 0xA9)
    persian = (first == 0xDB) & (second >= 0xB0) & (second <= 0xB9)
    devanagari = (first == 0xE0) & (second == 0xA5) & (third >= 0xA6) & (third <= 0xAF)
    fullwidth = (first == 0xEF) & (second == 0xBC) & (third >= 0x90) & (third <= 0x99)
    return lead[arabic | persian | devanagari | fullwidth]


def _groups(joined: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns first and last index of each group, where `joined[i]` ties i to i + 1."""
    cuts = np.flatnonzero(~joined)
    return np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(joined)]])


class Candidates(NamedTuple):
    """Candidates among the digits of a column, as byte positions.

    Attributes:
        numbers: Rows of start, end and count of digits.
        ipv4: Rows of start and end.
        ipv6: Starts.
        iban: Starts.
    """

    numbers: np.ndarray
    ipv4: np.ndarray
    ipv6: np.ndarray
    iban: np.ndarray


def candidates(column: Utf8Column, digits: np.ndarray) -> Candidates:
    """Returns the candidates among the ASCII digits of a column, which stand at `digits`."""
    data = column.data
    if len(digits) == 0:
        empty = np.zeros((0, 3), dtype=np.int64)
        return Candidates(empty, empty, empty[:, 0], empty[:, 0])
    gap = np.diff(digits)
    first_in_document = np.searchsorted(digits, column.offsets[1:-1])
    first_in_document = first_in_document[
        (first_in_document > 0) & (first_in_document < len(digits))
    ]
    gap[first_in_document - 1] = 1 << 30
    between = digits[:-1]
    adjacent = gap == 1
    close = gap <= _MOST_SEPARATORS + 1
    for distance in range(1, _MOST_SEPARATORS + 1):
        inside = distance < gap
        byte = data[np.minimum(between + distance, len(data) - 1)]
        close &= ~inside | _SEPARATOR[byte]
    starts, ends = _groups(close)
    counts = ends - starts + 1
    many = counts >= FEWEST_PHONE_DIGITS
    numbers = np.stack([digits[starts[many]], digits[ends[many]] + 1, counts[many]], axis=1)
    numbers = numbers[~_are_dates(data, numbers)]

    dot = (gap == 2) & (data[np.minimum(between + 1, len(data) - 1)] == 0x2E)
    starts, ends = _groups(adjacent | dot)
    dots = np.concatenate([[0], np.cumsum(dot)])
    four = (dots[ends] - dots[starts]) == 3
    ipv4 = np.stack([digits[starts[four]], digits[ends[four]] + 1], axis=1)

    lead = digits[(data[digits] & 0xFE) == 0x32]  # 2 or 3: global IPv6 addresses are in 2000::/3
    lead = lead[lead + 4 < len(data)]
    lead = lead[data[lead + 4] == 0x3A]
    for distance in (1, 2, 3):
        lead = lead[_HEXADECIMAL[data[lead + distance]]]

    check = digits[:-1][adjacent]
    check = check[check >= 2]
    check = check[_IBAN_COUNTRY[data[check - 2], data[check - 1]]]
    check = check[(check == 2) | ~_ALPHANUMERIC[data[check - 3]]]
    return Candidates(numbers, ipv4, lead, check - 2)


def _are_dates(data: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Whether each number is a date such as 2001-02-03 or two years such as 1999-2001.

    Such numbers are most of those with eight digits in encyclopedias, and never phone numbers.
    """
    start, length = numbers[:, 0], numbers[:, 1] - numbers[:, 0]
    eight = numbers[:, 2] == 8

    def byte(offset: int) -> np.ndarray:
        return data[np.minimum(start + offset, len(data) - 1)]

    def is_century(offset: int) -> np.ndarray:
        first, second = byte(offset), byte(offset + 1)
        return (first == 0x31) | ((first == 0x32) & (second == 0x30))  # 1xxx or 20xx

    date = (length == 10) & (byte(4) == byte(7)) & np.isin(byte(4), list(b"-/."))
    years = (length == 9) & is_century(5)
    return eight & is_century(0) & (date | years)
