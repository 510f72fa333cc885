from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.classifier import IdentityWords
from raicurate.transforms.identity_terms import IdentityTerms
from raicurate.transforms.misspell import misspelled

TERMS = {
    "en": {"one": ["tall", "left-handed"], "many": ["tall people"]},
    "zh": {"many": ["高个子"]},
}


def test_a_sentence_is_the_same_for_every_group():
    """Neutral words for people become placeholders: one for single, one for several persons."""
    terms = IdentityTerms(TERMS, "en")
    assert terms.replaced(["i am tall.", "i am left-handed.", "tall people sing"]) == [
        "i am xgroup.",
        "i am xgroup.",
        "xgroups sing",
    ]


def test_parts_of_words_stay():
    """A term inside a longer word is no term, except where a script has no spaces."""
    assert IdentityTerms(TERMS, "en").replaced(["taller, metall"]) == ["taller, metall"]
    assert IdentityTerms(TERMS, "zh").replaced(["有高个子吗"]) == ["有 xgroups 吗"]


@given(st.text(), st.text(min_size=1))
def test_misspellings_can_be_repeated(line, seed):
    """The same line and seed give the same misspelling, and never a new word."""
    changed = misspelled(line, seed)
    assert changed == misspelled(line, seed)
    assert changed.count(" ") <= line.count(" ")


def test_words_for_any_person_join_a_placeholder():
    """A group is named alike by an adjective and a noun, by a noun alone, or by two words."""
    terms = IdentityTerms(
        {"en": {"one": ["tall", "dane"], "many": [], "person": ["person"], "people": ["people"]}},
        "en",
    )
    assert terms.replaced(
        ["a tall person", "a dane", "a tall dane", "tall people", "a person"]
    ) == [
        "a xgroup",
        "a xgroup",
        "a xgroup",
        "xgroups",
        "a person",
    ]


def test_words_are_listed_by_stem_and_ending():
    """Endings are joined to stems; a form that is written out keeps its number."""
    words = IdentityWords.model_validate(
        {
            "one": ["dame"],
            "many": ["großen"],
            "inflected": [{"stems": ["groß"], "one": ["", "e", "en"], "many": ["e"]}],
        }
    )
    listed = words.listed()
    assert listed["one"] == ["dame", "groß", "große"]
    assert listed["many"] == ["großen"]
