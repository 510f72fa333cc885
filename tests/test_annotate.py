import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import DocumentError, ManifestError, UsageError
from raicurate.transforms.annotate import annotate, normalized_languages
from raicurate.transforms.registry import Annotator
from raicurate.transforms.schema import ANNOTATIONS, SOURCE

HIT = {"hazard": "hate", "hits": 2, "distinct": 1}
SECRET = "a sentence that no log may hold"


class Words(Annotator):
    """Fails on documents that hold its word, and remembers the batches that it saw."""

    name, version, columns = "words", "1", ("harm_score", "harm_model")

    def __init__(self, word="BROKEN", error=None):
        self.word = word
        self.error = error or (lambda text: ValueError(f"cannot read {text}"))
        self.batches = []

    def annotate(self, batch):
        texts = batch.column("text").to_pylist()
        self.batches.append(texts)
        for text in texts:
            if self.word in text:
                raise self.error(text)
        # float64 on purpose: the schema casts.
        return [pa.array([len(text) / 100 for text in texts]), pa.array(["m"] * len(texts))]


class Language(Words):
    name, columns = "language", ("lang", "lang_score")

    def annotate(self, batch):
        scores, _ = super().annotate(batch)
        return [pa.array(["sw"] * batch.num_rows), scores]


class Harm(Annotator):
    """Needs a language."""

    name, version, columns = "harm", "3", ("harm_model",)

    def annotate(self, batch):
        return [pa.array([f"m-{lang}" for lang in batch.column("lang").to_pylist()])]


def documents(*texts, langs=None):
    return pa.RecordBatch.from_pylist(
        [
            {
                "id": f"d{row}",
                "text": text,
                "source": "s",
                "metadata": "{}",
                "text_sha256": f"{row:064d}",
                "src_file": "f",
                "src_row": row + 5,
                "declared_lang": langs[row] if langs else None,
            }
            for row, text in enumerate(texts)
        ],
        schema=SOURCE,
    )


def errors(annotations):
    return [
        (row["error_stage"], row["error_type"], row["error_message"])
        for row in annotations.to_pylist()
    ]


def test_annotations_are_aligned_and_hold_no_text():
    """One row a document, in order, with its place, its length in characters and its labels."""
    annotations = annotate(documents("abc", "naïve 😀"), [Words()])
    assert annotations.schema == ANNOTATIONS
    assert annotations.column("id").to_pylist() == ["d0", "d1"]
    assert annotations.column("src_row").to_pylist() == [5, 6]
    assert annotations.column("text_sha256").to_pylist() == ["0" * 64, "0" * 63 + "1"]
    assert annotations.column("chars").to_pylist() == [3, 7]
    assert annotations.column("harm_model").to_pylist() == ["m", "m"]
    assert annotations.column("harm_score").to_pylist() == pytest.approx([0.03, 0.07])
    assert "text" not in annotations.schema.names


def test_what_no_annotator_fills_is_null():
    """Without annotators all labels and errors are null."""
    annotations = annotate(documents("a"), [])
    filled = {"id", "text_sha256", "src_file", "src_row", "chars"}
    assert {name for name, value in annotations.to_pylist()[0].items() if value is not None} == (
        filled
    )


def test_no_documents_give_no_rows_and_call_nothing():
    """An empty batch has the schema, though no annotator ran."""
    words = Words()
    assert annotate(documents(), [words, Language(), Harm()]).schema == ANNOTATIONS
    assert words.batches == []


def test_a_later_annotator_sees_what_an_earlier_one_filled():
    """Columns are added in order."""
    annotations = annotate(documents("a", "b"), [Language(), Harm()])
    assert annotations.column("harm_model").to_pylist() == ["m-sw", "m-sw"]


def test_one_bad_document_costs_only_itself():
    """A batch that fails is repeated row by row; the others get their labels."""
    words = Words()
    annotations = annotate(documents("one", "BROKEN", "three"), [words])
    assert words.batches == [["one", "BROKEN", "three"], ["one"], ["BROKEN"], ["three"]]
    assert annotations.column("harm_model").to_pylist() == ["m", None, "m"]
    assert errors(annotations) == [
        (None, None, None),
        ("annotate:words@1", "ValueError", "the annotator raised ValueError"),
        (None, None, None),
    ]


def test_a_batch_without_failure_is_seen_once():
    """Row by row is the exception."""
    words = Words()
    annotate(documents("one", "two"), [words])
    assert words.batches == [["one", "two"]]


def test_a_foreign_exception_does_not_bring_the_text_along():
    """Its message may quote the document, so only its type is kept."""
    annotations = annotate(documents(f"BROKEN {SECRET}", "fine"), [Words()])
    assert SECRET not in str(annotations.to_pylist())
    assert annotations.column("error_type").to_pylist() == ["ValueError", None]


