"""Trains the harm models of a classifier manifest, calibrates and measures them.

The same manifest over the same files gives the same bytes: no chance but draws derived from ids.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raicurate.corpora_manifests.classifier import (
    ClassifierManifest,
    ScreenParameters,
    load_identity_terms,
)
from raicurate.corpora_manifests.errors import ContractError
from raicurate.transforms.calibration import auc, expected_calibration_error
from raicurate.transforms.harm_fit import (
    Fitted,
    count_lines,
    fit_heads,
    fit_screen,
    products,
    screen_rows,
)
from raicurate.transforms.harm_heads import CLASSES, Labels
from raicurate.transforms.harm_model import DESCRIPTION, PASSAGE, SCREEN, HarmModel, screen_scores
from raicurate.transforms.harm_screen import cells_of_texts, passage_sums
from raicurate.transforms.harm_text import is_long, reading_lines
from raicurate.transforms.harm_thresholds import Judged, thresholds
from raicurate.transforms.identity_terms import IdentityTerms, Terms
from raicurate.transforms.labelled_sets import Example, digests, draw, read_examples
from raicurate.transforms.misspell import misspelled
from raicurate.transforms.ngrams import Sparse

WORTH_A_LOOK = frozenset({"intent", "disclosure"})
"""Stances that the word-level model must send on."""


def train(manifest: ClassifierManifest, out: Path) -> dict[str, Any]:
    """Trains, calibrates and measures the models of a manifest, and writes them to a folder.

    Args:
        manifest: What to train on, and how.
        out: Folder for the models and their description.

    Returns:
        The description, as written to `model.json`.

    Raises:
        ManifestError: A set is missing or has unknown labels.
        ContractError: A set is not what the manifest promises, or leaves nothing to learn from.
    """
    inputs = digests(manifest)
    examples = read_examples(manifest)
    training = [example for example in examples if example.part == "train"]
    if {example.stance == "none" for example in training} != {True, False}:
        raise ContractError(
            f"the sets of {manifest.name!r} leave no texts to train on, or none without harm, so "
            "no classifier can be trained; correct `sets`, `languages` and `split`"
        )
    terms = _identity_terms(manifest)
    trained = {
        lang: found
        for lang in manifest.languages
        if (found := train_language(training, lang, terms, manifest)) is not None
    }
    return assembled(manifest, inputs, examples, terms, trained, out)


class Trained(NamedTuple):
    """The models of one language.

    Attributes:
        screen: Weights of the word-level model.
        heads: Columns of the passage-level model by name.
        description: Everything else about both.
    """

    screen: np.ndarray
    heads: dict[str, np.ndarray]
    description: dict[str, Any]


def train_language(
    training: Sequence[Example], lang: str, terms: Terms, manifest: ClassifierManifest
) -> Trained | None:
    """Trains the models of one language; None where there is nothing to learn from."""
    own = _used(training, lang, manifest)
    if {example.stance == "none" for example in own} != {True, False}:
        return None
    screen, limits = _train_screen(own, manifest)
    material = material_of(own, lang, terms, manifest)
    fitted = fit_heads(*material, manifest.heads)
    chosen = {"thresholds": thresholds(judged(own, material, fitted, manifest))}
    return Trained(screen, fitted.columns, limits | fitted.description | chosen)


def assembled(
    manifest: ClassifierManifest,
    inputs: dict[str, str],
    examples: Sequence[Example],
    terms: Terms,
    trained: Mapping[str, Trained],
    out: Path,
) -> dict[str, Any]:
    """Writes the models of all languages to a folder and measures them.

    Returns:
        The description, as written to `model.json`.
    """
    out.mkdir(parents=True, exist_ok=True)
    _write_table({lang: found.screen for lang, found in trained.items()}, out / SCREEN)
    columns = {
        f"{lang}/{name}": column
        for lang, found in trained.items()
        for name, column in found.heads.items()
    }
    _write_table(columns, out / PASSAGE)
    description: dict[str, Any] = {
        "name": f"{manifest.name}-{manifest.version}",
        "manifest": manifest.model_dump(mode="json", exclude={"root", "folder"}),
        "inputs": inputs,
        "identity_terms": terms,
        "examples": _counts(examples),
        "languages": sorted(trained),
        "models": {lang: found.description for lang, found in trained.items()},
    }
    _write(description, out)
    description["measured"] = _measure(HarmModel(out), examples)
    description["languages"] = [
        lang
        for lang in manifest.languages
        if _is_measured(description["measured"]["languages"].get(lang), manifest)
    ]
    _write(description, out)
    return description


def _identity_terms(manifest: ClassifierManifest) -> Terms:
    if manifest.identity_terms is None:
        return {}
    return load_identity_terms(Path(manifest.folder) / manifest.identity_terms)


def _used(training: Sequence[Example], lang: str, manifest: ClassifierManifest) -> list[Example]:
    """Returns the examples of a language, of sets with a weight below 1 only that share."""
    weights = {labelled.name: labelled.weight for labelled in manifest.sets}
    return [
        example
        for example in training
        if example.lang == lang
        and draw(manifest.seed, "weight", example.set_name, example.id) < weights[example.set_name]
    ]


def mix_of(examples: Sequence[Example], manifest: ClassifierManifest) -> np.ndarray:
    """Returns the weight of each example that its set has."""
    weights = {labelled.name: max(1.0, labelled.weight) for labelled in manifest.sets}
    return np.array([weights[example.set_name] for example in examples])


def importance_of(examples: Sequence[Example], manifest: ClassifierManifest) -> np.ndarray:
    """Returns the weight of each example: that of its set, balanced where the set asks for it."""
    result = mix_of(examples, manifest)
    names = np.array([example.set_name for example in examples])
    clear = np.array([example.stance == "none" for example in examples])
    for labelled in manifest.sets:
        rows = names == labelled.name
        both = [rows & clear, rows & ~clear]
        if labelled.balanced and all(kind.any() for kind in both):
            for kind in both:
                result[kind] *= rows.sum() / (2 * kind.sum())
    return result


def _folds(examples: Sequence[Example], manifest: ClassifierManifest) -> np.ndarray:
    folds = manifest.heads.folds
    return np.array(
        [
            int(draw(manifest.seed, "fold", example.set_name, example.group) * folds)
            for example in examples
        ]
    )


class Material(NamedTuple):
    """What the passage-level model of one language is fitted on; rows are examples.

    Attributes:
        counts: N-grams.
        words: Number of words.
        labels: Labels.
        importance: Weight in training.
        mix: The same, with no set balanced.
        folds: Fold.
    """

    counts: Sparse
    words: np.ndarray
    labels: Labels
    importance: np.ndarray
    mix: np.ndarray
    folds: np.ndarray


def material_of(
    examples: Sequence[Example], lang: str, terms: Terms, manifest: ClassifierManifest
) -> Material:
    """Returns examples of one language, some of them once more with misspellings, as numbers."""
    parameters = manifest.heads
    lines = reading_lines([example.text for example in examples])
    again = [
        index
        for index, example in enumerate(examples)
        if example.text_type == "statement"
        and draw(manifest.seed, "typos", example.set_name, example.id) < parameters.typos
    ]
    lines += [
        misspelled(lines[index], f"{examples[index].set_name}/{examples[index].id}")
        for index in again
    ]
    examples = [*examples, *(examples[index] for index in again)]
    lines = IdentityTerms(terms, lang).replaced(lines)
    covers = {labelled.name: labelled.covers for labelled in manifest.sets}
    return Material(
        count_lines(lines, parameters.bits),
        np.array([line.count(" ") + 1 for line in lines]),
        Labels(
            [example.stance for example in examples],
            [example.text_type for example in examples],
            [example.hazards for example in examples],
            [covers[example.set_name] for example in examples],
        ),
        importance_of(examples, manifest),
        mix_of(examples, manifest),
        _folds(examples, manifest),
    )


def judged(
    examples: Sequence[Example], material: Material, fitted: Fitted, manifest: ClassifierManifest
) -> Judged:
    """Returns what heads that did not see them say of examples, for the choice of thresholds."""
    count = len(examples)
    sentences = {labelled.name for labelled in manifest.sets if labelled.form == "sentences"}
    return Judged(
        fitted.probabilities[:count, CLASSES.index("intent")],
        fitted.kinds[:count],
        material.labels.stance[:count],
        np.array([e.set_name for e in examples]),
        np.array([e.text_type == "document" for e in examples]),
        np.array([f"{e.set_name}/{e.id.partition('#')[0]}" for e in examples]),
        np.array([e.set_name in sentences and e.stance == "none" for e in examples]),
        np.array([is_long(e.whole, e.lang) for e in examples]),
    )


def _train_screen(
    examples: Sequence[Example], manifest: ClassifierManifest
) -> tuple[np.ndarray, dict[str, float]]:
    """Trains the word-level model of a language and sets its limits.

    The limits are set on texts that the model which scores them did not see.
    """
    parameters = manifest.screen
    rows = screen_rows([example.text for example in examples], parameters.bits)
    look = np.array([example.stance in WORTH_A_LOOK for example in examples])
    importance = importance_of(examples, manifest)
    folds = _folds(examples, manifest)
    short_scores: list[float] = []
    long_scores: list[float] = []
    for fold in range(manifest.heads.folds):
        inside = folds == fold
        if not look[~inside].any() or look[~inside].all():
            continue
        weights, scale = fit_screen(rows, look, importance * ~inside, parameters)
        chosen = np.flatnonzero(inside & look)
        short_scores += (products(rows.take(chosen), weights) * scale).tolist()
        long_scores += _document_scores(examples, inside, weights, scale, parameters)
    weights, scale = fit_screen(rows, look, importance, parameters)
    limits = {
        "send_on_short": _quantile(short_scores, 1 - parameters.short_recall),
        "send_on_long": _quantile(long_scores, 1 - parameters.documents),
    }
    # Where no long documents are known, they are held to the limit of short ones.
    if not long_scores:
        limits["send_on_long"] = limits["send_on_short"]
    return weights, {"screen_scale": scale, **limits}


def _quantile(scores: Sequence[float], share: float) -> float:
    return round(float(np.quantile(scores, share)), 5) if len(scores) else -1e9


def _document_scores(
    examples: Sequence[Example],
    inside: np.ndarray,
    weights: np.ndarray,
    scale: float,
    parameters: ScreenParameters,
) -> list[float]:
    """Returns the highest score of any passage of each ordinary long document."""
    found = []
    seen: set[tuple[str, str]] = set()
    for index in np.flatnonzero(inside).tolist():
        example = examples[index]
        document = (example.set_name, example.id.partition("#")[0])
        if example.text_type != "document" or document in seen:
            continue
        seen.add(document)
        lowered = pc.utf8_lower(pa.array([example.whole], pa.large_string())).to_pylist()
        stage = cells_of_texts(lowered, [example.lang])
        sums = passage_sums(stage, stage.sums(weights, parameters.bits))
        if len(sums) > 1:
            found.append(float(screen_scores(sums).max() * scale))
    return found


def _write_table(columns: Mapping[str, np.ndarray], path: Path) -> None:
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    pq.write_table(table, path, compression="zstd", compression_level=9, use_dictionary=False)


def _write(description: dict[str, Any], out: Path) -> None:
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    (out / DESCRIPTION).write_bytes(orjson.dumps(description, option=options))


def _counts(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for example in examples:
        parts = counts.setdefault(example.set_name, {})
        key = f"{example.part}/{example.stance}"
        parts[key] = parts.get(key, 0) + 1
    return counts


def _measure(model: HarmModel, examples: Sequence[Example]) -> dict[str, Any]:
    known = set(model.description["models"])
    test = [e for e in examples if e.part in {"test", "audit"} and e.lang in known]
    scores, flagged = _scores(model, test)
    truth = np.array([e.stance == "intent" for e in test], dtype=bool)
    measured: dict[str, Any] = {}
    for kind, names in (
        ("languages", np.array([e.lang for e in test])),
        ("sets", np.array([e.set_name for e in test])),
    ):
        measured[kind] = {
            str(name): _figures(*(found[names == name] for found in (scores, flagged, truth)))
            for name in sorted(set(names))
        }
    return measured


def _scores(model: HarmModel, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probability of intent, and whether it reaches the model's own threshold."""
    found = model.passage_scores([e.text for e in examples], [e.lang for e in examples])
    thresholds = [
        model.threshold(example.lang, kind, False)
        for example, kind in zip(examples, found.kind.tolist(), strict=True)
    ]
    return found.intent, found.intent >= np.array(thresholds)


def _figures(scores: np.ndarray, flagged: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    area = auc(scores, truth)
    return {
        "harmful": int(truth.sum()),
        "not_harmful": int((~truth).sum()),
        "auc": None if np.isnan(area) else round(area, 4),
        "ece": round(expected_calibration_error(scores, truth), 4),
        "caught": round(float(flagged[truth].mean()), 4) if truth.any() else None,
        "false_positives": round(float(flagged[~truth].mean()), 4) if (~truth).any() else None,
    }


def _is_measured(figures: dict[str, Any] | None, manifest: ClassifierManifest) -> bool:
    return (
        figures is not None
        and min(figures["harmful"], figures["not_harmful"]) >= manifest.min_test_examples
        and figures["auc"] >= manifest.min_auc
    )
