import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import Planted

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import TokenNll, utf8_bytes
from raicurate.probes.comparisons import (
    bits_per_byte,
    bits_per_byte_change,
    excess_change,
    macro_bits_per_byte,
)
from raicurate.probes.items import ProbeDocument
from raicurate.probes.ngram import NGramModel
from raicurate.probes.perplexity import VARIANTS, document_samples, key_term_sums, shuffled

TEXT = "The keeper counts boats. Guests ring twice! Who pays?\nNobody, says the rule."
JAPANESE = "門番は舟を数える。客は二度ベルを鳴らす。"


@given(st.text(max_size=80), st.sampled_from(VARIANTS))
def test_shuffled_texts_have_the_same_characters(text: str, variant: str) -> None:
    """Shuffling loses and adds nothing, and depends on the name alone."""
    moved = shuffled(text, "document", variant)
    assert Counter(moved) == Counter(text)
    assert moved == shuffled(text, "document", variant)


def test_what_is_shuffled() -> None:
    """Sentences keep their words in order; words keep the spaces between them where they were."""
    assert shuffled(TEXT, "d", "original") == TEXT
    sentences = shuffled(TEXT, "d", "sentences_shuffled")
    assert sentences != TEXT
    assert all(part in sentences for part in ("The keeper counts boats.", "Guests ring twice!"))
    words = shuffled(TEXT, "d", "words_shuffled")
    assert Counter(words.split()) == Counter(TEXT.split())
    assert words.split() != TEXT.split()
    assert [len(line.split()) for line in words.split("\n")] == [9, 4]
    assert shuffled(TEXT, "other", "words_shuffled") != words
    assert shuffled(JAPANESE, "d", "words_shuffled") != JAPANESE
    assert shuffled(JAPANESE, "d", "sentences_shuffled") in (
        JAPANESE,
        "客は二度ベルを鳴らす。門番は舟を数える。",
    )


def per_byte(text: str) -> TokenNll:
    """Each byte costs its value in nats."""
    content = np.frombuffer(text.encode(), np.uint8)
    return TokenNll(content.astype(float), np.arange(content.size))


def test_key_terms_are_found_whole_in_any_case() -> None:
    """The sums cover whole occurrences, the longest at each place, also behind wide characters."""
    text = "Größe: Fair use is fair, unfair is not fair-minded."
    nats, size = key_term_sums(text, per_byte(text), ["fair", "fair use"])
    expected = ["Fair use", "fair", "fair"]
    assert size == sum(map(len, expected))
    assert nats == sum(sum(term.encode()) for term in expected)
    assert key_term_sums(text, per_byte(text), []) == (0, 0)
    assert key_term_sums("", TokenNll(np.empty(0), np.empty(0, np.int64)), ["a"]) == (0, 0)
    nats, size = key_term_sums(JAPANESE, per_byte(JAPANESE), ["舟"])
    assert (nats, size) == (sum("舟".encode()), 3)


def test_key_terms_are_the_same_bytes_for_every_tokenizer() -> None:
    """A token that holds more than a term gives the term the part of its bytes."""
    text = "a fair b"
    tokens = TokenNll(np.array([1.0, 5.0, 2.0]), np.array([0, 1, 6]))  # "a", " fair", " b"
    assert key_term_sums(text, tokens, ["fair"]) == (4.0, 4)


def documents(*dimensions: str | None) -> list[ProbeDocument]:
    return [
        ProbeDocument(
            id=f"document-{number}",
            language="en",
            dimension=dimension,
            neutral=dimension is None,
            text=" ".join(f"Rule {number}{letter}. The guest {letter}." for letter in "abcdefg"),
        )
        for number, dimension in enumerate(dimensions)
    ]


def test_documents_are_scored_whole_and_by_themselves() -> None:
    """Sums are over all bytes of each document, each from its own start of text."""
    model = NGramModel.fit([TEXT], order=4)
    asked = documents("safety", "safety", None)
    table = document_samples(model, "suite", asked, contaminated={"document-0": False})
    assert table.num_rows == 3 * len(VARIANTS)
    for row in table.to_pylist():
        document = next(d for d in asked if d.id == row["document"])
        text = shuffled(document.text, document.id, row["variant"])
        assert row["sum_nll_nats"] == pytest.approx(model.token_nll([text])[0].nll_nats.sum())
        assert row["n_scored"] == row["n_tokens"] == row["n_utf8_bytes"] == utf8_bytes(text)
        assert row["contaminated"] is (False if document.id == "document-0" else None)


def test_bits_per_byte_weigh_bytes_and_average_over_dimensions() -> None:
    """Within a cell long documents count more; the macro mean counts dimensions alike."""
    asked = documents(*["safety"] * 3, "fairness")
    asked[0] = asked[0].model_copy(update={"text": "x" * 1000})
    model = Planted(lambda request: len(request.continuation) * (2.0 + len(request.continuation)))
    table = document_samples(model, "suite", asked)
    cells = {c.names["dimension"]: c.estimate.value for c in bits_per_byte(table, seed="s")}
    rest = [len(document.text) for document in asked]
    in_safety = sum(n * (2 + n) for n in rest[:3]) / sum(rest[:3])
    assert cells["safety"] == pytest.approx(in_safety / math.log(2))
    macro = macro_bits_per_byte(table, seed="s")
    assert macro.value == pytest.approx((cells["safety"] + cells["fairness"]) / 2)


def test_a_better_model_of_every_text_has_no_excess() -> None:
    """Gains on rules and rulebooks alike cancel; a gain on the order of rules alone stays."""
    asked = documents(*["safety", "fairness", None] * 8)
    ordered = {document.text for document in asked if not document.neutral}

    def model(each: float, order: float) -> Planted:
        return Planted(
            lambda request: (
                len(request.continuation) * (each - order * (request.continuation in ordered))
            )
        )

    base = document_samples(model(2.0, 0.0), "suite", asked)
    better = document_samples(model(1.5, 0.0), "suite", asked)
    learned = document_samples(model(2.0, 0.5), "suite", asked)
    assert excess_change(base, better, seed="s")[0].value == pytest.approx(0, abs=1e-9)
    macro, cells = excess_change(base, learned, seed="s")
    assert macro.value == pytest.approx(-0.5 / math.log(2))
    assert {cell.names["dimension"] for cell in cells} == {"safety", "fairness"}
    changes = bits_per_byte_change(base, better, seed="s", by=("dimension",))
    assert [cell.estimate.value for cell in changes] == pytest.approx([-0.5 / math.log(2)] * 3)


def test_excess_needs_neutral_rulebooks() -> None:
    """Without neutral documents there is no excess, and the error says what to add."""
    table = document_samples(Planted(lambda _: 1.0), "suite", documents("safety"))
    with pytest.raises(UsageError, match="neutral rulebooks"):
        excess_change(table, table, seed="s")
