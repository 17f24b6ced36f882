"""What the model asks of audio features."""

from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

SAMPLE_RATE = 16_000
"""Samples per second of every waveform the model takes, mono; that of a shard sample's FLAC too."""

FEATURE_RATE = 50
"""Feature vectors per second, of every kind of features: vector i is about [i / 50, (i + 1) / 50) seconds. wav2vec 2.0's stride."""


class AudioFeatures(Protocol):
    """From a waveform to FEATURE_RATE vectors per second.

    Attributes:
        dim: size of a vector.
        margin: seconds of waveform to either side that a vector may depend on; with this much more at both ends, a part of a long
            waveform gives the same vectors as the whole (bit for bit where the features are local, see each kind).
    """

    dim: int
    margin: float

    @property
    def fingerprint(self) -> str:
        """Which network it is, weights included: what it made may be used in another's place if this is the same."""

    def extract(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """Features of a waveform.

        Args:
            waveform: (samples,), -1..1.
            sample_rate: must be SAMPLE_RATE.

        Returns:
            (ceil(samples / 320), dim), float32.

        Raises:
            ModelInputError: another sample rate, more than one channel, or values that are not finite.
        """

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` reads."""
