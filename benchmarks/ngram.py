"""Measures the built-in n-gram model: fitting and scoring in MB/s of CPU time, and its exactness.

RAI_DATA=... python benchmarks/ngram.py [--order 6 8]

Fitted on 10 MB of the general documents in English below `$RAI_DATA`, scored on 4 MB of others. One
process, one thread; numpy needs no more.
"""

import argparse
import gzip
import math
import os
import time
from pathlib import Path

import numpy as np
import orjson

from raicurate.probes.backend import utf8_bytes
from raicurate.probes.ngram import NGramModel

FIT_BYTES, SCORE_BYTES = 10_000_000, 4_000_000
CONTEXTS = 1000


def general_texts(data: Path) -> list[str]:
    """Returns the general documents in English, in the order of the file."""
    with gzip.open(data / "general" / "general_documents_english.jsonl.gz") as file:
        return [orjson.loads(line)["text"] for line in file]


def taken(texts: list[str], size: int) -> list[str]:
    """Returns the first texts that hold `size` bytes together."""
    chosen, total = [], 0
    for text in texts:
        if total >= size:
            break
        chosen.append(text)
        total += utf8_bytes(text)
    return chosen


def measure(fitted: list[str], scored: list[str], order: int) -> str:
    """Returns a line on a model of one order."""
    started = time.process_time()
    model = NGramModel.fit(fitted, order)
    fit = sum(map(utf8_bytes, fitted)) / (time.process_time() - started) / 1e6
    started = time.process_time()
    answers = model.token_nll(scored)
    size = sum(map(utf8_bytes, scored))
    score = size / (time.process_time() - started) / 1e6
    bits = sum(float(answer.nll_nats.sum()) for answer in answers) / size / math.log(2)
    random = np.random.default_rng(0)
    worst = 0.0
    for number in range(CONTEXTS):
        text = scored[int(random.integers(len(scored)))]
        place = int(random.integers(len(text)))
        known = text[max(0, place - 12) : place]
        unknown = "".join(map(chr, random.integers(1, 0x3000, 8)))
        worst = max(worst, abs(float(model.distribution((known, unknown)[number % 2]).sum()) - 1))
    return f"| {order} | {fit:.1f} | {score:.1f} | {bits:.3f} | {worst:.0e} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--order", type=int, nargs="+", default=[6, 8])
    options = parser.parse_args()
    documents = general_texts(Path(os.environ["RAI_DATA"]))
    print("| order | fit MB/s | score MB/s | bits per byte | largest error of a sum |")
    print("|---|---|---|---|---|")
    for order in options.order:
        print(measure(taken(documents[::2], FIT_BYTES), taken(documents[1::2], SCORE_BYTES), order))
