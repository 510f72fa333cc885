"""Trains the small models that recognise the frequent languages of the web.

    python -m raicurate.transforms.train_language DATA OUT

There are two: one over words, which is fast, and one over n-grams of characters for what the first
doubts. Both must know what they do not know, so that text in a language outside their training is
sent on to a slower model instead of being called the nearest language that they know. Three things
teach them that:

- the rarer languages of the data are labels of their own, which it must not decide;
- a label `other` is trained on languages that do not exist: words of related languages mixed at
  equal shares, and words with letters changed, dropped and added. Between Spanish and Italian
  there is then not a border, but a stretch of `other`, in which Catalan or Asturian lie;
- texts are cut to many lengths, so that confidence grows with evidence.

The same data gives the same bytes (with the same versions of Python, fastText and PyArrow): one
thread, fixed seeds, and a split that hashes the family of a document.
"""

import argparse
import gzip
import hashlib
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import fasttext
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ContractError
from raicurate.transforms.fasttext_model import (
    FastTextModel,
    file_sha256,
    lines_of,
    zeroed_memory,
)
from raicurate.transforms.word_lines import word_lines
from raicurate.transforms.word_vectors import WordVectors

FILES = (
    "general/general_documents_english.jsonl.gz",
    "general/general_documents_other_languages.jsonl.gz",
    "general/language_id_sentences.jsonl.gz",
    "policy/policy_documents.jsonl.gz",
)
"""Files below the data folder: records with text, lang, source, license, and family or sent_id."""

FREQUENT = (
    *("ar", "de", "en", "es", "fa", "fr", "hi", "id", "it"),
    *("ja", "ko", "nl", "pl", "pt", "ru", "tr", "zh"),
)
"""The languages that the model may decide, if there is enough text to train them."""

WITH_NEIGHBOURS = frozenset({"es", "hi", "id", "it", "nl", "pt"})
"""Languages that share most words with one that the models do not know, such as Portuguese with
Galician: words alone do not decide them."""

OTHER = "other"
MODEL = "model.bin"
WORDS = "words.arrow"
DESCRIPTION = "model.json"

# Languages that are mistaken for each other, by how often a made-up language is made of them.
_RELATED: tuple[tuple[float, tuple[str, ...]], ...] = (
    (3.0, ("es", "fr", "it", "pt", "ro", "en")),
    (3.0, ("es", "pt", "it", "fr")),
    (3.0, ("es", "fr", "it", "pt")),
    (3.0, ("de", "nl", "en")),
    (
        4.0,
        ("en", "fr", "de", "es", "pt", "it", "nl", "id", "pl", "tr", "cs", "hu", "ro", "sw", "ms"),
    ),
    (1.0, ("pl", "cs")),
    (1.5, ("tr", "hu", "en")),
    (1.5, ("id", "ms", "sw")),
    (3.0, ("ru", "uk", "bg", "be")),
    (2.0, ("ar", "fa")),
    (2.0, ("hi", "sa")),
)
_CHANGED_WORDS = 0.35
_CHANGED_WORDS_OF_MIXTURE = 0.15
_LANGUAGE_CODES = {"glg": "gl"}  # the one code of three letters in the data
_LEAST_LINES = 100


@dataclass(frozen=True)
class LanguageParameters:
    """How the model is trained; the defaults are those of the model that ships.

    Attributes:
        seed: For cutting, mixing, shuffling and fastText.
        characters: Code points of a text that the model looks at, here and in use.
        held_out: Share of the families that the model is measured on and not trained on.
        texts_per_language: At most this many texts of each language.
        characters_per_language: Longer documents of a language with few documents give more texts.
        made_up: Texts in made-up languages.
        threshold: Confidence from which a frequent language counts as decided.
        dim: fastText: width of the vectors.
        bucket: fastText: rows for character n-grams.
        minn: fastText: shortest character n-gram.
        maxn: fastText: longest character n-gram.
        min_count: fastText: rarer words are known by their n-grams only.
        epoch: fastText: passes over the texts.
        lr: fastText: learning rate.
        words_min_count: Words rarer than this are unknown to the model over words.
        words_epoch: Passes of the model over words.
        words_lr: Its learning rate.
        words_threshold: Confidence from which its answer counts as decided...
        words_known: ...if at least this share of the words is known to it...
        words_least: ...and there are at least this many words.
    """

    seed: int = 1
    characters: int = 500
    held_out: float = 0.2
    texts_per_language: int = 4000
    characters_per_language: int = 6000
    made_up: int = 8000
    threshold: float = 0.6
    dim: int = 12
    bucket: int = 24_000
    minn: int = 2
    maxn: int = 4
    min_count: int = 60
    epoch: int = 15
    lr: float = 0.3
    words_min_count: int = 8
    words_epoch: int = 10
    words_lr: float = 0.5
    words_threshold: float = 0.9
    words_known: float = 0.6
    words_least: int = 20


