"""Trains the harm models of a classifier manifest, calibrates and measures them.

The same manifest over the same files gives the same bytes: one thread, fixed seeds, and every
draw derived from ids.
"""

import contextlib
import ctypes
import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import orjson

from raicurate.corpora_manifests.classifier import ClassifierManifest, FastTextParameters
from raicurate.corpora_manifests.errors import ContractError
from raicurate.transforms.calibration import auc, expected_calibration_error, fit_platt
from raicurate.transforms.harm_model import (
    CLEAR,
    DESCRIPTION,
    ESCALATE,
    PASSAGE_MODEL,
    REQUEST,
    WORD_MODEL,
    HarmModel,
    calibration_key,
    label_of,
)
from raicurate.transforms.harm_text import passage_lines, word_lines
from raicurate.transforms.labelled_sets import Example, digests, draw, read_examples

_M_PERTURB = -6

MIN_CALIBRATION_EXAMPLES = 40
"""Fewer examples of a language and kind of text share the calibration of the language."""


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
    out.mkdir(parents=True, exist_ok=True)
    weights = {labelled.name: labelled.weight for labelled in manifest.sets}
    copies = [_copies(example, weights[example.set_name], manifest.seed) for example in training]
    texts = [example.text for example in training]
    _train_fasttext(
        _lines(word_lines(texts), ([_word_label(example)] for example in training), copies),
        manifest.word,
        manifest.seed,
        out / WORD_MODEL,
    )
    _train_fasttext(
        _lines(passage_lines(texts), map(_passage_labels, training), copies),
        manifest.passage,
        manifest.seed,
        out / PASSAGE_MODEL,
    )
    description: dict[str, Any] = {
        "name": f"{manifest.name}-{manifest.version}",
        "manifest": manifest.model_dump(mode="json", exclude={"root", "folder"}),
        "inputs": inputs,
        "examples": _counts(examples),
        "languages": list(manifest.languages),
        "escalate_from": {},
        "calibration": {},
    }
    _write(description, out)
    _calibrate(description, HarmModel(out), examples, manifest)
    _write(description, out)
    description["measured"] = _measure(HarmModel(out), examples)
    description["languages"] = [
        lang
        for lang in manifest.languages
        if _is_measured(description["measured"]["languages"].get(lang), manifest)
    ]
    _write(description, out)
    return description


def _word_label(example: Example) -> str:
    return CLEAR if example.stance == "none" else ESCALATE


def _passage_labels(example: Example) -> list[str]:
    request = example.text_type == "request"
    if example.stance == "none":
        return [f"{REQUEST}.{CLEAR}" if request else CLEAR]
    return [label_of(example.stance, hazard, request) for hazard in example.hazards]  # type: ignore[arg-type]


def _copies(example: Example, weight: float, seed: int) -> int:
    whole = int(weight)
    return whole + (draw(seed, "weight", example.set_name, example.id) < weight - whole)


def _lines(
    texts: Sequence[str], labels: Iterable[Sequence[str]], copies: Sequence[int]
) -> list[str]:
    lines = []
    for text, names, count in zip(texts, labels, copies, strict=True):
        if text.strip():
            line = " ".join([*(f"__label__{name}" for name in names), text.strip()])
            lines += [(line, number) for number in range(count)]
    # An order that depends on nothing but the lines: batches of one set would make it forgotten.
    lines.sort(key=lambda pair: hashlib.sha256(f"{pair[1]}{pair[0]}".encode()).digest())
    return [line for line, _ in lines]


def _train_fasttext(
    lines: Sequence[str], parameters: FastTextParameters, seed: int, path: Path
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "train.txt"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with _zeroed_memory():
            model = fasttext.train_supervised(
                input=str(source),
                thread=1,
                seed=seed,
                verbose=0,
                **parameters.model_dump(exclude={"cutoff", "dsub"}),
            )
            cutoff = {"cutoff": parameters.cutoff, "retrain": True} if parameters.cutoff else {}
            model.quantize(
                input=str(source), qnorm=True, dsub=parameters.dsub, thread=1, verbose=0, **cutoff
            )
            model.save_model(str(path))


@contextlib.contextmanager
def _zeroed_memory() -> Iterator[None]:
    """Has the C library clear memory that it hands out.

    With one thread fastText initialises a tenth of its matrix and trusts that the rest is zero,
    which holds for fresh memory only: models differed from run to run, or ended in NaN.
    """
    library = ctypes.CDLL(None)
    mallopt = getattr(library, "mallopt", None)
    if mallopt is None:  # Only the GNU C library has it; elsewhere models may differ.
        yield
        return
    # Under M_PERTURB memory is filled with the complement of the value.
    mallopt(_M_PERTURB, 0xFF)
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)


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


def _calibrate(
    description: dict[str, Any],
    model: HarmModel,
    examples: Sequence[Example],
    manifest: ClassifierManifest,
) -> None:
    held = [example for example in examples if example.part == "calibrate"]
    for lang in manifest.languages:
        own = [example for example in held if example.lang == lang]
        if not own:
            continue
        texts = [example.text for example in own]
        truth = np.array([example.stance == "intent" for example in own])
        worth = np.array([example.stance != "none" for example in own])
        raw, request = model.raw_intent(texts)
        whole = fit_platt(raw, truth)
        for kind in (False, True):
            rows = request == kind
            platt = fit_platt(raw[rows], truth[rows])
            if rows.sum() < MIN_CALIBRATION_EXAMPLES:
                platt = whole
            description["calibration"][calibration_key(lang, kind)] = list(platt)
        if worth.any():
            scores = model.word_scores(texts)[worth]
            share = 1 - manifest.escalation_recall
            description["escalate_from"][lang] = round(float(np.quantile(scores, share)), 6)


def _measure(model: HarmModel, examples: Sequence[Example]) -> dict[str, Any]:
    measured: dict[str, Any] = {"languages": {}, "sets": {}}
    test = [example for example in examples if example.part in {"test", "audit"}]
    scores = model.passage_scores(
        [example.text for example in test], [example.lang for example in test]
    ).intent
    truth = np.array([example.stance == "intent" for example in test], dtype=bool)
    for kind, name_of in (("languages", _lang), ("sets", _set_name)):
        names = np.array([name_of(example) for example in test])
        for name in sorted(set(names)):
            rows = names == name
            measured[kind][str(name)] = _figures(scores[rows], truth[rows])
    return measured


def _lang(example: Example) -> str:
    return example.lang


def _set_name(example: Example) -> str:
    return example.set_name


def _figures(scores: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    area = auc(scores, truth)
    flagged = scores >= 0.5
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
