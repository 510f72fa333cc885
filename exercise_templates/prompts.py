"""Prompts for language models: versioned YAML files with sandboxed Jinja2 templates."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeVar

import jinja2
import jinja2.meta
from pydantic import Field

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.corpora_manifests.load import read_yaml, validated
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard, Stance
from raicurate.exercise_templates.context_files import digest, new_environment

SHIPPED = Path(__file__).with_name("model_prompts")

NEVER_SENT: Hazard = "child_sexual_exploitation"
"""Documents with this hazard go to no model, so no prompt has words for it."""

Text = Annotated[str, Field(min_length=1)]


class ModelPrompt(Model):
    """What a model is asked, whatever for.

    Attributes:
        place: Where a manifest names it, for messages.
        user_names: What the user's message may ask for.
        required_names: Without these a message would not fence the text, or its answer could not
            be checked.
        prompt: Its name.
        version: Raised by its author on every change.
        licence: SPDX identifier.
        notes: For whoever changes it.
        languages: Names of the languages in which it can be asked to write, by ISO 639-1.
        system: The system message.
        user: Template of the user's message; see `user_names`.
    """

    place: ClassVar[str]
    user_names: ClassVar[frozenset[str]]
    required_names: ClassVar[frozenset[str]]

    prompt: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: int = Field(ge=1)
    licence: Text
    notes: str = ""
    languages: dict[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], Text] = Field(min_length=1)
    system: Text
    user: Text

    @property
    def ref(self) -> str:
        """Name and version."""
        return f"{self.prompt}@{self.version}"

    @functools.cached_property
    def digest(self) -> str:
        """Digest of everything that can reach a model."""
        return digest(self.model_dump_json(exclude={"notes", "licence"}))

    def render(self, values: Mapping[str, str]) -> str:
        """Returns the user's message."""
        return _template(self.user).render(values).strip()


class Prompt(ModelPrompt):
    """What a model is asked to write context.

    Attributes:
        styles: What is to be written, by style.
        kinds: What it is to say, by kind of context.
        stances: What a stance means.
        hazards: What a hazard means.
    """

    place = "language_model"
    user_names = frozenset(
        {
            "hazard", "hazard_meaning", "stance", "stance_meaning", "target", "others", "place",
            "boundary", "document", "style", "task", "placement", "language", "max_words",
        }
    )  # fmt: skip
    required_names = frozenset({"boundary", "document", "hazard", "stance", "target", "language"})

    styles: dict[str, Text] = Field(min_length=1)
    kinds: dict[str, Text]
    stances: dict[Stance, Text]
    hazards: dict[Hazard, Text] = Field(min_length=1)


class RewordingPrompt(ModelPrompt):
    """What a model is asked to word the question of an exercise in another way.

    Attributes:
        manners: How it is to be worded; one of them is chosen for each exercise.
        negations: Words that deny, by language: a question has some before if and only if it has
            some afterwards.
    """

    place = "exercises.rewording"
    user_names = frozenset({"boundary", "document", "language", "manner", "marks", "max_words"})
    required_names = frozenset({"boundary", "document", "language", "marks"})

    manners: dict[str, Text] = Field(min_length=1)
    negations: dict[str, tuple[Text, ...]]


class JudgePrompt(ModelPrompt):
    """What a model is asked as the last stage of the cascade for harm.

    Attributes:
        stances: What a stance means, and `none`.
        hazards: What a hazard means, and `none`.
    """

    place = "llm_judge@1"
    user_names = frozenset(
        {"boundary", "check", "document", "language", "hazards", "stances", "place"}
    )
    required_names = frozenset({"boundary", "check", "document", "hazards", "stances"})

    stances: dict[Stance | Literal["none"], Text] = Field(min_length=1)
    hazards: dict[Hazard | Literal["none"], Text] = Field(min_length=1)


@functools.lru_cache(maxsize=64)
def _template(source: str) -> jinja2.Template:
    return new_environment().from_string(source)


AnyPrompt = TypeVar("AnyPrompt", bound=ModelPrompt)


def load_prompt(name: str) -> Prompt:
    """Returns a prompt for context that ships, by name, or one in a YAML file, by path.

    Raises:
        ManifestError: There is none, or it is not valid.
    """
    return read_prompt(_path_of(name, Prompt))


def load_rewording_prompt(name: str) -> RewordingPrompt:
    """Returns a prompt for questions that ships, by name, or one in a YAML file, by path.

    Raises:
        ManifestError: There is none, or it is not valid.
    """
    return read_rewording_prompt(_path_of(name, RewordingPrompt))


def load_judge_prompt(name: str) -> JudgePrompt:
    """Returns a prompt for judging that ships, by name, or one in a YAML file, by path.

    Raises:
        ManifestError: There is none, or it is not valid.
    """
    return read_judge_prompt(_path_of(name, JudgePrompt))


def _path_of(name: str, kind: type[ModelPrompt]) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in SHIPPED.glob("*.yaml")))
        raise ManifestError(
            f"{kind.place}.prompt: no prompt {name!r} ships; known are: {known}. Your own is "
            "named by the path of its YAML file"
        )
    return path


def read_prompt(path: Path) -> Prompt:
    """Returns the prompt for context in a YAML file.

    Raises:
        ManifestError: It is not valid, does not fence the document, or asks for an unknown name.
    """
    prompt = _read(path, Prompt)
    if NEVER_SENT in prompt.hazards:
        raise ManifestError(
            f"{path}: hazards.{NEVER_SENT}: such documents are never sent to a model; remove it"
        )
    return prompt


def read_rewording_prompt(path: Path) -> RewordingPrompt:
    """Returns the prompt for questions in a YAML file.

    Raises:
        ManifestError: It is not valid, does not fence the question, or asks for an unknown name.
    """
    prompt = _read(path, RewordingPrompt)
    missing = sorted(prompt.languages.keys() - prompt.negations.keys())
    if missing:
        raise ManifestError(
            f"{path}: negations.{missing[0]} is missing, so a question could be turned into its "
            "opposite unseen; add the words that deny in this language"
        )
    return prompt


def read_judge_prompt(path: Path) -> JudgePrompt:
    """Returns the prompt for judging in a YAML file.

    Raises:
        ManifestError: It is not valid, does not fence the document, or asks for an unknown name.
    """
    return _read(path, JudgePrompt)


def _read(path: Path, kind: type[AnyPrompt]) -> AnyPrompt:
    prompt = validated(kind, read_yaml(path), str(path))
    try:
        names = jinja2.meta.find_undeclared_variables(new_environment().parse(prompt.user))
    except jinja2.TemplateSyntaxError as error:
        raise ManifestError(
            f"{path}: user: not a Jinja template ({error.message}), so nothing could be asked; "
            "correct it"
        ) from error
    unknown, missing = sorted(names - kind.user_names), sorted(kind.required_names - names)
    if unknown:
        known = ", ".join(sorted(kind.user_names))
        raise ManifestError(f"{path}: user: {unknown[0]!r} is not known; known are: {known}")
    if missing:
        raise ManifestError(
            f"{path}: user: {missing[0]!r} is missing, so the document would not be fenced or the "
            "answer could not be checked; add it"
        )
    if prompt.user.count("boundary") < 2:
        raise ManifestError(
            f"{path}: user: the boundary must stand before and after the document, or what the "
            "document says could pass for an instruction; add the second"
        )
    return prompt
