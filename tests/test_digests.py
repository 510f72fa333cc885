import json

from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.digests import digest

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def test_a_digest_is_32_hex_digits_and_never_changes():
    """The digest of known values is fixed: keys of earlier runs must stay valid."""
    assert digest("a", {"b": [1, None, 0.5]}) == "de8d7a49f625c795bb5417286b2dda8c"


def test_the_order_of_keys_is_irrelevant():
    """Two mappings that are equal have one digest, on every level."""
    first = {"a": {"x": 1, "y": 2}, "b": 3}
    second = {"b": 3, "a": {"y": 2, "x": 1}}
    assert digest(first) == digest(second)


@given(values, values)
def test_other_values_have_another_digest(first, second):
    """Values that differ as JSON differ in their digest, and equal ones do not."""
    equal = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (digest(first) == digest(second)) == equal


def test_where_one_value_ends_matters():
    """Neighbouring values do not run together."""
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest(["ab", "c"])}) == 4
