"""Which group of people a text turns against, where its labels or its own words say so.

A label of the input decides where there is one. Without a label, a group is named only where the
passages that are hateful in intent mention that one group and no other: whoever is mentioned beside
others may be meant, or may be the one who is supposed to agree.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.manifest import Targets
from raicurate.corpora_manifests.vocabulary import DATA_ACTIONS, TARGET_GROUPS
from raicurate.transforms.identity_mentions import groups_in

VERSION = "1"
"""Part of the keys of units: raised when the same labels and words would name another group."""

NEVER_BY_MENTION = frozenset({"men"})
"""Mostly mentioned beside the group that is meant, or in an exclamation: of hateful statements of
EDOS (R. Kirk et al., SemEval-2023 Task 10), all about women, 143 mention men and no other group."""


def target_groups(
    texts: pa.Array,
    langs: pa.Array,
    metadata: pa.Array,
    actions: pa.Array,
    hazards: pa.Array,
    targets: Targets | None,
) -> pa.Array:
    """Returns the group (`vocabulary.TargetGroup`) that each text turns against; null for none.

    Args:
        texts: The original texts.
        langs: Their languages.
        metadata: Further fields of their records, as JSON objects.
        actions: What the policy does with them.
        hazards: What the policy's thresholds let through (`decide.ACTIVE_HAZARD`).
        targets: Where the corpus keeps the labels of groups, if it has any.
    """
    groups: list[str | None] = [None] * len(texts)
    passages = _passages(actions, hazards)
    for row, hateful in passages.items():
        label = None if targets is None else _label(metadata[row].as_py(), targets)
        if label is not None:
            groups[row] = label or None
        elif hateful:
            text, lang = texts[row].as_py(), langs[row].as_py()
            groups[row] = _mentioned((text[start:end] for start, end in hateful), lang)
    return pa.array(groups, pa.string())


def stated_groups(spans: pa.Array) -> pa.Array:
    """Returns hazard and group (`hate/women`) of each context that names a group.

    Args:
        spans: Spans, as in `schema.DOCUMENTS`; a template's reference is
            style@version/language/hazard/group.
    """
    flat = spans.flatten()
    refs = flat.field("ref").filter(pc.equal(flat.field("kind"), "context")).drop_null()
    parts = pc.split_pattern(refs, "/")
    parts = parts.filter(pc.equal(pc.list_value_length(parts), 4))
    hazards, groups = (pc.list_element(parts, index) for index in (2, 3))
    named = pc.is_in(groups, value_set=pa.array(TARGET_GROUPS))
    return pc.binary_join_element_wise(hazards.filter(named), groups.filter(named), "/")


def _passages(actions: pa.Array, hazards: pa.Array) -> dict[int, list[tuple[int, int]]]:
    """Returns the rows that are published with harm in intent, and their hateful passages."""
    values = hazards.flatten()
    rows = pc.list_parent_indices(hazards)
    published = pc.is_in(actions, pa.array(DATA_ACTIONS)).take(rows)
    intended = pc.and_(pc.equal(values.field("stance"), "intent"), published)
    found: dict[int, list[tuple[int, int]]] = {}
    for index in np.flatnonzero(intended.to_numpy(zero_copy_only=False)).tolist():
        entry = values[index]
        passages = found.setdefault(rows[index].as_py(), [])
        if entry["hazard"].as_py() == "hate":
            passages.append((entry["start"].as_py(), entry["end"].as_py()))
    return found


def _mentioned(passages: Iterable[str], lang: str | None) -> str | None:
    groups = {group for passage in passages for group in groups_in(passage, lang)}
    if len(groups) != 1 or groups & NEVER_BY_MENTION:
        return None
    return groups.pop()


def _label(metadata: str, targets: Targets) -> str | None:
    """Returns the group of a label, empty where it has no name here; None without a label."""
    value = _reach(orjson.loads(metadata), targets.key)
    labels = value if isinstance(value, list) else [value]
    known = {str(label) for label in labels if label is not None}
    if not known:
        return None
    groups = {targets.groups.get(label, "") for label in known}
    return groups.pop() if len(groups) == 1 else ""


def _reach(record: Mapping[str, Any], key: str) -> Any:
    if key in record:
        return record[key]
    value: Any = record
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
