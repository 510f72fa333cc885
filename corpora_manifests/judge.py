"""The language model that judges what the rest of the cascade for harm is unsure of."""

from typing import ClassVar

from pydantic import Field, model_validator

from raicurate.corpora_manifests.language_model import ServedModel


class JudgeModel(ServedModel):
    """A language model as the last stage of the cascade: the parameters of `llm_judge@1`.

    What decides its answers and what they do enters the key of annotations: `model`, `prompt`,
    `parameters`, `max_tokens`, `max_document_chars`, `band`, `sample` and `reliability`.

    Attributes:
        prompt: Name of a prompt that ships, or the path of one.
        band: Documents are asked about whose `harm_score` lies between these two.
        sample: Share of the documents below the band that are asked about as well, so that what
            the cascade misses can be estimated.
        reliability: How often its answers are right, measured on labelled texts of your own. The
            score after an answer follows by Bayes' rule; at 0.5 an answer says little.
        max_document_chars: Of a longer document only the stretch around the worst passage is sent.
    """

    place: ClassVar[str] = "llm_judge@1"

    prompt: str = "judge"
    band: tuple[float, float] = (0.1, 0.8)
    sample: float = Field(default=0.01, ge=0, le=1)
    reliability: float = Field(default=0.9, gt=0.25, lt=1)
    max_tokens: int = Field(default=64, ge=16, le=32_000)
    max_document_chars: int = Field(default=4000, ge=1000)

    @model_validator(mode="after")
    def _band_in_order(self) -> "JudgeModel":
        if not 0 <= self.band[0] < self.band[1] <= 1:
            raise ValueError("`band` is two scores from 0 to 1, the lower one first")
        return self
