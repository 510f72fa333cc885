import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from raicurate.transforms.harm_heads import CLASSES, KINDS
from raicurate.transforms.harm_thresholds import (
    CAUGHT,
    CLEARED,
    CONTRASTS,
    LONG,
    ORDINARY,
    ORDINARY_LONG,
    PLAIN,
    TOPICAL,
    Judged,
    thresholds,
)

STATEMENT, PAGE = KINDS.index("statement"), KINDS.index("page")


def judged(*rows):
    """Returns rows of (score, kind, stance, set, passages of the document or 0)."""
    scores, kinds, stances, names, passages = zip(*rows, strict=True)
    return Judged(
        np.array(scores),
        np.array(kinds),
        np.array([CLASSES.index(stance) for stance in stances]),
        np.array(names),
        np.array([count > 0 for count in passages]),
        np.array([f"{number // max(1, count)}" for number, count in enumerate(passages)]),
        np.array([name == "contrasts" for name in names]),
        np.array([count > 1 for count in passages]),
    )


def spread(count, low, high, kind, stance, name, passages=0):
    return [(score, kind, stance, name, passages) for score in np.linspace(low, high, count)]


def test_a_threshold_stands_between_harmful_and_harmless_texts():
    """Where scores are low but well ordered, the threshold follows them, not one half."""
    rows = spread(50, 0.25, 0.4, STATEMENT, "intent", "a")
    rows += spread(50, 0.1, 0.19, STATEMENT, "none", "a")
    found = thresholds(judged(*rows))["statement"]
    assert np.mean([score >= found for score, *_ in rows[:50]]) >= CAUGHT
    assert np.mean([score < found for score, *_ in rows[50:]]) >= CLEARED


def test_ordinary_documents_are_spared():
    """However many harmful texts are missed, few ordinary ones may be flagged."""
    rows = spread(50, 0.2, 0.9, PAGE, "intent", "a") + spread(50, 0.1, 0.3, PAGE, "none", "a")
    ordinary = spread(200, 0.1, 0.8, PAGE, "none", "b", passages=1)
    found = thresholds(judged(*rows, *ordinary))["page"]
    assert np.mean([score >= found for score, *_ in ordinary]) <= ORDINARY
    assert thresholds(judged(*rows))["page"] < found


def test_harmless_contrasts_are_spared():
    """Sentences that only look like harm keep a threshold up."""
    rows = spread(50, 0.2, 0.9, STATEMENT, "intent", "a")
    rows += spread(50, 0.1, 0.3, STATEMENT, "none", "a")
    contrasts = spread(100, 0.1, 0.8, STATEMENT, "none", "contrasts")
    found = thresholds(judged(*rows, *contrasts))["statement"]
    assert np.mean([score >= found for score, *_ in contrasts]) <= CONTRASTS


def test_talk_about_harm_is_counted_over_all_kinds():
    """What statements flag of a set that talks about harm leaves the less to pages."""
    rows = spread(50, 0.5, 0.9, STATEMENT, "intent", "a")
    rows += spread(50, 0.1, 0.3, STATEMENT, "none", "a")
    rows += spread(50, 0.3, 0.9, PAGE, "intent", "a") + spread(50, 0.1, 0.3, PAGE, "none", "a")
    topical = spread(30, 0.2, 0.7, STATEMENT, "topical", "c")
    topical += spread(200, 0.2, 0.7, PAGE, "topical", "c")
    found = thresholds(judged(*rows, *topical))
    flagged = [score >= found[KINDS[kind]] for score, kind, *_ in topical]
    assert np.mean(flagged) <= TOPICAL


def test_a_long_document_counts_by_its_worst_passage():
    """Documents that are flagged in some passage are as few as the limit says."""
    rows = spread(1000, 0.1, 0.6, PAGE, "none", "b", passages=5)
    found = thresholds(judged(*rows))[LONG]
    worst = [max(score for score, *_ in rows[low : low + 5]) for low in range(0, 1000, 5)]
    assert np.mean([score >= found for score in worst]) <= ORDINARY_LONG
    assert found > np.quantile([score for score, *_ in rows], 1 - 2 * ORDINARY_LONG)


def test_where_nothing_is_known_one_half_holds():
    """A kind of text without examples has the plain threshold."""
    rows = spread(50, 0.5, 0.9, STATEMENT, "intent", "a")
    assert thresholds(judged(*rows)) == dict.fromkeys([*KINDS, LONG], PLAIN)


@given(
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 2),
            st.sampled_from(CLASSES),
            st.sampled_from("ab"),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_a_threshold_is_a_probability(rows):
    """Whatever was scored, each kind gets a threshold, and that of long documents is no lower."""
    found = thresholds(judged(*rows))
    assert set(found) == {*KINDS, LONG}
    assert all(0.1 <= value <= 0.95 for value in found.values())
    assert found[LONG] >= found["page"]
