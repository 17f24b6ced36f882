"""The video file, written chunk by chunk, cut back to any chunk's end, and made an MP4 at the end without coding a picture again.

Each chunk is coded by an encoder that has seen nothing else, into H.264's byte stream format (ITU-T H.264, Annex B): with its parameter sets in front and
a closed group of pictures it can stand behind any other, so the file grows by appending, plays while it grows (``mpv OUT.partial.h264``), and may be cut at a
chunk's end and gone on with; the same frames then give the same bytes. No B-frames: order of coding is order of showing. One thread, BT.709 in limited
range, and tagged so. No macroblock tree: with it, 3 encodings of 960 gave other bytes for the same frames, on one thread too; without it, none of 960.
"""

import os
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av
import numpy as np
from av.container import InputContainer, OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from torch import Tensor

from model.audio.protocols import SAMPLE_RATE
from model.disk import disk_error
from model.errors import ModelInputError
from model.generate.options import RecordingOptions

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.BITEXACT
_BT709 = 1
"""Code point of BT.709 for primaries, transfer and matrix alike (ITU-T H.273)."""
_AAC_FRAME = 1024
"""Samples that one AAC packet codes."""
PARTIAL, TEMPORARY = ".partial.h264", ".unfinished.mp4"
"""What the name of the video ends in while it grows, and while it is made an MP4."""


class Sound(Protocol):
    """A waveform of SAMPLE_RATE that is read in parts."""

    def read(self, start: int, count: int) -> Tensor:
        """(count,) float samples from a sample on; zeros before its beginning and behind its end."""


