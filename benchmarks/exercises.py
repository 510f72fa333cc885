"""Exercises from policy documents: ours beside the published approach of AdaptLLM.

    python -m benchmarks.exercises DATA

D. Cheng, S. Huang and F. Wei, "Adapting Large Language Models via Reading Comprehension" (ICLR
2024), turn raw text into tasks by its discourse connectives, without a model: a pair of sentences
joined by one tells of entailment, contradiction or neutrality (natural language inference), cause
and effect, or paraphrase; words of the domain are to be turned into sentences, and a text is to be
completed. What is written here follows the description in the paper, in our own words: connectives
by relation, at most two tasks of each sort and text, texts of about 2,000 words.

Three figures of each: exercises per 1,000 tokens (SentencePiece model that ships, and words); the
share whose answer needs no passage, that is, stands in the question or can be guessed from it by
form; the share whose answer is derived from a record and carries the stretch that proves it.
"""

import argparse
import gzip
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.exercise_gates import Gates, Seen
from raicurate.transforms.exercise_tokens import token_counter
from raicurate.transforms.make_exercises import make_exercises
from raicurate.transforms.policy_rows import policy_of_row

SOURCES = ("openai/model_spec", "github/site-policy")
_TEXT_WORDS = 2000
_PER_SORT = 2

CONNECTIVES = {
    "entailment": ("therefore", "thus", "hence", "accordingly", "it follows that"),
    "contradiction": ("however", "in contrast", "on the contrary", "nevertheless", "yet"),
    "neutral": ("furthermore", "moreover", "additionally", "in addition", "likewise"),
    "cause": ("as a result", "consequently", "this is because", "for this reason", "due to this"),
    "paraphrase": ("in other words", "that is to say", "put differently", "namely"),
}
"""Words that begin a sentence and tell how it stands to the one before."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"(])")


def connective_tasks(text: str) -> Iterator[tuple[str, str, str]]:
    """Yields sort, question and answer of the tasks that connectives give."""
    words = text.split()
    for start in range(0, len(words), _TEXT_WORDS):
        chunk = " ".join(words[start : start + _TEXT_WORDS])
        sentences = _SENTENCE.split(chunk)
        made: Counter[str] = Counter()
        for before, after in itertools.pairwise(sentences):
            for sort, connectives in CONNECTIVES.items():
                found = next((c for c in connectives if after.lower().startswith(c)), None)
                if found is None or made[sort] >= _PER_SORT or len(before.split()) < 5:
                    continue
                made[sort] += 1
                rest = after[len(found) :].lstrip(" ,")
                if sort in {"entailment", "contradiction", "neutral"}:
                    yield sort, f'How does "{rest}" stand to "{before}"?', sort
                elif sort == "cause":
                    yield sort, f'What follows from this? "{before}"', rest
                else:
                    yield sort, f'Say this in other words: "{before}"', rest


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with policy/policy_documents.jsonl.gz")
    path = parser.parse_args().data / "policy" / "policy_documents.jsonl.gz"
    documents: list[dict[str, Any]] = []
    with gzip.open(path) as file:
        documents = [row for line in file if (row := orjson.loads(line))["source"] in SOURCES]
    count = token_counter()
    tokens = sum(count([row["text"] for row in documents]))
    words = sum(len(row["text"].split()) for row in documents)
    print(f"{len(documents)} documents, {words} words, {tokens} tokens")
    _report("connectives", [task for row in documents for task in connective_tasks(row["text"])],
            tokens, words, proved=0)  # fmt: skip
    _ours(documents, tokens, words)


def _ours(documents: list[dict[str, Any]], tokens: int, words: int) -> None:
    library, packs, gates, seen = ExerciseLibrary.load(), shipped_packs(), Gates(), Seen()
    made, proved, clauses, asked, seconds = [], 0, 0, set(), 0.0
    for row in documents:
        document = policy_of_row(row["id"], row["text"], row["lang"], row["path"], "{}")
        found = extract_clauses(document, packs)
        clauses += len(found)
        started = time.process_time()
        exercises = gates.passing(make_exercises(document, found, library), Counter(), seen)
        seconds += time.process_time() - started
        for exercise in exercises:
            proved += bool(exercise.support)
            asked.add((row["id"], exercise.clause_ids[0]))
            made.append((exercise.family, exercise.question, exercise.answer))
    _report("raicurate", made, tokens, words, proved)
    print(f"  {len(asked)} of {clauses} clauses asked about, {len(made) / seconds:.0f} a second")


def _report(
    name: str, tasks: list[tuple[str, str, str]], tokens: int, words: int, proved: int
) -> None:
    total = max(len(tasks), 1)
    told = sum(_told(question, answer) for _, question, answer in tasks)
    print(
        f"{name}: {len(tasks)} exercises, {1000 * len(tasks) / tokens:.2f} per 1,000 tokens, "
        f"{1000 * len(tasks) / words:.2f} per 1,000 words; answer in the question "
        f"{told / total:.1%}; provable {proved / total:.1%}"
    )
    print("  " + ", ".join(f"{s} {n}" for s, n in Counter(t[0] for t in tasks).most_common()))


def _told(question: str, answer: str) -> bool:
    """Returns whether every longer word of the answer stands in the question, clause and all."""
    asked = set(re.findall(r"\w{4,}", question.lower()))
    needed = set(re.findall(r"\w{4,}", answer.lower()))
    return bool(needed) and needed <= asked


if __name__ == "__main__":
    main()
