"""Clauses are found as often, and as rightly, as the documentation says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The module behind the command that prints the figures."""
    spec = importlib.util.spec_from_file_location("benchmark", ROOT / "benchmarks" / "clauses.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["benchmark"] = module
    spec.loader.exec_module(module)
    return module


# What is asked for, and on the held-out part of each language what is reached at least.
ASKED = (0.90, 0.75)
REACHED = {
    "de": (0.89, 0.80),
    "en": ASKED,
    "es": ASKED,
    "fr": ASKED,
    "it": ASKED,
    "ja": (0.80, 0.40),
    "pt": ASKED,
}
# The first draw, on which the packs were written.
FIRST = 490

Pairs = list[tuple[Any, Any]]


@pytest.fixture(scope="module")
def pairs(benchmark: ModuleType, shared_data: Path) -> Pairs:
    """Each labelled stretch with the clause that was found there."""
    return list(benchmark.found_in(benchmark.read_sample(), shared_data))


def test_sample_is_large_and_of_several_languages(benchmark: ModuleType) -> None:
    """At least 300 certain clauses in at least four languages, in two parts."""
    sample = benchmark.read_sample()
    assert sum("none" not in unit.labels for unit in sample) >= 300
    assert len({unit.language for unit in sample}) >= 4
    assert {unit.part for unit in sample} == {"tuning", "held_out"}
    assert len({(unit.document, unit.start) for unit in sample}) == len(sample)


@pytest.mark.shared_data
@pytest.mark.parametrize("language", ["de", "en", "es", "fr"])
def test_precision_and_recall_of_the_first_draw(
    benchmark: ModuleType, pairs: Pairs, language: str
) -> None:
    """Precision is at least 0.90 and recall at least 0.75 where the packs were written."""
    first = set(benchmark.read_sample()[:FIRST])
    total = benchmark.score(
        pair for pair in pairs if pair[0] in first and pair[0].language == language
    )
    assert total.precision >= ASKED[0]
    assert total.recall >= ASKED[1]


@pytest.mark.shared_data
@pytest.mark.parametrize("language", list(REACHED))
def test_precision_and_recall_held_out(benchmark: ModuleType, pairs: Pairs, language: str) -> None:
    """On stretches that nobody looked at, clauses are found as well as the documentation says."""
    total = benchmark.score(
        pair for pair in pairs if pair[0].part == "held_out" and pair[0].language == language
    )
    assert total.precision >= REACHED[language][0]
    assert total.recall >= REACHED[language][1]
