"""What features may be extracted from."""

import torch
from torch import Tensor

from model.audio.protocols import FEATURE_RATE, SAMPLE_RATE
from model.errors import ModelInputError

HOP = SAMPLE_RATE // FEATURE_RATE
"""Samples per feature vector: vector i is about samples i * HOP .. (i + 1) * HOP."""


def check_waveform(waveform: Tensor, sample_rate: int) -> None:
    """A waveform must be (samples,), floating, finite, at SAMPLE_RATE.

    Raises:
        ModelInputError: it is not.
    """
    if sample_rate != SAMPLE_RATE:
        raise ModelInputError(f"the waveform has {sample_rate} samples per second; resample it to {SAMPLE_RATE}")
    if waveform.ndim != 1:
        raise ModelInputError(f"a waveform must be of shape (samples,), not {tuple(waveform.shape)}; mix its channels to one and extract one at a time")
    if not waveform.is_floating_point():
        raise ModelInputError(f"a waveform must be floating point in -1..1, not {waveform.dtype}; divide 16-bit values by 32768")
    if not torch.isfinite(waveform).all():
        raise ModelInputError("the waveform has values that are not finite; repair the recording")


def vectors_of(samples: int) -> int:
    """Feature vectors of a waveform: the last may be of fewer samples than the others."""
    return -(-samples // HOP)
