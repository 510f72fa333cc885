import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Backend, Generator, Request, open_backend
from raicurate.probes.key_table import EMPTY, KeyTable
from raicurate.probes.ngram import MAX_ORDER, START, SYMBOLS, NGramModel, count

TEXTS = [
    "The keeper counts the boats in the evening.\n" * 3,
    "Die Wärterin zählt die Boote am Abend, und das Tor wird geschlossen.",
    "朝、門番は舟を数える。夜、門番は舟を数える。",
    "No boat leaves the harbour after the bell. A boat that is late waits outside.",
]


class Naive:
    """Modified Kneser-Ney from its definition, with dictionaries and without regard to speed."""

    def __init__(self, texts: list[str], order: int) -> None:
        self.order = order
        self.counts: dict[int, Counter[tuple[int, ...]]] = {order: Counter()}
        for text in texts:
            symbols = (START,) * (order - 1) + tuple(text.encode())
            for end in range(order, len(symbols) + 1):
                self.counts[order][symbols[end - order : end]] += 1
        for lower in range(order - 1, 0, -1):
            self.counts[lower] = Counter(ngram[1:] for ngram in self.counts[lower + 1])
        self.discounts = {n: self._discounts(n) for n in self.counts}
        self.after: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for counts in self.counts.values():
            for ngram, occurrences in counts.items():
                self.after[ngram[:-1]].append(occurrences)

    def _discounts(self, n: int) -> list[float]:
        of = Counter(self.counts[n].values())
        if all(of[k] for k in (1, 2, 3, 4)):
            y = of[1] / (of[1] + 2 * of[2])
            found = [k - (k + 1) * y * of[k + 1] / of[k] for k in (1, 2, 3)]
            if min(found) > 0:
                return [0.0, *found]
        return [0.0, 0.5, 1.0, 1.5]

    def probability(self, context: tuple[int, ...], symbol: int) -> float:
        n = len(context) + 1
        lower = self.probability(context[1:], symbol) if context else 1 / SYMBOLS
        if not (after := self.after[context]):
            return lower
        taken = [self.discounts[n][min(occurrences, 3)] for occurrences in after]
        occurrences = self.counts[n][(*context, symbol)]
        own = occurrences - self.discounts[n][min(occurrences, 3)]
        return (own + sum(taken) * lower) / sum(after)


@pytest.fixture(scope="module")
def model() -> NGramModel:
    return NGramModel.fit(TEXTS, order=5)


@pytest.mark.parametrize("order", [1, 2, 3, 6, MAX_ORDER])
def test_probabilities_are_those_of_the_definition(order: int) -> None:
    """Each byte's probability equals that of an implementation straight from the definition."""
    fitted, naive = NGramModel.fit(TEXTS, order), Naive(TEXTS, order)
    for text in ("The boats wait.", "数えない", "Boote und Tore", "\x00\t~"):
        symbols = (START,) * (order - 1) + tuple(text.encode())
        expected = [
            -math.log(naive.probability(symbols[end - order : end - 1], symbols[end - 1]))
            for end in range(order, len(symbols) + 1)
        ]
        (answer,) = fitted.token_nll([text])
        np.testing.assert_allclose(answer.nll_nats, expected, rtol=1e-12)


@settings(max_examples=50, deadline=None)
@given(
    texts=st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=6),
    order=st.integers(1, MAX_ORDER),
    context=st.text(max_size=20),
)
def test_probabilities_sum_to_one(texts: list[str], order: int, context: str) -> None:
    """After any context, seen or not, the probabilities of all bytes sum to 1."""
    fitted = NGramModel.fit(texts, order)
    for known in (context, texts[0][: len(context)], ""):
        distribution = fitted.distribution(known)
        assert distribution.shape == (SYMBOLS,)
        assert distribution.min() > 0
        assert abs(distribution.sum() - 1) < 1e-9


def test_scores_add_up(model: NGramModel) -> None:
    """A document is as likely as its first part and then the rest after it."""
    text = TEXTS[1]
    (whole,) = model.token_nll([text])
    for cut in range(1, len(text)):
        first, rest = model.score([Request("", text[:cut]), Request(text[:cut], text[cut:])])
        assert first.sum_nll_nats + rest.sum_nll_nats == pytest.approx(whole.nll_nats.sum())
        assert first.n_utf8_bytes + rest.n_utf8_bytes == len(text.encode()) == whole.nll_nats.size
        assert rest.n_tokens == rest.n_utf8_bytes


