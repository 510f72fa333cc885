import hashlib
import pickle

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.fasttext_model import (
    FastTextModel,
    file_sha256,
    lines_of,
    zeroed_memory,
)

FRUIT, TOOL = "apple pear plum", "hammer nail saw"


def train(folder, name):
    """Trains a model that tells two kinds of words apart."""
    examples = folder / "train.txt"
    examples.write_text(f"__label__fruit {FRUIT}\n__label__tool {TOOL}\n" * 50)
    with zeroed_memory():
        model = fasttext.train_supervised(
            str(examples), dim=4, epoch=20, lr=1.0, thread=1, bucket=100, verbose=0
        )
    path = folder / name
    model.save_model(str(path))
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return train(tmp_path_factory.mktemp("model"), "model.bin")


@pytest.fixture(scope="module")
def model(path):
    return FastTextModel(path)


def test_probabilities_are_by_line_and_label(model):
    """One row a line, one column a label, each row summing to one."""
    found = model.probabilities([FRUIT, TOOL, "apple hammer"])
    assert found.shape == (3, 2)
    assert found.dtype == np.float32
    assert found.sum(axis=1) == pytest.approx(1.0, abs=1e-3)
    assert sorted(model.labels) == ["fruit", "tool"]
    fruit = model.labels.index("fruit")
    assert found[0, fruit] > 0.9
    assert found[1, fruit] < 0.1


def test_the_best_label_comes_with_its_probability(model):
    """Without the prefix of fastText, and never above 1."""
    names, scores = model.best([FRUIT, TOOL])
    assert names == ["fruit", "tool"]
    expected = model.probabilities([FRUIT, TOOL]).max(axis=1)
    assert scores == pytest.approx(np.minimum(expected, 1.0))
    assert scores.max() <= 1.0


def test_no_lines_give_no_answers(model):
    """An empty batch is not handed to fastText."""
    assert model.probabilities([]).shape == (0, 2)
    names, scores = model.best([])
    assert (names, scores.shape, scores.dtype) == ([], (0,), np.float32)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text_has_an_answer_that_does_not_depend_on_its_neighbours(model, texts):
    """Also without a known word; a line is judged alike alone and among others."""
    lines = lines_of(pa.array(texts, pa.string()))
    together = model.probabilities(lines)
    assert together.shape == (len(texts), 2)
    assert np.isfinite(together).all()
    for row, line in enumerate(lines):
        assert (model.probabilities([line])[0] == together[row]).all()
    assert len(model.best(lines)[0]) == len(texts)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("apple\npear", "apple pear"),
        ("\n\napple\r\n", "  apple\r "),
        ("apple </s> pear", "apple   pear"),
        (None, ""),
        ("", ""),
    ],
)
def test_a_text_becomes_one_line(text, line):
    """FastText reads no further than the end of a line, its own sign for it included."""
    assert lines_of(pa.array([text], pa.string())) == [line]


@pytest.mark.parametrize("hidden", ["</s> ", "apple </s> ", "\n", "apple\n</s>\n"])
def test_nothing_in_a_text_hides_what_stands_behind_it(model, hidden):
    """A text that begins with fastText's end of line is read to its own end."""
    (line,) = lines_of(pa.array([hidden + TOOL * 5]))
    names, _ = model.best([line])
    assert names == ["tool"]
    assert (model.probabilities([line]) != model.probabilities([""])).any()


def test_a_model_is_loaded_once_for_each_process(path, tmp_path):
    """All blocks that name one file share one model."""
    assert FastTextModel.load(path) is FastTextModel.load(path)
    other = tmp_path / "other.bin"
    other.write_bytes(path.read_bytes())
    assert FastTextModel.load(other) is not FastTextModel.load(path)


def test_what_is_no_model_is_a_manifest_error(tmp_path):
    """A missing file, a folder and another kind of file are told with their path."""
    with pytest.raises(ManifestError, match=r"no fastText model at .*absent"):
        FastTextModel(tmp_path / "absent.bin")
    with pytest.raises(ManifestError, match="no fastText model at"):
        FastTextModel(tmp_path)
    other = tmp_path / "other.bin"
    other.write_bytes(b"not a model at all, but long enough to be looked into")
    with pytest.raises(ManifestError, match=r"other\.bin is not a fastText model"):
        FastTextModel(other)


def test_the_digest_of_a_model_is_that_of_its_file(path):
    """Keys name the model by its content."""
    assert file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_training_twice_gives_the_same_model(tmp_path):
    """With cleared memory and one thread; otherwise models differ from run to run."""
    first, second = (train(tmp_path, name) for name in ("a.bin", "b.bin"))
    assert first.read_bytes() == second.read_bytes()


def test_a_model_cannot_be_sent_to_another_process(model):
    """So that nobody tries: each process loads it from its file."""
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(model)
