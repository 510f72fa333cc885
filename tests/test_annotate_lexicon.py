import json
import os
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS
from raicurate.transforms.annotate_lexicon import SHIPPED, UNCATEGORIZED, read_lexicon
from raicurate.transforms.registry import create
from raicurate.transforms.schema import LEXICON_HIT

DATA = Path(os.environ.get("RAI_DATA", "/nonexistent"))

LANGUAGES = {"en", "de", "fr", "es", "it", "pt", "ja", "hi", "ar"}


def count(text: str, lang: str | None = "en", **parameters: object) -> dict[str, tuple[int, int]]:
    """Returns hits and distinct terms by hazard in one text."""
    batch = {"text": [text]} if lang is None else {"text": [text], "lang": [lang]}
    [column] = create("lexicon@1", parameters).annotate(pa.RecordBatch.from_pydict(batch))
    assert column.type.value_type == LEXICON_HIT
    return {item["hazard"]: (item["hits"], item["distinct"]) for item in column.to_pylist()[0]}


@pytest.fixture
def own(tmp_path: Path) -> str:
    """Returns the path of a lexicon with terms that overlap."""
    path = tmp_path / "own.yaml"
    terms = {
        "cyber": ["hate", "hate mail", "zzz*", "naïve", "mail"],
        "hate": ["hate mail campaign", "mail"],
        "privacy": ["x-ray"],
    }
    content = {"version": "1", "lang": "en", "license": "CC0-1.0", "terms": terms}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def test_counts_hits_and_distinct_terms() -> None:
    """Repeated terms raise the hits only; case does not matter."""
    found = count("Ransomware and RANSOMWARE, phishing; a murder.")
    assert found == {"violent_crimes": (1, 1), "cyber": (3, 2)}
    assert count("A walk by the sea.") == {}


def test_hazards_are_in_the_order_of_the_vocabulary() -> None:
    """The list has a fixed order, so that equal documents have equal rows."""
    found = list(count("propaganda, malware, murder, blackmail"))
    assert found == sorted(found, key=HAZARDS.index)


@pytest.mark.parametrize(
    "text", ["grapes", "drapeau", "therapeutic", "strapped", "rape1", "rape_x"]
)
def test_terms_are_whole_words(text: str) -> None:
    """Letters and digits around a term make it another word."""
    assert count(text) == {}


@pytest.mark.parametrize(
    "text", ["rape", "(rape)", "“rape”", "rape—", "\nrape\n", "…rape’s", "「rape」"]
)
def test_signs_are_word_boundaries(text: str) -> None:
    """Punctuation of any script ends a word."""
    assert count(text) == {"sex_related_crimes": (1, 1)}


def test_marks_and_letters_beyond_ascii_are_parts_of_words(own: str) -> None:
    """Accents, combining marks and other scripts continue a word."""
    assert count("naïve", paths=[own], shipped=False) == {"cyber": (1, 1)}
    for text in ("naïveé", "naïve\u0301", "énaïve", "naïveд"):
        assert count(text, paths=[own], shipped=False) == {}


def test_a_star_takes_in_what_follows() -> None:
    """A stem matches every word that starts with it, but not in the middle of a word."""
    assert count("murderers, murderous") == {"violent_crimes": (2, 1)}
    assert count("xmurderer") == {}


def test_leftmost_and_longest_wins(own: str) -> None:
    """Of overlapping terms one counts; a term that fails at its boundary hides no shorter one."""
    parameters = {"paths": [own], "shipped": False}
    assert count("hate mail campaign", **parameters) == {"hate": (1, 1)}
    assert count("hate mail", **parameters) == {"cyber": (1, 1)}
    assert count("hate mail campaigns", **parameters) == {"cyber": (1, 1)}
    assert count("hate mails", **parameters) == {"cyber": (1, 1)}
    assert count("mail", **parameters) == {"cyber": (1, 1), "hate": (1, 1)}


def test_japanese_needs_no_boundaries_but_katakana_words_are_whole() -> None:
    """A term in Han is found inside a sentence; テロ is not found in ステロイド."""
    assert count("彼は殺人の疑いで", "ja") == {"violent_crimes": (1, 1)}
    assert count("テロを防ぐ", "ja") == {"extremism": (1, 1)}
    assert count("ステロイドとテロップ", "ja") == {}


def test_arabic_terms_with_article_and_particles() -> None:
    """The article and particles written together with a word do not hide it."""
    for text in ("إرهاب", "الإرهاب", "والإرهاب", "بالإرهاب", "للإرهاب"):
        assert count(f"خطر {text} اليوم", "ar") == {"extremism": (1, 1)}


def test_hindi_vowel_signs_are_parts_of_words() -> None:
    """A term is not found in a longer word that goes on with a vowel sign."""
    assert count("हत्या की निंदा", "hi") == {"violent_crimes": (1, 1)}
    assert count("नाजीा", "hi") == {}


def test_language_decides_which_terms_are_looked_for() -> None:
    """Own language and English; all languages where the language is not known."""
    mixed = "Mord und ransomware und matanza"
    assert count(mixed, "de") == {"violent_crimes": (1, 1), "cyber": (1, 1)}
    assert count(mixed, "fi") == {"cyber": (1, 1)}
    for unknown in ("und", None):
        assert count(mixed, unknown) == {"violent_crimes": (2, 2), "cyber": (1, 1)}


