"""The sound of a span of a video: 16 kHz mono, placed by presentation time to the sample.

What the source says about its sound's time is believed: a stream that starts later or earlier than the picture, priming that an edit
list hides, gaps. Where there is nothing, there is silence.
"""

import io
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from types import TracebackType
from typing import Self, cast

import av
import av.audio
import av.error
import numpy as np
import soundfile
from numpy.typing import NDArray

from pipeline import storage
from pipeline.video.clock import SECOND, to_ns, to_ticks
from pipeline.video.container import translated
from schemas.sample import AUDIO_RATE

MARGIN = 2560
"""Output samples (160 ms) read around the span, so that the resampling filter sees what is there; a whole number of samples of every usual rate."""

PREROLL_SECONDS = (0.5, 8.0, 64.0)
"""How long before the span decoding starts: codecs need some to settle (Opus 80 ms, MP3 its bit reservoir), and some files seek too far."""


class AudioReader:
    """The first audio stream of a video, opened once for many spans. A context manager: leaving it closes the file."""

    def __init__(self, uri: str) -> None:
        """Open the file.

        Args:
            uri: local path or any fsspec URL.

        Raises:
            VideoError: it cannot be opened.
        """
        self._uri = uri
        self._resources = ExitStack()
        with translated(uri):
            path = storage.local_path(uri)
            source = str(path) if path is not None else self._resources.enter_context(storage.open_read(uri))
            self._container = self._resources.enter_context(av.open(source, "r", metadata_errors="replace"))
        streams = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        self._stream: av.audio.AudioStream | None = streams[0] if streams else None

    def read(self, start_ns: int, count: int) -> NDArray[np.int16] | None:
        """The samples of a span; None when the source has no sound in it.

        Args:
            start_ns: presentation time of the first sample.
            count: samples, at 16 kHz.

        Returns:
            (count,) int16.

        Raises:
            VideoError: the storage or the container gave up. Single packets that cannot be decoded are silence.
        """
        if self._stream is None:
            return None
        with translated(self._uri):
            line = _Timeline(start_ns - to_ns(MARGIN, Fraction(1, AUDIO_RATE)), count + 2 * MARGIN, self._stream.codec_context.sample_rate)
            for frame in self._frames(line.start_ns, line.end_ns):
                line.add(frame)
            line.finish()
        if not line.has_sound(MARGIN, MARGIN + count):
            return None
        return _as_int16(line.resampled()[MARGIN : MARGIN + count])

    def close(self) -> None:
        """Close the file; calling it twice is fine."""
        self._resources.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _frames(self, start_ns: int, end_ns: int) -> Iterator[av.AudioFrame]:
        """Decoded frames from before a time, where there are any, to another."""
        for preroll in PREROLL_SECONDS:
            seek_ns = start_ns - round(preroll * SECOND)
            frames = self._frames_from(seek_ns, end_ns)
            first = next(frames, None)
            if first is not None and (_time_ns(first) <= start_ns or seek_ns <= self._begin_ns or preroll == PREROLL_SECONDS[-1]):
                yield first
                yield from frames
                return

    @property
    def _begin_ns(self) -> int:
        stream = cast(av.audio.AudioStream, self._stream)
        return to_ns(stream.start_time or 0, cast(Fraction, stream.time_base))

    def _frames_from(self, seek_ns: int, end_ns: int) -> Iterator[av.AudioFrame]:
        stream = cast(av.audio.AudioStream, self._stream)
        self._container.seek(to_ticks(max(seek_ns, self._begin_ns), cast(Fraction, stream.time_base)), stream=stream)
        for packet in self._container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                if _time_ns(frame) >= end_ns:
                    return
                yield frame


class _Timeline:
    """Mono samples at the source's rate from start_ns on, silence where nothing was placed."""

    def __init__(self, start_ns: int, output_count: int, rate: int) -> None:
        self.start_ns = start_ns
        self.rate = rate
        self.end_ns = start_ns + to_ns(output_count, Fraction(1, AUDIO_RATE))
        self._output_count = output_count
        self._samples = np.zeros(-(-output_count * rate // AUDIO_RATE) + 1, np.float32)
        self._known = np.zeros(len(self._samples), np.bool_)
        self._run: list[NDArray[np.float32]] = []
        self._run_starts: list[int] = []
        self._run_length = 0
        self._mixer = _mixer(rate)

    def add(self, frame: av.AudioFrame) -> None:
        """Take the next frame: part of the current run when its time is as near to the run's end as the container can tell, else the first of a new one."""
        at = to_ticks(_time_ns(frame) - self.start_ns, Fraction(1, self.rate))
        tolerance = self.rate * (cast(Fraction, frame.time_base) + Fraction(1, 2000))
        if self._run and abs(at - self._run_length - self._run_starts[0]) > tolerance:
            self.finish()
        self._run_starts.append(at - self._run_length)
        for part in self._mixed(frame):
            self._run.append(part.to_ndarray()[0])
            self._run_length += len(self._run[-1])

    def finish(self) -> None:
        """Place the run. Each of its frames says where it starts, rounded to the container's clock: the median of them is nearest to the truth."""
        if self._run:
            mono, at = np.concatenate(self._run), round(float(np.median(self._run_starts)))
            begin, end = max(at, 0), min(at + len(mono), len(self._samples))
            if begin < end:
                self._samples[begin:end] = mono[begin - at : end - at]
                self._known[begin:end] = True
        self._run, self._run_starts, self._run_length = [], [], 0

    def has_sound(self, first: int, last: int) -> bool:
        """Whether anything was placed within these output samples."""
        return bool(self._known[first * self.rate // AUDIO_RATE : last * self.rate // AUDIO_RATE].any())

    def resampled(self) -> NDArray[np.float32]:
        """(output_count,) at 16 kHz."""
        frame = av.AudioFrame.from_ndarray(self._samples[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = self.rate, 0
        resampler = av.AudioResampler(format="flt", layout="mono", rate=AUDIO_RATE)
        parts = [part.to_ndarray()[0] for part in [*resampler.resample(frame), *resampler.resample(None)]]
        output = np.concatenate(parts)[: self._output_count]
        return np.pad(output, (0, self._output_count - len(output)))

    def _mixed(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        frame.pts = None  # the mixer would make up for gaps by itself
        try:
            return self._mixer.resample(frame)
        except ValueError:  # the stream changed its layout or rate: the mixer takes one kind only
            self._mixer = _mixer(self.rate)
            return self._mixer.resample(frame)


def encode_flac(samples: NDArray[np.int16]) -> bytes:
    """FLAC, 16 bits, of (N,) mono samples at 16 kHz; the same bytes for the same samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, AUDIO_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _mixer(rate: int) -> av.AudioResampler:
    return av.AudioResampler(format="flt", layout="mono", rate=rate, options={"rematrix_maxval": "1.0"})


def _time_ns(frame: av.AudioFrame) -> int:
    return to_ns(cast(int, frame.pts), cast(Fraction, frame.time_base))


def _as_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)
