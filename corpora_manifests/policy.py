"""The policy: what happens to which document. Policies are data, this is their model."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from raicurate.corpora_manifests.context_policy import Context as Context  # noqa: PLC0414
from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.pairs import Pairs
from raicurate.corpora_manifests.vocabulary import (
    Action,
    Hazard,
    PersonalDataKind,
    Role,
    Stance,
)

Severity = Annotated[int, Field(ge=0, le=5)]
Share = Annotated[float, Field(ge=0, le=1)]


PLAIN_THRESHOLD = 0.5
"""Holds where neither the policy nor the model behind a score says from where on it counts."""


class Thresholds(Model):
    """From which score on a hazard counts, by hazard and language.

    The most specific value holds: hazard and language, hazard, language, default, and where none is
    set the one that the model was given when it was trained, by language and kind of text.

    Attributes:
        default: For all hazards and languages; by default the model's own.
        languages: By language.
        hazards: By hazard.
        by_hazard_and_language: By hazard, then by language.
    """

    default: Share | None = None
    languages: dict[str, Share] = Field(default_factory=dict)
    hazards: dict[Hazard, Share] = Field(default_factory=dict)
    by_hazard_and_language: dict[Hazard, dict[str, Share]] = Field(default_factory=dict)

    def of(self, hazard: Hazard, lang: str | None) -> float | None:
        """Returns the threshold for a hazard in a language; None for the model's own."""
        if lang is not None:
            specific = self.by_hazard_and_language.get(hazard, {})
            if lang in specific:
                return specific[lang]
        if hazard in self.hazards:
            return self.hazards[hazard]
        if lang is not None and lang in self.languages:
            return self.languages[lang]
        return self.default


class Gravity(Model):
    """How grave a hazard is, on the scale of 0 to 5: a base, and what is added to it.

    The sum is cut at 5. `topical` replaces the sum for text that only talks about the hazard,
    unless it is operational.
    """

    base: Severity = 2
    target: Severity = 1
    threat: Severity = 1
    operational: Severity = 1
    topical: Severity = 1
    disclosure: Severity = 1


class Condition(Model):
    """When a rule matches. All that is set must hold; the hazard conditions on one hazard.

    Attributes:
        hazards: The hazard is one of these.
        stances: Its stance is one of these.
        operational: It is operational, or is not.
        min_severity: Its severity is at least this.
        max_severity: Its severity is at most this.
        languages: The document's language is one of these.
        corpora: Its corpus is one of these.
        sources: Its source is one of these.
        roles: The role of its corpus is one of these.
        trust: The trust of its corpus is one of these.
        measured: A harm model was measured for its language, or was not.
        min_lexicon_terms: It holds at least this many distinct terms of the harm lexicon.
        personal_data: It holds personal data of one of these kinds.
        step_failed: One of these steps of the manifest rejected it (`any` for every step).
        step_changed: One of these steps of the manifest changed it (`any` for every step).
    """

    hazards: tuple[Hazard, ...] = ()
    stances: tuple[Stance, ...] = ()
    operational: bool | None = None
    min_severity: Severity | None = None
    max_severity: Severity | None = None
    languages: tuple[str, ...] = ()
    corpora: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    trust: tuple[Literal["high", "medium", "low"], ...] = ()
    measured: bool | None = None
    min_lexicon_terms: int | None = Field(default=None, ge=1)
    personal_data: tuple[PersonalDataKind, ...] = ()
    step_failed: tuple[str, ...] = ()
    step_changed: tuple[str, ...] = ()

    @property
    def about_hazard(self) -> bool:
        """Whether some hazard must be present for the condition to hold."""
        return bool(self.hazards or self.stances) or any(
            value is not None for value in (self.operational, self.min_severity, self.max_severity)
        )


