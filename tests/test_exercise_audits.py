"""The audits pass on what is made well, and fail on each fault that is planted."""

import hashlib
import random

import pytest

from raicurate.corpora_manifests.errors import GateError
from raicurate.pipelines.exercise_audit import gate_error
from raicurate.transforms.exercise_audits import audit, chi_squared_tail, faults
from raicurate.transforms.exercise_gates import Gates, Seen, near_key

VERBS = ("close", "paint", "lend", "wash", "carry", "sell")
THINGS = ("door", "boat", "lamp", "coat", "drum", "cart", "bell", "rope", "tent", "oven")
ACTS = [f"{verb} the {thing}" for verb in VERBS for thing in THINGS]


def rows(count=900):
    """Returns choices whose right option is in no way special, each with a case."""
    made = []
    for number in range(count):
        draw = random.Random(number)
        options = draw.sample(ACTS, 4)
        verdict = draw.choice(["violates", "complies", "violates", "complies", "not_covered"])
        made.append(
            {
                "id": hashlib.sha256(str(number).encode()).hexdigest(),
                "family": "cloze",
                "language": "en",
                "document": f"document {number % 97}",
                "question": f"Which act does rule {_word(number)} of {_word(number * 7)} name?",
                "choices": options,
                "answer": draw.choice(options),
                "verdict": None,
                "rationale": "",
                "situation": None,
            }
        )
        choices = ["violates", "complies", "not covered"]
        draw.shuffle(choices)
        made.append(
            {
                **made[-1],
                "family": "judgement",
                "question": f"How is case {_word(number)} judged by rule {_word(number * 3)}?",
                "choices": choices,
                "answer": verdict.replace("_", " "),
                "verdict": verdict,
                "situation": f"Someone will {draw.choice(ACTS)}.",
            }
        )
    return made


def _word(number):
    return "".join(chr(97 + int(digit)) for digit in str(number))


def failed(found):
    return {result.audit for result in faults(found)}


def test_fair_exercises_pass():
    """Nothing is found where nothing is planted."""
    assert failed(audit(rows())) == set()


def test_position_bias_is_found():
    """A right option that mostly stands first fails the chi-squared test."""
    planted = rows()
    for number, row in enumerate(planted):
        if number % 3 == 0:
            rest = [choice for choice in row["choices"] if choice != row["answer"]]
            row["choices"] = [row["answer"], *rest]
    assert "position" in failed(audit(planted))


def test_longest_answer_is_found():
    """Right options that are longer than the others fail."""
    planted = rows()
    for row in planted:
        if row["family"] == "cloze":
            longer = row["answer"] + " without delay"
            row["choices"] = [longer if c == row["answer"] else c for c in row["choices"]]
            row["answer"] = longer
    assert "longest_answer" in failed(audit(planted))


def test_leaked_answer_is_found():
    """A word that only right options have is learned by the model that sees options alone."""
    planted = rows()
    for row in planted:
        if row["family"] == "cloze":
            marked = row["answer"].replace("the", "that")
            row["choices"] = [marked if c == row["answer"] else c for c in row["choices"]]
            row["answer"] = marked
    assert "options_alone" in failed(audit(planted))


def test_majority_answer_is_found():
    """A verdict that is right far too often fails."""
    planted = rows()
    for number, row in enumerate(planted):
        if row["family"] == "judgement" and number % 3:
            row["answer"], row["verdict"] = "violates", "violates"
    assert "majority_answer" in failed(audit(planted))


def test_case_that_tells_its_verdict_is_found():
    """A model that sees the case alone must not tell the verdict."""
    planted = rows()
    for row in planted:
        if row["situation"]:
            row["situation"] += " Sadly." if row["verdict"] == "violates" else " Gladly."
    assert "case_alone" in failed(audit(planted))


@pytest.mark.parametrize("slot", ["{{ clause }}", "“”", "«»"])
def test_open_slot_is_found(slot):
    """A slot that nothing filled fails."""
    planted = rows()
    planted[5]["question"] += f" {slot}"
    assert failed(audit(planted)) == {"open_slot"}


def test_duplicates_are_found():
    """The same exercise twice fails, and so does one that differs in a number only."""
    planted = rows()
    planted.append(dict(planted[0]))
    assert {"duplicate", "near_duplicate"} <= failed(audit(planted))
    planted = rows()
    planted.append({**planted[0], "question": planted[0]["question"] + " 12"})
    assert failed(audit(planted)) == {"near_duplicate"}


def test_repeated_probe_items_are_found(tmp_path):
    """Thirteen words in a row of a probe item fail."""
    words = " ".join(_word(number) for number in range(100, 120))
    path = tmp_path / "probe.jsonl"
    path.write_text(f'{{"question": "{words}"}}\n')
    gates = Gates.load([str(path)])
    planted = rows()
    assert "probe_overlap" not in failed(audit(planted, gates))
    planted[3]["question"] += f" {words}"
    assert "probe_overlap" in failed(audit(planted, gates))


def test_other_languages_are_found():
    """A text in another language than its record says fails."""
    planted = rows()
    planted[0]["question"] = "Welche Regel gilt hier? " * 5

    def language_of(texts):
        return ["de" if "Regel" in text else "en" for text in texts]

    assert "language" in failed(audit(planted, language_of=language_of))


def test_failed_audit_is_a_gate():
    """The error says which audit failed, and ends the command with 5."""
    planted = rows()
    planted.append(dict(planted[0]))
    error = gate_error(audit(planted))
    assert isinstance(error, GateError)
    assert error.exit_code == 5
    assert gate_error(audit(rows())) is None


@pytest.mark.parametrize(("statistic", "degrees"), [(3.841, 1), (5.991, 2), (7.815, 3), (9.488, 4)])
def test_chi_squared_tail_is_that_of_the_tables(statistic, degrees):
    """The 5 % points of the usual tables."""
    assert chi_squared_tail(statistic, degrees) == pytest.approx(0.05, abs=2e-4)


def test_seen_remembers():
    """What was added is there, what was not is not."""
    seen = Seen()
    keys = [near_key(f"question {_word(number)}", "answer") for number in range(2000)]
    assert not any(seen.add(key) for key in keys)
    assert all(seen.add(key) for key in keys)
