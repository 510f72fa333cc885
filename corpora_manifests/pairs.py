"""What a policy says about pairs: requests that are declined, and twins that are helped."""

from typing import Annotated

from pydantic import Field, model_validator

from raicurate.corpora_manifests.model import Model
from raicurate.corpora_manifests.vocabulary import Hazard


class Never(Model):
    """Where no refusal is ever taught, so that generalisation can be measured there."""

    hazards: tuple[Hazard, ...] = ()
    languages: tuple[str, ...] = ()


class Pairs(Model):
    """For which documents pairs are written beside them, and how many.

    Attributes:
        hazards: Hazards that get pairs; a document counts by its leading hazard.
        languages: Languages that get pairs.
        never: Hazards and languages that are kept free of refusals, whatever stands elsewhere.
        rate: Share of the documents that may get one, drawn by the digest of their text.
        max_per_theme: Most pairs for a hazard in a language, over all corpora.
        moral_education: Whether a short text on the same theme is written as well.
    """

    hazards: tuple[Hazard, ...] = Field(min_length=1)
    languages: tuple[Annotated[str, Field(pattern=r"^[a-z]{2,3}$")], ...] = Field(min_length=1)
    never: Never = Never()
    rate: float = Field(default=1.0, gt=0, le=1)
    max_per_theme: int = Field(default=100, ge=1)
    moral_education: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> "Pairs":
        if "child_sexual_exploitation" in self.hazards:
            raise ValueError(
                "no pairs are written about child sexual exploitation, not even mild ones; take "
                "it out of `pairs.hazards`"
            )
        for kind in ("hazards", "languages"):
            both = sorted(set(getattr(self, kind)) & set(getattr(self.never, kind)))
            if both:
                raise ValueError(
                    f"{both[0]!r} stands under `pairs.{kind}` and under `pairs.never.{kind}`; "
                    "decide for one of them"
                )
        return self

    def wants(self, hazard: str, lang: str | None) -> bool:
        """Returns whether documents of a leading hazard and a language get pairs."""
        return (
            hazard in self.hazards
            and lang in self.languages
            and hazard not in self.never.hazards
            and lang not in self.never.languages
        )
