import pickle

import pytest

from pipeline.failures import InputError, classify
from schemas.vocabulary import FailureKind


def test_an_input_error_keeps_its_kind_through_a_pickle() -> None:
    error = pickle.loads(pickle.dumps(InputError(FailureKind.DAMAGED, "a.mp4: broken")))
    assert (error.kind, str(error)) == (FailureKind.DAMAGED, "a.mp4: broken")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError(FailureKind.NOT_A_VIDEO, "text"), FailureKind.NOT_A_VIDEO),
        (FileNotFoundError("a"), FailureKind.NOT_FOUND),
        (PermissionError("a"), FailureKind.NO_PERMISSION),
        (MemoryError(), FailureKind.OUT_OF_MEMORY),
        (ModuleNotFoundError("a"), FailureKind.MISSING_DEPENDENCY),
        (TimeoutError("a"), FailureKind.TIMED_OUT),
        (ConnectionResetError("a"), FailureKind.STORAGE),
        (ZeroDivisionError("a"), FailureKind.BUG),
    ],
)
def test_every_error_has_a_kind(error: BaseException, kind: FailureKind) -> None:
    assert classify(error)[0] is kind
