import pytest
from pydantic import ValidationError

from raicurate.corpora_manifests.model import Model


class Example(Model):
    number: int = 1


def test_unknown_keys_are_errors():
    """A misspelt key is never ignored."""
    with pytest.raises(ValidationError, match="nubmer"):
        Example.model_validate({"nubmer": 2})


def test_values_do_not_change():
    """What was read stays as it was read."""
    example = Example(number=2)
    with pytest.raises(ValidationError, match="frozen"):
        example.number = 3
    assert example.number == 2
