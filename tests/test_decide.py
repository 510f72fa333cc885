import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.manifest import Corpus
from raicurate.corpora_manifests.policy import Policy
from raicurate.corpora_manifests.vocabulary import HAZARD_DIMENSION, HAZARDS
from raicurate.transforms.decide import DECISIONS, Decider
from raicurate.transforms.schema import ANNOTATIONS

KEEP = {"name": "keep", "action": "keep"}
FUZZ = settings(deadline=None, max_examples=80)


def corpus(**changes):
    return Corpus.model_validate({"name": "web", "paths": ["*"], "license": "x"} | changes)


def policy(*rules, **changes):
    content = {
        "name": "p",
        "version": "1",
        "gravity": {"default": {}},
        "rules": [*rules, KEEP],
    }
    return Policy.model_validate(content | changes)


def rule(name, when, action="restrict", **changes):
    return {"name": name, "reason": "r", "when": when, "action": action, **changes}


def hazard(name="hate", stance="intent", score=0.9, **flags):
    entry = {"hazard": name, "stance": stance, "score": score, "start": 0, "end": 1}
    return entry | {"operational": False, "target": False, "threat": False} | flags


def row(*hazards, **columns):
    return {"lang": "en", "harm_model": "m", "harm_score": 0.5, "hazards": list(hazards)} | columns


def batch(rows):
    filled = [
        {
            "id": str(index),
            "text_sha256": "0" * 64,
            "src_file": "f",
            "src_row": index,
            "chars": 1,
            **values,
        }
        for index, values in enumerate(rows)
    ]
    return pa.RecordBatch.from_pylist(filled, schema=ANNOTATIONS)


def decided(rows, *rules, of=None, **changes):
    return Decider(policy(*rules, **changes), of or corpus()).decide(batch(rows)).to_pylist()


def names(rows, *rules, **changes):
    return [document["rule"] for document in decided(rows, *rules, **changes)]


def digest(annotations, of_policy, of=None):
    decider = Decider(of_policy, of or corpus())
    decider.decide(annotations)
    return decider.digest()


def test_the_first_rule_that_matches_decides():
    """Later rules that match as well have no say, and the last takes the rest."""
    rules = (
        rule("first", {"hazards": ["hate"]}),
        rule("second", {"stances": ["intent"]}, "drop"),
    )
    rows = [row(hazard()), row(hazard("privacy")), row(hazard("privacy", "topical")), row()]
    assert names(rows, *rules) == ["first", "second", "keep", "keep"]
    assert names(rows, *reversed(rules)) == ["second", "second", "keep", "keep"]


def test_a_rule_brings_its_treatment_with_it():
    """Action, context, what is withheld and what is stored come from the rule that decided."""
    explain = rule(
        "explain", {"stances": ["intent"]}, "contextualize", withhold="worst", context="support"
    )
    record = rule("record", {"stances": ["topical"]}, store="record")
    rows = [row(hazard()), row(hazard(stance="topical")), row()]
    names_of = ("action", "context_kind", "withhold", "store")
    found = [
        tuple(document[name] for name in names_of) for document in decided(rows, explain, record)
    ]
    assert found == [
        ("contextualize", "support", "worst", "text"),
        ("restrict", "none", "nothing", "record"),
        ("keep", "none", "nothing", "text"),
    ]


def test_hazard_conditions_hold_on_one_and_the_same_hazard():
    """Hate that is talked about and a threat of another kind are not hateful intent."""
    when = {"hazards": ["hate"], "stances": ["intent"], "operational": True, "min_severity": 3}
    whole = hazard("hate", "intent", operational=True)
    parts = [
        hazard("hate", "topical", operational=True),
        hazard("privacy", "intent", operational=True),
        hazard("hate", "intent"),
    ]
    assert names([row(*parts), row(*parts, whole)], rule("all", when)) == ["keep", "all"]


