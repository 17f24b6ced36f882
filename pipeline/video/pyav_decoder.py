"""The default decoder: FFmpeg through PyAV."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self, cast

import av
import av.container
import av.error
import av.video
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.video.clock import SECOND, to_ns, to_ticks
from pipeline.video.container import VideoError, open_video, translated
from pipeline.video.index import VideoIndex, read_index
from pipeline.video.reading import displayed_size, read_nearest
from schemas.vocabulary import FailureKind

SEEK_WORTH_FRAMES = 8
"""Decoding on is preferred to seeking when it costs at most this many more frames."""


TINY_REDUCTION = 8
"""A picture asked in an eighth of its size or less is sampled instead of averaged."""


class PyAVFrame:
    """A decoded picture, still in the stream's pixel format."""

    def __init__(self, picture: av.VideoFrame, pts_ns: int, decoder: "PyAVDecoder") -> None:
        self._picture = picture
        self._pts_ns = pts_ns
        self._decoder = decoder

    @property
    def pts_ns(self) -> int:
        """Presentation time in nanoseconds."""
        return self._pts_ns

    def rgb(self, width: int | None = None, height: int | None = None) -> NDArray[np.uint8]:
        """(height, width, 3) RGB; see Frame."""
        index = self._decoder.index
        width, height = displayed_size(index, width, height)
        turned = index.rotation in (90, 270)
        scaled = self._decoder.reformatter.reformat(
            self._picture,
            width=height if turned else width,
            height=width if turned else height,
            format="rgb24",
            interpolation=_interpolation(width * height, index.width * index.height),
            threads=1,
        )
        return upright(cast(NDArray[np.uint8], scaled.to_ndarray()), index.rotation)


def _interpolation(wanted: int, displayed: int) -> Interpolation:
    """Averaging for a smaller picture, a cubic for a larger one; a tiny one, which only motion is told from, is sampled, five times faster."""
    if wanted * TINY_REDUCTION**2 <= displayed:
        return Interpolation.FAST_BILINEAR
    return Interpolation.AREA if wanted < displayed else Interpolation.BICUBIC


