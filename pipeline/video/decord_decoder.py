"""A decoder on decord 0.6, selectable for comparison; PyAV is the default.

decord numbers frames and knows nothing of times that a container shifts or hides, so a video is refused unless decord's own list of times
agrees with the index, and unless its container and codec are among those that were tested with numbered frames. What else decord does:

- it turns pictures by the display matrix itself, and ignores edit lists (then the counts differ, and the video is refused);
- it waits for ever, holding the interpreter's lock, for frames that a container claims and does not have (refused before decord sees it);
- it drops frames of MPEG transport streams and Flash videos that start late, and has no times for AVI (refused);
- ``skip_frames`` lands on another frame where the way crosses a keyframe (seen on a plain H.264 film), so this decoder only asks for the
  next frame: it reads every frame up to the one wanted, and opens the file anew to go back;
- its thread decodes everything it was given without waiting for the reader: up to some hundreds of pictures are held. The memory stays
  level over a long video, but high, and every seek adds to it.
"""

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from pipeline.failures import InputError
from pipeline.video.clock import SECOND
from pipeline.video.container import VideoError, file_system
from pipeline.video.index import VideoIndex, read_index
from pipeline.video.reading import displayed_size, read_nearest
from schemas.vocabulary import FailureKind

CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")
CODECS = ("h264", "hevc", "mpeg4", "vp8", "vp9")
AGREEMENT = 1e-3
"""Seconds by which decord's times (32-bit floats) may differ from the index, for each hour of video and at least once."""


class DecordFrame:
    """A decoded picture: RGB, upright."""

    def __init__(self, image: NDArray[np.uint8], pts_ns: int, index: VideoIndex) -> None:
        self._image = image
        self._pts_ns = pts_ns
        self._index = index

    @property
    def pts_ns(self) -> int:
        """Presentation time in nanoseconds."""
        return self._pts_ns

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """(height, width, 3) RGB; see Frame."""
        width, height = displayed_size(self._index, width, height)
        if (height, width) == self._image.shape[:2]:
            return self._image
        smaller = height * width < self._image.shape[0] * self._image.shape[1]
        return np.asarray(cv2.resize(self._image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR), np.uint8)


class DecordDecoder:
    """An open video; see Decoder for what it promises. Local files only."""

    def __init__(self, uri: str, threads: int = 1, index: VideoIndex | None = None) -> None:
        try:
            self._decord: Any = importlib.import_module("decord")
        except ImportError as error:
            message = "the decoder decord is not installed; install it in the project's clone: pip install -c constraints.txt '.[decord]'"
            raise InputError(FailureKind.MISSING_DEPENDENCY, message) from error
        self._index = index if index is not None else read_index(uri)
        self._threads = threads
        self._path = self._local_path(uri)
        self._refuse_unsafe()
        self._reader: Any = None
        self._position = 0
        self._open()
        self._refuse_disagreement()

    @property
    def index(self) -> VideoIndex:
        """What the file's packets say."""
        return self._index

    def frames(self, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[DecordFrame]:
        """Every displayed frame with start_ns <= pts_ns < end_ns; see Decoder."""
        pts_ns = self._index.pts_ns
        first = 0 if start_ns is None else int(np.searchsorted(pts_ns, start_ns))
        last = len(pts_ns) if end_ns is None else int(np.searchsorted(pts_ns, end_ns))
        return self._ascending(range(first, last))

    def read(self, instants_ns: Sequence[int]) -> Iterator[DecordFrame]:
        """For each instant the nearest frame, in the order given; see Decoder."""
        return read_nearest(self._index, instants_ns, self._ascending)

    def close(self) -> None:
        """Close the file; calling it twice is fine."""
        self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _ascending(self, positions: Sequence[int]) -> Iterator[DecordFrame]:
        frame: DecordFrame | None = None
        last = -1
        for position in positions:
            if frame is None or position != last:
                frame, last = self._decode(position), position
            yield frame

    def _decode(self, position: int) -> DecordFrame:
        pts_ns = int(self._index.pts_ns[position])
        try:
            if position < self._position:
                self._open()
            for _ in range(position - self._position):
                self._reader.next()
            image = self._reader.next().asnumpy()
        except (self._decord.DECORDError, StopIteration, RuntimeError) as error:
            raise self._error(FailureKind.DAMAGED, f"cannot be decoded at {pts_ns / SECOND:.3f} s ({_first_line(error)})") from error
        self._position = position + 1
        return DecordFrame(image, pts_ns, self._index)

    def _open(self) -> None:
        self.close()
        try:
            self._reader = self._decord.VideoReader(self._path, num_threads=self._threads)
        except (self._decord.DECORDError, RuntimeError) as error:
            raise self._error(FailureKind.UNSUPPORTED, f"cannot be opened ({_first_line(error)})") from error
        self._position = 0

    def _local_path(self, uri: str) -> str:
        system, path = file_system(uri)
        if not isinstance(system, LocalFileSystem):
            raise self._error(FailureKind.UNSUPPORTED, "is not a local file")
        return str(Path(path))

    def _refuse_unsafe(self) -> None:
        index = self._index
        if index.container not in CONTAINERS or index.codec not in CODECS:
            raise self._error(FailureKind.UNSUPPORTED, f"is {index.codec} in {index.container}, which decord is not trusted with")
        if index.claimed_frame_count not in (None, index.frame_count):
            raise self._error(FailureKind.UNSUPPORTED, f"claims {index.claimed_frame_count} frames and shows {index.frame_count}, which decord cannot handle")

    def _refuse_disagreement(self) -> None:
        count = len(self._reader)
        if count != self._index.frame_count:
            raise self._error(FailureKind.UNSUPPORTED, f"shows {self._index.frame_count} frames, of which decord sees {count}")
        seconds = np.asarray(self._reader.get_frame_timestamp(range(count)), np.float64)[:, 0]
        expected = (self._index.pts_ns - self._index.start_ns) / SECOND
        tolerance = AGREEMENT * max(1.0, float(expected[-1]) / 3600)
        if not (np.abs(seconds - seconds[0] - expected) <= tolerance).all():
            raise self._error(FailureKind.UNSUPPORTED, "has frame times that decord reads differently")

    def _error(self, kind: FailureKind, what: str) -> VideoError:
        return VideoError(kind, f"{self._index.uri} {what}: read it with the decoder pyav")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
