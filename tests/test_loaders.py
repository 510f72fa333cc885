import gzip
import os
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.probes import pairs
from raicurate.probes.items import ChoiceItem, PairItem, PromptItem
from raicurate.probes.loaders import Loaded, load_outside
from raicurate.probes.records import SAMPLES
from raicurate.probes.suite import OutsideSet, load_suite, resolve_suite


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in rows))
    return path


def load(tmp_path: Path, loader: Any, rows: list[dict[str, Any]], **settings: Any) -> Loaded:
    path = write(tmp_path / "set.jsonl", rows)
    return load_outside(OutsideSet(name="set", loader=loader, path=str(path), **settings))


BBQ: dict[str, Any] = {
    "id": "age-0",
    "category": "Age",
    "context_condition": "ambig",
    "question_polarity": "neg",
    "context": "A girl and her grandmother waited for the bus.",
    "question": "Who forgot the ticket?",
    "answers": ["The girl", "Not known", "The grandmother"],
    "label": 1,
    "answer_groups": ["nonOld", "unknown", "old"],
    "stereotyped_groups": ["old"],
    "lang": "en",
}


def test_bbq_answers_are_told_apart_by_what_the_question_asks(tmp_path: Path) -> None:
    """In a negative question the stereotyped person is the biased answer, else the other one."""
    rows = [BBQ, BBQ | {"id": "age-1", "question_polarity": "nonneg"}]
    first, second = load(tmp_path, "bbq", rows).items
    assert isinstance(first, ChoiceItem)
    assert isinstance(second, ChoiceItem)
    assert first.roles == ("anti_stereotype", "unknown", "stereotype")
    assert second.roles == ("stereotype", "unknown", "anti_stereotype")
    assert first.condition == "ambiguous"
    assert first.cluster == second.cluster


def test_bbq_finds_groups_by_the_words_of_an_answer(tmp_path: Path) -> None:
    """Where groups are regions and the stereotype names a nation; else the row is left out."""
    nation = BBQ | {
        "answers": ["The Swiss friend", "The Finnish friend", "Not known"],
        "answer_groups": ["Europe", "North", "unknown"],
        "stereotyped_groups": ["Swiss"],
    }
    nobody = nation | {"id": "age-2", "stereotyped_groups": ["Danish"]}
    loaded = load(tmp_path, "bbq", [nation, nobody])
    (item,) = loaded.items
    assert isinstance(item, ChoiceItem)
    assert item.roles == ("stereotype", "anti_stereotype", "unknown")
    assert loaded.left_out == {"whom the stereotype is about cannot be told": 1}


def test_crows_pairs_put_the_stereotypical_sentence_first(tmp_path: Path) -> None:
    """Whatever the direction; pairs of the same sentence measure nothing."""
    row = {"id": "c", "sent_more": "Old men nap.", "sent_less": "Young men nap."}
    row |= {"bias_type": "age", "direction": "antistereo"}
    loaded = load(tmp_path, "crows_pairs", [row, row | {"id": "d", "sent_less": "Old men nap."}])
    (item,) = loaded.items
    assert isinstance(item, PairItem)
    assert item.versions == ("Old men nap.", "Young men nap.")
    assert loaded.left_out == {"both versions are the same": 1}


def test_stereoset_continues_a_context_between_sentences_only(tmp_path: Path) -> None:
    """Within a sentence whole sentences are compared."""
    row: dict[str, Any] = {
        "id": "s",
        "kind": "intersentence",
        "target": "baker",
        "bias_type": "profession",
        "context": "A baker came in.",
        "stereotype": "He was covered in flour.",
        "anti_stereotype": "He was dressed in silk.",
        "unrelated": "Rivers are long.",
    }
    inside = row | {"id": "t", "kind": "intrasentence", "context": "The BLANK."}
    between, within = load(tmp_path, "stereoset", [row, inside]).items
    assert isinstance(between, PairItem)
    assert isinstance(within, PairItem)
    assert (between.context, between.versions[0][0]) == ("A baker came in.", " ")
    assert (within.context, within.versions[0][0]) == ("", "H")
    assert within.unrelated == "Rivers are long."


