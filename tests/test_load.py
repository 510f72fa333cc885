import copy
import datetime
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raicurate.corpora_manifests.errors import ManifestError, UsageError
from raicurate.corpora_manifests.load import (
    PACKAGE_FOLDER,
    dump,
    json_schema,
    load_manifest,
    load_policy,
    read_yaml,
    validated,
)
from raicurate.corpora_manifests.manifest import Corpus, Manifest
from raicurate.corpora_manifests.policy import Policy

POLICY = {
    "name": "small",
    "version": "1",
    "gravity": {"default": {}},
    "rules": [{"name": "keep", "action": "keep"}],
}
MANIFEST = {
    "name": "small",
    "policy": POLICY,
    "corpora": [{"name": "web", "paths": ["*.jsonl"], "license": "CC0-1.0"}],
}
FUZZ = settings(deadline=None, max_examples=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("manifests")


def dumped(content):
    return yaml.dump(content, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))


def written(folder, content):
    path = folder / "manifest.yaml"
    text = content if isinstance(content, str) else dumped(content)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


def loaded(folder, content, overrides=()):
    return load_manifest(written(folder, content), overrides)


def changed(*steps_and_value):
    """Returns a copy of the small manifest in which one place holds another value."""
    *steps, last, value = steps_and_value
    content = copy.deepcopy(MANIFEST)
    place = content
    for step in steps:
        place = place[step]
    place[last] = value
    return content


def complaint(folder, content, overrides=()):
    with pytest.raises(UsageError) as caught:
        loaded(folder, content, overrides)
    return str(caught.value)


def test_a_variable_is_filled_in_wherever_a_text_stands(folder, monkeypatch):
    """`${VAR}` works inside a text, more than once, in lists and mappings."""
    monkeypatch.setenv("RAI_TEST_PLACE", "there")
    path = written(
        folder, "a: x-${RAI_TEST_PLACE}-${RAI_TEST_PLACE}\nb: [{c: '${RAI_TEST_PLACE}'}]"
    )
    assert read_yaml(path) == {"a": "x-there-there", "b": [{"c": "there"}]}


def test_a_default_holds_only_where_the_variable_is_not_set(folder, monkeypatch):
    """`${VAR:-default}` falls back; a set variable wins, an empty default is allowed."""
    path = written(folder, "[ '${RAI_TEST_PLACE:-here}', '${RAI_TEST_PLACE:-}' ]")
    monkeypatch.delenv("RAI_TEST_PLACE", raising=False)
    assert read_yaml(path) == ["here", ""]
    monkeypatch.setenv("RAI_TEST_PLACE", "there")
    assert read_yaml(path) == ["there", "there"]


def test_a_missing_variable_is_named_with_its_place(folder, monkeypatch):
    """The error says which variable, in which file, at which key."""
    monkeypatch.delenv("RAI_TEST_PLACE", raising=False)
    path = written(folder, "corpora: [{root: '${RAI_TEST_PLACE}/x'}]")
    with pytest.raises(ManifestError, match=r"corpora\[0\]\.root.*RAI_TEST_PLACE is not set"):
        read_yaml(path)


def test_a_filled_in_value_is_not_read_as_yaml_again(folder, monkeypatch):
    """A variable is a text, whatever it holds: no injection of keys, no second expansion."""
    monkeypatch.setenv("RAI_TEST_PLACE", "{a: ${RAI_TEST_OTHER}}")
    assert read_yaml(written(folder, "a: ${RAI_TEST_PLACE}")) == {"a": "{a: ${RAI_TEST_OTHER}}"}


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3", "x: {a: 1, a: 1}", "x: [{1: a, 1.0: b}]"])
def test_a_key_that_stands_twice_is_an_error_with_its_place(folder, text):
    """YAML would silently take the last one; here the line and column are named."""
    with pytest.raises(ManifestError, match=r"at line \d, column \d+: the key .* stands twice"):
        read_yaml(written(folder, text))


def test_a_key_that_is_no_plain_value_is_an_error(folder):
    """A mapping or list as a key is a slip of indentation."""
    with pytest.raises(ManifestError, match="a key must be a plain value"):
        read_yaml(written(folder, "? {a: 1}\n: 2"))


