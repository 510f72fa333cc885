"""Reads the labelled sets of a classifier manifest into examples of one form."""

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from raicurate.corpora_manifests.classifier import (
    ClassifierManifest,
    LabelledSet,
    Meaning,
    load_identity_terms,
    load_passages,
    load_sentences,
)
from raicurate.corpora_manifests.errors import ContractError, ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, Hazard
from raicurate.transforms.fasttext_model import file_sha256
from raicurate.transforms.harm_text import cell_size, cells

Part = Literal["train", "test", "audit"]


class Example(NamedTuple):
    """One labelled text.

    Attributes:
        set_name: Name of its set in the manifest.
        id: Its id in the set.
        text: The text that the label is about.
        lang: Its language.
        text_type: Statement, request, web snippet, document or template.
        stance: `none` or a stance.
        hazards: Hazards of a text with a stance.
        part: What it is used for.
        group: What holds rows of its set together.
        row: The whole row of the set, for audits by other fields.
        whole: The text that `text` is a passage of.
    """

    set_name: str
    id: str
    text: str
    lang: str
    text_type: str
    stance: str
    hazards: tuple[Hazard, ...]
    part: Part
    group: str
    row: dict[str, Any]
    whole: str


def field(row: dict[str, Any], name: str) -> Any:
    """Returns the value under a dotted name, None where there is none."""
    value: Any = row
    for key in name.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def digests(manifest: ClassifierManifest) -> dict[str, str]:
    """Returns the SHA-256 of the file of every set.

    Raises:
        ManifestError: A file is missing.
        ContractError: A file is not the one that the manifest promises.
    """
    found = {}
    for labelled in manifest.sets:
        path = manifest.path_of(labelled)
        if not path.is_file():
            raise ManifestError(
                f"set {labelled.name!r}: there is no file {path}, so the model cannot be trained; "
                f"get it from {labelled.source} or correct the path"
            )
        found[labelled.name] = file_sha256(path)
        if labelled.sha256 not in {None, found[labelled.name]}:
            raise ContractError(
                f"set {labelled.name!r}: {path} has the digest {found[labelled.name]}, not the "
                "one in the manifest, so another model would come out; get the file that is meant "
                "or correct `sha256`"
            )
    return found


def read_examples(manifest: ClassifierManifest) -> list[Example]:
    """Returns the examples of all sets, in the order of the manifest.

    A text that is held out or audited in one place is trained on in none.

    Raises:
        ManifestError: A row has a label to which the manifest gives no meaning.
    """
    examples = [
        example for labelled in manifest.sets for example in _examples_of(labelled, manifest)
    ]
    kept_apart = {_key(example) for example in examples if example.part in {"test", "audit"}}
    return [
        example
        for example in examples
        if example.part in {"test", "audit"} or _key(example) not in kept_apart
    ]


def _key(example: Example) -> str:
    return "".join(filter(str.isalnum, example.text.casefold()))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".yaml":
        content = load_passages(path)
        for number, passage in enumerate(content.passages):
            row_id = f"{path.stem}-{number}"
            yield {"id": row_id, "lang": content.language, **passage.model_dump()}
        return
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        for line in lines:
            if line.strip():
                yield orjson.loads(line)


def _examples_of(labelled: LabelledSet, manifest: ClassifierManifest) -> Iterator[Example]:
    if labelled.form == "sentences":
        yield from _sentences_of(labelled, manifest)
        return
    languages = labelled.languages or manifest.languages
    for number, row in enumerate(_rows(manifest.path_of(labelled))):
        lang = labelled.lang or str(row.get("lang"))
        text = field(row, labelled.text_key)
        if lang not in languages or not text:
            continue
        if any(str(field(row, name)) not in allowed for name, allowed in labelled.only.items()):
            continue
        stance = _stance(row, labelled)
        if stance == "skip":
            continue
        hazards = _hazards(row, stance, labelled, manifest)
        if stance != "none" and not hazards:
            continue
        if labelled.prefix_key is not None:
            text = text[: int(field(row, labelled.prefix_key))]
        row_id = str(row.get("id", f"{labelled.name}-{number}"))
        group = str(field(row, labelled.split.group)) if labelled.split.group else row_id
        part = part_of(group, labelled, manifest.seed)
        for index, piece in enumerate(_pieces(text, lang, labelled.max_passages, row_id)):
            yield Example(
                labelled.name,
                row_id if labelled.max_passages == 1 else f"{row_id}#{index}",
                piece,
                lang,
                labelled.text_type,
                stance,
                hazards,
                part,
                group,
                row,
                text,
            )