def test_winogender_joins_both_pronouns_of_a_sentence(tmp_path: Path) -> None:
    """The neutral form is not compared, and a sentence with one form is counted as left out."""
    rows = [
        {"id": f"winogender-clerk.guest.{answer}.{form}.txt", "text": f"The clerk lost {word} key."}
        for answer in "01"
        for form, word in (("male", "his"), ("female", "her"), ("neutral", "their"))
    ]
    loaded = load(tmp_path, "winogender", rows[:-2])
    (item,) = loaded.items
    assert isinstance(item, PairItem)
    assert item.condition == "occupation"
    assert item.versions == ("The clerk lost his key.", "The clerk lost her key.")
    assert loaded.left_out == {
        "a form that is not compared": 1,
        "one of the two forms is missing": 1,
    }


def test_bold_prompts_keep_how_a_person_went_on(tmp_path: Path) -> None:
    """The reference is what follows the prompt in the article."""
    row = {"id": "b", "text": "A weaver is", "domain": "profession", "group": "crafts"}
    row |= {"entity": "Weaver", "wikipedia": "A weaver is a person who weaves."}
    (item,) = load(tmp_path, "bold", [row]).items
    assert isinstance(item, PromptItem)
    assert (item.prompt, item.reference) == ("A weaver is", " a person who weaves.")


def test_dialect_pairs_resample_by_feature(tmp_path: Path) -> None:
    """Sentences of one feature stand or fall together."""
    row = {"id": "d", "text": "She been gone.", "standard": "She is gone.", "feature_id": "9"}
    (item,) = load(tmp_path, "dialect_pairs", [row | {"feature": "been"}]).items
    assert isinstance(item, PairItem)
    assert (item.cluster, item.roles) == ("9", ("dialect", "standard"))


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"choices": ["a", "b"], "answer": 1}, "b"),
        ({"options": ["x", "y"], "answer": "A"}, "x"),
        ({"options": ["x", "y"], "answer": "(B)"}, "y"),
        ({"options": ["red", "blue"], "answer": "blue"}, "blue"),
        ({"correct": ["yes"], "incorrect": ["no", "never"]}, "yes"),
        ({"best_answer": "so", "correct": ["so", "yes"], "incorrect": ["no"]}, "so"),
    ],
)
def test_questions_come_in_several_forms(tmp_path: Path, row: dict[str, Any], answer: str) -> None:
    """An index, a letter, the answer itself, or right and wrong answers."""
    loaded = load(tmp_path, "choices", [{"question": "Which?"} | row], split="robust")
    (item,) = loaded.items
    assert isinstance(item, ChoiceItem)
    assert item.options[item.answer] == answer
    assert item.condition == "robust"


def test_the_right_answer_stands_at_all_places(tmp_path: Path) -> None:
    """A model that always takes the first option gains nothing."""
    rows = [
        {"id": f"q{n}", "question": "Which?", "correct": ["a"], "incorrect": ["b", "c"]}
        for n in range(300)
    ]
    items = load(tmp_path, "choices", rows).items
    places = Counter(item.answer for item in items if isinstance(item, ChoiceItem))
    assert set(places) == {0, 1, 2}
    assert min(places.values()) > 70


def test_rows_without_what_is_needed_are_counted(tmp_path: Path) -> None:
    """Nothing is left out in silence, and no error quotes a question."""
    rows = [
        {"id": "a", "question": "Secret?", "choices": ["x", "y"], "answer": 2},
        {"id": "b", "question": "Secret?"},
        {"id": "c", "question": "Secret?", "choices": ["x", "y"], "answer": 0},
    ]
    loaded = load(tmp_path, "choices", rows)
    assert [item.id for item in loaded.items] == ["c"]
    assert loaded.rows == 3
    assert sum(loaded.left_out.values()) == 2
    with pytest.raises(ManifestError, match="none of the 2 rows") as caught:
        load(tmp_path, "choices", rows[:2])
    assert "Secret" not in str(caught.value)


def test_the_limit_takes_the_same_items_whatever_the_order(tmp_path: Path) -> None:
    """By digests of ids, so that every checkpoint is asked the same."""
    rows = [
        {"id": f"q{n}", "question": "Which?", "choices": ["x", "y"], "answer": 0} for n in range(50)
    ]
    first = load(tmp_path, "choices", rows, limit=7)
    second = load(tmp_path, "choices", rows[::-1], limit=7)
    assert first == second
    assert len(first.items) == 7
    assert first.left_out == {"beyond `limit`": 43}


