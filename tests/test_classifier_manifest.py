import pytest

from raicurate.corpora_manifests.classifier import ClassifierManifest, load_classifier
from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import PACKAGE_FOLDER, validated

ONE_SET = {
    "name": "one",
    "path": "one.jsonl",
    "source": "someone/one",
    "license": "CC0-1.0",
    "text_type": "statement",
    "stances": {"bad": "intent", "good": "none"},
    "hazard_key": "categories",
}
SMALL = {"name": "small", "version": "1", "languages": ["en"], "sets": [ONE_SET]}


def test_the_manifest_that_ships_is_valid_and_names_source_and_licence(monkeypatch):
    """The manifest behind the shipped models loads, and each set says where it is from."""
    monkeypatch.setenv("RAI_DATA", "/data")
    manifest = load_classifier(PACKAGE_FOLDER / "classifiers" / "harm.yaml")
    assert manifest.root == "/data"
    assert all(labelled.source and labelled.license for labelled in manifest.sets)


def test_a_variable_that_is_not_set_is_named(monkeypatch):
    """Without RAI_DATA the shipped manifest says which variable is missing."""
    monkeypatch.delenv("RAI_DATA", raising=False)
    with pytest.raises(ManifestError, match="RAI_DATA"):
        load_classifier(PACKAGE_FOLDER / "classifiers" / "harm.yaml")


def test_a_relative_root_is_relative_to_the_manifest(tmp_path):
    """Paths do not depend on the folder in which the command is run."""
    path = tmp_path / "small.yaml"
    path.write_text(validated(ClassifierManifest, SMALL, "here").model_dump_json())
    assert load_classifier(path).root == str(tmp_path.resolve())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sedd": 1}, "sedd"),
        ({"sets": [ONE_SET, ONE_SET]}, "two sets are named 'one'"),
        ({"sets": [ONE_SET | {"stances": "evil"}]}, "stances"),
        ({"sets": [ONE_SET | {"split": {"held_out": ["a"]}}]}, "holds out values"),
        ({"sets": [ONE_SET | {"form": "sentences"}]}, "identity_terms"),
        ({"hazards": {"x": "rudeness"}}, "hazards.x"),
        ({"languages": []}, "languages"),
    ],
)
def test_a_fault_is_named_with_its_place(change, complaint):
    """Unknown keys, doubled names and unknown meanings are errors that say where."""
    with pytest.raises(ManifestError, match=complaint):
        validated(ClassifierManifest, SMALL | change, "small.yaml")
