"""Finds personal data by its form: email addresses, phone numbers, IP addresses, cards, IBANs.

Every kind has a validator in a module of its own, because the form alone is wrong too often: check
digits for cards and IBANs, country codes for phone numbers, the special-purpose registries for IP
addresses, top-level domains for email.

What counts is what a privacy reviewer would mask; the modules say what they leave out on purpose.
Not found although personal: names and postal addresses.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import PERSONAL_DATA_KINDS, PersonalDataKind
from raicurate.transforms.personal_data_candidates import (
    Places,
    candidates,
    scan,
    with_ascii_digits,
)
from raicurate.transforms.personal_data_card import find_cards
from raicurate.transforms.personal_data_column import Hit, Utf8Column, utf8_column
from raicurate.transforms.personal_data_email import find_emails
from raicurate.transforms.personal_data_iban import find_ibans
from raicurate.transforms.personal_data_ip import find_ips
from raicurate.transforms.personal_data_phone import FEWEST_PHONE_DIGITS, find_phones
from raicurate.transforms.personal_data_spans import spans_as_column, spans_of
from raicurate.transforms.registry import Annotator, register


def _hits(column: Utf8Column, places: Places, kinds: frozenset[str]) -> Iterator[Hit]:
    """Yields the hits of all documents, in no order, perhaps overlapping."""
    if "email" in kinds:
        yield from find_emails(column, places.at_signs)
    if not kinds - {"email"}:
        return
    found = candidates(column, places.digits)
    if "ip" in kinds:
        yield from find_ips(column, found.ipv4, found.ipv6)
    if "iban" in kinds:
        yield from find_ibans(column, found.iban)
    if "card" in kinds:
        yield from find_cards(column, found.numbers)
    if "phone" in kinds:
        yield from find_phones(column, found.numbers)


def find_personal_data(
    texts: pa.Array, kinds: Sequence[PersonalDataKind] = PERSONAL_DATA_KINDS
) -> pa.ListArray:
    """Finds personal data in a column of texts.

    Args:
        texts: Strings; nulls have no personal data.
        kinds: Which kinds to look for.

    Returns:
        For each text a list of {start, end, kind}: code point offsets, sorted, not overlapping.

    Example:
        >>> find_personal_data(pa.array(["write to ada@lovelace.org"])).to_pylist()
        [[{'start': 9, 'end': 25, 'kind': 'email'}]]
    """
    wanted = frozenset(kinds)
    column = utf8_column(pc.fill_null(texts, ""))
    places = scan(column.data)
    rows = spans_of(column, _hits(column, places, wanted))
    if len(places.native_digits) and wanted & {"phone", "card"}:
        documents = np.searchsorted(column.offsets, places.native_digits, side="right") - 1
        having, counts = np.unique(documents, return_counts=True)
        having = having[counts >= FEWEST_PHONE_DIGITS]
        plain = pa.array(
            [with_ascii_digits(texts[index].as_py()) for index in having.tolist()], texts.type
        )
        again = utf8_column(plain)
        found = spans_of(again, _hits(again, scan(again.data), wanted))
        rows |= {int(having[row]): spans for row, spans in found.items()}
    return spans_as_column(len(texts), rows)


@register("personal_data@1")
class PersonalDataAnnotator(Annotator):
    """Marks email addresses, phone numbers, IP addresses, payment cards and IBANs.

    Args:
        kinds: Which kinds to look for; by default all.
    """

    columns = ("personal_data",)

    def __init__(self, kinds: Sequence[PersonalDataKind] = PERSONAL_DATA_KINDS) -> None:
        unknown = sorted(set(kinds) - set(PERSONAL_DATA_KINDS))
        if unknown or isinstance(kinds, str):
            raise ManifestError(
                f"annotator 'personal_data@1': `kinds` holds {unknown or kinds!r}, so it is not "
                f"clear what to look for; give a list of {', '.join(PERSONAL_DATA_KINDS)}"
            )
        self.kinds = tuple(kind for kind in PERSONAL_DATA_KINDS if kind in kinds)

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns the column `personal_data`, an empty list where there is none."""
        return [find_personal_data(batch.column("text"), self.kinds)]

    def parameters(self) -> dict[str, list[str]]:
        """Returns the kinds, in the order of the vocabulary."""
        return {"kinds": list(self.kinds)}
