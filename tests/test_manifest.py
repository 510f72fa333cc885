from typing import get_args

import pytest
from pydantic import ValidationError

from raicurate.corpora_manifests.manifest import (
    AnnotatorSpec,
    Corpus,
    FileEntry,
    Format,
    Manifest,
    Output,
    StepSpec,
    Withdrawn,
)
from raicurate.pipelines import reading

KEEP = {"name": "keep", "action": "keep"}
POLICY = {"name": "small", "version": "1", "gravity": {"default": {}}, "rules": [KEEP]}
CORPUS = {"name": "web", "paths": ["*.jsonl"], "license": "CC0-1.0"}
MANIFEST = {"name": "small", "policy": POLICY, "corpora": [CORPUS]}


def refused(model, content, problem):
    with pytest.raises(ValidationError, match=problem):
        model.model_validate(content)


@pytest.mark.parametrize("name", ["web", "Web-2.x_y", "0", "a" * 100])
def test_names_that_are_folders_are_taken(name):
    """A corpus is a folder of the output."""
    assert Corpus.model_validate(CORPUS | {"name": name}).name == name


@pytest.mark.parametrize("name", ["", ".web", "-web", "a/b", "a b", "..", "ü", "a" * 101, "a\n"])
def test_names_that_are_no_safe_folders_are_refused(name):
    """A name neither hides nor leaves the output."""
    refused(Corpus, CORPUS | {"name": name}, "name")
    refused(Manifest, MANIFEST | {"name": name}, "name")
    refused(Output, {"annotation_set": name}, "annotation_set")


@pytest.mark.parametrize("key", ["paths", "exclude", "expected_damage"])
@pytest.mark.parametrize("path", ["/etc/x", "../x", "a/../../x", "gs://b/x", "a/.."])
def test_globs_stay_below_the_root(key, path):
    """A corpus reads nothing outside its root."""
    refused(Corpus, CORPUS | {key: [path]}, "is not below the root")


def test_globs_below_the_root_are_kept_as_they_are():
    """In order; two dots within a name are no way out."""
    globs = ["**/*.jsonl.gz", "a/b?.[ch]", "x..y/z", "./a"]
    corpus = Corpus.model_validate(CORPUS | {"paths": globs, "exclude": globs[:1]})
    assert corpus.paths == tuple(globs)
    assert corpus.exclude == ("**/*.jsonl.gz",)


def test_every_format_that_is_read_can_be_named():
    """And no other."""
    for name in ("auto", *reading.registered()):
        assert Corpus.model_validate(CORPUS | {"format": name}).format == name
    assert set(get_args(Format)) == {"auto", *reading.registered()}
    refused(Corpus, CORPUS | {"format": "csv"}, "format")


def test_a_corpus_needs_paths_and_a_licence():
    """Nothing to read, or no word on the licence, is an error."""
    refused(Corpus, CORPUS | {"paths": []}, "paths")
    refused(Corpus, CORPUS | {"license": ""}, "license")
    refused(Corpus, {key: CORPUS[key] for key in ("name", "paths")}, "license")


def test_the_defaults_of_a_corpus_are_those_of_the_field():
    """Records as in Dolma and datatrove need no keys; a declared language is not trusted."""
    corpus = Corpus.model_validate(CORPUS)
    assert corpus.keys.model_dump() == {
        "text": "text",
        "id": "id",
        "url": "url",
        "created": "created",
        "lang": None,
    }
    assert (corpus.role, corpus.format, corpus.trust) == ("web", "auto", "medium")
    assert (corpus.source, corpus.lang, corpus.added) == (None, None, None)


def test_promised_files_have_sizes_and_digests():
    """A size is no negative number and a digest is a whole SHA-256."""
    assert FileEntry(path="a", bytes=0, sha256="0" * 64, rows=0).rows == 0
    refused(FileEntry, {"path": "a", "bytes": -1}, "bytes")
    refused(FileEntry, {"path": "a", "bytes": 1, "rows": -1}, "rows")
    refused(FileEntry, {"path": "a", "bytes": 1, "sha256": "0" * 63}, "sha256")
    refused(FileEntry, {"path": "a", "bytes": 1, "sha256": "A" * 64}, "sha256")
    refused(Withdrawn, {"text_sha256": ["0" * 65]}, "text_sha256")


