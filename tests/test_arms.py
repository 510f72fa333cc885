"""Clauses are dealt to arms first, and what says the same goes together."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.transforms.arms import ArmShares, DocumentSignature, deal_arms, sign
from raicurate.transforms.clause_packs import shipped_packs
from raicurate.transforms.clauses import extract_clauses
from raicurate.transforms.document_families import families, path_without_language, shape_of
from raicurate.transforms.near_duplicates import near_duplicates, shingles
from raicurate.transforms.policy_document import PolicyDocument, read_policy

_VERBS = ("report", "delete", "encrypt", "review", "publish", "label", "archive", "sign")
_THINGS = ("records", "incidents", "contracts", "samples", "keys", "models", "logs", "notices")


def document(name: str, text: str, language: str = "en") -> PolicyDocument:
    return read_policy(text, "markdown", name, language)


def signed(
    name: str, text: str, language: str = "en", path: str | None = None
) -> DocumentSignature:
    read = document(name, text, language)
    return sign(read, extract_clauses(read, shipped_packs()), path)


def policy(seed: int, clauses: int = 12) -> str:
    """A policy whose clauses no other seed gives."""
    choose = random.Random(seed)
    lines = [f"# Rules of department {seed}", ""]
    for number in range(clauses):
        lines += [
            f"The {choose.choice(_THINGS)} officer of unit {seed} must {choose.choice(_VERBS)} the "
            f"{choose.choice(_THINGS)} with number {number} before day {choose.randrange(1000)}.",
            "",
        ]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def corpus() -> list[DocumentSignature]:
    return [signed(f"doc-{seed}", policy(seed)) for seed in range(150)]


def test_shares_are_held_out(corpus: list[DocumentSignature]) -> None:
    """About a tenth of the families are unseen, and a tenth of the other clauses read only."""
    counts = deal_arms(corpus).counts
    assert counts["taught"] + counts["read_only"] + counts["unseen"] == counts["clauses"]
    assert 0.05 < counts["unseen_families"] / counts["families"] < 0.16
    assert 0.07 < counts["read_only"] / (counts["clauses"] - counts["unseen"]) < 0.13


def test_order_changes_nothing_and_new_documents_move_no_others(
    corpus: list[DocumentSignature],
) -> None:
    """Every document is dealt by its own digest."""
    half, whole = deal_arms(corpus[::2]), deal_arms(corpus)
    assert deal_arms(corpus[::-1]) == whole
    assert half.unseen == {name for name in whole.unseen if name in half.family}
    kept = {pair for pair in whole.read_only if pair[0] in half.family}
    assert half.read_only == kept


def test_nearly_the_same_clause_is_on_the_same_side() -> None:
    """A clause that two documents share, but for a word, has one arm in both."""
    documents = []
    for seed in range(40):
        choose = random.Random(seed)
        middle = " ".join(f"{choose.choice(_THINGS)} of type {choose.random()}" for _ in range(6))
        for word in ("within", "inside"):
            shared = f"The keeper must report {middle} to the board of directors {word} one day."
            text = f"{policy(1000 * seed + ord(word[0]))}\n{shared}\n"
            documents.append(signed(f"d{seed}-{word}", text))
    arms = deal_arms(documents, ArmShares(read_only=0.3, unseen=0.3))
    held = 0
    for one, other in zip(documents[::2], documents[1::2], strict=True):
        first = arms.arm(one.shape.document, one.clauses[-1].id)
        assert first == arms.arm(other.shape.document, other.clauses[-1].id)
        held += first != "taught"
    assert held > 5


def test_translations_are_dealt_together() -> None:
    """Parallel documents share a family, and the clauses at one place of it share an arm."""
    documents = []
    for seed in range(60):
        english = f"# Rules {seed}\n\nYou must lock door {seed}.\n\nYou must close window {seed}.\n"
        german = (
            f"# Regeln {seed}\n\nSie müssen Tür {seed} schließen.\n\n"
            f"Sie müssen Fenster {seed} schließen.\n"
        )
        documents.append(signed(f"e{seed}", english, path=f"rules/{seed}.md"))
        documents.append(signed(f"g{seed}", german, "de", path=f"rules/{seed}.de.md"))
    arms = deal_arms(documents)
    assert len(set(arms.family.values())) == 60
    seen = set()
    for one, other in zip(documents[::2], documents[1::2], strict=True):
        pairs = list(zip(one.clauses, other.clauses, strict=True))
        for first, second in pairs:
            arm = arms.arm(one.shape.document, first.id)
            assert arm == arms.arm(other.shape.document, second.id)
            seen.add(arm)
    assert seen == {"taught", "read_only", "unseen"}


@pytest.mark.parametrize(
    ("path", "language", "expected"),
    [
        ("de/amo.md", "de", "amo.md"),
        ("docs/pt-BR/A03.md", "pt", "docs/A03.md"),
        ("translations/zh-cn/README.md", "zh", "README.md"),
        ("code-of-conduct.de.md", "de", "code-of-conduct.md"),
        ("code-of-conduct.pt-br.md", "pt", "code-of-conduct.md"),
        ("covenant-fr.md", "fr", "covenant.md"),
        ("it/policy.md", "en", "it/policy.md"),
        ("jp/policy.md", "ja", "policy.md"),
    ],
)
def test_path_without_language(path: str, language: str, expected: str) -> None:
    """Only the code of the document's own language is left out of its path."""
    assert path_without_language(path, language) == expected


def test_documents_of_one_template_are_no_translations() -> None:
    """The same headings in one language, or with other numbers in another, make no family."""
    body = (
        "# A\n\n## B\n\n1{n} rules\n\n## C\n\n2{n}, 3{n} and 4{n}\n\n## D\n\n5{n} or 6{n}\n\ntext\n"
    )
    shapes = [
        shape_of(document("one", body.format(n=1))),
        shape_of(document("two", body.format(n=1))),
        shape_of(document("three", body.format(n=2), "de")),
        shape_of(document("four", body.format(n=1), "fr")),
    ]
    assert families(shapes) == {"one": "four", "two": "four", "three": "three", "four": "four"}


words = st.lists(st.sampled_from(("a", "bb", "ccc", "dddd", "eeeee")), min_size=1, max_size=40)


@given(words)
def test_the_same_text_is_always_found(one: list[str]) -> None:
    """Two equal texts are a pair, however short."""
    texts = [
        shingles(" ".join(one)),
        shingles("quite another thing than that"),
        shingles(" ".join(one)),
    ]
    assert list(near_duplicates(texts)) == [(0, 2)]
