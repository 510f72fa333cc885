import pytest

from raicurate.exercise_templates.exercises import ExerciseLibrary
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.deontic import VERDICTS
from raicurate.transforms.make_exercises import make_exercises
from raicurate.transforms.policy_document import read_policy

RULES = """# House rules

## Keys

Tenants must lock the front door when they leave the building at night.

Tenants must not lend their key to guests, unless the landlord has agreed in writing.

Visitors may use the bicycle room.

Tenants must report a lost key within 24 hours, because every lost key puts all at risk.

## Garden

Gardeners must not burn leaves.

Children may climb the apple tree.

Owners must trim hedges in spring.

Musicians must not play drums after supper.
"""


@pytest.fixture(scope="module")
def library():
    return ExerciseLibrary.load()


@pytest.fixture(scope="module")
def exercises(library):
    document = read_policy(RULES, "markdown", "house", "en")
    clauses = extract_clauses(document, shipped_packs())
    return list(make_exercises(document, clauses, library))


def of(exercises, family):
    return [exercise for exercise in exercises if exercise.family == family]


def test_answers_are_words_of_the_clause(exercises):
    """Who, when, how much and why are answered in the words of the document."""
    answers = " ".join(exercise.answer for exercise in of(exercises, "compliance"))
    assert "when they leave the building at night" in answers
    assert "24 hours" in answers
    assert "every lost key puts all at risk" in of(exercises, "why")[0].answer


def test_the_question_hides_its_answer(exercises):
    """What is asked for does not stand in the question."""
    for exercise in of(exercises, "why"):
        assert "puts all at risk" not in exercise.question


def test_verdicts_follow_the_truth_table(exercises):
    """A rule done or left undone is judged by its modality, in words that fit it."""
    judged = of(exercises, "judgement")
    assert judged
    for exercise in judged:
        assert exercise.verdict in VERDICTS
        assert exercise.answer in exercise.choices
        assert len(exercise.choices) == 3
    burnt = [e for e in judged if e.situation and "Gardeners will burn leaves." in e.situation]
    own = [e for e in burnt if "must not burn leaves" in e.question.replace(e.situation or "", "")]
    for exercise in own:
        refused = any(
            word in exercise.question
            for word in ("not going", "will not be done", "against", "given up", "Nobody")
        )
        assert exercise.verdict == ("complies" if refused else "violates")


def test_as_many_cases_violate_as_comply(exercises):
    """So that the verdict cannot be guessed."""
    verdicts = [exercise.verdict for exercise in of(exercises, "judgement")]
    assert verdicts.count("violates") == verdicts.count("complies") > 0


def test_twins_differ_in_their_verdict(exercises):
    """A met exception turns a violation into compliance; the twin says so."""
    pairs = of(exercises, "twin")
    assert any("The landlord has agreed in writing." in pair.question for pair in pairs)
    for pair in pairs:
        found = [
            phrase
            for phrase in (
                "It violates the clause.",
                "It complies with the clause.",
                "The clause does not cover it.",
            )
            if phrase in pair.answer
        ]
        assert len(found) == 2


def test_every_exercise_has_support_and_a_unique_id(exercises):
    """Support lies within the document, and ids do not repeat."""
    assert len({exercise.id for exercise in exercises}) == len(exercises)
    for exercise in exercises:
        assert exercise.support
        assert all(0 <= span.start < span.end <= len(RULES) for span in exercise.support)


def test_no_more_than_three_of_a_family_and_clause(exercises):
    """A clause is not worn out by one family."""
    counts = {}
    for exercise in exercises:
        place = (exercise.family, exercise.clause_ids[0])
        counts[place] = counts.get(place, 0) + 1
    assert max(counts.values()) <= 3


def test_same_clauses_same_exercises(exercises, library):
    """A second time gives the same, word for word."""
    document = read_policy(RULES, "markdown", "house", "en")
    clauses = extract_clauses(document, shipped_packs())
    assert list(make_exercises(document, clauses, library)) == exercises


def test_a_withheld_clause_stands_nowhere(library):
    """What is not taught is in no question, distractor or circumstance."""
    document = read_policy(RULES, "markdown", "house", "en")
    clauses = extract_clauses(document, shipped_packs())
    taught = [clause for clause in clauses if "bicycle" not in document.words(clause.span)]
    assert len(taught) < len(clauses)
    for exercise in make_exercises(document, taught, library):
        said = " ".join((exercise.question, *exercise.choices, exercise.answer))
        assert "bicycle" not in said


def test_refusals_need_consent(exercises):
    """A family that needs consent is made only where it is named."""
    assert not of(exercises, "refusal")
    document = read_policy(RULES, "markdown", "house", "en")
    clauses = extract_clauses(document, shipped_packs())
    library = ExerciseLibrary.load(consented=("refusal",))
    assert of(make_exercises(document, clauses, library), "refusal")


def test_language_without_words_gives_nothing(library):
    """A language that nobody has written words for is left alone."""
    clauses = extract_clauses(read_policy(RULES, "markdown", "house", "en"), shipped_packs())
    document = read_policy(RULES, "markdown", "house", "xx")
    assert list(make_exercises(document, clauses, library)) == []
