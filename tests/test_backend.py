import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import UsageError
from raicurate.probes.backend import Request, utf8_bytes, windows
from raicurate.probes.ngram import NGramModel
from raicurate.probes.records import SAMPLES, Ask, samples


@given(st.integers(0, 300), st.integers(2, 40), st.data())
def test_windows_score_each_token_once(n_tokens: int, length: int, data: st.DataObject) -> None:
    """Each token is scored once, in order, in a window that fits with the start of text."""
    stride = data.draw(st.integers(1, length - 1))
    scored = []
    for number, window in enumerate(windows(n_tokens, length, stride)):
        assert 0 <= window.start <= window.scored < window.end
        assert window.end - window.start <= length - 1
        if number:
            assert window.end - window.scored <= stride
            assert window.start == max(0, window.end - (length - 1))  # as much context as fits
        scored += range(window.scored, window.end)
    assert scored == list(range(n_tokens))


@pytest.mark.parametrize(("length", "stride"), [(1, 1), (8, 0), (8, 8)])
def test_impossible_windows_are_refused(length: int, stride: int) -> None:
    """A stride that would leave tokens out or score them twice is refused."""
    with pytest.raises(UsageError, match="start of text"):
        list(windows(10, length, stride))


@given(st.text())
def test_bytes_are_those_of_utf8(text: str) -> None:
    """The length of a text is that of its UTF-8 form."""
    assert utf8_bytes(text) == len(text.encode())


def test_equal_requests_are_scored_once() -> None:
    """Two asks with the same texts give two records and cost one score; no record holds a text."""
    model = NGramModel.fit(["the harbour opens at dawn"], order=3)
    asked: list[Request] = []

    class Counting(NGramModel):
        def score(self, requests):  # type: ignore[no-untyped-def]
            asked.extend(requests)
            return super().score(requests)

    counting = Counting(model._counts, "harbour")
    request = Request("the harbour", " opens")
    asks = [
        Ask("suite", f"item-{n}", "choice", "en", request, right=bool(n), continuation=n)
        for n in range(2)
    ]
    table = samples(counting, asks)
    assert asked == [request]
    assert table.schema == SAMPLES
    assert table["item"].to_pylist() == ["item-0", "item-1"]
    assert table["sum_nll_nats"][0] == table["sum_nll_nats"][1]
    assert not any("opens" in str(value) for row in table.to_pylist() for value in row.values())
