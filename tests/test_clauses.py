"""Clauses are found where a policy states them, and every part is a stretch of the document."""

from raicurate.transforms.clause import Clause
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.policy_document import PolicyDocument, read_policy


def read(text: str, language: str = "en") -> tuple[PolicyDocument, list[Clause]]:
    document = read_policy(text, "markdown", "doc", language)
    return document, extract_clauses(document, shipped_packs())


def test_parts_of_an_obligation_are_stretches_of_the_text() -> None:
    """Actor, modal, action, condition, exception and quantity are read at their offsets."""
    text = (
        "# Data\n\nIf a breach is found, the **owner** must report it within 24 hours, "
        "unless the data were encrypted.\n"
    )
    document, (clause,) = read(text)
    assert clause.modality == "obligation"
    assert clause.section == ("Data",)
    fields = {
        name: document.words(span)
        for name in ("actor", "modal", "action", "condition", "exception", "quantity")
        if (span := getattr(clause, name)) is not None
    }
    assert fields == {
        "actor": "the owner",
        "modal": "must",
        "action": "report it within 24 hours",
        "condition": "If a breach is found",
        "exception": "unless the data were encrypted",
        "quantity": "24 hours",
    }


def test_items_inherit_the_modality_of_their_lead() -> None:
    """Each item of a list is a clause of its own, kept with the sentence before the list."""
    text = "You must not:\n\n- share passwords\n- sell personal data\n"
    document, clauses = read(text)
    assert [clause.modality for clause in clauses] == ["prohibition", "prohibition"]
    assert [document.words(c.lead) for c in clauses if c.lead] == ["You must not:"] * 2
    assert [document.words(clause.span) for clause in clauses] == [
        "share passwords",
        "sell personal data",
    ]


def test_german_negation_turns_a_permission_around() -> None:
    """What stands between verb and negation belongs to the action."""
    document, (clause,) = read("Mitarbeiter dürfen Kundendaten nicht weitergeben.", "de")
    assert clause.modality == "prohibition"
    assert clause.negation is not None
    assert clause.action is not None
    assert document.words(clause.negation) == "nicht"
    assert document.words(clause.action) == "Kundendaten nicht weitergeben"


def test_language_without_pack_has_no_clauses() -> None:
    """Nothing is guessed in a language without a pack, and the language is reported."""
    _, clauses = read("Você deve fazer isso.", "xx")
    assert clauses == []
    assert shipped_packs().missing(["en", "xx", None]) == {"und": 1, "xx": 1}