class Record(NamedTuple):
    """A text of known language; those of one family are translations of each other."""

    text: str
    lang: str
    family: str
    is_sentence: bool
    license: str


def prepare(texts: pa.Array, characters: int) -> list[str]:
    """Returns the start of each text as the model sees it: one line, lower case."""
    return lines_of(pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, characters)))


def read_records(data: Path) -> list[Record]:
    """Reads all records of known language.

    Raises:
        ContractError: A file is missing.
    """
    records = []
    for name in FILES:
        path = data / name
        if not path.is_file():
            raise ContractError(
                f"there is no {path}, so the language model would be another one; give the folder "
                "that holds all files of the training data"
            )
        with gzip.open(path, "rb") as lines:
            for line in lines:
                row = orjson.loads(line)
                family = row.get("family") or row.get("sent_id") or row["id"]
                lang = _LANGUAGE_CODES.get(row["lang"], row["lang"])
                sentence = "sent_id" in row
                records.append(Record(row["text"], lang, family, sentence, row["license"]))
    return records


def is_held_out(family: str, share: float) -> bool:
    """Whether the records of a family are kept for measuring."""
    return int.from_bytes(hashlib.sha256(family.encode()).digest()[:8], "big") < share * 2**64


def _cut(text: str, most: int, characters: int, rng: random.Random) -> list[str]:
    """Returns stretches of a text from its start on, of many lengths up to `characters`."""
    if len(text) <= 200:
        return [text]
    lengths = [size for size in (40, 80, 160, 300, characters, characters) if size <= characters]
    pieces: list[str] = []
    position = 0
    while position < len(text) and len(pieces) < most:
        size = rng.choice(lengths)
        pieces.append(text[position : position + size])
        position += size
    return pieces


def _changed(word: str, letters: str, rng: random.Random) -> str:
    """Returns the word with one letter replaced, dropped or added."""
    place, kind = rng.randrange(len(word)), rng.random()
    if kind < 0.5:
        return word[:place] + rng.choice(letters) + word[place + 1 :]
    if kind < 0.75:
        return word[:place] + word[place + 1 :] if len(word) > 2 else word
    return word[:place] + rng.choice(letters) + word[place:]


def made_up_texts(texts: Mapping[str, Sequence[str]], count: int, seed: int) -> list[str]:
    """Returns texts in languages that do not exist, made of texts in those that do.

    Half of them mix the words of two or three related languages at equal shares and change few of
    them; the other half take one language and change many.

    Args:
        texts: Texts by language.
        count: How many to make.
        seed: Decides everything that is drawn.
    """
    rng = random.Random(seed)
    groups = [(weight, [lang for lang in langs if lang in texts]) for weight, langs in _RELATED]
    groups = [(weight, langs) for weight, langs in groups if langs]
    if not groups:
        return []
    result = []
    for _ in range(count):
        (langs,) = rng.choices([langs for _, langs in groups], [weight for weight, _ in groups])
        mixed = rng.random() < 0.5 and len(langs) > 1
        chosen = rng.sample(langs, min(len(langs), rng.choice((2, 2, 3)))) if mixed else None
        sources = [
            rng.choice(texts[lang]).lower().split() for lang in chosen or [rng.choice(langs)]
        ]
        sources = [words for words in sources if words]
        if not sources:
            continue
        letters = "".join(
            letter
            for words in sources
            for word in words[:50]
            for letter in word
            if letter.isalpha()
        )
        size = rng.choice((8, 15, 30, 60, 80))
        starts = [rng.randrange(max(1, len(words) - size)) for words in sources]
        share = _CHANGED_WORDS_OF_MIXTURE if mixed else _CHANGED_WORDS
        line = []
        for step in range(size):
            source = rng.randrange(len(sources))
            word = sources[source][(starts[source] + step) % len(sources[source])]
            if letters and rng.random() < share:
                word = _changed(word, letters, rng)
                if rng.random() < 0.5:
                    word = _changed(word, letters, rng)
            line.append(word)
        result.append(" ".join(line))
    return result


