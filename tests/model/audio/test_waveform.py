"""The sound of files, tried with tones whose samples are known."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from model.audio.waveform import Waveform
from model.errors import ModelInputError

SECONDS = 3


def tone(rate: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """440 Hz, louder and louder."""
    time = np.arange(SECONDS * rate) / rate
    return 0.25 * (time / SECONDS) * np.sin(2 * np.pi * 440 * time)


def write_sound(path: Path, rate: int, codec: str) -> Path:
    """The tone at twice its loudness at the left, none at the right: the mean is the tone."""
    samples = np.stack([2 * tone(rate), 0 * tone(rate)])
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        for first in range(0, samples.shape[1], 4096):
            block = np.round(samples[:, first : first + 4096] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="s16p", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_mute_video(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=16)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 32
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(scope="module")
def flac(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sound(tmp_path_factory.mktemp("sound") / "tone.flac", 44_100, "flac")


@pytest.fixture
def waveform(flac: Path, tmp_path: Path) -> Waveform:
    return Waveform.open(flac, tmp_path)


def test_sound_comes_as_16_khz_mono(waveform: Waveform) -> None:
    assert abs(waveform.samples - SECONDS * 16_000) <= 2
    assert waveform.seconds == waveform.samples / 16_000
    sound = waveform.read(0, waveform.samples)
    assert sound.dtype == torch.float32
    expected = torch.from_numpy(tone(16_000))[: waveform.samples]
    assert (sound[100:-100] - expected[100 : len(sound) - 100]).abs().max() < 2e-3


def test_what_is_16_khz_mono_already_comes_sample_by_sample(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).integers(-32768, 32767, (1, 20_000), dtype=np.int16)
    with av.open(str(tmp_path / "x.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Waveform.open(tmp_path / "x.wav") as waveform:
        assert torch.equal(waveform.read(0, 20_000), torch.from_numpy(samples[0].astype(np.float32) / 32768))


@pytest.mark.parametrize(("name", "codec"), [("x.mp3", "libmp3lame"), ("x.m4a", "aac"), ("x.mkv", "libopus")])
def test_any_codec_is_read(tmp_path: Path, name: str, codec: str) -> None:
    with Waveform.open(write_sound(tmp_path / name, 48_000, codec), tmp_path) as waveform:
        assert abs(waveform.seconds - SECONDS) < 0.1
        sound = waveform.read(32_000, 8000)
        strength = torch.fft.rfft(sound * torch.hann_window(8000)).abs()
        assert int(strength.argmax()) == 220  # bins of 2 Hz


def test_parts_are_those_of_the_whole_and_zeros_lie_outside(waveform: Waveform) -> None:
    end = waveform.samples
    whole = waveform.read(0, end)
    assert torch.equal(waveform.read(12_345, 678), whole[12_345:13_023])
    assert torch.equal(waveform.read(-100, 300), torch.cat([torch.zeros(100), whole[:200]]))
    assert torch.equal(waveform.read(end - 50, 90), torch.cat([whole[-50:], torch.zeros(40)]))
    for start, count in ((end, 10), (end + 99, 10), (-50, 20), (-10, 10), (5, 0)):
        assert torch.equal(waveform.read(start, count), torch.zeros(count))
    assert len(waveform.read(-10, end + 20)) == end + 20


def test_no_file_is_left(flac: Path, tmp_path: Path) -> None:
    with Waveform.open(flac, tmp_path) as waveform:
        waveform.read(0, 9)
    waveform.close()
    assert list(tmp_path.iterdir()) == []


def test_files_without_sound_are_told(tmp_path: Path, flac: Path) -> None:
    with pytest.raises(ModelInputError, match=r"there is no audio file .*none\.wav"):
        Waveform.open(tmp_path / "none.wav", tmp_path)
    with pytest.raises(ModelInputError, match=r"mute\.mp4 has no audio stream"):
        Waveform.open(write_mute_video(tmp_path / "mute.mp4"), tmp_path)
    (tmp_path / "text.wav").write_text("no sound at all")
    with pytest.raises(ModelInputError, match=r"text\.wav cannot be decoded \(.+\); convert it"):
        Waveform.open(tmp_path / "text.wav", tmp_path)
    with av.open(str(tmp_path / "empty.wav"), "w") as container:
        container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        container.start_encoding()
    with pytest.raises(ModelInputError, match=r"empty\.wav is empty"):
        Waveform.open(tmp_path / "empty.wav", tmp_path)
    noise = bytearray(flac.read_bytes())
    noise[len(noise) // 2 :] = np.random.default_rng(0).bytes(len(noise) - len(noise) // 2)
    (tmp_path / "broken.flac").write_bytes(noise)
    with pytest.raises(ModelInputError, match=r"broken\.flac cannot be decoded"):
        Waveform.open(tmp_path / "broken.flac", tmp_path)
