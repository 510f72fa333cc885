import hashlib

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.manifest import Withdrawn
from raicurate.pipelines.deny_list import DenyList, entry_digest


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def rows(*pairs):
    """Returns a batch of ids and texts, with another column beside them."""
    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array([identifier for identifier, _ in pairs], pa.string()),
            "text_sha256": pa.array([sha256(text) for _, text in pairs], pa.string()),
            "number": pa.array(range(len(pairs)), pa.int64()),
        }
    )


def deny(ids=(), texts=()):
    return DenyList(Withdrawn(ids=ids, text_sha256=tuple(sha256(text) for text in texts)))


def test_documents_go_by_id_or_by_text():
    """Either is enough; the others keep their order and their columns."""
    left, met = deny(["a"], ["secret"]).split(
        rows(("a", "one"), ("b", "two"), ("c", "secret"), ("d", "four"))
    )
    assert left.column("id").to_pylist() == ["b", "d"]
    assert left.column("number").to_pylist() == [1, 3]
    assert met == {entry_digest("id", "a"), entry_digest("text", sha256("secret"))}


def test_a_document_that_meets_two_entries_goes_once_and_names_both():
    """Lifting one of them must not bring it back unnoticed."""
    left, met = deny(["a"], ["one"]).split(rows(("a", "one"), ("b", "two")))
    assert left.num_rows == 1
    assert len(met) == 2


def test_entries_are_named_by_digest_never_by_value():
    """A receipt does not tell who asked for the withdrawal."""
    listed = deny(["jo@example.net"])
    assert listed.entries == {entry_digest("id", "jo@example.net")}
    assert not any("jo" in entry for entry in listed.entries)
    assert entry_digest("id", "x") != entry_digest("text", "x")


def test_the_digest_of_an_entry_never_changes():
    """Receipts hold it: another one would read everything again."""
    expected = hashlib.sha256(b'["withdrawn","id","x"]').hexdigest()[:32]
    assert entry_digest("id", "x") == expected


def test_an_empty_list_or_batch_passes_through():
    """Without work nothing is copied."""
    batch = rows(("a", "one"))
    for listed, given_rows in ((deny(), batch), (deny(["a"]), rows())):
        left, met = listed.split(given_rows)
        assert left is given_rows
        assert met == set()


def test_without_a_hit_the_rows_are_the_same():
    """The common case costs a look-up only."""
    batch = rows(("a", "one"))
    left, met = deny(["b"], ["two"]).split(batch)
    assert left is batch
    assert met == set()


names = st.text("ab", min_size=1, max_size=2)


@given(st.lists(names), st.lists(names), st.lists(st.tuples(names, names), max_size=12))
def test_a_document_stays_exactly_if_nothing_names_it(ids, texts, pairs):
    """Doubled entries change nothing, and what is met is what some document met."""
    left, met = deny(ids, texts).split(rows(*pairs))
    kept = [(i, t) for i, t in pairs if i not in ids and t not in texts]
    assert left.column("id").to_pylist() == [identifier for identifier, _ in kept]
    assert met == {entry_digest("id", i) for i, _ in pairs if i in ids} | {
        entry_digest("text", sha256(t)) for _, t in pairs if t in texts
    }
    assert met <= deny(ids, texts).entries
