"""A fastText classifier over whole words, evaluated with Arrow and numpy.

fastText spends its time on reading: Arrow splits and looks up the words of a batch several times
as fast. The share of known words comes for free, and says how far an answer is to be trusted.
"""

import functools
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.vocabulary import Vocabulary


class WordVectors:
    """Vectors of words, and the matrix that turns their mean into the scores of labels.

    Attributes:
        labels: The labels, without prefix.
        vocabulary: The words.
    """

    def __init__(
        self, words: pa.Array, vectors: np.ndarray, labels: list[str], output: np.ndarray
    ) -> None:
        """Makes a classifier.

        Args:
            words: The vocabulary, strings.
            vectors: One row a word.
            labels: The labels.
            output: One row a label.
        """
        self.vocabulary = Vocabulary(words)
        self.labels = labels
        # One more row, for words outside the vocabulary.
        self._vectors = np.vstack([vectors, np.zeros_like(vectors[:1])]).astype(np.float32)
        self._output = output.astype(np.float32)

    @classmethod
    def from_fasttext(cls, path: Path) -> "WordVectors":
        """Reads a supervised model without subwords and n-grams, not quantised.

        Raises:
            ManifestError: The model is of another kind.
        """
        model = fasttext.FastText._FastText(str(path))
        arguments = model.f.getArgs()
        if model.is_quantized() or arguments.maxn or arguments.wordNgrams > 1:
            raise ManifestError(
                f"{path} cannot become vectors of words: it needs to be without subwords, runs of "
                "words and quantisation; train it so"
            )
        words = model.get_words()
        # Stored with half precision; what is measured in training is what will be used.
        return cls(
            pa.array(words, pa.string()),
            np.asarray(model.get_input_matrix())[: len(words)].astype(np.float16),
            [label.removeprefix("__label__") for label in model.get_labels()],
            np.asarray(model.get_output_matrix()).astype(np.float16),
        )

    @classmethod
    @functools.lru_cache(maxsize=8)
    def load(cls, path: Path) -> "WordVectors":
        """Returns what `save` wrote, read once for each process.

        Raises:
            ManifestError: There is no such file, or it is another.
        """
        try:
            with pa.memory_map(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
            words, labels = (table.column(name)[0].values for name in ("words", "labels"))
            vectors, output = (
                table.column(name)[0].values.to_numpy() for name in ("vectors", "output")
            )
            return cls(
                words,
                vectors.reshape(len(words), -1),
                labels.to_pylist(),
                output.reshape(len(labels), -1),
            )
        except (OSError, pa.ArrowInvalid, KeyError, IndexError) as error:
            raise ManifestError(
                f"{path} holds no vectors of words; train the model anew or correct the path"
            ) from error

    def save(self, path: Path) -> None:
        """Writes everything to one Arrow file."""
        halves, strings = pa.list_(pa.float16()), pa.list_(pa.string())
        vectors = self._vectors[:-1].astype(np.float16).ravel()
        table = pa.table(
            {
                "words": pa.array([self.vocabulary.words.to_pylist()], strings),
                "vectors": pa.array([vectors], halves),
                "labels": pa.array([self.labels], strings),
                "output": pa.array([self._output.astype(np.float16).ravel()], halves),
            }
        )
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def best(self, lines: pa.Array) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Returns for every line the likeliest label, its probability, and the words known.

        Args:
            lines: Words separated by white space, strings without nulls, less than 2 GB.

        Returns:
            Label; probability as float32; and an array (lines, 2) of how many words a line has
            and how many of them are in the vocabulary.
        """
        if not len(lines):
            return [], np.zeros(0, dtype=np.float32), np.zeros((0, 2), dtype=np.int64)
        ids, offsets, _ = self.vocabulary.read(lines)
        starts, words = offsets[:-1], np.diff(offsets)
        known = np.add.reduceat((ids < len(self.vocabulary)).astype(np.int64), starts)
        mean = np.add.reduceat(self._vectors[ids], starts) / known[:, None].astype(np.float32)
        # Not a product of matrices, whose last bits could depend on the other lines.
        scores = np.einsum("ld,kd->lk", mean, self._output, optimize=False)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        best = scores.argmax(axis=1)
        probability = (1 / scores.sum(axis=1)).astype(np.float32)
        counts = np.stack([words, known], axis=1) - 1  # without the end of the line
        return [self.labels[index] for index in best.tolist()], probability, counts
