import json
import random

import numpy as np
import pytest

from raicurate.corpora_manifests.classifier import ClassifierManifest, load_sentences
from raicurate.corpora_manifests.errors import ContractError, ManifestError
from raicurate.transforms.harm_model import DESCRIPTION, PASSAGE, SCREEN, HarmModel
from raicurate.transforms.labelled_sets import digests, read_examples
from raicurate.transforms.train_harm import importance_of, train

KIND = [
    "garden",
    "table",
    "window",
    "morning",
    "friendly",
    "teacher",
    "bread",
    "music",
    "letter",
    "river",
]
RUDE = [
    "silly",
    "grumpy",
    "nasty",
    "foolish",
    "rotten",
    "awful",
    "horrid",
    "mean",
    "lousy",
    "stupid",
]


def write_set(path, rows=600, seed=0):
    """Writes a mild labelled set whose two labels use different words."""
    chance = random.Random(seed)
    with path.open("w") as file:
        for number in range(rows):
            rude = chance.random() < 0.4
            words = chance.choices(KIND + (RUDE * 2 if rude else []), k=chance.randint(4, 12))
            words += [f"word{chance.randrange(400)}" for _ in range(3)]
            row = {
                "id": f"r{number}",
                "text": " ".join(words),
                "lang": "en",
                "label": "rude" if rude else "kind",
                "categories": ["insult"] if rude else [],
                "meta": {"pair": number // 2},
            }
            file.write(json.dumps(row) + "\n")


def small_manifest(root, **changes):
    """Returns a manifest over one small set."""
    return ClassifierManifest.model_validate(
        {
            "name": "small",
            "version": "1",
            "root": str(root),
            "languages": ["en"],
            "hazards": {"insult": "harassment"},
            "screen": {"bits": 12, "min_texts": 1},
            "heads": {"bits": 12, "min_texts": 1, "penalty": 0.1, "steps": 10, "folds": 2},
            "min_test_examples": 10,
            "sets": [
                {
                    "name": "mild",
                    "path": "mild.jsonl",
                    "source": "generated",
                    "license": "CC0-1.0",
                    "text_type": "statement",
                    "stances": {"rude": "intent", "kind": "none"},
                    "hazard_key": "categories",
                    "split": {"group": "meta.pair"},
                }
            ],
        }
        | changes
    )


def test_the_same_manifest_gives_the_same_bytes(tmp_path):
    """A model can be repeated: two trainings write the same files."""
    write_set(tmp_path / "mild.jsonl")
    manifest = small_manifest(tmp_path)
    train(manifest, tmp_path / "a")
    train(manifest, tmp_path / "b")
    for name in (SCREEN, PASSAGE, DESCRIPTION):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_can_be_told_apart_is_learned_and_measured(tmp_path):
    """Words that only one label uses separate the held-out texts, and the model says so."""
    write_set(tmp_path / "mild.jsonl")
    description = train(small_manifest(tmp_path), tmp_path / "out")
    assert description["measured"]["languages"]["en"]["auc"] > 0.9
    assert description["languages"] == ["en"]
    scores = HarmModel(tmp_path / "out").passage_scores(
        ["a horrid and nasty and awful letter", "a friendly teacher in the garden"], ["en", "en"]
    )
    assert scores.intent[0] > 0.5 > scores.intent[1]


def test_a_language_that_is_not_learned_is_not_measured(tmp_path):
    """Labels without any pattern leave a language unmeasured, rather than badly scored."""
    chance = random.Random(1)
    write_set(tmp_path / "mild.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "mild.jsonl").read_text().splitlines()]
    for row in rows:
        row["label"] = chance.choice(["rude", "kind"])
        row["categories"] = ["insult"]
    (tmp_path / "mild.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert train(small_manifest(tmp_path), tmp_path / "out")["languages"] == []


def test_a_group_stands_on_one_side_only(tmp_path):
    """Pairs are never split between training and test, nor the same text between sets."""
    write_set(tmp_path / "mild.jsonl")
    examples = read_examples(small_manifest(tmp_path))
    parts: dict[str, set[str]] = {}
    for example in examples:
        parts.setdefault(example.group, set()).add(example.part)
    assert all(len(found) == 1 for found in parts.values())
    assert {part for found in parts.values() for part in found} == {"train", "test"}


def test_a_label_without_meaning_is_an_error(tmp_path):
    """A label that the manifest does not know is no reason to guess."""
    write_set(tmp_path / "mild.jsonl", rows=3)
    with (tmp_path / "mild.jsonl").open("a") as file:
        file.write(json.dumps({"text": "hm", "lang": "en", "label": "odd"}) + "\n")
    with pytest.raises(ManifestError, match="'odd'"):
        read_examples(small_manifest(tmp_path))


def test_a_missing_or_changed_file_is_an_error(tmp_path):
    """Training never goes on without, or with another, labelled set than promised."""
    with pytest.raises(ManifestError, match=r"mild\.jsonl"):
        digests(small_manifest(tmp_path))
    write_set(tmp_path / "mild.jsonl", rows=3)
    manifest = small_manifest(tmp_path)
    promised = manifest.sets[0].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(ContractError, match="digest"):
        digests(manifest.model_copy(update={"sets": (promised,)}))


def test_nothing_to_learn_from_is_an_error(tmp_path):
    """A set with one label only cannot make a classifier."""
    write_set(tmp_path / "mild.jsonl", rows=30)
    rows = [json.loads(line) for line in (tmp_path / "mild.jsonl").read_text().splitlines()]
    kept = [json.dumps(row) for row in rows if row["label"] == "kind"]
    (tmp_path / "mild.jsonl").write_text("\n".join(kept))
    with pytest.raises(ContractError, match="no texts to train on"):
        train(small_manifest(tmp_path), tmp_path / "out")


def test_sentences_are_filled_with_names_of_groups(tmp_path):
    """A sentence with a place for a group is trained on with terms of the list, in its language."""
    write_set(tmp_path / "mild.jsonl")
    (tmp_path / "terms.yaml").write_text(
        "license: CC0-1.0\nidentity_terms: {en: {one: [tall, short], many: [tall people]}}"
    )
    (tmp_path / "own.yaml").write_text(
        "license: CC0-1.0\ngroups:\n  - {lang: en, text_type: statement, stance: none, "
        "texts: ['My friend is {one}.', 'I like {many}.', 'Good morning.']}"
    )
    manifest = small_manifest(tmp_path, identity_terms="terms.yaml", folder=str(tmp_path))
    own = manifest.sets[0].model_copy(
        update={"name": "own", "path": "own.yaml", "form": "sentences", "stances": "none"}
    )
    examples = read_examples(manifest.model_copy(update={"sets": (own,)}))
    texts = {example.text for example in examples}
    assert {"I like tall people.", "Good morning."} <= texts
    assert texts & {"My friend is tall.", "My friend is short."}
    assert not any("{" in text for text in texts)


def test_a_balanced_set_counts_both_kinds_alike(tmp_path):
    """A set made with an arbitrary mix does not teach that harm is as common as in it."""
    write_set(tmp_path / "mild.jsonl")
    manifest = small_manifest(tmp_path)
    balanced = manifest.sets[0].model_copy(update={"balanced": True})
    manifest = manifest.model_copy(update={"sets": (balanced,)})
    examples = [example for example in read_examples(manifest) if example.part == "train"]
    weights = importance_of(examples, manifest)
    clear = np.array([example.stance == "none" for example in examples])
    assert weights[clear].sum() == pytest.approx(weights[~clear].sum())
    assert weights.sum() == pytest.approx(len(examples))


def test_places_are_filled_with_words(tmp_path):
    """A place may hold one of a list of words, and a place without a list is an error."""
    (tmp_path / "terms.yaml").write_text(
        "license: CC0-1.0\nidentity_terms: {en: {one: [tall], many: [giants]}}"
    )
    group = {"lang": "en", "text_type": "statement", "stance": "none", "fillings": 12}
    group |= {"texts": ["{many} like {fruit} and {fruit}."], "words": {"fruit": ["figs", "limes"]}}
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps({"license": "CC0-1.0", "groups": [group]}))
    manifest = small_manifest(tmp_path, identity_terms="terms.yaml", folder=str(tmp_path))
    own = manifest.sets[0].model_copy(
        update={"name": "own", "path": "own.yaml", "form": "sentences", "stances": "none"}
    )
    texts = {e.text for e in read_examples(manifest.model_copy(update={"sets": (own,)}))}
    assert "giants like figs and limes." in texts
    assert len(texts) <= 4
    path.write_text(json.dumps({"license": "CC0-1.0", "groups": [group | {"words": {}}]}))
    with pytest.raises(ManifestError, match="fruit"):
        load_sentences(path)
