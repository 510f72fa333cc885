import orjson
import pytest

from raicurate.exercise_templates.context import ContextLibrary
from raicurate.transforms import context_checks, registry
from raicurate.transforms.context_checks import STORED, checks_of, pieces_of
from raicurate.transforms.piece_verdicts import piece_digest


@pytest.fixture(scope="module")
def annotators():
    return [registry.create(name, {}) for name in ("language@1", "harm@1")]


def test_the_stored_verdicts_are_those_of_what_ships(annotators):
    """They hold for the models and wordings that ship, and the models say the same when asked.

    After a change of either: python -m raicurate.transforms.context_checks
    """
    checks = verdicts_of(annotators)
    assert all(checks), "the stored verdicts are of other models"
    library = ContextLibrary.load()
    asking = checks_of(annotators, stored=None)
    ask = (asking.in_other_language, asking.labelled_alone)
    asked = 0
    objected = [0, 0]
    for lang in library.languages:
        pieces = pieces_of(library, lang)
        asked += len(pieces)
        for number, cleared in enumerate(checks):
            stored = [piece_digest(lang, piece) not in cleared for piece in pieces]
            assert ask[number](pieces[::29], lang) == stored[::29]
            objected[number] += sum(stored)
    assert [asked - count for count in objected] == [len(cleared) for cleared in checks]
    assert max(objected) < 0.05 * asked


def verdicts_of(annotators, stored=STORED):
    checks = checks_of(annotators, stored)
    return checks._told._cleared, checks._harmless._cleared


def test_verdicts_of_other_models_are_not_used(annotators, tmp_path):
    """Of another judge nothing is taken over, and everything is asked anew."""
    content = orjson.loads(STORED.read_bytes())
    content["harm"]["judge"] = "0" * 32
    path = tmp_path / "verdicts.json"
    path.write_bytes(orjson.dumps(content))
    told, harmless = verdicts_of(annotators, path)
    assert told
    assert not harmless
    assert not any(verdicts_of(annotators, tmp_path / "missing.json"))


def test_one_of_the_two_models_may_be_missing(annotators):
    """What the other one said still holds; with neither, nothing is asked at all."""
    told, harmless = verdicts_of(annotators[:1])
    assert told
    assert not harmless
    assert checks_of(annotators[:1]).labelled_intent is None
    assert not any(verdicts_of([]))


def test_the_models_answer_about_added_text(annotators):
    """The language is named, and a plain sentence is not called harmful."""
    checks = context_checks.checks_of(annotators, stored=None)
    texts = [
        "This sentence is written in plain English, and there is nothing wrong with it at all."
    ]
    assert checks.language_of(texts) == ["en"]
    assert checks.labelled_intent(texts, ["en"]) == [False]
