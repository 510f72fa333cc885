"""Trains one fastText model, the same bytes each time."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import fasttext

from raicurate.corpora_manifests.classifier import FastTextParameters
from raicurate.transforms.fasttext_model import zeroed_memory


def train_fasttext(
    lines: Sequence[str],
    parameters: FastTextParameters,
    seed: int,
    path: Path,
    quantised: bool = True,
) -> None:
    """Trains a supervised model with one thread and writes it.

    Args:
        lines: Training data, each line with its labels.
        parameters: How to train.
        seed: Of fastText.
        path: Where the model goes.
        quantised: Whether it is quantised, which makes it small and slower to ask.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "train.txt"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with zeroed_memory():
            model = fasttext.train_supervised(
                input=str(source),
                thread=1,
                seed=seed,
                verbose=0,
                **parameters.model_dump(exclude={"cutoff", "dsub"}),
            )
            if quantised:
                cutoff = {"cutoff": parameters.cutoff, "retrain": True} if parameters.cutoff else {}
                model.quantize(
                    input=str(source),
                    qnorm=True,
                    dsub=parameters.dsub,
                    thread=1,
                    verbose=0,
                    **cutoff,
                )
            model.save_model(str(path))
