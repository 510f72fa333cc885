"""What a policy author sees: the clauses of a document, its exercises, and their audits."""

import json

import pytest

from raicurate.pipelines.cli import main

RULES = """# Rules for the garden

Tenants must water the garden within 48 hours if they have used it for a party.

Guests must not light a fire, unless the landlord has agreed in writing.

Owners may photograph the garden in summer, because the club prints a calendar.
"""

HOUSE = """
schema_version: 1
name: house
policy: policies/default.yaml
annotators: [{use: language@1}]
corpora:
  - {name: rules, role: policy, root: %s, paths: ["*.md"], license: CC0-1.0, lang: en}
exercises: {unseen: 0, read_only: 0}
output: {restricted: "{out}.restricted"}
"""


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "garden.md"
    path.write_text(RULES, encoding="utf-8")
    return path


def previewed(capsys, *arguments):
    assert main(["exercises", "preview", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def clause_about(clauses, word):
    (found,) = [one for one in clauses if word in json.dumps(one["fields"])]
    return found


def test_the_clauses_of_a_document_are_shown_with_their_exercises(document, capsys):
    """Each clause by its id, with its fields, and what is asked about it."""
    assert main(["exercises", "preview", str(document)]) == 0
    out = capsys.readouterr().out
    assert "prohibition" in out
    assert "light a fire" in out
    assert "[truth] " in out
    assert out.splitlines()[-1].startswith("3 clauses, ")


def test_families_and_their_number_can_be_limited(document, capsys):
    """Only the family that was asked for, at most so many a clause."""
    clauses = previewed(capsys, document, "--family", "truth", "--each", "1")
    made = [exercise for clause in clauses for exercise in clause["exercises"]]
    assert {exercise["family"] for exercise in made} == {"truth"}
    assert all(len(clause["exercises"]) <= 1 for clause in clauses)


def test_a_document_that_is_not_text_is_refused(tmp_path, capsys):
    """With what follows and the cure, and the exit code of wrong usage."""
    path = tmp_path / "x.md"
    path.write_bytes(b"\xff\xfe\xff")
    assert main(["exercises", "preview", str(path)]) == 2
    assert "UTF-8" in capsys.readouterr().err


def test_notes_of_authors_are_seen_before_a_run(document, tmp_path, capsys):
    """An override shows, a clause not to be taught has no exercise, a misquote is said."""
    plain = previewed(capsys, document)
    fire, water = clause_about(plain, "fire"), clause_about(plain, "water")
    notes = tmp_path / "notes.yaml"
    notes.write_text(
        f"version: 1\nclauses:\n  {fire['clause']}:\n    teach: false\n"
        f"  {water['clause']}:\n    override: {{condition: null, actor: The emperor}}\n",
        encoding="utf-8",
    )
    assert main(["exercises", "preview", str(document), "--notes", str(notes), "--json"]) == 0
    said = capsys.readouterr()
    noted = json.loads(said.out)
    assert clause_about(noted, "fire")["exercises"] == []
    assert "condition" in clause_about(plain, "water")["fields"]
    assert "condition" not in clause_about(noted, "water")["fields"]
    assert f"{water['clause']}: the text for 'actor'" in said.err
    assert "emperor" not in said.err


def test_a_clause_that_changed_is_named(document, tmp_path, capsys):
    """A note on words that were edited says which clause it may belong to now."""
    before = clause_about(previewed(capsys, document), "fire")
    notes = tmp_path / "notes.yaml"
    notes.write_text(
        f"version: 1\nclauses:\n  {before['clause']}:\n    quote: Guests must not light a fire\n",
        encoding="utf-8",
    )
    document.write_text(RULES.replace("a fire,", "a big fire,"), encoding="utf-8")
    assert main(["exercises", "preview", str(document), "--notes", str(notes), "--json"]) == 0
    said = capsys.readouterr()
    assert clause_about(json.loads(said.out), "fire")["clause"] in said.err


def test_audits_of_an_output_are_shown_and_an_output_is_needed(document, tmp_path, capsys):
    """A table for people, JSON for scripts; a folder without a snapshot is refused."""
    manifest = tmp_path / "m.yaml"
    manifest.write_text(HOUSE % tmp_path, encoding="utf-8")
    out = str(tmp_path / "out")
    assert main(["exercises", "audit", out]) == 4
    assert "no snapshot" in capsys.readouterr().err
    assert main(["run", str(manifest), "--out", out]) == 0
    capsys.readouterr()
    assert main(["exercises", "audit", out]) == 0
    assert "open_slot" in capsys.readouterr().out
    assert main(["exercises", "audit", out, "--json"]) == 0
    assert all(result["passed"] for result in json.loads(capsys.readouterr().out))


def test_a_note_on_a_clause_that_no_document_has_is_warned_of(document, tmp_path, caplog):
    """A run says that the note does nothing; it does not stop for it."""
    (tmp_path / "notes.yaml").write_text(
        "version: 1\nclauses: {0123456789abcdef: {teach: false}}\n", encoding="utf-8"
    )
    manifest = tmp_path / "m.yaml"
    wanted = "exercises: {unseen: 0, read_only: 0, sidecars: [notes.yaml]}"
    lines = (HOUSE % tmp_path).replace("exercises: {unseen: 0, read_only: 0}", wanted)
    manifest.write_text(lines, encoding="utf-8")
    with caplog.at_level("WARNING"):
        assert main(["run", str(manifest), "--out", str(tmp_path / "out")]) == 0
    assert "0123456789abcdef" in caplog.text