def test_a_document_error_keeps_its_reason_and_message():
    """It was written for the reader of `errors/`, and holds no text."""
    words = Words(error=lambda _: DocumentError("too_odd", "the document is too odd"))
    annotations = annotate(documents("BROKEN", "fine"), [words])
    assert errors(annotations)[0] == ("annotate:words@1", "too_odd", "the document is too odd")


@pytest.mark.parametrize("error", [UsageError("no model"), ManifestError("bad"), MemoryError()])
def test_what_is_not_the_fault_of_the_document_propagates(error):
    """A missing model or exhausted memory would fail every document; the run must stop."""
    for texts in (["BROKEN"], ["fine", "BROKEN"]):
        with pytest.raises(type(error)):
            annotate(documents(*texts), [Words(error=lambda _: error)])


def test_the_first_failure_of_a_document_is_kept():
    """Later annotators may fail only because an earlier one did."""
    second = Words("BROKEN", lambda _: DocumentError("second", "failed after the first"))
    second.name = "second"
    for annotators in ([Words(), second], [Words(), second, Language()]):
        assert errors(annotate(documents("x", "BROKEN"), annotators))[1][0] == "annotate:words@1"
    last = Language(error=lambda _: DocumentError("late", "failed late"))
    annotations = annotate(documents("x", "BROKEN", langs=["de", None]), [Words(), last])
    assert errors(annotations)[1][0] == "annotate:words@1"


def test_a_declared_language_is_not_detected_again():
    """Only documents without one reach the detector; the score of a declaration is null."""
    language = Language()
    annotations = annotate(
        documents("one", "two", "three", langs=["de", None, "pt-BR"]), [language]
    )
    assert language.batches == [["two"]]
    assert annotations.column("lang").to_pylist() == ["de", "sw", "pt"]
    assert annotations.column("lang_score").to_pylist() == [None, pytest.approx(0.03), None]


class LanguageAndLexicon(Language):
    columns = ("lang", "lexicon")

    def annotate(self, batch):
        languages, _ = super().annotate(batch)
        return [languages, pa.array([[HIT]] * batch.num_rows)]


def test_lists_beside_a_language_stay_with_their_documents():
    """What a detector says besides the language is null where it was not asked."""
    annotations = annotate(
        documents("one", "two", "three", langs=["de", None, None]), [LanguageAndLexicon()]
    )
    assert annotations.column("lang").to_pylist() == ["de", "sw", "sw"]
    assert annotations.column("lexicon").to_pylist() == [None, [HIT], [HIT]]


def test_all_declared_or_none_declared():
    """Without unknown languages the detector is not called; without known ones it sees all."""
    language = Language()
    annotations = annotate(documents("one", "two", langs=["de", "fr"]), [language])
    assert language.batches == []
    assert annotations.column("lang").to_pylist() == ["de", "fr"]
    annotate(documents("one", "two", langs=["", None]), [language])
    assert language.batches == [["one", "two"]]


def test_a_detector_that_fails_on_one_document_hits_the_right_one():
    """The row of the error is that in the batch, not that among the undeclared."""
    annotations = annotate(
        documents("one", "two", "BROKEN", "four", langs=["de", None, None, None]), [Language()]
    )
    assert annotations.column("error_type").to_pylist() == [None, None, "ValueError", None]
    assert annotations.column("lang").to_pylist() == ["de", "sw", None, "sw"]


@pytest.mark.parametrize(
    ("declared", "normal"),
    [
        ("en", "en"),
        ("en-GB", "en"),
        ("pt_BR", "pt"),
        ("es-419", "es"),
        ("EN", "en"),
        ("De-de", "de"),
        (" fr\n", "fr"),
        ("hi-Latn", "hi-Latn"),
        ("zh-Hant-TW", "zh-Hant"),
        ("", None),
        ("  ", None),
        (None, None),
    ],
)
def test_a_declared_language_loses_its_region(declared, normal):
    """Models and policies go by language and script; an empty declaration is none."""
    assert normalized_languages(pa.array([declared], pa.string())).to_pylist() == [normal]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "bb", "BROKEN"]), st.sampled_from([None, "de", "x-GB"])),
        max_size=8,
    )
)
def test_a_document_is_annotated_alike_alone_and_among_others(pairs):
    """Whatever stands beside it, fails or declares its language."""
    annotators = [Language("nothing"), Words(), Harm()]
    together = annotate(
        documents(*(text for text, _ in pairs), langs=[lang for _, lang in pairs]), annotators
    ).to_pylist()
    for (text, lang), found in zip(pairs, together, strict=True):
        alone = annotate(documents(text, langs=[lang]), annotators).to_pylist()[0]
        place = {"id", "text_sha256", "src_row"}
        assert {name: value for name, value in found.items() if name not in place} == {
            name: value for name, value in alone.items() if name not in place
        }
