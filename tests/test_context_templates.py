import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from jinja2.exceptions import SecurityError

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS
from raicurate.exercise_templates.context import ContextLibrary, ContextRequest, HazardFacts
from raicurate.exercise_templates.context_files import SHIPPED, TemplateFile

STYLES = {
    "lecture_note",
    "moderation_decision",
    "teacher_and_student",
    "fact_check",
    "content_warning",
    "question_and_answer",
}
STANCE = {"full": "intent", "note": "topical", "support": "disclosure"}
LANGUAGES = ContextLibrary.load().languages

STYLE = {
    "version": 1,
    "lines": {"hello": ["One thing.", "Another thing."]},
    "full": ["{{ hello }} {{ what_it_is }}"],
    "note": ["{{ hello }} {{ subject }}"],
    "support": ["{{ hello }} {{ support_opening }}"],
}
FILE = {
    "version": 1,
    "licence": "CC0-1.0",
    "language": "en",
    "reviewed_by_native_speaker": True,
}


@pytest.fixture(scope="module")
def library():
    return ContextLibrary.load()


def request(document="doc", lang="en", kind="full", hazard="hate", stance=None, **rest):
    facts = HazardFacts(hazard, stance or STANCE[kind], 3)
    return ContextRequest(document, lang, kind, (facts,), **rest)


def write_file(folder: Path, name="mine.yaml", **content) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(FILE | content, allow_unicode=True), encoding="utf-8")
    return path


def test_the_package_ships_all_hazards_and_styles_in_nine_languages(library):
    """Every language is complete."""
    assert library.languages == ("ar", "de", "en", "es", "fr", "hi", "it", "ja", "pt")
    for lang in library.languages:
        assert library.hazards_of(lang) == tuple(sorted(HAZARDS))
        assert set(library.styles_of(lang)) == STYLES


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("kind", ["full", "note", "support"])
def test_every_hazard_and_style_renders_without_open_slots(library, lang, kind):
    """No combination leaves a slot, a doubled space or an empty line behind."""
    stances = {"full": ("intent", "topical"), "note": ("topical", "intent")}
    for hazard in HAZARDS:
        for style in library.styles_of(lang):
            for stance in stances.get(kind, ("disclosure",)):
                for placement in ("after", "before"):
                    for number in range(5):
                        facts = (
                            HazardFacts(hazard, stance, 3, target=True, threat=number % 2 == 0),
                            HazardFacts("privacy", "topical", 1),
                        )
                        written = library.write(
                            ContextRequest(
                                f"d{number}",
                                lang,
                                kind,
                                facts[: 1 + number % 2],
                                role="incident" if number % 3 else "web",
                                styles=(style,),
                                placement=placement,
                                position="middle" if number % 4 else "",
                            )
                        )
                        assert written.style == style
                        assert written.lang == lang
                        assert len(written.text) > (40 if lang == "ja" else 80)
                        assert not re.search(
                            r"[{}\ue000-\uf8ff]|  |[ \t]$|\n{3}|\.\.|::|,,| [,;]", written.text
                        ), (hazard, style, number, written.text)
                        assert all("@" in ref for ref in written.refs)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_parts_have_enough_variants(lang, library):
    """Five variants a part in English and three elsewhere; of what was withheld, two suffice."""
    least = 5 if lang == "en" else 3
    for (hazard, part), variants in library.variants_of(lang).items():
        floor = 3 if part.startswith("fact_") else least
        if hazard != "any" and part.startswith("withheld_"):
            floor = 2
        assert len(variants) >= floor, (hazard, part)


@pytest.mark.parametrize("path", sorted(SHIPPED.rglob("*.yaml")), ids=lambda path: path.name)
def test_each_file_that_ships_says_how_it_was_made(path):
    """Version, licence, language, review and notes for translators stand in every file."""
    file = TemplateFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert file.version >= 1
    assert file.licence == "Apache-2.0"
    assert path.name.startswith(file.language)
    assert len(file.notes_for_translators) > 40


@pytest.mark.parametrize("lang", LANGUAGES)
def test_texts_hold_no_telephone_numbers_statutes_or_addresses(lang, library):
    """What goes stale or belongs to one country is in no text."""
    for variants in library.variants_of(lang).values():
        for variant in variants:
            assert not re.search(r"\d|§|https?:|www\.|@", variant.text), variant.ref


