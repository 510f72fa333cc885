"""The score cache: what was answered is not asked again, and is the same to the last bit."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes import score_cache
from raicurate.probes.backend import Backend, Request, Score, TokenNll
from raicurate.probes.ngram import NGramModel
from raicurate.probes.score_cache import CachedBackend, ScoreCache

TEXTS = ["Bread rises overnight.", "個人情報は秘密です。", "", "Trains run every ten minutes."]
REQUESTS = [Request(text[:5], text[5:] or "x") for text in TEXTS] + [
    Request("", "Bread"), Request("ten", "Bread"), Request("tenB", "read")
]  # fmt: skip


@pytest.fixture(scope="module")
def model() -> NGramModel:
    """An n-gram model of a few texts."""
    return NGramModel.fit(TEXTS * 3)


class _Failing(NGramModel):
    """Ends with an error after some requests, as a model whose process is killed."""

    left = 0

    def score(self, requests: Sequence[Request]) -> list[Score]:
        self.left -= len(requests)
        if self.left < 0:
            raise KeyboardInterrupt
        return super().score(requests)


def _same(left: Sequence[TokenNll], right: Sequence[TokenNll]) -> bool:
    return all(
        np.array_equal(a.nll_nats, b.nll_nats) and np.array_equal(a.starts, b.starts)
        for a, b in zip(left, right, strict=True)
    )


def test_nothing_is_asked_twice(tmp_path: Path, model: NGramModel) -> None:
    """A second run, in a new process as it were, asks nothing and has the same answers."""
    cache = tmp_path / "scores.sqlite"
    first = CachedBackend(model, ScoreCache(cache))
    assert isinstance(first, Backend)
    assert first.score([*REQUESTS, *REQUESTS]) == model.score([*REQUESTS, *REQUESTS])
    assert first.asked == len(REQUESTS)
    assert _same(first.token_nll(TEXTS), model.token_nll(TEXTS))
    written = first.generate(["Bread"], max_tokens=5)
    assert written == model.generate(["Bread"], max_tokens=5)
    second = CachedBackend(model, ScoreCache(cache))
    assert second.score(REQUESTS[::-1]) == model.score(REQUESTS[::-1])
    assert _same(second.token_nll(TEXTS[::-1]), model.token_nll(TEXTS[::-1]))
    assert second.generate(["Bread"], max_tokens=5) == written
    assert second.asked == 0
    assert second.generate(["Bread"], max_tokens=6) != written or second.asked == 1
    assert second.asked == 1


def test_other_weights_are_asked_anew(tmp_path: Path, model: NGramModel) -> None:
    """The name of a model does not matter, its digest does."""
    cache = ScoreCache(tmp_path / "scores.sqlite")
    CachedBackend(model, cache).score(REQUESTS)
    other = CachedBackend(NGramModel.fit(TEXTS[:2], name=model.name), cache)
    assert other.score(REQUESTS) != model.score(REQUESTS)
    assert other.asked == len(REQUESTS)


def test_a_killed_run_goes_on(
    tmp_path: Path, model: NGramModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was answered before the end is kept."""
    monkeypatch.setattr(score_cache, "_TOGETHER", 2)
    failing = _Failing.fit(TEXTS * 3)
    failing.left = 3
    cache = ScoreCache(tmp_path / "scores.sqlite")
    with pytest.raises(KeyboardInterrupt):
        CachedBackend(failing, cache).score(REQUESTS)
    again = CachedBackend(model, cache)
    assert again.score(REQUESTS) == model.score(REQUESTS)
    assert again.asked == len(REQUESTS) - 2


def test_progress_counts_every_question(tmp_path: Path, model: NGramModel) -> None:
    """Kept or asked, each question is counted once."""
    cache = ScoreCache(tmp_path / "scores.sqlite")
    CachedBackend(model, cache).score(REQUESTS[:2])
    counted: list[int] = []
    CachedBackend(model, cache, counted.append).score(REQUESTS)
    assert sum(counted) == len(REQUESTS)


def test_what_is_no_cache_is_refused(tmp_path: Path) -> None:
    """A file of another kind or version is neither read nor changed."""
    path = tmp_path / "scores.sqlite"
    path.write_bytes(b"something else entirely, and long enough to be looked at as a file" * 9)
    with pytest.raises(UsageError, match="no score cache"):
        ScoreCache(path)
    other = tmp_path / "other.sqlite"
    ScoreCache(other)
    import sqlite3

    with sqlite3.connect(other) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(UsageError, match="version 99"):
        ScoreCache(other)
