"""Scores the same texts with raicurate and with lm-evaluation-harness, and prints both.

    RAI_DATA=... python benchmarks/small_model.py FOLDER
    RAI_DATA=... python benchmarks/probe.py FOLDER --json result.json

Four loads, on one model directory, on the CPU:

- documents: policy documents cut to what fits into one window, where the windows of both agree;
- choices: multiple-choice questions (each choice as the continuation of its question);
- worked examples: the same questions after four solved ones;
- crossed items: the suites that ship, two contexts and two continuations each.

What should hold: bits per byte equal to 1e-5, the same choice on every item, and at least twice the
tokens a second. lm-evaluation-harness is measured at each of `--batch-sizes`, and its best for each
load is compared. All are warmed up first and take turns, round after round; loading is not counted.
README.md here says how the two are made to ask the same, and what was found.
"""

import argparse
import gc
import gzip
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from raicurate.corpora_manifests.digests import digest
from raicurate.probes.backend import Request, open_backend
from raicurate.probes.suite import load_suite, resolve_suite

SHOTS = 4
TARGETS = {"bits_per_byte": 1e-5, "ratio": 2.0}


@dataclass
class Load:
    """Texts to score, and the seconds that each contestant took in each round.

    Attributes:
        name: In the table.
        items: Choices of each item; of documents, empty.
        texts: Documents; else empty.
        tokens: Tokens that are scored.
        seconds: Wall clock and CPU, by contestant.
        answers: Sums of nats by contestant.
    """

    name: str
    items: list[list[Request]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    answers: dict[str, list[float]] = field(default_factory=dict)

    @property
    def requests(self) -> list[Request]:
        """All choices of all items."""
        return [request for item in self.items for request in item]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path) as file:
        for line in file:
            yield orjson.loads(line)


def _questions(data: Path, count: int) -> list[tuple[str, list[str], int]]:
    """Returns question, choices and the number of the right one."""
    found = []
    for record in _lines(data / "probe" / "mmlu_rai_dev.jsonl.gz"):
        choices = [f" {choice}" for choice in record["options"]]
        found.append((record["question"], choices, record["answer"]))
        if len(found) == count:
            break
    return found


