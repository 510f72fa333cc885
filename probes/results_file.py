"""The shape of results that viewers of lm-evaluation-harness read, with `rai_probe` beside it.

A file holds one model: `results`, `groups`, `group_subtasks`, `configs`, `versions`, `n-shot`,
`higher_is_better`, `n-samples`, `config`, `task_hashes`. No clock enters it, so the same probe of
the same models gives the same bytes.
"""

from collections.abc import Mapping
from typing import Any

from raicurate.corpora_manifests.digests import digest

_FILTER = ",none"
_CROSSED = "rai_crossed"
_HIGHER_IS_BETTER = {
    "margin": True,
    "acc": True,
    "acc_norm": True,
    "acc_bytes": True,
    "acc_pmi": True,
    "d_prime": True,
    "bits_per_byte": False,
    "gold_bpb": False,
    "intent": False,
}


def results_of(label: str, section: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the results of one model in the shape of lm-evaluation-harness.

    Args:
        label: Name of the model in the probe.
        section: The probe's `rai_probe` section, which is kept beside them.
    """
    levels = section["levels"][label]
    about = next(model for model in section["models"] if model["label"] == label)
    tasks: dict[str, dict[str, Any]] = {}
    groups: dict[str, dict[str, Any]] = {}
    subtasks: dict[str, list[str]] = {}
    if "crossed" in levels:
        groups[_CROSSED] = _entry(_CROSSED, {"margin": levels["crossed"]["macro"]})
        for cell in levels["crossed"]["cells"]:
            group = f"{_CROSSED}_{cell['dimension']}"
            name = f"{group}_{cell['language']}"
            tasks[name] = _entry(name, {"margin": cell["estimate"]})
            subtasks.setdefault(group, []).append(name)
        subtasks[_CROSSED] = sorted(subtasks)
        for cell in levels["crossed"]["dimensions"]:
            group = f"{_CROSSED}_{cell['dimension']}"
            groups[group] = _entry(group, {"margin": cell["estimate"]})
    if "refusal" in levels:
        found = levels["refusal"]
        measures = {"d_prime": found["d_prime"], "bias": found["bias"], **found["rates"]}
        tasks["rai_refusal"] = _entry("rai_refusal", measures)
    for cell in levels.get("documents", {}).get("cells", ()):
        name = f"rai_documents_{cell['dimension'] or 'neutral'}_{cell['language']}"
        tasks[name] = _entry(name, {"bits_per_byte": cell["estimate"]})
    for source, measures in levels["sets"].items():
        tasks[source] = _entry(
            source, {name: value for name, value in measures.items() if name != "bias"}
        )
    for source, shares in levels.get("completions", {}).items():
        tasks[source] = _entry(source, {"intent": shares["all"]["intent"]})
    return {
        "results": dict(sorted((tasks | groups).items())),
        "groups": dict(sorted(groups.items())),
        "group_subtasks": {name: subtasks[name] for name in sorted(subtasks)},
        "configs": {name: {"task": name} for name in sorted(tasks)},
        "versions": dict.fromkeys(sorted(tasks | groups), section["suite"]["version"]),
        "n-shot": dict.fromkeys(sorted(tasks), 0),
        "higher_is_better": {
            name: {
                key.removesuffix(_FILTER): _HIGHER_IS_BETTER[key.removesuffix(_FILTER)]
                for key in entry
                if key.removesuffix(_FILTER) in _HIGHER_IS_BETTER
            }
            for name, entry in sorted((tasks | groups).items())
        },
        "n-samples": {
            name: {"original": entry["sample_len"], "effective": entry["sample_len"]}
            for name, entry in sorted(tasks.items())
        },
        "config": {
            "model": about["reference"].partition(":")[0],
            "model_args": about["reference"],
            "model_sha": about.get("digest", ""),
            "model_dtype": about.get("precision"),
            "bootstrap_iters": about.get("resamples"),
        },
        "model_name": label,
        "max_length": about.get("window_tokens"),
        "task_hashes": {
            name: digest([section["probe_set_sha256"], name]) for name in sorted(tasks)
        },
        "rai_probe": dict(section),
    }


def _entry(name: str, measures: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    entry: dict[str, Any] = {"alias": name, "sample_len": 0}
    for measure, found in measures.items():
        if found is None:
            continue
        entry[f"{measure}{_FILTER}"] = found["value"]
        entry[f"{measure}_stderr{_FILTER}"] = "N/A" if found["stderr"] is None else found["stderr"]
        entry["sample_len"] = max(entry["sample_len"], found["clusters"])
    return entry
