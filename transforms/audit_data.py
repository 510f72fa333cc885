"""The texts that a harm model is audited with, read from a folder of public sets.

Nothing here is trained on: the held-out parts of the sets of the model's own manifest, and sets of
which no row is in it.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from raicurate.corpora_manifests.classifier import ClassifierManifest
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import PACKAGE_FOLDER, validated
from raicurate.transforms.labelled_sets import Example, draw, read_examples

IDENTITY_TEMPLATES = "fairness/identity_templates_en_de.jsonl.gz"
"""conversationai/unintended-ml-bias-analysis: sentences of a template and a term (Dixon 2018)."""

DIALECT_PAIRS = "fairness/dialect_pairs_dev_features.jsonl.gz"
"""SALT-NLP/multi-value: the same sentence with and without a dialect's feature (Ziems 2023)."""

HOLISTIC = "fairness/holisticbias_descriptors.jsonl.gz"
HOLISTIC_TEMPLATES = "fairness/holisticbias_sentence_templates.json"
"""facebookresearch/ResponsibleNLP: descriptors of people and sentences for them (Smith 2022)."""

CLASSIFIERS = PACKAGE_FOLDER / "classifiers"

GENERAL = (
    "general/general_documents_english.jsonl.gz",
    "general/general_documents_other_languages.jsonl.gz",
)
"""Ordinary documents, for the cost: what is measured there does not depend on what was learned."""

_HOSTILE = ("hate", "worst", "don't like")
"""Sentences of HolisticBias with these words are no benign ones."""


class Grouped(NamedTuple):
    """Texts, each of a group of people.

    Attributes:
        texts: The texts.
        languages: By text.
        groups: By text.
    """

    texts: list[str]
    languages: list[str]
    groups: list[str]


def held_out(description: dict[str, Any], data: Path) -> list[Example]:
    """Returns the examples that a model was not trained on.

    Args:
        description: Content of its `model.json`.
        data: Folder of the sets that its manifest names.

    Raises:
        ManifestError: A set is missing.
    """
    content = description["manifest"] | {"root": str(data), "folder": str(CLASSIFIERS)}
    manifest = validated(ClassifierManifest, content, "the manifest in model.json")
    for labelled in manifest.sets:
        path = manifest.path_of(labelled)
        if not path.is_file():
            raise ManifestError(
                f"set {labelled.name!r}: there is no file {path}, so the model cannot be audited; "
                f"get it from {labelled.source} or correct `--data`"
            )
    return [example for example in read_examples(manifest) if example.part == "test"]


def identity_templates(data: Path) -> Grouped:
    """Returns the benign sentences of the identity templates, by term."""
    found = Grouped([], [], [])
    for row in _rows(data / IDENTITY_TEMPLATES):
        if row["harm"] == 0:
            words = row["text"].split()
            found.texts.append(row["text"])
            found.languages.append(row["lang"])
            place = 1 if row["meta"]["template"] == "being_adj" else -1
            found.groups.append(words[place].lower())
    return found


def dialect_pairs(data: Path) -> tuple[list[str], list[str]]:
    """Returns sentences in a dialect, and the same in standard English."""
    rows = list(_rows(data / DIALECT_PAIRS))
    return [row["text"] for row in rows], [row["standard"] for row in rows]


def holistic_sentences(data: Path, fillings: int = 6) -> Grouped:
    """Returns benign sentences of HolisticBias, by axis.

    Args:
        data: Folder of the sets.
        fillings: Number of templates that each descriptor is put into, drawn by its id.
    """
    templates = [
        template
        for template, rule in json.loads((data / HOLISTIC_TEMPLATES).read_text()).items()
        if "{noun_phrase}" in template
        and not rule.get("must_be_noun")
        and not any(word in template for word in _HOSTILE)
    ]
    found = Grouped([], [], [])
    for row in _rows(data / HOLISTIC):
        article = "an" if row["text"][0].lower() in "aeiou" else "a"
        for number in range(fillings):
            template = templates[int(draw("holistic", row["id"], number) * len(templates))]
            phrase = f"{article} {row['text']} person"
            found.texts.append(template.replace("{noun_phrase}", phrase))
            found.languages.append("en")
            found.groups.append(row["axis"])
    return found


def general_documents(data: Path, languages: frozenset[str]) -> list[tuple[str, str]]:
    """Returns text and language of the ordinary documents in some languages."""
    return [
        (row["text"], row["lang"])
        for path in GENERAL
        for row in _rows(data / path)
        if row["lang"] in languages
    ]


def whole_documents(examples: list[Example]) -> list[Example]:
    """Returns each document of which a passage is among the examples once, whole."""
    seen: dict[tuple[str, str], Example] = {}
    for example in examples:
        if example.text_type == "document" and len(example.whole) > len(example.text):
            row_id = example.id.partition("#")[0]
            seen.setdefault((example.set_name, row_id), example._replace(text=example.whole))
    return list(seen.values())


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise ManifestError(
            f"there is no file {path}, so the audit would be incomplete; correct `--data`"
        )
    with gzip.open(path, "rb") as lines:
        for line in lines:
            yield orjson.loads(line)
