import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from raicurate.corpora_manifests.ablation import MIXES, AblationManifest, load_ablation
from raicurate.corpora_manifests.errors import ManifestError, UsageError
from raicurate.pipelines.ablate import ablate
from raicurate.pipelines.ablation_mixes import (
    WARNING,
    Document,
    Piece,
    build_mixes,
    pieces,
    read_documents,
    read_exercises,
)
from raicurate.pipelines.arms_verdict import CLAUSES
from raicurate.pipelines.cli import main
from raicurate.probes.clause_texts import read_clauses
from raicurate.probes.ngram import NGramModel
from raicurate.probes.questions import crossed_asks, ending_asks, verdict_asks, verdict_words
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.policy_rows import clauses_of, policy_of_row

HELD_OUT = pa.schema([field for field in CLAUSES if field.name not in ("unit", "parallel")])
POLICY = """# {title}

## Doors

Members must lock the doors of the {place} before midnight.

Members must not lend the keys of the {place} to strangers.

## Records

Members must write each visit to the {place} into the book.

Members must not tear pages out of the book of the {place}.

## Guests

Members must greet every guest of the {place} by name.

Members must not turn away guests of the {place} without a reason.

## Noise

Members must speak softly in the {place} after nine.

Members must not play drums in the {place} on Sundays.

## Fire

Members must not light candles in the {place}.

Members must report smoke in the {place} to the warden.
"""
PLACES = {"taught": "library", "read_only": "boathouse", "unseen": "orchard"}
CONTEXT = "Note: what follows is quoted to show why it hurts.\n\n"


def write_run(folder: Path) -> Path:
    """Writes the output of a run, as far as an ablation reads it."""
    rows, clauses = [], []
    for arm, place in PLACES.items():
        text = POLICY.format(title=f"Rules of the {place}", place=place)
        document = policy_of_row(place, text, "en", f"{place}.md", "{}")
        for clause in clauses_of(document, shipped_packs()):
            clauses.append(
                {
                    "clause": clause.id,
                    "document": place,
                    "family": place,
                    "language": "en",
                    "arm": arm,
                    "modality": clause.modality,
                    "section": list(clause.section),
                    "start": clause.span.start,
                    "end": clause.span.end,
                    "text": None if arm == "taught" else document.words(clause.span),
                    "text_sha256": clause.text_sha256,
                    "corpus": "rules",
                    "license": "CC0-1.0",
                    "repeats": False,
                }
            )
        if arm != "unseen":
            spans = [{"start": 0, "end": len(text), "kind": "original", "ref": None}]
            rows.append({"id": place, "text": text, "spans": spans, "action": "keep"})
    for number in range(40):
        text = f"Letter {number}. The weather was number {number}, and nobody minded the rain.\n"
        spans = [{"start": 0, "end": len(text), "kind": "original", "ref": None}]
        action = "keep"
        if number % 2:
            size = len(CONTEXT)
            spans = [
                {"start": 0, "end": size, "kind": "context", "ref": "a"},
                {"start": size, "end": size + len(text), "kind": "original", "ref": None},
            ]
            text, action = CONTEXT + text, "contextualize"
        rows.append({"id": f"letter-{number}", "text": text, "spans": spans, "action": action})
    for row in rows:
        row |= {"lang": "en", "src_file": "x.md", "metadata": "{}"}
    exercises = [
        {"id": f"e{n}", "text": f"Rule {n}: who locks the library? Members.", "language": "en"}
        for n in range(50)
    ]
    for path, table in (
        ("data/all/part.parquet", pa.Table.from_pylist(rows)),
        ("exercises/all/part.parquet", pa.Table.from_pylist(exercises)),
        ("heldout/clauses.parquet", pa.Table.from_pylist(clauses, schema=HELD_OUT)),
    ):
        (folder / path).parent.mkdir(parents=True)
        pq.write_table(table, folder / path)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("run"))


def manifest(run: Path, **values: object) -> AblationManifest:
    return AblationManifest(schema_version=1, name="small", run=str(run), bytes=10_000, **values)


