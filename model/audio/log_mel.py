"""Features without weights: how loud it is in each of 80 bands, as hearing spaces them."""

from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.audio_utils import mel_filter_bank

from model.audio.checks import HOP, check_waveform, vectors_of
from model.audio.protocols import FEATURE_RATE, SAMPLE_RATE
from model.component_config import read_settings, write_config
from model.errors import ModelInputError
from model.network_fingerprint import network_fingerprint

WINDOW = 2 * HOP
"""Samples a vector looks at, 40 ms around the middle of its 20. Hann windows of two hops add up to 1 everywhere, so no moment counts less than another; 64 ms
(1024) would part tones better, but lips close for 60 to 100 ms, and the closing is what is to be seen."""

REACH = (WINDOW - HOP) // 2
"""Samples a vector looks beyond its own, to either side."""

FLOOR = 1e-6
"""Power below which all is silence: 88 dB under the loudest tone, so that the noise of rounding to 16 bits is silence too."""

CENTRE, SPREAD = -4.0, 10.0
"""Silence (log FLOOR, -13.8) becomes -1, the loudest tone (6.5) 1."""

MOST_BANDS = 240
"""Of more, some would lie between the frequencies of the spectrum."""


class LogMel:
    """Log-mel spectrogram, 50 vectors per second, normalised with fixed constants to about -1..1; silence is one constant vector.

    Local: a vector depends on 20 ms and 10 ms to either side, so a part of a waveform that starts at a whole vector gives, a margin
    from its ends, the very same bits as the whole.
    """

    def __init__(self, bins: int = 80) -> None:
        """Choose the number of bands.

        Raises:
            ModelInputError: no bands, or more than MOST_BANDS.
        """
        if not 1 <= bins <= MOST_BANDS:
            raise ModelInputError(f"{bins} bands cannot be told apart in {WINDOW} samples; take 1 to {MOST_BANDS}")
        self.dim = bins
        self.margin = 1 / FEATURE_RATE
        self._window = torch.hann_window(WINDOW)
        self._bands, self._weights = _sparse(mel_filters(bins))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From a folder written by ``save``.

        Raises:
            ModelInputError: not there, or other features'.
        """
        settings = read_settings(folder, "LogMel")
        if "bins" not in settings:
            raise ModelInputError(f"the config.json of {folder} lacks 'bins'; write the folder again")
        return cls(int(settings["bins"]))

    def save(self, folder: Path) -> None:
        """Write config.json."""
        write_config(folder, "LogMel", bins=self.dim)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the number of bands: there is nothing else to it."""
        return network_fingerprint(self, {"bins": self.dim})

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:  # noqa: ARG002  (always float32)
        """Where to compute."""
        self._window, self._bands, self._weights = (tensor.to(device) for tensor in (self._window, self._bands, self._weights))
        return self

    @torch.no_grad()
    def extract(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """A waveform (samples,) as (ceil(samples / 320), dim), float32; silence is thought before and after it.

        Raises:
            ModelInputError: another sample rate, more than one channel, or values that are not finite.
        """
        check_waveform(waveform, sample_rate)
        count = vectors_of(len(waveform))
        if count == 0:
            return torch.zeros(0, self.dim, device=self._window.device)
        padded = pad(waveform.to(self._window.device, torch.float32), (REACH, count * HOP - len(waveform) + REACH))
        spectrum = torch.view_as_real(torch.stft(padded, WINDOW, HOP, WINDOW, self._window, center=False, return_complex=True))
        # Not abs(), which rounds the last few numbers of a tensor in another way than those before them.
        power = spectrum[..., 0] * spectrum[..., 0] + spectrum[..., 1] * spectrum[..., 1]
        return (self._mel(power).clamp(min=FLOOR).log() - CENTRE).div(SPREAD).T.contiguous()

    def _mel(self, power: Tensor) -> Tensor:
        """Power (frequencies, T) in bands, (bins, T): added up one frequency after the other, for a matrix product's order depends on T."""
        mel = torch.zeros(self.dim, power.shape[1], device=power.device)
        for frequencies, weights in zip(self._bands.T, self._weights.T, strict=True):
            mel = mel + power[frequencies] * weights.unsqueeze(1)
        return mel


def mel_filters(bins: int) -> Tensor:
    """Triangles over the frequencies of the spectrum, (bins, WINDOW // 2 + 1), evenly spaced in Slaney's mels from 0 to half the sample rate, of equal area."""
    filters = mel_filter_bank(WINDOW // 2 + 1, bins, 0, SAMPLE_RATE / 2, SAMPLE_RATE, norm="slaney", mel_scale="slaney")
    return torch.from_numpy(filters.T).float()


def _sparse(filters: Tensor) -> tuple[Tensor, Tensor]:
    """The frequencies that each band reaches, and their weights, both (bins, most): bands that reach fewer are filled up with weights of 0."""
    first = (filters > 0).int().argmax(dim=1)
    most = int((filters > 0).sum(dim=1).max())
    frequencies = (first[:, None] + torch.arange(most)).clamp(max=filters.shape[1] - 1)
    inside = first[:, None] + torch.arange(most) < filters.shape[1]
    return frequencies, filters.gather(1, frequencies) * inside