@pytest.mark.parametrize(
    ("when", "matching"),
    [
        ({"hazards": ["hate", "cyber"]}, {"plain", "operational", "topical"}),
        ({"stances": ["topical", "disclosure"]}, {"topical", "other"}),
        ({"operational": True}, {"operational"}),
        ({"operational": False}, {"plain", "topical", "other"}),
        ({"min_severity": 3}, {"operational"}),
        ({"max_severity": 1}, {"topical", "other"}),
        ({"min_severity": 2, "max_severity": 2}, {"plain"}),
    ],
)
def test_each_hazard_condition(when, matching):
    """A condition alone selects by its own property; `false` is a condition too."""
    rows = {
        "plain": row(hazard()),
        "operational": row(hazard(operational=True)),
        "topical": row(hazard(stance="topical")),
        "other": row(hazard("privacy", "disclosure")),
        "nothing": row(),
    }
    found = zip(rows, names(list(rows.values()), rule("hit", when)), strict=True)
    assert {name for name, decided_by in found if decided_by == "hit"} == matching


GRAVITY = {
    "default": {"base": 1, "target": 1, "threat": 2, "operational": 3, "topical": 0},
    "hate": {"base": 4, "topical": 2, "disclosure": 3},
}


@pytest.mark.parametrize(
    ("entry", "severity"),
    [
        (hazard("privacy"), 1),
        (hazard("privacy", target=True), 2),
        (hazard("privacy", threat=True), 3),
        (hazard("privacy", operational=True), 4),
        (hazard("privacy", target=True, threat=True), 4),
        (hazard("privacy", target=True, threat=True, operational=True), 5),
        (hazard("privacy", "topical", target=True, threat=True), 0),
        (hazard("privacy", "topical", operational=True), 4),
        (hazard("privacy", "disclosure", threat=True), 1),
        (hazard("privacy", "disclosure", operational=True), 4),
        (hazard("hate", "topical"), 2),
        (hazard("hate", "disclosure"), 3),
        (hazard("hate"), 4),
        (hazard("hate", target=True, threat=True), 5),
    ],
)
def test_severity_follows_from_gravity(entry, severity):
    """A base and what adds to it, cut at 5.

    Talking about it, or disclosing it, has a number of its own, unless there is operational detail.
    """
    document = decided([row(entry)], gravity=GRAVITY)[0]
    assert document["severity"] == severity
    assert document["active_hazards"][0]["severity"] == severity


def test_the_severity_of_a_document_is_that_of_its_gravest_hazard():
    """Hazards below their threshold do not count."""
    rows = [
        row(hazard(), hazard(operational=True), hazard(stance="topical")),
        row(hazard(), hazard(operational=True, score=0.4)),
        row(),
    ]
    assert [document["severity"] for document in decided(rows)] == [3, 2, 0]


def test_severity_is_null_where_nothing_was_measured():
    """Without a measured model for the language there is no severity, not even 0."""
    rows = [row(hazard(), harm_model=model) for model in ("none", None, "m")]
    found = decided(rows, rule("unmeasured", {"measured": False}))
    assert [document["severity"] for document in found] == [None, None, 2]
    assert [document["rule"] for document in found] == ["unmeasured", "unmeasured", "keep"]
    assert names(rows, rule("measured", {"measured": True})) == ["keep", "keep", "measured"]


def test_thresholds_differ_by_hazard_and_language():
    """A hazard counts from its threshold on, in the language of its document."""
    thresholds = {
        "default": 0.5,
        "languages": {"de": 0.25},
        "hazards": {"privacy": 0.75},
        "by_hazard_and_language": {"privacy": {"de": 1.0}},
    }
    entries = [
        hazard(name, score=score)
        for name in ("hate", "privacy")
        for score in (0.25, 0.5, 0.75, 1.0)
    ]
    rows = [row(*entries, lang=lang) for lang in ("de", "en", None)]
    found = [
        [(entry["hazard"], entry["score"]) for entry in document["active_hazards"]]
        for document in decided(rows, thresholds=thresholds)
    ]
    elsewhere = [("hate", 0.5), ("hate", 0.75), ("hate", 1.0), ("privacy", 0.75), ("privacy", 1.0)]
    german = [("hate", 0.25), ("hate", 0.5), ("hate", 0.75), ("hate", 1.0), ("privacy", 1.0)]
    assert found == [german, elsewhere, elsewhere]


