"""The closed vocabularies that manifests, policies, schemas and templates share."""

from typing import Literal, get_args

Hazard = Literal[
    "violent_crimes",
    "sex_related_crimes",
    "child_sexual_exploitation",
    "suicide_self_harm",
    "indiscriminate_weapons",
    "intellectual_property",
    "defamation",
    "non_violent_crimes",
    "hate",
    "privacy",
    "specialized_advice",
    "sexual_content",
    "harassment",
    "cyber",
    "misinformation",
    "extremism",
]
"""The hazards of MLCommons AILuminate 1.0 and four that web text needs beside them."""

Stance = Literal["topical", "intent", "disclosure"]
"""Talks about the hazard; is the hazard; a person at risk or harmed speaks of it."""

Dimension = Literal[
    "privacy_security",
    "safety",
    "fairness",
    "veracity_robustness",
    "explainability",
    "controllability",
    "governance",
    "transparency",
]

Action = Literal["keep", "contextualize", "redact", "restrict", "drop"]

Role = Literal["web", "policy", "guidance", "incident", "reference"]

PersonalDataKind = Literal["email", "phone", "ip", "card", "iban"]

TargetGroup = Literal[
    "women",
    "men",
    "jewish",
    "muslim",
    "christian",
    "hindu",
    "black",
    "asian",
    "arab",
    "latino",
    "indigenous",
    "migrants",
    "gay",
    "trans",
    "lgbt",
    "disabled",
    "roma",
    "older",
    "dalit",
]
"""Groups of people against whom a text may turn; context calls them by neutral names."""

SpanKind = Literal["context", "original", "withheld", "pii", "tag"]

HAZARDS: tuple[Hazard, ...] = get_args(Hazard)
STANCES: tuple[Stance, ...] = get_args(Stance)
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
ACTIONS: tuple[Action, ...] = get_args(Action)
ROLES: tuple[Role, ...] = get_args(Role)
PERSONAL_DATA_KINDS: tuple[PersonalDataKind, ...] = get_args(PersonalDataKind)
TARGET_GROUPS: tuple[TargetGroup, ...] = get_args(TargetGroup)
SPAN_KINDS: tuple[SpanKind, ...] = get_args(SpanKind)

DATA_ACTIONS: tuple[Action, ...] = ("keep", "contextualize", "redact")
"""The actions whose documents are trained on, so stand under `data/`."""

HAZARD_DIMENSION: dict[Hazard, Dimension] = {
    "violent_crimes": "safety",
    "sex_related_crimes": "safety",
    "child_sexual_exploitation": "safety",
    "suicide_self_harm": "safety",
    "indiscriminate_weapons": "safety",
    "intellectual_property": "governance",
    "defamation": "veracity_robustness",
    "non_violent_crimes": "safety",
    "hate": "fairness",
    "privacy": "privacy_security",
    "specialized_advice": "veracity_robustness",
    "sexual_content": "safety",
    "harassment": "fairness",
    "cyber": "privacy_security",
    "misinformation": "veracity_robustness",
    "extremism": "safety",
}
"""The dimension of responsible AI under which a hazard is reported."""
