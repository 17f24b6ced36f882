"""Features of a wav2vec 2.0 network, which tell sounds of speech apart better than a spectrogram does."""

import math
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

from model.audio.checks import HOP, check_waveform, vectors_of
from model.audio.protocols import SAMPLE_RATE
from model.errors import ModelInputError
from model.network_fingerprint import network_fingerprint
from model.pretrained import load_frozen

Layers = Literal["last", "mean"]
"""Which of the network's states are the features: the last layer's, or the mean of all, which keeps more of the sound and less of the words."""

FOR_TRAINING_ONLY = ("masked_spec_embed",)
"""Weights that checkpoints leave out when they were not trained further; they stand for masked sound."""


class Wav2Vec2Features:
    """A frozen Wav2Vec2Model.

    Its convolutions see 400 samples every 320. With 40 zeros before the waveform, vector i is centred on samples 320 i .. 320 (i + 1), and
    with as many behind as are needed there are ceil(samples / 320) of them.

    Its attention reaches over all that is given, and so does the normalisation of loudness, where the checkpoint asks for it: a part of
    a waveform gives *about* the vectors of the whole, nearer with more margin around it, never the same bits. ``margin`` says how far
    we let it look. The same part always gives the same vectors. Time and memory grow with the square of what is given: give a chunk and
    its margins, not ten minutes.
    """

    margin = 2.0

    def __init__(self, network: Any, processor: Any, layers: Layers | None = None) -> None:
        """Take over a network: it is put into evaluation mode and frozen.

        Args:
            network: a Wav2Vec2Model.
            processor: a Wav2Vec2FeatureExtractor.
            layers: when None, what the network's config says (written by ``save``), else the last.

        Raises:
            ModelInputError: a network of another sample rate or another stride, or layers of which nobody has heard.
        """
        if processor.sampling_rate != SAMPLE_RATE:
            raise ModelInputError(f"the wav2vec 2.0 network hears {processor.sampling_rate} samples per second; give one of {SAMPLE_RATE}")
        stride, self._field = _receptive_field(network.config.conv_kernel, network.config.conv_stride)
        if stride != HOP or self._field < HOP:
            raise ModelInputError(f"the wav2vec 2.0 network has a vector every {stride} samples, of {self._field}; give one with a vector every {HOP}")
        self.layers = layers or str(getattr(network.config, "feature_layers", "last"))
        if self.layers not in get_args(Layers):
            raise ModelInputError(f"the layers of wav2vec 2.0 features are one of {', '.join(get_args(Layers))}, not {self.layers!r}")
        self._network = network.eval().requires_grad_(False)
        self._processor = processor
        self.dim: int = network.config.hidden_size

    @classmethod
    def load(cls, folder: Path, layers: Layers | None = None, dtype: torch.dtype | None = None) -> Self:
        """From a folder of transformers: config.json, weights, preprocessor_config.json.

        Args:
            folder: local.
            layers: see ``Layers``; when None, as the folder was saved, else the last.
            dtype: of the weights; as stored when None.

        Raises:
            ModelInputError: not there, not a wav2vec 2.0, incomplete, or of another sample rate.
        """
        network = load_frozen(Wav2Vec2Model, folder, "wav2vec2", FOR_TRAINING_ONLY, dtype=dtype or "auto")
        try:
            processor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelInputError(f"{folder} has no preprocessor_config.json that can be read; copy it from where the weights are from") from error
        return cls(network, processor, layers)

    def save(self, folder: Path) -> None:
        """Write the folder that ``load`` and transformers read."""
        self._network.config.feature_layers = self.layers
        self._network.save_pretrained(folder)
        self._processor.save_pretrained(folder)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the configuration, of what is done to the sound before, and of the weights, as they were when it was first asked for."""
        settings = {**self._network.config.to_diff_dict(), "feature_layers": self.layers, "do_normalize": self._processor.do_normalize}
        return network_fingerprint(self, settings, self._network.state_dict())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """Move the weights."""
        self._network.to(device=device, dtype=dtype or self._network.dtype)
        return self

    @torch.no_grad()
    def extract(self, waveform: Tensor, sample_rate: int) -> Tensor:
        """A waveform (samples,) as (ceil(samples / 320), dim), float32.

        Raises:
            ModelInputError: another sample rate, more than one channel, or values that are not finite.
        """
        check_waveform(waveform, sample_rate)
        device = self._network.device
        count = vectors_of(len(waveform))
        if count == 0:
            return torch.zeros(0, self.dim, device=device)
        sound = waveform.to(device, torch.float32)
        if self._processor.do_normalize:
            sound = (sound - sound.mean()) / (sound.var(correction=0) + 1e-7).sqrt()
        before = (self._field - HOP) // 2
        padded = pad(sound, (before, HOP * (count - 1) + self._field - before - len(sound)))
        states = self._network(padded.unsqueeze(0).to(self._network.dtype), output_hidden_states=self.layers == "mean")
        if self.layers == "last":
            return states.last_hidden_state[0].float()
        return torch.stack([state[0].float() for state in states.hidden_states]).mean(dim=0)


def _receptive_field(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """Samples from one vector to the next, and samples that one vector is made of."""
    field = 1
    for kernel, stride in reversed(list(zip(kernels, strides, strict=True))):
        field = (field - 1) * stride + kernel
    return math.prod(strides), field
