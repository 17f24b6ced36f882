"""What the pipeline asks of a video decoder."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.video.index import VideoIndex


class Frame(Protocol):
    """One decoded frame. Conversion to RGB happens when asked for, because most frames are only looked at in small."""

    @property
    def pts_ns(self) -> int:
        """Presentation time in nanoseconds."""

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """(height, width, 3) RGB, rotation applied; scaled when width and height (of the displayed picture, pixels) are given."""


class Decoder(Protocol):
    """An open video. A context manager: leaving it closes the file."""

    @property
    def index(self) -> VideoIndex:
        """What the file's packets say; see VideoIndex."""

    def frames(self, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Frame]:
        """Every displayed frame with start_ns <= pts_ns < end_ns, in order of presentation, in one forward pass.

        A frame is valid until the next one is asked for.

        Raises:
            VideoError: the stream cannot be decoded further; the message names the file and the time.
        """

    def read(self, instants_ns: Sequence[int]) -> Iterator[Frame]:
        """For each instant the frame whose pts is nearest (the earlier one when two are), in the order given.

        Seeks only where that is cheaper than decoding on; an instant outside the video gives its first or last frame.

        Raises:
            VideoError: as frames().
        """

    def close(self) -> None:
        """Close the file; calling it twice is fine."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