def prepare_words(texts: pa.Array, characters: int) -> pa.Array:
    """Returns the start of each text as the model over words sees it."""
    return word_lines(pc.utf8_slice_codeunits(texts, 0, characters))


def _training_lines(records: Sequence[Record], parameters: LanguageParameters) -> list[str]:
    rng = random.Random(parameters.seed)
    by_language: dict[str, list[str]] = defaultdict(list)
    for record in records:
        by_language[record.lang].append(record.text)
    texts: dict[str, list[str]] = {}
    labelled: list[tuple[str, str]] = []
    for lang, documents in sorted(by_language.items()):
        most = max(4, min(300, parameters.characters_per_language // len(documents) + 1))
        pieces = [
            piece for text in documents for piece in _cut(text, most, parameters.characters, rng)
        ]
        rng.shuffle(pieces)
        texts[lang] = pieces[: parameters.texts_per_language]
        # Languages with little text count up to three times, or they would never be answered.
        copies = max(1, min(3, 1000 // len(texts[lang])))
        labelled += [(lang, text) for text in texts[lang]] * copies
    made_up = made_up_texts(texts, parameters.made_up, parameters.seed)
    labelled += [(OTHER, text) for text in made_up]
    rng.shuffle(labelled)
    lines = prepare(pa.array([text for _, text in labelled], pa.string()), parameters.characters)
    return [
        f"__label__{label} {line}"
        for (label, _), line in zip(labelled, lines, strict=True)
        if line.strip()
    ]


def measure(
    model: FastTextModel,
    records: Sequence[Record],
    decides: Sequence[str],
    parameters: LanguageParameters,
) -> dict[str, Any]:
    """Measures a model on records of languages inside and outside of those that it may decide.

    Returns:
        Number of texts, share of those in frequent languages that it decides, share of right
        answers among the decided, and how many in other languages it decided.
    """
    lines = prepare(
        pa.array([record.text for record in records], pa.string()), parameters.characters
    )
    labels, scores = model.best(lines)
    decided = np.array(
        [
            label in decides and score >= parameters.threshold
            for label, score in zip(labels, scores, strict=True)
        ],
        dtype=bool,
    )
    return _measured(labels, decided, records, decides)


def measure_words(
    model: WordVectors,
    records: Sequence[Record],
    decides: Sequence[str],
    parameters: LanguageParameters,
) -> dict[str, Any]:
    """Measures the model over words as `measure` does the other one."""
    lines = prepare_words(
        pa.array([record.text for record in records], pa.string()), parameters.characters
    )
    labels, decided = decided_by_words(model, lines, decides, vars(parameters))[:2]
    return _measured(labels, decided, records, decides)


def decided_by_words(
    model: WordVectors, lines: pa.Array, decides: Sequence[str], parameters: Mapping[str, Any]
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns the labels of lines, which of them count as decided, and the confidence."""
    labels, scores, counts = model.best(lines)
    alone = set(decides) - WITH_NEIGHBOURS
    may_decide = np.array([label in alone for label in labels], dtype=bool)
    decided = (
        may_decide
        & (scores >= parameters["words_threshold"])
        & (counts[:, 0] >= parameters["words_least"])
        & (counts[:, 1] >= parameters["words_known"] * counts[:, 0])
    )
    return labels, decided, scores


def _measured(
    labels: Sequence[str | None],
    decided: np.ndarray,
    records: Sequence[Record],
    decides: Sequence[str],
) -> dict[str, Any]:
    frequent = np.array([record.lang in decides for record in records], dtype=bool)
    right = np.array(
        [label == record.lang for label, record in zip(labels, records, strict=True)], dtype=bool
    )
    return {
        "texts": len(records),
        "frequent": int(frequent.sum()),
        "decided_of_frequent": _share(decided[frequent]),
        "right_of_decided": _share(right[decided]),
        "wrongly_decided_of_others": int((decided & ~frequent).sum()),
    }


def _share(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def train_language(
    data: Path, out: Path, parameters: LanguageParameters | None = None
) -> dict[str, Any]:
    """Trains and measures the model, and writes it with its description.

    Args:
        data: Folder that holds `FILES`.
        out: Folder for `model.bin` and `model.json`.
        parameters: How to train; by default as the model that ships.

    Returns:
        The description, as written to `model.json`.

    Raises:
        ContractError: A file of the data is missing, or no frequent language has enough text.
    """
    parameters = parameters or LanguageParameters()
    records = read_records(data)
    training = [row for row in records if not is_held_out(row.family, parameters.held_out)]
    held_out = [row for row in records if is_held_out(row.family, parameters.held_out)]
    lines = _training_lines(training, parameters)
    counts = Counter(line.split(" ", 1)[0].removeprefix("__label__") for line in lines)
    decides = [lang for lang in FREQUENT if counts[lang] >= _LEAST_LINES]
    if not decides:
        raise ContractError(
            f"no frequent language has {_LEAST_LINES} texts in {data}, so no model can be trained; "
            "add documents"
        )
    out.mkdir(parents=True, exist_ok=True)
    _fit(lines, parameters, out / MODEL)
    _fit_words(lines, parameters, out / WORDS)
    model, words = FastTextModel(out / MODEL), WordVectors.load(out / WORDS)
    description: dict[str, Any] = {
        "name": "language",
        "version": "1",
        "model_sha256": file_sha256(out / MODEL),
        "words_sha256": file_sha256(out / WORDS),
        "inputs": {name: file_sha256(data / name) for name in FILES},
        "licenses": sorted({record.license for record in training}),
        "parameters": asdict(parameters),
        "decides": decides,
        "lines": dict(sorted(counts.items())),
        "measured": {
            kind: {
                "ngrams": measure(model, rows, decides, parameters),
                "words": measure_words(words, rows, decides, parameters),
            }
            for kind, rows in (
                ("documents", [row for row in held_out if not row.is_sentence]),
                ("sentences", [row for row in held_out if row.is_sentence]),
            )
        },
    }
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    (out / DESCRIPTION).write_bytes(orjson.dumps(description, option=options))
    return description


def _fit(lines: Sequence[str], parameters: LanguageParameters, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "lines.txt"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with zeroed_memory():
            model = fasttext.train_supervised(
                input=str(source),
                thread=1,
                seed=parameters.seed,
                verbose=0,
                dim=parameters.dim,
                bucket=parameters.bucket,
                minn=parameters.minn,
                maxn=parameters.maxn,
                minCount=parameters.min_count,
                epoch=parameters.epoch,
                lr=parameters.lr,
            )
            # Not quantised: half the speed would be a high price for half a megabyte.
            model.save_model(str(path))


def _fit_words(lines: Sequence[str], parameters: LanguageParameters, path: Path) -> None:
    labels, texts = zip(*(line.split(" ", 1) for line in lines), strict=True)
    words = word_lines(pa.array(texts, pa.string())).to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        source, model_path = Path(folder) / "lines.txt", Path(folder) / "model.bin"
        source.write_text(
            "".join(f"{label} {line}\n" for label, line in zip(labels, words, strict=True)),
            encoding="utf-8",
        )
        with zeroed_memory():
            model = fasttext.train_supervised(
                input=str(source),
                thread=1,
                seed=parameters.seed,
                verbose=0,
                dim=parameters.dim,
                maxn=0,
                minCount=parameters.words_min_count,
                epoch=parameters.words_epoch,
                lr=parameters.words_lr,
            )
            model.save_model(str(model_path))
        WordVectors.from_fasttext(model_path).save(path)


def main() -> None:
    """Trains the model as told on the command line."""
    parser = argparse.ArgumentParser(description="Trains the language model, and measures it.")
    parser.add_argument("data", type=Path, help="folder with the training data")
    parser.add_argument("out", type=Path, help="folder for the model")
    arguments = parser.parse_args()
    description = train_language(arguments.data, arguments.out)
    print(orjson.dumps(description["measured"], option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
