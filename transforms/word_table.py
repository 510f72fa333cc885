"""A fastText classifier of two labels as a table of scalars, looked up with Arrow and numpy.

fastText averages the rows of a text's words and pairs of words and multiplies the mean with a
matrix, which is linear: with two labels each row is worth one number, the evidence for the first
label against the second, and the probability is the logistic function of the mean number. Arrow
splits and looks up words four times as fast as fastText reads them.

By default it leaves out pairs with a word outside the vocabulary, and keeps half precision.
"""

import functools
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.personal_data_column import utf8_column
from raicurate.transforms.vocabulary import END, Vocabulary

# As in fastText's dictionary.cc, the last one joins the hashes of two words.
_FNV_BASIS = 2166136261
_FNV_PRIME = 16777619
_WORD = 0xFFFFFFFF
_LONG = 256
"""Bytes of a word that are hashed beside those of all others; the rest is hashed alone."""
_PAIR_FACTOR = np.uint64(116049371)


class WordTable:
    """Words and pairs of words with their evidence.

    Attributes:
        vocabulary: The words.
    """

    def __init__(
        self,
        words: pa.Array,
        hashes: np.ndarray,
        evidence: np.ndarray,
        pairs: np.ndarray,
        pairs_of_unknown: bool = False,
    ) -> None:
        """Makes a table.

        Args:
            words: The vocabulary, strings.
            hashes: fastText's hash of every word.
            evidence: One number a word.
            pairs: One number for each bucket that pairs are hashed to.
            pairs_of_unknown: Whether pairs with a word outside the vocabulary count.
        """
        self.vocabulary = Vocabulary(words)
        self._pairs = pairs.astype(np.float32)
        self._pairs_of_unknown = pairs_of_unknown
        # One more row, for words outside the vocabulary.
        self._evidence = np.append(evidence.astype(np.float32), np.float32(0))
        self._stored_hashes = hashes
        self._hashes = _widened(np.append(hashes, np.int32(0)))
        self._end = words.index(END).as_py()

    @staticmethod
    def is_possible(path: Path, label: str) -> bool:
        """Returns whether a fastText model can become a table.

        It needs two labels, no subwords, at most pairs of words, and no quantisation.
        """
        return _is_possible(fasttext.FastText._FastText(str(path)), label)

    @classmethod
    def from_fasttext(cls, path: Path, label: str, exact: bool = False) -> "WordTable":
        """Reads a supervised model with two labels, not quantised, without subwords.

        Args:
            path: The model.
            label: The label that the evidence is for, without prefix.
            exact: Whether pairs of unknown words count as in fastText, with single precision.

        Raises:
            ManifestError: The model is of another kind.
        """
        model = fasttext.FastText._FastText(str(path))
        if not _is_possible(model, label):
            raise ManifestError(
                f"{path} cannot become a table of words: it needs two labels, {label!r} one of "
                "them, no subwords, at most pairs of words, and no quantisation; train it so"
            )
        labels = [name.removeprefix("__label__") for name in model.get_labels()]
        output = np.asarray(model.get_output_matrix(), dtype=np.float64)
        chosen = labels.index(label)
        rows = np.asarray(model.get_input_matrix()) @ (output[chosen] - output[1 - chosen])
        words = model.get_words()
        pairs = rows[len(words) :] if model.f.getArgs().wordNgrams == 2 else np.zeros(1)
        # Stored with half precision; what is measured in training is what will be used.
        kind = np.float32 if exact else np.float16
        vocabulary = pa.array(words, pa.string())
        return cls(
            vocabulary,
            _hashes(vocabulary),
            rows[: len(words)].astype(kind),
            pairs.astype(kind),
            pairs_of_unknown=exact,
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
        ids, offsets, words = self.vocabulary.read(lines)
        starts = offsets[:-1]
        known = ids < len(self.vocabulary)
        hashes = self._hashes[ids]
        paired = ids[:-1] != self._end
        if self._pairs_of_unknown:
            hashes[~known] = _widened(_hashes(words.filter(pa.array(~known))))
        else:
            paired &= known[:-1] & known[1:]
        bucket = (hashes[:-1] * _PAIR_FACTOR + hashes[1:]) % np.uint64(len(self._pairs))
        evidence = self._evidence[ids].astype(np.float64)
        found = known.astype(np.int64)
        if len(self._pairs) > 1:
            evidence[:-1] += np.where(paired, self._pairs[bucket], 0)
            found[:-1] += paired
        mean = np.add.reduceat(evidence, starts) / np.add.reduceat(found, starts)
        return (1 / (1 + np.exp(-mean))).astype(np.float32)


def _is_possible(model: fasttext.FastText._FastText, label: str) -> bool:
    labels = [name.removeprefix("__label__") for name in model.get_labels()]
    arguments = model.f.getArgs()
    return (
        len(labels) == 2
        and label in labels
        and not model.is_quantized()
        and not arguments.maxn
        and arguments.wordNgrams <= 2
    )


def _widened(hashes: np.ndarray) -> np.ndarray:
    """Returns hashes as 64 bits; fastText keeps the sign of the 32."""
    return hashes.astype(np.int64).astype(np.uint64)


def _hashes(words: pa.Array) -> np.ndarray:
    """Returns fastText's hash of every word, FNV-1a over signed bytes, as 32 signed bits."""
    column = utf8_column(words)
    data, lengths = column.data.view(np.int8), np.diff(column.offsets)
    # Words of like length together, so that one endless word does not cost all others.
    order = np.argsort(-lengths, kind="stable")
    starts, ascending = column.offsets[:-1][order], -lengths[order]
    result = np.full(len(words), _FNV_BASIS, dtype=np.uint32)
    for position in range(min(int(lengths.max(initial=0)), _LONG)):
        running = np.searchsorted(ascending, -position)
        letters = data[starts[:running] + position].astype(np.uint32)
        result[:running] = (result[:running] ^ letters) * np.uint32(_FNV_PRIME)
    hashes = np.empty_like(result)
    hashes[order] = result
    for index in np.flatnonzero(lengths > _LONG).tolist():
        value = int(hashes[index])
        for byte in words[index].as_py().encode()[_LONG:]:
            value = ((value ^ (byte | 0xFFFFFF00 if byte & 0x80 else byte)) * _FNV_PRIME) & _WORD
        hashes[index] = value
    return hashes.astype(np.int32)
