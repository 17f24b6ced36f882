"""Sound whose time is known: short bursts of a tone whose centre of energy is measured."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from pipeline.pack.audio import AudioReader, encode_flac
from pipeline.video.container import VideoError
from tests.barcode import Kind, write_video

MILLISECOND = 1e-3
SECONDS = 12


def bursts(rate: int) -> NDArray[np.float32]:
    """A burst of 1 kHz, 2 ms wide, loudest 0.25 s after each full second; 0.8 of full scale."""
    since = (np.arange(SECONDS * rate) / rate) % 1 - 0.25
    return (0.8 * np.exp(-0.5 * (since / 0.002) ** 2) * np.cos(2 * np.pi * 1000 * since)).astype(np.float32)


def write_sound(path: Path, codec: str, rate: int = 48_000, layout: str = "stereo", gap: tuple[float, float] | None = None) -> Path:
    """The bursts in a file; the samples within a gap (seconds) are not written, and times go on behind it."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        stream.codec_context.open()
        block = stream.codec_context.frame_size or 1024
        samples = np.stack([bursts(rate)] * len(stream.codec_context.layout.channels))
        resampler = av.AudioResampler(format=stream.codec_context.format.name, layout=layout, rate=rate)
        for first in range(0, samples.shape[1] - block, block):
            if gap and gap[0] <= first / rate < gap[1]:
                continue
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[:, first : first + block]), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            for part in resampler.resample(frame):
                part.pts, part.time_base = first, Fraction(1, rate)
                container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


def burst_errors(samples: NDArray[np.int16], start: float) -> list[float]:
    """How late each burst wholly within the samples is, in seconds, by its centre of energy."""
    times = start + np.arange(len(samples)) / 16_000
    energy = samples.astype(np.float64) ** 2
    errors = []
    for centre in np.arange(SECONDS) + 0.25:
        near = np.abs(times - centre) < 0.05
        if near.sum() >= 1599 and energy[near].sum() > 1e8:
            errors.append(float((times[near] * energy[near]).sum() / energy[near].sum() - centre))
    return errors


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("sound.mp4", "aac", 48_000, "stereo"),
        ("sound.mp4", "aac", 44_100, "mono"),
        ("sound.mp4", "libmp3lame", 48_000, "stereo"),
        ("sound.mkv", "libopus", 48_000, "stereo"),
        ("sound.mkv", "aac", 48_000, "stereo"),
        ("sound.mkv", "pcm_s16le", 22_050, "stereo"),
        ("sound.wav", "pcm_s16le", 11_025, "mono"),
        ("sound.mkv", "aac", 48_000, "5.1"),
    ],
)
def test_sound_lands_at_its_sample_wherever_the_span_starts(tmp_path: Path, name: str, codec: str, rate: int, layout: str) -> None:
    path = write_sound(tmp_path / name, codec, rate, layout)
    with AudioReader(str(path)) as reader:
        for start in (0.0, 3.1, 0.987654321, 8.0, 3.1):
            samples = reader.read(round(start * 1e9), 48_000)
            assert samples is not None
            assert samples.shape == (48_000,)
            assert samples.dtype == np.int16
            errors = burst_errors(samples, start)
            assert len(errors) == 3
            assert max(map(abs, errors)) < MILLISECOND


def test_two_equal_channels_are_neither_louder_nor_clipped(tmp_path: Path) -> None:
    with AudioReader(str(write_sound(tmp_path / "sound.wav", "pcm_s16le"))) as reader:
        samples = reader.read(0, 16_000)
    assert samples is not None
    assert np.abs(samples).max() == pytest.approx(0.8 * 32768, rel=0.01)


def test_gaps_are_silence_and_what_follows_stays_in_its_place(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.mkv", "pcm_s16le", gap=(2.0, 4.5))
    with AudioReader(str(path)) as reader:
        samples = reader.read(round(1.1e9), 6 * 16_000)
        assert samples is not None
        errors = burst_errors(samples, 1.1)
        assert len(errors) == 3  # at 1.25, 5.25 and 6.25; those at 2.25 to 4.25 lie in the gap
        assert max(map(abs, errors)) < MILLISECOND
        assert not samples[round((2.1 - 1.1) * 16_000) : round((4.4 - 1.1) * 16_000)].any()


def test_a_span_beyond_the_sound_is_silent_at_its_edges_and_none_outside(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.wav", "pcm_s16le")
    with AudioReader(str(path)) as reader:
        before = reader.read(-1_000_000_000, 2 * 16_000)
        assert before is not None
        assert not before[: 16_000 - 16].any()
        assert len(burst_errors(before, -1.0)) == 1
        assert reader.read(30_000_000_000, 16_000) is None
        assert reader.read(-5_000_000_000, 16_000) is None


def test_a_video_without_sound_has_none(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", Kind.CONSTANT, frames=10)
    with AudioReader(str(video.path)) as reader:
        assert reader.read(0, 100) is None


def test_packets_that_cannot_be_decoded_are_silence(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.mp4", "aac")
    content = bytearray(path.read_bytes())
    begin = content.index(b"mdat") + 4
    middle = begin + (len(content) - begin) // 3
    content[middle : middle + 3000] = bytes(np.random.default_rng(0).integers(0, 256, 3000, dtype=np.uint8))
    path.write_bytes(content)
    with AudioReader(str(path)) as reader:
        samples = reader.read(round(8.1e9), 2 * 16_000)
    assert samples is not None
    assert max(map(abs, burst_errors(samples, 8.1))) < MILLISECOND


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"missing\.mp4"):
        AudioReader(str(tmp_path / "missing.mp4"))


def test_remote_files_are_read_too(tmp_path: Path) -> None:
    import fsspec

    path = write_sound(tmp_path / "sound.mp4", "aac")
    with fsspec.open("memory://audio/sound.mp4", "wb") as file:
        file.write(path.read_bytes())
    with AudioReader("memory://audio/sound.mp4") as reader:
        samples = reader.read(round(3.1e9), 16_000)
    assert samples is not None
    assert max(map(abs, burst_errors(samples, 3.1))) < MILLISECOND


def test_flac_gives_the_samples_back() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32768, 12_345, dtype=np.int16)
    content = encode_flac(samples)
    found, rate = soundfile.read(io.BytesIO(content), dtype="int16")
    assert rate == 16_000
    assert np.array_equal(found, samples)
    assert encode_flac(samples) == content
