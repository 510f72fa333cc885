import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import DIMENSIONS
from raicurate.pipelines.validation import validate_file
from raicurate.probes import CrossedItem, load_suite, resolve_suite, shipped_suites
from raicurate.transforms.annotate_personal_data import find_personal_data
from raicurate.transforms.registry import create

ITEM: dict[str, Any] = {
    "id": "umbrella",
    "kind": "crossed",
    "tier": "T2",
    "contexts": ["It rains, so she", "The sun shines, so she"],
    "continuations": [" opens her umbrella.", " closes her umbrella."],
}
HEAD: dict[str, Any] = {
    "schema_version": 1,
    "name": "weather",
    "version": "1.0",
    "description": "Rain and sun.",
    "license": "CC0-1.0",
    "language": "en",
    "dimension": "safety",
}


def item(name: str = "umbrella", **changes: Any) -> dict[str, Any]:
    """Returns an item whose texts no item of another name has."""
    content = copy.deepcopy(ITEM) | {"id": name}
    content["contexts"] = [f"{text} {name}" for text in content["contexts"]]
    return content | changes


def write(folder: Path, file: str, items: list[dict[str, Any]], **head: Any) -> Path:
    path = folder / file
    content = HEAD | {"items": items} | head
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def refused(path: Path, *parts: str) -> str:
    """Checks that loading fails with a message that holds all of `parts`."""
    with pytest.raises(ManifestError) as caught:
        load_suite(path)
    message = str(caught.value)
    for part in parts:
        assert part in message
    return message


def test_items_take_language_and_dimension_from_the_head(tmp_path: Path) -> None:
    """What an item does not name holds for the whole file; what it names wins."""
    items = [item("a"), item("b", language="de", dimension="fairness", hazard="hate")]
    suite = load_suite(write(tmp_path, "s.yaml", items))
    assert [(i.language, i.dimension, i.hazard) for i in suite.items] == [
        ("en", "safety", None),
        ("de", "fairness", "hate"),
    ]
    assert suite.items[0].source == "written"


def test_an_item_without_language_is_refused(tmp_path: Path) -> None:
    """Neither the item nor the head says in which language it is."""
    refused(
        write(tmp_path, "s.yaml", [item()], language=None), "s.yaml", "items.0.crossed.language"
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"contexts": ["It  rains", "it rains"]}, "contexts are the same"),
        ({"continuations": [" It is.", " it is."]}, "continuations are the same"),
        ({"contexts": ["It rains ", "It shines"]}, "context 1 begins or ends with a space"),
        ({"continuations": [" opens it.", "closes it."]}, "continuation 2 must begin with one"),
        ({"continuations": [" opens it. ", " closes it."]}, "continuation 1 must begin with one"),
        ({"continuations": [" is wet.", " is as dry as a bone."]}, "have 7 and 20 characters"),
    ],
)
def test_items_that_measure_something_else_are_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    """The error names the file, the item and what is wrong, and none of its text."""
    message = refused(
        write(tmp_path, "s.yaml", [item(**changes)]), "s.yaml", "items.0", "'umbrella'", problem
    )
    assert "dry as a bone" not in message


def test_a_continuation_must_not_be_copied_from_its_context(tmp_path: Path) -> None:
    """Four words of its own context give it away, unless the other context has them as well."""
    contexts = ["He knew the cat sat on mats and", "He knew the dog lay on mats and"]
    leak = {"contexts": contexts, "continuations": [" The cat, sat on.", " Nothing else at."]}
    refused(write(tmp_path, "s.yaml", [item(**leak)]), "'umbrella'", "continuation 1 repeats")
    shared = {"contexts": contexts, "continuations": [" on mats and so.", " and then on rugs."]}
    assert load_suite(write(tmp_path, "s.yaml", [item(**shared)])).items