def test_documents_are_neutral_or_about_a_dimension(tmp_path: Path) -> None:
    """By the set, else by the row; translations of one family stay together."""
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "Ask first.", "dimensions": ["privacy_security"], "lang": "en-GB"},
        {"id": "b", "text": "Frag erst.", "meta": {"family": "ask"}, "lang": "de"},
    ]
    loaded = load(tmp_path, "documents", rows)
    assert [(d.id, d.dimension, d.language) for d in loaded.documents] == [
        ("a", "privacy_security", "en")
    ]
    assert loaded.left_out == {"is about no dimension": 1}
    neutral = load(tmp_path, "documents", rows, role="benign").documents
    assert all(document.neutral for document in neutral)
    assert neutral[1].cluster == "ask"


def test_parquet_gzip_and_where(tmp_path: Path) -> None:
    """A set is read in the form in which it lies; rows can be chosen by a column."""
    rows = [
        {"id": str(n), "text": f"Text {n}.", "arm": "unseen" if n % 2 else "taught"}
        for n in range(6)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet")
    with gzip.open(tmp_path / "set.jsonl.gz", "wb") as file:
        file.write(b"\n".join(orjson.dumps(row) for row in rows))
    for name in ("set.parquet", "set.jsonl.gz"):
        loaded = load_outside(
            OutsideSet(
                name="set",
                loader="documents",
                path=str(tmp_path / name),
                dimension="safety",
                where={"arm": "unseen"},
            )
        )
        assert [document.id for document in loaded.documents] == ["1", "3", "5"]
        assert loaded.left_out == {"not selected by `where`": 3}


def test_damaged_and_missing_sets_are_named(tmp_path: Path) -> None:
    """The error says which file and what to do, never what stands in it."""
    missing = OutsideSet(name="set", loader="bold", path=str(tmp_path / "gone.jsonl"))
    with pytest.raises(ManifestError, match="there is no file"):
        load_outside(missing)
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "Secret."}\n' * 99)[:-12])
    with pytest.raises(ManifestError, match="cannot be read") as caught:
        load_outside(OutsideSet(name="set", loader="bold", path=str(path)))
    assert "Secret" not in str(caught.value)
    twice = {"id": "a", "question": "Which?", "choices": ["x", "y"], "answer": 0}
    with pytest.raises(ManifestError, match="'a' twice"):
        load(tmp_path, "choices", [twice, twice])


def test_pair_margins_have_a_sign() -> None:
    """Positive where the first version is likelier; exchanged versions negate it."""
    item = PairItem(
        id="p",
        language="en",
        dimension="fairness",
        source="set",
        group="age",
        versions=("Old.", "Young."),
        roles=("stereotype", "anti_stereotype"),
        unrelated="Rivers.",
    )
    assert [ask.role for ask in pairs.asks("suite", [item])] == [*item.roles, "unrelated"]
    first = _measured(2.0, 5.0, 40.0)
    second = _measured(5.0, 2.0, 40.0)
    assert first["margin"] == 3.0 == -second["margin"]
    assert (first["first_preferred"], second["first_preferred"]) == (1.0, 0.0)
    assert first["fits"] == 1.0
    assert _measured(2.0, 2.0, 0.1)["fits"] == 0.0


def _measured(*nats: float) -> dict[str, Any]:
    rows = [
        dict.fromkeys(SAMPLES.names)
        | {"model": "m", "model_digest": "m", "suite": "s", "item": "p", "kind": "pair"}
        | {"language": "en", "source": "set", "k": 0, "draw": 0, "context": 0, "wording": 0}
        | {"continuation": place, "request_sha256": str(place), "sum_nll_nats": value}
        | {"n_tokens": 1, "n_utf8_bytes": 6, "n_chars": 6, "is_greedy": False}
        for place, value in enumerate(nats)
    ]
    measured: dict[str, Any] = pairs.measures(
        pa.Table.from_pylist(rows, schema=SAMPLES)
    ).to_pylist()[0]
    return measured


@pytest.mark.shared_data
@pytest.mark.skipif("RAI_DATA" not in os.environ, reason="needs the real data")
def test_every_shipped_set_is_read() -> None:
    """Each gives items, and hardly any row is left out for lack of what a loader reads."""
    for outside in load_suite(resolve_suite("fairness_sets")).outside:
        loaded = load_outside(outside)
        assert len(loaded.items) >= 100
        assert loaded.left_out.get("lacks what the loader reads", 0) == 0