def test_without_a_threshold_of_the_policy_that_of_the_model_holds():
    """A hazard then counts from the score on that its model names, or from one half."""
    entries = [hazard(score=0.4), hazard(score=0.4) | {"threshold": 0.35}]
    entries += [hazard(score=0.6), hazard(score=0.6) | {"threshold": 0.65}]

    def counts(**policy):
        return [len(d["active_hazards"]) for d in decided([row(e) for e in entries], **policy)]

    assert counts() == [0, 1, 1, 0]
    assert counts(thresholds={"languages": {"de": 0.1}}) == [0, 1, 1, 0]
    assert counts(thresholds={"default": 0.5}) == [0, 0, 1, 1]


def test_a_score_that_equals_its_threshold_counts():
    """Also where the number has no exact float32, as 0.3."""
    rows = [row(hazard(score=0.3)), row(hazard(score=float(np.nextafter(np.float32(0.3), 0))))]
    found = decided(rows, thresholds={"default": 0.3})
    assert [len(document["active_hazards"]) for document in found] == [1, 0]


def test_a_hazard_below_its_threshold_decides_nothing():
    """Neither a rule nor a dimension rests on it."""
    document = decided([row(hazard(score=0.4))], rule("hit", {"hazards": ["hate"]}))[0]
    assert (document["rule"], document["dimensions"], document["active_hazards"]) == (
        "keep",
        [],
        [],
    )


def test_dimensions_are_those_of_the_active_hazards():
    """Each once, sorted, whatever the order of the hazards."""
    found = decided([row(*(hazard(name) for name in ("privacy", "hate", "cyber"))), row()])
    assert [document["dimensions"] for document in found] == [["fairness", "privacy_security"], []]


@pytest.mark.parametrize(
    ("when", "columns"),
    [
        ({"languages": ["de", "en"]}, {"lang": "en"}),
        ({"personal_data": ["ip", "email"]}, {"personal_data": ["phone", "email"]}),
        ({"min_lexicon_terms": 3}, {"lexicon": [1, 2]}),
        ({"step_failed": ["any"]}, {"steps": [("A", False, False)]}),
        ({"step_failed": ["A"]}, {"steps": [("B", True, True), ("A", False, False)]}),
        ({"step_changed": ["any"]}, {"steps": [("B", True, True)]}),
        ({"step_changed": ["A", "B"]}, {"steps": [("B", True, True)]}),
    ],
)
@pytest.mark.parametrize(
    "without",
    [
        {"lang": "fr"},
        {"lang": None},
        {"personal_data": ["phone"]},
        {"personal_data": []},
        {"lexicon": [2]},
        {"lexicon": []},
        {"steps": [("A", True, False), ("B", False, False)]},
        {"steps": []},
    ],
)
def test_each_condition_on_a_document(when, columns, without):
    """A condition holds on what it names, and neither on another value nor on null."""

    def annotated(values):
        kinds = {
            "personal_data": lambda kind: {"start": 0, "end": 1, "kind": kind},
            "lexicon": lambda count: {"hazard": "hate", "hits": 9, "distinct": count},
            "steps": lambda step: dict(zip(("name", "passed", "changed"), step, strict=True)),
        }
        return row(
            **{
                name: [kinds[name](item) for item in value] if name in kinds else value
                for name, value in values.items()
            }
        )

    rows = [
        annotated(columns),
        annotated(columns | without if columns.keys() & without else {"lang": "fr"} | without),
    ]
    other_step = when == {"step_failed": ["any"]} and without.get("steps")
    assert names(rows, rule("hit", when)) == ["hit", "hit" if other_step else "keep"]


@pytest.mark.parametrize(
    ("when", "changes"),
    [
        ({"corpora": ["a", "web"]}, {"name": "other"}),
        ({"sources": ["web"]}, {"source": "other"}),
        ({"sources": ["web"]}, {"name": "other"}),
        ({"roles": ["web", "policy"]}, {"role": "guidance"}),
        ({"trust": ["medium"]}, {"trust": "low"}),
    ],
)
def test_each_condition_on_the_corpus(when, changes):
    """Name, source (by default the name), role and trust of the corpus."""
    assert names([row()], rule("hit", when)) == ["hit"]
    assert names([row()], rule("hit", when), of=corpus(**changes)) == ["keep"]


