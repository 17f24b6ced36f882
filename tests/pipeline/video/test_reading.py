from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.failures import InputError
from pipeline.video.index import VideoIndex
from pipeline.video.protocols import Decoder
from pipeline.video.reading import UNSORTED_AT_ONCE, displayed_size, read_each, read_nearest
from schemas.vocabulary import FailureKind

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


class _Broken:
    """Gives the instants themselves for frames, and fails at some."""

    def __init__(self, *damaged: int) -> None:
        self.damaged = damaged
        self.passes: list[list[int]] = []

    def read(self, instants_ns: Sequence[int]) -> Iterator[int]:
        self.passes.append(list(instants_ns))
        for instant in instants_ns:
            if instant in self.damaged:
                raise InputError(FailureKind.DAMAGED, f"damaged at {instant}")
            yield instant


@pytest.mark.parametrize("damaged", [(), (1,), (9,), (3, 4), (1, 4, 9)])
def test_damage_costs_only_the_frames_that_it_hits(damaged: tuple[int, ...]) -> None:
    broken = _Broken(*damaged)
    found = list(read_each(cast(Decoder, broken), [1, 3, 4, 9]))
    assert [time for time, _ in found] == [1, 3, 4, 9]
    assert [str(frame) for _, frame in found] == [f"damaged at {time}" if time in damaged else str(time) for time in (1, 3, 4, 9)]
    assert len(broken.passes) <= len(damaged) + 1


def test_behind_damage_only_what_is_still_needed_is_read() -> None:
    broken = _Broken(3)
    assert [time for time, _ in read_each(cast(Decoder, broken), [1, 3, 4, 9], lambda time: time != 4)] == [1, 3, 9]
    assert broken.passes == [[1, 3, 4, 9], [9]]