def test_pieces_put_together_are_the_text() -> None:
    """A published text falls into what was added and the rest, and nothing is lost."""
    text = "note.body one.note two.body two"
    spans = [
        {"start": 0, "end": 5, "kind": "context"},
        {"start": 5, "end": 14, "kind": "original"},
        {"start": 14, "end": 23, "kind": "context"},
        {"start": 23, "end": 31, "kind": "original"},
        {"start": 24, "end": 26, "kind": "pii"},
    ]
    found = pieces(text, spans)
    assert [piece.added for piece in found] == [True, False, True, False]
    assert "".join(piece.text for piece in found) == text
    document = Document("d", False, found)
    assert document.original == "body one.body two"
    assert pieces(text, []) == (Piece(False, text),)


def test_mixes_hold_what_they_say_in_equal_bytes(run: Path) -> None:
    """Each mix has the same bytes, and is the documents with what its name says in them."""
    documents, exercises = read_documents(run, "en"), read_exercises(run, "en")
    mixes = build_mixes(
        manifest(run), documents, exercises, ["1. Guests of the game wait.\n2. No dice twice.\n"]
    )
    assert tuple(mixes) == MIXES
    sizes = {mix: sum(len(text.encode()) for text in texts) for mix, texts in mixes.items()}
    assert len(set(sizes.values())) == 1
    joined = {mix: "".join(texts) for mix, texts in mixes.items()}
    assert "Note:" not in joined["raw"] + joined["filtered"] + joined["neutral_rulebooks"]
    assert CONTEXT in joined["contextualized"]
    assert CONTEXT in joined["context_swapped"]
    assert CONTEXT in joined["with_exercises"]
    assert "who locks" in joined["with_exercises"]
    assert CONTEXT not in joined["words_shuffled"]
    assert "quoted" in joined["words_shuffled"]
    assert WARNING in joined["generic_warning"]
    assert "Note:" not in joined["generic_warning"]
    assert "No dice twice." in joined["neutral_rulebooks"]
    odd = [text for text in mixes["filtered"] if text.startswith("Letter 1.")]
    assert not odd
    assert mixes == build_mixes(
        manifest(run), documents, exercises, ["1. Guests of the game wait.\n2. No dice twice.\n"]
    )


def test_contexts_are_swapped_between_documents() -> None:
    """Each context stands before another document than its own."""
    documents = [
        Document(str(n), False, (Piece(True, f"[{n}]"), Piece(False, f"body {n}.")))
        for n in range(6)
    ]
    swapped = AblationManifest(
        schema_version=1, name="s", run="x", bytes=10_000, mixes=("context_swapped",)
    )
    texts = build_mixes(swapped, documents, [], [])["context_swapped"]
    whole = [text for text in texts if text.endswith(".")]
    assert len(whole) >= 3
    assert all(text[1] != text[-2] for text in whole)


def test_what_a_mix_needs_must_be_there(run: Path) -> None:
    """Without exercises, rulebooks or documents, the error names the mix and the cure."""
    documents = read_documents(run, "en")
    with pytest.raises(UsageError, match="'with_exercises' needs exercises"):
        build_mixes(manifest(run), documents, [], [])
    with pytest.raises(UsageError, match="needs neutral rulebooks"):
        build_mixes(manifest(run), documents, ["e"], [])
    with pytest.raises(UsageError, match="no documents in 'xx'"):
        read_documents(run, "xx")


def test_clauses_are_read_by_arm(run: Path) -> None:
    """Taught and read-only clauses come from the data, unseen ones from where they are held out."""
    clauses = read_clauses(run)
    assert {clause.arm for clause in clauses} == set(PLACES)
    by_arm = Counter(clause.arm for clause in clauses)
    assert by_arm["taught"] == by_arm["read_only"] == by_arm["unseen"] == 10
    locked = next(c for c in clauses if c.arm == "taught" and "lock the doors" in c.text)
    assert (locked.before, locked.modality) == ("Members must", "obligation")
    assert locked.action == "lock the doors of the library before midnight."
    assert locked.heading == "Rules of the library – Doors"
    with pytest.raises(UsageError, match=r"clauses\.parquet is missing"):
        read_clauses(run / "data")


