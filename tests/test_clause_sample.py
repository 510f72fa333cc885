"""Clauses are found as often, and as rightly, as the documentation says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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


def test_sample_is_large_and_of_several_languages(benchmark: ModuleType) -> None:
    """At least 300 stretches in at least four languages, in two parts, with known labels."""
    sample = benchmark.read_sample()
    assert len(sample) >= 300
    assert len({unit.language for unit in sample}) >= 4
    assert {unit.part for unit in sample} == {"tuning", "held_out"}
    assert len({(unit.document, unit.start) for unit in sample}) == len(sample)


@pytest.mark.shared_data
@pytest.mark.parametrize("language", ["de", "en", "es", "fr"])
def test_precision_and_recall(benchmark: ModuleType, shared_data: Path, language: str) -> None:
    """Precision is at least 0.90 and recall at least 0.75 in every language of the sample."""
    sample = [unit for unit in benchmark.read_sample() if unit.language == language]
    total = benchmark.score(benchmark.found_in(sample, shared_data))
    assert total.precision >= 0.9
    assert total.recall >= 0.75
