"""The log-mel spectrogram, against numpy's Fourier transform and mel filters written out."""

from pathlib import Path

import numpy as np
import pytest
import torch

from model.audio.log_mel import CENTRE, FLOOR, MOST_BANDS, SPREAD, LogMel, mel_filters
from model.audio.protocols import AudioFeatures
from model.component_config import write_config
from model.errors import ModelInputError


def drawn_sound(samples: int, seed: int = 0) -> torch.Tensor:
    """Noise whose loudness goes up and down, and a second without any."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(samples) / 16_000
    sound = torch.randn(samples, generator=generator) * 0.2 * torch.sin(2 * torch.pi * 0.7 * time) ** 4
    sound[16_000:32_000] = 0
    return sound.clamp(-1, 1)


def slaney_filters(bins: int) -> np.ndarray:
    """(bins, 321) triangles of equal area between 0 and 8000 Hz, as in Slaney's Auditory Toolbox: mels go with frequency up to 1000 Hz, which are 15 of them,
    then 27 are for each 6.4 times as high."""
    mels = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), bins + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    frequencies = np.linspace(0, 8000, 321)
    triangles = np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)).clip(min=0)
    return triangles * 2 / (high - low)


@pytest.mark.parametrize("bins", [1, 40, 80, MOST_BANDS])
def test_filters_are_slaneys_triangles(bins: int) -> None:
    np.testing.assert_allclose(mel_filters(bins).numpy(), slaney_filters(bins), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("samples", [16_000, 50_123, 320, 321, 1])
def test_vectors_are_those_of_an_independent_computation(samples: int) -> None:
    sound = drawn_sound(samples)
    count = -(-samples // 320)
    padded = np.zeros(160 + count * 320 + 160)
    padded[160 : 160 + samples] = sound.numpy()
    frames = np.stack([padded[i * 320 : i * 320 + 640] for i in range(count)]) * np.hanning(641)[:-1]
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = power @ slaney_filters(80).T
    expected = (np.log(np.maximum(mel, FLOOR)) - CENTRE) / SPREAD
    features: AudioFeatures = LogMel()
    found = features.extract(sound, 16_000)
    assert found.shape == (count, features.dim) == (count, 80)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_a_part_with_its_margin_gives_the_same_bits_as_the_whole(seed: int) -> None:
    features = LogMel()
    sound = drawn_sound(320 * 700 + 77, seed)
    whole = features.extract(sound, 16_000)
    margin = round(features.margin * 50)
    draw = np.random.default_rng(seed)
    for _ in range(30):
        first = int(draw.integers(0, 690))
        end = int(draw.integers(first + 1, min(first + 120, 702)))
        start = max(0, first - margin)
        part = features.extract(sound[start * 320 : (end + margin) * 320], 16_000)
        assert torch.equal(part[first - start : end - start], whole[first:end])


def test_silence_is_one_constant_vector_also_when_rounding_hisses() -> None:
    hiss = torch.randint(0, 2, (16_000,), generator=torch.Generator().manual_seed(1)) / 32768
    expected = torch.full((50, 80), -0.98)
    for silence in (torch.zeros(16_000), (hiss - hiss.mean())):
        torch.testing.assert_close(LogMel().extract(silence, 16_000), expected, rtol=0, atol=0.01)
    silence = LogMel().extract(torch.zeros(16_000), 16_000)
    assert torch.equal(silence, silence[:1].expand(50, -1))


def test_a_tone_is_loud_in_its_own_band_at_its_own_time_and_within_range() -> None:
    time = torch.arange(32_000) / 16_000
    tone = torch.sin(2 * torch.pi * 1000 * time) * ((time >= 0.5) & (time < 1.5))
    vectors = LogMel().extract(tone, 16_000)
    assert int(vectors[50].argmax()) in (25, 26)  # 1000 Hz are 15 of 45.2 mels; 81 steps
    assert (vectors[26:74].amax(dim=1) > 0.9).all()
    assert (vectors[:24] == vectors[0]).all()
    assert (vectors[76:] == vectors[0]).all()
    assert vectors.max() < 1.1


def test_nothing_gives_nothing_and_halves_are_taken() -> None:
    features = LogMel().to("cpu", torch.bfloat16)
    assert features.extract(torch.zeros(0), 16_000).shape == (0, 80)
    assert features.extract(torch.zeros(400, dtype=torch.float64), 16_000).dtype == torch.float32


def test_saved_loads_again(tmp_path: Path) -> None:
    LogMel(40).save(tmp_path / "audio_features")
    again = LogMel.load(tmp_path / "audio_features")
    assert torch.equal(again.extract(drawn_sound(5000), 16_000), LogMel(40).extract(drawn_sound(5000), 16_000))
    write_config(tmp_path / "empty", "LogMel")
    with pytest.raises(ModelInputError, match="lacks 'bins'"):
        LogMel.load(tmp_path / "empty")


def test_the_most_bands_are_those_that_all_hear_something() -> None:
    assert (mel_filters(LogMel(MOST_BANDS).dim) > 0).any(dim=1).all()
    with pytest.warns(UserWarning, match="all zero values"):
        assert not (mel_filters(MOST_BANDS + 1) > 0).any(dim=1).all()


@pytest.mark.parametrize("bins", [0, -1, MOST_BANDS + 1, 500])
def test_bands_that_cannot_be_are_told(bins: int) -> None:
    with pytest.raises(ModelInputError, match=f"^{bins} bands cannot be told apart"):
        LogMel(bins)
