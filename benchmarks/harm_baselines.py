"""What else could label harm, measured on the held-out texts of the cascade's audit.

    RAI_DATA=... python benchmarks/harm_baselines.py [--fasttext FILE.bin]

One fastText model over everything (trained here on the training split of the cascade's manifest,
with one thread, so that it is the same each time), `alt-profanity-check` from the registry (MIT;
`pip install alt-profanity-check`; left out where it is not installed), the lexicon alone, and a
verdict that never changes. Every one is asked about the same texts, and the same code judges it.
The table is Markdown. Speed is megabytes of text per CPU second on ordinary documents, one thread.
"""

import argparse
import importlib.util
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.classifier import ClassifierManifest
from raicurate.corpora_manifests.load import PACKAGE_FOLDER, load_policy, validated
from raicurate.corpora_manifests.vocabulary import STANCES
from raicurate.transforms import audit_data
from raicurate.transforms.annotate_harm import HarmAnnotator
from raicurate.transforms.annotate_lexicon import LexiconAnnotator
from raicurate.transforms.audit_answers import Answers, ask
from raicurate.transforms.audit_checks import Figure, share
from raicurate.transforms.audit_harm import functionalities, web
from raicurate.transforms.fasttext_model import FastTextModel, lines_of, zeroed_memory
from raicurate.transforms.harm_model import SHIPPED, HarmModel
from raicurate.transforms.labelled_sets import Example, read_examples
from raicurate.transforms.train_harm import importance_of

SPEED_BYTES = 8_000_000
"""Text over which speed is measured, the same for all."""

BATCH = 256

Asked = Callable[[Sequence[str], Sequence[str]], Answers]


class Baseline(NamedTuple):
    """One way to label: its name in the table, and what it says of texts in given languages."""

    name: str
    ask: Asked


def verdicts(score: np.ndarray, threshold: float) -> Answers:
    """Returns scores of intent as answers: intent or nothing."""
    stances = np.zeros((len(score), len(STANCES)), dtype=bool)
    stances[:, STANCES.index("intent")] = score >= threshold
    return Answers(score.astype(np.float64), stances, stances.any(axis=1).astype(np.int64))


def trained_fasttext(examples: Sequence[Example], weights: np.ndarray, path: Path) -> FastTextModel:
    """Trains one model on all languages and kinds of text, and saves it.

    Texts count as often as for the cascade, rounded to whole lines.

    Words, pairs of words, and runs of 2 to 5 characters, without which it could not read Chinese
    and Japanese.
    """
    texts = lines_of(pc.utf8_lower(pa.array([example.text for example in examples])))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "lines.txt"
        with source.open("w", encoding="utf-8") as lines:
            for example, text, weight in zip(examples, texts, weights, strict=True):
                label = "intent" if example.stance == "intent" else "other"
                lines.write(f"__label__{label} {text}\n" * max(1, round(weight)))
        with zeroed_memory():
            model = fasttext.train_supervised(
                str(source), dim=32, wordNgrams=2, minn=2, maxn=5, bucket=1 << 19, minCount=3,
                epoch=5, lr=0.3, thread=1, verbose=0,
            )  # fmt: skip
            model.save_model(str(path))
    return FastTextModel.load(path)


def fasttext_baseline(model: FastTextModel) -> Baseline:
    """Returns the one model over everything, at a probability of one half."""
    column = model.labels.index("intent")

    def said(texts: Sequence[str], _: Sequence[str]) -> Answers:
        lines = lines_of(pc.utf8_lower(pa.array(texts, pa.large_string())))
        return verdicts(model.probabilities(lines)[:, column], 0.5)

    return Baseline("one fastText model", said)


def lexicon_baseline(terms: int) -> Baseline:
    """Returns the lexicon alone: a text with so many distinct terms is harmful."""
    lexicon = LexiconAnnotator()
    lexicon.setup()

    def said(texts: Sequence[str], languages: Sequence[str]) -> Answers:
        batch = pa.RecordBatch.from_pydict(
            {"text": pa.array(texts, pa.string()), "lang": pa.array(languages, pa.string())}
        )
        [hits] = lexicon.annotate(batch)
        found = [sum(hit["distinct"] for hit in row or ()) for row in hits.to_pylist()]
        return verdicts(np.array(found, dtype=np.float64), terms)

    return Baseline(f"lexicon alone, {terms} distinct term{'s' * (terms > 1)}", said)


