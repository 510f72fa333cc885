"""Reading manifests and policies from YAML: variables, overrides, paths, errors that help."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from raicurate.corpora_manifests.errors import ManifestError, UsageError
from raicurate.corpora_manifests.exercises import Exercises, Rewording
from raicurate.corpora_manifests.language_model import LanguageModel
from raicurate.corpora_manifests.manifest import Manifest
from raicurate.corpora_manifests.policy import Policy

PACKAGE_FOLDER = Path(__file__).resolve().parent
"""Where the manifests, policies and sample corpus that ship stand."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

AnyModel = TypeVar("AnyModel", bound=BaseModel)
Asked = TypeVar("Asked", LanguageModel | None, Rewording | None)


_MAX_DEPTH = 100
"""Deeper nesting is no manifest; libyaml would run out of stack, and take the process with it."""


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """A safe loader for which a key that stands twice in a mapping is an error."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._looked_at: set[int] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # Merging (`<<: *anchor`) puts keys into the node that its own may replace, so each node
        # is looked at once, as it stands in the file.
        if id(node) not in self._looked_at:
            self._looked_at.add(id(node))
            self._check_keys(node)
        super().flatten_mapping(node)

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag in {"tag:yaml.org,2002:merge", "tag:yaml.org,2002:value"}:
                continue
            key = self.construct_object(key_node, deep=True)
            try:
                doubled = key in seen
            except TypeError as error:
                raise yaml.constructor.ConstructorError(
                    None, None, "a key must be a plain value", key_node.start_mark
                ) from error
            if doubled:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)


def is_uri(path: str) -> bool:
    """Returns whether `path` names a place on a remote store rather than a local file."""
    return "://" in path


def read_yaml(path: Path) -> Any:
    """Returns the content of a YAML file, with `${VAR}` and `${VAR:-default}` filled in.

    Raises:
        ManifestError: The file is missing or no YAML, or a variable is not set.
    """
    try:
        return _expand(_parse(path.read_text(encoding="utf-8")), path, "")
    except FileNotFoundError as error:
        raise ManifestError(f"there is no file {path}; correct the path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        # ValueError: an impossible date such as 2026-13-45 is a timestamp to YAML.
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        if isinstance(error, RecursionError):
            problem = "an alias (`*name`) stands within what it stands for"
        raise ManifestError(f"{path} is not valid YAML{place}: {problem}") from error


def _parse(text: str) -> Any:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested deeper than {_MAX_DEPTH} levels",
                problem_mark=event.start_mark,  # type: ignore[arg-type]
            )
    return yaml.load(text, Loader=_Loader)


def _expand(value: Any, path: Path, place: str) -> Any:
    if isinstance(value, str):
        return _VARIABLE.sub(lambda match: _variable(match, path, place), value)
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                # `no: 0.5` is such a key: YAML reads it as false.
                raise ManifestError(
                    f"{path}, {place or '(whole file)'}: the key {key!r} is no text to YAML; put "
                    "it in quotes"
                )
        return {
            key: _expand(item, path, f"{place}.{key}".lstrip(".")) for key, item in value.items()
        }
    if isinstance(value, list):
        return [_expand(item, path, f"{place}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, date):
        # YAML reads an unquoted 2026-01-31 as a date.
        return value.isoformat()
    if isinstance(value, set | bytes | tuple):
        # A set has no order and bytes no JSON, so neither could enter a key.
        raise ManifestError(
            f"{path}, {place}: a YAML {type(value).__name__} is not taken here; write a list or a "
            "text"
        )
    return value


def _variable(match: re.Match[str], path: Path, place: str) -> str:
    name, default = match[1], match[2]
    value = os.environ.get(name, default)
    if value is None:
        raise ManifestError(
            f"{path}, {place}: the environment variable {name} is not set, so the path is not "
            f"known; set it, or write ${{{name}:-default}}"
        )
    return value


def validated(model: type[AnyModel], content: Any, place: str) -> AnyModel:
    """Returns `content` as a `model`.

    Raises:
        ManifestError: It is not one; the message lists every fault with its place.
    """
    if not isinstance(content, dict):
        raise ManifestError(
            f"{place} holds no mapping of keys to values, so it is no {model.__name__}"
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = []
        found = error.errors(include_url=False, include_input=False)
        inner = {fault["loc"][:length] for fault in found for length in range(len(fault["loc"]))}
        for fault in found:
            if fault["type"] == "too_short" and fault["loc"] in inner:
                # It is short of the items that have faults, which are listed themselves.
                continue
            where = ".".join(str(part) for part in fault["loc"]) or "(whole file)"
            what = fault["msg"].removeprefix("Value error, ")
            if fault["type"] == "extra_forbidden":
                what = "this key is not known here; remove it or correct its spelling"
            faults.append(f"  {where}: {what}")
        raise ManifestError(
            f"{place} is not a valid {model.__name__}:\n" + "\n".join(faults)
        ) from error


def load_policy(path: Path) -> Policy:
    """Returns the policy in a YAML file.

    Raises:
        ManifestError: The file is not a valid policy.
    """
    return validated(Policy, read_yaml(path), str(path))


def load_manifest(path: Path, overrides: Sequence[str] = ()) -> Manifest:
    """Returns the manifest in a YAML file, with all its paths made absolute.

    Args:
        path: The manifest.
        overrides: `a.b=value` settings, whose values are read as in the file;
            `corpora.0.lang=de` reaches into a list.

    Raises:
        ManifestError: The file, its policy or an override is not valid.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ManifestError(f"{path} holds no mapping of keys to values, so it is no manifest")
    for override in overrides:
        _set(content, override)
    folder = path.resolve().parent
    policy = content.get("policy")
    if isinstance(policy, str):
        content["policy"] = load_policy(_local_file(policy, folder)).model_dump(
            mode="json", exclude_defaults=True
        ) | {"schema_version": 1}
    return absolute_paths(validated(Manifest, content, str(path)), folder)


