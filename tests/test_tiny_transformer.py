from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from planted import prose, rulebook

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Request
from raicurate.probes.hugging_face import open_model
from raicurate.probes.tiny_transformer import Training, train, training_key

pytestmark = pytest.mark.torch

SMALL = Training(tokens=12_000, vocabulary=400, width=32, layers=2, heads=2, window=32, batch=8)


def test_a_trained_model_knows_its_text(tmp_path: Path) -> None:
    """A model finds what it read likelier than a model of other text does."""
    rules, other = [" ".join(rulebook(4))], [" ".join(prose(6000))]
    steps: list[tuple[int, int]] = []
    for name, texts in (("rules", rules), ("other", other)):
        train(texts, tmp_path / name, SMALL, rules + other, lambda *step: steps.append(step))
    assert steps[-1] == (46, 46)
    asked = [Request("", rulebook(1)[0])]
    scores = {name: open_model(str(tmp_path / name)).score(asked)[0] for name in ("rules", "other")}
    assert scores["rules"].sum_nll_nats < scores["other"].sum_nll_nats
    assert scores["rules"].n_tokens == scores["other"].n_tokens


def test_the_same_training_gives_the_same_weights(tmp_path: Path) -> None:
    """Texts, options and seed decide the weights, and the key says which of them differ."""
    texts = [" ".join(prose(3000))]
    for name in ("a", "b"):
        train(texts, tmp_path / name, SMALL)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("a", "b")]
    assert weights[0] == weights[1]
    keys = {
        training_key(texts, texts, SMALL),
        training_key(texts * 2, texts, SMALL),
        training_key(texts, texts * 2, SMALL),
        training_key(texts, texts, Training(seed=1)),
    }
    assert len(keys) == 4


def test_too_little_text_is_refused(tmp_path: Path) -> None:
    """A text shorter than one training example is refused with its length."""
    with pytest.raises(UsageError, match="fewer than one training"):
        train(["short"], tmp_path / "short", SMALL)


@pytest.mark.parametrize("steps", [1, 2, 3, 20, 21])
def test_however_few_steps_are_taken(tmp_path: Path, steps: int) -> None:
    """The rise and fall of the learning rate fit into any number of steps."""
    taken: list[tuple[int, int]] = []
    training = replace(SMALL, tokens=steps * SMALL.batch * SMALL.window)
    train([" ".join(prose(3000))], tmp_path, training, progress=lambda *step: taken.append(step))
    assert taken[-1] == (steps, steps)