def _sentences_of(labelled: LabelledSet, manifest: ClassifierManifest) -> Iterator[Example]:
    assert manifest.identity_terms is not None, "the manifest was validated"
    terms = load_identity_terms(Path(manifest.folder) / manifest.identity_terms)
    for group in load_sentences(manifest.path_of(labelled)).groups:
        own = terms.get(group.lang, {})
        places = {
            **group.words,
            **{number: own.get(number) or own.get("many", [""]) for number in ("one", "many")},
        }
        for template in group.texts:
            part = part_of(template, labelled, manifest.seed)
            for number in range(group.fillings if "{" in template else 1):
                text = _filled(template, places, (manifest.seed, template, number))
                yield Example(
                    labelled.name,
                    f"{hashlib.sha256(template.encode()).hexdigest()[:12]}-{number}",
                    text,
                    group.lang,
                    group.text_type,
                    group.stance,
                    group.hazards,
                    part,
                    template,
                    {},
                    text,
                )


def _filled(template: str, places: Mapping[str, Sequence[str]], seed: tuple[object, ...]) -> str:
    """Returns a sentence with a drawn word at every place, which differ where a place recurs."""
    pieces = []
    for number, piece in enumerate(re.split(r"\{(.*?)\}", template)):
        words = places[piece] if number % 2 else (piece,)
        pieces.append(words[int(draw(*seed, number) * len(words))])
    return "".join(pieces)


def _pieces(text: str, lang: str, most: int, row_id: str) -> list[str]:
    if most == 1:
        return [text]
    found = [text[start:end] for start, end in cells(text, 2 * cell_size(lang))]
    if len(found) <= most:
        return found
    found.sort(key=lambda piece: hashlib.sha256(f"{row_id}{piece}".encode()).digest())
    return found[:most]


def _stance(row: dict[str, Any], labelled: LabelledSet) -> Meaning:
    if isinstance(labelled.stances, str):
        return labelled.stances
    label = str(field(row, labelled.label_key))
    if label not in labelled.stances:
        raise ManifestError(
            f"set {labelled.name!r}: `stances` gives no meaning to the label {label!r} of "
            f"`{labelled.label_key}`; add it, with `skip` if it says nothing"
        )
    return labelled.stances[label]


def _hazards(
    row: dict[str, Any], stance: str, labelled: LabelledSet, manifest: ClassifierManifest
) -> tuple[Hazard, ...]:
    if stance == "none":
        return ()
    names = field(row, labelled.hazard_key) if labelled.hazard_key else None
    if isinstance(names, dict):
        label = field(row, labelled.label_key)
        names = [name for name, value in names.items() if value == label]
    elif isinstance(names, str):
        names = [names]
    known: dict[str, Hazard] = {hazard: hazard for hazard in HAZARDS}
    known.update(manifest.hazards)
    found = {known[name] for name in names or () if name in known}
    if not found and labelled.default_hazard is not None:
        found = {labelled.default_hazard}
    return tuple(sorted(found))


def part_of(group: str, labelled: LabelledSet, seed: int) -> Part:
    """Returns what the rows of a group are used for; it depends on nothing but the group."""
    if labelled.use == "audit":
        return "audit"
    if group in labelled.split.held_out:
        return "test"
    return "test" if draw(seed, labelled.name, group) < labelled.split.test else "train"


def draw(*values: object) -> float:
    """Returns a number in [0, 1) that depends on `values` alone."""
    digest = hashlib.sha256("\x1f".join(map(str, values)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)
