"""What every decoder does alike: in which order instants are read, in what size a picture is asked for, and going on behind damage."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from pipeline.failures import InputError
from pipeline.video.index import VideoIndex
from pipeline.video.protocols import Decoder, Frame

UNSORTED_AT_ONCE = 16
"""Instants out of order are read in order of time within groups of this many; so many pictures are held at most."""

FrameT = TypeVar("FrameT")


def read_nearest(index: VideoIndex, instants_ns: Sequence[int], ascending: Callable[[Sequence[int]], Iterator[FrameT]]) -> Iterator[FrameT]:
    """For each instant the nearest frame, in the order given, from a decoder that prefers to go forward.

    Args:
        index: of the video.
        instants_ns: in any order, with or without repetitions.
        ascending: yields the frames at ascending positions in the index, one for each position asked for.
    """
    wanted = index.nearest(np.asarray(instants_ns, np.int64).reshape(-1)).tolist()
    if wanted == sorted(wanted):
        yield from ascending(wanted)
        return
    for group in (wanted[at : at + UNSORTED_AT_ONCE] for at in range(0, len(wanted), UNSORTED_AT_ONCE)):
        distinct = sorted(set(group))
        found = dict(zip(distinct, ascending(distinct), strict=True))
        yield from (found[position] for position in group)


def read_each(decoder: Decoder, wanted: Sequence[int], needed: Callable[[int], bool] = lambda _: True) -> Iterator[tuple[int, Frame | InputError]]:
    """The frames nearest to ascending times, each with the time it was asked for; where decoding fails, the error in the frame's place.

    Args:
        decoder: of the video.
        wanted: ascending times.
        needed: behind a failure, whether a time is still wanted.
    """
    remaining = list(wanted)
    while remaining:
        done = 0
        try:
            for pts_ns, frame in zip(remaining, decoder.read(remaining), strict=True):
                yield pts_ns, frame
                done += 1
            return
        except InputError as error:
            yield remaining[done], error
        remaining = [pts_ns for pts_ns in remaining[done + 1 :] if needed(pts_ns)]


def displayed_size(index: VideoIndex, width: int | None, height: int | None) -> tuple[int, int]:
    """The size a picture is asked in: as displayed when neither is given, the other in proportion when one is."""
    if width is None and height is None:
        return index.width, index.height
    if width is None:
        width = max(1, round(index.width * (height or 1) / index.height))
    if height is None:
        height = max(1, round(index.height * width / index.width))
    return width, height
