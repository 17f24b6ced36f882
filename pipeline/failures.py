"""Errors of an input, typed: what becomes a row in the ``failures`` table instead of ending the job."""

from schemas.vocabulary import FailureKind


class InputError(Exception):
    """An input that cannot be processed, for a reason that is its own.

    Attributes:
        kind: the typed reason.
    """

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type["InputError"], tuple[FailureKind, str]]:
        return type(self), (self.kind, str(self))


def classify(error: BaseException) -> tuple[FailureKind, str]:
    """The failure kind and message of any error, for the failures table."""
    if isinstance(error, InputError):
        return error.kind, str(error)
    kinds: list[tuple[type[BaseException], FailureKind]] = [
        (FileNotFoundError, FailureKind.NOT_FOUND),
        (PermissionError, FailureKind.NO_PERMISSION),
        (MemoryError, FailureKind.OUT_OF_MEMORY),
        (ImportError, FailureKind.MISSING_DEPENDENCY),
        (TimeoutError, FailureKind.TIMED_OUT),
        (OSError, FailureKind.STORAGE),
    ]
    kind = next((kind for type_, kind in kinds if isinstance(error, type_)), FailureKind.BUG)
    return kind, f"{type(error).__name__}: {error}"
