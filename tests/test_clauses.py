"""Clauses are found where a policy states them, and every part is a stretch of the document."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.transforms.clause import Clause, Span
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


@pytest.mark.parametrize(
    ("language", "text", "modality"),
    [
        ("en", "Users may appeal within 14 days.", "permission"),
        ("en", "Attackers can read the file.", None),
        ("en", "Must we do this?", None),
        ("en", "Please report abuse.", "recommendation"),
        ("en", "Use of cookies is described below.", None),
        ("en", "Never share a password.", "prohibition"),
        ("en", "A breach is an event that exposes data.", "definition"),
        ("en", "Your account will be suspended.", "consequence"),
        ("en", "This rule does not apply to guests.", "exception"),
        ("en", "The purpose of this policy is to protect people.", "purpose"),
        ("en", "Members who must travel are insured.", None),
        ("en", "The board shall, if asked, give its reasons.", "obligation"),
        ("en", "Visitors shall have the right to complain.", "permission"),
        ("en", "Welcome to the handbook of the club!", None),
        ("en", "Another example is the test of a form.", None),
        ("en", "We do not grant you any rights to the name.", None),
        ("de", "Der Betreiber muss Vorfälle melden.", "obligation"),
        ("de", "Sie müssen dies nicht angeben.", "permission"),
        ("de", "Verwenden Sie lange Passwörter.", "recommendation"),
        ("de", "Geben Sie keine Passwörter weiter.", "prohibition"),
        ("de", "Sollte etwas fehlen, gilt die alte Fassung.", None),
        (
            "de",
            "Je nach Lage (und davon, wer fragt) sind wir berechtigt, zu schweigen.",
            "permission",
        ),
        ("de", "Um teilnehmen zu können, müssen Sie zustimmen.", "obligation"),
        ("de", "Manche Seiten haben Werkzeuge, mit denen Sie schreiben können.", None),
        ("de", "Wenn Sie wissen möchten, wie es geht, lesen Sie die Anleitung.", "recommendation"),
        ("de", "Überprüfen und löschen Sie alte Daten.", "recommendation"),
        ("de", "Folge: Eine Verwarnung durch das Team.", "consequence"),
        ("fr", "Vous ne devez pas partager votre compte.", "prohibition"),
        ("fr", "Il est recommandé de chiffrer les données.", "recommendation"),
        ("fr", "Vous pouvez retirer votre consentement.", "permission"),
        ("fr", "Le responsable doit informer les personnes.", "obligation"),
        ("es", "Los usuarios no deben compartir contraseñas.", "prohibition"),
        ("es", "Se recomienda cifrar los datos.", "recommendation"),
        ("es", "El proveedor deberá notificar el incidente.", "obligation"),
        ("es", "Usted puede solicitar una copia.", "permission"),
        ("es", "La herramienta permite a los atacantes leer datos.", None),
        ("es", "También puede pedir una copia.", "permission"),
        ("es", "El atacante puede pedir una copia.", None),
        (
            "es",
            "La copia de seguridad (copia, por abreviar) se refiere a un duplicado.",
            "definition",
        ),
        ("it", "Gli utenti devono rispettare le regole.", "obligation"),
        ("it", "Non è consentito condividere la password.", "prohibition"),
        ("it", "Si consiglia di cifrare i dati.", "recommendation"),
        ("it", "L'utente può essere soggetto a sanzioni.", "consequence"),
        ("it", "Proteggere i dati è fondamentale.", None),
        ("pt", "Os usuários devem respeitar as regras.", "obligation"),
        ("pt", "É proibido compartilhar senhas.", "prohibition"),
        ("pt", "Recomendamos o uso de senhas longas.", "recommendation"),
        ("ja", "利用者は、パスワードを共有してはならない。", "prohibition"),
        ("ja", "事業者は、事故を直ちに報告しなければならない。", "obligation"),
        ("ja", "長いパスワードを使用することを推奨します。", "recommendation"),
        ("ja", "これは、対処する必要がある問題を示します。", None),
        ("ja", "これを理解することは、重要な課題の一つです。", None),
        ("hi", "उपयोगकर्ता को पासवर्ड साझा नहीं करना चाहिए।", "prohibition"),
        ("hi", "डेटा को एन्क्रिप्ट करना अनिवार्य है।", "obligation"),
        ("ar", "يجب على المستخدم حماية كلمة المرور.", "obligation"),
        ("ar", "لا يجوز للمستخدم مشاركة كلمة المرور.", "prohibition"),
    ],
)
def test_modality(language: str, text: str, modality: str | None) -> None:
    """Each language tells rules of every kind from facts, possibilities and questions."""
    _, clauses = read(f"# Title\n\n{text}\n", language)
    assert [clause.modality for clause in clauses] == ([modality] if modality else [])


def test_title_leads_to_its_list() -> None:
    """Items under a title that says what they are inherit from it."""
    document, clauses = read(
        "## Unacceptable behavior\n\n- Threats of any kind\n- Insults of people\n"
    )
    assert [clause.modality for clause in clauses] == ["prohibition", "prohibition"]
    assert clauses[0].lead is not None
    assert document.words(clauses[0].lead) == "Unacceptable behavior"


def test_an_item_may_prohibit_in_a_list_of_good_practice() -> None:
    """What an item forbids outright is not taken for what its list recommends."""
    _, clauses = read("## Best practices\n\n- Long passwords\n- Never share a password\n")
    assert [clause.modality for clause in clauses] == ["recommendation", "prohibition"]


def test_a_note_in_parentheses_leads_to_no_list() -> None:
    """What stands above a list in parentheses says nothing about its items."""
    _, clauses = read("(Part 2: Codes and Guidelines)\n\n- the name of the person\n")
    assert clauses == []


def test_restricted_permission_is_told_apart() -> None:
    """Where something "may only" be done, no more than that is permitted."""
    _, (only,) = read("Staff may only open files that they need.")
    _, (free,) = read("Staff may open files that they need.")
    assert (only.restricted, free.restricted) == (True, False)


def test_id_depends_on_the_words_alone() -> None:
    """Case, spacing, markup and place do not change the id; a word does."""
    ids = {
        read(text)[1][0].id
        for text in (
            "You must leave.",
            "# A\n\nyou  **must**\nleave.",
            "- You must leave.",
        )
    }
    assert len(ids) == 1
    assert read("You must stay.")[1][0].id not in ids


def test_every_phrase_of_every_pack_is_read() -> None:
    """All packs that ship can be used."""
    packs = shipped_packs()
    assert set(packs.languages) >= {"ar", "de", "en", "es", "fr", "hi", "it", "ja", "pt"}
    for language in packs.languages:
        assert packs.get(f"{language}-XX") is packs.get(language)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            ["You", "must", "not", "may only", "if", ",", "unless", ".", "\n\n- ", ":", "means",
             "because", "\"AI\"", "**", "do not", "share", "need not", "İ", "(", ")", "?", "# "]
        ),
        max_size=30,
    ).map(" ".join),
    st.sampled_from(["en", "de", "ja", "ar"]),
)  # fmt: skip
def test_every_part_stands_in_the_text(text: str, language: str) -> None:
    """Whatever the text, each field is a stretch of it that has words."""
    document, clauses = read(text, language)
    assert len({clause.id for clause in clauses}) == len(clauses)
    for clause in clauses:
        for span in (getattr(clause, field.name) for field in dataclasses.fields(clause)):
            if isinstance(span, Span):
                assert 0 <= span.start < span.end <= len(text)
                assert document.words(span)
