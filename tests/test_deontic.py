from hypothesis import given
from hypothesis import strategies as st

from raicurate.transforms.clause import DEONTIC, MODALITIES
from raicurate.transforms.deontic import VERDICTS, Case, verdict

CASES = st.builds(
    Case,
    performed=st.booleans(),
    condition=st.sampled_from([None, True, False]),
    exception=st.sampled_from([None, True, False]),
    in_scope=st.booleans(),
    same_act=st.booleans(),
    within_limit=st.booleans(),
)


def test_obligation_and_prohibition_mirror_each_other():
    """The plain rules: doing what must be done complies, doing what must not be done violates."""
    assert verdict("obligation", Case(True)) == "complies"
    assert verdict("obligation", Case(False)) == "violates"
    assert verdict("prohibition", Case(True)) == "violates"
    assert verdict("prohibition", Case(False)) == "complies"


def test_unmet_condition_is_not_compliance():
    """After "if A, must B", a case without A is not covered, whatever is done."""
    for modality in DEONTIC:
        for performed in (True, False):
            assert verdict(modality, Case(performed, condition=False)) == "not_covered"


def test_met_exception_excuses():
    """Who meets the exception of a rule complies, even without doing what the rule asks."""
    assert verdict("obligation", Case(False, exception=True)) == "complies"
    assert verdict("prohibition", Case(True, exception=True)) == "complies"
    assert verdict("prohibition", Case(True, exception=False)) == "violates"
    assert verdict("permission", Case(True, exception=True)) is None


def test_permission_is_never_broken_by_not_using_it():
    """A permission leaves the omission open; only "may only if" can be violated."""
    assert verdict("permission", Case(False)) == "complies"
    assert verdict("permission", Case(True)) == "complies"
    assert verdict("permission", Case(True, condition=False), only_if=True) == "violates"
    assert verdict("permission", Case(False, condition=False), only_if=True) == "complies"


def test_recommendation_is_never_violated():
    """Falling short of "should" is no violation, so there is no exercise about it."""
    assert verdict("recommendation", Case(True)) == "complies"
    assert verdict("recommendation", Case(False)) is None
    assert verdict("recommendation", Case(False), negated=True) == "complies"
    assert verdict("recommendation", Case(True), negated=True) is None


def test_limit_decides_obligations_only():
    """A missed deadline violates an obligation; elsewhere its meaning is not settled."""
    assert verdict("obligation", Case(True, within_limit=False)) == "violates"
    assert verdict("prohibition", Case(True, within_limit=False)) is None
    assert verdict("permission", Case(True, within_limit=False)) is None


@given(st.sampled_from(MODALITIES), CASES, st.booleans(), st.booleans())
def test_every_case_has_at_most_one_verdict(modality, case, negated, only_if):
    """Only deontic clauses give verdicts; another act or actor is never judged."""
    found = verdict(modality, case, negated=negated, only_if=only_if)
    assert found is None or found in VERDICTS
    if modality not in DEONTIC:
        assert found is None
    elif not (case.same_act and case.in_scope):
        assert found == "not_covered"