def _local_file(name: str, folder: Path) -> Path:
    below = folder / name
    shipped = PACKAGE_FOLDER / name
    try:
        return shipped if not below.exists() and shipped.exists() else below
    except OSError:
        # The name is too long for a file; reading it tells so.
        return below


def _set(content: Any, override: str) -> None:
    name, separator, value = override.partition("=")
    if not separator or not name:
        raise UsageError(f"--set {override!r} is not of the form a.b=value")
    *parents, last = name.split(".")
    place = content
    try:
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        parsed = _expand(_parse(value), Path("--set"), name)
        if isinstance(place, list):
            place[int(last)] = parsed
        else:
            place[last] = parsed
    except (
        AttributeError,
        IndexError,
        RecursionError,
        TypeError,
        ValueError,
        yaml.YAMLError,
    ) as error:
        raise UsageError(f"--set {override!r} reaches nothing in the manifest: {error}") from error


def _absolute(path: str, folder: Path) -> str:
    try:
        return path if is_uri(path) else str((folder / path).resolve())
    except (OSError, RuntimeError, ValueError) as error:
        raise ManifestError(f"{path!r} is no path ({error}); correct it") from error


def absolute_paths(manifest: Manifest, folder: Path) -> Manifest:
    """Returns `manifest` with every relative path resolved against `folder`."""
    corpora = tuple(
        corpus.model_copy(update={"root": _absolute(corpus.root, folder)})
        for corpus in manifest.corpora
    )
    output = manifest.output
    # `{out}` stands for the output, which only the command line knows.
    if output.restricted is not None and not output.restricted.startswith("{out}"):
        output = output.model_copy(update={"restricted": _absolute(output.restricted, folder)})
    annotators = tuple(
        spec.model_copy(update={"with_": _absolute_parameters(spec.with_, folder)})
        for spec in manifest.annotators
    )
    return manifest.model_copy(
        update={
            "corpora": corpora,
            "output": output,
            "annotators": annotators,
            "templates": tuple(_absolute(path, folder) for path in manifest.templates),
            "exercises": _absolute_exercises(manifest.exercises, folder),
            "language_model": _absolute_prompt(manifest.language_model, folder),
        }
    )


def _absolute_exercises(exercises: Exercises, folder: Path) -> Exercises:
    tokenizer = exercises.tokenizer
    return exercises.model_copy(
        update={
            "templates": tuple(_absolute(path, folder) for path in exercises.templates),
            "probes": tuple(_absolute(path, folder) for path in exercises.probes),
            "sidecars": tuple(_absolute(path, folder) for path in exercises.sidecars),
            "tokenizer": None if tokenizer is None else _absolute(tokenizer, folder),
            "rewording": _absolute_prompt(exercises.rewording, folder),
        }
    )


def _absolute_prompt(model: Asked, folder: Path) -> Asked:
    """Resolves the path of a prompt; a name without a suffix is one that ships."""
    if model is None or not model.prompt.endswith((".yaml", ".yml")):
        return model
    return model.model_copy(update={"prompt": _absolute(model.prompt, folder)})


def _absolute_parameters(parameters: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Resolves the parameters that hold files: `model`, `head`, `encoder`, `paths`, a prompt."""
    resolved = dict(parameters)
    for name in ("model", "head"):
        if isinstance(resolved.get(name), str):
            resolved[name] = _absolute(resolved[name], folder)
    # An encoder may be named as it is on the hub, which looks like a relative path.
    encoder = resolved.get("encoder")
    if isinstance(encoder, str) and (folder / encoder).is_dir():
        resolved["encoder"] = _absolute(encoder, folder)
    served = resolved.get("language_model")
    if isinstance(served, dict) and str(served.get("prompt", "")).endswith((".yaml", ".yml")):
        resolved["language_model"] = served | {"prompt": _absolute(served["prompt"], folder)}
    if isinstance(resolved.get("paths"), list):
        resolved["paths"] = [
            _absolute(path, folder) if isinstance(path, str) else path for path in resolved["paths"]
        ]
    return resolved


def dump(model: BaseModel) -> str:
    """Returns a manifest or policy as YAML, complete and in a stable order."""
    content = model.model_dump(mode="json", by_alias=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def json_schema() -> dict[str, Any]:
    """Returns the JSON Schema of manifests as they stand in YAML files, for editors."""
    schema = Manifest.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    policy = schema["properties"]["policy"]
    schema["properties"]["policy"] = {
        "description": "The policy, or the path of its file, relative to the manifest.",
        "anyOf": [{"type": "string"}, policy],
    }
    return schema
