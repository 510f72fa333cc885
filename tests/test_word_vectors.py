"""Vectors of words against the fastText model that they are made of."""

import random

import fasttext
import numpy as np
import pyarrow as pa
import pytest

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.fasttext_model import zeroed_memory
from raicurate.transforms.word_vectors import WordVectors

LABELS = ("one", "two", "three")


def lines():
    chance = random.Random(2)
    for _ in range(1500):
        label = chance.randrange(3)
        numbers = [60 * label + chance.randrange(120) for _ in range(chance.randint(1, 30))]
        yield LABELS[label], " ".join(f"wö{number}" for number in numbers)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    text = "".join(f"__label__{label} {line}\n" for label, line in lines())
    (folder / "lines.txt").write_text(text, encoding="utf-8")
    with zeroed_memory():
        trained = fasttext.train_supervised(
            str(folder / "lines.txt"), dim=8, maxn=0, minCount=1, thread=1, verbose=0, lr=0.5
        )
    trained.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


def test_they_say_what_fasttext_says(model):
    """Labels and probabilities are those of fastText, but for half precision."""
    texts = [*(line for _, line in lines()), "", "wö1"]
    labels, scores, counts = WordVectors.from_fasttext(model).best(pa.array(texts))
    found, expected = fasttext.FastText._FastText(str(model)).predict(texts, k=3)
    for label, names, values in zip(labels, found, expected, strict=True):
        if values[0] - values[1] > 0.01:  # otherwise the last bits decide
            assert names[0] == f"__label__{label}"
    np.testing.assert_allclose(scores, [values[0] for values in expected], atol=5e-3)
    assert counts.tolist() == [[len(text.split())] * 2 for text in texts]


def test_unknown_words_are_counted(model):
    """How many words are in the vocabulary is told, and the others say nothing."""
    vectors = WordVectors.from_fasttext(model)
    labels, scores, counts = vectors.best(pa.array(["wö1 wö2", "wö1 zebra wö2 okapi"]))
    assert counts.tolist() == [[2, 2], [4, 2]]
    assert labels[0] == labels[1]
    assert scores[0] == scores[1]


def test_each_line_is_judged_alone(model, tmp_path):
    """A stored copy, or a slice of a column, gives the same bits."""
    vectors = WordVectors.from_fasttext(model)
    for name in ("a", "b"):
        vectors.save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    texts = pa.array([line for _, line in lines()])
    labels, scores, counts = vectors.best(texts)
    again = WordVectors.load(tmp_path / "a").best(texts.slice(700).cast(pa.large_string()))
    assert again[0] == labels[700:]
    assert (again[1] == scores[700:]).all()
    assert (again[2] == counts[700:]).all()


def test_what_is_no_such_model_is_said(model, tmp_path):
    """Another kind of model or file is refused with the cure."""
    source = model.with_name("lines.txt")
    with zeroed_memory():
        with_subwords = fasttext.train_supervised(str(source), dim=4, maxn=3, thread=1, verbose=0)
    with_subwords.save_model(str(tmp_path / "subwords.bin"))
    with pytest.raises(ManifestError, match="without subwords"):
        WordVectors.from_fasttext(tmp_path / "subwords.bin")
    with pytest.raises(ManifestError, match="holds no vectors of words"):
        WordVectors.load(tmp_path / "subwords.bin")
