import pyarrow as pa
import pytest

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.manifest import DEFAULT_ANNOTATORS
from raicurate.transforms import registry
from raicurate.transforms.registry import Annotator, append_labels, create, register, registered
from raicurate.transforms.schema import LABEL_FIELDS


@pytest.fixture(autouse=True)
def own_register(monkeypatch):
    """What a test registers is gone after it."""
    registered()
    monkeypatch.setattr(registry, "_ANNOTATORS", dict(registry._ANNOTATORS))


def example(columns=("lang",)):
    class Example(Annotator):
        def __init__(self, factor=1):
            self.factor = factor

        def annotate(self, batch):
            return [pa.nulls(batch.num_rows) for _ in self.columns]

    Example.columns = columns
    return Example


def batch(rows=2):
    return pa.RecordBatch.from_pydict({"text": pa.array(["x"] * rows, pa.string())})


def test_the_default_annotators_are_found_by_their_files():
    """Every annotator that manifests name by default exists; the list is sorted."""
    assert {spec.use for spec in DEFAULT_ANNOTATORS} <= set(registered())
    assert registered() == sorted(registered())


def test_a_registered_annotator_knows_its_name_and_version():
    """Name and version come from the register, so that they cannot differ from it."""
    register("example_one@2b")(example())
    made = create("example_one@2b", {"factor": 3})
    assert made.factor == 3
    assert made.identity() == ("example_one", "2b", None, {})


def test_two_annotators_of_one_name_are_an_error():
    """A released version stays; another behaviour is another version."""
    register("example_one@1")(example())
    with pytest.raises(ValueError, match="registered already"):
        register("example_one@1")(example())
    register("example_one@2")(example())


@pytest.mark.parametrize("reference", ["example", "@1", "example@", ""])
def test_a_name_without_version_is_an_error(reference):
    """Annotators are registered as `name@version`."""
    with pytest.raises(ValueError, match="name@version"):
        register(reference)


def test_an_annotator_fills_only_columns_of_the_schema():
    """A column that is stored nowhere would be lost in silence."""
    with pytest.raises(ValueError, match="mood"):
        register("example_one@1")(example(("lang", "mood")))


def test_an_unknown_annotator_is_told_which_are_known():
    """The message lists the names that can be used."""
    with pytest.raises(ManifestError, match=r"'harm@99' is not known.*known are: .*harm@1"):
        create("harm@99", {})


def test_parameters_that_do_not_fit_are_a_manifest_error():
    """The message names the annotator and `with:`."""
    register("example_one@1")(example())
    with pytest.raises(ManifestError, match=r"example_one@1.*correct its `with:`"):
        create("example_one@1", {"fctor": 3})


def test_labels_are_added_in_the_frozen_types():
    """A column is cast to the type of the schema, behind the columns that were there."""
    labelled = append_labels(batch(), ["lang_score"], [pa.array([0.5, 1.0], pa.float64())])
    assert labelled.schema.names == ["text", "lang_score"]
    assert labelled.schema.field("lang_score").type == pa.float32()


def test_a_label_that_is_there_is_replaced_in_its_place():
    """The later annotator has the last word."""
    once = append_labels(batch(), ["lang", "lang_score"], [pa.array(["a", "b"]), pa.nulls(2)])
    twice = append_labels(once, ["lang"], [pa.array(["c", "d"])])
    assert twice.schema == once.schema
    assert twice.column("lang").to_pylist() == ["c", "d"]


def test_the_first_column_can_be_replaced_too():
    """Its place is no sign that it is missing."""
    only = pa.RecordBatch.from_pydict({"lang": pa.array(["a", "b"])})
    assert append_labels(only, ["lang"], [pa.array(["c", "d"])]).to_pydict() == {"lang": ["c", "d"]}


@pytest.mark.parametrize("rows", [1, 3])
def test_a_column_of_another_length_is_an_error(rows):
    """Labels would belong to other documents."""
    with pytest.raises(ValueError, match="'lang' has"):
        append_labels(batch(2), ["lang"], [pa.array(["a"] * rows)])
    with pytest.raises(ValueError, match="zip"):
        append_labels(batch(2), ["lang", "lang_score"], [pa.array(["a"] * 2)])


def test_every_label_field_can_be_appended_as_nulls():
    """What no annotator filled is null, whatever its type."""
    names = [field.name for field in LABEL_FIELDS]
    labelled = append_labels(batch(), names, [pa.nulls(2, field.type) for field in LABEL_FIELDS])
    assert all(labelled.column(name).null_count == 2 for name in names)
