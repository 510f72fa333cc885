import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.vocabulary import HAZARDS, STANCES
from raicurate.transforms.harm_model import SHIPPED, HarmModel
from raicurate.transforms.harm_screen import cells_of_texts, passage_cells
from raicurate.transforms.harm_text import cells
from raicurate.transforms.registry import append_labels, create
from raicurate.transforms.schema import LABEL_FIELDS


@pytest.fixture(scope="module")
def annotator():
    """Returns the annotator with the model that ships."""
    harm = create("harm@1", {})
    harm.setup()
    return harm


def batch_of(texts, languages):
    return pa.RecordBatch.from_arrays(
        [
            pa.array([f"d{number}" for number in range(len(texts))], pa.string()),
            pa.array(texts, pa.string()),
            pa.array(languages, pa.string()),
        ],
        names=["id", "text", "lang"],
    )


def test_columns_have_the_frozen_types(annotator):
    """The annotator fills its columns in the types of the schema."""
    arrays = annotator.annotate(batch_of(["Good morning.", "The river is wide."], ["en", "en"]))
    types = {field.name: field.type for field in LABEL_FIELDS}
    assert [array.type for array in arrays] == [types[name] for name in annotator.columns]


def test_an_empty_batch_stays_empty(annotator):
    """A batch without rows is annotated without rows."""
    labelled = append_labels(
        batch_of([], []), annotator.columns, annotator.annotate(batch_of([], []))
    )
    assert labelled.num_rows == 0


def test_a_language_without_a_measured_model_is_null_never_zero(annotator):
    """What was not measured is told apart from what was found harmless."""
    score, model, hazards, _ = annotator.annotate(
        batch_of(["Habari ya asubuhi.", "Good morning.", "Good morning."], ["sw", None, "en"])
    )
    assert score.to_pylist()[:2] == [None, None]
    assert model.to_pylist()[:2] == ["none", "none"]
    assert hazards.to_pylist()[:2] == [[], []]
    assert score[2].as_py() is not None
    assert model[2].as_py().startswith("harm-")


def test_a_text_without_words_is_harmless(annotator):
    """Nothing was said, so nothing harmful was."""
    score, _, hazards, _ = annotator.annotate(batch_of(["", " \n ", "..."], ["en"] * 3))
    assert max(score.to_pylist()) < 0.5
    assert all(entry["score"] < 0.5 for entries in hazards.to_pylist() for entry in entries)


def test_language_must_come_first(annotator):
    """Without a language no model can be chosen, and the error says what to do."""
    with pytest.raises(ManifestError, match="language@1"):
        annotator.annotate(batch_of(["a"], ["en"]).select(["id", "text"]))


def test_a_missing_model_is_named(tmp_path):
    """A wrong path is an error at the start, with the path."""
    with pytest.raises(ManifestError, match=str(tmp_path)):
        create("harm@1", {"model": str(tmp_path)}).setup()


def test_an_insult_in_a_long_harmless_text_is_found_in_its_passage(annotator):
    """Offsets delimit the passage that shows a hazard, not the document."""
    filler = "The river runs through the valley, past the mill and the old bridge. " * 60
    insult = "You are a stupid idiot and a disgusting moron, shut up you pathetic loser. "
    text = filler + insult * 5 + filler
    _, _, hazards, _ = annotator.annotate(batch_of([text], ["en"]))
    found = [entry for entry in hazards[0].as_py() if entry["stance"] == "intent"]
    best = max(found, key=lambda entry: entry["score"])
    assert best["score"] > 0.5
    assert best["start"] < len(filler) + len(insult * 5)
    assert best["end"] > len(filler)
    assert best["end"] - best["start"] < 1000


@settings(deadline=None, max_examples=60)
@given(texts=st.lists(st.text(max_size=300), max_size=4), lang=st.sampled_from(["en", "zh", "sw"]))
def test_any_text_is_annotated_within_its_bounds(annotator, texts, lang):
    """Whatever the text, offsets lie within it, and labels come from the vocabulary."""
    score, model, hazards, _ = annotator.annotate(batch_of(texts, [lang] * len(texts)))
    for text, entries, value, name in zip(
        texts, hazards.to_pylist(), score.to_pylist(), model.to_pylist(), strict=True
    ):
        assert (value is None) == (name == "none")
        for entry in entries:
            assert 0 <= entry["start"] < entry["end"] <= len(text)
            assert entry["hazard"] in HAZARDS
            assert entry["stance"] in STANCES
            assert 0 < entry["score"] <= 1


@given(st.text(max_size=400), st.integers(8, 60))
def test_cells_are_the_text(text, size):
    """No part of a text escapes: its cells join up to it."""
    cut = list(cells(text, size))
    assert "".join(text[start:end] for start, end in cut) == text
    assert all(0 < end - start <= size for start, end in cut)


@given(st.lists(st.text(max_size=1500), max_size=4))
def test_passages_cover_every_text(texts):
    """Passages are a cell and the next one, within one text, and leave nothing out."""
    found = cells_of_texts(texts, ["en"] * len(texts))
    begin, end = passage_cells(found.document)
    assert (found.document[begin] == found.document[end]).all()
    for number, text in enumerate(texts):
        covered = set()
        for first, last in zip(begin, end, strict=True):
            if found.document[first] == number:
                covered.update(range(found.starts[first], found.ends[last]))
        assert covered == set(range(len(text)))


def test_the_answer_does_not_depend_on_the_batch(annotator):
    """A document is labelled alike alone and among others."""
    texts = ["Good morning.", "You are a stupid idiot, shut up.", "The river is wide."]
    together = annotator.annotate(batch_of(texts, ["en"] * 3))
    for number, text in enumerate(texts):
        one = batch_of([text], ["en"])
        alone = annotator.annotate(one)
        assert alone[0][0] == together[0][number]
        assert alone[2][0] == together[2][number]


def test_a_language_without_examples_of_hazards_names_the_plainest():
    """Where training named no hazard, none is taken from the air, least of all the gravest."""
    model = HarmModel.load(SHIPPED)
    scores = model.passage_scores(["这些人都应该滚出我们的国家，他们不配和我们一起生活。"], ["zh"])
    named = {HAZARDS[index] for index in np.flatnonzero(scores.hazards[0] > 1e-6)}
    assert named == {"hate", "harassment"}