class Rule(Model):
    """A condition and what follows from it.

    Attributes:
        name: Stored with each document that it decides.
        reason: Why, for readers of reports; required for `drop`.
        when: The condition; an empty one always holds.
        action: What happens to the document.
        store: For `restrict`: the text as well, or only the record (then the text goes nowhere).
        withhold: For `contextualize`: which passages are replaced by a note.
        context: For `contextualize` and `keep`: the kind of context that is added. `full` is the
            whole explanation, `note` a short one, `support` speaks to a person at risk, and
            `none` adds nothing.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    reason: str = ""
    when: Condition = Condition()
    action: Action
    store: Literal["text", "record"] = "text"
    withhold: Literal["nothing", "operational", "worst", "all"] = "nothing"
    context: Literal["full", "note", "support", "none"] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Rule":
        if self.action == "drop" and not self.reason:
            raise ValueError(f"rule {self.name!r} drops documents and must give a `reason`")
        if self.store == "record" and self.action != "restrict":
            raise ValueError(f"rule {self.name!r}: `store: record` needs `action: restrict`")
        if self.withhold != "nothing" and self.action != "contextualize":
            raise ValueError(f"rule {self.name!r}: `withhold` needs `action: contextualize`")
        if self.context not in {None, "none"} and self.action not in {"contextualize", "keep"}:
            raise ValueError(
                f"rule {self.name!r}: `context` needs `action: contextualize` or `keep`"
            )
        if self.action == "contextualize" and not self.when.about_hazard:
            raise ValueError(
                f"rule {self.name!r} contextualizes, but its condition names no hazard, stance or "
                "severity, so there may be nothing to explain"
            )
        if self.action == "contextualize" and self.context == "none":
            raise ValueError(f"rule {self.name!r} contextualizes without a context")
        return self

    @property
    def context_kind(self) -> str:
        """The kind of context, with the default of the action filled in."""
        if self.context is not None:
            return self.context
        return "full" if self.action == "contextualize" else "none"


class PersonalData(Model):
    """Which personal data is masked in all that is published, and by what."""

    mask: tuple[PersonalDataKind, ...] = ("email", "phone", "ip", "card", "iban")
    placeholder: str = "<{kind}>"


AuditCheck = Literal[
    "functionality_auc",
    "hateful_accuracy",
    "non_hateful_accuracy",
    "target_gap",
    "intent_average_precision",
    "intent_caught",
    "topical_flagged",
    "dialect_agreement",
    "template_flagged",
    "template_gap",
    "ordinary_flagged",
    "language_auc",
    "calibration_error",
    "severity_agreement",
    "megabytes_per_second",
    "escalated",
]
"""What `raicurate audit` measures and a policy can set a limit to."""


class Policy(Model):
    """Ordered rules, and the numbers that they rest on.

    Attributes:
        schema_version: Version of this model.
        name: Name of the policy.
        version: Version, raised by its author on every change.
        description: For readers.
        thresholds: From which score on a hazard counts.
        gravity: How grave a hazard is; `default` for those not named.
        rules: First match wins; the last must match everything.
        context: How context is written.
        personal_data: What is masked.
        pairs: Requests with refusals and benign twins; off where it is not set.
        audit: Limits that the figures of a harm model must hold, by what is measured; `raicurate
            audit` ends with 5 where one does not.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
    version: str
    description: str = ""
    thresholds: Thresholds = Thresholds()
    gravity: dict[Hazard | Literal["default"], Gravity] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    context: Context = Context()
    personal_data: PersonalData = PersonalData()
    pairs: Pairs | None = None
    audit: dict[AuditCheck, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> "Policy":
        names = [rule.name for rule in self.rules]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two rules are named {doubled[0]!r}")
        if self.rules[-1].when != Condition():
            raise ValueError(
                f"the last rule, {self.rules[-1].name!r}, has a condition, so documents could "
                "match no rule; end with a rule without `when`"
            )
        for rule in self.rules[:-1]:
            if rule.when == Condition():
                raise ValueError(
                    f"rule {rule.name!r} matches everything, so the rules after it never apply"
                )
        if "default" not in self.gravity:
            raise ValueError("`gravity` has no `default`")
        return self

    @property
    def restricts(self) -> bool:
        """Whether documents can end in the restricted tier.

        A document whose context is not accepted is restricted too.
        """
        return any(rule.action in {"restrict", "contextualize"} for rule in self.rules)
