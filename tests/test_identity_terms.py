from hypothesis import given
from hypothesis import strategies as st

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
