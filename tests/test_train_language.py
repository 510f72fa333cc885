import gzip
import json
import random
from pathlib import Path

import pytest

from raicurate.corpora_manifests.errors import ContractError
from raicurate.transforms.fasttext_model import FastTextModel, file_sha256
from raicurate.transforms.train_language import (
    FILES,
    LanguageParameters,
    is_held_out,
    made_up_texts,
    train_language,
)

SENTENCES = {
    "en": "the house and tree with green water under old bridge where people often walk",
    "de": "das haus und der baum mit grünem wasser unter alter brücke wo leute oft gehen",
    "es": "la casa y el árbol con agua verde bajo puente viejo donde gente suele volver",
    "cs": "dům a strom se zelenou vodou pod starým mostem kde lidé často chodí domů večer",
}
WORDS = {lang: sentence.split() for lang, sentence in SENTENCES.items()}
SMALL = LanguageParameters(
    dim=4, bucket=500, min_count=1, epoch=3, made_up=200, texts_per_language=300, characters=200
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with generated documents in the layout of the training data."""
    folder = tmp_path_factory.mktemp("data")
    rng = random.Random(0)
    for name in FILES:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with gzip.open(path, "wt", encoding="utf-8") as file:
            for number in range(160):
                lang = sorted(WORDS)[number % 4] if number % 16 != 3 else "en"
                text = " ".join(rng.choice(WORDS[lang]) for _ in range(40))
                row = {"id": f"{name}:{number}", "text": text, "lang": lang, "source": "generated"}
                key = "sent_id" if "sentences" in name else "family"
                file.write(json.dumps({**row, key: f"{number}", "license": "CC0-1.0"}) + "\n")
    return folder


def test_the_same_data_gives_the_same_model(data: Path, tmp_path: Path) -> None:
    """Two trainings give the same bytes, whatever memory held before; another seed gives others."""
    first = train_language(data, tmp_path / "first", SMALL)
    rubbish = [b"\xff" * size for size in range(10_000, 3_000_000, 100_000)]
    del rubbish
    second = train_language(data, tmp_path / "second", SMALL)
    assert first == second
    for name in ("model.bin", "words.arrow", "model.json"):
        assert file_sha256(tmp_path / "first" / name) == file_sha256(tmp_path / "second" / name)
    other = train_language(
        data, tmp_path / "other", LanguageParameters(**{**vars(SMALL), "seed": 2})
    )
    assert other["model_sha256"] != first["model_sha256"]


def test_describes_what_it_was_trained_on(data: Path, tmp_path: Path) -> None:
    """The description names inputs, licences, languages and figures, and the model tells them."""
    description = train_language(data, tmp_path, SMALL)
    assert sorted(description["inputs"]) == sorted(FILES)
    assert description["licenses"] == ["CC0-1.0"]
    assert description["decides"] == ["de", "en", "es"]
    assert set(description["lines"]) == {"cs", "de", "en", "es", "other"}
    assert json.loads((tmp_path / "model.json").read_text()) == description
    held_out = sum(is_held_out(str(number), SMALL.held_out) for number in range(160))
    for model in ("ngrams", "words"):
        assert description["measured"]["documents"][model]["texts"] == 3 * held_out
        assert description["measured"]["sentences"][model]["texts"] == held_out
    labels, _ = FastTextModel(tmp_path / "model.bin").best(
        ["das haus und der baum", "la casa y el agua"]
    )
    assert labels == ["de", "es"]


def test_missing_data_is_named(tmp_path: Path) -> None:
    """A missing file stops the training, since the model would be another one."""
    with pytest.raises(ContractError, match="general_documents_english"):
        train_language(tmp_path, tmp_path / "out", SMALL)


def test_made_up_languages_are_reproducible_and_not_the_originals() -> None:
    """Made-up texts depend on the seed only, and are not simply copies of their sources."""
    texts = {lang: [" ".join(words)] * 3 for lang, words in WORDS.items()}
    made_up = made_up_texts(texts, 50, seed=1)
    assert made_up == made_up_texts(texts, 50, seed=1)
    assert made_up != made_up_texts(texts, 50, seed=2)
    known = {word for words in WORDS.values() for word in words}
    changed = sum(bool(set(text.split()) - known) for text in made_up)
    assert changed > 40


def test_languages_without_relatives_give_no_made_up_texts() -> None:
    """Where no group of related languages is present, nothing is made up."""
    assert made_up_texts({"ja": ["本"]}, 10, seed=1) == []


def test_held_out_families_are_a_stable_share() -> None:
    """The split depends on the family alone and takes about the share asked for."""
    held = [is_held_out(f"family {number}", 0.2) for number in range(2000)]
    assert 0.17 < sum(held) / 2000 < 0.23
    assert held == [is_held_out(f"family {number}", 0.2) for number in range(2000)]
