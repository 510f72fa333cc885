"""Totals over all units: the law of conservation, the error budget and the tables of the report."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from raicurate.corpora_manifests.errors import ContractError, PartialRunError
from raicurate.pipelines.receipts import OUTCOMES, Damage, Receipt, add_tables
from raicurate.pipelines.storage import glob_matcher


@dataclass(frozen=True)
class DamagedFile(Damage):
    """Damage to an input file, and whether the manifest expects it.

    Attributes:
        corpus: Corpus of the file.
        expected: Whether the file is listed under `expected_damage`.
    """

    corpus: str
    expected: bool


@dataclass(frozen=True)
class Totals:
    """Sums over receipts.

    Attributes:
        counts: `documents_in` and each outcome.
        corpora: The same by corpus.
        units: Number of units.
        text_bytes: UTF-8 bytes of the documents read.
        tables: Counts by rule, language, hazard and so on.
        damage: Damaged input files.
    """

    counts: dict[str, int]
    corpora: dict[str, dict[str, int]]
    units: int
    text_bytes: int
    tables: dict[str, dict[str, int]]
    damage: tuple[DamagedFile, ...]

    @classmethod
    def of(
        cls, receipts: Iterable[Receipt], expected_damage: Mapping[str, Sequence[str]]
    ) -> "Totals":
        """Returns the sums over receipts.

        Args:
            receipts: One for each unit.
            expected_damage: Globs of the files that are known to be damaged, by corpus.
        """
        receipts = list(receipts)
        corpora: dict[str, dict[str, int]] = {}
        for receipt in receipts:
            _add(corpora.setdefault(receipt.corpus, _zero()), receipt.counts)
        counts = _zero()
        for corpus in corpora.values():
            _add(counts, corpus)
        return cls(
            counts,
            corpora,
            len(receipts),
            sum(receipt.text_bytes for receipt in receipts),
            add_tables(receipts),
            tuple(
                DamagedFile(
                    **vars(damage),
                    corpus=receipt.corpus,
                    expected=_matches(damage.file, expected_damage.get(receipt.corpus, ())),
                )
                for receipt in receipts
                for damage in receipt.damage
            ),
        )

    def check_conservation(self) -> None:
        """Checks that every document ended in exactly one place.

        Raises:
            ContractError: The counts do not add up, or there was no document at all.
        """
        ended = sum(self.counts[name] for name in OUTCOMES)
        if ended != self.counts["documents_in"]:
            raise ContractError(
                f"{self.counts['documents_in']} documents were read, but {ended} are accounted "
                f"for: {self.counts}. No snapshot was made"
            )
        if not self.counts["documents_in"]:
            raise ContractError(
                "no document was found in any file, so no snapshot was made; check the paths and "
                "formats of the manifest"
            )

    def fault(self, error_budget: float) -> str | None:
        """Returns why the run counts as partial, or None if it does not."""
        unexpected = [damage for damage in self.damage if not damage.expected]
        if unexpected:
            files = sorted({damage.file for damage in unexpected})
            return (
                f"{len(files)} input file(s) are damaged, so documents may be missing beyond those "
                f"counted: {', '.join(files[:5])}. Replace them, or list them under "
                "`expected_damage`"
            )
        # The rows of damage that the manifest expects are not held against the budget.
        errors = self.counts["errors"] - sum(damage.errors for damage in self.damage)
        share = errors / self.counts["documents_in"]
        if share > error_budget:
            return (
                f"{errors} of {self.counts['documents_in']} documents ({share:.2%}) are errors, "
                f"more than the budget of {error_budget:.2%}; see `errors/`, or raise "
                "`output.error_budget`"
            )
        return None

    def check(self, error_budget: float) -> None:
        """Checks that the run is not a partial one.

        Raises:
            PartialRunError: It is.
        """
        fault = self.fault(error_budget)
        if fault is not None:
            raise PartialRunError(
                f"{fault}. Everything else was written, and a snapshot made without `_SUCCESS`"
            )

    def to_plain(self) -> dict[str, Any]:
        """Returns the totals as plain JSON values."""
        return asdict(self)

    def to_json(self) -> bytes:
        """Returns the totals as JSON."""
        return orjson.dumps(self.to_plain(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(glob_matcher(pattern)(name) for pattern in patterns)


def _zero() -> dict[str, int]:
    return dict.fromkeys(("documents_in", *OUTCOMES), 0)


def _add(into: dict[str, int], counts: dict[str, int]) -> None:
    for name in into:
        into[name] += counts[name]