def test_scores_do_not_depend_on_company(
    model: NGramModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request has the same score, to the last bit, in any company, order and block."""
    requests = [Request(text[:cut], text[cut:]) for text in TEXTS for cut in range(0, 20, 3)]
    together = model.score(requests)
    assert [model.score([request])[0] for request in requests] == together
    documents = model.token_nll(["", *TEXTS, ""])
    monkeypatch.setattr("raicurate.probes.ngram._BLOCK_BYTES", 50)
    assert model.score(requests[::-1]) == together[::-1]
    for blocked, whole in zip(model.token_nll(["", *TEXTS, ""]), documents, strict=True):
        np.testing.assert_array_equal(blocked.nll_nats, whole.nll_nats)
    assert [answer.nll_nats.size for answer in documents] == [
        0,
        *(len(text.encode()) for text in TEXTS),
        0,
    ]


def test_documents_share_no_context() -> None:
    """What stands in one document changes nothing in the next one."""
    fitted = NGramModel.fit(["ab" * 50, "ba" * 50], order=4)
    (alone,) = fitted.token_nll(["abab"])
    for before in ("ab", "ba", "zz"):
        np.testing.assert_array_equal(
            fitted.token_nll([before, "abab"])[1].nll_nats, alone.nll_nats
        )


def test_counts_of_parts_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting in pieces, in any order, gives the model of all texts."""
    whole = NGramModel.fit(TEXTS)
    monkeypatch.setattr("raicurate.probes.ngram._CHUNK_BYTES", 64)
    assert NGramModel.fit(TEXTS[::-1]).digest == whole.digest
    assert NGramModel(count(TEXTS[:2]) + count(TEXTS[2:])).digest == whole.digest


def test_a_saved_model_is_the_same_model(model: NGramModel, tmp_path: Path) -> None:
    """A saved model, loaded, gives the same answers, the same digest and the same bytes."""
    path = tmp_path / "reference.npz"
    model.save(path)
    loaded = open_backend(str(path))
    assert isinstance(loaded, NGramModel)
    assert (loaded.name, loaded.digest) == ("reference", model.digest)
    assert open_backend(f"ngram:{path}").digest == model.digest
    requests = [Request("The keeper", " counts"), Request("", "舟")]
    assert loaded.score(requests) == model.score(requests)
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_digests_tell_models_apart() -> None:
    """Another text or another order is another digest; the name is not part of it."""
    digests = {NGramModel.fit(TEXTS[:n], order).digest for n in (1, 2) for order in (3, 4)}
    assert len(digests) == 4
    assert NGramModel.fit(TEXTS[:1], 3, name="other").digest in digests


def test_what_was_read_is_continued(model: NGramModel) -> None:
    """Greedy generation goes on as the texts do, and stops where it should."""
    assert isinstance(model, Backend)
    assert isinstance(model, Generator)
    assert model.generate(["The keeper cou", ""], max_tokens=20, stop=["boats"])[0] == "nts the "
    assert len(model.generate(["The"], max_tokens=5)[0]) == 5


def test_more_of_the_same_text_is_easier() -> None:
    """The more a model read of a kind of text, the fewer bits it needs for more of that kind."""
    sentences = [f"Rule {n}: the guest of room {n % 7} rings twice." for n in range(60)]
    nll = [
        NGramModel.fit([TEXTS[3], *sentences[:n]]).token_nll([" ".join(sentences[50:])])[0]
        for n in (0, 5, 20, 50)
    ]
    sums = [answer.nll_nats.sum() for answer in nll]
    assert sums == sorted(sums, reverse=True)


@pytest.mark.parametrize(
    ("texts", "order", "part"),
    [([""], 3, "empty"), ([], 3, "empty"), (["a"], 0, "order 0"), (["a"], 9, "order 9")],
)
def test_what_cannot_be_fitted_is_refused(texts: list[str], order: int, part: str) -> None:
    """No text and impossible orders are usage errors that say so."""
    with pytest.raises(UsageError, match=part):
        NGramModel.fit(texts, order)


def test_files_that_hold_no_model_are_refused(tmp_path: Path) -> None:
    """A missing file, another file and another version are refused by name."""
    (tmp_path / "text.npz").write_text("no model")
    np.savez(tmp_path / "old.npz", version=[0], order=[2], keys=[1], counts=[1])
    for name in ("missing.npz", "text.npz", "old.npz"):
        with pytest.raises(UsageError, match=name):
            NGramModel.load(tmp_path / name)


def test_an_empty_continuation_is_refused(model: NGramModel) -> None:
    """An empty continuation is likely to any model, so it is refused with its number."""
    with pytest.raises(UsageError, match="request 1"):
        model.score([Request("", "a"), Request("a", "")])


@given(st.sets(st.integers(0, int(EMPTY) - 1), max_size=70), st.integers(0, int(EMPTY) - 1))
def test_a_table_finds_what_is_in_it(keys: set[int], other: int) -> None:
    """Each key has a slot of its own, and nothing else is found."""
    table = KeyTable(np.array(sorted(keys), np.uint64), per_slot=1)
    assert table.size > len(keys)
    found = table.find(np.array(sorted(keys), np.uint64))
    np.testing.assert_array_equal(found, table.slots)
    assert len(set(found.tolist())) == len(keys)
    assert (table.find(np.array([other], np.uint64))[0] >= 0) == (other in keys)
