"""Clauses and fields that leave a doubt are refused."""

from pathlib import Path

import pytest
import yaml

from benchmarks.draw_exercises import allowed, drawn, passage
from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.exercise_gates import CROSS_LINGUAL, foreign
from raicurate.transforms.exercise_language import text_language
from raicurate.transforms.lesson import Lesson, Subject
from raicurate.transforms.make_exercises import make_exercises
from raicurate.transforms.policy_document import read_policy
from raicurate.transforms.worded_cases import case_writer

LIBRARY = ExerciseLibrary.load()


def lesson_of(text: str, language: str = "en") -> Lesson:
    """Returns the clauses of a text as they can be asked about."""
    document = read_policy(text, "markdown", "d", language)
    clauses = extract_clauses(document, shipped_packs())
    assert clauses, "no clause was found, so nothing is tested"
    return Lesson("d", clauses, document.words, LIBRARY.languages[language])


def subject_of(text: str, language: str = "en") -> Subject:
    """Returns the only clause of a text."""
    (subject,) = lesson_of(text, language).subjects
    return subject


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "You can also send a notification to [](mailto:x@example.org)."),
        ("en", 'An example of a rule is "Machines must not be open to the network."'),
        ("en", "The tool allows users to search for a report."),
        ("en", "This doesn't mean the team should answer every letter that comes."),
        ("en", "You May Receive a Notice"),
        ("it", "L'SSO consente agli utenti di accedere a più sistemi con un unico set."),
    ],
)
def test_clause_is_refused(language: str, text: str) -> None:
    """Remnants of links, quoted examples, descriptions, denials and titles give no exercise."""
    assert lesson_of(text, language).subjects == []


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("You must keep the report where the team met.", "condition"),
        ("You must tell users of limits as well as when they are on hold.", "condition"),
        ("Staff must check if the letter was sent to the team.", "condition"),
        ("If the letter is late, remind the sender, you must call the team.", "condition"),
        ("You must be able to protect the data of all customers.", "rationale"),
    ],
)
def test_field_is_left_out(text: str, field: str) -> None:
    """What may be a place, a question or a complement is no condition and no reason."""
    assert all(field not in subject.text.fields for subject in lesson_of(text).subjects)


def test_sound_fields_stay() -> None:
    """A condition, an exception and a reason without doubt are kept, and the clause is settled."""
    subject = subject_of("If a letter is lost, the team must call the sender.")
    assert subject.text.fields["condition"] == "If a letter is lost"
    assert subject.is_settled
    kept = subject_of("Staff must not open a letter unless the sender agrees.")
    assert kept.text.fields["exception"] == "unless the sender agrees"
    reasoned = subject_of("Staff must lock the door in order to protect the archive.")
    assert reasoned.text.fields["rationale"] == "in order to protect the archive"


def test_hedged_clause_is_not_taken_apart() -> None:
    """Where a condition may have been missed, nothing is said about the lack of one."""
    document = read_policy("You must answer letters during the summer.", "markdown", "d", "en")
    clauses = extract_clauses(document, shipped_packs())
    made = list(make_exercises(document, clauses, LIBRARY))
    assert not any(exercise.template.startswith("explain.rule") for exercise in made)


def test_imperative_is_an_instruction() -> None:
    """An imperative is called an instruction, and is no advice."""
    assert subject_of("Keep the door of the archive shut.").force == "instruction"
    assert subject_of("You should keep the door of the archive shut.").force == "recommendation"


def test_units_are_whole_words() -> None:
    """A unit within a word is none: "une expérience sans" sets no measure."""
    text = "Nous nous engageons à offrir une expérience sans harcèlement à tous les membres."
    assert all("quantity" not in s.text.fields for s in lesson_of(text, "fr").subjects)
    subject = subject_of("Le responsable doit répondre dans un délai de 30 jours.", "fr")
    assert "30 jours" in subject.text.fields["quantity"]


def test_noun_of_a_definition_stays() -> None:
    """A definition keeps its noun and its article: "una medida que ..."."""
    text = "## Definiciones\n\nUn control es una medida que reduce el riesgo de un daño."
    subject = subject_of(text, "es")
    assert subject.text.fields["action"].startswith("una medida que reduce")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "## Trust\n\nTrust is a recent concept that arose with the cloud."),
        ("es", "## Confianza\n\nLa confianza es un concepto relativamente nuevo en la red."),
        ("ja", "コミュニティへの影響: 不適切な言葉を使用すること。"),
        ("ja", "この道具は、利用者が多くの部屋にアクセスできるようにします。"),
        ("en", "Do not hesitate to call the team."),
    ],
)
def test_what_rules_or_defines_nothing_is_refused(language: str, text: str) -> None:
    """News of a term, named effects, descriptions and encouragement give no exercise."""
    document = read_policy(text, "markdown", "d", language)
    clauses = extract_clauses(document, shipped_packs())
    lesson = Lesson("d", clauses, document.words, LIBRARY.languages[language])
    assert lesson.subjects == []


