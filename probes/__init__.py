"""What a model learned: suites, scoring and statistics."""

from raicurate.probes.items import CrossedItem, RefusalItem
from raicurate.probes.suite import Suite, load_suite, resolve_suite, shipped_suites

__all__ = [
    "CrossedItem",
    "RefusalItem",
    "Suite",
    "load_suite",
    "resolve_suite",
    "shipped_suites",
]