def test_questions_join_to_their_clauses(run: Path) -> None:
    """Each question has its clause, arm and tier; the answer is the clause's own."""
    clauses = {clause.id: clause for clause in read_clauses(run)}
    every = list(clauses.values())
    for asks in (crossed_asks("s", every), ending_asks("s", every), verdict_asks("s", every)):
        asked = list(asks)
        assert {ask.condition for ask in asked} == {"closed_book", "clause_given"}
        assert {ask.arm for ask in asked} == set(PLACES)
        for ask in asked:
            assert ask.clause is not None
            clause = clauses[ask.clause]
            assert (ask.arm, ask.cluster) == (clause.arm, clause.family)
            assert ask.tier == ("T2" if clause.arm == "unseen" else "T1")
            if ask.condition == "closed_book" and ask.context == 0 and ask.right:
                assert clause.action not in ask.request.context or "verdict" in ask.kind
            if ask.kind == "clause_ending" and ask.right:
                assert ask.request.continuation == " " + clause.action
            if ask.kind == "clause_verdict" and ask.right:
                assert ask.request.continuation == " " + verdict_words()["en"][clause.modality]
    pairs = {}
    for ask in crossed_asks("s", every):
        pairs.setdefault(ask.item, set()).add(ask.request.context.split("\n")[-1])
    assert all(len(contexts) == 2 for contexts in pairs.values())


def test_a_command_trains_and_asks(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`raicurate ablate` writes tables and JSON, the same each time, with what it was made of."""
    path = tmp_path / "ablation.yaml"
    content = {
        "schema_version": 1,
        "name": "small",
        "run": str(run),
        "bytes": 10_000,
        "mixes": ["filtered", "with_exercises", "words_shuffled"],
        "order": 6,
    }
    path.write_text(yaml.safe_dump(content))
    assert load_ablation(path).run == str(run)
    assert main(["ablate", str(path), "--out", str(tmp_path / "a")]) == 0
    text = capsys.readouterr().out
    assert "| with_exercises |" in text
    assert "crossed margin" in text
    result = json.loads((tmp_path / "a" / "ablation.json").read_text())
    assert set(result["bytes"]) == {"raw", "filtered", "with_exercises", "words_shuffled"}
    assert result["clauses"] == {"taught": 10, "read_only": 10, "unseen": 10}
    measures = {row["measure"] for row in result["rows"]}
    assert measures >= {"crossed margin", "refusal d'", "clause crossed margin"}
    assert main(["ablate", str(path), "--out", str(tmp_path / "b")]) == 0
    for name in ("ablation.json", "ablation.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_stopped_ablation_goes_on(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models that were asked are neither trained nor asked again; what is missing is."""
    small = manifest(run, mixes=("filtered", "context_swapped"), order=4)
    first = ablate(small, tmp_path, lambda _: None)
    kept = sorted((tmp_path / "answers").iterdir())
    assert len(kept) == 6
    kept[0].unlink()
    trained: list[int] = []
    fit = NGramModel.fit

    def counted(texts: Sequence[str], order: int) -> NGramModel:
        trained.append(order)
        return fit(texts, order)

    monkeypatch.setattr(NGramModel, "fit", counted)
    assert ablate(small, tmp_path, lambda _: None) == first
    assert trained == [4]
    assert ablate(manifest(run, mixes=("filtered",), order=3), tmp_path, lambda _: None) != first
    assert trained == [4, 3, 3]


def test_a_wrong_manifest_is_refused(tmp_path: Path) -> None:
    """An unknown mix is refused by name."""
    path = tmp_path / "ablation.yaml"
    path.write_text("schema_version: 1\nname: a\nrun: b\nmixes: [everything]\n")
    with pytest.raises(ManifestError, match="mixes"):
        load_ablation(path)


def test_verdict_words_cover_all_modalities() -> None:
    """Each language has four different words."""
    for words in verdict_words().values():
        assert len(set(words.values())) == 4
