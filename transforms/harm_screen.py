"""The first stage over many texts at once: cells, passages, and their word-level sums."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from raicurate.transforms.harm_model import HarmModel, screen_sums
from raicurate.transforms.harm_text import cell_size, cells
from raicurate.transforms.ngrams import code_points


class Cells(NamedTuple):
    """The cells of some texts.

    Attributes:
        points: Code points of the texts, one after the other with a newline after each.
        documents: Where each text starts in `points`.
        document: By cell: which text it is of.
        starts: By cell: where it starts in its text.
        ends: By cell: where it ends there.
    """

    points: np.ndarray
    documents: np.ndarray
    document: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def sums(self, weights: np.ndarray, bits: int) -> np.ndarray:
        """Returns the word-level sums of the cells, as in `screen_sums`."""
        places = self.documents[self.document] + self.starts
        return screen_sums(self.points, places, self.documents, weights, bits)


def cells_of_texts(lowered: Sequence[str], languages: Sequence[str]) -> Cells:
    """Returns the cells of texts in lower case."""
    found = [
        (number, start, end)
        for number, (text, lang) in enumerate(zip(lowered, languages, strict=True))
        for start, end in cells(text, cell_size(lang))
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    lengths = np.array([len(text) + 1 for text in lowered], dtype=np.int64)
    return Cells(
        code_points("\n".join([*lowered, ""])),
        np.cumsum(lengths) - lengths,
        table[:, 0],
        table[:, 1],
        table[:, 2],
    )


def passage_cells(document: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first and the last cell of every passage.

    A passage is a cell and the next one; a text of one cell is one passage.

    Args:
        document: By cell: which text it is of.
    """
    last = np.append(document[1:] != document[:-1], True)[: len(document)]
    first = np.append(True, document[1:] != document[:-1])[: len(document)]
    begin = np.flatnonzero(~last | (first & last))
    return begin, np.where(last[begin], begin, begin + 1)


def passage_sums(cells: Cells, sums: np.ndarray) -> np.ndarray:
    """Returns the sums of passages from those of cells."""
    begin, end = passage_cells(cells.document)
    return sums[begin] + np.where((begin != end)[:, None], sums[end], 0)


class Screened(NamedTuple):
    """What the first stage says of the passages of some texts.

    Attributes:
        document: By passage: which text it is of.
        start: Where it starts there, in code points.
        end: Where it ends.
        sent_on: Whether the next stage should see it.
    """

    document: np.ndarray
    start: np.ndarray
    end: np.ndarray
    sent_on: np.ndarray


def screened(model: HarmModel, lowered: Sequence[str], lang: str) -> Screened:
    """Returns what the first stage says of texts in lower case, all in one language."""
    found = cells_of_texts(lowered, [lang] * len(lowered))
    sums = model.screen(
        found.points, found.documents[found.document] + found.starts, found.documents, lang
    )
    begin, end = passage_cells(found.document)
    document = found.document[begin]
    totals = sums[begin] + np.where((begin != end)[:, None], sums[end], 0)
    is_short = np.bincount(document, minlength=len(lowered))[document] == 1
    sent_on = np.where(
        is_short, model.sends_on(totals, lang, True), model.sends_on(totals, lang, False)
    )
    return Screened(document, found.starts[begin], found.ends[end], sent_on)
