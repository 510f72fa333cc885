"""Digests: of plain values, and of the content of files."""

import hashlib
from typing import Any

import orjson


def digest(*values: Any) -> str:
    """Returns a digest of plain JSON values: 32 hex digits, independent of the order of keys."""
    content = orjson.dumps(values, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:32]


def draw_of(*values: Any) -> float:
    """Returns a number in [0, 1) that depends on plain JSON values alone."""
    return int(digest(*values)[:13], 16) / (1 << 52)
