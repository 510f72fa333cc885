import orjson
import pyarrow as pa
import pytest
import yaml

from raicurate.corpora_manifests.manifest import Targets
from raicurate.corpora_manifests.vocabulary import HAZARDS, TARGET_GROUPS
from raicurate.exercise_templates.context import ContextLibrary, ContextRequest, HazardFacts
from raicurate.transforms.decide import ACTIVE_HAZARD
from raicurate.transforms.identity_mentions import GROUPS
from raicurate.transforms.schema import SPAN
from raicurate.transforms.target_groups import stated_groups, target_groups

LIBRARY = ContextLibrary.load()
TARGETS = Targets(key="meta.target", groups={"wom": "women", "lesbian": "gay", "gay": "gay"})


def group_of(text, *, lang="en", meta=None, targets=None, action="contextualize", **changes):
    hazard = {"hazard": "hate", "stance": "intent", "operational": False, "score": 0.9}
    hazard |= {"start": 0, "end": len(text), "target": False, "threat": False, "severity": 2}
    return target_groups(
        pa.array([text]),
        pa.array([lang]),
        pa.array([orjson.dumps({"meta": meta or {}}).decode()]),
        pa.array([action]),
        pa.array([[hazard | changes]], pa.list_(ACTIVE_HAZARD)),
        targets,
    )[0].as_py()


@pytest.mark.parametrize(
    ("lang", "text", "expected"),
    [
        ("en", "These women again.", "women"),
        ("en", "Women and refugees, all of them.", None),
        ("en", "They are all the same.", None),
        ("en", "Men, I am tired of this.", None),
        ("de", "Immer diese Ausländerinnen.", "migrants"),
        ("ja", "また移民の話だ。", "migrants"),
        ("ar", "كله بسبب هؤلاء، وللنساء نقول", "women"),
        ("fi", "women", None),
    ],
)
def test_one_group_alone_is_named(lang, text, expected):
    """Two groups, none, one that is mostly only mentioned, or a language without terms: none."""
    assert group_of(text, lang=lang) == expected


@pytest.mark.parametrize(
    "changes",
    [{"hazard": "harassment"}, {"stance": "topical"}, {"end": 5}, {"action": "restrict"}],
)
def test_only_the_hateful_passage_of_a_published_document_counts(changes):
    """Not another hazard, not talk about it, and not what stands beside the passage."""
    assert group_of("Them. These women again.", **changes) is None


def test_a_label_goes_before_what_is_mentioned():
    """It holds for every hazard in intent; an unknown or a double label names none."""
    text = "These refugees again."
    assert group_of(text, meta={"target": "wom"}, targets=TARGETS) == "women"
    labelled = {"meta": {"target": ["gay", "lesbian"]}, "targets": TARGETS}
    assert group_of(text, hazard="harassment", **labelled) == "gay"
    assert group_of(text, meta={"target": ["wom", "gay"]}, targets=TARGETS) is None
    assert group_of(text, meta={"target": "someone"}, targets=TARGETS) is None
    assert group_of(text, meta={"target": None}, targets=TARGETS) == "migrants"


def test_every_group_that_can_be_found_has_a_name_in_every_language():
    """And the sentence that names it stands in every style, with the group in the reference."""
    found = yaml.safe_load(GROUPS.read_text(encoding="utf-8"))["mentions"]
    assert {group for groups in found.values() for group in groups} <= set(TARGET_GROUPS)
    for lang in LIBRARY.languages:
        words = LIBRARY._languages[lang]
        assert set(words.groups) == set(TARGET_GROUPS)
        for group, name in words.groups.items():
            hazard = HazardFacts("hate", "intent", 2, target=True)
            for style in LIBRARY.styles_of(lang):
                request = ContextRequest(group, lang, "full", (hazard,), styles=(style,))
                written = LIBRARY.write(request._replace(group=group))
                assert name in written.text
                assert written.refs[0].endswith(f"/{lang}/hate/{group}")
                assert any(ref.startswith("fact_group@") for ref in written.refs)


@pytest.mark.parametrize("stance", ["topical", "disclosure"])
def test_no_group_is_named_where_nobody_turns_against_it(stance):
    """News about a group and a person's own words are no attack on it."""
    request = ContextRequest("x", "en", "full", (HazardFacts("hate", stance, 2),))
    assert LIBRARY.write(request._replace(group="women")) == LIBRARY.write(request)


def test_a_language_without_a_name_says_that_somebody_is_meant(tmp_path):
    """The sentence about a target without a name stands in its place."""
    library = ContextLibrary({"en": ContextLibrary.load()._languages["en"]})
    words = library._languages["en"]
    names, words.groups = words.groups, {}
    try:
        hazard = HazardFacts("hate", "intent", 2, target=True)
        written = library.write(ContextRequest("x", "en", "full", (hazard,), group="women"))
    finally:
        words.groups = names
    assert written.refs[0].endswith("/en/hate")
    assert any(ref.startswith("fact_target@") for ref in written.refs)


def test_stated_groups_are_read_from_references():
    """Contexts that name none, withheld passages and those of a model do not count."""
    refs = [
        ("context", "lecture_note@1/en/hate/women"),
        ("context", "lecture_note@1/en/hate"),
        ("context", "context@2/en/hate/lecture_note/org/model"),
        ("withheld", "lecture_note@1/en/hate/women"),
        ("original", None),
    ]
    spans = [{"start": 0, "end": 1, "kind": kind, "ref": ref} for kind, ref in refs]
    column = pa.array([spans, []], pa.list_(SPAN))
    assert stated_groups(column).to_pylist() == ["hate/women"]
    assert stated_groups(column.slice(1)).to_pylist() == []


def test_no_hazard_is_called_like_a_group():
    """References tell them apart by their places only, people by their names."""
    assert not set(HAZARDS) & set(TARGET_GROUPS)
