import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raicurate.corpora_manifests.policy import Condition, Context, Gravity, Policy, Rule, Thresholds
from raicurate.corpora_manifests.vocabulary import ACTIONS, HAZARDS

KEEP = {"name": "keep", "action": "keep"}
INTENT = {"stances": ["intent"]}


def policy(**changes):
    content = {"name": "p", "version": "1", "gravity": {"default": {}}, "rules": [KEEP]}
    return Policy.model_validate(content | changes)


def refused(make, problem):
    with pytest.raises(ValidationError, match=problem):
        make()


@given(
    st.sampled_from(HAZARDS[:3]),
    st.sampled_from(["de", "en", None]),
    *[st.booleans()] * 3,
)
def test_the_most_specific_threshold_holds(hazard, lang, by_both, by_hazard, by_language):
    """Hazard and language, else hazard, else language, else default."""
    thresholds = Thresholds(
        default=0.1,
        languages={"de": 0.2} if by_language else {},
        hazards={"violent_crimes": 0.3} if by_hazard else {},
        by_hazard_and_language={"violent_crimes": {"de": 0.4}} if by_both else {},
    )
    if by_both and hazard == "violent_crimes" and lang == "de":
        expected = 0.4
    elif by_hazard and hazard == "violent_crimes":
        expected = 0.3
    elif by_language and lang == "de":
        expected = 0.2
    else:
        expected = 0.1
    assert thresholds.of(hazard, lang) == expected


def test_a_threshold_of_zero_is_a_threshold():
    """Zero is not taken for unset on any level."""
    zero = Thresholds(hazards={"hate": 0.0}, by_hazard_and_language={"privacy": {"de": 0.0}})
    assert zero.of("hate", "en") == 0
    assert zero.of("privacy", "de") == 0


@pytest.mark.parametrize(
    "content",
    [
        {"default": 1.5},
        {"default": -0.1},
        {"languages": {"de": 2}},
        {"hazards": {"rudeness": 0.5}},
        {"hazards": {"hate": float("nan")}},
        {"by_hazard_and_language": {"hate": {"de": 1.01}}},
    ],
)
def test_a_threshold_is_a_share_of_a_known_hazard(content):
    """Scores are probabilities, and hazards come from the vocabulary."""
    refused(lambda: Thresholds.model_validate(content), "Thresholds")


def test_gravity_is_on_the_scale_of_five():
    """Each number stands between 0 and 5."""
    assert Gravity().model_dump() == {
        "base": 2,
        "target": 1,
        "threat": 1,
        "operational": 1,
        "topical": 1,
        "disclosure": 1,
    }
    for name in Gravity.model_fields:
        refused(lambda name=name: Gravity.model_validate({name: 6}), name)
        refused(lambda name=name: Gravity.model_validate({name: -1}), name)


def test_a_rule_keeps_text_and_withholds_nothing_by_default():
    """What a rule does not say has the mildest meaning."""
    rule = Rule.model_validate(KEEP)
    assert (rule.store, rule.withhold, rule.context_kind) == ("text", "nothing", "none")
    assert rule.when == Condition()
    assert not rule.when.about_hazard


def test_explaining_means_the_full_context_unless_another_is_named():
    """The kind of context follows from the action where it is not set."""
    explain = {"name": "x", "when": INTENT, "action": "contextualize"}
    assert Rule.model_validate(explain).context_kind == "full"
    assert Rule.model_validate(explain | {"context": "support"}).context_kind == "support"
    assert Rule.model_validate(KEEP | {"context": "note"}).context_kind == "note"
    assert Rule.model_validate(KEEP | {"context": "none"}).context_kind == "none"


