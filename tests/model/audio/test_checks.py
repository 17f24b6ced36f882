"""What features refuse."""

import pytest
import torch

from model.audio.checks import HOP, check_waveform, vectors_of
from model.errors import ModelInputError


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (torch.zeros(9), 44_100, "has 44100 samples per second; resample it to 16000"),
        (torch.zeros(2, 9), 16_000, r"of shape \(samples,\), not \(2, 9\); mix its channels"),
        (torch.zeros(9, dtype=torch.int16), 16_000, "divide 16-bit values by 32768"),
        (torch.tensor([0.0, float("nan")]), 16_000, "not finite"),
        (torch.tensor([0.0, float("inf")]), 16_000, "not finite"),
    ],
)
def test_a_waveform_that_does_not_fit_is_told(waveform: torch.Tensor, rate: int, message: str) -> None:
    with pytest.raises(ModelInputError, match=message):
        check_waveform(waveform, rate)


def test_good_waveforms_pass() -> None:
    check_waveform(torch.zeros(0), 16_000)
    check_waveform(torch.ones(3, dtype=torch.float64), 16_000)


def test_the_last_vector_may_be_of_fewer_samples() -> None:
    assert HOP == 320
    assert [vectors_of(samples) for samples in (0, 1, 320, 321)] == [0, 1, 1, 2]