def test_conditions_of_all_kinds_must_hold_together():
    """One that fails is enough."""
    whole = {"languages": ["en"], "roles": ["web"], "hazards": ["hate"], "measured": True}
    assert names([row(hazard())], rule("hit", whole)) == ["hit"]
    for name, value in {
        "languages": ["de"],
        "roles": ["policy"],
        "hazards": ["cyber"],
        "measured": False,
        "personal_data": ["email"],
    }.items():
        assert names([row(hazard())], rule("hit", whole | {name: value})) == ["keep"]


def test_a_document_that_could_not_be_annotated_is_an_error():
    """No rule applies to it, not even the last; its text is published nowhere."""
    rows = [row(hazard(), error_type="ValueError"), row(hazard())]
    first, second = decided(rows, rule("hit", {"hazards": ["hate"]}))
    assert (first["action"], first["rule"]) == ("error", "annotation-failed")
    assert (first["store"], first["context_kind"], first["withhold"]) == (
        "record",
        "none",
        "nothing",
    )
    assert second["rule"] == "hit"


def test_no_documents_make_no_decisions():
    """An empty batch gives an empty batch of the schema."""
    result = Decider(policy(), corpus()).decide(batch([]))
    assert result.num_rows == 0
    assert result.schema == DECISIONS


entries = st.builds(
    hazard,
    st.sampled_from(HAZARDS[:4]),
    st.sampled_from(["topical", "intent", "disclosure"]),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    operational=st.booleans(),
    target=st.booleans(),
    threat=st.booleans(),
)


def nullable_lists(items):
    return st.none() | st.lists(items, max_size=3)


rows_of_annotations = st.fixed_dictionaries(
    {
        "lang": st.sampled_from(["en", "de", None]),
        "harm_model": st.sampled_from(["m", "none", None]),
        "hazards": nullable_lists(entries),
        "lexicon": nullable_lists(
            st.builds(lambda n: {"hazard": "hate", "hits": 5, "distinct": n}, st.integers(1, 3))
        ),
        "personal_data": nullable_lists(
            st.builds(lambda k: {"start": 0, "end": 1, "kind": k}, st.sampled_from(["ip", "card"]))
        ),
        "steps": nullable_lists(
            st.builds(
                lambda n, p, c: {"name": n, "passed": p, "changed": c},
                st.sampled_from("AB"),
                st.booleans(),
                st.booleans(),
            )
        ),
        "error_type": st.sampled_from([None, None, None, "ValueError"]),
    }
)
many_rows = st.lists(rows_of_annotations, max_size=12)

CONDITIONS = {
    "hazards": st.lists(st.sampled_from(HAZARDS[:4]), max_size=2),
    "stances": st.lists(st.sampled_from(["topical", "intent", "disclosure"]), max_size=2),
    "operational": st.booleans(),
    "min_severity": st.integers(0, 5),
    "max_severity": st.integers(0, 5),
    "languages": st.lists(st.sampled_from(["en", "de"]), max_size=2),
    "corpora": st.sampled_from([["web"], ["other"]]),
    "sources": st.sampled_from([["web"], ["other"]]),
    "roles": st.sampled_from([["web"], ["policy"]]),
    "trust": st.sampled_from([["medium"], ["low", "high"]]),
    "measured": st.booleans(),
    "min_lexicon_terms": st.integers(1, 5),
    "personal_data": st.lists(st.sampled_from(["ip", "card", "phone"]), max_size=2),
    "step_failed": st.lists(st.sampled_from(["A", "B", "any"]), max_size=2),
    "step_changed": st.lists(st.sampled_from(["A", "B", "any"]), max_size=2),
}


@st.composite
def conditions(draw):
    chosen = draw(st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=3))
    return {name: draw(CONDITIONS[name]) for name in chosen}


numbers = st.integers(0, 5)
gravities = st.fixed_dictionaries(
    dict.fromkeys(("base", "target", "threat", "operational", "topical", "disclosure"), numbers)
)
shares = st.sampled_from([0.0, 0.3, 0.5, 1.0])