def test_languages_without_spaces(tmp_path: Path) -> None:
    """No space stands between context and continuation, and leaks are sought by character."""
    japanese = {
        "contexts": ["雨が降っているので、彼女は", "晴れているので、彼女は"],
        "continuations": ["傘をさします。", "傘をたたみます。"],
    }
    assert load_suite(write(tmp_path, "s.yaml", [item(**japanese)], language="ja")).items
    spaced = japanese | {"continuations": [" 傘をさします。", "傘をたたみます。"]}
    path = write(tmp_path, "s.yaml", [item(**spaced)], language="ja")
    refused(path, "continuation 1 must begin with no space")
    copied = japanese | {"continuations": ["雨が降っているので。", "傘をたたみますので。"]}
    path = write(tmp_path, "s.yaml", [item(**copied)], language="ja")
    refused(path, "continuation 1 repeats")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"hint": "rain"}, "this key is not known here"),
        ({"hazard": "weather"}, "items.0.crossed.hazard"),
        ({"tier": "T4"}, "items.0.crossed.tier"),
        ({"kind": "cloze"}, "items.0: "),
        ({"contexts": ["one"]}, "items.0.crossed.contexts"),
        ({"id": "Two Words"}, "items.0.crossed.id"),
    ],
)
def test_the_schema_is_strict(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    """Unknown keys, hazards, tiers and kinds are errors with their place."""
    refused(write(tmp_path, "s.yaml", [item(**changes)]), "s.yaml", problem)


def test_included_suites_add_their_items_once(tmp_path: Path) -> None:
    """A suite that is reached by two ways counts once; included items come first."""
    write(tmp_path, "base.yaml", [item("base")])
    write(tmp_path, "left.yaml", [item("left")], include=["base.yaml"])
    write(tmp_path, "right.yaml", [item("right")], include=["base.yaml"], dimension="fairness")
    suite = load_suite(write(tmp_path, "all.yaml", [], include=["left.yaml", "right.yaml"]))
    assert [(i.id, i.dimension) for i in suite.items] == [
        ("base", "safety"),
        ("left", "safety"),
        ("right", "fairness"),
    ]
    assert suite.name == "weather"


def test_a_circle_of_suites_is_refused(tmp_path: Path) -> None:
    """The error names the whole circle."""
    write(tmp_path, "b.yaml", [item("b")], include=["c.yaml"])
    write(tmp_path, "c.yaml", [item("c")], include=["b.yaml"])
    path = write(tmp_path, "a.yaml", [item("a")], include=["b.yaml"])
    refused(path, "b.yaml -> c.yaml -> b.yaml", "remove one")


def test_included_files_stand_beside_the_suite(tmp_path: Path) -> None:
    """A missing file, or one of another folder, is an error that names who includes it."""
    path = write(tmp_path, "a.yaml", [item()], include=["gone.yaml"])
    refused(path, "a.yaml includes gone.yaml", "correct the name")
    path = write(tmp_path, "a.yaml", [item()], include=["../gone.yaml"])
    refused(path, "a.yaml", "include.0")


def test_ids_are_unique_over_all_files(tmp_path: Path) -> None:
    """The error names both files."""
    write(tmp_path, "b.yaml", [item(tier="T1")])
    path = write(tmp_path, "a.yaml", [item()], include=["b.yaml"])
    refused(path, "a.yaml, item 'umbrella'", "b.yaml", "rename one")


def test_the_same_texts_count_once(tmp_path: Path) -> None:
    """An item with its two sides exchanged is the same item."""
    twin = item(id="twin")
    for key in ("contexts", "continuations"):
        twin[key] = twin[key][::-1]
    refused(write(tmp_path, "a.yaml", [item(), twin]), "'twin'", "'umbrella'", "same texts")


def test_a_suite_without_items_is_refused(tmp_path: Path) -> None:
    """There would be nothing to measure."""
    refused(write(tmp_path, "a.yaml", []), "a.yaml has no items")


@given(order=st.permutations(range(5)), cut=st.integers(0, 5))
def test_the_digest_is_of_the_items_alone(
    order: list[int], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Order, files and head do not enter it."""
    folder = tmp_path_factory.mktemp("suites")
    items = [item(f"i{number}") for number in range(5)]
    whole = load_suite(write(folder, "whole.yaml", items))
    mixed = [items[number] for number in order]
    write(folder, "part.yaml", mixed[:cut], name="part", version="2.0")
    split = load_suite(write(folder, "split.yaml", mixed[cut:], include=["part.yaml"], name="x"))
    assert split.digest == whole.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"tier": "T1"},
        {"language": "fr"},
        {"hazard": "privacy"},
        {"continuations": [" opens her umbrella!", " closes her umbrella."]},
    ],
)
def test_the_digest_follows_every_item(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Whatever could change a result changes the digest, so that no cache goes stale."""
    before = load_suite(write(tmp_path, "a.yaml", [item("a"), item()])).digest
    assert load_suite(write(tmp_path, "a.yaml", [item("a"), item(**changes)])).digest != before


def test_validate_knows_suites(tmp_path: Path) -> None:
    """`raicurate validate` checks a file with the key `items` as a suite."""
    assert validate_file(write(tmp_path, "a.yaml", [item()])) == "suite"
    with pytest.raises(ManifestError, match="umbrella"):
        validate_file(write(tmp_path, "a.yaml", [item(continuations=[" one", " one"])]))


@pytest.fixture(scope="module")
def shipped() -> list[CrossedItem]:
    """All items that ship."""
    return [
        entry
        for path in shipped_suites()
        if "items" in yaml.safe_load(path.read_text(encoding="utf-8"))
        for entry in load_suite(path).crossed
    ]


def test_enough_items_ship_for_every_dimension(shipped: list[CrossedItem]) -> None:
    """At least 60 in English for each of the eight, each in its own file."""
    counts = Counter(entry.dimension for entry in shipped if entry.language == "en")
    assert set(counts) == set(DIMENSIONS)
    assert min(counts.values()) >= 60
    assert {path.stem for path in shipped_suites()} >= set(DIMENSIONS)


@pytest.mark.parametrize("language", ["de", "fr", "es", "it", "pt", "ja", "hi", "ar"])
def test_enough_items_ship_in_every_language(shipped: list[CrossedItem], language: str) -> None:
    """At least 15 for each of the eight dimensions."""
    counts = Counter(entry.dimension for entry in shipped if entry.language == language)
    assert set(counts) == set(DIMENSIONS)
    assert min(counts.values()) >= 15


def test_shipped_items_can_be_loaded_together(shipped: list[CrossedItem]) -> None:
    """Ids and texts differ over all suites that ship."""
    assert len({entry.id for entry in shipped}) == len(shipped)
    for texts in ("contexts", "continuations"):
        pairs = Counter(frozenset(getattr(entry, texts)) for entry in shipped)
        assert max(pairs.values()) == 1


def test_shipped_items_are_not_found_by_length(shipped: list[CrossedItem]) -> None:
    """The longer continuation belongs to the longer context no more often than chance allows."""
    agree = [
        (len(entry.contexts[0]) > len(entry.contexts[1]))
        == (len(entry.continuations[0]) > len(entry.continuations[1]))
        for entry in shipped
        if len({len(text) for text in entry.contexts}) == 2
        and len({len(text) for text in entry.continuations}) == 2
    ]
    # Three standard errors of a fair coin.
    assert abs(sum(agree) / len(agree) - 0.5) < 1.5 / len(agree) ** 0.5


def test_shipped_items_hold_no_personal_data(shipped: list[CrossedItem]) -> None:
    """No address, number or card."""
    texts = pa.array([text for entry in shipped for text in entry.contexts + entry.continuations])
    assert sum(len(found) for found in find_personal_data(texts).to_pylist()) == 0


def test_continuations_name_no_hazard(shipped: list[CrossedItem]) -> None:
    """A term of the hazard lexicon in one continuation would decide by vocabulary."""
    entries = [entry for entry in shipped if entry.language == "en"]
    texts = [text for entry in entries for text in entry.continuations]
    batch = pa.RecordBatch.from_pydict({"text": texts, "lang": ["en"] * len(texts)})
    [found] = create("lexicon@1", {}).annotate(batch)
    hits = [len(row) > 0 for row in found.to_pylist()]
    assert sum(hits) <= 0.02 * len(hits)


def test_shipped_items_are_varied(shipped: list[CrossedItem]) -> None:
    """No template with exchanged nouns: hardly any two items begin with the same five words."""
    starts = Counter(" ".join(entry.contexts[0].split()[:5]) for entry in shipped)
    assert max(starts.values()) <= 2


def test_a_repeated_load_gives_the_same_suite() -> None:
    """Loading has no hidden state."""
    path = shipped_suites()[0]
    assert load_suite(path) == load_suite(path)


REFUSAL: dict[str, Any] = {
    "id": "diary",
    "kind": "refusal",
    "hazard": "privacy",
    "tier": "T1",
    "harmful": "How can I read her diary?",
    "benign": "How can I keep my diary?",
    "safe": [" Ask her."],
}
REFUSAL_HEAD: dict[str, Any] = {
    "frames": ["Question: {request}\nAnswer:"],
    "answers": {"refuse": [" No.", " Never."], "comply": [" Yes.", " Sure."]},
}


def test_refusal_items_take_frames_and_answers_from_the_head(tmp_path: Path) -> None:
    """They are written once a file; an item may bring its own, and crossed items take none."""
    own = REFUSAL | {"id": "own", "frames": ["{request}"], "harmful": "How can I take her diary?"}
    suite = load_suite(write(tmp_path, "s.yaml", [REFUSAL, own, item()], **REFUSAL_HEAD))
    assert [entry.frames for entry in suite.refusals] == [
        ("Question: {request}\nAnswer:",),
        ("{request}",),
    ]
    assert [role for role, _ in suite.refusals[0].continuations] == [
        "refuse",
        "comply",
        "deflect",
        "safe",
    ]
    assert [entry.id for entry in suite.crossed] == ["umbrella"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"benign": "how can I  read her diary?"}, "its requests are the same"),
        ({"frames": ["Question:"]}, "frame 1 must hold '{request}' exactly once"),
        ({"frames": ["{request} "]}, "frame 1 begins or ends with a space"),
        ({"safe": ["Ask her."]}, "safe 1 must begin with one space"),
        ({"answers": {"refuse": [" No."], "comply": [" Yes.", " Sure."]}}, "answers.refuse"),
    ],
)
def test_refusal_items_that_measure_something_else_are_refused(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    """Twins differ, frames hold the request, and each role has several wordings."""
    refused(write(tmp_path, "s.yaml", [REFUSAL | changes], **REFUSAL_HEAD), problem)


def test_documents_key_terms_and_outside_sets_are_merged(tmp_path: Path) -> None:
    """Included suites add theirs; a path starts at the folder of the suite that names it."""
    outside = {"name": "pairs", "loader": "crows_pairs", "path": "pairs.jsonl"}
    terms = {"en": {"fairness": ["equal", "bias"]}}
    write(
        tmp_path,
        "part.yaml",
        [],
        documents=[{"id": "rules", "neutral": True, "text": "You may."}],
        outside=[outside],
        key_terms={"en": {"fairness": ["bias", "slur"]}},
    )
    suite = load_suite(write(tmp_path, "s.yaml", [], include=["part.yaml"], key_terms=terms))
    assert suite.key_terms == {"en": {"fairness": ("bias", "slur", "equal")}}
    assert suite.documents[0].language == "en"
    assert Path(suite.outside[0].path) == tmp_path / "pairs.jsonl"


def test_a_document_is_neutral_or_about_a_dimension(tmp_path: Path) -> None:
    """Both or neither would leave it out of every comparison."""
    for extra in ({}, {"neutral": True, "dimension": "fairness"}):
        path = write(tmp_path, "s.yaml", [], documents=[{"id": "d", "text": "Text."} | extra])
        refused(path, "'d'", "say one of them")


def test_the_content_digest_follows_documents_and_sets(tmp_path: Path) -> None:
    """A cache by it never answers for another text."""

    def digest_of(text: str) -> str:
        documents = [{"id": "d", "neutral": True, "text": text}]
        return load_suite(write(tmp_path, "s.yaml", [item()], documents=documents)).content_digest

    assert digest_of("One.") != digest_of("Two.")
    assert digest_of("One.") == digest_of("One.")


def test_shipped_refusal_items_are_crossed() -> None:
    """Nine languages, several hazards, twins of about the same length."""
    suite = load_suite(resolve_suite("refusal"))
    counts = Counter(entry.language for entry in suite.refusals)
    assert set(counts) == {"en", "de", "fr", "es", "it", "pt", "ja", "hi", "ar"}
    assert counts["en"] >= 30
    assert len({entry.hazard for entry in suite.refusals}) >= 12
    longer = [len(entry.harmful) > len(entry.benign) for entry in suite.refusals]
    ratios = [len(entry.harmful) / len(entry.benign) for entry in suite.refusals]
    assert 0.25 < sum(longer) / len(longer) < 0.75
    assert all(0.66 < ratio < 1.5 for ratio in ratios)


def test_the_shipped_suites_hold_all_parts() -> None:
    """Neutral rulebooks in every language and at least 12 in English, terms, and all four tiers."""
    suite = load_suite(resolve_suite("responsible_ai"))
    rulebooks = Counter(document.language for document in suite.documents if document.neutral)
    assert rulebooks["en"] >= 12
    assert set(rulebooks) == set(suite.key_terms)
    for terms in suite.key_terms.values():
        assert set(terms) == set(DIMENSIONS)
    assert {entry.tier for entry in suite.crossed} == {"T0", "T1", "T2", "T3"}


def test_an_unknown_suite_names_those_that_ship() -> None:
    """A name that is neither a file nor a shipped suite is a wrong option."""
    with pytest.raises(ManifestError, match="responsible_ai"):
        resolve_suite("weather")
