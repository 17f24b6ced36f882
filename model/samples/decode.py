"""The files of a shard sample as numbers: pixels of the size they are trained at, sound as a waveform. One thread: who reads samples has many processes."""

import io
from collections.abc import Iterator
from typing import cast

import av
import av.audio
import av.error
import numpy as np
from av.container import InputContainer
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from model.audio.protocols import SAMPLE_RATE
from model.samples.size import covering_size
from schemas.sample import SampleError

SCALED = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.BITEXACT
"""Without FULL_CHR_H_INT and ACCURATE_RND a scaled picture comes out two levels too dark."""
UNSCALED = Interpolation.BICUBIC
"""Where only the colours are converted, FFmpeg has a way that is twenty times faster, which the exact one would forbid: decoding would take twice as long."""


def decode_video(
    mp4: bytes, first_frame: int, frames: int, width: int, height: int, name: str = "the clip", out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Consecutive frames of a clip, scaled to cover a size and cropped about their middle.

    Args:
        mp4: the file.
        first_frame: number of the first, in the order of presentation, from 0.
        frames: how many.
        width, height: of the result, in pixels.
        name: what messages call the file: its key.
        out: where to put the frames; new memory when None.

    Returns:
        (frames, height, width, 3) RGB.

    Raises:
        SampleError: the file cannot be decoded, or has fewer frames.
    """
    pixels = np.empty((frames, height, width, 3), np.uint8) if out is None else out
    scaler = VideoReformatter()
    count = 0
    try:
        with av.open(io.BytesIO(mp4), "r", metadata_errors="replace") as container:
            for frame in _frames(container, first_frame, frames, name):
                pixels[count] = _scaled(frame, scaler, width, height)
                count += 1
    except (av.error.FFmpegError, IndexError) as error:
        raise SampleError(f"{name}: the video cannot be decoded: {error}") from error
    if count < frames:
        raise SampleError(f"{name}: the video cannot be decoded to its end: of {frames} frames from number {first_frame} on, {count} came")
    return pixels


def decode_picture(picture: bytes, width: int, height: int, name: str = "the picture") -> NDArray[np.uint8]:
    """A picture, scaled to cover a size and cropped about its middle: (height, width, 3) RGB.

    Raises:
        SampleError: it cannot be decoded; ``name`` is what the message calls it.
    """
    try:
        with Image.open(io.BytesIO(picture)) as image:
            rgb = image.convert("RGB")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise SampleError(f"{name}: the picture cannot be decoded: {error}") from error
    return _cropped(np.asarray(rgb.resize(covering_size(*rgb.size, width, height), Image.Resampling.BICUBIC)), width, height)


def decode_audio(sound: bytes, name: str = "the sound") -> NDArray[np.float32]:
    """The sound of a file, mixed to mono and resampled to 16 kHz where it is something else: (samples,) in -1..1.

    Raises:
        SampleError: it cannot be decoded, or there is none; ``name`` is what the message calls it.
    """
    try:
        with av.open(io.BytesIO(sound), "r", metadata_errors="replace") as container:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            parts = [part.to_ndarray()[0] for frame in _sound_frames(container) for part in resampler.resample(frame)]
    except (av.error.FFmpegError, IndexError) as error:
        raise SampleError(f"{name}: the sound cannot be decoded: {error}") from error
    if not parts:
        raise SampleError(f"{name}: the sound cannot be decoded: the file is empty")
    return cast(NDArray[np.float32], np.concatenate(parts))


def _frames(container: InputContainer, first: int, count: int, name: str) -> Iterator[av.VideoFrame]:
    """Frames first .. first + count of the first video stream: what comes before the key frame that they need is not decoded."""
    stream = container.streams.video[0]
    stream.thread_count = 1
    packets = [packet for packet in container.demux(stream) if packet.size]
    shown = sorted(packet.pts for packet in packets if packet.pts is not None and not packet.is_discard)
    if len(shown) < first + count:
        raise SampleError(f"{name}: the video has {len(shown)} frames, not {first + count}; its end is missing, or its shard's index is of another file")
    start, end = shown[first], shown[first + count - 1]
    entry = max((number for number, packet in enumerate(packets) if packet.is_keyframe and packet.pts is not None and packet.pts <= start), default=0)
    left = count
    for packet in [*packets[entry:], None]:
        for frame in stream.codec_context.decode(packet):
            if frame.pts is not None and start <= frame.pts <= end:
                yield frame
                left -= 1
        if not left:
            return


def _scaled(frame: av.VideoFrame, scaler: VideoReformatter, width: int, height: int) -> NDArray[np.uint8]:
    """A frame, upright, scaled and cropped."""
    turns = round(frame.rotation / 90) % 4
    shown_width, shown_height = (frame.height, frame.width) if turns % 2 else (frame.width, frame.height)
    across, down = covering_size(shown_width, shown_height, width, height)
    if turns % 2:
        across, down = down, across
    interpolation = UNSCALED if (across, down) == (frame.width, frame.height) else SCALED
    scaled = scaler.reformat(frame, width=across, height=down, format="rgb24", interpolation=interpolation, threads=1)
    return _cropped(np.rot90(cast(NDArray[np.uint8], scaled.to_ndarray()), turns), width, height)


def _cropped(rgb: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    left, top = (rgb.shape[1] - width) // 2, (rgb.shape[0] - height) // 2
    return rgb[top : top + height, left : left + width]


def _sound_frames(container: InputContainer) -> Iterator[av.AudioFrame | None]:
    """Frames of the first audio stream, and None behind the last one: what the resampler still holds."""
    for frame in container.decode(container.streams.audio[0]):
        frame.pts = None  # the samples follow each other; the resampler would fill gaps
        yield frame
    yield None
