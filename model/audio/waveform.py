"""The sound of a file, whatever it is coded in, as 16 kHz mono that can be read anywhere without being held in memory."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import av
import av.audio
import av.error
import numpy as np
import torch
from torch import Tensor

from model.audio.protocols import SAMPLE_RATE
from model.errors import ModelInputError

BYTES = 2
"""Per sample: 16 bits."""


class Waveform:
    """Samples in a temporary file, 32 kB for each second. A context manager: leaving it deletes the file.

    Sound starts with the first sample that the decoder gives, wherever the file says that its picture starts.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Take over a file of 16-bit samples; see ``open``."""
        self._file = file
        self.samples = file.seek(0, 2) // BYTES

    @classmethod
    def open(cls, path: Path | str, folder: Path | str | None = None) -> Self:
        """Decode the first audio stream of a file.

        Args:
            path: any file that FFmpeg reads, also a video.
            folder: where the temporary file is made; where the system makes its own when None. It has no name, and is gone when the process is.

        Raises:
            ModelInputError: no such file, no sound in it, or it cannot be decoded.
        """
        if not Path(path).is_file():
            raise ModelInputError(f"there is no audio file {path}; give a file that exists")
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (the waveform closes it)
        try:
            for samples in _decoded(Path(path)):
                file.write(samples)
            file.flush()
            waveform = cls(file)
        except BaseException:
            file.close()
            raise
        if waveform.samples == 0:
            waveform.close()
            raise ModelInputError(f"the audio stream of {path} is empty; give a file with sound")
        return waveform

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.samples / SAMPLE_RATE

    def read(self, start_sample: int, count: int) -> Tensor:
        """Samples (count,), float32 in -1..1; zeros before the start and after the end."""
        first, end = max(0, min(start_sample, self.samples)), max(0, min(start_sample + count, self.samples))
        sound = torch.zeros(count)
        if first < end:
            self._file.seek(first * BYTES)
            found = np.frombuffer(self._file.read((end - first) * BYTES), dtype=np.int16)
            sound[first - start_sample : end - start_sample] = torch.from_numpy(found.astype(np.float32) / 32768)
        return sound

    def close(self) -> None:
        """Delete the temporary file; calling it twice is fine."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _decoded(path: Path) -> Iterator[bytes]:
    """16-bit samples, mono, SAMPLE_RATE, block by block."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            stream = next((stream for stream in container.streams.audio if stream.codec_context is not None), None)
            if stream is None:
                raise ModelInputError(f"{path} has no audio stream that can be read; give a file with sound")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            for frame in container.decode(stream):
                frame.pts = None  # the samples follow each other; the resampler would warn of times that do not
                yield from (part.to_ndarray().tobytes() for part in resampler.resample(frame))
            yield from (part.to_ndarray().tobytes() for part in resampler.resample(None))
    except av.error.FFmpegError as error:
        raise ModelInputError(f"the sound of {path} cannot be decoded ({error.strerror}); convert it, to FLAC for example") from error
