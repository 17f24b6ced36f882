"""The sound of a span of a video: 16 kHz mono, placed by presentation time to the sample.

What the source says about its sound's time is believed: a stream that starts later or earlier than the picture, priming that an edit
list hides, gaps. Where there is nothing, there is silence.
"""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from types import TracebackType
from typing import Self, cast

import av
import av.audio
import av.container
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
"""How long before the span decoding starts, for codecs need some time to settle (Opus 80 ms, MP3 its bit reservoir); the longer ones when a file
was not to be entered so late."""


class AudioReader:
    """The first audio stream of a video, read span by span. A context manager: leaving it closes the file.

    Each span is decoded by a decoder that has seen nothing else. Flushing one is not enough: AAC's noise substitution draws from a
    generator that goes on, and the same span would differ in its last bit with what was read before.
    """

    def __init__(self, uri: str) -> None:
        """Open the file.

        Args:
            uri: local path or any fsspec URL.

        Raises:
            VideoError: it cannot be opened.
        """
        self._uri = uri
        self._path = storage.local_path(uri)
        self._file = storage.open_read(uri) if self._path is None else None
        with self._opened() as container:
            self._has_sound = _first_stream(container) is not None

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
        if not self._has_sound:
            return None
        for preroll in PREROLL_SECONDS:
            with self._opened() as container:
                stream = cast(av.audio.AudioStream, _first_stream(container))
                line = _Timeline(start_ns - to_ns(MARGIN, Fraction(1, AUDIO_RATE)), count + 2 * MARGIN, stream.codec_context.sample_rate)
                begin_ns = max(line.start_ns - round(preroll * SECOND), to_ns(stream.start_time or 0, cast(Fraction, stream.time_base)))
                first_ns = line.fill(_frames(container, stream, begin_ns, line.end_ns))
            if first_ns is not None and (first_ns <= line.start_ns or begin_ns > line.start_ns - round(preroll * SECOND)):
                break
        return _as_int16(line.resampled()[MARGIN : MARGIN + count]) if line.has_sound(MARGIN, MARGIN + count) else None

    def close(self) -> None:
        """Close the file; calling it twice is fine."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def _opened(self) -> Iterator[av.container.InputContainer]:
        with translated(self._uri):
            if self._file is not None:
                self._file.seek(0)
            with av.open(self._file or str(self._path), "r", metadata_errors="replace") as container:
                yield container


def _first_stream(container: av.container.InputContainer) -> av.audio.AudioStream | None:
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def _frames(container: av.container.InputContainer, stream: av.audio.AudioStream, begin_ns: int, end_ns: int) -> Iterator[av.AudioFrame]:
    """Decoded frames from about one time to another."""
    container.seek(to_ticks(begin_ns, cast(Fraction, stream.time_base)), stream=stream)
    for packet in container.demux(stream):
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

    def fill(self, frames: Iterable[av.AudioFrame]) -> int | None:
        """Take all frames; gives the time of the first."""
        first_ns = None
        for frame in frames:
            first_ns = _time_ns(frame) if first_ns is None else first_ns
            self._add(frame)
        self._place_run()
        return first_ns

    def _add(self, frame: av.AudioFrame) -> None:
        """Take the next frame: part of the current run when its time is as near to the run's end as the container can tell, else the first of a new one."""
        at = to_ticks(_time_ns(frame) - self.start_ns, Fraction(1, self.rate))
        tolerance = self.rate * (cast(Fraction, frame.time_base) + Fraction(1, 2000))
        if self._run and abs(at - self._run_length - self._run_starts[0]) > tolerance:
            self._place_run()
        self._run_starts.append(at - self._run_length)
        for part in self._mixed(frame):
            self._run.append(part.to_ndarray()[0])
            self._run_length += len(self._run[-1])

    def _place_run(self) -> None:
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
