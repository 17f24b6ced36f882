from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.video.index import VideoIndex
from pipeline.video.reading import UNSORTED_AT_ONCE, displayed_size, read_nearest

PTS_NS = np.cumsum([5, 10, 3, 40, 7, 7, 90, 2, 11, 25])
INDEX = VideoIndex(
    video_id="0" * 16,
    uri="drawn",
    size_bytes=1,
    container="mp4",
    codec="h264",
    pixel_format="yuv420p",
    width=640,
    height=360,
    rotation=0,
    time_base=Fraction(1, 1000),
    pts_ns=PTS_NS.copy(),
    keyframe_ns=PTS_NS[:1].copy(),
    end_ns=500,
    claimed_frame_count=None,
    audio=(),
)


@given(st.lists(st.integers(-50, 600), max_size=60))
def test_every_instant_gets_its_nearest_frame_in_the_order_given(instants: list[int]) -> None:
    passes: list[list[int]] = []

    def ascending(positions: Sequence[int]) -> Iterator[int]:
        passes.append(list(positions))
        yield from positions

    found = list(read_nearest(INDEX, instants, ascending))
    assert found == [min(range(10), key=lambda position: (abs(int(PTS_NS[position]) - instant), position)) for instant in instants]
    assert all(run == sorted(run) for run in passes)
    assert len(passes) <= max(1, -(-len(instants) // UNSORTED_AT_ONCE))


@pytest.mark.parametrize(
    ("asked", "size"),
    [((None, None), (640, 360)), ((128, None), (128, 72)), ((None, 72), (128, 72)), ((100, 100), (100, 100)), ((1, None), (1, 1))],
)
def test_sizes(asked: tuple[int | None, int | None], size: tuple[int, int]) -> None:
    assert displayed_size(INDEX, *asked) == size
