"""The frames that anchors were observed in, as JPEGs: exactly those, never a neighbour."""

import io
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.failures import InputError
from pipeline.video.index import VideoIndex
from pipeline.video.protocols import Decoder, Frame
from pipeline.video.reading import read_each
from schemas.vocabulary import FailureKind


def check_identity(index: VideoIndex, video_ids: Iterable[str]) -> None:
    """Make sure that a file is the video that was observed.

    Raises:
        InputError: NOT_FOUND; another file lies there now.
    """
    if stale := set(video_ids) - {index.video_id}:
        changed = f"{index.uri} is not the video that was observed (its video_id is {index.video_id}, not {', '.join(sorted(stale))})"
        raise InputError(FailureKind.NOT_FOUND, f"{changed}: bring that one back, or run observe again")


def anchor_jpegs(decoder: Decoder, times_ns: Iterable[int], picture: Callable[[Frame], NDArray[np.uint8]], quality: int) -> dict[int, bytes | InputError]:
    """The frames at some times, read in one forward pass.

    Args:
        decoder: of the video.
        times_ns: presentation times of frames; repeated ones are read once.
        picture: what is kept of a frame, (height, width, 3) RGB.
        quality: of the JPEGs, 1 to 95.

    Returns:
        The file's bytes by presentation time, or why that frame cannot be had.
    """
    pictures: dict[int, bytes | InputError] = {}
    for pts_ns, frame in read_each(decoder, sorted(set(times_ns))):
        if isinstance(frame, InputError):
            pictures[pts_ns] = frame
        elif frame.pts_ns != pts_ns:
            pictures[pts_ns] = InputError(
                FailureKind.DAMAGED, f"{decoder.index.uri} has no frame at {pts_ns} ns, where an anchor was observed: run observe again"
            )
        else:
            pictures[pts_ns] = _jpeg(picture(frame), quality)
    return pictures


def _jpeg(picture: NDArray[np.uint8], quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return file.getvalue()
