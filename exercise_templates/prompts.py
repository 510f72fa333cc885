"""Prompts for language models: versioned YAML files with sandboxed Jinja2 templates."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

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

USER_NAMES = frozenset(
    {
        "hazard", "hazard_meaning", "stance", "stance_meaning", "target", "others", "place",
        "boundary", "document", "style", "task", "placement", "language", "max_words",
    }
)  # fmt: skip
"""What the user's message may ask for."""

REQUIRED_NAMES = frozenset({"boundary", "document", "hazard", "stance", "target", "language"})
"""Without these a message would not fence the document, or could not be told from its answer."""

Text = Annotated[str, Field(min_length=1)]


class Prompt(Model):
    """What a model is asked to write context.

    Attributes:
        prompt: Its name.
        version: Raised by its author on every change.
        licence: SPDX identifier.
        notes: For whoever changes it.
        languages: Names of the languages in which it can be asked to write, by ISO 639-1.
        styles: What is to be written, by style.
        kinds: What it is to say, by kind of context.
        stances: What a stance means.
        hazards: What a hazard means.
        system: The system message.
        user: Template of the user's message; see `USER_NAMES`.
    """

    prompt: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    version: int = Field(ge=1)
    licence: Text
    notes: str = ""
    languages: dict[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], Text] = Field(min_length=1)
    styles: dict[str, Text] = Field(min_length=1)
    kinds: dict[str, Text]
    stances: dict[Stance, Text]
    hazards: dict[Hazard, Text] = Field(min_length=1)
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


@functools.lru_cache(maxsize=64)
def _template(source: str) -> jinja2.Template:
    return new_environment().from_string(source)


def load_prompt(name: str) -> Prompt:
    """Returns a prompt that ships, by name, or one in a YAML file, by path.

    Raises:
        ManifestError: There is none, or it is not valid.
    """
    if name.endswith((".yaml", ".yml")):
        return read_prompt(Path(name))
    path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in SHIPPED.glob("*.yaml")))
        raise ManifestError(
            f"language_model.prompt: no prompt {name!r} ships; known are: {known}. Your own is "
            "named by the path of its YAML file"
        )
    return read_prompt(path)


def read_prompt(path: Path) -> Prompt:
    """Returns the prompt in a YAML file.

    Raises:
        ManifestError: It is not valid, does not fence the document, or asks for an unknown name.
    """
    prompt = validated(Prompt, read_yaml(path), str(path))
    try:
        names = jinja2.meta.find_undeclared_variables(new_environment().parse(prompt.user))
    except jinja2.TemplateSyntaxError as error:
        raise ManifestError(
            f"{path}: user: not a Jinja template ({error.message}), so nothing could be asked; "
            "correct it"
        ) from error
    unknown, missing = sorted(names - USER_NAMES), sorted(REQUIRED_NAMES - names)
    if unknown:
        raise ManifestError(
            f"{path}: user: {unknown[0]!r} is not known; known are: {', '.join(sorted(USER_NAMES))}"
        )
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
    if NEVER_SENT in prompt.hazards:
        raise ManifestError(
            f"{path}: hazards.{NEVER_SENT}: such documents are never sent to a model; remove it"
        )
    return prompt