@st.composite
def policies(draw):
    rules = []
    for place, when in enumerate(draw(st.lists(conditions(), max_size=4))):
        if not any(value not in ([], None) for value in when.values()):
            continue
        action, settings_ = draw(
            st.sampled_from(
                [
                    ("keep", {}),
                    ("keep", {"context": "note"}),
                    ("redact", {}),
                    ("drop", {}),
                    ("restrict", {"store": "record"}),
                ]
            )
        )
        rules.append(rule(f"rule-{place}", when, action, **settings_))
    thresholds = {
        "default": draw(shares),
        "languages": draw(st.dictionaries(st.just("de"), shares)),
        "hazards": draw(st.dictionaries(st.just(HAZARDS[0]), shares)),
        "by_hazard_and_language": {HAZARDS[1]: draw(st.dictionaries(st.just("en"), shares))},
    }
    gravity = {"default": draw(gravities), HAZARDS[0]: draw(gravities)}
    return policy(*rules, thresholds=thresholds, gravity=gravity)


def reference(of_policy, of, document):
    """Decides on one document by plain loops: what the policy says, as it is written there."""
    active = []
    for entry in document["hazards"] or ():
        threshold = of_policy.thresholds.of(entry["hazard"], document["lang"])
        if np.float32(entry["score"]) >= np.float32(threshold):
            gravity = of_policy.gravity.get(entry["hazard"], of_policy.gravity["default"])
            if entry["stance"] != "intent" and not entry["operational"]:
                severity = getattr(gravity, entry["stance"])
            else:
                severity = gravity.base
                for flag in ("target", "threat", "operational"):
                    severity += getattr(gravity, flag) if entry[flag] else 0
            active.append({**entry, "severity": min(5, severity)})
    measured = document["harm_model"] not in {None, "none"}
    if document["error_type"] is not None:
        rule_name, action, store, kind = "annotation-failed", "error", "record", "none"
    else:
        match = next(
            rule for rule in of_policy.rules if holds(rule.when, of, document, active, measured)
        )
        rule_name, action, store = match.name, match.action, match.store
        kind = match.context_kind
    return {
        "action": action,
        "rule": rule_name,
        "context_kind": kind,
        "withhold": "nothing",
        "store": store,
        "severity": max((entry["severity"] for entry in active), default=0) if measured else None,
        "active_hazards": [
            (entry["hazard"], entry["stance"], float(np.float32(entry["score"])), entry["severity"])
            for entry in active
        ],
        "dimensions": sorted({HAZARD_DIMENSION[entry["hazard"]] for entry in active}),
    }


def holds(when, of, document, active, measured):
    def step(field, value, names):
        return any(
            entry[field] == value and ("any" in names or entry["name"] in names)
            for entry in document["steps"] or ()
        )

    checks = [
        not when.corpora or of.name in when.corpora,
        not when.sources or (of.source or of.name) in when.sources,
        not when.roles or of.role in when.roles,
        not when.trust or of.trust in when.trust,
        not when.languages or document["lang"] in when.languages,
        when.measured is None or when.measured == measured,
        when.min_lexicon_terms is None
        or sum(hit["distinct"] for hit in document["lexicon"] or ()) >= when.min_lexicon_terms,
        not when.personal_data
        or any(data["kind"] in when.personal_data for data in document["personal_data"] or ()),
        not when.step_failed or step("passed", False, when.step_failed),
        not when.step_changed or step("changed", True, when.step_changed),
    ]
    about = [
        (not when.hazards or entry["hazard"] in when.hazards)
        and (not when.stances or entry["stance"] in when.stances)
        and (when.operational is None or entry["operational"] == when.operational)
        and (when.min_severity is None or entry["severity"] >= when.min_severity)
        and (when.max_severity is None or entry["severity"] <= when.max_severity)
        for entry in active
    ]
    return all(checks) and (not when.about_hazard or any(about))


@FUZZ
@given(many_rows, policies(), st.sampled_from([corpus(), corpus(source="other", role="policy")]))
def test_decisions_are_those_of_the_rules_read_one_by_one(rows, of_policy, of):
    """On any annotations and any policy, columns decide as plain loops over the rules do."""
    found = Decider(of_policy, of).decide(batch(rows)).to_pylist()
    for document in found:
        document["active_hazards"] = [
            tuple(entry[name] for name in ("hazard", "stance", "score", "severity"))
            for entry in document["active_hazards"]
        ]
    assert found == [reference(of_policy, of, document) for document in rows]


