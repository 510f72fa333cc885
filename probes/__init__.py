"""What a model learned: suites, scoring and statistics."""

from raicurate.probes.suite import CrossedItem, Suite, load_suite, shipped_suites

__all__ = ["CrossedItem", "Suite", "load_suite", "shipped_suites"]