def upright(image: NDArray[np.uint8], rotation: int) -> NDArray[np.uint8]:
    """The image turned clockwise by 0, 90, 180 or 270 degrees; contiguous."""
    return np.ascontiguousarray(np.rot90(image, -rotation // 90)) if rotation else image


class PyAVDecoder:
    """An open video; see Decoder for what it promises.

    It decodes at one position at a time: asking for ``frames`` or ``read`` ends an iteration that is still going on.
    """

    def __init__(self, uri: str, threads: int = 1, index: VideoIndex | None = None) -> None:
        self._index = index if index is not None else read_index(uri)
        self._uri = uri
        self._threads = threads
        self._resources = ExitStack()
        self._iteration = 0
        self.reformatter = VideoReformatter()
        self._open()

    @property
    def index(self) -> VideoIndex:
        """What the file's packets say."""
        return self._index

    def frames(self, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[PyAVFrame]:
        """Every displayed frame with start_ns <= pts_ns < end_ns; see Decoder."""
        pts_ns = self._index.pts_ns
        first = 0 if start_ns is None else int(np.searchsorted(pts_ns, start_ns))
        last = len(pts_ns) if end_ns is None else int(np.searchsorted(pts_ns, end_ns))
        return self._from(first, last)

    def read(self, instants_ns: Sequence[int]) -> Iterator[PyAVFrame]:
        """For each instant the nearest frame, in the order given; see Decoder."""
        return read_nearest(self._index, instants_ns, self._ascending)

    def close(self) -> None:
        """Close the file; calling it twice is fine."""
        self._iteration += 1
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self) -> None:
        self._resources.close()
        self._container, self._stream = self._resources.enter_context(open_video(self._uri))
        self._stream.codec_context.thread_count = self._threads
        self._stream.codec_context.thread_type = "AUTO" if self._threads > 1 else "SLICE"
        self._untouched = True

    def _ascending(self, positions: Sequence[int]) -> Iterator[PyAVFrame]:
        """The frames at ascending positions, seeking over gaps where a keyframe makes that cheaper."""
        keyframes = np.searchsorted(self._index.pts_ns, self._index.keyframe_ns)
        frame: PyAVFrame | None = None
        running: Iterator[PyAVFrame] = iter(())
        at = -1
        for position in positions:
            if frame is None or position != at:
                keyframe = int(keyframes[max(0, int(np.searchsorted(keyframes, position, "right")) - 1)]) if len(keyframes) else 0
                if frame is None or keyframe - at > SEEK_WORTH_FRAMES:
                    running = self._from(position, self._index.frame_count)
                    at = position - 1
                for _ in range(position - at):
                    frame = next(running)
                at = position
            assert frame is not None
            yield frame

    def _from(self, first: int, last: int) -> Iterator[PyAVFrame]:
        """The frames at positions first … last-1, each checked against the index."""
        self._iteration += 1
        iteration, position = self._iteration, first
        while position < last:
            for picture in self._approach(position):
                expected = int(self._index.pts_ns[position])
                found = self._time(picture)
                if found < expected:
                    continue
                if found > expected or picture.is_corrupt:
                    raise self._damaged(expected)
                yield PyAVFrame(picture, found, self)
                if iteration != self._iteration:
                    raise RuntimeError("this iteration ended when another one was started on the same decoder, or when it was closed")
                position += 1
                if position == last:
                    return
            raise self._damaged(int(self._index.pts_ns[position]))

    def _approach(self, position: int) -> Iterator[av.VideoFrame]:
        """Pictures from the last point before a position that decoding can start at and that reaches it."""
        target = int(self._index.pts_ns[position])
        if self._untouched and position == 0:
            return self._pictures()
        known = int(np.searchsorted(self._index.keyframe_ns, target, "right"))
        back = 1
        while known - back >= 0:
            pictures = self._pictures_from(int(self._index.keyframe_ns[known - back]), target)
            if pictures is not None:
                return pictures
            back *= 2
        self._open()
        return self._pictures()

    def _pictures_from(self, keyframe_ns: int, target_ns: int) -> Iterator[av.VideoFrame] | None:
        """Seek to a keyframe and decode up to the target; None when the file would not go there, or a picture before the target is not to be had."""
        self._untouched = False
        try:
            self._container.seek(to_ticks(keyframe_ns, self._index.time_base), stream=self._stream)
        except (av.error.FFmpegError, OSError):
            return None
        pictures = self._pictures()
        for picture in pictures:
            found = self._time(picture)
            if found == target_ns:
                return _again(picture, pictures)
            if found > target_ns:
                return None
        return None

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Decoded pictures from where the container stands, from the first keyframe on, without those the index does not show."""
        self._untouched = False
        time_base, last_ns = self._index.time_base, int(self._index.pts_ns[-1])
        started, reached = False, 0
        with translated(self._uri):
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        started = started or packet.is_keyframe
                        reached = to_ns(packet.pts, time_base) if packet.pts is not None else reached
                        if not started or (packet.is_corrupt and reached > last_ns):
                            continue
                        if packet.is_corrupt:
                            raise self._damaged(reached)
                    yield from (picture for picture in packet.decode() if picture.pts is not None)
            except av.error.FFmpegError as error:
                raise self._damaged(reached, error) from error

    def _time(self, picture: av.VideoFrame) -> int:
        return to_ns(cast(int, picture.pts), self._index.time_base)

    def _damaged(self, time_ns: int, error: Exception | None = None) -> VideoError:
        cause = f" ({error})" if error else ""
        return VideoError(FailureKind.DAMAGED, f"{self._uri} cannot be decoded at {time_ns / SECOND:.3f} s{cause}: fetch it again, or cut it there")


def _again(first: av.VideoFrame, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    yield first
    yield from rest
