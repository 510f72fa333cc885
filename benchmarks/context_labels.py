"""Whether context states what is true of a text: hazard and group against the labels of its makers.

    RAI_DATA=... python benchmarks/context_labels.py [--documents 1000] [--json FILE]

Two measurements on the labelled sets of the classifier manifest, for each set and language:

    labels   the sets' own labels are fed in as annotations, and their labels of groups by the
             manifest of the data: what is stated should be what was labelled
    models   the models that ship annotate the text, and the default policy decides; only texts on
             which they were not trained. No label of a group is used: a group is named where the
             hateful passage mentions it and no other

What a context states stands in the reference of its span (style@version/language/hazard/group). A
hazard matches where it is one of the text's labelled ones; sets of which the makers named no hazard
(`hazard_key` is missing in the manifest) are left out. A text that is labelled harmless and was
explained nevertheless counts against the models, and so does a group where another one is labelled;
a lesbian, gay, bisexual or trans target matches the label for all of them, and the other way round.
"""

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from context import KIND, SCHEMA, row_of

from raicurate.corpora_manifests.classifier import ClassifierManifest, load_classifier
from raicurate.corpora_manifests.load import load_manifest
from raicurate.corpora_manifests.manifest import Corpus, Manifest, Targets
from raicurate.pipelines.blocks import Blocks
from raicurate.transforms.contextualize import contextualize
from raicurate.transforms.decide import Decider
from raicurate.transforms.labelled_sets import Example, read_examples
from raicurate.transforms.schema import SOURCE
from raicurate.transforms.target_groups import target_groups

ROOT = Path(__file__).resolve().parents[1] / "corpora_manifests"
BATCH = 1000
RELATED = {frozenset({"lgbt", "gay"}), frozenset({"lgbt", "trans"})}

Counts = dict[tuple[str, str], Counter[str]]
"""By set and language."""


