"""The table of words against the fastText model that it is made of."""

import random

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.classifier import FastTextParameters
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.train_fasttext import train_fasttext
from raicurate.transforms.word_table import WordTable

WORDS = [f"wö{number}" if number % 7 == 0 else f"w{number}" for number in range(300)]
PARAMETERS = FastTextParameters(bucket=4096, minCount=1, lr=0.3)


def lines():
    chance = random.Random(1)
    for _ in range(1500):
        harmful = chance.random() < 0.5
        words = chance.choices(WORDS[:200] if harmful else WORDS[100:], k=chance.randint(1, 30))
        yield f"__label__{'look' if harmful else 'none'} {' '.join(words)}"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.bin"
    train_fasttext(list(lines()), PARAMETERS, 0, path, quantised=False)
    return path


def expected(model, texts):
    names, values = fasttext.FastText._FastText(str(model)).predict(texts, k=-1)
    return [
        dict(zip(labels, scores, strict=True))["__label__look"]
        for labels, scores in zip(names, values, strict=True)
    ]


def test_it_says_what_fasttext_says(model):
    """Probabilities are those of fastText, but for half precision."""
    texts = [*[line.partition(" ")[2] for line in lines()][:300], "", " w1  w2 ", "w1"]
    found = WordTable.from_fasttext(model, "look").probabilities(pa.array(texts))
    np.testing.assert_allclose(found, expected(model, texts), atol=1e-3)
    assert found.min() < 0.1
    assert found.max() > 0.9


def test_unknown_words_count_for_nothing(model):
    """A word outside the vocabulary has no evidence, alone or beside another."""
    table = WordTable.from_fasttext(model, "look")
    known, unknown, apart = table.probabilities(pa.array(["w1", "w1 zebra", "zebra"]))
    assert unknown != known  # the pair of the word and the end of the line is gone
    np.testing.assert_allclose(apart, expected(model, [""])[0], atol=1e-3)


@given(st.lists(st.text(max_size=40) | st.sampled_from(WORDS), max_size=30))
@settings(max_examples=50, deadline=None)
def test_an_exact_table_says_what_fasttext_says_of_any_text(model, words):
    """Words outside the vocabulary count in pairs as they do in fastText, however long."""
    text = " ".join([*words, "ä" * 400]).replace("\n", " ").replace("\x00", " ")
    table = WordTable.from_fasttext(model, "look", exact=True)
    found = table.probabilities(pa.array([text, text[:-300]]))
    np.testing.assert_allclose(found, expected(model, [text, text[:-300]]), atol=1e-4)


def test_a_stored_table_is_the_same(model, tmp_path):
    """Saving and loading changes no bit, and the same table gives the same file."""
    table = WordTable.from_fasttext(model, "look")
    for name in ("a", "b"):
        table.save(tmp_path / name)
    texts = pa.array([line.partition(" ")[2] for line in lines()])
    again = WordTable.load(tmp_path / "a").probabilities(texts)
    assert (again == table.probabilities(texts)).all()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_slices_and_large_strings(model):
    """A slice of a column, or a column of another string type, scores as its texts do."""
    table = WordTable.from_fasttext(model, "look")
    texts = pa.array(["w1 w2", "w200 w201", "w5"])
    whole = table.probabilities(texts)
    assert (table.probabilities(texts.slice(1)) == whole[1:]).all()
    assert (table.probabilities(texts.cast(pa.large_string())) == whole).all()
    assert len(table.probabilities(texts.slice(3))) == 0


def test_what_is_no_table_is_said(model, tmp_path):
    """Another kind of model or file is refused with the cure."""
    with pytest.raises(ManifestError, match="two labels, 'other' one of them"):
        WordTable.from_fasttext(model, "other")
    quantised = tmp_path / "quantised.ftz"
    train_fasttext(list(lines()), PARAMETERS, 0, quantised)
    with pytest.raises(ManifestError, match="no quantisation"):
        WordTable.from_fasttext(quantised, "look")
    for path in (quantised, tmp_path / "nothing"):
        with pytest.raises(ManifestError, match="is not a table of words"):
            WordTable.load(path)
