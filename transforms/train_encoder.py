"""Trains the head of a text encoder on labelled sets, and measures it where it will be asked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raicurate.corpora_manifests.classifier import ClassifierManifest, load_classifier
from raicurate.corpora_manifests.encoder import EncoderManifest
from raicurate.corpora_manifests.errors import ContractError
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.transforms.calibration import auc, expected_calibration_error
from raicurate.transforms.encoder_head import Weights, fit_weights, save_head
from raicurate.transforms.harm_heads import CLASSES
from raicurate.transforms.harm_model import SHIPPED, HarmModel
from raicurate.transforms.labelled_sets import Example, digests, draw, read_examples
from raicurate.transforms.text_encoder import TextEncoder, encoder_folder, short_name
from raicurate.transforms.train_harm import importance_of

MOST_TESTED = 4000
"""Held-out texts in the band that are measured on, in each language."""


def train_head(manifest: EncoderManifest, out: Path, device: str | None = None) -> dict[str, Any]:
    """Trains and measures the head of a manifest, and writes it to a folder.

    Args:
        manifest: What to train on, and how.
        out: Folder for the head.
        device: Where the encoder runs.

    Returns:
        The description, as written to `head.json`, without the weights.

    Raises:
        ManifestError: A set or the encoder is missing.
        ContractError: A set is not what the manifest promises, or leaves nothing to learn from.
        MissingExtraError: torch or transformers is not installed.
    """
    sets = load_classifier(Path(manifest.labelled_sets))
    sets = sets.model_copy(
        update={"languages": tuple(x for x in sets.languages if x in manifest.languages)}
    )
    encoder = TextEncoder(
        encoder_folder(manifest.encoder, manifest.revision), manifest.max_tokens, device
    )
    inputs = digests(sets)
    examples = read_examples(sets)
    training = _drawn(
        [e for e in examples if e.part == "train"], sets, manifest.most_texts, manifest.seed
    )
    if {e.stance == "none" for e in training} != {True, False}:
        raise ContractError(
            f"the sets of {manifest.labelled_sets} leave no texts to train on, or none without "
            "harm, so no head can be trained; correct `labelled_sets` and `languages`"
        )
    weights = fit_weights(
        encoder.embeddings([e.text for e in training]),
        np.array([CLASSES.index(e.stance) for e in training]),
        np.array([[hazard in e.hazards for hazard in HAZARDS] for e in training], dtype=bool),
        importance_of(training, sets),
        manifest.penalty,
    )
    tests = [e for e in examples if e.part == "test"]
    description = {
        "name": f"{manifest.name}-{manifest.version}",
        "manifest": manifest.model_dump(mode="json", exclude={"labelled_sets", "harm_model"})
        | {"encoder": manifest.encoder, "labelled_sets": Path(manifest.labelled_sets).name},
        "encoder": {
            "name": short_name(manifest.encoder), "digest": encoder.digest, "width": encoder.width,
        },
        "languages": sorted({e.lang for e in training}),
        "inputs": inputs,
        "examples": len(training),
        "measured": _measured(manifest, encoder, weights, tests),
    }  # fmt: skip
    save_head(description, weights, out)
    return description


def _drawn(
    examples: Sequence[Example], sets: ClassifierManifest, most: int, seed: int
) -> list[Example]:
    """Returns the examples to train on: of each language at most so many, drawn by their ids."""
    weights = {labelled.name: labelled.weight for labelled in sets.sets}
    chosen: list[Example] = []
    for lang in sets.languages:
        own = [
            (draw(seed, "encoder", e.set_name, e.id), number)
            for number, e in enumerate(examples)
            if e.lang == lang and draw(seed, "weight", e.set_name, e.id) < weights[e.set_name]
        ]
        chosen += [examples[number] for _, number in sorted(own)[:most]]
    return chosen


def _measured(
    manifest: EncoderManifest, encoder: TextEncoder, weights: Weights, tests: Sequence[Example]
) -> dict[str, Any]:
    """Returns by language how the head and the model before it order texts in the band."""
    model = HarmModel.load(Path(manifest.harm_model) if manifest.harm_model else SHIPPED)
    low, high = manifest.band
    found: dict[str, Any] = {}
    for lang in manifest.languages:
        own = [e for e in tests if e.lang == lang and lang in model.languages]
        own.sort(key=lambda e: draw(manifest.seed, "test", e.set_name, e.id))
        if not own:
            continue
        before = model.passage_scores([e.text for e in own], [lang] * len(own)).intent
        inside = np.flatnonzero((before >= low) & (before <= high))[:MOST_TESTED]
        chosen = [own[row] for row in inside]
        truth = np.array([e.stance == "intent" for e in chosen], dtype=bool)
        embeddings = encoder.embeddings([e.text for e in chosen])
        after = weights.probabilities(embeddings)[0][:, 1 + STANCES.index("intent")]
        found[lang] = {
            "texts": len(own),
            "in_band": int(((before >= low) & (before <= high)).sum()),
            "harmful": int(truth.sum()),
            "before": _figures(before[inside], truth),
            "after": _figures(after, truth),
        }
    return found


def _figures(scores: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    area = auc(scores, truth)
    return {
        "auc": None if np.isnan(area) else round(area, 4),
        "accuracy": round(float(((scores >= 0.5) == truth).mean()), 4) if len(truth) else None,
        "ece": round(expected_calibration_error(scores, truth), 4) if len(truth) else None,
    }