def test_null_language_and_null_text() -> None:
    """Nulls are no errors: no language means any, no text means nothing found."""
    batch = pa.RecordBatch.from_pydict(
        {"text": pa.array(["Mord", None]), "lang": pa.array([None, "en"], pa.string())}
    )
    [column] = create("lexicon@1", {}).annotate(batch)
    assert [len(found) for found in column.to_pylist()] == [1, 0]


def test_lexicon_as_json_lines(tmp_path: Path) -> None:
    """Word lists of other projects can be used, with categories or without."""
    rows = [
        {"text": "quxword", "lang": "en", "categories": ["hate", "offensive", "spam"]},
        {"text": "Barword", "lang": "fr-CA"},
        {"text": "bazword", "lang": "en", "categories": ["misinformation"]},
    ]
    path = tmp_path / "words.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    parameters = {"paths": [str(path)], "shipped": False}
    assert count("quxword bazword", **parameters) == {
        "hate": (1, 1),
        "harassment": (1, 1),
        "misinformation": (1, 1),
    }
    assert count("barword", "fr", **parameters) == {UNCATEGORIZED: (1, 1)}
    assert count("barword", "en", **parameters) == {}


def test_the_digest_covers_all_lexicons(own: str) -> None:
    """Another lexicon, or another word in it, is another model."""
    digest = create("lexicon@1", {}).model_digest()
    both = create("lexicon@1", {"paths": [own]}).model_digest()
    assert digest is not None
    assert digest != both


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("terms: {cyber: [a*b]}\nversion: '1'\nlang: en\nlicense: x\n", "not at its end"),
        ("terms: {witchcraft: [a]}\nversion: '1'\nlang: en\nlicense: x\n", "unknown hazards"),
        ("terms: {cyber: [abc]}\nlang: en\nlicense: x\n", "version"),
        ("terms: [", "not a lexicon"),
        ("terms: {cyber: ['  ']}\nversion: '1'\nlang: en\nlicense: x\n", "empty"),
    ],
)
def test_wrong_lexicons_are_named(tmp_path: Path, content: str, problem: str) -> None:
    """A lexicon of another form is an error that names the file and what is wrong with it."""
    path = tmp_path / "wrong.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ManifestError, match=problem) as error:
        read_lexicon(path)
    assert "wrong.yaml" in str(error.value)


@pytest.mark.parametrize(
    "parameters", [{"paths": ["/none.yaml"]}, {"paths": "x"}, {"shipped": False}]
)
def test_wrong_parameters(parameters: dict[str, object]) -> None:
    """Missing files and no lexicon at all are errors when the manifest is read."""
    with pytest.raises(ManifestError, match="lexicon@1"):
        create("lexicon@1", parameters)


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=80), max_size=6))
@settings(deadline=None, max_examples=60)
def test_a_document_is_judged_alone(texts: list[str]) -> None:
    """Counts do not depend on the other documents of a batch, nor on where it is cut."""
    texts = [f"{text} murder {text}" for text in texts]
    annotator = create("lexicon@1", {})
    batch = pa.RecordBatch.from_pydict({"text": pa.array(["xmur", *texts, "der"], pa.string())})
    [column] = annotator.annotate(batch)
    [cut] = annotator.annotate(batch.slice(1))
    assert column.to_pylist()[1:] == cut.to_pylist()
    for text, found in zip(texts, column.to_pylist()[1:-1], strict=True):
        [alone] = annotator.annotate(pa.RecordBatch.from_pydict({"text": [text]}))
        assert alone.to_pylist() == [found]


@pytest.mark.parametrize("lang", sorted(LANGUAGES))
def test_shipped_lexicons(lang: str) -> None:
    """Each lexicon has every hazard, no double terms, and normalised spelling."""
    path = SHIPPED / f"{lang}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content["lang"] == lang
    assert content["version"]
    assert content["license"] == "Apache-2.0"
    assert set(content["terms"]) == set(HAZARDS)
    terms = [term for texts in content["terms"].values() for term in texts]
    assert all(isinstance(term, str) for term in terms)
    assert [term for term, number in Counter(terms).items() if number > 1] == []
    assert all(unicodedata.is_normalized("NFC", term) for term in terms)
    assert len(content["terms"]["child_sexual_exploitation"]) <= 5
    for hazard, texts in content["terms"].items():
        found = count(" . ".join(term.removesuffix("*") for term in texts), lang)
        assert found[hazard][1] >= 0.9 * len(texts)


def test_nothing_ships_for_other_languages() -> None:
    """The languages of the lexicons are those of the templates."""
    assert {path.stem for path in SHIPPED.iterdir()} == LANGUAGES


@pytest.mark.shared_data
@pytest.mark.skipif(not DATA.is_dir(), reason="RAI_DATA names no folder")
def test_a_published_word_list_can_be_used(tmp_path: Path) -> None:
    """A public list of obscene words in 26 languages loads as it is."""
    import gzip

    path = tmp_path / "words.jsonl"
    path.write_bytes(gzip.decompress((DATA / "harm" / "lexicon_ldnoobw.jsonl.gz").read_bytes()))
    terms = read_lexicon(path)
    assert len(terms) > 2500
    assert {term.hazard for term in terms} == {UNCATEGORIZED}