def loads(data: Path, folder: Path, documents: int, questions: int) -> list[Load]:
    """Returns the texts to score."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    length = transformers.AutoConfig.from_pretrained(folder).max_position_embeddings
    texts = []
    for record in _lines(data / "policy" / "policy_documents.jsonl.gz"):
        if record["lang"] != "en":
            continue
        encoded = tokenizer(record["text"], return_offsets_mapping=True, add_special_tokens=False)
        # Lengths differ from one to the next, as those of documents do.
        drawn = 40 + int(digest(record["id"])[:8], 16) % (length - 40)
        wanted = min(len(encoded["input_ids"]), drawn)
        if wanted < 20:
            continue
        texts.append(record["text"][: encoded["offset_mapping"][wanted - 1][1]].strip())
        if len(texts) == documents:
            break
    asked = _questions(data, questions + SHOTS)
    template = "Question: {}\nAnswer:"
    shots = "".join(
        f"{template.format(question)}{choices[right]}\n\n"
        for question, choices, right in asked[:SHOTS]
    )
    plain = [
        [Request(template.format(question), choice) for choice in choices]
        for question, choices, _ in asked[SHOTS:]
    ]
    shown = [[Request(shots + r.context, r.continuation) for r in item] for item in plain]

    def fits(item: list[Request]) -> bool:
        return all(len(tokenizer(r.context + r.continuation).input_ids) < length for r in item)

    crossed = [
        [Request(context, continuation) for continuation in item.continuations]
        for item in load_suite(resolve_suite("crossed")).items
        if item.kind == "crossed"
        for context in item.contexts
    ]
    return [
        Load("documents", texts=texts),
        Load("choices", [item for item in plain if fits(item)]),
        Load("worked examples", [item for item in shown if fits(item)]),
        # Every so many of them, so that all suites have their share.
        Load(
            "crossed items", [item for item in crossed if fits(item)][:: _step(crossed, questions)]
        ),
    ]


def _step(found: Sequence[object], wanted: int) -> int:
    return max(1, len(found) // (2 * wanted))


def _harness(folder: Path, batch_size: int | str) -> Callable[[Load], list[float]]:
    """Returns what scores a load with lm-evaluation-harness."""
    model = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=batch_size)
    # It puts no start of text before a context by itself; written out, it is read as one token.
    start = model.tokenizer.decode([model.prefix_token_id])

    def score(load: Load) -> list[float]:
        if load.texts:
            asked = [_instance("loglikelihood_rolling", (text,)) for text in load.texts]
            return [-value for value in model.loglikelihood_rolling(asked, disable_tqdm=True)]
        asked = [
            _instance("loglikelihood", (start + request.context, request.continuation))
            for request in load.requests
        ]
        return [-value for value, _ in model.loglikelihood(asked, disable_tqdm=True)]

    return score


def _instance(kind: str, arguments: tuple[str, ...]) -> Any:
    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def _raicurate(folder: Path) -> Callable[[Load], list[float]]:
    backend = open_backend(f"hf:{folder},device=cpu")

    def score(load: Load) -> list[float]:
        if load.texts:
            found = backend.token_nll(load.texts)
            load.tokens = sum(len(one.nll_nats) for one in found)
            return [float(one.nll_nats.sum()) for one in found]
        scores = backend.score(load.requests)
        load.tokens = sum(one.n_tokens for one in scores)
        return [one.sum_nll_nats for one in scores]

    return score


def _measure(
    contestants: dict[str, Callable[[Load], list[float]]], load: Load, rounds: int
) -> None:
    few = Load(load.name, load.items[:8], load.texts[:8])
    for score in contestants.values():
        score(few)
    for _ in range(rounds):
        for name, score in contestants.items():
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            load.answers[name] = score(load)
            taken = time.perf_counter() - wall, time.process_time() - cpu
            load.seconds.setdefault(name, []).append(taken)


def compared(load: Load, own: str) -> dict[str, Any]:
    """Returns the figures of a load: tokens a second, the ratio, and how far answers differ."""
    medians = {
        name: [statistics.median(part) for part in zip(*found, strict=True)]
        for name, found in load.seconds.items()
    }
    best = min((name for name in medians if name != own), key=lambda name: medians[name][0])
    # Rounds are compared with themselves, since a machine is not equally fast at all times.
    rounds = list(zip(load.seconds[best], load.seconds[own], strict=True))
    figures: dict[str, Any] = {
        "load": load.name,
        "tokens": load.tokens,
        "best": best,
        "ratio": statistics.median(theirs[0] / ours[0] for theirs, ours in rounds),
        "cpu_ratio": statistics.median(theirs[1] / ours[1] for theirs, ours in rounds),
        "seconds": {name: found[0] for name, found in medians.items()},
        "cpu_seconds": {name: found[1] for name, found in medians.items()},
        "tokens_per_second": {name: load.tokens / found[0] for name, found in medians.items()},
    }
    ours, theirs = load.answers[own], load.answers[best]
    if load.texts:
        sizes = [len(text.encode()) * math.log(2) for text in load.texts]
        figures["bits_per_byte"] = [sum(found) / sum(sizes) for found in (ours, theirs)]
        figures["largest_difference"] = max(
            abs(left - right) / size for left, right, size in zip(ours, theirs, sizes, strict=True)
        )
    else:
        chosen = [_chosen(load, found) for found in (ours, theirs)]
        figures["items"] = len(load.items)
        figures["different_choices"] = sum(a != b for a, b in zip(*chosen, strict=True))
        figures["largest_difference"] = max(
            abs(left - right) for left, right in zip(ours, theirs, strict=True)
        )
    return figures


def _chosen(load: Load, answers: Sequence[float]) -> list[int]:
    values = iter(answers)
    found = []
    for item in load.items:
        nats = [next(values) for _ in item]
        found.append(nats.index(min(nats)))
    return found


def _printed(figures: dict[str, Any], own: str) -> bool:
    speeds = figures["tokens_per_second"]
    print(f"\n{figures['load']}: {figures['tokens']:,} scored tokens")
    for name, speed in sorted(speeds.items(), key=lambda entry: -entry[1]):
        print(f"  {name:24} {speed:12,.0f} tokens/s")
    held = figures["ratio"] >= TARGETS["ratio"]
    print(f"  {own} is {figures['ratio']:.2f} times as fast as {figures['best']} "
          f"({figures['cpu_ratio']:.2f} by CPU time)")  # fmt: skip
    if "bits_per_byte" in figures:
        ours, theirs = figures["bits_per_byte"]
        print(f"  bits per byte {ours:.7f} and {theirs:.7f}, "
              f"largest difference of a document {figures['largest_difference']:.1e}")  # fmt: skip
        return held and figures["largest_difference"] <= TARGETS["bits_per_byte"]
    print(f"  {figures['items']} items, {figures['different_choices']} chosen differently, "
          f"largest difference of a sum {figures['largest_difference']:.1e} nats")  # fmt: skip
    return held and not figures["different_choices"]


def main() -> int:
    """Measures and prints; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=150)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-sizes", nargs="+", default=["1", "8", "32"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    own = "raicurate"
    contestants = {own: _raicurate(options.folder)}
    for size in options.batch_sizes:
        contestants[f"lm-eval, batch {size}"] = _harness(
            options.folder, int(size) if size.isdecimal() else size
        )
    all_loads = loads(
        Path(os.environ["RAI_DATA"]), options.folder, options.documents, options.questions
    )
    figures, held = [], []
    for load in all_loads:
        _measure(contestants, load, options.rounds)
        figures.append(compared(load, own))
        held.append(_printed(figures[-1], own))
        sys.stdout.flush()
    total = {
        name: sum(one["seconds"][own if name == own else one["best"]] for one in figures)
        for name in (own, "lm-eval at its best")
    }
    ratio = total["lm-eval at its best"] / total[own]
    print(f"\nall loads: {own} {total[own]:.1f} s, lm-eval at its best for each "
          f"{total['lm-eval at its best']:.1f} s: {ratio:.2f} times as fast")  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    print("\nall targets held" if all(held) else "\na target was missed")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
