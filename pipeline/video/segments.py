"""Cutting a long video into segments that can be decoded apart: each starts at a keyframe, together they are the whole video."""

from dataclasses import dataclass

from pipeline.video.clock import SECOND
from pipeline.video.index import VideoIndex

SLIVER = 0.1
"""A last segment shorter than this share of the asked length joins the one before."""


@dataclass(frozen=True, slots=True)
class Segment:
    """The frames with start_ns <= pts_ns < end_ns.

    Attributes:
        number: 0, 1, 2 … through the video.
        start_ns: a keyframe's time, or the first frame's.
        end_ns: the next segment's start, or the video's end.
    """

    number: int
    start_ns: int
    end_ns: int


def plan_segments(index: VideoIndex, seconds: float = 600.0) -> list[Segment]:
    """Segments of at least ``seconds``, each ended at the first keyframe from there on; every frame is in exactly one.

    Args:
        index: the video's.
        seconds: how long a segment should be; a segment is longer where keyframes are rare, and a last one shorter than a tenth joins
            the one before.

    Raises:
        ValueError: seconds is not positive.
    """
    if seconds <= 0:
        raise ValueError(f"segments must last longer than 0 seconds, not {seconds}")
    length = max(1, round(seconds * SECOND))
    starts = [index.start_ns]
    for keyframe in index.keyframe_ns.tolist():
        if keyframe - starts[-1] >= length:
            starts.append(keyframe)
    if len(starts) > 1 and index.end_ns - starts[-1] < SLIVER * length:
        starts.pop()
    return [Segment(number, start, end) for number, (start, end) in enumerate(zip(starts, [*starts[1:], index.end_ns], strict=True))]
