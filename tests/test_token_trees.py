"""Token trees: what each sequence reads and scores is the same as if it stood alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.probes import token_trees
from raicurate.probes.token_trees import Row, TokenSequence, batches, rows

SEQUENCES = st.lists(
    st.lists(st.integers(0, 2), min_size=1, max_size=12).flatmap(
        lambda tokens: st.tuples(st.just([9, *tokens]), st.integers(1, len(tokens)))
    ),
    min_size=1,
    max_size=12,
)


def _read_by(packed: list[Row]) -> dict[int, list[tuple[tuple[int, ...], int]]]:
    """Returns, by sequence, the tokens that each score is conditioned on, and its target."""
    read: dict[int, list[tuple[tuple[int, ...], int]]] = {}
    for row in packed:
        for source, target, owner in zip(row.sources, row.targets, row.owners, strict=True):
            if row.attends is None:
                nodes = np.arange(source + 1)
            else:
                nodes = np.flatnonzero(row.attends[source])
            nodes = nodes[np.argsort(row.positions[nodes])]
            assert row.positions[nodes].tolist() == list(range(len(nodes)))
            context = tuple(row.tokens[nodes].tolist())
            read.setdefault(int(owner), []).append((context, int(target)))
    return read


@settings(max_examples=200, deadline=None)
@given(SEQUENCES, st.booleans(), st.sampled_from([4, 1024]))
def test_each_score_sees_its_own_sequence_only(
    given_sequences: list[tuple[list[int], int]], share: bool, max_nodes: int
) -> None:
    """Each scored token is predicted from all tokens before it in its sequence, nothing else."""
    sequences = [TokenSequence(np.array(tokens), scored) for tokens, scored in given_sequences]
    limit, token_trees.MAX_NODES = token_trees.MAX_NODES, max_nodes
    try:
        read = _read_by(rows(sequences, share=share))
    finally:
        token_trees.MAX_NODES = limit
    for number, (tokens, scored) in enumerate(given_sequences):
        expected = [(tuple(tokens[:end]), tokens[end]) for end in range(scored, len(tokens))]
        assert sorted(read[number]) == sorted(expected)


def test_a_shared_context_is_read_once() -> None:
    """Four continuations of one context hold its tokens once."""
    context = list(range(100, 140))
    sequences = [TokenSequence(np.array([*context, n, n + 1, n + 2]), 40) for n in range(4)]
    (row,) = rows(sequences, share=True)
    assert len(row.tokens) == 40 + 4 * 2
    assert sum(len(alone.tokens) for alone in rows(sequences, share=False)) == 4 * 42


def test_batches_hold_rows_of_like_length() -> None:
    """Padding stays within the budget of tokens, and each row is in one batch."""
    lengths = [3, 50, 4, 51, 5, 200]
    packed = rows(
        [TokenSequence(np.arange(n + 1) * (1 + i), 1) for i, n in enumerate(lengths)], share=False
    )
    found = list(batches(packed, 110))
    assert [[len(row.tokens) for row in batch] for batch in found] == [[200], [51, 50], [5, 4, 3]]
