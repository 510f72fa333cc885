"""Words as hashes: equal words have equal hashes wherever they stand, runs stay within a text."""

import unicodedata

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.transforms.word_hashes import run_hashes, words_of

TEXTS = st.lists(st.text("ab é̈ \n.,'日ひกิहि­١9ßİ😀", max_size=30), min_size=1, max_size=5)


def _words(text: str) -> list[list[int]]:
    words = words_of([text])
    return [words.letters(place, 1).tolist() for place in range(len(words.hashes))]


@settings(deadline=None)
@given(TEXTS)
def test_words_are_those_of_each_text_alone(texts: list[str]) -> None:
    """What stands beside a text in a batch changes neither its words nor their hashes."""
    together = words_of(texts)
    for number, text in enumerate(texts):
        alone = words_of([text])
        chosen = together.texts == number
        assert together.hashes[chosen].tolist() == alone.hashes.tolist()


@settings(deadline=None)
@given(TEXTS, st.integers(1, 4))
def test_runs_are_hashed_by_their_words_only(texts: list[str], length: int) -> None:
    """Two runs have the same hash exactly if they have the same words, wherever they stand."""
    words = words_of(texts)
    places, hashes = run_hashes(words, length)
    by_words: dict[tuple[int, ...], set[int]] = {}
    for place, value in zip(places.tolist(), hashes.tolist(), strict=True):
        run = slice(place, place + length)
        assert len(set(words.texts[run].tolist())) == 1
        by_words.setdefault(tuple(words.letters(place, length).tolist()), set()).add(value)
    assert all(len(values) == 1 for values in by_words.values())
    assert len({value for values in by_words.values() for value in values}) == len(by_words)
    expected = sum(max(0, count - length + 1) for count in np.bincount(words.texts).tolist())
    assert len(places) == expected


def test_folding() -> None:
    """Case, accents, joiners, width and punctuation do not matter; letters do."""
    assert _words("Café «déjà-vu»!") == _words("cafe deja vu")
    assert _words(unicodedata.normalize("NFD", "Ärger")) == _words("arger")
    assert _words("co\u00adoperate") == _words("cooperate")
    assert _words("ＡＢＣ１２") == _words("abc12")
    assert _words("مُحَمَّد") == _words("محمد")
    assert _words("don’t") == _words("don't")
    assert _words("हिन्दी") != _words("हन्द")
    assert _words("ab c") != _words("a bc")


def test_signs_without_spaces_between_words_stand_alone() -> None:
    """Each Han or kana sign is a word, a Korean or Hindi word is one."""
    assert len(_words("個人情報は")) == 5
    assert len(_words("개인 정보")) == 2
    assert len(_words("निजी जानकारी")) == 2
    assert len(_words("GPT個人")) == 3
