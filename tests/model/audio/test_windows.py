"""Windows of features, tried with features whose value is their own time."""

from fractions import Fraction

import pytest
import torch

from model.audio.log_mel import LogMel
from model.audio.windows import WINDOW, audio_windows, chunk_span, silence_vector, window_starts
from model.errors import ModelInputError

SILENCE = torch.tensor([-1.0])


def times(count: int, first: int = 0) -> torch.Tensor:
    """(count, 1): the middle of each vector's 20 ms, in seconds."""
    return (torch.arange(first, first + count, dtype=torch.float64).unsqueeze(1) + 0.5) / 50


def middle(first_frame: int, latent: int, factor: int, rate: Fraction) -> Fraction:
    """The middle of the time that a latent's frames are shown, from the frames themselves."""
    frames = [first_frame] if latent == 0 else list(range(first_frame + factor * (latent - 1) + 1, first_frame + factor * latent + 1))
    return (Fraction(frames[0]) + Fraction(frames[-1] + 1)) / 2 / rate


@pytest.mark.parametrize("rate", [Fraction(16), Fraction(24), Fraction(25), Fraction(30_000, 1001)])
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("window", [1, 24, 25])
def test_a_window_is_centred_on_the_middle_of_what_is_shown(rate: Fraction, factor: int, window: int) -> None:
    for first_frame in (60, 77, 9000):
        windows = audio_windows(times(30_000), 0, SILENCE.double(), first_frame, 6, factor, float(rate), window)
        assert windows.shape == (6, window, 1)
        for latent in range(6):
            centre = float(windows[latent].mean())
            assert abs(centre - float(middle(first_frame, latent, factor, rate))) <= 0.01 + 1e-9
            assert torch.allclose(windows[latent].diff(dim=0), torch.full((window - 1, 1), 0.02, dtype=torch.float64))


def test_known_windows() -> None:
    """16 frames per second: frame 0 is shown until 1/16 s, middle 1/32 s, in vector 1; frames 1 to 4 from 1/16 s to 5/16 s, middle 3/16 s, in vector 9."""
    assert window_starts(0, 3, 4, 16.0) == [1 - 12, 9 - 12, 21 - 12]
    assert window_starts(76, 2, 4, 16.0) == [239 - 12, 246 - 12]


def test_what_features_do_not_reach_is_silence() -> None:
    windows = audio_windows(times(10).float(), 0, SILENCE, 0, 2, 4, 16.0)
    assert windows.dtype == torch.float32
    assert windows[0, :11].eq(-1).all()
    torch.testing.assert_close(windows[0, 11:21], times(10).float())
    assert windows[0, 21:].eq(-1).all()
    assert audio_windows(torch.zeros(0, 1), 0, SILENCE, 500, 3, 4, 16.0).eq(-1).all()


def test_overlapping_chunks_hear_the_same_at_the_same_time() -> None:
    whole = audio_windows(times(2000), 0, SILENCE.double(), 0, 81, 4, 16.0)
    later = audio_windows(times(2000), 0, SILENCE.double(), 76, 21, 4, 16.0)
    assert torch.equal(later[1:], whole[20:40])


@pytest.mark.parametrize("first_frame", [0, 3, 76, 500])
def test_the_span_of_a_chunk_is_all_that_it_needs_and_no_more(first_frame: int) -> None:
    features = LogMel(8)
    sound = torch.randn(16_000 * 40, generator=torch.Generator().manual_seed(2)) * 0.1
    span = chunk_span(first_frame, 5, 4, 16.0, features.margin)
    seconds = span.samples / 16_000
    assert seconds <= (1 + 4 * 4) / 16 + WINDOW / 50 + 2 * features.margin + 0.04
    part = torch.zeros(span.samples)
    inside = sound[span.first_sample : span.first_sample + span.samples]
    part[: len(inside)] = inside
    cut = span.cut(features.extract(part, 16_000))
    assert len(cut) == span.vectors
    start = max(0, span.first_sample - 16_000 * 4)
    around = features.extract(sound[start : span.first_sample + span.samples + 16_000], 16_000)
    silence = silence_vector(features)
    found = audio_windows(cut, span.first_vector, silence, first_frame, 5, 4, 16.0)
    assert torch.equal(found, audio_windows(around, start // 320, silence, first_frame, 5, 4, 16.0))


def test_behind_the_end_the_features_of_zeros_are_silence() -> None:
    features = LogMel(8)
    span = chunk_span(160, 5, 4, 16.0, features.margin)
    windows = audio_windows(span.cut(features.extract(torch.zeros(span.samples), 16_000)), span.first_vector, silence_vector(features), 160, 5, 4, 16.0)
    assert torch.equal(windows, silence_vector(features).expand(5, WINDOW, 8))


def test_gradients_reach_the_features() -> None:
    features = times(100).requires_grad_()
    audio_windows(features, 0, SILENCE.double(), 10, 2, 4, 16.0).sum().backward()
    assert features.grad is not None
    assert features.grad.sum() == 50


def test_wrong_input_is_told() -> None:
    with pytest.raises(ModelInputError, match=r"not \(10, 1\) and \(2,\)"):
        audio_windows(times(10), 0, torch.zeros(2), 0, 2, 4, 16.0)
    for latents, factor, rate, window in ((0, 4, 16.0, 25), (1, 0, 16.0, 25), (1, 4, 0.0, 25), (1, 4, 16.0, 0), (1, 4, float("nan"), 1)):
        with pytest.raises(ModelInputError, match="audio windows need at least"):
            window_starts(0, latents, factor, rate, window)
