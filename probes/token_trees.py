"""Sequences of tokens packed into trees, so that what they begin with in common is read once.

A suite asks a model about the same context with several continuations, and after the same worked
examples about several contexts. A row of a batch is therefore not one sequence but a tree of them:
a token attends to itself and its ancestors only and stands at the position that it has in its own
sequence, so each sequence is read as if it stood alone (the attention of SpecInfer,
https://arxiv.org/abs/2305.09781, used for scoring).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

MIN_SHARED = 0.25
"""Share of a sequence that a tree must hold already for it to grow there. The mask of a tree costs
attention between branches, so a few tokens in common are cheaper to read twice."""

MAX_NODES = 1024
"""Nodes at which a tree is closed: attention costs the square of them."""


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """Tokens of which the last are scored.

    Attributes:
        tokens: All tokens, that of the start of text first.
        scored: Index of the first one that is scored, at least 1.
    """

    tokens: Integers
    scored: int


@dataclass(frozen=True, slots=True)
class Row:
    """What a model reads at once: one sequence, or several as a tree.

    The last token of a sequence is only predicted, never read, unless another one goes on there.

    Attributes:
        tokens: Shape [nodes]; a parent stands before its children.
        positions: Place of each node in its sequences, shape [nodes].
        attends: Whether the node of the row attends to the node of the column, shape
            [nodes, nodes]; None for a single sequence, where each attends to all before it.
        sources: Nodes whose next token is scored, shape [scores].
        targets: What the next token is, shape [scores].
        owners: Number of the sequence to which each score belongs, shape [scores].
    """

    tokens: Integers
    positions: Integers
    attends: Bools | None
    sources: Integers
    targets: Integers
    owners: Integers


def rows(sequences: Sequence[TokenSequence], *, share: bool) -> list[Row]:
    """Returns the rows in which all sequences are read.

    Args:
        sequences: What to score, each of at least two tokens.
        share: Whether sequences may share a row; a model that ignores masks cannot do so.
    """
    if not share:
        return [_chain(number, sequence) for number, sequence in enumerate(sequences)]
    # Sorted by tokens, the longest beginning in common with any earlier one is that with the last.
    order = sorted(
        range(len(sequences)), key=lambda number: sequences[number].tokens.astype(">u4").tobytes()
    )
    found: list[Row] = []
    tree: _Tree | None = None
    for number in order:
        if tree is None or not tree.takes(sequences[number]):
            if tree is not None:
                found.append(tree.row())
            tree = _Tree()
        tree.add(number, sequences[number])
    if tree is not None:
        found.append(tree.row())
    return found


def batches(packed: Sequence[Row], max_tokens: int) -> Iterator[list[Row]]:
    """Yields rows of like length together, trees apart from single sequences.

    Args:
        packed: The rows.
        max_tokens: Tokens of a batch with its padding; a longer row is a batch by itself.
    """
    # The longest first, so that a batch that does not fit into memory fails at once.
    order = sorted(packed, key=lambda row: (row.attends is not None, -len(row.tokens)))
    batch: list[Row] = []
    for row in order:
        if batch and (
            (len(batch) + 1) * len(batch[0].tokens) > max_tokens
            or (row.attends is None) != (batch[0].attends is None)
        ):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def common_prefix(left: Integers, right: Integers) -> int:
    """Returns how many elements two arrays begin with in common."""
    length = min(len(left), len(right))
    differing = np.flatnonzero(left[:length] != right[:length])
    return int(differing[0]) if len(differing) else length


def _chain(number: int, sequence: TokenSequence) -> Row:
    length, scored = len(sequence.tokens), sequence.scored
    return Row(
        tokens=sequence.tokens[:-1],
        positions=np.arange(length - 1),
        attends=None,
        sources=np.arange(scored - 1, length - 1),
        targets=sequence.tokens[scored:],
        owners=np.full(length - scored, number),
    )


class _Tree:
    """A row while it grows, one branch after the other."""

    def __init__(self) -> None:
        self._sequences: list[tuple[int, TokenSequence, Integers]] = []
        self._branches: list[tuple[Integers, Integers]] = []  # nodes before it, tokens of its own
        self._nodes = 0

    def takes(self, sequence: TokenSequence) -> bool:
        """Returns whether the sequence has enough in common with the last one."""
        shared = self._shared(sequence)
        new = len(sequence.tokens) - 1 - shared
        if shared < MIN_SHARED * (len(sequence.tokens) - 1):
            return False
        return self._nodes + new <= MAX_NODES or not new

    def add(self, number: int, sequence: TokenSequence) -> None:
        """Adds the nodes that are not there yet."""
        shared = self._shared(sequence)
        own = sequence.tokens[shared:-1]
        before = self._sequences[-1][2][:shared] if self._sequences else np.arange(0)
        path = np.concatenate([before, np.arange(self._nodes, self._nodes + len(own))])
        self._sequences.append((number, sequence, path))
        self._branches.append((before, own))
        self._nodes += len(own)

    def _shared(self, sequence: TokenSequence) -> int:
        if not self._sequences:
            return 0
        return common_prefix(self._sequences[-1][1].tokens[:-1], sequence.tokens[:-1])

    def row(self) -> Row:
        """Returns the row of all sequences so far."""
        if len(self._sequences) == 1:
            number, sequence, _ = self._sequences[0]
            return _chain(number, sequence)
        attends = np.zeros((self._nodes, self._nodes), bool)
        start = 0
        for before, own in self._branches:
            end = start + len(own)
            attends[start:end, before] = True
            attends[start:end, start:end] = np.tri(len(own), dtype=bool)
            start = end
        owned = [
            (number, sequence, path[sequence.scored - 1 :])
            for number, sequence, path in self._sequences
        ]
        targets = [sequence.tokens[sequence.scored :] for _, sequence, _ in owned]
        return Row(
            tokens=np.concatenate([own for _, own in self._branches]),
            positions=np.concatenate(
                [np.arange(len(before), len(before) + len(own)) for before, own in self._branches]
            ),
            attends=attends,
            sources=np.concatenate([sources for _, _, sources in owned]),
            targets=np.concatenate(targets),
            owners=np.concatenate([np.full(len(sources), number) for number, _, sources in owned]),
        )