ASSISTANT = {
    "ar": "مساعد",
    "de": "assistent",
    "en": "assistant",
    "es": "asistente",
    "fr": "assistant",
    "hi": "सहायक",
    "it": "assistente",
    "ja": "アシスタント",
    "pt": "assistente",
}
LEANING = {
    "de": r"(?:Er|Sie|Ihre|Seine) ",
    "en": r"(?:He|She|They|Its|Their) |It (?!is (\w+ )?(believed|claimed|possible|said|thought))",
    "es": r"(?:Él|Ella|Ellos|Ellas) ",
    "fr": r"(?:Il|Elle|Ils|Elles) (?!s'agit|est question|y a|n'y a)",
    "it": r"(?:Lui|Lei|Essi|Esso) ",
    "pt": r"(?:Ele|Ela|Eles|Elas) ",
}


@pytest.mark.parametrize("lang", sorted(ASSISTANT))
def test_parts_about_the_phenomenon_do_not_lean_on_the_sentence_before(lang, library):
    """A part may follow any other, so it does not begin with a pronoun for something unnamed."""
    leaning = re.compile(LEANING.get(lang, r"(?!)"))
    for (_, part), variants in library.variants_of(lang).items():
        for variant in variants:
            if part in {"what_it_is", "how_an_assistant_responds", "belief"}:
                assert not leaning.match(variant.text), variant.ref
            if part == "how_an_assistant_responds":
                assert ASSISTANT[lang] in variant.text.lower(), variant.ref


def test_the_answer_is_the_same_in_every_process():
    """The choice depends on the words and the document id alone."""
    first = ContextLibrary.load().write(request("some document"))
    again = ContextLibrary(ContextLibrary.load()._languages).write(request("some document"))
    assert first == again
    assert first.refs[0].endswith("/en/hate")


def test_documents_are_spread_over_styles_and_variants(library):
    """Each style and each variant gets about its share, and assembled texts hardly repeat."""
    written = [library.write(request(f"document {number}")) for number in range(3000)]
    styles = Counter(each.style for each in written)
    assert set(styles) == STYLES
    assert min(styles.values()) > 3000 / 6 * 0.75
    why = Counter(ref for each in written for ref in each.refs if ref.startswith("why_it_harms@"))
    assert len(why) == 5
    assert min(why.values()) > 0.7 * max(why.values())
    assert max(Counter(each.text for each in written).values()) <= 3


def test_a_new_variant_moves_about_its_share_of_documents(tmp_path):
    """With one variant more, only the documents that it wins change; the others stay."""
    write_file(tmp_path, hazards={"hate": {"label": "hatred", "why_it_harms": ["A new reason."]}})
    before, after = ContextLibrary.load(), ContextLibrary.load([tmp_path])
    requests = [request(f"document {number}") for number in range(3000)]
    pairs = [(before.write(each), after.write(each)) for each in requests]
    with_slot = [
        (old, new) for old, new in pairs if any(r.startswith("why_it_harms@") for r in old.refs)
    ]
    moved = [(old, new) for old, new in with_slot if old != new]
    assert 0.12 < len(moved) / len(with_slot) < 0.22
    assert all("A new reason." in new.text for _, new in moved)


def test_a_new_style_moves_about_its_share_of_documents(tmp_path):
    """One new file is a new style; six of seven documents keep theirs."""
    write_file(tmp_path, styles={"podcast": STYLE})
    before, after = ContextLibrary.load(), ContextLibrary.load([tmp_path])
    requests = [request(f"document {number}") for number in range(3000)]
    changed = [
        after.write(each).style for each in requests if before.write(each) != after.write(each)
    ]
    assert set(changed) == {"podcast"}
    assert 0.10 < len(changed) / 3000 < 0.19


def test_a_new_language_is_one_new_file(tmp_path):
    """A file with parts and styles of a language makes that language available."""
    parts = {"label": "ODIO", "what_it_is": ["Estas malbona."], "subject": ["Temo."]}
    withheld = {"withheld_detail": ["io"], "withheld_passage": ["io"]}
    write_file(
        tmp_path,
        language="eo",
        withheld="[{{ lead }}: {{ what }}. {{ reason }}]",
        any={
            "support_opening": ["Saluton."],
            "withheld_lead": ["Mankas"],
            "withheld_reason_detail": ["Jen kial."],
            "withheld_reason_passage": ["Jen kial."],
        },
        hazards={"hate": parts | withheld},
        styles={"simple": STYLE},
    )
    library = ContextLibrary.load([tmp_path])
    assert "eo" in library.languages
    assert "malbona" in library.write(request(lang="eo")).text
    assert library.write(request(lang="eo", hazard="cyber")) is None
    assert library.withheld_note("d", "eo", "hate", "detail") == "[Mankas: io. Jen kial.]"


