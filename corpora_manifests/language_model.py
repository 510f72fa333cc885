"""Language models that a manifest names, and the one that writes context."""

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard


class ServedModel(Model):
    """A model behind an OpenAI-compatible server, given by `endpoint` or started by `vllm`.

    Attributes:
        place: Where a manifest sets it, for messages.
        endpoint: Base URL up to and including the version, such as `http://localhost:8000/v1`.
        vllm: Options of a vLLM server that Beam's handler starts on each worker machine, without
            the leading dashes, such as `max-model-len: "8192"`; null for one without a value.
        model: Name of the model, as the server knows it.
        credential_variable: Environment variable that holds the bearer token, if one is needed.
        max_tokens: Length of an answer; a longer one counts as truncated and is not used.
        length_field: Name of the field that limits the answer; some services know only the newer.
        parameters: Further fields of the request body, such as `seed` or what a server needs.
        concurrency: Requests under way at once, for each worker process.
        timeout: Seconds until a request counts as failed, from sending it to its last byte.
        retries: How often a request that failed is repeated.
        max_wait: Seconds that a pause between repetitions may last, whatever the server asks for.
        token_budget: Tokens (prompt and answer) that the output may cost over all runs.
    """

    place: ClassVar[str] = "language_model"

    endpoint: str | None = None
    vllm: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], str | None] | None = None
    model: Annotated[str, Field(min_length=1, max_length=200)]
    credential_variable: str | None = None
    max_tokens: int = Field(default=700, ge=16, le=32_000)
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    parameters: dict[str, Any] = Field(default_factory=lambda: {"temperature": 0, "seed": 0})
    concurrency: int = Field(default=16, ge=1, le=1024)
    timeout: float = Field(default=120, gt=0)
    retries: int = Field(default=5, ge=0, le=50)
    max_wait: float = Field(default=120, ge=0)
    token_budget: int | None = Field(default=None, ge=0)

    @field_validator("endpoint")
    @classmethod
    def _no_secret_in_the_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        # The value is not repeated: it may hold what must not stand in a log.
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the endpoint must begin with http:// or https:// and name a host")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "the endpoint holds a user, a query or a fragment, where secrets stand; put the "
                "secret into the environment and name its variable in `credential_variable`"
            )
        return value.rstrip("/")

    @field_validator("credential_variable")
    @classmethod
    def _name_not_value(cls, value: str | None) -> str | None:
        if value is not None and not _is_variable(value):
            raise ValueError(
                "this is no name of an environment variable (capitals, digits and underscores); "
                "if it is the secret itself, take it out of the file and regard it as known"
            )
        return value

    @field_validator("parameters")
    @classmethod
    def _only_further_fields(cls, value: dict[str, Any]) -> dict[str, Any]:
        own = {"model", "messages", "max_tokens", "max_completion_tokens", "stream", "n"}
        taken = own & value.keys()
        if taken:
            raise ValueError(f"{sorted(taken)[0]!r} is set by raicurate and cannot be set here")
        return value

    @model_validator(mode="after")
    def _one_server(self) -> "ServedModel":
        if (self.endpoint is None) == (self.vllm is None):
            raise ValueError(
                "give either `endpoint`, the address of a server that runs, or `vllm`, the options "
                "of one that is to be started"
            )
        taken = {"model", "port", "api-key"} & set(self.vllm or ())
        if taken:
            raise ValueError(f"`vllm.{sorted(taken)[0]}` cannot be set here")
        return self


class LanguageModel(ServedModel):
    """The model that writes educational context in place of templates.

    What decides its answers (`model`, `prompt`, `parameters`, `max_tokens`, `max_document_chars`
    and what is sent at all) enters the keys of units. Where it runs and how it is asked does not.

    Attributes:
        prompt: Name of a prompt that ships, or the path of one, relative to the manifest.
        kinds: Kinds of context that the model writes; the others stay with the templates. Support
            for a person at risk is not among them by default.
        hazards: Hazards for which it writes; empty for all. Child sexual exploitation is never
            among them, whatever stands here.
        languages: Languages in which it writes; empty for all that have templates.
        max_document_chars: Of a longer document only the stretch around the passage is sent.
    """

    prompt: str = "context"
    kinds: tuple[Literal["full", "note", "support"], ...] = ("full", "note")
    hazards: tuple[Hazard, ...] = ()
    languages: tuple[str, ...] = ()
    max_document_chars: int = Field(default=6000, ge=200)


def _is_variable(value: str) -> bool:
    plain = value.replace("_", "")
    return plain.isascii() and plain.isalnum() and plain.upper() == plain and not value[0].isdigit()