def test_anchors_and_merging_work(folder):
    """`*name` repeats a value and `<<` merges a mapping, whose keys the own ones replace."""
    text = "a: {b: &x {k: 1, l: 2}, c: &y {<<: *x, k: 3}}\nd: {<<: *y, m: 4}\ne: [*x, *x]"
    content = read_yaml(written(folder, text))
    assert content["a"]["c"] == {"k": 3, "l": 2}
    assert content["d"] == {"k": 3, "l": 2, "m": 4}
    assert content["e"] == [{"k": 1, "l": 2}] * 2


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1, 2", "line"),
        ("a: 2026-13-45", "month must be in 1..12"),
        ("a: 2026-02-30", "day is out of range"),
        ("a: *nowhere", "undefined alias"),
        ("a: &x [*x]", "within what it stands for"),
        ("a: &x {b: *x}", "within what it stands for"),
        ("a: &a " + "[" * 90 + "]" * 90 + "\nb: " + "[" * 101 + "]" * 101, "deeper than 100"),
        ("[" * 100_000, "nested deeper than 100 levels"),
        ("{a: " * 100_000, "nested deeper than 100 levels"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        ("a: !!set {x, y}", "a: a YAML set"),
        ("a: [!!binary gA==]", r"a\[0\]: a YAML bytes"),
        ("a: {b: {no: 0.5}}", r"a\.b: the key False is no text to YAML; put it in quotes"),
        ("1: 2", r"\(whole file\): the key 1 is no text"),
        ("a: \x07", "control characters are not allowed"),
        ("\x00", "control characters are not allowed"),
        ("a: 1\n--- \nb: 2", "another document"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_not_plain_yaml_is_a_manifest_error(folder, text, problem):
    """Bad syntax, impossible dates, runaway nesting and unknown tags never crash."""
    with pytest.raises(ManifestError, match=problem):
        read_yaml(written(folder, text))


def test_a_chain_of_aliases_that_nests_deeply_is_a_manifest_error(folder):
    """Each value is shallow, but they stand in one another."""
    lines = ["a0: &a0 x"] + [f"a{n}: &a{n} {'[' * 50}*a{n - 1}{']' * 50}" for n in range(1, 60)]
    with pytest.raises(ManifestError, match="alias"):
        read_yaml(written(folder, "\n".join(lines)))


def test_a_file_that_cannot_be_read_is_a_manifest_error(folder):
    """Missing files, folders, other encodings and impossible names are named."""
    with pytest.raises(ManifestError, match=r"there is no file .*absent"):
        read_yaml(folder / "absent.yaml")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_yaml(folder)
    with pytest.raises(ManifestError, match="cannot be read"):
        read_yaml(folder / ("a" * 300))
    latin = folder / "latin.yaml"
    latin.write_bytes("a: grün".encode("latin-1"))
    with pytest.raises(ManifestError, match="cannot be read"):
        read_yaml(latin)


@pytest.mark.parametrize(
    ("steps_and_value", "place"),
    [
        (("corpra", []), "corpra"),
        (("corpora", 0, "licence", "MIT"), "corpora.0.licence"),
        (("corpora", 0, "keys", {"txt": "body"}), "corpora.0.keys.txt"),
        (("policy", "thresholds", {"defualt": 0.4}), "policy.thresholds.defualt"),
        (("policy", "rules", 0, "wen", {}), "policy.rules.0.wen"),
        (("output", {"unit_byte": 1}), "output.unit_byte"),
    ],
)
def test_an_unknown_key_is_named_with_its_place(folder, steps_and_value, place):
    """A misspelt key is an error on every level, and the message says where."""
    message = complaint(folder, changed(*steps_and_value))
    assert f"  {place}: this key is not known here" in message


def test_every_fault_is_listed(folder):
    """One run of `validate` shows all that is wrong, not the first fault only."""
    content = changed("corpora", 0, "trust", "full") | {"version": 3, "extra": 1}
    message = complaint(folder, content)
    assert {line.split(":")[0].strip() for line in message.splitlines()[1:]} == {
        "corpora.0.trust",
        "version",
        "extra",
    }


@pytest.mark.parametrize("content", ["", "[]", "- a", "text", "3"])
def test_a_file_without_keys_is_no_manifest(folder, content):
    """An empty file, a list or a text is told apart from a manifest with faults."""
    assert "holds no mapping of keys to values" in complaint(folder, content)
    with pytest.raises(ManifestError, match="holds no mapping of keys to values"):
        load_policy(written(folder, content))


def test_overrides_reach_into_maps_and_lists(folder):
    """`a.b=value` makes what is missing on its way, and a number selects in a list."""
    manifest = loaded(
        folder,
        MANIFEST,
        ["output.unit_bytes=4096", "corpora.0.lang=de", "policy.thresholds.default=0.25"],
    )
    assert manifest.output.unit_bytes == 4096
    assert manifest.corpora[0].lang == "de"
    assert manifest.policy.thresholds.default == 0.25


def test_an_override_is_read_as_yaml(folder, monkeypatch):
    """Lists, numbers, an equals sign and variables are what they are in the file."""
    monkeypatch.setenv("RAI_TEST_PLACE", "there")
    overrides = [
        "corpora.0.exclude=[a, 'b=c']",
        "description=x=y",
        "version='7'",
        "corpora.0.root=${RAI_TEST_PLACE}",
    ]
    manifest = loaded(folder, MANIFEST, overrides)
    assert manifest.corpora[0].exclude == ("a", "b=c")
    assert manifest.description == "x=y"
    assert manifest.version == "7"
    assert manifest.corpora[0].root == str(folder.resolve() / "there")


def test_a_later_override_wins(folder):
    """Overrides apply in order, after the file."""
    overrides = ["corpora.0.lang=de", "corpora.0.lang=fr"]
    assert loaded(folder, MANIFEST, overrides).corpora[0].lang == "fr"


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("output", "not of the form a.b=value"),
        ("=3", "not of the form a.b=value"),
        ("corpora.1.lang=de", "reaches nothing"),
        ("corpora.web.lang=de", "reaches nothing"),
        ("corpora.9=x", "reaches nothing"),
        ("name.first=x", "reaches nothing"),
        ("version=[", "reaches nothing"),
        ("version={a: 1, a: 2}", "reaches nothing"),
        ("version=" + "[" * 10_000, "reaches nothing"),
        ("version=2026-13-45", "reaches nothing"),
        ("versoin=2", "versoin: this key is not known here"),
        ("output.unit_bytes=big", "output.unit_bytes: Input should be a valid integer"),
    ],
    ids=lambda value: value[:20],
)
def test_a_bad_override_is_a_usage_error(folder, override, problem):
    """What reaches nothing, is no YAML or does not fit is refused with exit code 2."""
    assert problem in complaint(folder, MANIFEST, [override])


