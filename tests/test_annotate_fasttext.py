"""Any fastText classifier as a filter: its verdicts, and how they are evaluated."""

import random

import fasttext
import numpy as np
import pyarrow as pa
import pytest

from raicurate.corpora_manifests.classifier import FastTextParameters
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.manifest import StepSpec
from raicurate.transforms.datatrove_steps import DatatroveSteps
from raicurate.transforms.registry import create
from raicurate.transforms.train_fasttext import train_fasttext

GOOD, POOR = "theorem proof lemma therefore integer", "click buy now cheap offer"
TEXTS = [
    "The proof of the lemma:\nan integer, therefore even.",
    "Buy now!\n\nClick for a cheap offer",
    "",
    "lemma </s> buy now click offer cheap",
    "proof offer zebra\tintegers",
    None,
]


def lines():
    chance = random.Random(3)
    for number in range(600):
        name, words = (("good", GOOD), ("poor", POOR))[number % 2]
        chosen = chance.choices([*words.split(), "the", "of", "a"], k=8)
        yield f"__label__{name} {' '.join(chosen)}"


def train(folder, name, quantised=False, **parameters):
    path = folder / name
    chosen = FastTextParameters(bucket=2000, minCount=1, epoch=5, **parameters)
    train_fasttext(list(lines()), chosen, 0, path, quantised=quantised)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder):
    return train(folder, "pairs.bin")


def batch(texts=TEXTS):
    return pa.RecordBatch.from_pydict(
        {"id": [str(number) for number in range(len(texts))], "text": pa.array(texts, pa.string())}
    )


def steps(texts=TEXTS, **parameters):
    annotator = create("fasttext@1", parameters)
    annotator.setup()
    (column,) = annotator.annotate(batch(texts))
    return [row[0] for row in column.to_pylist()]


def expected(path, texts=TEXTS):
    model = fasttext.FastText._FastText(str(path))
    cleaned = [(text or "").replace("\n", " ").replace("</s>", " ") for text in texts]
    names, values = model.predict(cleaned, k=-1)
    return [
        dict(zip(labels, scores, strict=True))["__label__good"]
        for labels, scores in zip(names, values, strict=True)
    ]


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({}, id="table"),
        pytest.param({"minn": 2, "maxn": 3}, id="subwords"),
        pytest.param({"quantised": True}, id="quantised"),
        pytest.param({"wordNgrams": 3}, id="runs of three"),
    ],
)
def test_scores_are_those_of_fasttext(tmp_path, parameters):
    """Whatever the kind of model, and whichever way it is evaluated."""
    path = train(tmp_path, "kind.bin", **parameters)
    found = [row["score"] for row in steps(model=str(path), label="good")]
    np.testing.assert_allclose(found, np.minimum(expected(path), 1), atol=1e-4)


def test_the_threshold_decides(model):
    """Documents at or above it pass, or those below it; the reason names the label."""
    at_least = steps(model=str(model), label="good", threshold=0.5, name="quality")
    below = steps(model=str(model), label="good", threshold=0.5, passes="below")
    assert [row["passed"] for row in at_least][:2] == [True, False]
    assert [row["passed"] for row in below] == [not row["passed"] for row in at_least]
    assert {row["name"] for row in at_least} == {"quality"}
    assert {row["name"] for row in below} == {"good"}
    assert [row["reason"] for row in at_least][:2] == [None, "fasttext_good"]


def test_several_filters_stand_side_by_side(model):
    """Verdicts of other classifiers and of datatrove's filters stay, in order."""
    chain = [
        create("fasttext@1", {"model": str(model), "label": "good"}),
        create("fasttext@1", {"model": str(model), "label": "poor", "passes": "below"}),
        DatatroveSteps([StepSpec(use="datatrove.pipeline.formatters.PIIFormatter")]),
    ]
    for annotator in chain:
        annotator.setup()
    documents = batch(TEXTS[:2])
    for annotator in chain:
        (column,) = annotator.annotate(documents)
        if documents.schema.get_field_index("steps") >= 0:
            documents = documents.drop_columns(["steps"])
        documents = documents.append_column("steps", column)
    names = [[step["name"] for step in row] for row in documents.column("steps").to_pylist()]
    assert names == [["good", "poor", "PIIFormatter"]] * 2


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"label": "bad"}, "has no label 'bad'"),
        ({"label": "good", "threshold": 2}, "must be a probability"),
        ({"label": "good", "passes": "above"}, "must be a probability"),
    ],
)
def test_wrong_parameters_are_said_before_the_run(model, parameters, message):
    """The error names what is wrong and the cure."""
    with pytest.raises(ManifestError, match=message):
        create("fasttext@1", {"model": str(model), **parameters})
    with pytest.raises(ManifestError, match="no fastText model"):
        create("fasttext@1", {"model": str(model) + ".gone", "label": "good"})


def test_model_and_threshold_are_part_of_the_key(model):
    """Another threshold or model gives other annotations."""
    one, two = (
        create("fasttext@1", {"model": str(model), "label": "good", "threshold": value})
        for value in (0.4, 0.6)
    )
    assert one.model_digest() == two.model_digest()
    assert one.identity() != two.identity()
