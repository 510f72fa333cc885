"""Annotators: what they are, and the register by versioned name that manifests refer to.

Each `annotate_*.py` module of this package is found by its file name, so adding an annotator is
adding a file. A change in what an annotator says is a new version; a released version stays.
"""

import functools
import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple, TypeVar

import pyarrow as pa

from raicurate.corpora_manifests.errors import ManifestError
from raicurate.transforms.schema import LABEL_FIELDS, STEP

_LABEL_FIELDS = {field.name: field for field in LABEL_FIELDS}


class Identity(NamedTuple):
    """What an annotator's answers depend on, besides the text."""

    name: str
    version: str
    model: str | None
    parameters: dict[str, Any]


class Annotator(ABC):
    """Adds label columns to batches of documents.

    The constructor takes the parameters of the manifest as keywords and stays cheap; models are
    loaded in `setup`, once for each worker process.

    Attributes:
        name: Registered name, without version.
        version: Registered version.
        columns: Names of the columns of `schema.LABEL_FIELDS` that it fills.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]

    def setup(self) -> None:  # noqa: B027 (most annotators hold no model)
        """Loads models; called once before the first batch, in the process that annotates."""

    @abstractmethod
    def annotate(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """Returns one array for each of `columns`, each as long as `batch`.

        Args:
            batch: Columns of `schema.SOURCE` and those that earlier annotators filled.

        Raises:
            DocumentError: One document of the batch cannot be annotated. The caller repeats the
                batch row by row, so that only this document is lost.
        """

    def model_digest(self) -> str | None:
        """Returns the digest of the model files that the answers depend on, or None."""
        return None

    def parameters(self) -> dict[str, Any]:
        """Returns the parameters that the answers depend on, as plain JSON values."""
        return {}

    def identity(self) -> Identity:
        """Returns name, version, model digest and parameters: the annotator's part of a key."""
        return Identity(self.name, self.version, self.model_digest(), self.parameters())


AnnotatorClass = TypeVar("AnnotatorClass", bound=type[Annotator])

_ANNOTATORS: dict[str, type[Annotator]] = {}


def register(reference: str) -> Callable[[AnnotatorClass], AnnotatorClass]:
    """Registers an annotator class under `name@version`.

    Raises:
        ValueError: The name is taken, or a column is not one of `schema.LABEL_FIELDS`.
    """
    name, separator, version = reference.partition("@")
    if not (name and separator and version):
        raise ValueError(f"{reference!r} is not of the form name@version")

    def add(annotator: AnnotatorClass) -> AnnotatorClass:
        if reference in _ANNOTATORS:
            raise ValueError(f"an annotator {reference!r} is registered already")
        unknown = set(annotator.columns) - set(_LABEL_FIELDS)
        if unknown:
            raise ValueError(f"{reference}: unknown label columns {sorted(unknown)}")
        annotator.name, annotator.version = name, version
        _ANNOTATORS[reference] = annotator
        return annotator

    return add


@functools.cache
def _discover() -> None:
    package = importlib.import_module("raicurate.transforms")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("annotate_"):
            importlib.import_module(f"raicurate.transforms.{module.name}")


def registered() -> list[str]:
    """Returns the names of all annotators, sorted."""
    _discover()
    return sorted(_ANNOTATORS)


def create(reference: str, parameters: dict[str, Any]) -> Annotator:
    """Returns the annotator that is registered as `name@version`, with `parameters`.

    Raises:
        ManifestError: There is none of that name, or it does not take these parameters.
    """
    known = ", ".join(registered())
    if reference not in _ANNOTATORS:
        raise ManifestError(
            f"annotator {reference!r} is not known, so nothing can be annotated; known are: {known}"
        )
    try:
        return _ANNOTATORS[reference](**parameters)
    except TypeError as error:
        raise ManifestError(f"annotator {reference!r}: {error}; correct its `with:`") from error


def append_labels(
    batch: pa.RecordBatch, names: Iterable[str], arrays: Iterable[pa.Array]
) -> pa.RecordBatch:
    """Returns `batch` with label columns added, or replaced where it has them, in frozen types."""
    for name, array in zip(names, arrays, strict=True):
        field = _LABEL_FIELDS[name]
        typed = array if array.type == field.type else array.cast(field.type)
        if len(typed) != batch.num_rows:
            raise ValueError(f"column {name!r} has {len(typed)} rows, the batch {batch.num_rows}")
        index = batch.schema.get_field_index(name)
        if index < 0:
            batch = batch.append_column(field, typed)
        else:
            batch = batch.set_column(index, field, typed)
    return batch


def with_earlier_steps(batch: pa.RecordBatch, steps: pa.Array) -> pa.Array:
    """Returns a column `steps` behind the one that a batch has from an earlier annotator."""
    if batch.schema.get_field_index("steps") < 0:
        return steps
    earlier = batch.column("steps").to_pylist()
    rows = [[*(before or ()), *own] for before, own in zip(earlier, steps.to_pylist(), strict=True)]
    return pa.array(rows, pa.list_(STEP))
