import numpy as np

from pipeline.select.reasons import Reasons, words_column
from schemas.table import WORD
from schemas.vocabulary import RejectReason


def test_the_first_reason_that_applies_stays() -> None:
    reasons = Reasons(4)
    reasons.add(np.array([True, False, False, False]), RejectReason.BLURRED)
    reasons.add(np.array([True, True, False, False]), RejectReason.CUT_OFF)
    other = Reasons(4)
    other.set_rows(slice(0, 3), [RejectReason.NO_FACE] * 3)
    reasons.add_each(other)
    assert reasons.column().to_pylist() == ["blurred", "cut_off", "no_face", None]
    assert reasons.free.tolist() == [False, False, False, True]
    assert reasons.only(RejectReason.CUT_OFF, RejectReason.NO_FACE).tolist() == [False, True, True, False]


def test_rows_are_set_by_position() -> None:
    reasons = Reasons(3)
    reasons.set_rows(np.array([2, 0]), [RejectReason.NO_ANGLE, None])
    assert reasons.column().to_pylist() == [None, None, "no_angle"]


def test_codes_become_words_of_the_tables_type() -> None:
    column = words_column(np.array([1, -1, 0]), ["front", "left"])
    assert column.to_pylist() == ["left", None, "front"]
    assert column.type == WORD
    assert words_column(np.array([-1, -1]), []).to_pylist() == [None, None]
