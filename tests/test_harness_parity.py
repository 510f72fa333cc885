"""Against lm-evaluation-harness on the same model and texts: the same sums, the same choices."""

import math
from pathlib import Path
from typing import Any

import pytest
from small_models import SENTENCES, save_model

from raicurate.probes.backend import Request, open_backend
from raicurate.probes.suite import load_suite, resolve_suite

pytest.importorskip("torch")
pytest.importorskip("lm_eval")
pytestmark = pytest.mark.torch


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with room for an item of a suite."""
    return save_model(tmp_path_factory.mktemp(request.param), request.param, length=256)


@pytest.fixture(scope="module")
def harness(folder: Path) -> Any:
    """The same model in lm-evaluation-harness."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=4)


def _asked(kind: str, *arguments: str) -> Any:
    from lm_eval.api.instance import Instance

    return Instance(request_type=kind, doc={}, arguments=arguments, idx=0)


def test_bits_per_byte_are_equal(folder: Path, harness: Any) -> None:
    """Documents that fit into one window have the same bits per byte to 1e-5, one by one."""
    found = open_backend(str(folder)).token_nll(SENTENCES)
    expected = harness.loglikelihood_rolling(
        [_asked("loglikelihood_rolling", text) for text in SENTENCES], disable_tqdm=True
    )
    for text, document, total in zip(SENTENCES, found, expected, strict=True):
        bits = math.log(2) * len(text.encode())
        assert abs(document.nll_nats.sum() + total) / bits < 1e-5


def test_every_choice_is_the_same(folder: Path, harness: Any) -> None:
    """On crossed items of the suites, both choose the same continuation after each context."""
    items = [
        (context, item.continuations)
        for item in load_suite(resolve_suite("crossed")).items[::40]
        if item.kind == "crossed"
        for context in item.contexts
    ]
    assert items
    ours = open_backend(str(folder)).score(
        [Request(context, follows) for context, continuations in items for follows in continuations]
    )
    # It puts no start of text before a context by itself; written out, it is read as one token.
    theirs = harness.loglikelihood(
        [
            _asked("loglikelihood", f"<s>{context}", follows)
            for context, continuations in items
            for follows in continuations
        ],
        disable_tqdm=True,
    )
    for number in range(0, len(ours), 2):
        own = [-score.sum_nll_nats for score in ours[number : number + 2]]
        other = [total for total, _ in theirs[number : number + 2]]
        assert own == pytest.approx(other, abs=1e-3)
        assert (own[0] > own[1]) == (other[0] > other[1])
    assert [score.is_greedy for score in ours] == [greedy for _, greedy in theirs]
