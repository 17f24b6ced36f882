"""Tars and samples as others make them."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import soundfile


def write_tar(path: Path, files: Mapping[str, bytes], tar_format: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tar_format) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def movie(frames: int = 7, width: int = 64, height: int = 48, rate: int = 8, sound_hertz: int | None = None, container: str = "mp4") -> bytes:
    """A video with B-frames; with a tone, when asked."""
    file = io.BytesIO()
    with av.open(file, "w", container) as output:
        video = output.add_stream("libx264", rate=rate, options={"bf": "2", "preset": "ultrafast", "x264-params": "b-adapt=0"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = output.add_stream("aac", rate=44_100) if sound_hertz else None
        for number in range(frames):
            picture = np.full((height, width, 3), 20 * number % 255, np.uint8)
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        output.mux(video.encode(None))
        if audio is not None and sound_hertz is not None:
            samples = tone(sound_hertz, frames / rate, 44_100)[None].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, "fltp", "mono")
            frame.sample_rate = 44_100
            output.mux(audio.encode(frame))
            output.mux(audio.encode(None))
    return file.getvalue()


def tone(hertz: float, seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


def sound_file(hertz: float, seconds: float, rate: int, kind: str, channels: int = 1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.repeat(tone(hertz, seconds, rate)[:, None], channels, axis=1), rate, format=kind)
    return file.getvalue()


def pitch(samples: np.ndarray, rate: int) -> float:
    """The loudest frequency."""
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * rate / len(samples)
