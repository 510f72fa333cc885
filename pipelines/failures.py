"""Units that failed as a whole. Workers report them in files, which works on any runner."""

from dataclasses import dataclass

import orjson

from raicurate.corpora_manifests.errors import (
    ContractError,
    PartialRunError,
    RaicurateError,
    UsageError,
)
from raicurate.pipelines import storage
from raicurate.pipelines.units import Unit


@dataclass(frozen=True)
class Failure:
    """Why a unit was not done; it is done by the next run."""

    unit: str
    corpus: str
    files: list[str]
    error_type: str
    message: str
    exit_code: int


def write_failure(out: str, unit: Unit, error: Exception) -> None:
    """Reports that a unit failed."""
    exit_code = error.exit_code if isinstance(error, RaicurateError) else 1
    content = {
        "unit": unit.id,
        "corpus": unit.corpus,
        "files": [file.name for file in unit.files],
        "error_type": type(error).__name__,
        "message": str(error),
        "exit_code": exit_code,
    }
    path = storage.join(out, "_rai", "failures", f"{unit.id}.json")
    try:
        storage.write_bytes(path, orjson.dumps(content))
    except OSError:
        # On a full disk the report cannot be written either: then the run itself fails.
        raise error from None


def read_failures(out: str) -> list[Failure]:
    """Returns the failures that workers reported, by unit."""
    files = storage.list_files(storage.join(out, "_rai", "failures"), ("*.json",))
    return [Failure(**orjson.loads(storage.read_bytes(file.path))) for file in files]


def clear_failures(out: str) -> None:
    """Removes the failures of an earlier run."""
    for file in storage.list_files(storage.join(out, "_rai", "failures"), ("*.json",)):
        storage.delete(file.path)


def failure_error(failures: list[Failure]) -> RaicurateError:
    """Returns the error for a run in which units failed."""
    first = failures[0]
    message = (
        f"{len(failures)} unit(s) failed, so no snapshot was made; what was done stays done. "
        f"First, unit {first.unit} of corpus {first.corpus!r} ({first.files[0]}): "
        f"{first.error_type}: {first.message}. Mend this and run again"
    )
    codes = {failure.exit_code for failure in failures}
    if ContractError.exit_code in codes:
        return ContractError(message)
    kinds = (kind for kind in (UsageError, PartialRunError) if codes == {kind.exit_code})
    return next(kinds, RaicurateError)(message)
