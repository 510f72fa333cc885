"""The base of everything that is read from YAML."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Unknown keys are errors; values do not change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