def profanity_baseline() -> Baseline:
    """Returns alt-profanity-check: a linear SVM over words, trained on English comments."""
    from profanity_check import predict_prob

    return Baseline(
        "alt-profanity-check", lambda texts, _: verdicts(np.array(predict_prob(list(texts))), 0.5)
    )


def constant_baseline() -> Baseline:
    """Returns what calls every text harmful."""
    return Baseline("always hateful", lambda texts, _: verdicts(np.ones(len(texts)), 0.5))


def cascade() -> Baseline:
    """Returns the cascade that ships, at the thresholds of the default policy."""
    policy = load_policy(PACKAGE_FOLDER / "policies" / "default.yaml")
    annotator = HarmAnnotator()
    annotator.setup()
    return Baseline("the cascade", lambda texts, langs: ask(annotator, policy, texts, langs))


def in_batches(asked: Asked, texts: Sequence[str], languages: Sequence[str]) -> Answers:
    """Returns what is said of many texts."""
    answers = [
        asked(texts[low : low + BATCH], languages[low : low + BATCH])
        for low in range(0, len(texts), BATCH)
    ]
    return Answers(*(np.concatenate(column) for column in zip(*answers, strict=True)))


def megabytes_per_second(asked: Asked, documents: Sequence[tuple[str, str]]) -> float:
    """Returns the speed on documents, per CPU second of the process."""
    texts, languages = [text for text, _ in documents], [lang for _, lang in documents]
    in_batches(asked, texts[:BATCH], languages[:BATCH])
    started = time.process_time()
    in_batches(asked, texts, languages)
    return sum(len(text.encode()) for text in texts) / 1e6 / (time.process_time() - started)


def row(baseline: Baseline, tests: Sequence[Example], speed: Sequence[tuple[str, str]]) -> str:
    """Returns the line of the table for one way to label."""
    answers = in_batches(baseline.ask, [e.text for e in tests], [e.lang for e in tests])
    figures = [*functionalities(tests, answers), *web(tests, answers)]
    documents = audit_data.whole_documents(list(tests))
    ordinary = in_batches(baseline.ask, [e.text for e in documents], [e.lang for e in documents])
    figures.append(share("ordinary_flagged", "documents", ordinary.intent))
    found: dict[str, Figure] = {figure.check: figure for figure in figures}
    cells = [
        "" if (value := found[check].value) is None else f"{value:.3f}" for _, check in COLUMNS
    ]
    rate = megabytes_per_second(baseline.ask, speed)
    return f"| {baseline.name} | {' | '.join(cells)} | {rate:.1f} |"


COLUMNS = (
    ("HateCheck en: AUC", "functionality_auc"),
    ("hateful found", "hateful_accuracy"),
    ("others cleared", "non_hateful_accuracy"),
    ("HAVOC: average precision", "intent_average_precision"),
    ("intent found", "intent_caught"),
    ("topical flagged", "topical_flagged"),
    ("ordinary documents flagged", "ordinary_flagged"),
)


def baselines(
    training: Sequence[Example], weights: np.ndarray, model_path: Path | None
) -> Iterator[Baseline]:
    """Yields all that are measured."""
    yield cascade()
    if model_path is not None and model_path.is_file():
        yield fasttext_baseline(FastTextModel.load(model_path))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = model_path or Path(folder) / "harm.bin"
            yield fasttext_baseline(trained_fasttext(training, weights, path))
    if importlib.util.find_spec("profanity_check"):
        yield profanity_baseline()
    yield lexicon_baseline(1)
    yield lexicon_baseline(2)
    yield constant_baseline()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fasttext", type=Path, help="kept there, and not trained again")
    options = parser.parse_args()
    data = Path(os.environ["RAI_DATA"])
    model = HarmModel.load(SHIPPED)
    content = model.description["manifest"] | {
        "root": str(data),
        "folder": str(audit_data.CLASSIFIERS),
    }
    manifest = validated(ClassifierManifest, content, "the manifest in model.json")
    examples = read_examples(manifest)
    tests = [e for e in examples if e.part == "test" and e.lang in model.languages]
    training = [e for e in examples if e.part == "train"]
    speed, size = [], 0
    for text, lang in audit_data.general_documents(data, model.languages):
        if size < SPEED_BYTES:
            speed.append((text, lang))
            size += len(text.encode())
    print(f"| | {' | '.join(title for title, _ in COLUMNS)} | MB/s |")
    print(f"|---|{'---:|' * (len(COLUMNS) + 1)}", flush=True)
    for baseline in baselines(training, importance_of(training, manifest), options.fasttext):
        print(row(baseline, tests, speed), flush=True)


if __name__ == "__main__":
    main()