def test_purpose_behind_a_relative_clause_is_no_reason() -> None:
    """The measures, and not describing them, serve the purpose."""
    (subject,) = lesson_of("Décrivez les mesures prises pour garantir la qualité.", "fr").subjects
    assert "rationale" not in subject.text.fields
    told = subject_of("You must keep a list of doors that were shut to protect the archive.")
    assert "rationale" not in told.text.fields


def test_gap_hides_no_second_rule() -> None:
    """What is left around a gap belongs to the same rule as what it hides."""
    text = (
        "The members of the team of the archive must keep the door shut "
        "and they must answer all letters."
    )
    assert subject_of(text).rule_without(("action",), blank=True) is None
    one = "The members of the team of the archive must keep the door of the archive shut."
    assert subject_of(one).rule_without(("action",), blank=True) is not None


def test_what_can_be_done_and_is_not_is_not_judged() -> None:
    """Readers differ on whether leaving a possibility unused complies or is not covered."""
    lesson = lesson_of("You can paint the door of the archive green.")
    (case,) = [c for c in case_writer(lesson).cases(lesson.subjects[0]) if not c.others]
    assert case.cell == "done"
    allowed_ = lesson_of("You may paint the door of the archive green.")
    assert len(case_writer(allowed_).cases(allowed_.subjects[0])) == 2


def test_sample_of_judged_exercises_says_what_it_counts() -> None:
    """The judged sample holds 200 exercises, and its head the counts of what it holds."""
    path = Path(__file__).parent.parent / "benchmarks" / "exercise_sample.yaml"
    text = path.read_text(encoding="utf-8")
    judged = yaml.safe_load(text)["judged"]
    assert len({record["id"] for record in judged}) == 200
    assert all(record["note"] for record in judged if not (record["sound"] and record["same"]))
    counts = [len(judged), *(sum(record[name] for record in judged) for name in ("sound", "same"))]
    head = next(line for line in text.splitlines() if line.startswith("# all"))
    assert [int(number) for number in head.split()[2:5]] == counts


def test_sentence_without_its_beginning_shows_it() -> None:
    """German puts the verb second, so that a cut at the beginning is marked."""
    text = "Um Schaden zu vermeiden, sollten alle Mitglieder das Archiv abends schließen."
    rule = subject_of(text, "de").rule_without(("rationale",), blank=False)
    assert rule is not None
    assert rule.startswith("„[…], sollten alle")


def test_answers_in_another_language_are_found() -> None:
    """Question and answer are each in the language of the exercise, but for telling it abroad."""
    english = "Which condition does the document attach to the rule about letters, and to whom is it addressed?"  # noqa: E501
    german = "Die Regel hängt von einer Bedingung ab, die das Dokument im zweiten Abschnitt ausdrücklich nennt."  # noqa: E501
    rows = [
        ("en", "explain", english, german, ""),
        ("en", "explain", english, english, ""),
        ("en", CROSS_LINGUAL, english, german, ""),
        ("de", "explain", english, german, ""),
    ]
    assert list(foreign(rows, text_language())) == [True, False, False, True]


def test_draw_takes_every_family_and_language() -> None:
    """Families and languages take turns, the same for the same seed; licences are observed."""
    rows = [
        {"id": f"{family}{language}{n}", "family": family, "language": language}
        for family in ("a", "b")
        for language in ("en", "de")
        for n in range(20)
    ]
    chosen = drawn(rows, "seed", 8)
    assert chosen == drawn(rows[::-1], "seed", 8)
    assert chosen != drawn(rows, "another", 8)
    assert len({(row["family"], row["language"]) for row in chosen}) == 4
    assert allowed("CC0-1.0")
    assert not allowed("CC-BY-SA-4.0")
    assert not allowed(None)
    text = "First line.\nThe rule stands here.\nLast line."
    assert passage(text, [{"start": 12, "end": 33}]) == text
    assert len(passage("x" * 9000, [{"start": 4000, "end": 4100}])) <= 1600