def main() -> int:
    """Runs both measurements and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=1000, help="of each set and language")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not os.environ.get("RAI_DATA"):
        print("RAI_DATA names no folder of real data, so there is no text to use", file=sys.stderr)
        return 2
    classifier = load_classifier(ROOT / "classifiers" / "harm.yaml")
    manifest = load_manifest(ROOT / "shared_data.yaml")
    targets = _targets(classifier, manifest)
    blocks = Blocks.create(manifest)
    unnamed = {
        each.name
        for each in classifier.sets
        if each.form == "rows" and each.hazard_key is None and each.stances != "none"
    }
    known = [
        each
        for each in read_examples(classifier)
        if each.lang in blocks.library.languages
        and each.text.strip()
        and each.set_name not in unnamed
    ]
    labelled = [each for each in known if each.stance in KIND and each.hazards]
    unseen = [each for each in known if each.part != "train"]
    result = {
        "labels": from_labels(_spread(labelled, options.documents), blocks, targets),
        "models": from_models(_spread(unseen, options.documents), blocks, targets),
    }
    for name, counts in result.items():
        _print(name, counts)
    if options.json is not None:
        plain = {
            name: {"/".join(key): dict(each) for key, each in counts.items()}
            for name, counts in result.items()
        }
        options.json.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    return 0


def from_labels(examples: Sequence[Example], blocks: Blocks, targets: dict[str, Targets]) -> Counts:
    """Returns what contexts state where the labels themselves are the annotations."""
    counts: Counts = defaultdict(Counter)
    for found in _batches(examples):
        labels = targets.get(found[0].set_name)
        batch = pa.RecordBatch.from_pylist([row_of(each) for each in found], schema=SCHEMA)
        groups = target_groups(
            *(batch.column(name) for name in ("text", "lang")),
            pa.array([_metadata(each) for each in found]),
            *(batch.column(name) for name in ("action", "active_hazards")),
            labels,
        )
        index = batch.schema.get_field_index("target_group")
        batch = batch.set_column(index, "target_group", groups)
        applied = contextualize(batch, blocks.policy, blocks.library, blocks.checks)
        _count(counts, found, applied.column("spans").to_pylist(), labels)
    return counts


def from_models(examples: Sequence[Example], blocks: Blocks, targets: dict[str, Targets]) -> Counts:
    """Returns what contexts state where the models that ship annotated the text."""
    counts: Counts = defaultdict(Counter)
    corpus = Corpus(name="labelled", paths=("*",), license="various")
    decider = Decider(blocks.policy, corpus)
    for found in _batches(examples):
        documents = _documents(found)
        labels = blocks.annotate(documents)
        decisions = decider.decide(labels)
        applied = blocks.apply(documents, labels, decisions, corpus)
        explained = applied.column("action").to_pylist()
        spans = [
            each if action == "contextualize" else []
            for each, action in zip(applied.column("spans").to_pylist(), explained, strict=True)
        ]
        _count(counts, found, spans, targets.get(found[0].set_name))
    return counts


def _targets(classifier: ClassifierManifest, manifest: Manifest) -> dict[str, Targets]:
    """Returns by set the labels of groups that the manifest of the data names for its file."""
    by_file = {path: each.targets for each in manifest.corpora for path in each.paths}
    found = {each.name: by_file.get(Path(each.path).name) for each in classifier.sets}
    return {name: targets for name, targets in found.items() if targets is not None}


def _spread(examples: Sequence[Example], most: int) -> list[Example]:
    """Returns so many of each set and language, spread over it."""
    groups: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for each in examples:
        groups[each.set_name, each.lang].append(each)
    return [
        each for found in groups.values() for each in found[:: max(1, len(found) // most)][:most]
    ]


def _batches(examples: Sequence[Example]) -> Iterator[list[Example]]:
    """Yields batches of one set and language each."""
    groups: dict[tuple[str, str], list[Example]] = defaultdict(list)
    for each in examples:
        groups[each.set_name, each.lang].append(each)
    for found in groups.values():
        for start in range(0, len(found), BATCH):
            yield found[start : start + BATCH]


def _metadata(example: Example) -> str:
    return orjson.dumps(example.row, default=str).decode()


def _documents(examples: Sequence[Example]) -> pa.RecordBatch:
    rows = [
        {
            "id": f"{each.set_name}/{each.id}", "text": each.text, "source": each.set_name,
            "declared_lang": each.lang, "metadata": "{}", "text_sha256": "", "src_file": "",
            "src_row": number,
        }
        for number, each in enumerate(examples)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, schema=SOURCE)


def _count(
    counts: Counts,
    examples: Sequence[Example],
    spans: Sequence[Sequence[dict[str, Any]]],
    targets: Targets | None,
) -> None:
    for example, found in zip(examples, spans, strict=True):
        seen = counts[example.set_name, example.lang]
        seen["texts"] += 1
        refs = [span["ref"].split("/") for span in found if span["kind"] == "context"]
        if not refs:
            continue
        # Of several contexts the one that names a group leads; each names a hazard.
        stated = max(refs, key=len)
        seen["explained"] += 1
        seen["hazard matches"] += stated[2] in example.hazards
        seen["labelled harmless"] += not example.hazards
        if targets is None or not example.hazards:
            continue
        group = _gold(example, targets)
        if group is None and len(stated) < 4:
            continue
        seen["group labelled"] += group is not None
        seen["group named"] += len(stated) == 4
        seen["group matches"] += len(stated) == 4 and _same(stated[3], group)


def _gold(example: Example, targets: Targets) -> str | None:
    metadata = pa.array([_metadata(example)])
    whole = [{"hazard": "harassment", "stance": "intent", "start": 0, "end": 1, "score": 1.0}
             | {"operational": False, "target": False, "threat": False, "severity": 1}]  # fmt: skip
    hazards = pa.array([whole], SCHEMA.field("active_hazards").type)
    found = target_groups(
        pa.array([example.text]), pa.array([example.lang]), metadata,
        pa.array(["contextualize"]), hazards, targets,
    )  # fmt: skip
    return found[0].as_py()


def _same(stated: str, labelled: str | None) -> bool:
    return stated == labelled or frozenset({stated, labelled}) in RELATED


def _print(name: str, counts: Counts) -> None:
    print(
        f"\n{name:<30} lang  texts  explained; hazard matches, of these and of the harmful; "
        "groups labelled, named, matches of the named"
    )
    by_language: dict[str, Counter[str]] = defaultdict(Counter)
    total: Counter[str] = Counter()
    for (set_name, lang), seen in sorted(counts.items()):
        total.update(seen)
        by_language[lang].update(seen)
        if seen["explained"]:
            _line(set_name, lang, seen)
    for lang, seen in sorted(by_language.items()):
        _line("all", lang, seen)
    _line("all", "", total)


def _line(set_name: str, lang: str, seen: Counter[str]) -> None:
    harmful = seen["explained"] - seen["labelled harmless"]
    print(
        f"  {set_name:<28} {lang:<4} {seen['texts']:>6} {seen['explained']:>10}"
        f"  {_share(seen['hazard matches'], seen['explained'])}"
        f" {_share(seen['hazard matches'], harmful)}"
        f" {seen['group labelled']:>8} {seen['group named']:>6}"
        f"  {_share(seen['group matches'], seen['group named'])}"
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:6.1%}" if whole else "     -"


if __name__ == "__main__":
    sys.exit(main())
