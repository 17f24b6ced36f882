from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.video.clock import SECOND
from pipeline.video.index import VideoIndex
from pipeline.video.segments import plan_segments


def film(seconds: int, keyframe_every: int, start: int = 0) -> VideoIndex:
    """A film of one frame a second."""
    pts_ns = (np.arange(seconds, dtype=np.int64) + start) * SECOND
    return VideoIndex(
        video_id="0" * 16,
        uri="drawn",
        size_bytes=1,
        container="mp4",
        codec="h264",
        pixel_format="yuv420p",
        width=64,
        height=48,
        rotation=0,
        time_base=Fraction(1),
        pts_ns=pts_ns,
        keyframe_ns=pts_ns[::keyframe_every].copy(),
        end_ns=(start + seconds) * SECOND,
        claimed_frame_count=None,
        audio=(),
    )


@given(st.integers(1, 3000), st.integers(1, 700), st.integers(-50, 50), st.floats(0.5, 900))
def test_every_frame_is_in_exactly_one_segment(seconds: int, keyframe_every: int, start: int, length: float) -> None:
    index = film(seconds, keyframe_every, start)
    segments = plan_segments(index, length)
    counts = [int(((index.pts_ns >= segment.start_ns) & (index.pts_ns < segment.end_ns)).sum()) for segment in segments]
    assert sum(counts) == index.frame_count
    assert min(counts) > 0
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert (segments[0].start_ns, segments[-1].end_ns) == (index.start_ns, index.end_ns)
    assert all(one.end_ns == two.start_ns for one, two in pairwise(segments))
    assert {segment.start_ns for segment in segments} <= set(index.keyframe_ns.tolist())


def test_cuts_at_the_first_keyframe_after_the_length() -> None:
    assert [segment.start_ns // SECOND for segment in plan_segments(film(1900, 7), 600)] == [0, 602, 1204, 1806]
    assert [segment.start_ns // SECOND for segment in plan_segments(film(1900, 10), 600)] == [0, 600, 1200, 1800]


def test_a_sliver_joins_the_one_before() -> None:
    assert [segment.start_ns // SECOND for segment in plan_segments(film(1259, 10), 600)] == [0, 600]
    assert [segment.start_ns // SECOND for segment in plan_segments(film(1260, 10), 600)] == [0, 600, 1200]


def test_a_film_with_one_keyframe_is_one_segment() -> None:
    assert [(segment.start_ns, segment.end_ns) for segment in plan_segments(film(5000, 5000), 60)] == [(0, 5000 * SECOND)]


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_a_length_must_be_positive(seconds: float) -> None:
    with pytest.raises(ValueError, match="longer than 0"):
        plan_segments(film(10, 1), seconds)
