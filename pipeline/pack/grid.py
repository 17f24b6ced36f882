"""The instants of a clip's frames, and how many audio samples it lasts. Integer arithmetic throughout: a long video does not drift."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pipeline.video.clock import SECOND


def exact_rate(frame_rate: float) -> Fraction:
    """The frame rate that a float stands for: 23.976023976 is 24000/1001.

    Raises:
        ValueError: it is not a positive number.
    """
    if not 0 < frame_rate < 100_000:
        raise ValueError(f"a frame rate must be a positive number, not {frame_rate}")
    return Fraction(frame_rate).limit_denominator(1001)


def frame_instants(start_ns: int, frame_count: int, frame_rate: float) -> NDArray[np.int64]:
    """(frame_count,) nanoseconds: start_ns + i / frame_rate, each rounded on its own."""
    rate = exact_rate(frame_rate)
    step, base = SECOND * rate.denominator, rate.numerator
    return np.asarray([start_ns + (2 * i * step + base) // (2 * base) for i in range(frame_count)], dtype=np.int64)


def sample_count(frame_count: int, frame_rate: float, audio_rate: int) -> int:
    """Audio samples that last as long as the clip, rounded to the nearest."""
    return round(frame_count * audio_rate / exact_rate(frame_rate))