@FUZZ
@given(many_rows, policies(), st.lists(st.integers(0, 12), max_size=4))
def test_the_digest_and_the_decisions_do_not_depend_on_batches(rows, of_policy, cuts):
    """However the rows are cut, and though cuts share memory, all is the same."""
    whole = batch(rows)
    at_once, in_pieces = Decider(of_policy, corpus()), Decider(of_policy, corpus())
    expected = at_once.decide(whole).to_pylist()
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    found = []
    for start, end in itertools.pairwise(edges):
        found += in_pieces.decide(whole.slice(start, end - start)).to_pylist()
    assert found == expected
    assert in_pieces.digest() == at_once.digest()


@st.composite
def pairs_of_policies(draw):
    """Draws two policies that are often alike in much of what they do."""
    first, other = draw(policies()), draw(policies())
    parts = draw(st.sets(st.sampled_from(["thresholds", "gravity", "rules"])))
    return first, first.model_copy(update={name: getattr(other, name) for name in parts})


@FUZZ
@given(many_rows, pairs_of_policies())
def test_two_policies_have_one_digest_where_they_decide_alike(rows, pair):
    """The digest changes exactly where a decision, a severity or an active hazard changes."""
    annotations = batch(rows)
    first, second = (Decider(of_policy, corpus()).decide(annotations) for of_policy in pair)
    alike = digest(annotations, pair[0]) == digest(annotations, pair[1])
    assert alike == first.equals(second)


INTENT = rule("intent", {"stances": ["intent"]}, "contextualize")
ROWS = batch([row(hazard(score=0.9)), row(hazard(score=0.2)), row()])


@pytest.mark.parametrize(
    "other",
    [
        policy(INTENT, thresholds={"default": 0.7}),
        policy(INTENT, thresholds={"hazards": {"cyber": 0.0}}),
        policy(rule("unused", {"languages": ["de"]}), INTENT),
        policy({**INTENT, "reason": "better words"}),
        policy({**INTENT, "when": {"stances": ["intent"], "min_severity": 1}}),
        policy(INTENT, gravity={"default": {}, "cyber": {"base": 5}}),
        policy(INTENT, name="q", version="2", description="d"),
    ],
)
def test_what_decides_nothing_leaves_the_digest(other):
    """A threshold moved without effect, a rule that matches nothing, other words: no new parts."""
    assert digest(ROWS, other) == digest(ROWS, policy(INTENT))


@pytest.mark.parametrize(
    "other",
    [
        policy(INTENT, thresholds={"default": 0.95}),
        policy(INTENT, thresholds={"default": 0.1}),
        policy({**INTENT, "name": "other"}),
        policy({**INTENT, "action": "redact"}),
        policy({**INTENT, "withhold": "all"}),
        policy({**INTENT, "context": "support"}),
        policy(INTENT, gravity={"default": {"base": 3}}),
        policy(),
    ],
)
def test_what_decides_otherwise_changes_the_digest(other):
    """Another rule, action, treatment, severity or active hazard makes new parts."""
    assert digest(ROWS, other) != digest(ROWS, policy(INTENT))


def test_the_same_decisions_in_another_order_have_another_digest():
    """The digest is about which document is treated how, not about how many."""
    rows = [row(hazard()), row()]
    assert digest(batch(rows), policy(INTENT)) != digest(batch(rows[::-1]), policy(INTENT))


def test_a_record_only_rule_has_another_digest_than_one_that_stores_the_text():
    """Otherwise a text could stay where only its record may."""
    when = {"stances": ["intent"]}
    text, record = (policy(rule("x", when, store=store)) for store in ("text", "record"))
    assert digest(ROWS, text) != digest(ROWS, record)


def test_a_share_of_benign_lookalikes_gets_a_note():
    """Kept text that only talks about a hazard is drawn by id; nothing else is touched."""

    def kinds(rows, **changes):
        return [document["context_kind"] for document in decided(rows, **changes)]

    rows = [row(hazard(stance="topical"), id=f"d{number}") for number in range(400)]
    rows += [row(hazard(stance="topical"), hazard(stance="intent")), row()]
    wanted = {"lookalike_rate": 0.3}
    found = kinds(rows, context=wanted)
    assert 80 < found[:400].count("note") < 160
    assert found[400:] == ["none", "none"]
    assert kinds(rows[200:], context=wanted) == found[200:]
    assert set(kinds(rows)) == {"none"}