def test_an_annotator_is_named_with_its_version():
    """`name@version`, with parameters under `with`."""
    spec = AnnotatorSpec.model_validate({"use": "harm@1", "with": {"model": "m"}})
    assert spec.with_ == {"model": "m"}
    for use in ("harm", "harm@", "@1", "Harm@1", "harm@1 ", "harm@1@2"):
        refused(AnnotatorSpec, {"use": use}, "use")
    refused(AnnotatorSpec, {"use": "harm@1", "with_": {}}, "with_")


def test_a_step_is_named_by_its_class():
    """Policies refer to a step by the class name at the end of its import name."""
    assert StepSpec(use="datatrove.pipeline.filters.FineWebQualityFilter").name == (
        "FineWebQualityFilter"
    )
    for use in ("Filter", "a.", ".a", "a.b()", "a/b.c", "a.1b"):
        refused(StepSpec, {"use": use}, "use")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unit_bytes", 1023),
        ("part_bytes", 0),
        ("row_group_bytes", -1),
        ("max_document_bytes", 0),
        ("max_document_bytes", (1 << 30) + 1),
        ("max_expansion", 1),
        ("error_budget", -0.1),
        ("error_budget", 1.1),
        ("error_budget", float("nan")),
        ("keep_snapshots", -1),
    ],
)
def test_sizes_and_shares_have_bounds(key, value):
    """Numbers that cannot work are refused before the run."""
    refused(Output, {key: value}, key)


def test_the_defaults_of_the_output_are_those_of_the_design():
    """Units of 512 MiB, parts of 1 GiB, row groups of 64 MiB, a budget of 0.1 %."""
    output = Output()
    assert (output.unit_bytes, output.part_bytes, output.row_group_bytes) == (
        512 << 20,
        1 << 30,
        64 << 20,
    )
    assert output.max_document_bytes == 32 << 20
    assert output.error_budget == 0.001
    assert output.keep_snapshots == 3


def test_the_default_annotators_run_language_first():
    """What others build on comes first."""
    names = [spec.use for spec in Manifest.model_validate(MANIFEST).annotators]
    assert names == ["language@1", "lexicon@1", "harm@1", "personal_data@1"]


def test_two_corpora_of_one_name_are_refused():
    """Their parts would overwrite each other."""
    refused(Manifest, MANIFEST | {"corpora": [CORPUS, CORPUS]}, "two corpora are named 'web'")
    refused(Manifest, MANIFEST | {"corpora": []}, "corpora")


def test_an_annotator_runs_once():
    """The second would silently replace the columns of the first."""
    twice = [{"use": "harm@1"}, {"use": "harm@1", "with": {"model": "m"}}]
    refused(Manifest, MANIFEST | {"annotators": twice}, "named twice")


@pytest.mark.parametrize(
    "rule",
    [
        {"name": "away", "when": {"languages": ["en"]}, "action": "restrict"},
        {"name": "explain", "when": {"stances": ["intent"]}, "action": "contextualize"},
    ],
)
def test_a_policy_that_can_restrict_needs_a_place_for_it(rule):
    """A context that is not accepted is restricted too, so explaining needs the place as well."""
    content = MANIFEST | {"policy": POLICY | {"rules": [rule, KEEP]}}
    refused(Manifest, content, "names no place for them")
    placed = Manifest.model_validate(content | {"output": {"restricted": "{out}.restricted"}})
    assert placed.output.restricted == "{out}.restricted"


def test_another_schema_version_is_refused():
    """A manifest of a later raicurate is not half understood."""
    refused(Manifest, MANIFEST | {"schema_version": 2}, "schema_version")
