"""Ticks of a stream's time base to nanoseconds and back, in exact integer arithmetic.

A tick count becomes the nearest nanosecond (half up); as long as the time base is coarser than a nanosecond, which every container's is,
the way back finds the same tick. Floats never come near a time.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


def to_ns(ticks: int, time_base: Fraction) -> int:
    """The nanosecond nearest to a number of ticks."""
    numerator, denominator = ticks * time_base.numerator * SECOND, time_base.denominator
    return (2 * numerator + denominator) // (2 * denominator)


def to_ticks(nanoseconds: int, time_base: Fraction) -> int:
    """The tick nearest to a number of nanoseconds: the inverse of to_ns."""
    numerator, denominator = nanoseconds * time_base.denominator, time_base.numerator * SECOND
    return (2 * numerator + denominator) // (2 * denominator)


def all_to_ns(ticks: Sequence[int], time_base: Fraction) -> NDArray[np.int64]:
    """to_ns of many, (N,) int64."""
    return np.fromiter((to_ns(tick, time_base) for tick in ticks), np.int64, len(ticks))