def test_relative_paths_are_relative_to_the_manifest(folder, monkeypatch):
    """Root, restricted tier, templates and model files do not depend on the working folder."""
    monkeypatch.chdir("/")
    content = changed("corpora", 0, "root", "sub/../data") | {
        "output": {"restricted": "secret"},
        "templates": ["mine", "/abs"],
        "annotators": [
            {"use": "harm@1", "with": {"model": "m", "paths": ["x", "gs://b/y", 3], "name": "n"}}
        ],
    }
    manifest = loaded(folder, content)
    base = str(folder.resolve())
    assert manifest.corpora[0].root == f"{base}/data"
    assert manifest.output.restricted == f"{base}/secret"
    assert manifest.templates == (f"{base}/mine", "/abs")
    assert manifest.annotators[0].with_ == {
        "model": f"{base}/m",
        "paths": [f"{base}/x", "gs://b/y", 3],
        "name": "n",
    }


def test_uris_stay_as_they_are(folder):
    """A place on a store is not resolved against a local folder."""
    content = changed("corpora", 0, "root", "s3://bucket/a/../b") | {
        "output": {"restricted": "gs://locked/tier"}
    }
    manifest = loaded(folder, content)
    assert manifest.corpora[0].root == "s3://bucket/a/../b"
    assert manifest.output.restricted == "gs://locked/tier"


@pytest.mark.parametrize("restricted", ["{out}.restricted", "{out}/../locked"])
def test_the_output_stands_for_itself_until_the_command_line_names_it(folder, restricted):
    """`{out}` is kept, since only the command line knows the output."""
    assert loaded(folder, MANIFEST | {"output": {"restricted": restricted}}).output.restricted == (
        restricted
    )


def test_impossible_paths_are_manifest_errors(folder):
    """A NUL byte or a name that is too long is a fault of the manifest, not a crash."""
    assert "is no path" in complaint(folder, changed("corpora", 0, "root", "a\0b"))
    assert "cannot be read" in complaint(folder, MANIFEST | {"policy": "a" * 300})


