"""Every error that raicurate raises on purpose.

Each message says what is wrong, where, what follows from it and how to mend it. None holds
document text, since errors end in logs.

    RaicurateError                exit code 1
    ├── UsageError                2   a wrong option, or an option that does not fit
    │   ├── ManifestError         2   a manifest, policy or template file that cannot be used
    │   ├── MissingExtraError     2   an optional package that is not installed
    │   └── OutputBusyError       2   another run holds the output folder
    ├── PartialRunError           3   the run ended, but with damage or too many errors
    ├── ContractError             4   counts that do not add up, no input, a digest that differs
    ├── GateError                 5   a gate that was asked for did not pass
    └── DocumentError             –   one document cannot be used; becomes a row in `errors/`
"""


class RaicurateError(Exception):
    """Base of all designed errors; `exit_code` is what the command line ends with."""

    exit_code = 1


class UsageError(RaicurateError):
    """A command or option cannot be used as given."""

    exit_code = 2


class ManifestError(UsageError):
    """A manifest, policy, template or suite file is wrong."""


class MissingExtraError(UsageError):
    """An optional dependency is missing; the message holds the install line."""

    @classmethod
    def for_package(cls, package: str, needed_by: str, install: str) -> "MissingExtraError":
        """Returns the error for `needed_by`, which cannot run without `package`."""
        return cls(f"{needed_by} needs the package {package!r}: run `{install}`.")


class OutputBusyError(UsageError):
    """Another run is writing to the same output."""


class PartialRunError(RaicurateError):
    """A run finished, but lost a part of its input or exceeded its error budget."""

    exit_code = 3


class BudgetError(PartialRunError):
    """What a language model may cost is spent before all work is done."""


class ServerError(RaicurateError):
    """A server of a language model cannot be used."""


class ContractError(RaicurateError):
    """A promise about the data is broken; its output must not be used."""

    exit_code = 4


class GateError(RaicurateError):
    """A quality gate did not pass."""

    exit_code = 5


class DocumentError(RaicurateError):
    """One document (or the rest of one file) cannot be used.

    Attributes:
        error_type: A stable machine-readable reason such as `invalid_json`.
    """

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type
