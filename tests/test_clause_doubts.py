"""Clauses and fields that leave a doubt are refused."""

import pytest

from benchmarks.draw_exercises import allowed, drawn, passage
from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.exercise_gates import CROSS_LINGUAL, foreign
from raicurate.transforms.exercise_language import text_language
from raicurate.transforms.lesson import Lesson, Subject
from raicurate.transforms.make_exercises import make_exercises
from raicurate.transforms.policy_document import read_policy

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
    """A definition begins with its noun: "una medida que ..."."""
    text = "## Definiciones\n\nUn control es una medida que reduce el riesgo de un daño."
    subject = subject_of(text, "es")
    assert subject.text.fields["action"].startswith("medida que reduce")


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
