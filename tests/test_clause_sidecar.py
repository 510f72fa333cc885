"""Authors own their policy: what they note of a clause holds as long as its words do."""

from pathlib import Path

import pytest

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.clause import Clause
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clause_sidecar import (
    Sidecar,
    apply_sidecar,
    read_sidecar,
    unknown_clauses,
)
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.policy_document import PolicyDocument, read_policy

TEXT = """# Reports

Harm grows while nobody looks.

The owner must report harm within two days.

The team should keep a diary.
"""


def read(text: str = TEXT) -> tuple[PolicyDocument, list[Clause]]:
    document = read_policy(text, "markdown", "doc", "en")
    return document, extract_clauses(document, shipped_packs())


def sidecar(name: str, **note: object) -> Sidecar:
    return Sidecar.model_validate({"version": 1, "clauses": {name: note}})


def test_notes_reach_their_clause_only() -> None:
    """Rationale, carve-out, sign-off and not teaching hold for the clause that is named."""
    document, clauses = read()
    notes = sidecar(
        clauses[0].id,
        rationale="Early help is easier.",
        carve_out="unless the regulator asked for silence",
        signed_off={"by": "Compliance", "on": "2026-03-01"},
        teach=False,
    )
    (first, second), unapplied = apply_sidecar(document, clauses, notes)
    assert (first.rationale, first.signed_off, first.teach) == (
        "Early help is easier.",
        True,
        False,
    )
    assert first.carve_out == "unless the regulator asked for silence"
    assert (second.rationale, second.signed_off, second.teach) == (None, False, True)
    assert unapplied == []


def test_override_is_a_stretch_of_the_document() -> None:
    """A field is overridden by words of the clause or its section; null empties it."""
    document, clauses = read()
    notes = sidecar(
        clauses[0].id,
        override={
            "modality": "recommendation",
            "action": "report harm",
            "quantity": None,
            "rationale": "Harm grows while nobody looks",
        },
    )
    (first, _), unapplied = apply_sidecar(document, clauses, notes)
    assert unapplied == []
    assert first.clause.modality == "recommendation"
    assert first.clause.quantity is None
    assert first.clause.action is not None
    assert first.clause.rationale is not None
    assert document.words(first.clause.action) == "report harm"
    assert document.words(first.clause.rationale) == "Harm grows while nobody looks"


def test_invented_override_is_reported_and_changes_nothing() -> None:
    """Words that the document does not have are no field of a clause."""
    document, clauses = read()
    notes = sidecar(clauses[0].id, override={"actor": "The emperor"})
    (first, _), (fault,) = apply_sidecar(document, clauses, notes)
    assert first.clause == clauses[0]
    assert "actor" in str(fault)
    assert "emperor" not in str(fault)


def test_notes_survive_a_new_version_where_the_clause_is_unchanged() -> None:
    """Other headings, order and neighbours do not move the id of a clause."""
    _, clauses = read()
    notes = sidecar(clauses[0].id, teach=False)
    document, changed = read("# New\n\nIntro.\n\n## Duty\n\n- " + TEXT.split("\n\n")[2] + "\n")
    (only,), _ = apply_sidecar(document, changed, notes)
    assert not only.teach


def test_unknown_clause_names_what_it_may_have_become() -> None:
    """A note on a clause whose words changed is reported with the clause that is most alike."""
    _, clauses = read()
    notes = sidecar(clauses[0].id, quote="The owner must report harm within two days.")
    new = read(TEXT.replace("two days", "three days"))
    (fault,) = unknown_clauses(notes, [new])
    assert fault.nearest == new[1][0].id
    assert clauses[0].id in str(fault)
    (gone,) = unknown_clauses(sidecar("0" * 16, quote="Nothing of this kind"), [new])
    assert gone.nearest is None
    assert unknown_clauses(notes, [read()]) == []


def test_wrong_file_says_what_is_wrong(tmp_path: Path) -> None:
    """An id that is none, or a field that is not known, is a fault of the file."""
    path = tmp_path / "policy.clauses.yaml"
    path.write_text("version: 1\nclauses:\n  abc: {teach: false}\n")
    with pytest.raises(ManifestError, match="16 hexadecimal digits"):
        read_sidecar(path)
    path.write_text("version: 1\nclauses:\n  0123456789abcdef: {override: {verb: x}}\n")
    with pytest.raises(ManifestError, match="verb"):
        read_sidecar(path)
