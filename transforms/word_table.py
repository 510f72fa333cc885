"""A fastText classifier of two labels as a table of scalars, looked up with Arrow and numpy.

fastText averages the rows of a text's words and pairs of words and multiplies the mean with a
matrix, which is linear: with two labels each row is worth one number, the evidence for the first
label against the second, and the probability is the logistic function of the mean number. Arrow
splits and looks up words four times as fast as fastText reads them.

Against fastText it leaves out pairs with a word outside the vocabulary.
"""

import functools
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.vocabulary import END, Vocabulary

# As in fastText's dictionary.cc, the last one joins the hashes of two words.
_FNV_BASIS = 2166136261
_FNV_PRIME = 16777619
_PAIR_FACTOR = np.uint64(116049371)


class WordTable:
    """Words and pairs of words with their evidence.

    Attributes:
        vocabulary: The words.
    """

    def __init__(
        self, words: pa.Array, hashes: np.ndarray, evidence: np.ndarray, pairs: np.ndarray
    ) -> None:
        """Makes a table.

        Args:
            words: The vocabulary, strings.
            hashes: fastText's hash of every word.
            evidence: One number a word.
            pairs: One number for each bucket that pairs are hashed to.
        """
        self.vocabulary = Vocabulary(words)
        self._pairs = pairs.astype(np.float32)
        # One more row, for words outside the vocabulary.
        self._evidence = np.append(evidence.astype(np.float32), np.float32(0))
        self._stored_hashes = hashes
        # fastText widens the signed 32 bits to 64.
        self._hashes = np.append(hashes.astype(np.int64), 0).astype(np.uint64)
        self._end = words.index(END).as_py()

    @classmethod
    def from_fasttext(cls, path: Path, label: str) -> "WordTable":
        """Reads a supervised model with two labels, not quantised, without subwords.

        Args:
            path: The model.
            label: The label that the evidence is for, without prefix.

        Raises:
            ManifestError: The model is of another kind.
        """
        model = fasttext.FastText._FastText(str(path))
        labels = [name.removeprefix("__label__") for name in model.get_labels()]
        arguments = model.f.getArgs()
        if (
            len(labels) != 2
            or label not in labels
            or model.is_quantized()
            or arguments.maxn
            or arguments.wordNgrams > 2
        ):
            raise ManifestError(
                f"{path} cannot become a table of words: it needs two labels, {label!r} one of "
                "them, no subwords, at most pairs of words, and no quantisation; train it so"
            )
        output = np.asarray(model.get_output_matrix(), dtype=np.float64)
        chosen = labels.index(label)
        rows = np.asarray(model.get_input_matrix()) @ (output[chosen] - output[1 - chosen])
        words = model.get_words()
        pairs = rows[len(words) :] if arguments.wordNgrams == 2 else np.zeros(1)
        # Stored with half precision; what is measured in training is what will be used.
        return cls(
            pa.array(words, pa.string()),
            _hashes(words),
            rows[: len(words)].astype(np.float16),
            pairs.astype(np.float16),
        )

    @classmethod
    @functools.lru_cache(maxsize=8)
    def load(cls, path: Path) -> "WordTable":
        """Returns a table that `save` wrote, read once for each process.

        Raises:
            ManifestError: There is none, or it is no such table.
        """
        try:
            with pa.memory_map(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
            words = table.column("words")[0].values
            hashes, evidence, pairs = (
                table.column(name)[0].values.to_numpy() for name in ("hashes", "evidence", "pairs")
            )
        except (OSError, pa.ArrowInvalid, KeyError, IndexError) as error:
            raise ManifestError(
                f"{path} is not a table of words; train the model anew or correct the path"
            ) from error
        return cls(words, hashes, evidence, pairs)

    def save(self, path: Path) -> None:
        """Writes the table to one Arrow file."""
        halves = pa.list_(pa.float16())
        table = pa.table(
            {
                "words": pa.array([self.vocabulary.words.to_pylist()], pa.list_(pa.string())),
                "hashes": pa.array([self._stored_hashes], pa.list_(pa.int32())),
                "evidence": pa.array([self._evidence[:-1].astype(np.float16)], halves),
                "pairs": pa.array([self._pairs.astype(np.float16)], halves),
            }
        )
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    def probabilities(self, lines: pa.Array) -> np.ndarray:
        """Returns the probability of the label for every line, as float32.

        Args:
            lines: Words separated by white space, strings without nulls, less than 2 GB.
        """
        if not len(lines):
            return np.zeros(0, dtype=np.float32)
        ids, offsets = self.vocabulary.ids_of_lines(lines)
        starts = offsets[:-1]
        known = ids < len(self.vocabulary)
        hashes = self._hashes[ids]
        bucket = (hashes[:-1] * _PAIR_FACTOR + hashes[1:]) % np.uint64(len(self._pairs))
        paired = known[:-1] & known[1:] & (ids[:-1] != self._end)
        evidence = self._evidence[ids].astype(np.float64)
        evidence[:-1] += np.where(paired, self._pairs[bucket], 0)
        found = known.astype(np.int64)
        if len(self._pairs) > 1:
            found[:-1] += paired
        mean = np.add.reduceat(evidence, starts) / np.add.reduceat(found, starts)
        return (1 / (1 + np.exp(-mean))).astype(np.float32)


def _hashes(words: list[str]) -> np.ndarray:
    """Returns fastText's hash of every word, FNV-1a over signed bytes, as 32 signed bits."""
    encoded = [word.encode() for word in words]
    lengths = np.array([len(word) for word in encoded])
    matrix = np.zeros((max(lengths, default=0), len(encoded)), dtype=np.int8)
    for column, word in enumerate(encoded):
        matrix[: len(word), column] = np.frombuffer(word, dtype=np.int8)
    result = np.full(len(encoded), _FNV_BASIS, dtype=np.uint32)
    for position, row in enumerate(matrix):
        mixed = (result ^ row.astype(np.uint32)) * np.uint32(_FNV_PRIME)
        result = np.where(position < lengths, mixed, result)
    return result.astype(np.int32)
