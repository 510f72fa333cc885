"""What context in template mode comes to on labelled sets: acceptance, variety, speed.

    RAI_DATA=... python benchmarks/context.py [--documents 2000] [--languages en] [--variety 10000]

Labels are those that the makers of the sets gave, as the classifier manifest reads them; the whole
text counts as the flagged passage. The models that ship judge what is added.
"""

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from raicurate.corpora_manifests.classifier import load_classifier
from raicurate.corpora_manifests.load import load_policy
from raicurate.corpora_manifests.policy import Policy
from raicurate.exercise_templates.context import ContextLibrary, ContextRequest, HazardFacts
from raicurate.transforms import registry
from raicurate.transforms.context_checks import checks_of
from raicurate.transforms.contextualize import contextualize, recover_original
from raicurate.transforms.decide import ACTIVE_HAZARD
from raicurate.transforms.labelled_sets import Example, read_examples
from raicurate.transforms.registry import Annotator
from raicurate.transforms.schema import PERSONAL_DATA

ROOT = Path(__file__).resolve().parents[1] / "corpora_manifests"
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "text", "lang", "role", "action", "rule")),
        ("context_kind", pa.string()),
        ("withhold", pa.string()),
        ("active_hazards", pa.list_(ACTIVE_HAZARD)),
        ("personal_data", pa.list_(PERSONAL_DATA)),
        ("target_group", pa.string()),
    ]
)
KIND = {"intent": "full", "topical": "note", "disclosure": "support"}
BATCH = 2000
NGRAM = 4


def main() -> int:
    """Runs all parts and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=2000, help="of each language")
    parser.add_argument("--languages", nargs="*", help="only these")
    parser.add_argument("--variety", type=int, default=10_000)
    options = parser.parse_args()
    if not os.environ.get("RAI_DATA"):
        print("RAI_DATA names no folder of real data, so there is no text to use", file=sys.stderr)
        return 2
    policy = load_policy(ROOT / "policies" / "default.yaml")
    library = ContextLibrary.load()
    annotators = [registry.create(name, {}) for name in ("language@1", "harm@1")]
    examples = read_examples(load_classifier(ROOT / "classifiers" / "harm.yaml"))
    by_language: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        if options.languages and example.lang not in options.languages:
            continue
        if example.stance in KIND and example.hazards and example.text.strip():
            by_language[example.lang].append(example)
    print(f"{'lang':<5} {'docs':>6} {'accepted':>9} {'MB/s':>6} {'added':>6}  rejections")
    for lang, found in sorted(by_language.items()):
        # Spread over the sets, which stand one after the other.
        spread = found[:: max(1, len(found) // options.documents)][: options.documents]
        acceptance(lang, spread, policy, library, annotators)
    variety(library, options.variety)
    return 0


def acceptance(
    lang: str,
    examples: Sequence[Example],
    policy: Policy,
    library: ContextLibrary,
    annotators: Sequence[Annotator],
) -> None:
    """Prints how many documents are accepted, and what is wrong with the rest."""
    batches = list(_batches(examples))
    # Templates and models are loaded once in a run, which is not what MB/s are about: the second
    # round is timed, in which the models know nothing of the first.
    for _ in range(2):
        checks = checks_of(annotators)
        started = time.process_time()
        applied = [contextualize(batch, policy, library, checks) for batch in batches]
        seconds = time.process_time() - started
    size = sum(result["text"].nbytes for result in applied)
    rejected: Counter[str] = Counter()
    added = total = 0
    for batch, result in zip(batches, applied, strict=True):
        for before, after in zip(batch.to_pylist(), result.to_pylist(), strict=True):
            if after["rejection"] is not None:
                rejected[after["rejection"]] += 1
                continue
            original = recover_original(after["text"], after["spans"])
            assert original.encode() == before["text"].encode()
            named = {span["ref"].rpartition("/")[2] for span in after["spans"] if span["ref"]}
            assert named <= {hazard["hazard"] for hazard in before["active_hazards"]}
            added += len(after["text"]) - len(original)
            total += len(after["text"])
    share = 1 - rejected.total() / len(examples)
    print(
        f"{lang:<5} {len(examples):>6} {share:>8.2%} {size / 1e6 / seconds:>6.1f} "
        f"{added / max(total, 1):>6.1%}  {dict(rejected)}"
    )


def _batches(examples: Sequence[Example]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(examples), BATCH):
        rows = [row_of(example) for example in examples[start : start + BATCH]]
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


def row_of(example: Example) -> dict[str, Any]:
    """Returns an example as a row for `contextualize`, its labels as annotations."""
    facts = {"operational": False, "score": 0.9, "target": False, "threat": False, "severity": 3}
    return {
        "id": f"{example.set_name}/{example.id}",
        "text": example.text,
        "lang": example.lang,
        "role": "web",
        "action": "contextualize",
        "rule": "intent",
        "context_kind": KIND[example.stance],
        "withhold": "nothing",
        "active_hazards": [
            {"hazard": hazard, "stance": example.stance, "start": 0, "end": len(example.text)}
            | facts
            for hazard in example.hazards
        ],
        "personal_data": [],
        "target_group": None,
    }


def variety(library: ContextLibrary, documents: int) -> None:
    """Prints how often contexts, wordings and word sequences repeat in English."""
    facts = (HazardFacts("hate", "intent", 3),)
    written = [
        library.write(ContextRequest(f"document {number}", "en", "full", facts))
        for number in range(documents)
    ]
    texts = Counter(each.text for each in written if each is not None)
    parts = Counter(ref for each in written if each is not None for ref in each.refs[1:])
    ngrams: Counter[tuple[str, ...]] = Counter()
    for text, times in texts.items():
        words = text.split()
        for start in range(len(words) - NGRAM + 1):
            ngrams[tuple(words[start : start + NGRAM])] += times
    by_part: dict[str, list[int]] = defaultdict(list)
    for ref, times in parts.items():
        by_part[ref.partition("@")[0]].append(times)
    print(f"{documents} contexts for hate in English: {len(texts)} distinct, the most frequent "
          f"{max(texts.values())} times")  # fmt: skip
    print(f"distinct {NGRAM}-grams {len(ngrams)} of {ngrams.total()}")
    for part, times in sorted(by_part.items()):
        print(f"  {part:<34} {len(times):>3} variants, each {min(times)} to {max(times)} times")


if __name__ == "__main__":
    sys.exit(main())
