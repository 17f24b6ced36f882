from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.video.clock import SECOND, all_to_ns, to_ns, to_ticks

TIME_BASES = st.sampled_from([Fraction(1, 12800), Fraction(1, 90000), Fraction(1001, 24000), Fraction(1, 1000), Fraction(1, 1_000_000), Fraction(1, 600)])


@given(st.integers(-(10**12), 10**12), TIME_BASES)
def test_a_tick_becomes_the_nearest_nanosecond_and_comes_back(tick: int, time_base: Fraction) -> None:
    assert abs(to_ns(tick, time_base) - tick * time_base * SECOND) <= Fraction(1, 2)
    assert to_ticks(to_ns(tick, time_base), time_base) == tick


@pytest.mark.parametrize(
    ("tick", "time_base", "expected"), [(1, Fraction(1, 3), 333_333_333), (2, Fraction(1, 3), 666_666_667), (-1, Fraction(1, 3), -333_333_333)]
)
def test_rounding(tick: int, time_base: Fraction, expected: int) -> None:
    assert to_ns(tick, time_base) == expected


def test_many_at_once_where_64_bits_would_overflow() -> None:
    ticks = [0, 86_400_000_000 * 300]
    assert all_to_ns(ticks, Fraction(1, 1_000_000)).tolist() == [0, 86_400 * 300 * SECOND]
    assert all_to_ns([], Fraction(1, 25)).dtype == np.int64
