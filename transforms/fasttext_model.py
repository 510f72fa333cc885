"""A fastText model behind one adapter, since its Python binding has traps.

The binding cannot be pickled, raises on newlines and, under numpy 2, fails on a single string; so
it is loaded where it is used, fed with lists, and newlines become spaces.
"""

import contextlib
import ctypes
import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raicurate.corpora_manifests.errors import ManifestError

_M_PERTURB = -6


@contextlib.contextmanager
def zeroed_memory() -> Iterator[None]:
    """Has the C library clear the memory that it hands out; needed to train the same model twice.

    With one thread fastText initialises a tenth of its matrix and leaves the rest as the memory
    happened to be: models differ from run to run, or training ends in `Encountered NaN`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # only the GNU C library has it; elsewhere models may differ
        yield
        return
    mallopt(_M_PERTURB, 0xFF)  # memory is filled with the complement of the value
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)


@functools.lru_cache(maxsize=32)
def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a model file; models do not change while a process runs."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class FastTextModel:
    """A loaded model. Shared by all blocks of a process that name the same file.

    Attributes:
        labels: The labels, without the prefix `__label__`, in the order of `probabilities`.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ManifestError(
                f"there is no fastText model at {path}; train one or correct the path"
            )
        try:
            self._model = fasttext.FastText._FastText(str(path))
        except ValueError as error:
            raise ManifestError(f"{path} is not a fastText model: {error}") from error
        self.labels = [label.removeprefix("__label__") for label in self._model.get_labels()]
        self._column = {label: index for index, label in enumerate(self._model.get_labels())}

    @classmethod
    @functools.lru_cache(maxsize=32)
    def load(cls, path: Path) -> "FastTextModel":
        """Returns the model at `path`, loaded once for each process."""
        return cls(path)

    def probabilities(self, lines: Sequence[str]) -> np.ndarray:
        """Returns the probability of every label for every line, as float32 (lines, labels)."""
        result = np.zeros((len(lines), len(self.labels)), dtype=np.float32)
        if not lines:
            return result
        found, values = self._model.predict(list(lines), k=-1)
        for row, (labels, scores) in enumerate(zip(found, values, strict=True)):
            result[row, [self._column[label] for label in labels]] = scores
        return result

    def best(self, lines: Sequence[str]) -> tuple[list[str | None], np.ndarray]:
        """Returns the likeliest label of every line (None if it has no words) and its score."""
        if not lines:
            return [], np.zeros(0, dtype=np.float32)
        found, values = self._model.predict(list(lines), k=1)
        names = [labels[0].removeprefix("__label__") if labels else None for labels in found]
        scores = np.array(
            [scores[0] if len(scores) else 0.0 for scores in values], dtype=np.float32
        )
        return names, np.minimum(scores, 1.0)


def lines_of(texts: pa.Array) -> list[str]:
    """Returns `texts` as single lines: newlines become spaces, so that words stay apart.

    So does `</s>`, fastText's own end of line, behind which it would see nothing of a text.
    """
    single = pc.replace_substring(pc.replace_substring(texts, "\n", " "), "</s>", " ")
    return pc.fill_null(single, "").to_pylist()