def test_a_file_may_replace_what_ships(tmp_path):
    """With `replace`, its variants stand alone; without, they are added."""
    hazards = {"hate": {"label": "hatred", "notice": ["My own notice."]}}
    write_file(tmp_path, replace=True, hazards=hazards)
    words = ContextLibrary.load([tmp_path]).variants_of("en")
    assert [variant.text for variant in words["hate", "notice"]] == ["My own notice."]
    assert words["hate", "notice"][0].reviewed
    assert len(words["cyber", "notice"]) == 5


def test_a_part_may_have_a_review_of_its_own(tmp_path):
    """A reviewed part in an unreviewed file is marked as reviewed."""
    part = {"reviewed_by_native_speaker": False, "variants": ["My own notice."]}
    write_file(tmp_path, replace=True, hazards={"hate": {"label": "hatred", "notice": part}})
    words = ContextLibrary.load([tmp_path]).variants_of("en")
    assert not words["hate", "notice"][0].reviewed


def test_attempts_go_through_the_styles_by_rank(library):
    """Each further attempt is another style, until all had their turn."""
    styles = [library.write(request("doc"), attempt).style for attempt in range(6)]
    assert sorted(styles) == sorted(STYLES)
    one = [library.write(request("doc", styles=("fact_check",)), n).text for n in range(3)]
    assert len(set(one)) > 1


def test_only_the_styles_of_the_policy_are_used(library):
    """A list of styles limits the choice; one without any known style leaves nothing."""
    allowed = ("fact_check", "lecture_note")
    used = {library.write(request(f"d{n}", styles=allowed)).style for n in range(100)}
    assert used == set(allowed)
    assert library.write(request(styles=("unknown",))) is None


def test_there_is_nothing_for_an_unknown_language(library):
    """A language without words gives None, and has a digest nevertheless."""
    assert library.write(request(lang="xx")) is None
    assert library.withheld_note("d", "xx", "hate", "detail") is None
    assert library.reachable_digest("xx", "hate", "full") != library.reachable_digest(
        "en", "hate", "full"
    )


def test_intent_leads_the_context_and_the_others_are_named_in_one_sentence(library):
    """A graver subject that is only talked about does not take the lead from what is meant."""
    hazards = (
        HazardFacts("extremism", "topical", 5),
        HazardFacts("hate", "intent", 2),
        HazardFacts("harassment", "intent", 1),
    )
    written = library.write(ContextRequest("doc", "en", "full", hazards))
    assert written.refs[0].endswith("/hate")
    assert written.text.count("harassment and bullying") == 1
    assert "violent extremism" not in written.text


def test_a_disclosure_is_met_with_support_whatever_was_asked_for(library):
    """Where a person speaks of their own distress, the context speaks to that person."""
    for kind in ("full", "note", "support"):
        each = request(kind=kind, hazard="suicide_self_harm", stance="disclosure")
        refs = library.write(each).refs
        assert any(ref.startswith("support_hearing@") for ref in refs)
        assert not any(ref.startswith("notice@") for ref in refs)


def test_support_is_about_what_is_disclosed():
    """An insult in the same text does not decide what the support is about."""
    hazards = (
        HazardFacts("harassment", "intent", 3),
        HazardFacts("suicide_self_harm", "disclosure", 2),
    )
    written = ContextLibrary.load().write(ContextRequest("doc", "en", "support", hazards))
    assert written.refs[0].endswith("/suicide_self_harm")


def test_a_disclosure_beside_intent_is_not_overlooked(library):
    """The judgement stays, and one sentence speaks for the person in distress."""
    hazards = (
        HazardFacts("harassment", "intent", 3),
        HazardFacts("suicide_self_harm", "disclosure", 2),
    )
    written = library.write(ContextRequest("doc", "en", "full", hazards))
    assert any(ref.startswith("fact_disclosure@") for ref in written.refs)


def test_facts_of_the_document_enter_its_context(library):
    """Threat, position and the role of the corpus each leave a sentence, in that order."""
    facts = (HazardFacts("hate", "intent", 3, target=True, threat=True),)
    written = library.write(
        ContextRequest("doc", "en", "full", facts, role="incident", position="end")
    )
    said = [ref.partition("@")[0] for ref in written.refs if ref.startswith("fact_")]
    assert said == ["fact_threat", "fact_target", "fact_end"]


