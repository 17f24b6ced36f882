"""What a video file is, told by its packets: every frame's presentation time, where decoding can start, and the facts of its streams.

One pass over the demuxer reads it; a single picture, the first keyframe, is decoded, because FFmpeg hands out the display matrix with
pictures only.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, cast

import av
import av.container
import av.error
import av.video
import numpy as np
from numpy.typing import NDArray

from pipeline.video.clock import SECOND, all_to_ns, to_ns
from pipeline.video.container import VideoError, file_system, open_video, translated
from schemas.vocabulary import FailureKind

__all__ = ["AudioFacts", "VideoError", "VideoIndex", "read_index", "video_id"]

HASHED_BLOCKS, HASHED_BYTES = 16, 65536
"""video_id hashes this many blocks of this many bytes."""

CODECS_THAT_HIDE_ORDER = ("h264", "hevc")
"""Codecs whose order of presentation FFmpeg cannot tell from the packets alone when the container (AVI) gives no times."""

SQUARE_ENOUGH = Fraction(1, 100)
"""Pixels whose aspect ratio differs from 1 by less are taken for square."""


@dataclass(frozen=True)
class AudioFacts:
    """An audio stream: its codec's name, samples per second, channels."""

    codec: str
    rate: int
    channels: int


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """The displayed frames of a video and the facts of its streams.

    A frame is displayed unless the container's edit list discards it, or it precedes the first keyframe.

    Attributes:
        video_id: see ``video_id``.
        uri: path or URL it was read from.
        size_bytes: size of the file.
        container: container format, as FFmpeg names it.
        codec: of the video stream.
        pixel_format: of the coded frames.
        width: pixels as displayed: square, after rotation.
        height: pixels as displayed: square, after rotation.
        rotation: clockwise degrees from the coded to the displayed picture: 0, 90, 180 or 270.
        time_base: seconds per tick of the video stream.
        pts_ns: (N,) int64, strictly ascending presentation times of the displayed frames; read-only.
        keyframe_ns: (K,) int64, those of them that decoding can start at; empty when an edit list hides the only keyframe; read-only.
        end_ns: end of the last frame's display.
        claimed_frame_count: what the container says, None when it says nothing.
        audio: the audio streams.
    """

    video_id: str
    uri: str
    size_bytes: int
    container: str
    codec: str
    pixel_format: str
    width: int
    height: int
    rotation: int
    time_base: Fraction
    pts_ns: NDArray[np.int64] = field(repr=False)
    keyframe_ns: NDArray[np.int64] = field(repr=False)
    end_ns: int
    claimed_frame_count: int | None
    audio: tuple[AudioFacts, ...]

    def __post_init__(self) -> None:
        if len(self.pts_ns) == 0 or self.rotation not in (0, 90, 180, 270) or self.end_ns <= self.pts_ns[-1]:
            raise ValueError(f"not an index of a video: {len(self.pts_ns)} frames, rotation {self.rotation}, end {self.end_ns}")
        if (np.diff(self.pts_ns) <= 0).any() or not np.isin(self.keyframe_ns, self.pts_ns).all():
            raise ValueError("frame times must ascend strictly, and keyframes be among them")
        self.pts_ns.flags.writeable = False
        self.keyframe_ns.flags.writeable = False

    @property
    def start_ns(self) -> int:
        """Presentation time of the first frame."""
        return int(self.pts_ns[0])

    @property
    def frame_count(self) -> int:
        """Number of displayed frames."""
        return len(self.pts_ns)

    @property
    def frame_rate(self) -> float:
        """Mean frames per second."""
        return self.frame_count * SECOND / (self.end_ns - self.start_ns)

    @property
    def variable_frame_rate(self) -> bool:
        """Whether the time from frame to frame changes by more than one tick, which is what rounding to the time base may do."""
        steps = np.diff(self.pts_ns)
        return len(steps) > 1 and int(steps.max() - steps.min()) > to_ns(1, self.time_base) + 1

    def nearest(self, instants_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each instant the position of the frame with the nearest pts, the earlier one when two are equally near."""
        after = np.searchsorted(self.pts_ns, instants_ns).clip(1, max(1, self.frame_count - 1))
        before = after - 1
        after = after.clip(max=self.frame_count - 1)
        return np.where(instants_ns - self.pts_ns[before] <= self.pts_ns[after] - instants_ns, before, after)

    def row(self) -> dict[str, Any]:
        """The row of the table ``videos``."""
        first = self.audio[0] if self.audio else None
        return {
            "video_id": self.video_id,
            "uri": self.uri,
            "size_bytes": self.size_bytes,
            "container": self.container,
            "codec": self.codec,
            "pixel_format": self.pixel_format,
            "width": self.width,
            "height": self.height,
            "rotation": self.rotation,
            "time_base_numerator": self.time_base.numerator,
            "time_base_denominator": self.time_base.denominator,
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "frame_count": self.frame_count,
            "claimed_frame_count": self.claimed_frame_count,
            "keyframe_count": len(self.keyframe_ns),
            "frame_rate": self.frame_rate,
            "variable_frame_rate": self.variable_frame_rate,
            "audio_streams": len(self.audio),
            "audio_codec": first.codec if first else None,
            "audio_rate": first.rate if first else None,
            "audio_channels": first.channels if first else None,
        }


def read_index(uri: str) -> VideoIndex:
    """The index of a video, from one pass over its packets.

    Args:
        uri: local path or any fsspec URL.

    Raises:
        VideoError: it is missing, may not be read, is no video, has no video stream, is damaged, or its frames have no times.
    """
    identity, size = _identity(uri)
    with open_video(uri) as (container, stream):
        time_base = stream.time_base or Fraction(1, SECOND)
        context = stream.codec_context
        frames = _displayed(container, stream, uri)
        pts_ns = all_to_ns([frame.pts for frame in frames], time_base)
        duration_ns = to_ns(frames[-1].duration, time_base) or _usual_step(pts_ns, stream.average_rate)
        turned = frames[0].rotation in (90, 270)
        width, height = _square_pixels(context.width, context.height, stream.sample_aspect_ratio)
        return VideoIndex(
            video_id=identity,
            uri=uri,
            size_bytes=size,
            container=container.format.name,
            codec=context.codec.canonical_name,
            pixel_format=context.pix_fmt or "unknown",
            width=height if turned else width,
            height=width if turned else height,
            rotation=frames[0].rotation,
            time_base=time_base,
            pts_ns=pts_ns,
            keyframe_ns=all_to_ns([frame.pts for frame in frames if frame.is_keyframe], time_base),
            end_ns=int(pts_ns[-1]) + duration_ns,
            claimed_frame_count=stream.frames or None,
            audio=tuple(_audio_facts(container)),
        )


def video_id(uri: str) -> str:
    """16 hex digits from the file's size and 16 blocks spread over its bytes: the same under any name, cheap on remote storage.

    Raises:
        VideoError: the file cannot be read.
    """
    return _identity(uri)[0]


@dataclass(frozen=True, slots=True)
class _FramePacket:
    pts: int
    duration: int
    is_keyframe: bool
    rotation: int


def _displayed(container: av.container.InputContainer, stream: av.video.VideoStream, uri: str) -> list[_FramePacket]:
    """The packets that become displayed frames, in order of presentation."""
    if container.format.name == "avi" and stream.codec_context.has_b_frames and stream.codec_context.codec.canonical_name in CODECS_THAT_HIDE_ORDER:
        raise VideoError(FailureKind.UNSUPPORTED, f"{uri} is an AVI with B-frames, which say nothing about their times: convert it, ffmpeg -i IN OUT.mp4")
    frames: dict[int, _FramePacket] = {}
    first_keyframe: int | None = None
    rotation = 0
    for packet in _whole_packets(container, stream):
        if packet.pts is None:
            raise VideoError(FailureKind.UNSUPPORTED, f"{uri} has frames without times: give it times by converting it: ffmpeg -i IN OUT.mp4")
        if first_keyframe is None:
            if not packet.is_keyframe:
                continue
            first_keyframe = packet.pts
            rotation = _clockwise(stream, packet)
        if not packet.is_discard and packet.pts >= first_keyframe:
            frames.setdefault(packet.pts, _FramePacket(packet.pts, packet.duration or 0, packet.is_keyframe, rotation))
    if not frames:
        raise VideoError(FailureKind.DAMAGED, f"{uri} has a video stream without a single frame that can be shown: fetch it again")
    return [frames[pts] for pts in sorted(frames)]


def _whole_packets(container: av.container.InputContainer, stream: av.video.VideoStream) -> "Iterator[av.Packet[av.video.VideoStream]]":
    """The stream's packets, without the flush packet and without a last one that a truncated file cuts short."""
    held = None
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if held is not None:
            yield held
        held = packet
    if held is not None and not held.is_corrupt:
        yield held


def _clockwise(stream: av.video.VideoStream, keyframe: "av.Packet[av.video.VideoStream]") -> int:
    """Clockwise degrees for display, to the next quarter turn. The copy of the packet is free of the flag that an edit list hides it with."""
    copy = cast("av.Packet[av.video.VideoStream]", av.Packet(bytes(keyframe)))
    try:
        pictures = [*stream.codec_context.decode(copy), *stream.codec_context.decode(None)]
    except av.error.InvalidDataError:
        return 0
    return round(-pictures[0].rotation / 90) * 90 % 360 if pictures else 0


def _square_pixels(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    if not aspect or abs(aspect - 1) < SQUARE_ENOUGH:
        return width, height
    return round(width * aspect), height


def _usual_step(pts_ns: NDArray[np.int64], rate: Fraction | None) -> int:
    """What the last frame lasts when the container does not say."""
    if len(pts_ns) > 1:
        return int(np.median(np.diff(pts_ns)))
    return round(SECOND / rate) if rate else SECOND // 25


def _audio_facts(container: av.container.InputContainer) -> Iterator[AudioFacts]:
    for stream in container.streams.audio:
        context = stream.codec_context
        if context is not None:
            yield AudioFacts(context.codec.canonical_name, context.sample_rate, context.channels)


def _identity(uri: str) -> tuple[str, int]:
    with translated(uri):
        system, path = file_system(uri)
        if system.isdir(path):
            raise IsADirectoryError(path)
        size = int(system.size(path) or 0)
        starts = [int(start) for start in np.linspace(0, max(0, size - HASHED_BYTES), HASHED_BLOCKS)] if size > HASHED_BYTES else [0]
        ends = [min(size, start + HASHED_BYTES) for start in starts]
        blocks = system.cat_ranges([path] * len(starts), starts, ends, on_error="raise")
        digest = hashlib.blake2b(size.to_bytes(8, "big"), digest_size=8)
        for block in blocks:
            digest.update(block)
        return digest.hexdigest(), size