def test_a_policy_inline_or_by_path_is_the_same(folder):
    """A policy file beside the manifest gives the manifest that an inline policy gives."""
    detailed = POLICY | {
        "thresholds": {"by_hazard_and_language": {"hate": {"de": 0.25}}},
        "rules": [
            {"name": "all", "when": {"stances": ["intent"]}, "action": "contextualize"},
            {"name": "keep", "action": "keep"},
        ],
    }
    output = {"output": {"restricted": "{out}.restricted"}}
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "own.yaml").write_text(yaml.safe_dump(detailed))
    by_path = loaded(folder, MANIFEST | output | {"policy": "policies/own.yaml"})
    assert by_path == loaded(folder, MANIFEST | output | {"policy": detailed})


def test_the_policy_that_ships_is_found_by_name(folder):
    """`policies/default.yaml` works from any folder, unless a file of that name is nearer."""
    output = {"output": {"restricted": "{out}.restricted"}}
    shipped = loaded(folder, MANIFEST | output | {"policy": "policies/default.yaml"})
    assert shipped.policy == load_policy(PACKAGE_FOLDER / "policies" / "default.yaml")
    own = folder / "policies" / "default.yaml"
    own.parent.mkdir(exist_ok=True)
    own.write_text(yaml.safe_dump(POLICY))
    try:
        assert loaded(folder, MANIFEST | {"policy": "policies/default.yaml"}).policy.name == "small"
    finally:
        own.unlink()


def test_a_policy_that_is_not_there_is_named(folder):
    """The message holds the path that was looked for, below the manifest."""
    assert f"there is no file {folder.resolve()}/nowhere.yaml" in complaint(
        folder, MANIFEST | {"policy": "nowhere.yaml"}
    )


def test_a_fault_in_a_policy_file_names_that_file(folder):
    """A manifest with a broken policy says which of the two files to mend."""
    (folder / "broken.yaml").write_text(yaml.safe_dump(POLICY | {"rulez": []}))
    message = complaint(folder, MANIFEST | {"policy": "broken.yaml"})
    assert "broken.yaml is not a valid Policy" in message
    assert "rulez" in message


def test_an_unquoted_date_is_the_text_of_the_date(folder):
    """`added: 2026-01-31` without quotes is what the author meant."""
    manifest = loaded(folder, changed("corpora", 0, "added", datetime.date(2026, 1, 31)))
    assert manifest.corpora[0].added == "2026-01-31"
    spec = {"use": "harm@1", "with": {"since": datetime.datetime(2026, 1, 31, 12, 5)}}
    manifest = loaded(folder, MANIFEST | {"annotators": [spec]})
    assert manifest.annotators[0].with_ == {"since": "2026-01-31T12:05:00"}


