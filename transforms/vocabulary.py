"""The words of a model, looked up with Arrow."""

import functools

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

END = "</s>"
"""The word that fastText sees at the end of every line."""

_FEW = 20_000
"""Arrow makes its hash table anew at each call, which for fewer words takes longer than a dict."""


class Vocabulary:
    """The words of a model in the order of its rows.

    Attributes:
        words: The words; `END` is one of them.
    """

    def __init__(self, words: pa.Array) -> None:
        self.words = words

    def __len__(self) -> int:
        return len(self.words)

    def read(self, lines: pa.Array) -> tuple[np.ndarray, np.ndarray, pa.Array]:
        """Returns the words of lines as fastText sees them, each line followed by `END`.

        Args:
            lines: Words separated by white space, strings without nulls, less than 2 GB.

        Returns:
            The number of every word, or that of all words for one outside the vocabulary; where
            each line starts, with the total at the end; and the words.
        """
        # Without the space at the start, which would be followed by a word of no letters.
        lines = pc.binary_join_element_wise(lines.cast(pa.string()), END, " ")
        split = pc.ascii_split_whitespace(pc.ascii_ltrim_whitespace(lines))
        offsets = split.offsets.to_numpy().astype(np.int64)
        words = split.flatten()
        return self._ids(words), offsets - offsets[0], words

    def _ids(self, words: pa.Array) -> np.ndarray:
        if len(words) < _FEW:
            numbers, unknown = self._numbers, len(self.words)
            return np.array([numbers.get(word, unknown) for word in words.to_pylist()], dtype=int)
        ids = pc.index_in(words, value_set=self.words)
        return ids.fill_null(len(self.words)).to_numpy(zero_copy_only=False)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words.to_pylist())}