def test_dropping_needs_a_reason():
    """A document goes away only for a reason that reports can show."""
    refused(lambda: Rule.model_validate({"name": "x", "action": "drop"}), "must give a `reason`")
    assert Rule.model_validate({"name": "x", "action": "drop", "reason": "y"}).action == "drop"


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("setting", "value", "allowed", "problem"),
    [
        ("store", "record", {"restrict"}, "`store: record` needs"),
        ("withhold", "worst", {"contextualize"}, "`withhold` needs"),
        ("context", "note", {"contextualize", "keep"}, "`context` needs"),
    ],
)
def test_a_setting_needs_the_action_that_it_belongs_to(action, setting, value, allowed, problem):
    """A setting without effect is a mistake of the author, so an error."""
    content = {"name": "x", "reason": "y", "when": INTENT, "action": action, setting: value}
    if action in allowed:
        assert getattr(Rule.model_validate(content), setting) == value
    else:
        refused(lambda: Rule.model_validate(content), problem)


@pytest.mark.parametrize(
    ("when", "about"),
    [
        ({}, False),
        ({"languages": ["en"], "measured": True, "personal_data": ["email"]}, False),
        ({"min_lexicon_terms": 1, "step_failed": ["any"], "trust": ["low"]}, False),
        ({"hazards": ["hate"]}, True),
        ({"stances": ["intent"]}, True),
        ({"operational": False}, True),
        ({"min_severity": 0}, True),
        ({"max_severity": 5}, True),
    ],
)
def test_only_a_rule_about_a_hazard_can_explain(when, about):
    """Without a hazard there may be nothing to explain; `false` and 0 are conditions too."""
    assert Condition.model_validate(when).about_hazard is about
    content = {"name": "x", "when": when, "action": "contextualize"}
    if about:
        assert Rule.model_validate(content).action == "contextualize"
    else:
        refused(lambda: Rule.model_validate(content), "names no hazard")


def test_explaining_without_a_context_is_refused():
    """It would be keeping under another name."""
    content = {"name": "x", "when": INTENT, "action": "contextualize", "context": "none"}
    refused(lambda: Rule.model_validate(content), "contextualizes without a context")


@pytest.mark.parametrize("name", ["", "A", "a b", "-a", "ü"])
def test_the_name_of_a_rule_is_stored_so_it_is_plain(name):
    """Lower-case letters, digits, dash and underscore."""
    refused(lambda: Rule.model_validate(KEEP | {"name": name}), "name")


def test_the_last_rule_matches_everything():
    """Else documents could match no rule."""
    last = {"name": "x", "when": {"languages": ["en"]}, "action": "keep"}
    refused(lambda: policy(rules=[last]), "documents could match no rule")
    refused(lambda: policy(rules=[]), "rules")


def test_a_rule_before_the_last_must_not_match_everything():
    """The rules after it would never apply."""
    refused(lambda: policy(rules=[KEEP, KEEP | {"name": "b"}]), "the rules after it never apply")


def test_two_rules_of_one_name_are_refused():
    """The name that is stored with a document must tell which rule decided."""
    first = {"name": "keep", "when": {"languages": ["en"]}, "action": "keep"}
    refused(lambda: policy(rules=[first, KEEP]), "two rules are named 'keep'")


def test_gravity_needs_a_default_and_known_hazards():
    """Every hazard has a gravity."""
    refused(lambda: policy(gravity={"hate": {}}), "no `default`")
    refused(lambda: policy(gravity={}), "gravity")
    refused(lambda: policy(gravity={"default": {}, "rudeness": {}}), "rudeness")


@pytest.mark.parametrize("actions", list(itertools.permutations(ACTIONS, 2)))
def test_a_policy_restricts_where_it_restricts_or_explains(actions):
    """A context that is not accepted ends in the restricted tier."""
    rules = [
        {"name": str(place), "when": INTENT, "action": action, "reason": "y"}
        for place, action in enumerate(actions)
    ]
    expected = bool({"restrict", "contextualize"} & set(actions))
    assert policy(rules=[*rules, KEEP]).restricts is expected


def test_the_bounds_of_added_text_make_sense():
    """A ratio above 0, and no negative length."""
    refused(lambda: Context.model_validate({"max_added_ratio": 0}), "max_added_ratio")
    refused(lambda: Context.model_validate({"max_added_chars": -1}), "max_added_chars")
    refused(lambda: Context.model_validate({"placement": "within"}), "placement")