@pytest.mark.parametrize("path", sorted(PACKAGE_FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_every_manifest_that_ships_loads_and_survives_a_dump(folder, path, monkeypatch):
    """What `dump` writes is the same manifest again, complete."""
    monkeypatch.setenv("RAI_DATA", str(folder))
    manifest = load_manifest(path)
    assert all(Path(corpus.root).is_absolute() for corpus in manifest.corpora)
    assert loaded(folder, dump(manifest)) == manifest
    assert dump(loaded(folder, dump(manifest))) == dump(manifest)


@pytest.mark.parametrize(
    "path", sorted((PACKAGE_FOLDER / "policies").glob("*.yaml")), ids=lambda path: path.name
)
def test_every_policy_that_ships_loads_and_survives_a_dump(folder, path):
    """What `dump` writes is the same policy again."""
    policy = load_policy(path)
    assert load_policy(written(folder, dump(policy))) == policy


def accepts(schema, root, value):
    """Returns whether a value fits the parts of JSON Schema that pydantic uses here."""
    if "$ref" in schema:
        return accepts(root["$defs"][schema["$ref"].rpartition("/")[2]], root, value)
    if "anyOf" in schema:
        return any(accepts(option, root, value) for option in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kinds = {"object": dict, "array": list, "string": str, "null": type(None), "boolean": bool}
    kind = schema.get("type")
    if kind in kinds and not isinstance(value, kinds[kind]):
        return False
    if kind in {"integer", "number"} and not isinstance(value, int | float):
        return False
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(
            accepts(schema["items"], root, item) for item in value
        )
    if isinstance(value, dict):
        known, other = schema.get("properties", {}), schema.get("additionalProperties", True)
        return set(schema.get("required", ())) <= value.keys() and all(
            accepts(known.get(key, other), root, item)
            if isinstance(known.get(key, other), dict)
            else other
            for key, item in value.items()
        )
    return True


@pytest.mark.parametrize("path", sorted(PACKAGE_FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_the_json_schema_accepts_what_ships_and_refuses_what_is_misspelt(path):
    """Editors that check against the schema agree with the loader, aliases included."""
    schema = json.loads(json.dumps(json_schema()))
    content = yaml.safe_load(path.read_text())
    try:
        import jsonschema
    except ImportError:
        pass
    else:
        jsonschema.validate(content, schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert accepts(schema, schema, content)
    inline = content | {"policy": yaml.safe_load((path.parent / content["policy"]).read_text())}
    assert accepts(schema, schema, inline)
    annotators = [{"use": "harm@1", "with": {"model": "m"}}]
    assert accepts(schema, schema, content | {"annotators": annotators})
    for wrong in (
        content | {"corpra": []},
        content | {"corpora": []},
        content | {"policy": 3},
        {key: value for key, value in content.items() if key != "name"},
        content | {"annotators": [{"use": "harm@1", "with_": {}}]},
        inline | {"policy": inline["policy"] | {"rulez": []}},
    ):
        assert not accepts(schema, schema, wrong)


def never_crashes(folder, content, overrides=()):
    try:
        manifest = loaded(folder, content, overrides)
    except UsageError:
        return
    assert isinstance(manifest, Manifest)
    again = loaded(folder, dumped(manifest.model_dump(mode="json", by_alias=True)))
    # Compared as text, since a NaN among the parameters of an annotator equals nothing.
    assert repr(again) == repr(manifest)


@FUZZ
@given(st.one_of(st.text(), st.text("ab:-[]{}*&!|>'\"#\n \t?<,012", max_size=60)))
def test_any_text_is_a_manifest_or_a_manifest_error(folder, text):
    """No file makes the loader crash."""
    never_crashes(folder, text)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(value, steps=()):
    """Yields the steps to every value inside a manifest."""
    if steps:
        yield steps
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*steps, key))


DETAILED = {
    **yaml.safe_load((PACKAGE_FOLDER / "quickstart.yaml").read_text()),
    "policy": yaml.safe_load((PACKAGE_FOLDER / "policies" / "default.yaml").read_text()),
    "annotators": [{"use": "harm@1", "with": {"model": "m", "paths": ["a"]}}],
    "steps": [{"use": "datatrove.pipeline.formatters.PIIFormatter", "with": {"remove_ips": True}}],
    "templates": ["mine"],
    "withdrawn": {"ids": ["x"], "text_sha256": ["0" * 64]},
}
PLACES = sorted(places(DETAILED), key=str)


@FUZZ
@given(st.data())
def test_any_value_at_any_place_is_a_manifest_or_a_manifest_error(folder, data):
    """A wrong value anywhere in a complete manifest is a fault with a name, never a crash."""
    content = copy.deepcopy(DETAILED)
    *parents, last = data.draw(st.sampled_from(PLACES))
    place = content
    for step in parents:
        place = place[step]
    place[last] = data.draw(plain)
    try:
        text = dumped(content)
    except ValueError:
        text = repr(content)
    never_crashes(folder, text)


@FUZZ
@given(
    st.lists(st.sampled_from(["policy", "rules", "corpora", "output", "0", "-1", "name", ""])),
    st.text(max_size=20),
)
def test_any_override_is_taken_or_a_usage_error(folder, steps, value):
    """No `--set` makes the loader crash."""
    never_crashes(folder, MANIFEST, [".".join(steps) + "=" + value])


def test_a_model_refuses_what_is_no_mapping():
    """A list where keys belong is named by the model it should have been."""
    with pytest.raises(ManifestError, match="so it is no Corpus"):
        validated(Corpus, ["a"], "here")
    with pytest.raises(ManifestError, match=r"(?s)here is not a valid Policy:\n.*rules"):
        validated(Policy, {key: POLICY[key] for key in POLICY if key != "rules"}, "here")