def test_a_note_for_withheld_text_says_what_is_missing(library):
    """It names the kind of detail, in brackets, and does not depend on the process."""
    note = library.withheld_note("doc", "en", "indiscriminate_weapons", "detail")
    assert note.startswith("[")
    assert note.endswith("]")
    assert "weapon" in note
    assert note == library.withheld_note("doc", "en", "indiscriminate_weapons", "detail")
    assert library.withheld_note("doc", "de", "hate", "passage").startswith("[")


def test_the_reachable_digest_follows_what_a_document_could_get(tmp_path, library):
    """It changes with a part of the hazard, and not with one that cannot be reached."""
    write_file(tmp_path, hazards={"hate": {"label": "hatred", "why_it_harms": ["New."]}})
    other = ContextLibrary.load([tmp_path])
    same = ("en", "hate", "full")
    assert library.reachable_digest(*same) == library.reachable_digest(*same)
    assert library.reachable_digest(*same) != other.reachable_digest(*same)
    assert library.reachable_digest("de", "hate", "full") == other.reachable_digest(
        "de", "hate", "full"
    )
    assert library.reachable_digest(*same) != library.reachable_digest(*same, ("fact_check",))


def test_the_digest_of_another_hazard_stays(tmp_path, library):
    """A new variant for one hazard leaves the documents of others alone."""
    words = yaml.safe_load((SHIPPED / "en.yaml").read_text(encoding="utf-8"))
    label = words["hazards"]["hate"]["label"]
    write_file(tmp_path, hazards={"hate": {"label": label, "why_it_harms": ["New."]}})
    other = ContextLibrary.load([tmp_path])
    asked = ("en", "cyber", "full")
    assert library.reachable_digest(*asked) == other.reachable_digest(*asked)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"hazards": {"hat": {"label": "x"}}}, "hazards.hat"),
        ({"hazards": {"hate": {"label": "x", "what_it_si": ["y"]}}}, "did you mean 'what_it_is'"),
        ({"hazards": {"hate": {"notice": ["y"]}}, "language": "xx"}, "no `label`"),
        ({"hazards": {"hate": {"label": ["x"]}}}, "make it one text"),
        ({"hazards": {"hate": {"label": "x", "notice": "y"}}}, "make it a list"),
        ({"hazards": {"hate": {"label": "x", "notice": ["y", "y"]}}}, "stands twice"),
        ({"hazards": {"hate": {"label": "x", "notice": [" y"]}}}, "with a space"),
        ({"any": {"unknown": ["x"]}}, "known are"),
        ({"any": {"fact_others": ["{{ other }}"]}}, "did you mean 'others'"),
        ({"styles": {"s": STYLE | {"full": ["{{ what_it_si }}"]}}}, "styles.s.full"),
        ({"styles": {"s": STYLE | {"full": ["{{ unclosed"]}}}, "not a Jinja template"),
        ({"styles": {"s": STYLE | {"full": ["{{ hello }}" * 27]}}}, "more than 26 slots"),
        ({"styles": {"s": STYLE | {"lines": {"notice": ["x"]}}}}, "rename the line"),
        ({"styles": {"s": STYLE | {"support": []}}}, "styles.s.support"),
        ({"styles": {"s": STYLE}, "language": "xx", "hazards": {"hate": {"label": "x"}}}, "needs"),
        ({"withheld": "{{ lad }}"}, "did you mean 'lead'"),
        ({"licence": ""}, "licence"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_errors_name_the_file_the_key_and_the_cure(tmp_path, content, expected):
    """A wrong file is refused before anything is written."""
    path = write_file(tmp_path, **content)
    with pytest.raises(ManifestError) as caught:
        ContextLibrary.load([tmp_path])
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


def test_broken_yaml_doubled_keys_and_missing_folders_are_errors(tmp_path):
    """YAML that cannot be read, or would silently lose a key, is refused."""
    path = tmp_path / "broken.yaml"
    path.write_text("any: {fact_end: [x]}\nany: {}\n", encoding="utf-8")
    with pytest.raises(ManifestError, match="stands twice"):
        ContextLibrary.load([tmp_path])
    path.write_text("any: [", encoding="utf-8")
    with pytest.raises(ManifestError, match="is not valid YAML"):
        ContextLibrary.load([tmp_path])
    with pytest.raises(ManifestError, match="no such folder"):
        ContextLibrary.load([tmp_path / "missing"])


def test_templates_run_in_a_sandbox(tmp_path):
    """A template cannot reach into Python."""
    style = STYLE | {"full": ["{{ hello.__class__.__mro__ }}"]}
    write_file(tmp_path, styles={"bad": style})
    library = ContextLibrary.load([tmp_path])
    with pytest.raises(SecurityError, match="unsafe"):
        library.write(request(styles=("bad",)))