class Recording:
    """A video that grows. A context manager: leaving it closes the file that grows, and keeps it if there is something in it.

    Attributes:
        path: the file that grows, beside the video that it will be.
        bytes_written: its length, all of it safely on the disk.
    """

    def __init__(self, out: Path, width: int, height: int, rate: Fraction, options: RecordingOptions | None = None) -> None:
        """Open the file that grows, at its end if it is there already.

        Args:
            out: the video to be made.
            width, height: pixels of every frame, even.
            rate: frames per second.
            options: quality.

        Raises:
            ModelInputError: odd sides, or a file that cannot be written.
        """
        if width % 2 or height % 2:
            raise ModelInputError(f"H.264 needs even sides, not {width}x{height}; choose another width and height")
        self._shape, self._rate, self._options = (height, width, 3), rate, options or RecordingOptions()
        self.path = out.with_name(out.name + PARTIAL)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)  # with a buffer, what a full disk did not take would be written again when it is closed
        except OSError as error:
            raise ModelInputError(f"{self.path} cannot be written ({error.strerror}); choose another --out") from error
        self.bytes_written = self._file.seek(0, os.SEEK_END)

    def append(self, frames: Tensor) -> None:
        """Code frames and write them to the disk.

        Args:
            frames: (T, H, W, 3) uint8, on the CPU.

        Raises:
            ModelInputError: the disk is full, or cannot be written any more.
        """
        if tuple(frames.shape[1:]) != self._shape or not len(frames):
            raise ValueError(f"frames of this recording are (T, {', '.join(map(str, self._shape))}), not {tuple(frames.shape)}")
        content = memoryview(self._coded(frames.numpy()))
        try:
            while content:
                content = content[self._file.write(content) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise disk_error(self.path, error) from error
        self.bytes_written = self._file.tell()

    def truncate(self, length: int) -> None:
        """Cut back to what had been written when some chunk was done.

        Raises:
            ModelInputError: the file is shorter than that, or cannot be written any more.
        """
        if length and not self.bytes_written:
            raise ModelInputError(f"{self.path}, in which the video grew, is gone, so the video cannot be gone on with; begin anew with --restart")
        if length > self.bytes_written:
            raise ModelInputError(f"{self.path} has {self.bytes_written} bytes where {length} were written; begin anew with --restart")
        try:
            self._file.truncate(length)
            self._file.seek(length)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise disk_error(self.path, error) from error
        self.bytes_written = length

    def finish(self, out: Path, audio: Sound | None = None) -> int:
        """Make the MP4: the same pictures, frame n shown at exactly n / rate, the sound as long as they are. It appears under its name when it is whole.

        The file that grows is left; remove it with ``discard`` when the video is there.

        Returns:
            Number of frames.

        Raises:
            ModelInputError: nothing was recorded, or the file cannot be written.
        """
        if not self.bytes_written:
            raise ModelInputError(f"{self.path} holds no frame yet; generate a chunk first")
        temporary = out.with_name(out.name + TEMPORARY)
        movie = lcm(self._rate.numerator, SAMPLE_RATE)  # ticks of the file's edit list: whole ones for pictures and sound
        options = {"movflags": "+faststart", "fflags": "+bitexact", "movie_timescale": str(movie)}
        try:
            with av.open(str(self.path), "r", format="h264") as source, av.open(str(temporary), "w", format="mp4", options=options) as target:
                count = self._remux(source, target, audio)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(out)
        except OSError as error:
            raise ModelInputError(f"{out} cannot be written ({error.strerror}); make room, or choose another --out") from error
        finally:
            temporary.unlink(missing_ok=True)
        return count

    def discard(self) -> None:
        """Close and remove the file that grows."""
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file that grows, and remove it when nothing is in it; calling it twice is fine."""
        if self._file.closed:
            return
        self._file.close()
        if not self.bytes_written:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _coded(self, frames: np.ndarray) -> bytes:
        encoder = self._encoder()
        reformatter = VideoReformatter()
        packets: list[bytes] = []
        for number, rgb in enumerate(frames):
            picture = reformatter.reformat(
                av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24"),
                format="yuv420p",
                interpolation=_EXACT,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                dst_color_trc=ColorTrc.BT709,
                dst_color_primaries=ColorPrimaries.BT709,
            )
            picture.pts, picture.time_base, picture.duration = number, 1 / self._rate, 1
            packets += map(bytes, encoder.encode(picture))
        packets += map(bytes, encoder.encode(None))
        return b"".join(packets)

    def _encoder(self) -> av.VideoCodecContext:
        encoder = av.CodecContext.create("libx264", "w")
        (encoder.height, encoder.width, _), encoder.pix_fmt = self._shape, "yuv420p"
        encoder.time_base, encoder.framerate = 1 / self._rate, self._rate
        interval = self._options.keyframe_interval
        encoder.thread_count, encoder.max_b_frames, encoder.gop_size = 1, 0, interval
        encoder.colorspace = encoder.color_primaries = encoder.color_trc = _BT709
        encoder.color_range = int(ColorRange.MPEG)
        # Macroblock trees make libx264 give other bytes for the same frames now and then, also on one thread: 3 encodings of 960 did, none of 960 without.
        x264 = f"threads=1:scenecut=0:keyint={interval}:min-keyint={interval}:open-gop=0:mbtree=0:rc-lookahead=0"
        encoder.options = {"crf": str(self._options.crf), "preset": self._options.preset, "x264-params": x264}
        return encoder

    def _remux(self, source: InputContainer, target: OutputContainer, audio: Sound | None) -> int:
        """Copy the pictures and code the sound beside them, so that neither waits in memory for the other; gives the number of pictures."""
        pictures = source.streams.video[0]
        video = target.add_stream_from_template(pictures)
        video.time_base = 1 / self._rate
        sound = _SoundTrack(target, audio, self._options.audio_bits) if audio is not None else None
        count = 0
        for packet in source.demux(pictures):
            if not packet.size:
                continue
            packet.stream, packet.time_base = video, 1 / self._rate
            packet.pts = packet.dts = count
            packet.duration = 1
            target.mux(packet)
            count += 1
            if sound is not None:
                sound.reach(count / self._rate)
        if sound is not None:
            sound.end()
        return count


class _SoundTrack:
    """The sound beside the pictures, coded as far as they go."""

    def __init__(self, target: OutputContainer, audio: Sound, bits: int) -> None:
        self._target, self._audio = target, audio
        self._stream = target.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        self._stream.bit_rate = bits
        self._stream.time_base = Fraction(1, SAMPLE_RATE)
        self._coded = self._wanted = 0

    def reach(self, end: Fraction) -> None:
        """Code what is heard up to a time in seconds, in whole packets."""
        self._wanted = int(end * SAMPLE_RATE)
        while self._wanted - self._coded >= _AAC_FRAME:
            self._code(_AAC_FRAME)

    def end(self) -> None:
        """Code the rest."""
        if self._wanted > self._coded:
            self._code(self._wanted - self._coded)
        self._target.mux(self._stream.encode(None))

    def _code(self, count: int) -> None:
        samples = self._audio.read(self._coded, count).float().clamp(-1, 1).numpy()
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._coded, Fraction(1, SAMPLE_RATE)
        self._target.mux(self._stream.encode(frame))
        self._coded += count
