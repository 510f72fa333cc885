"""Any fastText text classifier as a filter, such as those for quality or for a topic."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.fasttext_model import FastTextModel, file_sha256, lines_of
from raicurate.transforms.registry import Annotator, register, with_earlier_steps
from raicurate.transforms.schema import STEP
from raicurate.transforms.word_table import WordTable


@register("fasttext@1")
class FastTextClassifier(Annotator):
    """Adds the verdict of a classifier to `steps`, with its score; a policy acts by `step_failed`.

    A model with two labels that is neither quantised nor made of subwords is evaluated as a table
    of words, several times as fast as by fastText, with the same probabilities.

    Args:
        model: A supervised fastText model.
        label: The label whose probability counts, without prefix.
        threshold: From which probability on it counts.
        passes: Whether documents at or above the threshold pass, or those below it.
        name: Under which name the verdict is stored; by default that of the label.
    """

    columns = ("steps",)

    def __init__(
        self,
        model: str,
        label: str,
        threshold: float = 0.5,
        passes: Literal["at_least", "below"] = "at_least",
        name: str | None = None,
    ) -> None:
        self._path = Path(model)
        if label not in FastTextModel(self._path).labels:
            raise ManifestError(
                f"annotator 'fasttext@1': {model} has no label {label!r}, so nothing can be "
                "scored; correct `label`"
            )
        if not 0 <= threshold <= 1 or passes not in {"at_least", "below"}:
            raise ManifestError(
                "annotator 'fasttext@1': `threshold` must be a probability and `passes` either "
                "`at_least` or `below`; correct them"
            )
        self._label, self._threshold, self._passes = label, threshold, passes
        self._step_name = name or label

    def setup(self) -> None:
        """Loads the model."""
        self._table: WordTable | None = None
        if WordTable.is_possible(self._path, self._label):
            self._table = WordTable.from_fasttext(self._path, self._label, exact=True)
        else:
            self._model = FastTextModel.load(self._path)

    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns the column `steps`: earlier verdicts and this one."""
        texts = pc.fill_null(batch.column("text"), "")
        scores = pa.array(self._scores(texts))
        high = pc.greater_equal(scores, pa.scalar(self._threshold, pa.float32()))
        passed = high if self._passes == "at_least" else pc.invert(high)
        rows = batch.num_rows
        reason = pc.if_else(passed, pa.scalar(None, pa.string()), f"fasttext_{self._label}")
        verdicts = pa.StructArray.from_arrays(
            [
                pa.repeat(self._step_name, rows),
                passed,
                reason,
                pa.repeat(False, rows),
                scores,
            ],
            fields=list(STEP),
        )
        return [with_earlier_steps(batch, pa.ListArray.from_arrays(np.arange(rows + 1), verdicts))]

    def _scores(self, texts: pa.Array) -> np.ndarray:
        if self._table is not None:
            # fastText's own end of line, behind which it would see nothing of a text.
            return self._table.probabilities(pc.replace_substring(texts, "</s>", " "))
        column = self._model.labels.index(self._label)
        return np.minimum(self._model.probabilities(lines_of(texts))[:, column], 1)

    def model_digest(self) -> str:
        """Returns the digest of the model."""
        return file_sha256(self._path)

    def parameters(self) -> dict[str, Any]:
        """Returns label, threshold, direction and name."""
        return {
            "label": self._label,
            "threshold": self._threshold,
            "passes": self._passes,
            "name": self._step_name,
        }
